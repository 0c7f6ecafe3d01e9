//! The network in one process, on a virtual clock, from one seed.
//!
//! People run the real core of underworld and keepers the real machine of earth, unchanged; placement is the real ring. What stands
//! between them, the network and the disks, is modelled: latency and loss, keepers and people that come and go by measured models,
//! crashes with and without the disk, partitions, wrong clocks, slow and failing disks, keepers that lie. While all that happens
//! the ledger checks what Hermes promises, against what was committed. Then everything heals, and everything has to arrive.
//!
//! ```text
//! cargo xtask sim quick --seed 7
//! ```
//!
//! The way of a message through the files: [`scenario`] says what happens; `person` writes and holds the core; `depositing` brings its
//! deposits to the holders that `directory` knows; `keeper` runs earth's machine over `disk`; `reading` fetches and watches; `links`
//! carries knocks and direct links; `faults` breaks things; `ledger` judges; `trace` makes one hash of it all; `world` has the phases.
//!
//! # What is not simulated yet
//!
//! - The machines of sky: sky is one directory that never fails, lies or lags beyond the times that the scenario gives.
//! - Repair, hand-over and tombstones between keepers, which Hermes does not have yet: what a lost disk held is deposited anew by its
//!   sender, or not at all.
//! - Addresses as identities: who connects from where is not part of what the linking check looks at.
//! - Connections: the proof of ownership on a channel, stamps, flow control, a directory that each person holds in a state of its own.
//! - Torn writes (commits are whole or not at all, as the stores promise), duplicated datagrams (QUIC removes them), removed friends
//!   and resets of addresses, groups, large networks: a run of some ten thousand nodes would take days.
//!
//! The ratchet's library draws its keys from the system. So bytes differ between equal runs, and the trace holds none.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

pub mod churn;
mod clock;
mod depositing;
mod directory;
mod disk;
mod draw;
mod event;
mod faults;
mod handle;
mod keeper;
mod ledger;
mod links;
mod outcome;
mod person;
mod reading;
mod replay;
pub mod scenario;
mod trace;
mod world;

pub use draw::Draw;
pub use ledger::{Counts, Violation};
pub use outcome::{Figures, Outcome};
pub use replay::Replay;
pub use scenario::{Scenario, ScenarioError};
pub use world::run;
