//! How much a connection may cost and how often it breathes: transport settings.
//!
//! Two things decide. The endpoint's [`Profile`] sets what one connection may hold in memory here. The [`Alpn`] sets the pace that
//! both ends must agree on: how often the dialler says that it is alive, and after how much silence the connection is gone.

use std::{sync::Arc, time::Duration};

use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

use crate::config::Alpn;

/// What one connection of an endpoint may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Many thousand quiet users on one node: small windows, no probing for larger packets.
    Sky,
    /// Few connections that carry mailboxes: windows that fill a long fat path.
    Earth,
    /// A user's own links to friends and nodes.
    Peer,
}

/// Bidirectional streams that the other side may have open at once. The protocols use one; the rest is for transfers beside it.
const STREAMS_MAX: u32 = 8;

const KIB: u32 = 1024;

impl Profile {
    /// Bytes that the peer may send on one stream before we have read them.
    pub(crate) const fn stream_window(self) -> u32 {
        match self {
            Self::Sky => 16 * KIB,
            Self::Earth => 1024 * KIB,
            Self::Peer => 256 * KIB,
        }
    }

    /// Bytes that the peer may send on all streams together before we have read them.
    pub(crate) const fn connection_window(self) -> u32 {
        match self {
            Self::Sky => 64 * KIB,
            Self::Earth => 4096 * KIB,
            Self::Peer => 1024 * KIB,
        }
    }

    /// Bytes of a channel's frames that wait here, in each direction. It must hold one frame of the largest size.
    pub(crate) const fn queue_bytes(self) -> usize {
        match self {
            Self::Sky => 320 * KIB as usize,
            Self::Earth => 2048 * KIB as usize,
            Self::Peer => 1024 * KIB as usize,
        }
    }

    /// Whether much may come at once, so that it pays to set memory aside for taking it in large pieces.
    pub(crate) const fn is_for_bulk(self) -> bool {
        matches!(self, Self::Earth)
    }

    fn mtu_discovery(self) -> Option<MtuDiscoveryConfig> {
        match self {
            Self::Sky => None,
            Self::Earth | Self::Peer => Some(MtuDiscoveryConfig::default()),
        }
    }
}

/// How often the dialler sends a sign of life. NATs forget a quiet mapping after 30 s at worst, 120 s by RFC 4787.
const fn keep_alive(alpn: Alpn) -> Duration {
    match alpn {
        Alpn::Sky => Duration::from_secs(25),
        Alpn::Earth => Duration::from_secs(20),
        Alpn::Peer => Duration::from_secs(15),
    }
}

/// After how much silence a connection is gone: three signs of life and a bit.
const fn idle(alpn: Alpn) -> VarInt {
    VarInt::from_u32(match alpn {
        Alpn::Sky => 90_000,
        Alpn::Earth => 75_000,
        Alpn::Peer => 60_000,
    })
}

/// Settings for a connection that we dial.
pub(crate) fn dialling(profile: Profile, alpn: Alpn) -> Arc<TransportConfig> {
    let mut transport = common(profile, alpn);
    transport.keep_alive_interval(Some(keep_alive(alpn)));
    // The acceptor confirms our key on one stream of its own, see `connection::confirm`.
    transport.max_concurrent_uni_streams(VarInt::from_u32(1));
    Arc::new(transport)
}

/// Settings for a connection that we accept.
pub(crate) fn accepting(profile: Profile, alpn: Alpn) -> Arc<TransportConfig> {
    let mut transport = common(profile, alpn);
    transport.max_concurrent_uni_streams(VarInt::from_u32(0));
    Arc::new(transport)
}

fn common(profile: Profile, alpn: Alpn) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(profile.stream_window()))
        .receive_window(VarInt::from_u32(profile.connection_window()))
        .send_window(u64::from(profile.connection_window()))
        .max_idle_timeout(Some(IdleTimeout::from(idle(alpn))))
        .mtu_discovery_config(profile.mtu_discovery())
        .allow_spin(false)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0);
    if alpn == Alpn::Peer {
        // The first packet of a link between friends is often lost to a NAT that has not seen the other side yet: ask again after
        // 0.3 s instead of 1 s. The setting governs each side's own timers, so both ends make it.
        transport.initial_rtt(Duration::from_millis(100));
    }
    transport
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::codec::{BODY_LEN_MAX, HEADER_LEN};

    #[test]
    fn every_queue_holds_the_largest_frame() {
        for profile in [Profile::Sky, Profile::Earth, Profile::Peer] {
            assert!(profile.queue_bytes() >= HEADER_LEN + BODY_LEN_MAX);
        }
    }

    #[test]
    fn signs_of_life_come_well_before_the_end() {
        for alpn in [Alpn::Sky, Alpn::Earth, Alpn::Peer] {
            assert!(keep_alive(alpn) * 3 <= Duration::from_millis(idle(alpn).into_inner()));
            assert!((15..=25).contains(&keep_alive(alpn).as_secs()));
        }
    }

    #[test]
    fn nothing_on_the_wire_tells_connections_apart() {
        // TransportConfig has no getters; its Debug output is the settings as quinn will use them.
        for profile in [Profile::Sky, Profile::Earth, Profile::Peer] {
            for alpn in [Alpn::Sky, Alpn::Earth, Alpn::Peer] {
                for transport in [dialling(profile, alpn), accepting(profile, alpn)] {
                    let shown = format!("{transport:?}");
                    assert!(shown.contains("allow_spin: false"), "{shown}");
                    assert!(
                        shown.contains("datagram_receive_buffer_size: None"),
                        "{shown}"
                    );
                }
            }
        }
        assert!(
            format!("{:?}", dialling(Profile::Sky, Alpn::Sky))
                .contains("mtu_discovery_config: None")
        );
    }
}
