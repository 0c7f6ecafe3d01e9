//! Where a presence listens, and where friends can dial it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hermes_link::{Alpn, Endpoint, EndpointConfig, Profile};
use hermes_sky::client::SkyClient;

use crate::net::Shared;

/// Addresses of the world at large, by which the system says from where it would send there. They are set aside for
/// documentation (RFC 5737, RFC 3849) and nothing is sent to them.
const SOMEWHERE_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
const SOMEWHERE_V6: SocketAddr = SocketAddr::new(
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    9,
);

/// An endpoint at the address that was asked for; at another port if an earlier presence still has that one.
pub(super) fn bind(shared: &Shared) -> Option<Endpoint> {
    let config = |local| EndpointConfig {
        alpns: vec![Alpn::Peer],
        ..EndpointConfig::new(local, Profile::Peer)
    };
    let bound = Endpoint::bind(config(shared.listen))
        .or_else(|_| Endpoint::bind(config(SocketAddr::new(shared.listen.ip(), 0))));
    match bound {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            tracing::error!(%error, "no socket for presence");
            None
        }
    }
}

/// Where friends can dial: our own addresses towards the world, one a family, and the one that sky sees.
pub(super) fn candidates(endpoint: &Endpoint, sky: &SkyClient) -> Vec<SocketAddr> {
    let observed = sky.observed();
    let mut all = Vec::new();
    if let Ok(local) = endpoint.local_addr() {
        let port = local.port();
        if local.ip().is_unspecified() {
            let towards = [observed, SOMEWHERE_V4, SOMEWHERE_V6].into_iter();
            let sources = towards.filter(|addr| endpoint.reaches(*addr));
            all.extend(
                sources.filter_map(|addr| Some(SocketAddr::new(source_towards(addr)?, port))),
            );
        } else {
            all.push(local);
        }
    }
    all.push(observed);
    let mut listed = std::collections::HashSet::new();
    all.retain(|addr| listed.insert(*addr));
    all
}

/// The address that this machine sends from; no packet is sent to find out.
fn source_towards(peer: SocketAddr) -> Option<std::net::IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = std::net::UdpSocket::bind(any).ok()?;
    socket.connect(peer).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
