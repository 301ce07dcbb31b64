//! The two sides of a login's interface: towards SESSION_SETUP, and towards the mechanisms within SPNEGO.

use super::AuthError;
use crate::crypto::Key;

/// One login on one session ([MS-SMB2] 3.2.4.2.3, 3.2.5.3).
///
/// The order is [`start`](Self::start), then [`step`](Self::step) for every response with
/// STATUS_MORE_PROCESSING_REQUIRED, then [`finish`](Self::finish). After an error the login is over.
pub trait Authenticator: Send {
    /// The first token to send. `hint` is the SecurityBuffer of the NEGOTIATE response; where it is empty the
    /// server does not speak SPNEGO and the mechanism's tokens are exchanged bare.
    ///
    /// # Errors
    /// [`AuthError::Malformed`] or [`AuthError::NotOffered`] over the hint, [`AuthError::Crypto`].
    fn start(&mut self, hint: &[u8]) -> Result<Vec<u8>, AuthError>;

    /// The token to send in answer to the one from a response with STATUS_MORE_PROCESSING_REQUIRED.
    ///
    /// # Errors
    /// Any [`AuthError`].
    fn step(&mut self, token: &[u8]) -> Result<Vec<u8>, AuthError>;

    /// Takes the token, possibly empty, of the successful response, and verifies what is left to verify.
    ///
    /// # Errors
    /// [`AuthError::EndedEarly`] when the server succeeded without the client's proof,
    /// [`AuthError::MissingMic`] and [`AuthError::BadMic`] over the negotiation's integrity, and others.
    fn finish(&mut self, token: &[u8]) -> Result<(), AuthError>;

    /// The full session key: 16 bytes for NTLM, up to 32 for Kerberos. `None` as long as there is none, and
    /// always for an anonymous login.
    ///
    /// It is there once the last [`step`](Self::step) is taken, since the final response is signed with it.
    fn session_key(&self) -> Option<&Key>;

    /// Whether the login is the null session, which neither signs nor encrypts.
    fn is_anonymous(&self) -> bool;

    /// The mechanism's name for people, such as "NTLMv2".
    fn name(&self) -> &'static str;
}

/// One mechanism's part in a login, as [`Spnego`](super::spnego::Spnego) drives it.
pub trait Mechanism: Send {
    /// The contents octets of the object identifiers that stand for the mechanism, the preferred one first.
    fn oids(&self) -> &'static [&'static [u8]];

    /// The mechanism's name for people.
    fn name(&self) -> &'static str;

    /// The first token.
    ///
    /// # Errors
    /// [`AuthError::Crypto`], [`AuthError::NameTooLong`].
    fn initial(&mut self) -> Result<Vec<u8>, AuthError>;

    /// The answer to a token from the server, `None` where none is due.
    ///
    /// # Errors
    /// Any [`AuthError`].
    fn step(&mut self, token: &[u8]) -> Result<Option<Vec<u8>>, AuthError>;

    /// Takes the server's last token, possibly empty.
    ///
    /// # Errors
    /// [`AuthError::EndedEarly`] where the exchange is not complete with it.
    fn finish(&mut self, token: &[u8]) -> Result<(), AuthError>;

    /// The integrity code over `message` (GSS_GetMIC); `None` without a session key.
    fn mic(&mut self, message: &[u8]) -> Option<Vec<u8>>;

    /// Checks the server's integrity code over `message` (GSS_VerifyMIC) in constant time.
    ///
    /// # Errors
    /// [`AuthError::BadMic`] when it is wrong or there is no key to check it with.
    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Result<(), AuthError>;

    /// As [`Authenticator::session_key`].
    fn session_key(&self) -> Option<&Key>;

    /// As [`Authenticator::is_anonymous`].
    fn is_anonymous(&self) -> bool;
}
