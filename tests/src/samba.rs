//! A throw-away Samba.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use smb_client::{Cipher, ConnectOptions, Credentials, Dialect, SigningAlgorithm};
use tempfile::TempDir;

use crate::address::free_address;
use crate::conf;
use crate::process::{Group, find_program, wait_until};

/// As long as the key of an Azure storage account: 64 bytes in base64.
const AZURE_KEY: &str =
    "c2hhcmVmcyB0ZXN0IGtleTogbm8gc2VjcmV0LCBidXQgYXMgbG9uZyBhcyBhbiBBenVyZSBhY2NvdW50IGtleQ==";

/// What kind of server to start.
#[derive(Clone, Debug)]
pub struct SambaBuilder {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) workgroup: String,
    pub(crate) global: Vec<(String, String)>,
    pub(crate) share: Vec<(String, String)>,
}

impl SambaBuilder {
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

    /// Starts the server and waits until it listens.
    pub fn start(self) -> Samba {
        let root = tempfile::Builder::new().prefix("sharefs-smbd-").tempdir().expect("a temporary directory");
        let address = free_address();
        conf::write(root.path(), &self, address);
        let mut samba = Samba { root, builder: self, address, group: None };
        samba.add_user();
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
}

impl Samba {
    /// A server with Samba's defaults.
    pub fn builder() -> SambaBuilder {
        SambaBuilder {
            user: "tester".into(),
            password: "Passw0rd of the tester".into(),
            workgroup: "LAB".into(),
            global: Vec::new(),
            share: Vec::new(),
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
            self.wait_until_silent();
        }
    }

    /// Ends the server and all its sessions at once.
    pub fn kill_hard(&mut self) {
        self.group = None;
        self.wait_until_silent();
    }

    /// What smbd forked takes a moment longer to end, and holds the port until then.
    fn wait_until_silent(&self) {
        wait_until("nobody listens any more", || TcpStream::connect(self.socket()).is_err());
    }

    /// Starts the server again after [`Self::terminate`] or [`Self::kill_hard`].
    pub fn launch(&mut self) {
        let (conf, log) = (self.root.path().join("smb.conf"), self.root.path().join("log"));
        let arguments: [&OsStr; 6] = [
            "-F".as_ref(),
            // It is the leader of a group already, with which it is ended.
            "--no-process-group".as_ref(),
            "-l".as_ref(),
            log.as_os_str(),
            "-s".as_ref(),
            conf.as_os_str(),
        ];
        let (passwd, group) = (self.root.path().join("passwd"), self.root.path().join("group"));
        let variables = wrapper(&passwd, &group);
        let smbd = find_program("smbd", "samba");
        let mut group = Group::start(&smbd, &arguments, &variables, &log.join("output"));
        wait_until("smbd listens", || {
            assert!(group.runs(), "smbd ended at its start; its log:\n{}", self.log());
            TcpStream::connect(self.socket()).is_ok()
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

    /// How many clients are logged in.
    pub fn connections(&self) -> usize {
        self.status("-p").len()
    }

    /// The lines of smbstatus's table. It wants to be root; in a user namespace of its own everybody is.
    fn status(&self, what: &str) -> Vec<String> {
        let smbstatus = find_program("smbstatus", "samba");
        let mut command = if rustix::process::getuid().is_root() {
            Command::new(smbstatus)
        } else {
            let mut command = Command::new(find_program("unshare", "util-linux"));
            command.arg("-Ur").arg(smbstatus);
            command
        };
        command.arg(what).arg("-s").arg(self.root.path().join("smb.conf"));
        let (passwd, group) = (self.root.path().join("passwd"), self.root.path().join("group"));
        let output = command.envs(wrapper(&passwd, &group)).output().expect("smbstatus runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "smbstatus: {text}{}", String::from_utf8_lossy(&output.stderr));
        // Everything above the rule is the table's head; without a rule there is no table.
        let rows = text.lines().skip_while(|line| !line.starts_with("----")).skip(1);
        rows.filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
    }

    fn add_user(&self) {
        let (passwd, group) = (self.root.path().join("passwd"), self.root.path().join("group"));
        let mut child = Command::new(find_program("pdbedit", "samba"))
            .arg("-s")
            .arg(self.root.path().join("smb.conf"))
            .args(["-t", "-a", "-u", self.user()])
            .envs(wrapper(&passwd, &group))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pdbedit starts");
        let twice = format!("{0}\n{0}\n", self.password());
        child.stdin.take().expect("a pipe").write_all(twice.as_bytes()).expect("pdbedit reads the password");
        let output = child.wait_with_output().expect("pdbedit ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pdbedit failed: {said}\n(is libnss-wrapper installed?)");
    }
}

/// Users from files of the server's own.
fn wrapper<'a>(passwd: &'a Path, group: &'a Path) -> [(&'static str, &'a OsStr); 3] {
    [
        ("LD_PRELOAD", "libnss_wrapper.so".as_ref()),
        ("NSS_WRAPPER_PASSWD", passwd.as_os_str()),
        ("NSS_WRAPPER_GROUP", group.as_os_str()),
    ]
}

impl Drop for Samba {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the log of the server on {} ---\n{}", self.address, self.log());
        }
    }
}
