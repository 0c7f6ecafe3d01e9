//! Other sky nodes: whom to dial, who answers, who is gone.
//!
//! Connections between nodes are made when they are needed and used for everything, in both directions. A node watches its next three
//! neighbours clockwise ([`WATCHED`]): every ten seconds it asks each for its digests, which is a sign of life and starts an exchange
//! of lists if they differ. So everybody is watched by three others, and a difference anywhere is found within seconds.
//!
//! A node that does not answer is dialled anew. When two dials in a row fail, or somebody else answers at its address, its departure
//! is signed and spread, unless nothing at all was heard meanwhile: then it is more likely that we are cut off than that everybody
//! else is gone. Whoever is wrongly declared gone learns of it like everybody else and signs a new record, which overrides the
//! departure. Some of those that are gone are dialled now and then, so that a network that fell apart finds together again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use hermes_ring::Links;
use hermes_wire::{
    ids::{NodeKey, Position},
    node::{Addr, NodeRecord, Role},
    sky::{Departure, SpreadItem},
};

use super::{
    Sky,
    conns::Facts,
    io::{Close, Closed, ConnId, DialFailure, Output, Side},
    knocks::KnockId,
    sync::Exchange,
};

/// Neighbours that each node keeps an eye on.
const WATCHED: usize = 3;

/// Dials in a row that must fail before a node counts as gone.
const FAILURES_MAX: u32 = 2;

/// The wait before a member is dialled for the second time.
const RETRY: Duration = Duration::from_secs(2);

/// The longest wait before a peer that is no member is dialled again.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// How long an answer to a sign-of-life request may take.
pub(super) const ALIVE_WAIT: Duration = Duration::from_secs(3);

/// How long other requests to nodes may take.
pub(super) const CALL_WAIT: Duration = Duration::from_secs(10);

/// The wait before the next dial when it seems that we are cut off.
const CUT_OFF_RETRY: Duration = Duration::from_secs(10);

/// A dialled connection that is not part of the ring's links is closed when it was of no use for so long.
const UNUSED: Duration = Duration::from_secs(120);

/// Items that wait for one peer while it is dialled. Beyond it they are dropped: the exchange after the dial finds what is missing.
const OUTBOX_MAX: usize = 2_048;

/// Departed nodes that are remembered in order to find them again. The oldest is forgotten.
const LOST_MAX: usize = 64;

/// How often one of them is dialled.
const LOST_EVERY: Duration = Duration::from_secs(60);

/// What we know about dialling a node.
#[derive(Debug, Default)]
pub(super) struct Peer {
    dialling: bool,
    failures: u32,
    /// When the first of the dials that failed was begun.
    failing_since: Option<Instant>,
    retry_at: Option<Instant>,
    outbox: Vec<SpreadItem>,
    knocks: Vec<KnockId>,
    pub(super) exchange: Option<Exchange>,
}

/// How to get something to a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// On this connection.
    Open(ConnId),
    /// It is being dialled.
    Dialling,
    /// It did not answer lately, or has no address.
    Not,
}

/// Peers, and where to look for more.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub(super) table: BTreeMap<NodeKey, Peer>,
    retries: BTreeSet<(Instant, NodeKey)>,
    /// Members that have departed.
    lost: VecDeque<NodeRecord>,
    lost_tried: Option<Instant>,
}

impl Peers {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    pub(super) fn lost(&self) -> impl Iterator<Item = &NodeRecord> {
        self.lost.iter()
    }

    /// Has news wait for the end of a dial. What is too much is dropped: the comparison after the dial finds it.
    pub(super) fn queue_news(&mut self, node: &NodeKey, news: Vec<SpreadItem>) {
        if let Some(peer) = self.table.get_mut(node)
            && peer.outbox.len().saturating_add(news.len()) <= OUTBOX_MAX
        {
            peer.outbox.extend(news);
        }
    }

    /// Has a knock wait for the end of a dial.
    pub(super) fn queue_knock(&mut self, node: &NodeKey, knock: KnockId) {
        if let Some(peer) = self.table.get_mut(node) {
            peer.knocks.push(knock);
        }
    }

    fn remember_lost(&mut self, record: NodeRecord) {
        self.lost.retain(|lost| lost.node != record.node);
        if self.lost.len() >= LOST_MAX {
            self.lost.pop_front();
        }
        self.lost.push_back(record);
    }

    pub(super) fn found(&mut self, node: &NodeKey) {
        self.lost.retain(|lost| lost.node != *node);
    }

    fn set_retry(&mut self, node: NodeKey, at: Option<Instant>) {
        let Some(peer) = self.table.get_mut(&node) else {
            return;
        };
        if let Some(old) = peer.retry_at.take() {
            self.retries.remove(&(old, node));
        }
        peer.retry_at = at;
        if let Some(at) = at {
            self.retries.insert((at, node));
        }
    }

    fn remove(&mut self, node: &NodeKey) -> Option<Peer> {
        self.set_retry(*node, None);
        self.table.remove(node)
    }
}

impl Sky {
    /// Our point on the ring.
    pub(super) fn point(&self) -> Position {
        self.own.record().point(&self.network)
    }

    fn addrs_of(&self, node: &NodeKey) -> Vec<SocketAddr> {
        let of_record = |record: &NodeRecord| record.body.addrs.iter().map(Addr::socket).collect();
        if let Some(record) = self.sky.get(node) {
            return of_record(record);
        }
        let lost = self.peers.lost.iter().find(|record| record.node == *node);
        let claimed = self.claims.record_of(node);
        match (self.contacts.seed(node), lost.or(claimed)) {
            (Some(seed), _) => vec![seed],
            (None, Some(record)) => of_record(record),
            (None, None) => Vec::new(),
        }
    }

    /// Finds a way to a node, dialling it if there is none.
    pub(super) fn reach(&mut self, node: NodeKey, now: Instant) -> Reach {
        if node == self.me {
            return Reach::Not;
        }
        if let Some(conn) = self.conns.of_node(&node) {
            return Reach::Open(conn.facts.conn);
        }
        match self.peers.table.get(&node) {
            Some(peer) if peer.dialling => Reach::Dialling,
            Some(peer) if peer.retry_at.is_some() => Reach::Not,
            _ => self.dial(node, now),
        }
    }

    pub(super) fn dial(&mut self, node: NodeKey, now: Instant) -> Reach {
        if self
            .peers
            .table
            .get(&node)
            .is_some_and(|peer| peer.dialling)
        {
            return Reach::Dialling;
        }
        let addrs = self.addrs_of(&node);
        if addrs.is_empty() || self.leaving.is_some() {
            return Reach::Not;
        }
        let peer = self.peers.table.entry(node).or_default();
        peer.dialling = true;
        if peer.failures == 0 {
            peer.failing_since = Some(now);
        }
        self.out(Output::Dial { node, addrs });
        Reach::Dialling
    }

    /// A connection that we dialled stands.
    pub(super) fn greet(&mut self, facts: &Facts, node: NodeKey, now: Instant) {
        let peer = self.peers.table.entry(node).or_default();
        peer.dialling = false;
        peer.failures = 0;
        let knocks = std::mem::take(&mut peer.knocks);
        let mut news = std::mem::take(&mut peer.outbox);
        self.peers.set_retry(node, None);
        self.claims.answered(&node);
        self.claimant_answered(&node, now);
        for knock in knocks {
            self.send_forward(knock, node, facts.conn, now);
        }
        // Our own record comes first: without it the other side takes no news from a stranger.
        news.insert(0, SpreadItem::Record(Box::new(self.own.record().clone())));
        self.send_news(facts.conn, news, now);
        self.compare(facts.conn, now);
    }

    pub(super) fn dial_failed(&mut self, node: NodeKey, why: DialFailure, now: Instant) {
        let Some(peer) = self.peers.table.get_mut(&node) else {
            return;
        };
        peer.dialling = false;
        peer.failures = match why {
            DialFailure::Unreachable => peer.failures.saturating_add(1),
            DialFailure::WrongKey => FAILURES_MAX.max(peer.failures.saturating_add(1)),
        };
        peer.outbox.clear();
        let (failures, failing_since) = (peer.failures, peer.failing_since);
        let knocks = std::mem::take(&mut peer.knocks);
        for knock in knocks {
            self.forward_next(knock, now);
        }
        self.contact_failed(&node, now);
        self.introduced(&node, now);
        // A connection that the other side has dialled in the meantime is as good.
        if self.conns.of_node(&node).is_some() {
            self.peers.set_retry(node, None);
        } else if self.sky.contains(&node) {
            // If nothing was heard from anybody since, it is more likely that we are cut off.
            let is_cut_off = why == DialFailure::Unreachable
                && failing_since.is_none_or(|since| self.heard <= since);
            if failures >= FAILURES_MAX && !is_cut_off {
                self.declare_gone(Role::Sky, node, now);
            } else {
                let wait = if is_cut_off && failures >= FAILURES_MAX {
                    CUT_OFF_RETRY
                } else {
                    RETRY
                };
                self.peers.set_retry(node, Some(now + wait));
            }
        } else if self.contacts.seed(&node).is_some() {
            let wait = Duration::from_secs(1 << failures.min(6)).min(RETRY_MAX);
            self.peers.set_retry(node, Some(now + wait));
        } else {
            self.peers.remove(&node);
            self.claims.withdraw(&node);
        }
    }

    /// Dials again those whose time has come.
    pub(super) fn retry_peers(&mut self, now: Instant) {
        while let Some((at, node)) = self.peers.retries.first().copied()
            && at <= now
        {
            self.peers.set_retry(node, None);
            let wanted = self.sky.contains(&node) || self.contacts.seed(&node).is_some();
            if wanted && self.conns.of_node(&node).is_none() {
                self.dial(node, now);
            }
        }
    }

    /// A node has dialled us: it is there.
    pub(super) fn peer_is_back(&mut self, node: NodeKey) {
        if let Some(peer) = self.peers.table.get_mut(&node) {
            peer.failures = 0;
        }
        self.peers.set_retry(node, None);
    }

    /// Makes sure that a node is there.
    pub(super) fn check(&mut self, node: NodeKey, now: Instant) {
        if let Reach::Open(conn) = self.reach(node, now) {
            self.compare(conn, now);
        }
    }

    /// Looks after neighbours, seeds, lost nodes and connections.
    pub(super) fn watch_peers(&mut self, now: Instant) {
        let successors = self
            .sky
            .ring()
            .clockwise(&self.point())
            .map(|member| member.seat.key);
        let watched: Vec<NodeKey> = successors
            .filter(|node| *node != self.me)
            .take(WATCHED)
            .collect();
        for node in watched {
            self.check(node, now);
        }
        let seeds: Vec<NodeKey> = self
            .contacts
            .seeds()
            .copied()
            .filter(|node| !self.sky.contains(node))
            .collect();
        for node in seeds {
            self.check(node, now);
        }
        let is_time = self
            .peers
            .lost_tried
            .is_none_or(|at| now.saturating_duration_since(at) >= LOST_EVERY);
        if is_time && let Some(lost) = self.peers.lost.pop_front() {
            self.peers.lost_tried = Some(now);
            let node = lost.node;
            self.peers.lost.push_back(lost);
            self.check(node, now);
        }
        self.close_unused(now);
        self.renew_contacts(now);
    }

    fn close_unused(&mut self, now: Instant) {
        let links: BTreeSet<NodeKey> = self
            .sky
            .ring()
            .links(&self.point(), Links::Fingers)
            .into_iter()
            .collect();
        let is_unused = |used: Instant| now.saturating_duration_since(used) > UNUSED;
        let unused: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|conn| conn.facts.side == Side::Dialled && is_unused(conn.used))
            .filter(|conn| conn.facts.node.is_none_or(|node| !links.contains(&node)))
            .map(|conn| conn.facts.conn)
            .collect();
        for conn in unused {
            self.close(conn, Close::Unused, now);
        }
    }

    /// A connection with a node is gone. If it was the last one with a member, find out whether that is still there.
    pub(super) fn connection_lost(&mut self, node: NodeKey, how: Closed, now: Instant) {
        if let Some(peer) = self.peers.table.get_mut(&node) {
            peer.exchange = None;
        }
        self.contact_failed(&node, now);
        self.introduced(&node, now);
        if self.conns.of_node(&node).is_some() {
            return;
        }
        if self.sky.contains(&node) {
            // Whoever closes on purpose is there, or has said goodbye.
            if how == Closed::Broken {
                self.check(node, now);
            }
        } else if self.contacts.seed(&node).is_none() {
            self.peers.remove(&node);
        }
    }

    /// Says of a node that it no longer answers.
    pub(super) fn declare_gone(&mut self, role: Role, node: NodeKey, now: Instant) {
        let Some(record) = self.catalog(role).get(&node) else {
            return;
        };
        let departure = Departure::sign(&self.network, &self.key, role, node, record.body.seq);
        self.end_record(departure, None, now);
    }

    /// Ends a record by a departure that was checked, and passes it on.
    pub(super) fn end_record(&mut self, departure: Departure, from: Option<NodeKey>, now: Instant) {
        let by_itself = departure.by == departure.node;
        let Some(record) = self.catalog_mut(departure.role).depart(departure.clone()) else {
            return;
        };
        tracing::debug!(role = ?record.body.role, by_itself, "a node is gone");
        self.spread.put(SpreadItem::Departure(departure), from, now);
        if record.body.role != Role::Sky {
            return;
        }
        self.is_dirty = true;
        if self.contacts.seed(&record.node).is_none()
            && let Some(peer) = self.peers.remove(&record.node)
        {
            for knock in peer.knocks {
                self.forward_next(knock, now);
            }
        }
        if !by_itself {
            self.peers.remember_lost(record.clone());
        }
        self.place_freed(&record, now);
    }
}
