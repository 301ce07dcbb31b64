//! A connection and a scripted server, in virtual time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::super::*;
use crate::auth::AuthError;
use crate::crypto::{Cipher, Key, MessageCipher, MessageSigner, SessionKeys, SigningAlgorithm, rust_crypto};
use crate::fscc::{FileAttributes, FileTime, to_bytes};
use crate::status::NtStatus;
use crate::wire::*;

pub(super) const SESSION_ID: u64 = 0x1122;
pub(super) const TREE_ID: u32 = 5;
const SESSION_KEY: [u8; 16] = [7; 16];

/// A login with a key that both sides know beforehand.
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
        "test"
    }
}

/// What the server does besides answering properly.
pub(super) struct Script {
    pub(super) dialect: Dialect,
    pub(super) signing: SigningAlgorithm,
    pub(super) cipher: Option<Cipher>,
    pub(super) capabilities: Capabilities,
    /// What VALIDATE_NEGOTIATE_INFO says; as negotiated unless set.
    pub(super) validated_capabilities: Option<Capabilities>,
    pub(super) session_flags: SessionFlags,
    pub(super) credits: u16,
    pub(super) must_sign: bool,
    /// What the next login's session is called.
    pub(super) session_id: u64,
    /// What becomes of the honest answer to NEGOTIATE.
    pub(super) rewrite: fn(&mut NegotiateResponse),
}

impl Default for Script {
    fn default() -> Self {
        Self {
            dialect: Dialect::Smb311,
            signing: SigningAlgorithm::AesGmac,
            cipher: Some(Cipher::Aes128Gcm),
            capabilities: Capabilities::LARGE_MTU,
            validated_capabilities: None,
            session_flags: SessionFlags::empty(),
            credits: 64,
            must_sign: false,
            session_id: SESSION_ID,
            rewrite: |_| {},
        }
    }
}

pub(super) struct Server {
    pub(super) script: Script,
    pub(super) crypto: Arc<dyn CryptoProvider>,
    pub(super) preauth: PreauthHash,
    /// The same as it was before the first login.
    connection_preauth: PreauthHash,
    pub(super) signer: Option<Box<dyn MessageSigner>>,
    pub(super) to_client: Option<Box<dyn MessageCipher>>,
    pub(super) from_client: Option<Box<dyn MessageCipher>>,
    pub(super) nonce: u8,
    pub(super) seen: Vec<(Header, Request)>,
}

pub(super) struct Pair {
    pub(super) client: Connection,
    pub(super) server: Server,
    pub(super) now: Instant,
}

impl Server {
    /// The messages of a frame from the client, whose protection is checked.
    pub(super) fn receive(&self, frame: &[u8]) -> Vec<(Header, Bytes)> {
        let mut frame = BytesMut::from(&frame[PREFIX_LEN..]);
        if frame[..4] == TRANSFORM_MAGIC {
            let head = Bytes::copy_from_slice(&frame[..TRANSFORM_LEN]);
            let header = TransformHeader::decode(&mut Reader::new(&head, 0)).unwrap();
            let nonce_len = self.script.cipher.unwrap().nonce_len();
            let mut data = frame.split_off(TRANSFORM_LEN);
            let cipher = self.from_client.as_ref().unwrap();
            cipher.open(&header.nonce[..nonce_len], &head[20..], &mut data, &header.signature).unwrap();
            return split_compound(&data.freeze()).unwrap();
        }
        let messages = split_compound(&frame.freeze()).unwrap();
        for (header, message) in &messages {
            if header.flags.contains(HeaderFlags::SIGNED) {
                frame::verify_shared(&**self.signer.as_ref().unwrap(), message).unwrap();
            }
        }
        messages
    }

    /// The proper answer to a request.
    pub(super) fn answer(
        &mut self,
        header: &Header,
        request: &Request,
        message: &Bytes,
    ) -> (NtStatus, Response) {
        match request {
            Request::Negotiate(_) => {
                self.preauth.update(message);
                (NtStatus::SUCCESS, Response::Negotiate(self.negotiate_response()))
            }
            Request::SessionSetup(body) => {
                if body.token == b"one"[..] {
                    self.preauth = self.connection_preauth.clone();
                }
                self.preauth.update(message);
                let flags = self.script.session_flags;
                let token = Bytes::from_static(b"token");
                let response = Response::SessionSetup(SessionSetupResponse { flags, token });
                if body.token == b"one"[..] {
                    return (NtStatus::MORE_PROCESSING_REQUIRED, response);
                }
                self.make_keys();
                (NtStatus::SUCCESS, response)
            }
            Request::TreeConnect(_) => {
                let body = TreeConnectResponse {
                    share_type: ShareType::Disk,
                    flags: ShareFlags::empty(),
                    capabilities: ShareCapabilities::empty(),
                    maximal_access: 0x1F01FF,
                };
                (NtStatus::SUCCESS, Response::TreeConnect(body))
            }
            Request::Ioctl(body) if body.code == fsctl::VALIDATE_NEGOTIATE_INFO => {
                let capabilities = self.script.validated_capabilities.unwrap_or(self.script.capabilities);
                let output = to_bytes(&ValidateNegotiateResponse {
                    capabilities,
                    server_guid: Guid([9; 16]),
                    security_mode: SecurityMode::SIGNING_ENABLED,
                    dialect: self.script.dialect as u16,
                });
                (
                    NtStatus::SUCCESS,
                    Response::Ioctl(IoctlResponse { code: body.code, file_id: body.file_id, output }),
                )
            }
            Request::Create(_) => (NtStatus::SUCCESS, Response::Create(create_response())),
            Request::Close(_) => (NtStatus::SUCCESS, Response::Close(CloseResponse::default())),
            Request::Read(body) => {
                let data = Bytes::from(vec![header.message_id as u8; body.length as usize]);
                (NtStatus::SUCCESS, Response::Read(ReadResponse { data }))
            }
            Request::Echo(_) => (NtStatus::SUCCESS, Response::Echo(Empty)),
            Request::Logoff(_) => (NtStatus::SUCCESS, Response::Logoff(Empty)),
            Request::TreeDisconnect(_) => (NtStatus::SUCCESS, Response::TreeDisconnect(Empty)),
            other => panic!("unscripted {other:?}"),
        }
    }

    pub(super) fn negotiate_response(&self) -> NegotiateResponse {
        let mut contexts = Vec::new();
        if self.script.dialect == Dialect::Smb311 {
            contexts.push(NegotiateContext::PreauthIntegrity {
                algorithms: vec![1],
                salt: Bytes::from_static(&[1; 32]),
            });
            contexts.push(NegotiateContext::Signing { algorithms: vec![self.script.signing.to_wire()] });
            if let Some(cipher) = self.script.cipher {
                contexts.push(NegotiateContext::Encryption { ciphers: vec![cipher.to_wire()] });
            }
        }
        let security_mode = if self.script.must_sign {
            SecurityMode::SIGNING_REQUIRED
        } else {
            SecurityMode::SIGNING_ENABLED
        };
        let mut response = NegotiateResponse {
            security_mode,
            dialect: self.script.dialect as u16,
            server_guid: Guid([9; 16]),
            capabilities: self.script.capabilities,
            max_transact: 1 << 20,
            max_read: 1 << 20,
            max_write: 1 << 20,
            system_time: FileTime::ZERO,
            start_time: FileTime::ZERO,
            token: Bytes::new(),
            contexts,
        };
        (self.script.rewrite)(&mut response);
        response
    }

    /// Takes an unprotected answer into the preauthentication hash.
    fn said_early(&mut self, asked: &Header, reply: &[u8]) {
        self.preauth.update(reply);
        if asked.command == Command::Negotiate {
            self.connection_preauth = self.preauth.clone();
        }
    }

    /// Takes this for what the client gets as the answer to NEGOTIATE.
    pub(super) fn negotiated(&mut self, reply: &[u8]) {
        self.said_early(&Header::request(Command::Negotiate, 0), reply);
    }

    pub(super) fn make_keys(&mut self) {
        let key = Key::new(&SESSION_KEY);
        let keys = match self.script.dialect {
            Dialect::Smb202 | Dialect::Smb210 => SessionKeys::smb2(&key),
            Dialect::Smb300 | Dialect::Smb302 => SessionKeys::smb30(&key),
            Dialect::Smb311 => SessionKeys::smb311(&key, &key, &self.preauth, self.script.cipher),
        };
        let crypto = self.crypto.clone();
        self.signer = Some(crypto.signer(self.script.signing, &keys.signing).unwrap());
        if let (Some(cipher), Some(to_server), Some(to_client)) =
            (self.script.cipher, &keys.client_to_server, &keys.server_to_client)
        {
            self.from_client = Some(crypto.cipher(cipher, to_server).unwrap());
            self.to_client = Some(crypto.cipher(cipher, to_client).unwrap());
        }
    }

    /// A response as a plain, unsigned message.
    pub(super) fn encode(&self, request: &Header, status: NtStatus, body: &Response) -> Vec<u8> {
        let mut header = Header::response_to(request, status.0, self.script.credits);
        if matches!(body, Response::SessionSetup(_)) {
            header.session_id = self.script.session_id;
        }
        if matches!(body, Response::TreeConnect(_)) {
            header.route = Route::Sync { tree_id: TREE_ID };
        }
        let mut out = Vec::new();
        encode_message(&mut out, &header, |w| body.encode(w));
        out
    }

    pub(super) fn sign(&self, mut message: Vec<u8>) -> Vec<u8> {
        message[16] |= 8;
        let signature = self.signer.as_ref().unwrap().sign(&frame::gmac_nonce(&message), &[&message]);
        message[48..64].copy_from_slice(&signature);
        message
    }

    pub(super) fn encrypt(&mut self, mut message: Vec<u8>) -> Vec<u8> {
        self.nonce += 1;
        let mut header = TransformHeader {
            signature: [0; 16],
            nonce: [self.nonce; 16],
            original_size: message.len() as u32,
            session_id: self.script.session_id,
        };
        let nonce_len = self.script.cipher.unwrap().nonce_len();
        let mut head = to_bytes(&header).to_vec();
        let cipher = self.to_client.as_ref().unwrap();
        header.signature = cipher.seal(&header.nonce[..nonce_len], &head[20..], &mut message).unwrap();
        head = to_bytes(&header).to_vec();
        head.extend_from_slice(&message);
        head
    }
}

pub(super) fn create_response() -> CreateResponse {
    CreateResponse {
        oplock: OplockLevel::None,
        flags: 0,
        action: CreateAction::Opened,
        times: FileTimes::default(),
        allocation_size: 0,
        end_of_file: 0,
        attributes: FileAttributes::NORMAL,
        file_id: FileId { persistent: 1, volatile: 2 },
        contexts: Vec::new(),
    }
}

impl Pair {
    pub(super) fn new(script: Script, config: ConnectionConfig) -> Self {
        Self::with_crypto(script, config, rust_crypto())
    }

    pub(super) fn with_crypto(
        script: Script,
        config: ConnectionConfig,
        crypto: Arc<dyn CryptoProvider>,
    ) -> Self {
        let now = Instant::now();
        Self {
            client: Connection::new(config, crypto.clone(), now).unwrap(),
            server: Server {
                script,
                crypto,
                preauth: PreauthHash::default(),
                connection_preauth: PreauthHash::default(),
                signer: None,
                to_client: None,
                from_client: None,
                nonce: 0,
                seen: Vec::new(),
            },
            now,
        }
    }

    /// Gives the client a frame, as its driver would.
    pub(super) fn deliver(&mut self, frame: &[u8]) {
        let opened = self.client.accept(BytesMut::from(frame)).and_then(Inbound::open);
        match opened {
            Ok(opened) => self.client.handle(self.now, opened),
            Err(error) => self.client.close(error),
        }
    }

    /// What the client sends now.
    pub(super) fn sent(&mut self) -> Vec<(Header, Request, Bytes, bool)> {
        let mut all = Vec::new();
        while let Some(outbound) = self.client.poll_transmit() {
            let encrypted = outbound.encrypts();
            let frame = outbound.seal().unwrap().into_vec();
            for (header, message) in self.server.receive(&frame) {
                let request = Request::decode(header.command, &message).unwrap();
                self.server.seen.push((header.clone(), request.clone()));
                all.push((header, request, message, encrypted));
            }
        }
        all
    }

    /// Answers everything properly until the client has nothing more to say.
    pub(super) fn settle(&mut self) {
        loop {
            let sent = self.sent();
            if sent.is_empty() {
                return;
            }
            for (header, request, message, encrypted) in sent {
                if header.command == Command::Cancel {
                    continue;
                }
                let (status, body) = self.server.answer(&header, &request, &message);
                let mut reply = self.server.encode(&header, status, &body);
                let final_setup = header.command == Command::SessionSetup && status == NtStatus::SUCCESS;
                if header.command == Command::Negotiate
                    || (header.command == Command::SessionSetup && !final_setup)
                {
                    self.server.said_early(&header, &reply);
                } else if encrypted {
                    reply = self.server.encrypt(reply);
                } else if final_setup || header.flags.contains(HeaderFlags::SIGNED) {
                    reply = self.server.sign(reply);
                }
                self.deliver(&reply);
            }
        }
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// Negotiates, logs in and connects to a tree.
    pub(super) fn connected(script: Script, config: ConnectionConfig, encrypt: bool) -> Self {
        let mut pair = Self::new(script, config);
        pair.settle();
        assert!(matches!(pair.events()[..], [Event::Negotiated]));
        pair.login(encrypt).unwrap();
        pair.settle();
        let events = pair.events();
        assert!(matches!(events[..], [Event::SessionReady { session_id: SESSION_ID, .. }]), "{events:?}");
        pair.send(Request::TreeConnect(TreeConnectRequest { flags: 0, path: "\\\\s\\x".into() }));
        pair.settle();
        pair
    }

    pub(super) fn ready(script: Script, encrypt: bool) -> Self {
        let mut pair = Self::connected(script, ConnectionConfig::default(), encrypt);
        let events = pair.events();
        assert!(matches!(&events[..], [Event::Done { result: Ok(_), .. }]), "{events:?}");
        pair
    }

    pub(super) fn login(&mut self, encrypt: bool) -> Result<Token, SessionError> {
        let config = SessionConfig { sign: true, encrypt, allow_guest: false, previous_session_id: 0 };
        self.client.authenticate(self.now, fixed_key(), config)
    }

    pub(super) fn send(&mut self, request: Request) -> Token {
        self.client.send(self.now, Chain::one(SESSION_ID, TREE_ID, request)).unwrap()
    }

    /// The error that ended the connection.
    pub(super) fn ended(&self) -> ConnectionError {
        self.client.closed().expect("the connection should be over").clone()
    }

    /// Sends a request and gives the client this answer to it.
    pub(super) fn answered(
        &mut self,
        request: Request,
        answer: impl FnOnce(&mut Server, &Header) -> Vec<u8>,
    ) {
        self.send(request);
        let (header, ..) = self.sent().remove(0);
        let reply = answer(&mut self.server, &header);
        self.deliver(&reply);
    }

    pub(super) fn advance(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.client.handle_timeout(self.now);
    }
}

/// The login of the test's user.
pub(super) fn fixed_key() -> Box<dyn Authenticator> {
    Box::new(FixedKey(Key::new(&SESSION_KEY)))
}
