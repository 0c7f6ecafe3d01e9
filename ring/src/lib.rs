//! One overlay for sky and earth: who is where on the ring, and who is near a position.
//!
//! A ring is a circle of 256-bit [`Position`]s. Every member sits at one point of it ([`Seat`]), derived from its key (keepers) or
//! from its address (sky nodes), so that all who know the same members agree on the order. From a position one walks clockwise: points
//! at or above it first, lowest first, then on from zero.
//!
//! What the ring answers:
//!
//! - [`Ring::holders`] is the one algorithm from a position to the keepers of a mailbox. Depositor, owner and repair all call it;
//!   nobody else chooses keepers. It walks clockwise, takes at most one keeper per address block where the network asks for it, and
//!   makes sure that enough of the chosen can be dialled directly (protocol section 6).
//! - [`Ring::successors`] is the plain walk: the first one is the presence node of a presence key, the next ones stand in for it.
//! - [`Ring::leaf_set`] and [`Ring::links`] say whom a member talks to: its eight neighbours on each side, and beyond them the members
//!   at rank distance 2^n. News that everybody passes on over these links reaches all in about log2 N steps, and the loss of any
//!   member is noticed by its neighbours.
//!
//! The ring is a plain collection: it holds no connection, reads no clock and decides nothing about trust. Whether a record may be
//! inserted is its owner's business; what happens when two members claim the same point is reported and not decided here
//! ([`Ring::insert`]).
//!
//! [`Position`]: hermes_wire::ids::Position

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod holders;
mod links;
mod members;
mod seat;
#[cfg(test)]
mod tests;

pub use holders::{Holders, Rules, WALK_MAX};
pub use links::{LEAVES, LeafSet, Links};
pub use members::{Inserted, Member, Ring};
pub use seat::Seat;
