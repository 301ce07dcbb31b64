//! What one core does of signing, encrypting and decoding.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use smb_proto::crypto::{Cipher, Key, SigningAlgorithm, rust_crypto};
use smb_proto::fscc::{DirectoryEntry, decode_directory, encode_directory};
use smb_proto::wire::{Command, Header, ReadResponse, Response, encode_message};

const SIZES: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

fn signing(c: &mut Criterion) {
    let mut group = c.benchmark_group("sign");
    for algorithm in [SigningAlgorithm::AesGmac, SigningAlgorithm::AesCmac, SigningAlgorithm::HmacSha256] {
        let signer = rust_crypto().signer(algorithm, &Key::new(&[7; 16])).expect("a 16-byte key");
        for size in SIZES {
            let message = vec![3; size];
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(algorithm.to_string(), size), |b| {
                b.iter(|| black_box(signer.sign(&[1; 12], &[&message])));
            });
        }
    }
}

fn sealing(c: &mut Criterion) {
    let mut group = c.benchmark_group("seal");
    for cipher in [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::Aes128Ccm, Cipher::Aes256Ccm] {
        let key = Key::new(&vec![7; cipher.key_len()]);
        let sealer = rust_crypto().cipher(cipher, &key).expect("a key of the cipher's length");
        for size in SIZES {
            let mut message = vec![3; size];
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(cipher.to_string(), size), |b| {
                b.iter(|| black_box(sealer.seal(&vec![1; cipher.nonce_len()], &[2; 32], &mut message)));
            });
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

criterion_group!(benches, signing, sealing, decoding);
criterion_main!(benches);
