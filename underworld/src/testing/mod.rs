//! Several cores over a modelled sky and modelled keepers, on a virtual clock.
//!
//! [`World`] carries out what cores ask for, with delays from a seeded generator, so a run can be repeated from its seed.
//! Keepers check what real ones check (signatures, owners, revocations) and sign real receipts. Each node's rows are
//! kept as a store would keep them: only whole cycles, and a [crash](World::crash) loses what was not committed.
//!
//! A test makes a world, adds nodes, lets time pass with [`World::run`] or [`World::run_until`], and looks at the events.

#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that asks for the impossible, and a core that breaks its contract, have to be seen at once"
)]

mod keepers;
mod links;
mod net;
mod node;
mod schedule;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hermes_wire::{
    Network,
    ids::PresenceKey,
    network::{Params, T0},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

pub use net::entry;
pub use node::{CrashPoint, Node, NodeId, Rows};

use self::{keepers::Keeper, net::Registration, schedule::Schedule};
use crate::proto::Now;

/// A moment to start from. What it is does not matter; all that follows is counted from it.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "an `Instant` can be had in no other way"
)]
pub fn start() -> Instant {
    Instant::now()
}

/// How the modelled network behaves.
#[derive(Debug, Clone)]
pub struct Weather {
    /// The least and the most milliseconds that anything takes on its way.
    pub latency_ms: (u64, u64),
    /// The share of requests to keepers and knocks that are lost, in percent.
    pub loss_percent: u64,
    /// Whether friends can dial each other.
    pub direct: bool,
    /// The share of cycles that are left open so that more inputs join them, in percent.
    pub batching_percent: u64,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency_ms: (1, 5),
            loss_percent: 0,
            direct: true,
            batching_percent: 0,
        }
    }
}

/// Nodes, sky, keepers and time.
pub struct World {
    /// How the network behaves; may be changed at any time.
    pub weather: Weather,
    network: Network,
    seed: u64,
    random: ChaCha20Rng,
    started: Instant,
    start_ms: u64,
    now_ms: u64,
    schedule: Schedule,
    nodes: Vec<Node>,
    keepers: Vec<Keeper>,
    sky: BTreeMap<PresenceKey, Registration>,
    links: links::Links,
    next_id: u64,
    names: std::collections::BTreeSet<[u8; 32]>,
}

impl World {
    /// A lab network with this many keepers.
    #[must_use]
    pub fn new(seed: u64, keepers: usize) -> Self {
        Self::with_network(seed, keepers, Network::lab())
    }

    /// A lab network with other parameters.
    ///
    /// # Panics
    ///
    /// If they make no network.
    #[must_use]
    pub fn with_params(seed: u64, keepers: usize, change: impl FnOnce(&mut Params)) -> Self {
        let mut params = Network::lab().params().clone();
        change(&mut params);
        Self::with_network(
            seed,
            keepers,
            Network::new(params).expect("possible parameters"),
        )
    }

    /// Any network.
    #[must_use]
    pub fn with_network(seed: u64, keepers: usize, network: Network) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let keepers = (0..keepers).map(|_| Keeper::new(&mut random)).collect();
        Self {
            weather: Weather::default(),
            network,
            seed,
            random,
            started: start(),
            // In the middle of an epoch, so that no edge is near unless a test moves there.
            start_ms: (T0 + 20 * 86_400 + 40_000) * 1_000,
            now_ms: 0,
            schedule: Schedule::default(),
            nodes: Vec::new(),
            keepers,
            sky: BTreeMap::new(),
            links: links::Links::default(),
            next_id: 1,
            names: std::collections::BTreeSet::new(),
        }
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// What to repeat a run with.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Milliseconds since the world began.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        Now {
            mono: self.started + Duration::from_millis(self.now_ms),
            unix_ms: self.start_ms + self.now_ms,
        }
    }

    /// Sets the wall clock of everybody ahead or back, without any time passing.
    pub fn shift_wall_clock(&mut self, by_ms: i64) {
        self.start_ms = self.start_ms.saturating_add_signed(by_ms);
    }

    /// Lets time pass.
    pub fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.step(end) {}
        self.now_ms = end;
    }

    /// Lets time pass until something is the case, at most so long; gives whether it came about.
    pub fn run_until(&mut self, limit_ms: u64, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now_ms + limit_ms;
        loop {
            if is_so(self) {
                return true;
            }
            if !self.step(end) {
                self.now_ms = end;
                return is_so(self);
            }
        }
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.random.next_u64() % n.max(1)
    }

    /// Whether something happens that happens in so many percent.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.below(100) < percent
    }

    /// A time on the way.
    pub(crate) fn latency(&mut self) -> u64 {
        let (least, most) = self.weather.latency_ms;
        least + self.below(most - least + 1)
    }

    pub(crate) fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}
