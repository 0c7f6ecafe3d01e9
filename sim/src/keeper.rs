//! A keeper: the real machine of earth, over a modelled disk.
//!
//! What the shell of earth does is done here in the same order: deposits are checked for signature and path, requests are fed to
//! [`Keeper`], its outputs are drained, the writes of a cycle are committed, and only then are receipts signed and answers sent. While a
//! commit is under way further requests are fed and wait for the next cycle. A keeper that dies before its commit has answered nobody;
//! a commit that fails kills it. What differs: there is no channel, so the proof of ownership that an owner signs for one channel is
//! left out, and stamps are not made, so keepers that are nearly full refuse.
//!
//! Keepers that lie (see [`Conduct`]) are this same program with one thing changed.

mod answers;
mod requests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use hermes_earth::proto::{Config, ConnId, Keeper, Output, ReqId, Write, bucket::Bucket};
use hermes_wire::{
    addr::Addr,
    ids::{MailboxId, NodeKey},
};

use crate::{
    directory::IDLE_MS,
    disk::Disk,
    draw::Draw,
    event::Event,
    handle::KeeperId,
    reading::FetchAsk,
    scenario::Conduct,
    world::{Leaving, Sim},
};

/// How long a keeper stays away after a commit failed.
const FAILED_AWAY_MS: u64 = 60_000;

/// One keeper.
pub(crate) struct Host {
    key: SigningKey,
    pub(crate) node: NodeKey,
    pub(crate) addr: Addr,
    life: u32,
    machine: Option<Keeper>,
    pub(crate) disk: Disk,
    /// How often the disk was lost.
    pub(crate) disk_life: u32,
    asked: BTreeMap<ReqId, Asked>,
    cycle: Option<Cycle>,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    pub(crate) conduct: Option<Conduct>,
    /// What a keeper that replays keeps of deletions.
    hoard: BTreeMap<MailboxId, Vec<Bytes>>,
    /// Set while its disk is slow, or fails.
    pub(crate) slow_ms: Option<u64>,
    pub(crate) failing_percent: f64,
    /// The end of a fault brings it back, and nothing before.
    pub(crate) held_down: bool,
}

/// Who waits for the answer to a request.
enum Asked {
    Put {
        job: u64,
        attempt: u64,
        source: usize,
    },
    Fetch(FetchAsk),
    /// A step of a reader whose answer says nothing new.
    Step,
    Order {
        from: Option<(u64, usize)>,
    },
}

/// What is being committed, and what follows.
struct Cycle {
    writes: Vec<Write>,
    rest: Vec<Output>,
}

/// A reader's connection.
pub(crate) struct Conn {
    pub(crate) reader: u64,
    pub(crate) person: usize,
    pub(crate) mailbox: MailboxId,
}

impl Host {
    pub(crate) fn new(addr: IpAddr, draw: &mut Draw) -> Self {
        let key = SigningKey::from_bytes(&draw.seed());
        Self {
            node: NodeKey(key.verifying_key().to_bytes()),
            key,
            addr: Addr::new(SocketAddr::new(addr, 7_000)),
            life: 0,
            machine: None,
            disk: Disk::default(),
            disk_life: 0,
            asked: BTreeMap::new(),
            cycle: None,
            conns: BTreeMap::new(),
            conduct: None,
            hoard: BTreeMap::new(),
            slow_ms: None,
            failing_percent: 0.0,
            held_down: false,
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// Whether it lives this life.
    pub(crate) const fn is(&self, at: KeeperId) -> bool {
        self.machine.is_some() && self.life == at.life
    }

    /// Its disk is gone, and with it its key.
    pub(crate) fn lose_disk(&mut self, draw: &mut Draw) {
        self.disk = Disk::default();
        self.disk_life += 1;
        self.hoard.clear();
        self.key = SigningKey::from_bytes(&draw.seed());
        self.node = NodeKey(self.key.verifying_key().to_bytes());
    }
}

impl Sim {
    /// The keeper in its present life, if it runs and is the one that the caller means.
    pub(crate) fn keeper_at(&self, slot: usize, node: NodeKey) -> Option<KeeperId> {
        let host = self
            .keepers
            .get(slot)
            .filter(|host| host.is_up() && host.node == node)?;
        Some(KeeperId {
            slot,
            life: host.life,
        })
    }

    pub(crate) fn start_keeper(&mut self, slot: usize) {
        let config = Config {
            bytes_max: self.scenario.keepers.bytes_max,
            ..Config::default()
        };
        let (now, announce_ms) = (self.clock.now(0), self.scenario.keepers.announce_s * 1_000);
        let Some(host) = self.keepers.get_mut(slot).filter(|host| !host.is_up()) else {
            return;
        };
        let machine = host.disk.start(&self.network, config, now.mono);
        if machine.deposits() != host.disk.deposits() as u64 || machine.bytes() != host.disk.bytes()
        {
            self.ledger
                .violate(format!("keeper {slot} does not find all of its disk again"));
        }
        host.machine = Some(machine);
        host.life += 1;
        let at = KeeperId {
            slot,
            life: host.life,
        };
        self.later(announce_ms, Event::Listed(at));
    }

    pub(crate) fn stop_keeper(&mut self, slot: usize, leaving: Leaving) {
        let Some(host) = self.keepers.get_mut(slot).filter(|host| host.is_up()) else {
            return;
        };
        host.machine = None;
        host.cycle = None;
        host.asked.clear();
        let node = host.node;
        let conns = std::mem::take(&mut host.conns);
        let (notice_ms, listed_ms) = match leaving {
            Leaving::Goodbye => (self.latency(), self.latency()),
            Leaving::Crash => {
                self.figures.keeper_crashes += 1;
                (IDLE_MS, self.scenario.keepers.detection_s * 1_000)
            }
        };
        for (conn, Conn { reader, .. }) in conns {
            self.later(notice_ms, Event::WatchLost { reader, node, conn });
        }
        self.later(listed_ms, Event::Delisted(slot, node));
    }

    /// Feeds a request, and begins a cycle if none is under way.
    fn ask(&mut self, at: KeeperId, asked: Asked, input: impl FnOnce(&mut Keeper, ReqId)) {
        let req = ReqId(self.new_id());
        let Some(host) = self.keepers.get_mut(at.slot).filter(|host| host.is(at)) else {
            return;
        };
        let Some(machine) = host.machine.as_mut() else {
            return;
        };
        host.asked.insert(req, asked);
        input(machine, req);
        self.begin_cycles(at.slot);
    }

    /// Drains the machine; a cycle that writes nothing is over at once.
    fn begin_cycles(&mut self, slot: usize) {
        let commit_ms = self.scenario.keepers.commit_ms;
        let Some(host) = self
            .keepers
            .get_mut(slot)
            .filter(|host| host.cycle.is_none())
        else {
            return;
        };
        let Some(machine) = host.machine.as_mut() else {
            return;
        };
        let (mut writes, mut rest) = (Vec::new(), Vec::new());
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Write(write) => writes.push(write),
                output => rest.push(output),
            }
        }
        if writes.is_empty() {
            return self.carry_out(slot, rest);
        }
        host.cycle = Some(Cycle { writes, rest });
        let at = KeeperId {
            slot,
            life: host.life,
        };
        let span = host.slow_ms.map_or(commit_ms, |slow| (commit_ms.0, slow));
        let takes = self.chance.between(span);
        self.later(takes, Event::Commit(at));
    }

    /// The commit of a cycle has come to its end.
    pub(crate) fn committed(&mut self, at: KeeperId) {
        let Some(host) = self.keepers.get_mut(at.slot).filter(|host| host.is(at)) else {
            return;
        };
        let Some(cycle) = host.cycle.take() else {
            return;
        };
        if self.chance.chance(host.failing_percent) {
            self.figures.failed_commits += 1;
            self.stop_keeper(at.slot, Leaving::Crash);
            return self.later_keeper_turn(at.slot, FAILED_AWAY_MS);
        }
        if host.conduct == Some(Conduct::Replay) {
            // In the order of arrival: an order to delete sorts by names, which differ between equal runs.
            let removed: BTreeSet<_> = cycle.writes.iter().filter_map(removal).collect();
            for (mailbox, seq, bucket) in removed {
                if let Some((_, record)) = host.disk.named(bucket, mailbox, seq) {
                    host.hoard.entry(mailbox).or_default().push(record);
                }
            }
        }
        host.disk.commit(&cycle.writes);
        self.check_quotas(at.slot, &cycle.writes);
        self.carry_out(at.slot, cycle.rest);
        self.note_deletions(at.slot, &cycle.writes);
        self.begin_cycles(at.slot);
    }

    /// Quotas hold on the disk.
    fn check_quotas(&mut self, slot: usize, writes: &[Write]) {
        let params = self.network.params();
        let Some(host) = self.keepers.get(slot) else {
            return;
        };
        if host.disk.bytes() > self.scenario.keepers.bytes_max {
            self.ledger
                .violate(format!("keeper {slot} holds more than its budget"));
        }
        for write in writes {
            if let Write::Deposit { mailbox, entry, .. } = write {
                let used = host.disk.used(*mailbox, entry.leaf);
                if used.deposits > params.slot_deposits.into()
                    || used.bytes > params.slot_bytes.into()
                {
                    self.ledger
                        .violate(format!("keeper {slot} lets a slot go beyond its quota"));
                }
            }
        }
    }

    /// From now on what was deleted may not be handed out. Within the cycle it may: a deposit that arrives and is deleted before one
    /// commit is pushed after it, ahead of the answer to the deletion.
    fn note_deletions(&mut self, slot: usize, writes: &[Write]) {
        let Some(host) = self.keepers.get(slot) else {
            return;
        };
        for write in writes {
            if let Write::Tombstone { mailbox, id, .. } = write {
                self.ledger.deleted(slot, host.disk_life, *mailbox, *id);
            }
        }
    }

    /// Looks for what has expired, less often than a real keeper does, which only means that it goes later.
    pub(crate) fn sweep(&mut self) {
        let (now, unix_s) = (self.clock.now(0), self.clock.unix_s());
        for slot in 0..self.keepers.len() {
            if let Some(machine) = self
                .keepers
                .get_mut(slot)
                .and_then(|host| host.machine.as_mut())
            {
                machine.handle_timeout(now.mono, unix_s);
                self.begin_cycles(slot);
            }
        }
        self.later(crate::world::SWEEP_MS, Event::Sweep);
    }
}

/// What a write takes away.
const fn removal(write: &Write) -> Option<(MailboxId, u64, Bucket)> {
    match write {
        Write::Remove {
            bucket,
            mailbox,
            seq,
        } => Some((*mailbox, *seq, *bucket)),
        _ => None,
    }
}
