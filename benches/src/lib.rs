//! Benchmarks that anyone can run: `make bench`.
//!
//! - `cargo bench -p sharefs-benches`: the codec and the cryptography, one core, no I/O.
//! - `cargo run --release -p sharefs-benches --bin versus`: this client beside smbclient on the same throw-away
//!   Samba, in the same run, with the ratio. Machines are noisy: the ratio is what to quote.
