//! Where a presence listens, and where friends can dial it.

use std::net::SocketAddr;

use hermes_link::{Alpn, Endpoint, EndpointConfig, Profile};
use hermes_sky::client::SkyClient;

use crate::net::Shared;

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

/// Where friends can dial: our own address towards sky, and the one that sky sees.
pub(super) fn candidates(endpoint: &Endpoint, sky: &SkyClient) -> Vec<SocketAddr> {
    let observed = sky.observed();
    let mut all = Vec::new();
    if let Ok(local) = endpoint.local_addr() {
        let ip = if local.ip().is_unspecified() {
            source_towards(observed)
        } else {
            Some(local.ip())
        };
        all.extend(ip.map(|ip| SocketAddr::new(ip, local.port())));
    }
    if !all.contains(&observed) {
        all.push(observed);
    }
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
