//! A server's network interfaces: FSCTL_QUERY_NETWORK_INTERFACE_INFO ([MS-SMB2] 2.2.32.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use crate::fscc::{decode_chain, encode_chain};
use crate::wire::{DecodeError, Reader, Wire, Writer, flags_on_wire};

bitflags::bitflags! {
    /// What an interface can do ([MS-SMB2] 2.2.32.5).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct InterfaceCapability: u32 {
        /// Receive-side scaling: several connections make sense.
        const RSS = 0x1;
        /// RDMA
        const RDMA = 0x2;
        const _ = !0;
    }
}

flags_on_wire!(InterfaceCapability: u32);

/// One address of a server: NETWORK_INTERFACE_INFO ([MS-SMB2] 2.2.32.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkInterface {
    /// The interface; several addresses may have one.
    pub index: u32,
    /// What it can do.
    pub capability: InterfaceCapability,
    /// Bits in a second.
    pub link_speed: u64,
    /// The address.
    pub address: IpAddr,
    /// The zone of a link-local address.
    pub scope: u32,
}

/// Bytes of an address field ([MS-SMB2] 2.2.32.5.1).
const SOCKADDR: usize = 128;
const FIXED: usize = 24 + SOCKADDR;
const FAMILY_V4: u16 = 2;
const FAMILY_V6: u16 = 0x17;

fn encode(interface: &NetworkInterface, w: &mut Writer<'_>) {
    w.u32(interface.index);
    interface.capability.encode(w);
    w.u32(0);
    w.u64(interface.link_speed);
    let start = w.position();
    match interface.address {
        IpAddr::V4(address) => {
            w.u16(FAMILY_V4);
            w.u16(0);
            w.bytes(&address.octets());
        }
        IpAddr::V6(address) => {
            w.u16(FAMILY_V6);
            w.u16(0);
            w.u32(0);
            w.bytes(&address.octets());
            w.u32(interface.scope);
        }
    }
    w.zeros(SOCKADDR - (w.position() - start));
}

/// `None` for an address that is neither IPv4 nor IPv6.
fn decode(r: &mut Reader<'_>) -> Result<Option<NetworkInterface>, DecodeError> {
    let index = r.u32()?;
    let capability = InterfaceCapability::decode(r)?;
    r.u32()?;
    let link_speed = r.u64()?;
    let address = r.bytes(SOCKADDR)?;
    let r = &mut Reader::new(&address, 0);
    let family = r.u16()?;
    r.u16()?;
    let (address, scope) = match family {
        FAMILY_V4 => (IpAddr::V4(Ipv4Addr::from(r.array::<4>()?)), 0),
        FAMILY_V6 => {
            r.u32()?;
            (IpAddr::V6(Ipv6Addr::from(r.array::<16>()?)), r.u32()?)
        }
        _ => return Ok(None),
    };
    Ok(Some(NetworkInterface { index, capability, link_speed, address, scope }))
}

/// Writes the list.
pub fn encode_interfaces(list: &[NetworkInterface]) -> Vec<u8> {
    encode_chain(list, 8, encode)
}

/// Reads the list; addresses of other families are left out.
pub fn decode_interfaces(data: &Bytes) -> Result<Vec<NetworkInterface>, DecodeError> {
    Ok(decode_chain(data, FIXED, decode)?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::through;
    use proptest::prelude::*;

    #[test]
    fn interfaces_survive_a_round_trip() {
        let v4 = NetworkInterface {
            index: 1,
            capability: InterfaceCapability::RSS,
            link_speed: 10_000_000_000,
            address: [192, 0, 2, 1].into(),
            scope: 0,
        };
        let v6 = NetworkInterface { address: Ipv6Addr::LOCALHOST.into(), scope: 3, ..v4 };
        through(&vec![v4, v6], |list| Bytes::from(encode_interfaces(list)), decode_interfaces);
        let mut data = encode_interfaces(&[v4, v6]);
        assert_eq!((data.len(), data[24], &data[28..32]), (304, 2, &[192, 0, 2, 1][..]));
        data[24] = 1;
        assert_eq!(decode_interfaces(&Bytes::from(data)), Ok(vec![v6]));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(0..25u8, 140..400)) {
            let _ = decode_interfaces(&Bytes::from(data));
        }
    }
}
