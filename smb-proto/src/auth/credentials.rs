//! Who logs in.

use std::fmt;

use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A password. It is wiped when dropped and its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ZeroizeOnDrop for Secret {}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a login is made with.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A user's name and password.
    Password {
        /// The account name, or a user principal name with an empty `domain`. Its case does not matter.
        user: String,
        /// The domain or server that knows the account, as the server spells it: its case matters. May be
        /// empty.
        domain: String,
        /// The password.
        password: Secret,
    },
    /// No identity: the null session.
    Anonymous,
}

impl Credentials {
    /// A user, also as `DOMAIN\\user` or `user@domain`, and the password.
    pub fn password(user: &str, password: impl Into<String>) -> Self {
        let (domain, user) = user.split_once('\\').unwrap_or(("", user));
        Self::Password { user: user.to_owned(), domain: domain.to_owned(), password: password.into().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let credentials = Credentials::Password {
            user: "u".to_owned(),
            domain: "d".to_owned(),
            password: "hunter2".to_owned().into(),
        };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
