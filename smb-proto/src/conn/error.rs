//! What can go wrong on a connection, and whose fault it is.

use crate::auth::AuthError;
use crate::crypto::CryptoError;
use crate::status::NtStatus;
use crate::wire::{Command, DecodeError};

/// The server broke the protocol, or somebody between rewrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// It answered in the name of another session, or gave two sessions one name.
    #[error("it answered in the name of another session")]
    AnotherSession,
    /// It gave one pending operation two names.
    #[error("it answered in the name of another pending operation")]
    AnotherOperation,
    /// It answered with a command that was not asked.
    #[error("it answered {asked:?} with {answered:?}")]
    AnsweredAnother {
        /// What was asked.
        asked: Command,
        /// What was answered.
        answered: Command,
    },
    /// A signature or an authentication tag is wrong.
    #[error("a signature or authentication tag is wrong")]
    BadSignature,
    /// It sent a compressed message, which nobody offered.
    #[error("it sent a compressed message although compression was not offered")]
    Compressed,
    /// It says now that it answered the negotiation otherwise than what arrived.
    #[error("the negotiation was tampered with on its way")]
    Downgrade,
    /// A frame is larger than anything asked for.
    #[error("it sent a frame of {0} bytes, more than anything asked for")]
    FrameTooLarge(usize),
    /// The frame cannot be read.
    #[error("it sent what cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// It chose what was not offered.
    #[error("it chose {0}, which was not offered")]
    NotOffered(&'static str),
    /// It sent requests.
    #[error("it sent a request")]
    SentRequest,
    /// It took all credits away: nothing can be asked any more.
    #[error("it took all credits away")]
    Starved,
    /// It took back more leases than this client can hold.
    #[error("it took back more leases than anybody holds")]
    TooManyBreaks,
    /// It kept saying that a request is pending.
    #[error("it said too often that a request is pending")]
    TooManyPending,
    /// An answer that must be signed or encrypted was not.
    #[error("an answer that must be {0} was not")]
    Unprotected(&'static str),
    /// It answered what was never asked.
    #[error("it answered message {0}, which was not asked")]
    Unsolicited(u64),
}

/// The server is honest but speaks nothing that this client does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerIncompatible {
    /// It knows only SMB1.
    #[error("it speaks only SMB1")]
    OnlySmb1,
    /// It has none of the dialects on offer.
    #[error("it has none of the offered dialects ({0})")]
    NoCommonDialect(NtStatus),
    /// It refuses to negotiate.
    #[error("it refused to negotiate ({0})")]
    NegotiationRefused(NtStatus),
    /// Another server answers where one more connection to the session's was wanted.
    #[error("another server answers at its address")]
    AnotherServer,
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// Closed by its owner.
    #[error("the connection was closed")]
    Closed,
    /// The cryptography failed: this machine's fault.
    #[error("cryptography failed on this machine: {0}")]
    Crypto(#[from] CryptoError),
    /// The transport ended.
    #[error("the server closed the connection")]
    Lost,
    /// The transport ended where the server was to confirm the negotiation, as it has to if what it received was not what
    /// the client sent ([MS-SMB2] 3.3.5.15.12).
    #[error(
        "the server closed the connection when it was to confirm the negotiation, which may have been tampered with on \
         its way"
    )]
    NotConfirmed,
    /// See [`PeerIncompatible`].
    #[error("the server cannot be used: {0}")]
    PeerIncompatible(#[from] PeerIncompatible),
    /// See [`PeerMisbehaved`].
    #[error("the server broke the protocol: {0}")]
    PeerMisbehaved(#[from] PeerMisbehaved),
    /// The server no longer knows the session.
    #[error("the server ended the session ({0})")]
    SessionDeleted(NtStatus),
    /// The server was silent for too long.
    #[error("the server did not answer in time")]
    TimedOut,
}

impl From<DecodeError> for ConnectionError {
    fn from(error: DecodeError) -> Self {
        Self::PeerMisbehaved(error.into())
    }
}

/// Why a login failed; the connection goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The authentication mechanism gave up.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The connection ended meanwhile.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Encryption is wanted, and the server or this session cannot do it.
    #[error("encryption is wanted, but {0}")]
    EncryptionUnavailable(&'static str),
    /// The server would let the user in as guest only.
    #[error("the server does not know the user and let it in as guest only")]
    OnlyGuest,
    /// The server refused.
    #[error("the server refused the login ({0})")]
    Refused(NtStatus),
}

impl SessionError {
    pub(super) const NO_CIPHER: Self = Self::EncryptionUnavailable(
        "the server offers no cipher that this client accepts (dialect below 3.0, or ciphers switched off)",
    );
}

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The connection ended; the request may or may not have been carried out.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The reply was authentic but cannot be read.
    #[error("the server's reply cannot be read: {0}")]
    Malformed(#[from] DecodeError),
    /// The server grants too few credits for a request of this size, even when nothing else runs.
    #[error("the server grants too few credits for a request of this size")]
    NotEnoughCredits,
    /// The request's own deadline passed; it may or may not have been carried out.
    #[error("the server did not answer this request in time")]
    TimedOut,
    /// No such session on this connection.
    #[error("there is no such session on this connection")]
    UnknownSession,
}
