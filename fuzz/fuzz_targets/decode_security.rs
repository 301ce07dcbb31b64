//! Security descriptors and their parts, binary and as text.
#![no_main]

use std::fmt::Debug;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use smb_proto::fscc::{from_bytes, to_bytes};
use smb_proto::security::{Ace, Acl, SecurityDescriptor, Sid};
use smb_proto::wire::Wire;

fn again<T: Wire + PartialEq + Debug>(data: &Bytes) {
    if let Ok(value) = from_bytes::<T>(data) {
        assert_eq!(from_bytes::<T>(&to_bytes(&value)), Ok(value));
    }
}

fuzz_target!(|data: &[u8]| {
    let domain = "S-1-5-21-1-2-3".parse().ok();
    if let Ok(text) = str::from_utf8(data) {
        if let Ok(sid) = text.parse::<Sid>() {
            assert_eq!(sid.to_string().parse(), Ok(sid));
        }
        if let Ok(descriptor) = SecurityDescriptor::from_sddl(text, domain.as_ref()) {
            let again = descriptor.to_sddl(domain.as_ref()).expect("what was read can be written");
            assert_eq!(SecurityDescriptor::from_sddl(&again, domain.as_ref()), Ok(descriptor), "{again}");
        }
    }
    let data = Bytes::copy_from_slice(data);
    again::<Sid>(&data);
    again::<Ace>(&data);
    again::<Acl>(&data);
    again::<SecurityDescriptor>(&data);
    if let Ok(descriptor) = from_bytes::<SecurityDescriptor>(&data)
        && let Ok(text) = descriptor.to_sddl(domain.as_ref())
    {
        // Text loses some flags, and a revision that the entries do not need; who may do what stays.
        let read = SecurityDescriptor::from_sddl(&text, domain.as_ref()).expect("what was written can be read");
        assert_eq!((read.owner, read.group), (descriptor.owner, descriptor.group), "{text}");
        assert_eq!(read.dacl.map(|acl| acl.aces), descriptor.dacl.map(|acl| acl.aces), "{text}");
        assert_eq!(read.sacl.map(|acl| acl.aces), descriptor.sacl.map(|acl| acl.aces), "{text}");
    }
});
