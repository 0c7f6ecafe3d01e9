//! A network in one process, on a virtual clock, from one seed.
//!
//! Many cores of underworld, the very code that hermesd runs, live in the [`World`] of its test harness: a modelled sky and modelled
//! keepers that check what real ones check. [`run`] makes people, makes them friends, and lets them write, go away (killed, as by
//! SIGKILL) and come back for some hours, while a share of all requests to keepers and of all knocks is lost. Then everybody comes
//! back, and what was accepted is compared with what was shown.
//!
//! ```text
//! cargo run -p hermes-sim -- --seed 7 --users 12 --hours 24 --loss 10
//! ```
//!
//! The program prints a table and, as its last line, the same as JSON. It ends with 0 only if nothing was lost, doubled or misordered.
//! A run depends on nothing but its settings, so a failure is repeated by giving its seed again.
//!
//! This is the beginning of the simulator. Still to come: the machines of sky and earth in place of the models, keepers and sky nodes
//! that come and go, nodes that lie, and many thousands of people at once.
//!
//! [`World`]: hermes_underworld::testing::World

#![forbid(unsafe_code)]

mod outcome;
mod people;

pub use outcome::Outcome;
pub use people::run;

/// What a run depends on, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From which all randomness follows.
    pub seed: u64,
    /// People, at least two.
    pub users: usize,
    /// How long they write, in hours of the virtual clock.
    pub hours: u64,
    /// The share of requests to keepers and of knocks that are lost, in percent.
    pub loss_percent: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            users: 6,
            hours: 6,
            loss_percent: 5,
        }
    }
}
