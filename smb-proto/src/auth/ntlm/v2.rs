//! The computations of NTLMv2 ([MS-NLMP] 3.3.2) and the primitives under them.

use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest, Md5};
use rc4::{Rc4, StreamCipher};
use zeroize::Zeroizing;

use crate::fscc::FileTime;

/// A 16-byte secret.
pub(super) type Secret16 = Zeroizing<[u8; 16]>;

/// What a client answers to a challenge.
pub(super) struct Response {
    /// NtChallengeResponse: NTProofStr and the blob it covers.
    pub(super) nt: Vec<u8>,
    /// LmChallengeResponse.
    pub(super) lm: [u8; 24],
    /// SessionBaseKey, which for NTLMv2 is also KeyExchangeKey.
    pub(super) session_base_key: Secret16,
}

/// NTOWFv2 ([MS-NLMP] 3.3.2), from which every response is made.
pub(super) fn ntowf(user: &str, domain: &str, password: &str) -> Secret16 {
    let hash = Zeroizing::new(Md4::digest(&*secret_utf16(password)).into());
    hmac_md5(&hash, &[&utf16(&upper(user)), &utf16(domain)])
}

/// ComputeResponse ([MS-NLMP] 3.3.2). `target_info` are encoded AV pairs with their end.
pub(super) fn respond(
    ntowf: &Secret16,
    server_challenge: [u8; 8],
    client_challenge: [u8; 8],
    time: FileTime,
    target_info: &[u8],
) -> Response {
    let mut blob = vec![1, 1, 0, 0, 0, 0, 0, 0];
    blob.extend_from_slice(&time.0.to_le_bytes());
    blob.extend_from_slice(&client_challenge);
    blob.extend_from_slice(&[0; 4]);
    blob.extend_from_slice(target_info);
    blob.extend_from_slice(&[0; 4]);

    let proof = hmac_md5(ntowf, &[&server_challenge, &blob]);
    let mut lm = [0; 24];
    lm[..16].copy_from_slice(&*hmac_md5(ntowf, &[&server_challenge, &client_challenge]));
    lm[16..].copy_from_slice(&client_challenge);
    Response { nt: [&proof[..], &blob].concat(), lm, session_base_key: hmac_md5(ntowf, &[&*proof]) }
}

pub(super) fn hmac_md5(key: &[u8; 16], parts: &[&[u8]]) -> Secret16 {
    let mut block = Zeroizing::new([0; 64]);
    block[..16].copy_from_slice(key);
    let mut mac = Hmac::<Md5>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

pub(super) fn md5(parts: &[&[u8]]) -> Secret16 {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    Zeroizing::new(hash.finalize().into())
}

/// The crate's infallible constructor takes 32 bytes. RC4 repeats its key as often as it needs, so twice the key
/// is the same key.
pub(super) fn rc4(key: &[u8; 16]) -> Rc4 {
    let mut twice = Zeroizing::new([0; 32]);
    twice[..16].copy_from_slice(key);
    twice[16..].copy_from_slice(key);
    Rc4::new((&*twice).into())
}

/// `data` under RC4 from the start of the key stream.
pub(super) fn rc4k(key: &[u8; 16], data: &Secret16) -> Secret16 {
    let mut out = data.clone();
    rc4(key).apply_keystream(&mut *out);
    out
}

/// UTF-16LE without an end.
pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn secret_utf16(text: &str) -> Zeroizing<Vec<u8>> {
    // UTF-16 never takes more than twice the bytes of UTF-8, so nothing is left behind by growing.
    let mut out = Zeroizing::new(Vec::with_capacity(2 * text.len()));
    out.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    out
}

/// Windows upper-cases names one UTF-16 unit for one, so a letter whose capital is longer, or outside the
/// basic plane, stays as it is.
fn upper(text: &str) -> String {
    let capital = |letter: char| {
        let mut capitals = letter.to_uppercase();
        match (capitals.next(), capitals.next()) {
            (Some(one), None) if one.len_utf16() == 1 && letter.len_utf16() == 1 => one,
            _ => letter,
        }
    };
    text.chars().map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // [MS-NLMP] 4.2.1 and 4.2.4.
    #[test]
    fn the_specifications_example() {
        let ntowf = ntowf("User", "Domain", "Password");
        assert_eq!(hex::encode(*ntowf), "0c868a403bfd7a93a3001ef22ef02e3f");
        let info =
            hex::decode("02000c0044006f006d00610069006e0001000c0053006500720076006500720000000000").unwrap();
        let challenge = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
        let response = respond(&ntowf, challenge, [0xaa; 8], FileTime::ZERO, &info);
        assert_eq!(hex::encode(&response.nt[..16]), "68cd0ab851e51c96aabc927bebef6a1c");
        assert_eq!(response.nt.len(), 84);
        assert_eq!(hex::encode(response.lm), "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa");
        assert_eq!(hex::encode(*response.session_base_key), "8de40ccadbc14a82f15cb0ad0de95ca3");
        let encrypted = rc4k(&response.session_base_key, &Zeroizing::new([0x55; 16]));
        assert_eq!(hex::encode(*encrypted), "c5dad2544fc9799094ce1ce90bc9d03e");
    }

    #[test]
    fn names_are_upper_cased_unit_for_unit() {
        assert_eq!(upper("jürgen.groß"), "JÜRGEN.GROß");
        assert_eq!(upper("\u{10428}ﬁé"), "\u{10428}ﬁÉ");
    }
}
