//! What one core does of signing, encrypting and decoding, by each provider of the cryptography that runs here.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use smb_proto::crypto::{Cipher, Key, SigningAlgorithm, providers};
use smb_proto::fscc::{DirectoryEntry, decode_directory, encode_directory};
use smb_proto::wire::{Command, Header, ReadResponse, Response, encode_message};

const SIZES: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];
const CIPHERS: [Cipher; 4] = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::Aes128Ccm, Cipher::Aes256Ccm];

fn signing(c: &mut Criterion) {
    for algorithm in [SigningAlgorithm::AesGmac, SigningAlgorithm::AesCmac, SigningAlgorithm::HmacSha256] {
        let mut group = c.benchmark_group(format!("sign {algorithm}"));
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            for (name, provider) in providers() {
                let signer = provider.signer(algorithm, &Key::new(&[7; 16])).expect("a 16-byte key");
                let message = vec![3; size];
                group.bench_function(BenchmarkId::new(name, size), |b| {
                    b.iter(|| black_box(signer.sign(&[1; 12], &[&message])));
                });
                // As a WRITE request is signed, whose payload does not stand behind its header.
                group.bench_function(BenchmarkId::new(format!("{name} with a header apart"), size), |b| {
                    b.iter(|| black_box(signer.sign(&[1; 12], &[&[2; 112], &message])));
                });
            }
        }
    }
}

fn sealing(c: &mut Criterion) {
    for cipher in CIPHERS {
        let mut group = c.benchmark_group(format!("seal {cipher}"));
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            for (name, provider) in providers() {
                let key = Key::new(&vec![7; cipher.key_len()]);
                let sealer = provider.cipher(cipher, &key).expect("a key of the cipher's length");
                let nonce = vec![1; cipher.nonce_len()];
                let mut message = vec![3; size];
                group.bench_function(BenchmarkId::new(name, size), |b| {
                    b.iter(|| black_box(sealer.seal(&nonce, &[2; 32], &mut message)));
                });
            }
        }
    }
}

fn opening(c: &mut Criterion) {
    for cipher in CIPHERS {
        let mut group = c.benchmark_group(format!("open {cipher}"));
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            for (name, provider) in providers() {
                let key = Key::new(&vec![7; cipher.key_len()]);
                let opener = provider.cipher(cipher, &key).expect("a key of the cipher's length");
                let nonce = vec![1; cipher.nonce_len()];
                let mut sealed = vec![3; size];
                let tag = opener.seal(&nonce, &[2; 32], &mut sealed).expect("a nonce of the cipher's length");
                let mut message = vec![0; size];
                group.bench_function(BenchmarkId::new(name, size), |b| {
                    // Opening consumes the sealed message; what it takes to restore it does not count.
                    b.iter_custom(|times| {
                        let mut taken = Duration::ZERO;
                        for _ in 0..times {
                            message.copy_from_slice(&sealed);
                            let start = Instant::now();
                            let opened = black_box(opener.open(&nonce, &[2; 32], &mut message, &tag));
                            taken += start.elapsed();
                            opened.expect("what was sealed opens");
                        }
                        taken
                    });
                });
            }
        }
    }
}

fn decoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let entries: Vec<_> = (0..500)
        .map(|i| DirectoryEntry { name: format!("a file of number {i}.txt"), ..DirectoryEntry::default() })
        .collect();
    let listing = Bytes::from(encode_directory(&entries));
    group.throughput(Throughput::Elements(500));
    group.bench_function("500 directory entries", |b| b.iter(|| black_box(decode_directory(&listing))));
    let body = Response::Read(ReadResponse { data: Bytes::from(vec![1; 1 << 20]) });
    let mut out = Vec::new();
    encode_message(&mut out, &Header::request(Command::Read, 1), |w| body.encode(w));
    let message = Bytes::from(out);
    group.throughput(Throughput::Elements(1));
    group.bench_function("READ response of 1 MiB", |b| {
        b.iter(|| black_box(Response::decode(Command::Read, &message)));
    });
}

/// There are many cases, and each is the same work over and over: short measurements do.
fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
}

criterion_group! {
    name = benches;
    config = config();
    targets = signing, sealing, opening, decoding
}
criterion_main!(benches);
