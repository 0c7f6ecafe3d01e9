//! How much one source may ask for.
//!
//! Sources are address blocks ([`Prefix`]), since single addresses are cheap. Each block has one token bucket per kind of request;
//! the table of blocks is capped. Nodes that are members of the sky do not count against the block they come from but have buckets of
//! their own, so that the knocks they pass on are not charged to their neighbours.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use hermes_wire::{
    ids::NodeKey,
    node::{Prefix, Role},
};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// New connections.
    Connect,
    /// First packets whose source may be forged.
    Claimed,
    /// First packets whose source was proved.
    Proved,
    /// REGISTER and UNREGISTER.
    Register,
    /// KNOCK.
    Knock,
    /// One page of LIST, up to 250 KB.
    List,
    /// KEEPERS.
    Keepers,
    /// ANNOUNCE.
    Announce,
    /// FORWARD, by the node that sends it.
    Forward,
    /// Items in SPREAD, by the node that sends them.
    Spread,
    /// DIGEST, by the node that asks.
    Digest,
    /// Departures that were signed by one node.
    Departures,
}

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens gained per second.
    pub per_second: u32,
    /// Tokens at most, and at the start.
    pub burst: u32,
}

impl Rate {
    const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }
}

/// Caps and rates of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections in all. At the cap the visitor that has been quiet for longest makes room; if there are only connections with
    /// duties (owners, keepers, nodes), the newcomer is turned away. 50 000 idle ones take about 2 GB.
    pub connections_max: usize,
    /// Open connections of one address block; the next is turned away.
    pub connections_per_block: usize,
    /// Presence keys in all; the next registration is refused as full.
    pub leases_max: usize,
    /// Sky records held. News about others is then dropped, renewals are not. At a full table the list is about 12 MB.
    pub sky_max: usize,
    /// Keeper records held; the same policy.
    pub keepers_max: usize,
    /// Knocks under way in all; the next is refused as full.
    pub knocks_max: usize,
    /// Knocks that wait for one owner; the next is refused by rate.
    pub knocks_per_owner: usize,
    /// Knocks that one friend (slot) may have delivered within [`super::NONCES_KEPT`].
    pub knocks_per_slot: usize,
    /// Rates that hold for a block of addresses.
    pub connect: Rate,
    /// See [`Kind::Register`].
    pub register: Rate,
    /// See [`Kind::Knock`].
    pub knock: Rate,
    /// See [`Kind::List`].
    pub list: Rate,
    /// See [`Kind::Keepers`].
    pub keepers: Rate,
    /// See [`Kind::Announce`].
    pub announce: Rate,
    /// Rates that hold for one node.
    pub forward: Rate,
    /// See [`Kind::Spread`].
    pub spread: Rate,
    /// See [`Kind::Digest`].
    pub digest: Rate,
    /// See [`Kind::Departures`].
    pub departures: Rate,
}

impl Limits {
    /// For a public network. A block may hide a thousand users behind one carrier's address translation: each of them registers up to
    /// eight keys every ten minutes and knocks a few times a minute.
    #[must_use]
    pub const fn public() -> Self {
        Self {
            connections_max: 50_000,
            connections_per_block: 2_048,
            leases_max: 200_000,
            sky_max: 65_536,
            keepers_max: 131_072,
            knocks_max: 16_384,
            knocks_per_owner: 32,
            knocks_per_slot: 256,
            connect: Rate::new(20, 512),
            register: Rate::new(32, 2_048),
            knock: Rate::new(32, 1_024),
            list: Rate::new(2, 64),
            keepers: Rate::new(32, 512),
            announce: Rate::new(1, 64),
            forward: Rate::new(500, 5_000),
            spread: Rate::new(200, 200_000),
            digest: Rate::new(2, 32),
            departures: Rate::new(20, 2_000),
        }
    }

    /// For a network on one machine, where everybody comes from the same block.
    #[must_use]
    pub const fn lab() -> Self {
        let plenty = Rate::new(1_000_000, 1_000_000);
        Self {
            connections_per_block: 50_000,
            knocks_per_slot: 4_096,
            connect: plenty,
            register: plenty,
            knock: plenty,
            list: plenty,
            keepers: plenty,
            announce: plenty,
            forward: plenty,
            digest: plenty,
            ..Self::public()
        }
    }

    /// How many records of a role are held.
    pub(super) const fn records_max(&self, role: Role) -> usize {
        match role {
            Role::Sky => self.sky_max,
            Role::Earth => self.keepers_max,
        }
    }

    const fn rate(&self, kind: Kind) -> Rate {
        match kind {
            Kind::Connect | Kind::Claimed | Kind::Proved => self.connect,
            Kind::Register => self.register,
            Kind::Knock => self.knock,
            Kind::List => self.list,
            Kind::Keepers => self.keepers,
            Kind::Announce => self.announce,
            Kind::Forward => self.forward,
            Kind::Spread => self.spread,
            Kind::Digest => self.digest,
            Kind::Departures => self.departures,
        }
    }
}

/// Who is charged: an address block, or a node by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Payer {
    Block(Prefix),
    Node(NodeKey),
}

/// Buckets that are kept at once. Beyond it, full ones are forgotten, which changes nothing; if none is full, the newcomer is refused:
/// so many sources at once are an attack or a mistake.
const BUCKETS_MAX: usize = 65_536;

/// Token buckets by payer and kind.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: Limits,
    buckets: BTreeMap<(Payer, Kind), Bucket>,
    /// The same buckets by the time at which they will be full again and can be forgotten.
    full_at: BTreeSet<(Instant, Payer, Kind)>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// When the bucket will be full again. One number says it all: tokens missing = time left × rate.
    full_at: Instant,
}

impl Limiter {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            buckets: BTreeMap::new(),
            full_at: BTreeSet::new(),
        }
    }

    /// Takes `amount` tokens, or says after how long they will be there. Nothing is taken then.
    pub(super) fn take(
        &mut self,
        payer: Payer,
        kind: Kind,
        amount: u32,
        now: Instant,
    ) -> Result<(), Duration> {
        let rate = self.limits.rate(kind);
        let cost = |tokens: u32| Duration::from_secs(u64::from(tokens)) / rate.per_second.max(1);
        let start = self
            .buckets
            .get(&(payer, kind))
            .map_or(now, |bucket| bucket.full_at.max(now));
        let full_at = start + cost(amount);
        let overdraft = full_at
            .saturating_duration_since(now)
            .saturating_sub(cost(rate.burst));
        if !overdraft.is_zero() {
            return Err(overdraft);
        }
        if !self.buckets.contains_key(&(payer, kind)) && !self.make_room(now) {
            return Err(Duration::from_secs(1));
        }
        if let Some(old) = self.buckets.insert((payer, kind), Bucket { full_at }) {
            self.full_at.remove(&(old.full_at, payer, kind));
        }
        self.full_at.insert((full_at, payer, kind));
        Ok(())
    }

    fn make_room(&mut self, now: Instant) -> bool {
        while self.buckets.len() >= BUCKETS_MAX {
            match self.full_at.first().copied() {
                Some((full_at, payer, kind)) if full_at <= now => {
                    self.full_at.pop_first();
                    self.buckets.remove(&(payer, kind));
                }
                _ => return false,
            }
        }
        true
    }
}

/// The limits on handshakes, which the network side asks before the machine hears of a connection.
#[derive(Debug)]
pub struct Handshakes(Limiter);

impl Handshakes {
    /// With these limits; [`Limits::connect`] counts.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self(Limiter::new(limits))
    }

    /// Whether a block whose source may be forged has a handshake left. If not, have it prove its address.
    pub fn take_claimed(&mut self, block: Prefix, now: Instant) -> bool {
        self.0
            .take(Payer::Block(block), Kind::Claimed, 1, now)
            .is_ok()
    }

    /// Whether a block that has proved its address has a handshake left.
    pub fn take_proved(&mut self, block: Prefix, now: Instant) -> bool {
        self.0
            .take(Payer::Block(block), Kind::Proved, 1, now)
            .is_ok()
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a virtual clock starts somewhere"
)]
mod tests {
    use super::*;

    fn block(n: u32) -> Payer {
        let [_, a, b, c] = n.to_be_bytes();
        Payer::Block(Prefix::V4([a, b, c]))
    }

    fn limiter(per_second: u32, burst: u32) -> Limiter {
        Limiter::new(Limits {
            knock: Rate::new(per_second, burst),
            ..Limits::public()
        })
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut limiter = limiter(10, 5);
        let start = Instant::now();
        for _ in 0..5 {
            assert_eq!(limiter.take(block(1), Kind::Knock, 1, start), Ok(()));
        }
        assert_eq!(
            limiter.take(block(1), Kind::Knock, 1, start),
            Err(Duration::from_millis(100))
        );
        assert_eq!(
            limiter.take(block(2), Kind::Knock, 1, start),
            Ok(()),
            "each block has its own"
        );
        assert_eq!(
            limiter.take(block(1), Kind::List, 1, start),
            Ok(()),
            "each kind has its own"
        );
        let later = start + Duration::from_millis(250);
        assert_eq!(limiter.take(block(1), Kind::Knock, 2, later), Ok(()));
        assert!(limiter.take(block(1), Kind::Knock, 1, later).is_err());
        let rested = start + Duration::from_secs(60);
        assert_eq!(
            limiter.take(block(1), Kind::Knock, 5, rested),
            Ok(()),
            "no more than the burst is saved up"
        );
        assert!(limiter.take(block(1), Kind::Knock, 1, rested).is_err());
    }

    #[test]
    fn the_table_of_blocks_is_capped() {
        let mut limiter = limiter(1, 2);
        let start = Instant::now();
        for n in 0..BUCKETS_MAX {
            assert_eq!(
                limiter.take(block(u32::try_from(n).unwrap()), Kind::Knock, 1, start),
                Ok(())
            );
        }
        let newcomer = block(u32::try_from(BUCKETS_MAX).unwrap());
        assert!(limiter.take(newcomer, Kind::Knock, 1, start).is_err());
        assert_eq!(
            limiter.take(block(0), Kind::Knock, 1, start),
            Ok(()),
            "those who are known go on"
        );
        assert_eq!(
            limiter.take(newcomer, Kind::Knock, 1, start + Duration::from_secs(1)),
            Ok(()),
            "full buckets are forgotten"
        );
        assert_eq!(limiter.buckets.len(), BUCKETS_MAX);
        assert_eq!(limiter.full_at.len(), BUCKETS_MAX);
    }
}
