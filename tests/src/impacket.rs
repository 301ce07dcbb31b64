//! A running server of impacket: SMB 2.0.2 only, and awkward, as old network disks are.

use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use smb_client::{ConnectOptions, Credentials};
use tempfile::TempDir;

use crate::address::free_address;
use crate::process::{Group, wait_until};

/// Debian's, which knows the packages of Debian; another may come first on the PATH.
const PYTHON: &str = "/usr/bin/python3";
const USER: &str = "tester";
const PASSWORD: &str = "Passw0rd of the tester";

/// The server. It ends when its standard input does, as when the test is killed.
const SERVER: &str = r#"
import os, sys, threading
from impacket import smbserver
from impacket.ntlm import compute_lmhash, compute_nthash
address, port, path, user, password = sys.argv[1:]
server = smbserver.SimpleSMBServer(listenAddress=address, listenPort=int(port))
server.addShare("DATA", path, "")
server.setSMB2Support(True)
server.addCredential(user, 0, compute_lmhash(password), compute_nthash(password))
def end():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=end, daemon=True).start()
server.start()
"#;

/// A server of impacket with the share `data`. It ends, and its directory goes, when this is dropped.
#[derive(Debug)]
pub struct Impacket {
    // Before the directory: fields are dropped in this order.
    _group: Group,
    root: TempDir,
    address: SocketAddr,
}

impl Impacket {
    /// Starts a server.
    pub fn start() -> Self {
        assert!(
            Path::new("/usr/lib/python3/dist-packages/impacket").is_dir(),
            "impacket is missing: run scripts/setup.sh, or install the package python3-impacket"
        );
        let root = tempfile::tempdir().expect("a directory for the server");
        let (share, log) = (root.path().join("share"), root.path().join("log"));
        fs::create_dir(&share).expect("the directory that is shared");
        let address = free_address();
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let arguments: [&OsStr; 7] = [
            "-c".as_ref(),
            SERVER.as_ref(),
            host.as_ref(),
            port.as_ref(),
            share.as_os_str(),
            USER.as_ref(),
            PASSWORD.as_ref(),
        ];
        let mut group = Group::start(Path::new(PYTHON), &arguments, &[], &log);
        wait_until("impacket listens", || {
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(group.runs(), "impacket ended at its start; its log:\n{}", log());
            TcpStream::connect(address).is_ok()
        });
        Self { _group: group, root, address }
    }

    /// The server's address; no other server has it.
    pub const fn address(&self) -> IpAddr {
        self.address.ip()
    }

    /// The directory that is shared.
    pub fn share_path(&self) -> PathBuf {
        self.root.path().join("share")
    }

    /// Options that log the user in.
    pub fn options(&self) -> ConnectOptions {
        let credentials = Credentials::Password {
            user: USER.into(),
            domain: String::new(),
            password: PASSWORD.to_string().into(),
        };
        ConnectOptions::new(self.address().to_string(), credentials).port(self.address.port())
    }
}

impl Drop for Impacket {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
            eprintln!("--- the log of the server on {} ---\n{log}", self.address);
        }
    }
}
