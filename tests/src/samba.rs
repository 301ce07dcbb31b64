//! A throw-away Samba.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use smb_client::{Cipher, ConnectOptions, Credentials, Dialect, SigningAlgorithm};
use tempfile::TempDir;

use crate::address::free_address;
use crate::conf;
use crate::lab::SambaVersion;
use crate::process::{Group, wait_until};

/// As long as the key of an Azure storage account: 64 bytes in base64.
const AZURE_KEY: &str =
    "c2hhcmVmcyB0ZXN0IGtleTogbm8gc2VjcmV0LCBidXQgYXMgbG9uZyBhcyBhbiBBenVyZSBhY2NvdW50IGtleQ==";

/// What kind of server to start.
#[derive(Clone, Debug)]
pub struct SambaBuilder {
    version: SambaVersion,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) workgroup: String,
    pub(crate) global: Vec<(String, String)>,
    pub(crate) share: Vec<(String, String)>,
    /// What smb.conf says of each of its interfaces.
    interfaces: Vec<String>,
    /// Size of the disk that the shares are on, in MiB; nothing is the machine's own.
    disk: Option<u32>,
}

impl SambaBuilder {
    /// Which Samba to start; the installed one where this is not called.
    pub const fn version(mut self, version: SambaVersion) -> Self {
        self.version = version;
        self
    }

    /// A Samba with directory leases and POSIX extensions, neither of them switched on.
    pub const fn newer(self) -> Self {
        self.version(SambaVersion::V4_22)
    }

    /// Leases of directories, which a newer Samba grants.
    pub fn directory_leases(self) -> Self {
        self.newer().global("smb3 directory leases", "yes")
    }

    /// The POSIX extensions of SMB 3.1.1, which a newer Samba has.
    pub fn posix(self) -> Self {
        self.newer().global("smb3 unix extensions", "yes")
    }

    /// The server counts the requests that it gets: see [`Samba::requests`].
    pub fn counted(self) -> Self {
        self.global("smbd profiling level", "count")
    }

    /// A line of smb.conf's global section.
    pub fn global(mut self, name: &str, value: impl ToString) -> Self {
        self.global.push((name.into(), value.to_string()));
        self
    }

    /// A line of every share's section.
    pub fn share(mut self, name: &str, value: impl ToString) -> Self {
        self.share.push((name.into(), value.to_string()));
        self
    }

    /// The shares are on a disk of their own of so many MiB: see [`Samba::fill_disk`].
    ///
    /// Panics at the start where the tests do not run as root.
    pub const fn small_disk(mut self, mebibytes: u32) -> Self {
        self.disk = Some(mebibytes);
        self
    }

    /// The user's name and password.
    pub fn user(mut self, user: &str, password: &str) -> Self {
        (self.user, self.password) = (user.into(), password.into());
        self
    }

    /// The oldest and the newest dialect that the server speaks.
    pub fn dialects(self, min: Dialect, max: Dialect) -> Self {
        self.global("server min protocol", protocol(min)).global("server max protocol", protocol(max))
    }

    /// Signing is mandatory, and with 3.1.1 this is the only algorithm.
    pub fn signing(self, algorithm: SigningAlgorithm) -> Self {
        self.global("server signing", "mandatory").global("server smb3 signing algorithms", algorithm)
    }

    /// Encryption is mandatory, and with 3.1.1 this is the only cipher.
    pub fn encryption(self, cipher: Cipher) -> Self {
        self.global("server smb encrypt", "required").global("server smb3 encryption algorithms", cipher)
    }

    /// Who does not exist is let in as guest.
    pub fn guest(self) -> Self {
        self.global("map to guest", "Bad User")
    }

    /// No request carries more than 64 KiB, as on an old NAS.
    pub fn small_io(self) -> Self {
        ["smb2 max read", "smb2 max write", "smb2 max trans"]
            .iter()
            .fold(self, |builder, name| builder.global(name, 65_536))
    }

    /// Behaves as an Azure file share does as far as Samba can: 3.1.1 only, encrypted only, 1 MiB at most, a
    /// long key as password, a domain that is no domain.
    pub fn azure(mut self) -> Self {
        self.workgroup = "AZURE".into();
        self = self.user("acct", AZURE_KEY);
        for name in ["smb2 max read", "smb2 max write", "smb2 max trans"] {
            self = self.global(name, 1_048_576);
        }
        self.dialects(Dialect::Smb311, Dialect::Smb311)
            .global("server smb encrypt", "required")
            .global("server smb3 encryption algorithms", "AES-256-GCM, AES-128-GCM")
            .global("ntlm auth", "ntlmv2-only")
            .global("restrict anonymous", 2)
    }

    /// As many interfaces, each with an address of its own and what smb.conf can say of one: `speed=1000,capability=RSS`.
    pub fn interfaces(mut self, interfaces: &[&str]) -> Self {
        self.interfaces = interfaces.iter().map(ToString::to_string).collect();
        self
    }

    /// Starts the server and waits until it listens.
    pub fn start(self) -> Samba {
        let root = tempfile::Builder::new().prefix("sharefs-smbd-").tempdir().expect("a temporary directory");
        let address = free_address();
        let others = self.interfaces.iter().skip(1).map(|_| free_address().ip());
        let addresses: Vec<_> = std::iter::once(address.ip()).chain(others).collect();
        let list: String = std::iter::zip(&addresses, &self.interfaces)
            // Without the mask smbd panics where the address is not configured on an interface.
            .map(|(address, options)| match options.as_str() {
                "" => format!(" {address}/8"),
                options => format!(" \"{address}/8;{options}\""),
            })
            .collect();
        conf::write(root.path(), &self, address.port(), list.trim());
        let mut samba = Samba { root, builder: self, address, addresses, group: None };
        if let Some(size) = samba.builder.disk {
            samba.mount_disk(size);
        }
        samba.set_password(&samba.builder.password);
        samba.launch();
        samba
    }
}

const fn protocol(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Smb202 => "SMB2_02",
        Dialect::Smb210 => "SMB2_10",
        Dialect::Smb300 => "SMB3_00",
        Dialect::Smb302 => "SMB3_02",
        Dialect::Smb311 => "SMB3_11",
    }
}

/// A running smbd with the shares `data`, `readonly`, `limited` (the user is not let in) and `open` (guests are),
/// all of the same directory. It ends, and its directory goes, when this is dropped.
#[derive(Debug)]
pub struct Samba {
    // Before the directory: fields are dropped in this order.
    group: Option<Group>,
    root: TempDir,
    builder: SambaBuilder,
    address: SocketAddr,
    addresses: Vec<IpAddr>,
}

impl Samba {
    /// A server with Samba's defaults.
    pub fn builder() -> SambaBuilder {
        SambaBuilder {
            version: SambaVersion::Installed,
            user: "tester".into(),
            password: "Passw0rd of the tester".into(),
            workgroup: "LAB".into(),
            global: Vec::new(),
            share: Vec::new(),
            interfaces: vec![String::new()],
            disk: None,
        }
    }

    /// Starts a server with Samba's defaults.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The server's address; no other server has it.
    pub const fn address(&self) -> IpAddr {
        self.address.ip()
    }

    /// The address of each interface.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The server's port.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Address and port.
    pub const fn socket(&self) -> SocketAddr {
        self.address
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.builder.user
    }

    /// The user's password.
    pub fn password(&self) -> &str {
        &self.builder.password
    }

    /// The user's domain.
    pub fn domain(&self) -> &str {
        &self.builder.workgroup
    }

    /// The directory that is shared.
    pub fn share_path(&self) -> PathBuf {
        self.root.path().join("share")
    }

    /// The user with name and password, as the client wants it.
    pub fn credentials(&self) -> Credentials {
        self.credentials_as(self.domain(), self.user(), self.password())
    }

    /// Any user's credentials.
    pub fn credentials_as(&self, domain: &str, user: &str, password: &str) -> Credentials {
        Credentials::Password {
            user: user.into(),
            domain: domain.into(),
            password: password.to_string().into(),
        }
    }

    /// Options that log the user in.
    pub fn options(&self) -> ConnectOptions {
        ConnectOptions::new(self.address().to_string(), self.credentials()).port(self.port())
    }

    /// Ends the server in an orderly way and starts it again on the same directory and address.
    pub fn restart(&mut self) {
        self.terminate();
        self.launch();
    }

    /// Ends the server in an orderly way; its sessions are closed.
    pub fn terminate(&mut self) {
        if let Some(mut group) = self.group.take() {
            group.terminate();
            self.end_helper();
            self.wait_until_silent();
        }
    }

    /// Ends the server and all its sessions at once.
    pub fn kill_hard(&mut self) {
        self.group = None;
        self.end_helper();
        self.wait_until_silent();
    }

    /// Ends the helper that smbd starts for RPC, in a session of its own, so that smbd's group lacks it.
    fn end_helper(&self) {
        let path = self.root.path().join("run/samba-dcerpcd.pid");
        let Some(pid) = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()) else {
            return;
        };
        // The number may be somebody else's by now.
        let conf = self.root.path().join("smb.conf").display().to_string();
        let is_ours = fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|arguments| String::from_utf8_lossy(&arguments).contains(&conf));
        if let Some(pid) = Pid::from_raw(pid).filter(|_| is_ours) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// What smbd forked takes a moment longer to end, and holds the port until then.
    fn wait_until_silent(&self) {
        wait_until("nobody listens any more", || TcpStream::connect(self.socket()).is_err());
    }

    /// Starts the server again after [`Self::terminate`] or [`Self::kill_hard`].
    pub fn launch(&mut self) {
        let log = self.root.path().join("log");
        let names = self.root.path().join("lock/names.tdb");
        // From a server that was killed.
        let _ = fs::remove_file(&names);
        let mut command = self.builder.version.command("smbd", false);
        // It is the leader of a group already, with which it is ended.
        command.args(["-F", "--no-process-group", "-l"]).arg(&log);
        command.arg("-s").arg(self.root.path().join("smb.conf"));
        command.envs(self.variables());
        let mut group = Group::spawn(command, &log.join("output"));
        wait_until("smbd listens", || {
            assert!(group.runs(), "smbd ended at its start; its log:\n{}", self.log());
            // It refuses every share with NO_MEMORY until its daemon for notifications has told its name.
            let daemon = b"notify-daemon";
            let notifies =
                fs::read(&names).is_ok_and(|file| file.windows(daemon.len()).any(|at| at == daemon));
            notifies && TcpStream::connect(self.socket()).is_ok()
        });
        self.group = Some(group);
    }

    /// Stops the server and all its sessions in the middle of whatever they do; connections stay open.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        self.group.as_ref().expect("the server runs").signal(signal);
    }

    /// The end of what the server had to say.
    pub fn log(&self) -> String {
        let mut text = String::new();
        for name in ["output", "smbd.log"] {
            let bytes = fs::read(self.root.path().join("log").join(name)).unwrap_or_default();
            let tail = &bytes[bytes.len().saturating_sub(8192)..];
            text.push_str(&String::from_utf8_lossy(tail));
        }
        text
    }

    /// The files and directories that the server has open, as smbstatus shows them: a line for each open.
    pub fn open_files(&self) -> Vec<String> {
        self.status("-L")
    }

    /// The shares that clients are connected to, in the same way.
    pub fn connected_shares(&self) -> Vec<String> {
        self.status("-S")
    }

    /// Takes a share away from all who use it, as an administrator may; it can be connected to again.
    pub fn close_share(&self, share: &str) {
        self.control(&["close-share", share]);
    }

    /// Ends the sessions of all who come from this address, as an administrator may.
    pub fn kill_clients_of(&self, address: IpAddr) {
        self.control(&["kill-client-ip", &address.to_string()]);
    }

    fn control(&self, order: &[&str]) {
        let mut command = self.builder.version.command("smbcontrol", true);
        command.arg("-s").arg(self.root.path().join("smb.conf")).arg("smbd").args(order);
        let output = command.envs(self.variables()).output().expect("smbcontrol runs");
        assert!(output.status.success(), "smbcontrol: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Ends the processes that serve the clients' sessions, and leaves the server to take new ones.
    pub fn signal_sessions(&self, signal: Signal) {
        let pid = |line: String| Pid::from_raw(line.split_whitespace().next()?.parse().ok()?);
        for pid in self.status("-p").into_iter().filter_map(pid) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }

    /// Nothing more can be written to the shares' disk.
    pub fn fill_disk(&self) {
        let mut ballast = fs::File::create(self.ballast()).expect("a file on the shares' disk");
        let mut piece = vec![0; 1 << 20];
        while piece.len() > 256 {
            if ballast.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
    }

    /// Gives back what [`Self::fill_disk`] took.
    pub fn empty_disk(&self) {
        fs::remove_file(self.ballast()).expect("the disk was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.share_path().join(".ballast")
    }

    fn mount_disk(&self, size: u32) {
        let (uid, gid) = conf::owner();
        let options = format!("size={size}m,mode=777,uid={uid},gid={gid}");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(self.share_path());
        assert!(command.status().expect("mount runs").success(), "only root has a disk of its own");
    }

    /// How many clients are logged in.
    pub fn connections(&self) -> usize {
        self.status("-p").len()
    }

    /// How many requests of each kind the server got since it started: `create`, `read`, `close` and so on, each
    /// request of a chain by itself. Only for a server that was made with [`SambaBuilder::counted`].
    pub fn requests(&self) -> BTreeMap<String, u64> {
        // A session writes its numbers down a second after it began to count, or somewhat later if it is busy.
        std::thread::sleep(Duration::from_millis(1200));
        let mut counts = self.counters();
        loop {
            std::thread::sleep(Duration::from_millis(400));
            let later = self.counters();
            if later == counts {
                return counts;
            }
            counts = later;
        }
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let text = self.smbstatus("-P");
        let count = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let kind = name.strip_prefix("smb2_")?.strip_suffix("_count")?;
            Some((kind.to_owned(), value.trim().parse().ok()?))
        };
        text.lines().filter_map(count).collect()
    }

    /// The lines of smbstatus's table.
    fn status(&self, what: &str) -> Vec<String> {
        let text = self.smbstatus(what);
        // Everything above the rule is the table's head; without a rule there is no table.
        let rows = text.lines().skip_while(|line| !line.starts_with("----")).skip(1);
        rows.filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
    }

    /// What smbstatus says. It wants to be root; in a user namespace of its own everybody is.
    fn smbstatus(&self, what: &str) -> String {
        let mut command = self.builder.version.command("smbstatus", true);
        command.arg(what).arg("-s").arg(self.root.path().join("smb.conf"));
        let output = command.envs(self.variables()).output().expect("smbstatus runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "smbstatus: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// For nss_wrapper: users from files of the server's own.
    fn variables(&self) -> [(&'static str, PathBuf); 3] {
        let root = self.root.path();
        [
            ("LD_PRELOAD", "libnss_wrapper.so".into()),
            ("NSS_WRAPPER_PASSWD", root.join("passwd")),
            ("NSS_WRAPPER_GROUP", root.join("group")),
        ]
    }

    /// Gives the user this password on the server; the first one makes the user.
    pub fn set_password(&self, password: &str) {
        let mut command = self.builder.version.command("pdbedit", false);
        let mut child = command
            .arg("-s")
            .arg(self.root.path().join("smb.conf"))
            .args(["-t", "-a", "-u", self.user()])
            .envs(self.variables())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pdbedit starts");
        let twice = format!("{password}\n{password}\n");
        child.stdin.take().expect("a pipe").write_all(twice.as_bytes()).expect("pdbedit reads the password");
        let output = child.wait_with_output().expect("pdbedit ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pdbedit failed: {said}\n(is libnss-wrapper installed?)");
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the log of the server on {} ---\n{}", self.address, self.log());
        }
        self.group = None;
        self.end_helper();
        if self.builder.disk.is_some() {
            let _ = Command::new("umount").arg("-l").arg(self.share_path()).status();
        }
    }
}
