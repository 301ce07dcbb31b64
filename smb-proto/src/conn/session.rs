//! Sessions of a connection: the login in progress, then the keys ([MS-SMB2] 3.2.5.3, 3.2.1.3).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::config::SessionConfig;
use super::error::{ConnectionError, PeerIncompatible, PeerMisbehaved, SessionError};
use super::frame::{NonceCounter, OutboundKey, Protection, verify_shared};
use super::negotiation::Negotiated;
use super::request::Token;
use crate::auth::Authenticator;
use crate::crypto::{CryptoProvider, Key, MessageCipher, MessageSigner, PreauthHash, SessionKeys};
use crate::wire::{Dialect, Header, HeaderFlags, SecurityMode, SessionFlags};

/// A login that is under way.
pub(super) struct Login {
    pub(super) token: Token,
    pub(super) authenticator: Box<dyn Authenticator>,
    pub(super) config: SessionConfig,
    /// 0 until the server's first answer names the session.
    pub(super) session_id: u64,
    /// 3.1.1: the connection's hash, continued with this login's messages.
    pub(super) preauth: PreauthHash,
    /// The session that this connection is to have part in, if it is not to have one of its own.
    pub(super) binding: Option<SharedSession>,
}

/// What the connections of one session have in common.
#[derive(Clone)]
pub struct SharedSession {
    session_id: u64,
    negotiated: Negotiated,
    flags: SessionFlags,
    signer: Arc<dyn MessageSigner>,
    encryption: Option<Encryption>,
    sign: bool,
    encrypt: bool,
    trees: HashMap<u32, bool>,
}

impl fmt::Debug for SharedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSession").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

/// What protects one session's messages on one connection.
///
/// Of several connections of a session each has its own signer; the ciphers and the nonce counter are the
/// session's.
pub(super) struct Session {
    pub(super) flags: SessionFlags,
    signer: Option<Arc<dyn MessageSigner>>,
    encryption: Option<Encryption>,
    sign: bool,
    encrypt: bool,
    /// Trees, and whether each must be encrypted.
    pub(super) trees: HashMap<u32, bool>,
}

#[derive(Clone)]
struct Encryption {
    outgoing: Arc<dyn MessageCipher>,
    incoming: Arc<dyn MessageCipher>,
    nonces: Arc<NonceCounter>,
    nonce_len: usize,
}

impl Login {
    /// Takes the final, successful answer and makes the session.
    pub(super) fn complete(
        &mut self,
        negotiated: &Negotiated,
        crypto: &dyn CryptoProvider,
        header: &Header,
        flags: SessionFlags,
        token: &[u8],
        message: &Bytes,
    ) -> Result<Session, SessionError> {
        self.authenticator.finish(token)?;
        if flags.intersects(SessionFlags::IS_GUEST | SessionFlags::IS_NULL)
            || self.authenticator.is_anonymous()
        {
            if self.binding.is_some() {
                return Err(SessionError::OnlyGuest);
            }
            return self.keyless(flags);
        }
        let key = self.authenticator.session_key().ok_or(SessionError::OnlyGuest)?;
        let mut session = self.keyed(negotiated, crypto, flags, key)?;
        if let Some(shared) = &self.binding {
            // Signatures are each connection's own, all else is the session's.
            session.flags = shared.flags;
            session.encryption.clone_from(&shared.encryption);
            session.encrypt = shared.encrypt;
            session.trees.clone_from(&shared.trees);
        }
        let signed = header.flags.contains(HeaderFlags::SIGNED);
        match &session.signer {
            Some(signer) if signed => verify_shared(&**signer, message)?,
            // 3.1.1 always signs it: this signature is what proves the preauthentication hash.
            _ if negotiated.dialect == Dialect::Smb311 || self.config.sign || self.binding.is_some() => {
                return Err(ConnectionError::from(PeerMisbehaved::Unprotected("signed")).into());
            }
            _ => {}
        }
        Ok(session)
    }

    fn keyless(&self, flags: SessionFlags) -> Result<Session, SessionError> {
        if !self.config.allow_guest {
            return Err(SessionError::OnlyGuest);
        }
        if self.config.encrypt || flags.contains(SessionFlags::ENCRYPT_DATA) {
            return Err(SessionError::EncryptionUnavailable("a guest's session has no key"));
        }
        Ok(Session {
            flags,
            signer: None,
            encryption: None,
            sign: false,
            encrypt: false,
            trees: HashMap::new(),
        })
    }

    fn keyed(
        &self,
        negotiated: &Negotiated,
        crypto: &dyn CryptoProvider,
        flags: SessionFlags,
        session_key: &Key,
    ) -> Result<Session, SessionError> {
        let keys = match negotiated.dialect {
            Dialect::Smb202 | Dialect::Smb210 => SessionKeys::smb2(session_key),
            Dialect::Smb300 | Dialect::Smb302 => SessionKeys::smb30(session_key),
            Dialect::Smb311 => {
                SessionKeys::smb311(session_key, session_key, &self.preauth, negotiated.cipher)
            }
        };
        let signer = crypto.signer(negotiated.signing, &keys.signing).map_err(ConnectionError::from)?;
        let encryption = match (negotiated.cipher, &keys.client_to_server, &keys.server_to_client) {
            (Some(cipher), Some(outgoing), Some(incoming)) => Some(Encryption {
                outgoing: crypto.cipher(cipher, outgoing).map_err(ConnectionError::from)?.into(),
                incoming: crypto.cipher(cipher, incoming).map_err(ConnectionError::from)?.into(),
                nonces: Arc::default(),
                nonce_len: cipher.nonce_len(),
            }),
            _ => None,
        };
        let encrypt = self.config.encrypt || flags.contains(SessionFlags::ENCRYPT_DATA);
        if encrypt && encryption.is_none() {
            return Err(SessionError::NO_CIPHER);
        }
        Ok(Session {
            flags,
            signer: Some(signer.into()),
            encryption,
            // Whoever of the two insists on signatures has them.
            sign: self.config.sign || negotiated.security_mode.contains(SecurityMode::SIGNING_REQUIRED),
            encrypt,
            trees: HashMap::new(),
        })
    }
}

impl SharedSession {
    pub(super) fn of(negotiated: &Negotiated, session_id: u64, session: &Session) -> Option<Self> {
        if negotiated.dialect < Dialect::Smb300 {
            return None;
        }
        Some(Self {
            session_id,
            negotiated: negotiated.clone(),
            flags: session.flags,
            signer: session.signer.clone()?,
            encryption: session.encryption.clone(),
            sign: session.sign,
            encrypt: session.encrypt,
            trees: session.trees.clone(),
        })
    }

    pub(super) const fn session_id(&self) -> u64 {
        self.session_id
    }

    pub(super) const fn config(&self) -> SessionConfig {
        SessionConfig { sign: self.sign, encrypt: self.encrypt, allow_guest: false, previous_session_id: 0 }
    }

    /// What signs the requests of a login that is to join: the session's key, as its first connection has it.
    pub(super) fn binding_key(&self) -> OutboundKey {
        OutboundKey::Sign(self.signer.clone())
    }

    /// Whether a connection has agreed on the same with the same server. The first was validated; this one need not be
    /// if it is no different.
    pub(super) fn check(&self, negotiated: &Negotiated) -> Result<(), ConnectionError> {
        let first = &self.negotiated;
        if negotiated.server_guid != first.server_guid {
            return Err(PeerIncompatible::AnotherServer.into());
        }
        if (negotiated.dialect, negotiated.cipher, negotiated.signing)
            != (first.dialect, first.cipher, first.signing)
        {
            return Err(PeerMisbehaved::Downgrade.into());
        }
        Ok(())
    }
}

impl Session {
    /// Whether all of this session is encrypted.
    pub(super) const fn encrypts(&self) -> bool {
        self.encrypt
    }

    /// Whether all of this session is signed, as far as it is not encrypted.
    pub(super) const fn signs(&self) -> bool {
        self.sign
    }

    /// Whether replies are verified at all: not those of guests.
    pub(super) const fn has_key(&self) -> bool {
        self.signer.is_some()
    }

    /// What protects a request to `tree_id` (0 for none). `must` asks for a signature even where the session is
    /// not signed.
    pub(super) fn outbound(&self, session_id: u64, tree_id: u32, must: bool) -> OutboundKey {
        let encrypt = self.encrypt || self.trees.get(&tree_id).copied().unwrap_or(false);
        match (&self.encryption, &self.signer) {
            (Some(encryption), _) if encrypt => OutboundKey::Encrypt {
                cipher: encryption.outgoing.clone(),
                nonces: encryption.nonces.clone(),
                nonce_len: encryption.nonce_len,
                session_id,
            },
            (_, Some(signer)) if self.sign || must => OutboundKey::Sign(signer.clone()),
            _ => OutboundKey::None,
        }
    }

    /// Whether a tree that wants encryption can have it.
    pub(super) const fn can_encrypt(&self) -> bool {
        self.encryption.is_some()
    }

    pub(super) fn signer(&self) -> Option<Arc<dyn MessageSigner>> {
        self.signer.clone()
    }

    pub(super) fn decryptor(&self) -> Option<(Arc<dyn MessageCipher>, usize)> {
        self.encryption.as_ref().map(|encryption| (encryption.incoming.clone(), encryption.nonce_len))
    }
}

/// Whether a reply is protected as its request was.
pub(super) fn check_protection(
    signed: bool,
    encrypted: bool,
    protection: Protection,
) -> Result<(), PeerMisbehaved> {
    match protection {
        Protection::Decrypted => Ok(()),
        _ if encrypted => Err(PeerMisbehaved::Unprotected("encrypted")),
        Protection::Verified => Ok(()),
        Protection::None if signed => Err(PeerMisbehaved::Unprotected("signed")),
        Protection::None => Ok(()),
    }
}
