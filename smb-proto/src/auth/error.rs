//! Why a login failed before or besides the server's status code.

use crate::crypto::CryptoError;

/// Why a login cannot go on. Each variant says whose fault it is; none carries a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The server sent a token that breaks its format.
    #[error("the server sent a malformed authentication token: {0}")]
    Malformed(&'static str),
    /// The server sent a well-formed token where it has no place.
    #[error("the server broke the order of the authentication exchange: {0}")]
    Unexpected(&'static str),
    /// The server's list of mechanisms has none that these credentials can use.
    #[error("the server does not offer {0} authentication")]
    NotOffered(&'static str),
    /// The server chose a mechanism that the client did not propose.
    #[error("the server chose an authentication mechanism that was not proposed")]
    UnsupportedMechanism,
    /// The server, or someone between, left out what keeps the login safe from downgrade.
    #[error("the server's NTLM challenge lacks {0}; refusing a weaker login")]
    Downgrade(&'static str),
    /// The server sent back a message of the kind that only a client sends.
    #[error("the server reflected a client's authentication message")]
    Reflected,
    /// The server had to prove the integrity of the mechanism list and did not.
    #[error("the server left out the mechListMIC that the negotiation requires")]
    MissingMic,
    /// The server's proof of integrity is wrong: the exchange was altered, or the server does not know the
    /// session key.
    #[error("the server's mechListMIC is wrong")]
    BadMic,
    /// The server refused the login within the token.
    #[error("the server rejected the authentication")]
    Rejected,
    /// The server reported success before the client had proved anything.
    #[error("the server ended the authentication before it was complete")]
    EndedEarly,
    /// The user's fault: a name too long for its field on the wire.
    #[error("the user, domain or workstation name is too long")]
    NameTooLong,
    /// The caller's fault: `start`, `step` and `finish` called out of order.
    #[error("the login was driven out of order")]
    OutOfOrder,
    /// A primitive failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}
