//! The negotiation: what is offered, and whether the answer keeps to it ([MS-SMB2] 3.2.4.2.2.2, 3.2.5.2).

use bytes::Bytes;

use super::config::ConnectionConfig;
use super::error::{ConnectionError, PeerMisbehaved};
use crate::crypto::{Cipher, SigningAlgorithm};
use crate::fscc::FileTime;
use crate::fscc::POSIX_EXTENSIONS;
use crate::wire::{
    Capabilities, Dialect, Guid, NegotiateContext, NegotiateRequest, NegotiateResponse, SecurityMode,
    ValidateNegotiateRequest, ValidateNegotiateResponse,
};

const SHA_512: u16 = 1;
/// What a server without LARGE_MTU takes at most.
const SMALL_IO: u32 = 65_536;

/// What both sides agreed on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Negotiated {
    /// The dialect.
    pub dialect: Dialect,
    /// How this connection's messages are signed.
    pub signing: SigningAlgorithm,
    /// How this connection's messages can be encrypted, if at all.
    pub cipher: Option<Cipher>,
    /// Both sides have the SMB3 POSIX extensions.
    pub posix: bool,
    /// What the server can do.
    pub capabilities: Capabilities,
    /// What the server wants of signing.
    pub security_mode: SecurityMode,
    /// Names the server.
    pub server_guid: Guid,
    /// The largest query, set info, notify or ioctl in bytes.
    pub max_transact: u32,
    /// The largest read in bytes.
    pub max_read: u32,
    /// The largest write in bytes.
    pub max_write: u32,
    /// The server's clock when it answered.
    pub system_time: FileTime,
    /// The server's first security token.
    pub(super) token: Bytes,
}

/// The NEGOTIATE request.
pub(super) fn request(config: &ConnectionConfig, salt: [u8; 32]) -> NegotiateRequest {
    let mut contexts = Vec::new();
    if config.max_dialect >= Dialect::Smb311 {
        contexts.push(NegotiateContext::PreauthIntegrity {
            algorithms: vec![SHA_512],
            salt: Bytes::copy_from_slice(&salt),
        });
        if !config.ciphers.is_empty() {
            let ciphers = config.ciphers.iter().map(|cipher| cipher.to_wire()).collect();
            contexts.push(NegotiateContext::Encryption { ciphers });
        }
        let algorithms = config.signing_algorithms.iter().map(|algorithm| algorithm.to_wire()).collect();
        contexts.push(NegotiateContext::Signing { algorithms });
        contexts.push(NegotiateContext::Netname(config.server_name.clone()));
        if config.posix {
            contexts.push(NegotiateContext::Posix(vec![POSIX_EXTENSIONS]));
        }
    }
    NegotiateRequest {
        security_mode: config.security_mode(),
        capabilities: config.capabilities(),
        client_guid: config.client_guid,
        dialects: config.dialects(),
        contexts,
    }
}

/// Checks the answer against the offer.
pub(super) fn accept(
    config: &ConnectionConfig,
    response: NegotiateResponse,
) -> Result<Negotiated, ConnectionError> {
    let dialect = Dialect::from_wire(response.dialect)
        .filter(|dialect| (config.min_dialect..=config.max_dialect).contains(dialect))
        .ok_or(PeerMisbehaved::NotOffered("a dialect"))?;
    let posix = response.contexts.iter().any(|context| match context {
        NegotiateContext::Posix(versions) => versions.contains(&POSIX_EXTENSIONS),
        _ => false,
    });
    let posix = posix && config.posix && dialect == Dialect::Smb311;
    let (signing, cipher) = if dialect == Dialect::Smb311 {
        contexts(config, &response.contexts)?
    } else if dialect >= Dialect::Smb300 {
        let encrypts = response.capabilities.contains(Capabilities::ENCRYPTION) && !config.ciphers.is_empty();
        (SigningAlgorithm::AesCmac, encrypts.then_some(Cipher::Aes128Ccm))
    } else {
        (SigningAlgorithm::HmacSha256, None)
    };
    let multi = dialect >= Dialect::Smb210 && response.capabilities.contains(Capabilities::LARGE_MTU);
    let most = if multi { config.max_io } else { config.max_io.min(SMALL_IO) };
    let limit = |size: u32| size.min(most);
    if response.max_read == 0 || response.max_write == 0 || response.max_transact == 0 {
        return Err(PeerMisbehaved::NotOffered("a maximum size of 0").into());
    }
    Ok(Negotiated {
        dialect,
        signing,
        cipher,
        posix,
        capabilities: response.capabilities,
        security_mode: response.security_mode,
        server_guid: response.server_guid,
        max_transact: limit(response.max_transact),
        max_read: limit(response.max_read),
        max_write: limit(response.max_write),
        system_time: response.system_time,
        token: response.token,
    })
}

fn contexts(
    config: &ConnectionConfig,
    contexts: &[NegotiateContext],
) -> Result<(SigningAlgorithm, Option<Cipher>), PeerMisbehaved> {
    let (mut preauth, mut cipher, mut signing) = (None, None, None);
    for context in contexts {
        let repeated = match context {
            NegotiateContext::PreauthIntegrity { algorithms, .. } => {
                preauth.replace(algorithms.as_slice() == [SHA_512]).is_some()
            }
            NegotiateContext::Encryption { ciphers } => {
                let chosen = match ciphers.as_slice() {
                    [0] => None,
                    [id] => Some(
                        Cipher::from_wire(*id)
                            .filter(|cipher| config.ciphers.contains(cipher))
                            .ok_or(PeerMisbehaved::NotOffered("a cipher"))?,
                    ),
                    _ => return Err(PeerMisbehaved::NotOffered("several ciphers")),
                };
                cipher.replace(chosen).is_some()
            }
            NegotiateContext::Signing { algorithms } => {
                let chosen = match algorithms.as_slice() {
                    [id] => SigningAlgorithm::from_wire(*id)
                        .filter(|algorithm| config.signing_algorithms.contains(algorithm))
                        .ok_or(PeerMisbehaved::NotOffered("a signing algorithm"))?,
                    _ => return Err(PeerMisbehaved::NotOffered("several signing algorithms")),
                };
                signing.replace(chosen).is_some()
            }
            NegotiateContext::Compression { algorithms, .. } if algorithms.iter().any(|id| *id != 0) => {
                return Err(PeerMisbehaved::NotOffered("compression"));
            }
            _ => false,
        };
        if repeated {
            return Err(PeerMisbehaved::NotOffered("a negotiate context twice"));
        }
    }
    if preauth != Some(true) {
        return Err(PeerMisbehaved::NotOffered("a preauthentication hash other than SHA-512"));
    }
    // A 3.1.1 server that does not know the signing context signs with AES-CMAC.
    Ok((signing.unwrap_or(SigningAlgorithm::AesCmac), cipher.flatten()))
}

/// What VALIDATE_NEGOTIATE_INFO asks.
pub(super) fn validation(config: &ConnectionConfig) -> ValidateNegotiateRequest {
    ValidateNegotiateRequest {
        capabilities: config.capabilities(),
        client_guid: config.client_guid,
        security_mode: config.security_mode(),
        dialects: config.dialects(),
    }
}

impl Negotiated {
    /// Whether the signed repetition says what the unsigned answer said.
    pub(super) fn matches(&self, repeated: &ValidateNegotiateResponse) -> bool {
        repeated.capabilities == self.capabilities
            && repeated.server_guid == self.server_guid
            && repeated.security_mode == self.security_mode
            && repeated.dialect == self.dialect as u16
    }
}
