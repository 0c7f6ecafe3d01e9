//! The network side of a keeper.
//!
//! Requests come in over [`hermes_link`]; signatures are checked where they arrive, in parallel; then everything meets in one
//! `owner` thread that holds machine and disk, commits whatever has gathered in one synced batch, signs once for all of it and
//! answers. Reading pages for owners happens beside it.

#![allow(
    clippy::disallowed_methods,
    reason = "the shell owns clock, randomness and sockets"
)]

mod announce;
mod keeper_node;
mod keys;
mod owner;
mod serve;
mod settings;

pub use keeper_node::{Held, KeeperNode, StartError};
pub use keys::{KeyError, NodeKeys};
pub use settings::Settings;

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock in Unix seconds.
fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
