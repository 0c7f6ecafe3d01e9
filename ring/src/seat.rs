//! What placement looks at: a member's point, its address block and whether it can be dialled.

use hermes_wire::{
    Network,
    ids::{NodeKey, Position},
    node::{Flags, NodeRecord, Prefix},
};

/// A member's place on the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Its point.
    pub point: Position,
    /// Its key.
    pub key: NodeKey,
    /// The block of its first address, as far as anybody can tell in one hand.
    pub prefix: Prefix,
    /// Whether it can be dialled directly.
    pub direct: bool,
}

impl Seat {
    /// The seat that a record gives its node. The record is taken at its word: check it first.
    ///
    /// `None` for a record without an address, which no decoder lets through.
    #[must_use]
    pub fn of(network: &Network, record: &NodeRecord) -> Option<Self> {
        Some(Self {
            point: record.point(network),
            key: record.node,
            prefix: record.prefix()?,
            direct: record.body.flags.has(Flags::DIRECT),
        })
    }
}
