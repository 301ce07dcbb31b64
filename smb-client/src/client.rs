//! A login on a server.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use smb_proto::auth::{Authenticator, Credentials, NtlmConfig, ntlm};
use smb_proto::conn::{Chain, ConnectionConfig, ConnectionError, SessionConfig};
use smb_proto::crypto::{Cipher, CryptoProvider, SigningAlgorithm, default_provider};
use smb_proto::fscc::FileTime;
use smb_proto::wire::{Dialect, Empty, Guid, Request, SecurityMode, SessionFlags};

use crate::channel::{self, ChannelSequence, Channels};
use crate::durable::{Durability, Resume};
use crate::error::{Error, Result};
use crate::lease::{LeaseKey, Leasing};
use crate::link::Link;
use crate::open::Means;
use crate::share::Share;

/// SMB's port.
const PORT: u16 = 445;

/// Whom to connect to, as whom, and how protected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// The server's name or address.
    pub host: String,
    /// The TCP port, 445 as a rule.
    pub port: u16,
    /// Connect to this address instead of resolving the name.
    pub address: Option<IpAddr>,
    /// User, domain and password, or nobody.
    pub credentials: Credentials,
    /// Be content with being let in as guest. Nothing of a guest's session is signed or encrypted.
    pub allow_guest: bool,
    /// Sign each request, and take no unsigned reply.
    pub sign: bool,
    /// Encrypt each request, and take no unencrypted reply.
    pub encrypt: bool,
    /// The oldest dialect to offer.
    pub min_dialect: Dialect,
    /// The newest dialect to offer.
    pub max_dialect: Dialect,
    /// Signing algorithms to offer with 3.1.1, best first.
    pub signing_algorithms: Vec<SigningAlgorithm>,
    /// Ciphers to offer with 3.1.1, best first.
    pub ciphers: Vec<Cipher>,
    /// Offer the SMB3 POSIX extensions with 3.1.1; [`SessionInfo::posix`] says what came of it.
    pub posix: bool,
    /// How long to wait for a TCP connection.
    pub connect_timeout: Duration,
    /// How long negotiation and login may take together.
    pub login_timeout: Duration,
    /// How long any single request may take, however lively the server is otherwise.
    pub request_timeout: Duration,
    /// How long a server may be silent with requests waiting before the connection is given up.
    pub dead_after: Duration,
    /// The largest payload of one request in bytes.
    pub max_io: u32,
    /// How many connections the session may have, at least one; for reading and writing, where the server has it. `None`:
    /// as many as the server's network interfaces make sensible, four at most and no more than this machine has cores; it
    /// is asked once there is something to do for several.
    pub channels: Option<u8>,
    /// Take the place of a connection that broke.
    pub resume: Option<Resume>,
}

impl ConnectOptions {
    /// Signed; encrypted where the server asks for it or is an Azure file share (`*.file.core.*`).
    pub fn new(host: impl Into<String>, credentials: Credentials) -> Self {
        let host = host.into();
        let defaults = ConnectionConfig::default();
        Self {
            port: PORT,
            address: None,
            credentials,
            allow_guest: false,
            sign: true,
            encrypt: is_azure(&host),
            min_dialect: defaults.min_dialect,
            max_dialect: defaults.max_dialect,
            signing_algorithms: defaults.signing_algorithms,
            ciphers: defaults.ciphers,
            posix: defaults.posix,
            connect_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(120),
            dead_after: defaults.dead_after,
            max_io: defaults.max_io,
            channels: None,
            resume: None,
            host,
        }
    }

    /// The same at another TCP port.
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The same at this address, whatever the name resolves to.
    pub fn address(self, address: IpAddr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// The same, encrypted or not.
    pub fn encrypt(self, encrypt: bool) -> Self {
        Self { encrypt, ..self }
    }

    /// The same, signed or not; without a signature anybody on the way can change what is read and written.
    pub fn sign(self, sign: bool) -> Self {
        Self { sign, ..self }
    }

    /// The same, content with being let in as guest.
    pub fn allow_guest(self, allow_guest: bool) -> Self {
        Self { allow_guest, ..self }
    }

    /// The same with these dialects on offer.
    pub fn dialects(self, min_dialect: Dialect, max_dialect: Dialect) -> Self {
        Self { min_dialect, max_dialect, ..self }
    }

    /// The same with these ciphers on offer, best first.
    pub fn ciphers(self, ciphers: impl Into<Vec<Cipher>>) -> Self {
        Self { ciphers: ciphers.into(), ..self }
    }

    /// The same with these signing algorithms on offer, best first.
    pub fn signing_algorithms(self, algorithms: impl Into<Vec<SigningAlgorithm>>) -> Self {
        Self { signing_algorithms: algorithms.into(), ..self }
    }

    /// The same with or without an offer of the SMB3 POSIX extensions.
    pub fn posix(self, posix: bool) -> Self {
        Self { posix, ..self }
    }

    /// The same for a server of another name.
    pub fn host(self, host: impl Into<String>) -> Self {
        Self { host: host.into(), ..self }
    }

    /// The same as another user.
    pub fn credentials(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// The same; older dialects are not offered.
    pub fn min_dialect(self, min_dialect: Dialect) -> Self {
        Self { min_dialect, ..self }
    }

    /// The same; newer dialects are not offered.
    pub fn max_dialect(self, max_dialect: Dialect) -> Self {
        Self { max_dialect, ..self }
    }

    /// The same; a TCP connection may take so long.
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// The same; negotiation and login together may take so long.
    pub fn login_timeout(self, login_timeout: Duration) -> Self {
        Self { login_timeout, ..self }
    }

    /// The same; a server that is silent for so long is given up.
    pub fn dead_after(self, dead_after: Duration) -> Self {
        Self { dead_after, ..self }
    }

    /// The same; no request carries more than so many bytes.
    pub fn max_io(self, max_io: u32) -> Self {
        Self { max_io, ..self }
    }

    /// The same; no single request may take longer.
    pub fn request_timeout(self, request_timeout: Duration) -> Self {
        Self { request_timeout, ..self }
    }

    /// The same with as many connections to the server, whatever that advises.
    pub fn channels(self, channels: u8) -> Self {
        Self { channels: Some(channels.max(1)), ..self }
    }

    /// The same, to take the place of a connection that broke: the server ends that one's session if it has it still,
    /// and gives its durable opens to this one ([`Share::reclaim`]). The new session must be protected as well as that
    /// one: anything less is an attack, or a change of the server's that somebody has to know of.
    pub fn resuming(self, resume: Resume) -> Self {
        Self { resume: Some(resume), ..self }
    }

    /// What conducts a login.
    pub(crate) fn authenticator(&self, crypto: &Arc<dyn CryptoProvider>) -> Result<Box<dyn Authenticator>> {
        let config = NtlmConfig {
            workstation: String::new(),
            target_name: self.host.clone(),
            now: FileTime::from(SystemTime::now()),
        };
        Ok(ntlm(self.credentials.clone(), config, crypto.clone())?)
    }

    pub(crate) fn connection_config(&self, client_guid: Guid) -> ConnectionConfig {
        let defaults = ConnectionConfig::default();
        ConnectionConfig {
            server_name: self.host.clone(),
            client_guid,
            min_dialect: self.min_dialect,
            max_dialect: self.max_dialect,
            signing_algorithms: self.signing_algorithms.clone(),
            ciphers: self.ciphers.clone(),
            posix: self.posix,
            // A guest's session has no key; a server that was told signing is mandatory would refuse it.
            require_signing: self.sign
                && !self.allow_guest
                && !matches!(self.credentials, Credentials::Anonymous),
            max_io: self.max_io,
            echo_after: self.dead_after / 3,
            dead_after: self.dead_after,
            ..defaults
        }
    }
}

/// Whether a host is an Azure file share's: its sessions are refused without encryption.
fn is_azure(host: &str) -> bool {
    host.to_ascii_lowercase().contains(".file.core.")
}

/// What a session agreed with its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The dialect.
    pub dialect: Dialect,
    /// How messages are signed; none for guests, or where signing is switched off.
    pub signing: Option<SigningAlgorithm>,
    /// The cipher agreed on, whether used or not.
    pub cipher: Option<Cipher>,
    /// Whether all of the session is encrypted; a share may be where the session is not.
    pub encrypted: bool,
    /// The server has the SMB3 POSIX extensions: see [`crate::OpenOptions::posix`].
    pub posix: bool,
    /// The server grants leases of directories.
    pub directory_leases: bool,
    /// The server let the user in as guest.
    pub guest: bool,
    /// The largest read in bytes.
    pub max_read: u32,
    /// The largest write in bytes.
    pub max_write: u32,
}

/// How busy a connection is: for diagnosis, and for tests that look for leaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Futures that wait for the server.
    pub waiting: usize,
    /// Requests that the server has not answered, or that wait for credits, whether or not somebody waits for them.
    pub in_flight: usize,
    /// Credits in hand.
    pub credits: u32,
}

impl Activity {
    /// Whether nothing is asked and nobody waits.
    pub const fn is_quiet(&self) -> bool {
        self.waiting == 0 && self.in_flight == 0
    }
}

/// A login on a server. Clones share the connection; the last one closes it.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<ClientInner>,
}

pub(crate) struct ClientInner {
    pub(crate) link: Link,
    pub(crate) channels: Channels,
    channel_sequence: ChannelSequence,
    /// Where the first connection leads.
    pub(crate) peer: SocketAddr,
    pub(crate) session_id: u64,
    pub(crate) client_guid: Guid,
    pub(crate) host: String,
    pub(crate) request_timeout: Duration,
    pub(crate) means: Means,
    /// The server has several connections for a session.
    pub(crate) several: bool,
    info: SessionInfo,
    /// The server's clock, and when it was asked for.
    server_time: (FileTime, Instant),
    /// What begins each of this connection's lease keys, and the number that ends the next.
    lease_keys: ([u8; 8], AtomicU64),
}

impl ClientInner {
    /// A chain of this session, with the time that it may take.
    pub(crate) fn chain(&self, tree_id: u32, requests: Vec<Request>) -> Chain {
        Chain {
            session_id: self.session_id,
            tree_id,
            requests,
            timeout: Some(self.request_timeout),
            channel_sequence: self.channel_sequence.get(),
            replay: false,
        }
    }

    /// How often one of several connections was lost.
    pub(crate) const fn channel_sequence(&self) -> &ChannelSequence {
        &self.channel_sequence
    }

    /// Whether what was sent some time ago may come too late.
    pub(crate) fn has_lost_channels(&self) -> bool {
        self.channel_sequence.get() > 0
    }

    /// One of the further connections is lost: what the server has yet to do of it comes too late from now on.
    pub(crate) fn lost_channel(&self, lost: &Arc<Link>) {
        if self.channels.lose(lost) {
            self.channel_sequence.advance();
            tracing::debug!("a connection of several is lost");
        }
    }

    pub(crate) fn lease_key(&self) -> LeaseKey {
        let (start, next) = &self.lease_keys;
        let mut key = [0; 16];
        key[..8].copy_from_slice(start);
        key[8..].copy_from_slice(&next.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        LeaseKey(key)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.inner.host).field("session", &self.inner.info).finish()
    }
}

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The server cannot be reached or used, or refuses the login.
    pub async fn connect(options: &ConnectOptions) -> Result<Self> {
        Self::connect_with(options, default_provider()).await
    }

    /// The same with another implementation of the cryptography.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(options: &ConnectOptions, crypto: Arc<dyn CryptoProvider>) -> Result<Self> {
        let socket =
            crate::resolve::connect(&options.host, options.port, options.address, options.connect_timeout)
                .await?;
        let peer = socket.peer_addr().map_err(|_| Error::Connection(ConnectionError::Lost))?;
        let mut guid = [0; 16];
        crypto.random(&mut guid).map_err(ConnectionError::from)?;
        let client_guid = options.resume.as_ref().map_or(Guid(guid), |resume| resume.client_guid);
        let config = options.connection_config(client_guid);
        let mut keys = [0; 8];
        crypto.random(&mut keys).map_err(ConnectionError::from)?;
        let authenticator = options.authenticator(&crypto)?;
        let session_config = SessionConfig {
            sign: options.sign,
            encrypt: options.encrypt,
            allow_guest: options.allow_guest || matches!(options.credentials, Credentials::Anonymous),
            previous_session_id: options.resume.as_ref().map_or(0, |resume| resume.session_id),
        };
        let login = async {
            let link = Link::establish(socket, config, crypto.clone(), None).await?;
            let at = Instant::now();
            let (session_id, flags) = link.authenticate(authenticator, session_config).await?;
            Ok::<_, Error>((link, at, session_id, flags))
        };
        let (link, negotiated_at, session_id, flags) =
            tokio::time::timeout(options.login_timeout, login).await.map_err(|_| Error::TimedOut)??;
        let negotiated = link.negotiated()?;
        let keyless = flags.intersects(SessionFlags::IS_GUEST | SessionFlags::IS_NULL)
            || matches!(options.credentials, Credentials::Anonymous);
        let server_signs = negotiated.security_mode.contains(SecurityMode::SIGNING_REQUIRED);
        let info = SessionInfo {
            dialect: negotiated.dialect,
            signing: (!keyless && (options.sign || server_signs)).then_some(negotiated.signing),
            cipher: negotiated.cipher,
            posix: negotiated.posix,
            encrypted: link.is_encrypted(session_id, 0),
            directory_leases: Leasing::of(&negotiated) == Leasing::V2 { directories: true },
            guest: keyless,
            max_read: negotiated.max_read,
            max_write: negotiated.max_write,
        };
        if options.resume.as_ref().is_some_and(|before| !info.protects_as(&before.info)) {
            return Err(Error::Downgrade);
        }
        let resumed = options.resume.clone();
        let several = channel::are_possible(negotiated.capabilities, negotiated.dialect) && !keyless;
        let wanted = options.channels.is_none_or(|channels| channels > 1) && several;
        let inner = ClientInner {
            link,
            channels: Channels::new(wanted && options.channels.is_none()),
            channel_sequence: resumed.map(|before| before.channel_sequence).unwrap_or_default(),
            peer,
            client_guid,
            session_id,
            host: options.host.clone(),
            request_timeout: options.request_timeout,
            info,
            server_time: (negotiated.system_time, negotiated_at),
            means: Means {
                leasing: Leasing::of(&negotiated),
                posix: negotiated.posix,
                durability: Durability::of(&negotiated),
            },
            lease_keys: (keys, AtomicU64::new(1)),
            several,
        };
        let inner = Arc::new(inner);
        if wanted {
            tokio::spawn(channel::keep(Arc::downgrade(&inner), options.clone(), crypto));
        }
        Ok(Self { inner })
    }

    /// What the session agreed with its server.
    pub fn info(&self) -> SessionInfo {
        self.inner.info
    }

    /// What the server's clock shows, counted from what it said when the connection was made. Good to a round trip.
    pub fn server_time(&self) -> FileTime {
        let (said, at) = self.inner.server_time;
        let ticks = u64::try_from(at.elapsed().as_nanos() / 100).unwrap_or(u64::MAX);
        FileTime(said.0.saturating_add(ticks))
    }

    /// A key that names no lease of this connection yet.
    pub fn lease_key(&self) -> LeaseKey {
        self.inner.lease_key()
    }

    /// How many connections the session has at this moment: see [`ConnectOptions::channels`].
    pub fn channels(&self) -> usize {
        1 + self.inner.channels.len()
    }

    /// How busy the connection is at this moment.
    pub fn activity(&self) -> Activity {
        self.inner.link.activity()
    }

    /// Connects to a share.
    ///
    /// # Errors
    /// The server has no such share, or refuses it.
    pub async fn share(&self, name: &str) -> Result<Share> {
        Share::connect(self.inner.clone(), name).await
    }

    /// Ends the connection at once, all of them if there are several, without a word to the server: what waits for an
    /// answer fails.
    pub fn abort(&self) {
        // First the first: those that are lost after it are not replaced.
        self.inner.link.close();
        self.inner.channels.close();
    }

    /// Tells the server that the session is over. Dropping the last clone closes the connection, which tells it
    /// as well.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn logoff(self) -> Result<()> {
        let chain = self.inner.chain(0, vec![Request::Logoff(Empty)]);
        let replies = self.inner.link.request(chain).await?;
        match replies.first().map(|reply| reply.status) {
            Some(status) if status.is_success() => Ok(()),
            Some(status) => Err(Error::refused("logoff", status)),
            None => Err(Error::Malformed("no reply")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_do_not_show_the_password() {
        let credentials = Credentials::Password {
            user: "alice".into(),
            domain: String::new(),
            password: "Correct horse 4711".to_owned().into(),
        };
        let options = ConnectOptions::new("server", credentials);
        let shown = format!("{options:?} {options:#?}");
        assert!(shown.contains("alice") && !shown.contains("Correct horse"), "{shown}");
    }

    #[test]
    fn azure_hosts_are_encrypted_by_default() {
        let options = |host: &str| ConnectOptions::new(host, Credentials::Anonymous).encrypt;
        assert!(options("acct.file.core.windows.net"));
        assert!(options("ACCT.privatelink.File.Core.usgovcloudapi.net"));
        assert!(!options("files.example.org"));
    }
}
