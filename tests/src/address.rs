//! An address of its own for each server: all of 127/8 belongs to this machine.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// The first port to offer. Not 445: an ordinary user may not listen there.
const FIRST_PORT: u16 = 4450;

/// An address and port where nobody listens. No two processes are offered the same one, and no process the same
/// one twice, so nothing can take it between the check and the use.
pub fn free_address() -> SocketAddr {
    static COUNTER: AtomicU16 = AtomicU16::new(0);
    let pid = process::id();
    loop {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        // A process id has 22 bits; the two bits that are left make three addresses of it, and leave 127.0.*.* to
        // what else runs on this machine. Where a process wants more, it gets another port.
        let [_, b, c, d] = ((u32::from(1 + count % 3) << 22) | (pid & 0x003f_ffff)).to_be_bytes();
        let address = SocketAddr::from((Ipv4Addr::new(127, b, c, d), FIRST_PORT + count / 3));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
        assert!(count < 10_000, "no address of 127/8 is free for this process");
    }
}
