//! A server that knows the session's key and answers as it is told.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use smb_proto::auth::{AuthError, Authenticator};
use smb_proto::crypto::{
    Cipher, Key, MessageCipher, MessageSigner, PreauthHash, SessionKeys, SigningAlgorithm, rust_crypto,
};
use smb_proto::fscc::{FileTime, to_bytes};
use smb_proto::wire::*;

pub(crate) const SESSION_ID: u64 = 0x1122;
pub(crate) const TREE_ID: u32 = 5;
const KEY: [u8; 16] = [7; 16];
const DIALECTS: [Dialect; 4] = [Dialect::Smb202, Dialect::Smb210, Dialect::Smb302, Dialect::Smb311];

struct FixedKey(Key);

impl Authenticator for FixedKey {
    fn start(&mut self, _: &[u8]) -> Result<Vec<u8>, AuthError> {
        Ok(b"one".to_vec())
    }
    fn step(&mut self, _: &[u8]) -> Result<Vec<u8>, AuthError> {
        Ok(b"two".to_vec())
    }
    fn finish(&mut self, _: &[u8]) -> Result<(), AuthError> {
        Ok(())
    }
    fn session_key(&self) -> Option<&Key> {
        Some(&self.0)
    }
    fn is_anonymous(&self) -> bool {
        false
    }
    fn name(&self) -> &'static str {
        "fixed"
    }
}

/// The login of a user whose key both sides know.
pub(crate) fn fixed_key() -> Box<dyn Authenticator> {
    Box::new(FixedKey(Key::new(&KEY)))
}

struct Keys {
    signer: Box<dyn MessageSigner>,
    to_client: Option<Box<dyn MessageCipher>>,
    from_client: Option<Box<dyn MessageCipher>>,
}

struct Asked {
    header: Header,
    request: Request,
    encrypted: bool,
}

pub(crate) struct Server {
    dialect: Dialect,
    signing: SigningAlgorithm,
    cipher: Option<Cipher>,
    preauth: PreauthHash,
    keys: Option<Keys>,
    nonce: u64,
    asked: VecDeque<Asked>,
}

impl Server {
    pub(crate) fn new(how: u8) -> Self {
        let dialect = DIALECTS[usize::from(how & 3)];
        let (signing, cipher) = match dialect {
            Dialect::Smb311 => {
                let signing = if how & 4 == 0 { SigningAlgorithm::AesGmac } else { SigningAlgorithm::AesCmac };
                let ciphers = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::Aes128Ccm, Cipher::Aes256Ccm];
                (signing, Some(ciphers[usize::from(how >> 3) % 4]))
            }
            Dialect::Smb300 | Dialect::Smb302 => (SigningAlgorithm::AesCmac, Some(Cipher::Aes128Ccm)),
            _ => (SigningAlgorithm::HmacSha256, None),
        };
        let (preauth, keys, nonce, asked) = (PreauthHash::new(), None, 0, VecDeque::new());
        Self { dialect, signing, cipher, preauth, keys, nonce, asked }
    }

    fn make_keys(&mut self) {
        let key = Key::new(&KEY);
        let keys = match self.dialect {
            Dialect::Smb202 | Dialect::Smb210 => SessionKeys::smb2(&key),
            Dialect::Smb300 | Dialect::Smb302 => SessionKeys::smb30(&key),
            Dialect::Smb311 => SessionKeys::smb311(&key, &key, &self.preauth, self.cipher),
        };
        let crypto = rust_crypto();
        let cipher = |key: &Option<Key>| match (self.cipher, key) {
            (Some(cipher), Some(key)) => crypto.cipher(cipher, key).ok(),
            _ => None,
        };
        self.keys = Some(Keys {
            signer: crypto.signer(self.signing, &keys.signing).expect("a key of 16 bytes"),
            to_client: cipher(&keys.server_to_client),
            from_client: cipher(&keys.client_to_server),
        });
    }

    /// Takes a frame of the client's. That it is well-formed is half of what is tested.
    pub(crate) fn receive(&mut self, frame: &[u8]) {
        let mut frame = BytesMut::from(&frame[4..]);
        let encrypted = frame.starts_with(&TRANSFORM_MAGIC);
        if encrypted {
            let head = Bytes::copy_from_slice(&frame[..TRANSFORM_LEN]);
            let header = TransformHeader::decode(&mut Reader::new(&head, 0)).expect("a transform header");
            let cipher = self.keys.as_ref().and_then(|keys| keys.from_client.as_ref()).expect("a cipher");
            let nonce_len = self.cipher.expect("a cipher").nonce_len();
            frame = frame.split_off(TRANSFORM_LEN);
            let aad = &head[TRANSFORM_AAD_OFFSET..];
            cipher.open(&header.nonce[..nonce_len], aad, &mut frame, &header.signature).expect("our key");
        }
        for (header, message) in split_compound(&frame.freeze()).expect("a well-formed frame") {
            let request = Request::decode(header.command, &message).expect("a well-formed request");
            if matches!(request, Request::Negotiate(_) | Request::SessionSetup(_)) {
                self.preauth.update(&message);
            }
            if header.command != Command::Cancel {
                self.asked.push_back(Asked { header, request, encrypted });
            }
        }
    }

    /// Signs or encrypts a message of any content as the session does.
    pub(crate) fn seal(&mut self, mut message: Vec<u8>, encrypted: Option<bool>) -> Option<Vec<u8>> {
        let keys = self.keys.as_ref()?;
        let encrypt = encrypted.unwrap_or_else(|| message.first().is_some_and(|byte| byte & 1 == 0));
        if let (Some(cipher), true) = (&keys.to_client, encrypt) {
            self.nonce += 1;
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&self.nonce.to_le_bytes());
            let original_size = u32::try_from(message.len()).ok()?;
            let mut header =
                TransformHeader { signature: [0; 16], nonce, original_size, session_id: SESSION_ID };
            let nonce_len = self.cipher?.nonce_len();
            let aad = to_bytes(&header).slice(TRANSFORM_AAD_OFFSET..);
            header.signature = cipher.seal(&nonce[..nonce_len], &aad, &mut message).ok()?;
            let mut frame = to_bytes(&header).to_vec();
            frame.extend_from_slice(&message);
            return Some(frame);
        }
        if message.len() < HEADER_LEN {
            return Some(message);
        }
        message[16] |= 8;
        message[40..48].copy_from_slice(&SESSION_ID.to_le_bytes());
        message[48..64].fill(0);
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&message[24..32]);
        nonce[8] = message[16] & 1;
        let signature = keys.signer.sign(&nonce, &[&message]);
        message[48..64].copy_from_slice(&signature);
        Some(message)
    }

    fn protect(&mut self, asked: &Asked, message: Vec<u8>) -> Option<Vec<u8>> {
        if asked.encrypted || asked.header.flags.contains(HeaderFlags::SIGNED) {
            self.seal(message, Some(asked.encrypted))
        } else {
            Some(message)
        }
    }

    /// The oldest request's answer with a body of the fuzzer's.
    pub(crate) fn answer_with(&mut self, status: u32, body: &[u8]) -> Option<Vec<u8>> {
        let asked = self.asked.pop_front()?;
        let mut message = Vec::new();
        encode_message(&mut message, &Header::response_to(&asked.header, status, 8), |w| w.bytes(body));
        self.protect(&asked, message)
    }

    pub(crate) fn interim(&mut self, id: u8) -> Option<Vec<u8>> {
        let index = usize::from(id) % self.asked.len().max(1);
        let asked = self.asked.get(index)?;
        let mut header = Header::response_to(&asked.header, 0x103, u16::from(id >> 4));
        header.route = Route::Async { async_id: u64::from(id >> 4) };
        let mut message = Vec::new();
        encode_message(&mut message, &header, |w| ErrorResponse::default().encode(w));
        if asked.encrypted { self.seal(message, Some(true)) } else { Some(message) }
    }

    /// The oldest request's proper answer.
    pub(crate) fn proper(&mut self) -> Option<Vec<u8>> {
        let asked = self.asked.pop_front()?;
        let (mut status, mut header) = (0, asked.header.clone());
        let body = match &asked.request {
            Request::Negotiate(_) => Response::Negotiate(self.negotiate()),
            Request::SessionSetup(body) => {
                header.session_id = SESSION_ID;
                status = if body.token == b"one"[..] { 0xC000_0016 } else { 0 };
                let token = Bytes::from_static(b"token");
                Response::SessionSetup(SessionSetupResponse { flags: SessionFlags::empty(), token })
            }
            Request::TreeConnect(_) => {
                header.route = Route::Sync { tree_id: TREE_ID };
                Response::TreeConnect(TreeConnectResponse {
                    share_type: ShareType::Disk,
                    flags: ShareFlags::empty(),
                    capabilities: ShareCapabilities::empty(),
                    maximal_access: 0x1F_01FF,
                })
            }
            Request::Ioctl(body) => {
                let output = to_bytes(&ValidateNegotiateResponse {
                    capabilities: self.negotiate().capabilities,
                    server_guid: Guid([9; 16]),
                    security_mode: SecurityMode::SIGNING_ENABLED,
                    dialect: self.dialect as u16,
                });
                Response::Ioctl(IoctlResponse { code: body.code, file_id: body.file_id, output })
            }
            Request::Create(_) => {
                let mut body = vec![0; 88];
                body[..2].copy_from_slice(&[89, 0]);
                body[4] = 1;
                body[64] = 1;
                body.push(0);
                self.asked.push_front(asked);
                return self.answer_with(0, &body);
            }
            Request::Close(_) => Response::Close(CloseResponse::default()),
            Request::Read(body) => {
                Response::Read(ReadResponse { data: Bytes::from(vec![7; body.length.min(100) as usize]) })
            }
            Request::Echo(_) => Response::Echo(Empty),
            Request::TreeDisconnect(_) => Response::TreeDisconnect(Empty),
            Request::Logoff(_) => Response::Logoff(Empty),
            _ => {
                self.asked.push_front(asked);
                return self.answer_with(0xC000_0022, &[9, 0, 0, 0, 0, 0, 0, 0, 0]);
            }
        };
        let mut message = Vec::new();
        encode_message(&mut message, &Header::response_to(&header, status, 16), |w| body.encode(w));
        match asked.request {
            Request::Negotiate(_) => self.preauth.update(&message),
            Request::SessionSetup(_) if status != 0 => self.preauth.update(&message),
            Request::SessionSetup(_) => {
                self.make_keys();
                return self.seal(message, Some(false));
            }
            _ => {}
        }
        self.protect(&asked, message)
    }

    fn negotiate(&self) -> NegotiateResponse {
        let mut contexts = Vec::new();
        let mut capabilities = match self.dialect {
            Dialect::Smb202 => Capabilities::empty(),
            _ => Capabilities::LARGE_MTU,
        };
        if let (Dialect::Smb311, Some(cipher)) = (self.dialect, self.cipher) {
            contexts = vec![
                NegotiateContext::PreauthIntegrity { algorithms: vec![1], salt: Bytes::new() },
                NegotiateContext::Signing { algorithms: vec![self.signing.to_wire()] },
                NegotiateContext::Encryption { ciphers: vec![cipher.to_wire()] },
            ];
        } else if self.cipher.is_some() {
            capabilities |= Capabilities::ENCRYPTION;
        }
        NegotiateResponse {
            security_mode: SecurityMode::SIGNING_ENABLED,
            dialect: self.dialect as u16,
            server_guid: Guid([9; 16]),
            capabilities,
            max_transact: 1 << 20,
            max_read: 1 << 20,
            max_write: 1 << 20,
            system_time: FileTime::ZERO,
            start_time: FileTime::ZERO,
            token: Bytes::new(),
            contexts,
        }
    }
}
