//! By which of a server's addresses the connections of a session go.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use smb_proto::fsctl::{InterfaceCapability, NetworkInterface};

/// Connections where the server advises to have several. More than four hardly anywhere carry more, and Azure's
/// servers slow down beyond.
const ADVISED: usize = 4;
/// Addresses of one server to consider at most.
const MOST: usize = 64;

/// The addresses that connections may go to, the first connection's among them.
#[derive(Debug)]
pub(crate) struct Routes {
    peer: SocketAddr,
    all: Vec<Route>,
    /// Whether any of the server's interfaces is one for several connections.
    scales: bool,
}

/// One address, and what the server says of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    address: SocketAddr,
    interface: u32,
    /// Bits in a second, at least one.
    speed: u64,
    scales: bool,
}

impl Routes {
    /// Out of what a server said, for one whose first connection leads to `peer`. Where this address was `pinned`, or the
    /// server does not know it (there is a relay, or a forwarded port, between), it is the only one.
    pub(crate) fn new(peer: SocketAddr, pinned: bool, said: &[NetworkInterface]) -> Self {
        let scales = |interface: &NetworkInterface| interface.capability.contains(InterfaceCapability::RSS);
        let route = |interface: &NetworkInterface, address| Route {
            address,
            interface: interface.index,
            speed: interface.link_speed.max(1),
            scales: scales(interface),
        };
        let to_peer =
            said.iter().find(|interface| interface.address.to_canonical() == peer.ip().to_canonical());
        let mut all = vec![match to_peer {
            Some(interface) => route(interface, peer),
            None => Route { address: peer, interface: 0, speed: 1, scales: said.iter().any(scales) },
        }];
        if to_peer.is_some() && !pinned {
            let mut known = HashSet::from([peer.ip().to_canonical()]);
            let others = said.iter().filter(|interface| is_usable(interface.address, peer.ip()));
            let new = others.filter(|interface| known.insert(interface.address.to_canonical())).take(MOST);
            all.extend(new.map(|interface| route(interface, beside(interface.address, peer))));
        }
        let scales = all.iter().any(|route| route.scales);
        Self { peer, all, scales }
    }

    /// How many connections make sense, by what the server says, on a machine of so many `cores`.
    pub(crate) fn advised(&self, cores: usize) -> usize {
        let interfaces: HashSet<u32> = self.all.iter().map(|route| route.interface).collect();
        let several = self.scales || interfaces.len() > 1;
        if several { ADVISED.min(cores).max(1) } else { 1 }
    }

    /// Where the next connection goes if these, the first one's included, are `used`: each interface gets as many as its
    /// speed warrants, one that does not scale a second one only where there is no other.
    pub(crate) fn next(&self, used: &[SocketAddr]) -> SocketAddr {
        let interface = |address: &SocketAddr| {
            self.all.iter().find(|route| route.address == *address).map(|route| route.interface)
        };
        let used_interfaces: Vec<u32> = used.iter().filter_map(interface).collect();
        let key = |route: &&Route| {
            let on_it = used_interfaces.iter().filter(|used| **used == route.interface).count();
            let there = used.iter().filter(|used| **used == route.address).count();
            // Fixed point: how long it would take to send a bit by each of the connections.
            let load = (on_it as u128 + 1) * (u128::from(u64::MAX)) / u128::from(route.speed);
            (
                !route.scales && on_it > 0,
                load,
                !route.scales,
                route.address.is_ipv4() != self.peer.is_ipv4(),
                Reverse(is_near(route.address.ip(), self.peer.ip())),
                there,
            )
        };
        self.all.iter().min_by_key(key).map_or(self.peer, |route| route.address)
    }

    /// An address cannot be reached, or is not this server's. The first connection's stays: that one goes there.
    pub(crate) fn strike_out(&mut self, address: SocketAddr) {
        self.all.retain(|route| route.address != address || route.address == self.peer);
    }
}

/// An address that one server names means another machine where it is a machine's own or a link's, unless the first
/// connection went to such a one.
fn is_usable(address: IpAddr, peer: IpAddr) -> bool {
    let (address, peer) = (address.to_canonical(), peer.to_canonical());
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || broadcast)
        && (!address.is_loopback() || peer.is_loopback())
        && (!is_link_local(address) || is_link_local(peer))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The same port at another address; the zone is this machine's, not the server's.
fn beside(address: IpAddr, peer: SocketAddr) -> SocketAddr {
    match (address.to_canonical(), peer) {
        (IpAddr::V6(address), SocketAddr::V6(peer)) if address.is_unicast_link_local() => {
            SocketAddrV6::new(address, peer.port(), 0, peer.scope_id()).into()
        }
        (address, peer) => SocketAddr::new(address, peer.port()),
    }
}

/// Whether two addresses are probably of one network: masks are not told.
fn is_near(one: IpAddr, other: IpAddr) -> bool {
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..3] == other.octets()[..3],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.octets()[..8] == other.octets()[..8],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIGABIT: u64 = 1_000_000_000;

    fn interface(index: u32, address: &str, gigabits: u64, scales: bool) -> NetworkInterface {
        let capability = if scales { InterfaceCapability::RSS } else { InterfaceCapability::default() };
        let address = address.parse().unwrap();
        NetworkInterface { index, capability, link_speed: gigabits * GIGABIT, address, scope: 7 }
    }

    fn socket(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 445)
    }

    /// Where so many connections go, the first one included.
    fn spread(routes: &Routes, connections: usize) -> Vec<SocketAddr> {
        let mut used = vec![routes.peer];
        while used.len() < connections {
            used.push(routes.next(&used));
        }
        used.sort();
        used
    }

    fn addresses<const N: usize>(list: [&str; N]) -> Vec<SocketAddr> {
        list.map(socket).to_vec()
    }

    #[test]
    fn connections_go_where_the_speed_is() {
        let said = [interface(1, "192.0.2.1", 10, true), interface(2, "198.51.100.1", 10, true)];
        let routes = Routes::new(socket("192.0.2.1"), false, &said);
        let both = addresses(["192.0.2.1", "192.0.2.1", "198.51.100.1", "198.51.100.1"]);
        assert_eq!(spread(&routes, 4), both);
        let said = [interface(1, "192.0.2.1", 1, true), interface(2, "198.51.100.1", 10, true)];
        let routes = Routes::new(socket("192.0.2.1"), false, &said);
        let faster = addresses(["192.0.2.1", "198.51.100.1", "198.51.100.1", "198.51.100.1"]);
        assert_eq!(spread(&routes, 4), faster);
    }

    #[test]
    fn an_interface_that_does_not_scale_gets_one_of_them() {
        let said = [interface(1, "192.0.2.1", 1, true), interface(2, "198.51.100.1", 10, false)];
        let routes = Routes::new(socket("192.0.2.1"), false, &said);
        let once = addresses(["192.0.2.1", "192.0.2.1", "192.0.2.1", "198.51.100.1"]);
        assert_eq!(spread(&routes, 4), once);
    }

    /// Of one interface's addresses that which is in the first connection's family and network.
    #[test]
    fn what_the_first_connection_used_is_preferred() {
        let second = ["2001:db8::2", "198.51.100.2", "192.0.2.2"];
        let mut said = vec![interface(1, "192.0.2.1", 10, true)];
        said.extend(second.map(|address| interface(2, address, 10, true)));
        let routes = Routes::new(socket("192.0.2.1"), false, &said);
        assert_eq!(routes.next(&[routes.peer]), socket("192.0.2.2"));
    }

    #[test]
    fn what_cannot_be_reached_is_gone_round() {
        let said = [interface(1, "192.0.2.1", 1, true), interface(2, "198.51.100.1", 10, true)];
        let mut routes = Routes::new(socket("192.0.2.1"), false, &said);
        for address in ["198.51.100.1", "192.0.2.1"] {
            routes.strike_out(socket(address));
            assert_eq!(routes.next(&[routes.peer]), routes.peer);
        }
    }

    #[test]
    fn a_pinned_or_unknown_address_is_the_only_one() {
        let said = [interface(1, "192.0.2.1", 10, true), interface(2, "198.51.100.1", 10, true)];
        for (peer, pinned) in [("192.0.2.1", true), ("203.0.113.1", false)] {
            let routes = Routes::new(socket(peer), pinned, &said);
            assert_eq!(spread(&routes, 4), vec![socket(peer); 4]);
            assert_eq!(routes.advised(8), 4);
        }
    }

    #[test]
    fn addresses_that_mean_another_machine_are_left_out() {
        let own =
            ["127.0.0.1", "169.254.1.1", "fe80::1", "::1", "::", "0.0.0.0", "224.0.0.1", "255.255.255.255"];
        let mut said = vec![interface(1, "192.0.2.1", 1, true)];
        said.extend(own.map(|address| interface(2, address, 100, true)));
        assert_eq!(Routes::new(socket("192.0.2.1"), false, &said).all.len(), 1);
        said.push(interface(3, "127.0.0.2", 100, true));
        let loopback = Routes::new(socket("127.0.0.1"), false, &said);
        assert!(loopback.all.iter().any(|route| route.address == socket("127.0.0.2")));
    }

    /// The zone that a server gives is its own.
    #[test]
    fn a_link_has_the_zone_that_it_has_here() {
        let said = [interface(1, "fe80::1", 1, true), interface(2, "fe80::2", 10, true)];
        let peer =
            |last| SocketAddr::from(SocketAddrV6::new(format!("fe80::{last}").parse().unwrap(), 445, 0, 3));
        let routes = Routes::new(peer(1), false, &said);
        assert_eq!(routes.next(&[peer(1)]), peer(2));
    }

    #[test]
    fn the_server_advises_several_connections() {
        let advised =
            |said: &[NetworkInterface], cores| Routes::new(socket("192.0.2.1"), false, said).advised(cores);
        let (one, scaling) = (interface(1, "192.0.2.1", 1, false), interface(1, "192.0.2.1", 1, true));
        let (same, other) = (interface(1, "192.0.2.2", 1, false), interface(2, "192.0.2.2", 1, false));
        assert_eq!(advised(&[], 8), 1);
        assert_eq!(advised(&[one], 8), 1);
        assert_eq!(advised(&[one, same], 8), 1);
        assert_eq!(advised(&[one, other], 8), 4);
        assert_eq!(advised(&[scaling], 8), 4);
        assert_eq!((advised(&[scaling], 2), advised(&[scaling], 1)), (2, 1));
    }

    proptest! {
        /// Whatever a server says, the choice is one of few, and at the first connection's port.
        #[test]
        fn any_list_gives_a_choice(
            said in prop::collection::vec((0..4u32, any::<bool>(), any::<u64>(), any::<[u8; 4]>()), 0..200),
        ) {
            let peer = socket("127.0.0.1");
            let mut list = vec![interface(0, "127.0.0.1", 1, false)];
            list.extend(said.iter().map(|(index, scales, speed, address)| NetworkInterface {
                link_speed: *speed,
                address: IpAddr::from(*address),
                ..interface(*index, "0.0.0.0", 0, *scales)
            }));
            let routes = Routes::new(peer, false, &list);
            prop_assert!(routes.all.len() <= MOST + 1);
            for address in spread(&routes, 16) {
                prop_assert!(address.port() == 445 && is_usable(address.ip(), peer.ip()));
            }
        }
    }
}
