//! What placement looks at: a member's point, its address block and whether it can be dialled.

use std::net::IpAddr;

use hermes_wire::ids::{NodeKey, Position};

/// A member's place on the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Its point.
    pub point: Position,
    /// Its key.
    pub key: NodeKey,
    /// The block of its first address.
    pub subnet: Subnet,
    /// Whether it can be dialled directly.
    pub direct: bool,
}

/// An address block in one hand, as far as anybody can tell: a /24 of IPv4 or a /48 of IPv6.
///
/// Limits per source and the diversity of holders count by these blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subnet {
    /// The first three bytes of an IPv4 address.
    V4([u8; 3]),
    /// The first six bytes of an IPv6 address.
    V6([u8; 6]),
}

impl Subnet {
    /// The block of an address. An IPv4 address in IPv6 clothes counts as what it is.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }
}
