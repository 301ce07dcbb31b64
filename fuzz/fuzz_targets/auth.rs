//! SPNEGO and NTLM tokens, decoded and fed to a login.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smb_proto::auth::ntlm::message::{Authenticate, Challenge, Negotiate};
use smb_proto::auth::spnego::{NegTokenInit, NegTokenResp};
use smb_proto::auth::{Credentials, NtlmConfig, ntlm};
use smb_proto::crypto::rust_crypto;
use smb_proto::fscc::FileTime;

fuzz_target!(|data: &[u8]| {
    let _ = NegTokenInit::decode(data);
    let _ = NegTokenResp::decode(data);
    let _ = Negotiate::decode(data);
    let _ = Challenge::decode(data);
    let _ = Authenticate::decode(data);
    let credentials =
        Credentials::Password { user: "u".into(), domain: "d".into(), password: "p".to_string().into() };
    let config = NtlmConfig { workstation: "w".into(), target_name: "t".into(), now: FileTime(1) };
    let Ok(mut login) = ntlm(credentials, config, rust_crypto()) else { return };
    let (hint, rest) = data.split_at(data.len() / 4);
    if login.start(hint).is_err() && login.start(&[]).is_err() {
        return;
    }
    if login.step(rest).is_ok() {
        let _ = login.finish(hint);
    }
});
