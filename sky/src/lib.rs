//! Sky: presence of people, knocks at their doors, and the directory of keepers.
//!
//! Sky nodes are few, stay up, and have public addresses. They know one another completely, so any of them leads to all others, and a
//! person needs to know only one to find the rest. They see people by names that change every few hours and cannot be tied together,
//! and what people tell each other through them is sealed from end to end.
//!
//! - [`proto`] is the node as a pure machine: no socket, no clock, no file, no randomness.
//! - [`client`] (feature `client`) talks to a node: for people and keepers.
//! - [`net`] (feature `net`) runs a node: the machine on real connections, with its folder. The program `hermes-sky` is that and
//!   arguments.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

#[cfg(feature = "client")]
#[allow(clippy::disallowed_methods, reason = "the shell owns the clock")]
pub mod client;
#[cfg(feature = "net")]
#[allow(
    clippy::disallowed_methods,
    reason = "the shell owns clock and randomness"
)]
pub mod net;
pub mod proto;

#[cfg(feature = "client")]
pub use client::{IncomingKnock, IncomingKnocks, SkyClient, SkyError};
