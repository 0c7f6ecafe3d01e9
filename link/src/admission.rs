//! Caps on what strangers can make an endpoint hold.
//!
//! Every first packet of a connection passes here before its handshake begins. Whatever is turned away is turned away in silence: an
//! answer would tell a scanner what listens here, and could be aimed at somebody else with a forged source.

use std::{net::IpAddr, sync::Arc, time::Duration};

/// What becomes of a first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on with the handshake.
    Admit,
    /// Ask the source to prove that it receives at its address (a QUIC Retry), then ask this hook again.
    Prove,
    /// Drop it without an answer.
    Ignore,
}

/// Decides by source address, in canonical form (never `::ffff:a.b.c.d`). It runs on the receive path and must not block.
///
/// Limits per address prefix belong here; `Prove` makes sure that it is not somebody else's prefix that is being used up.
pub type AdmissionHook = Arc<dyn Fn(IpAddr, SourceProof) -> Admission + Send + Sync>;

/// Whether a source has shown that it receives at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceProof {
    /// The address may be forged.
    Claimed,
    /// The source answered a Retry.
    Proved,
}

/// Caps on connections and handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections, dialled and accepted together, beyond which no more are accepted.
    pub connections_max: usize,
    /// Handshakes of accepted connections under way at once. From half of this on, sources must prove their address first, so that
    /// forged ones cannot fill the rest.
    pub handshakes_max: usize,
    /// How long such a handshake may take.
    pub handshake_timeout: Duration,
}

impl Default for Limits {
    /// Room for a user; nodes set their own.
    fn default() -> Self {
        Self {
            connections_max: 1024,
            handshakes_max: 64,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}
