//! Joining: finding somebody who knows the network.
//!
//! A node that starts tries those it was told of and those it knew before, a few at a time, until its lists agree with those of one of
//! them. With nobody to try it is the first of its network. If nobody answers it goes on serving and trying.
//!
//! Then it introduces itself to its links on the ring, and counts as joined when they have confirmed it: from then on others find it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use hermes_ring::Links;
use hermes_wire::{ids::NodeKey, node::NodeRecord, sky::SpreadItem};

use super::{
    Sky,
    io::{Event, Output},
    peers::Reach,
};

/// Peers that are dialled at once while joining.
const CONTACTS_AT_ONCE: usize = 3;

/// How long links may take to confirm an introduction. Some may be dead.
const INTRODUCTION_WAIT: Duration = Duration::from_secs(2);

/// Whom to ask for the network.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    /// Given by the operator.
    seeds: BTreeMap<NodeKey, SocketAddr>,
    /// Whom to try next.
    next: VecDeque<NodeKey>,
    /// Who is being tried.
    open: BTreeSet<NodeKey>,
    has_told_failure: bool,
    /// Links that have not yet confirmed our record, and until when they are waited for.
    introduction: Option<(BTreeSet<NodeKey>, Instant)>,
}

impl Contacts {
    pub(super) fn new(
        seeds: impl IntoIterator<Item = (NodeKey, SocketAddr)>,
        known: &[NodeRecord],
    ) -> Self {
        let seeds: BTreeMap<_, _> = seeds.into_iter().collect();
        let others = known
            .iter()
            .map(|record| record.node)
            .filter(|node| !seeds.contains_key(node));
        let next = seeds.keys().copied().chain(others).collect();
        Self {
            seeds,
            next,
            ..Self::default()
        }
    }

    /// Whether there is nobody left to try.
    pub(super) fn is_exhausted(&self) -> bool {
        self.next.is_empty() && self.open.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.introduction.as_ref().map(|(_, deadline)| *deadline)
    }

    pub(super) fn seeds(&self) -> impl Iterator<Item = &NodeKey> {
        self.seeds.keys()
    }

    pub(super) fn seed(&self, node: &NodeKey) -> Option<SocketAddr> {
        self.seeds.get(node).copied()
    }
}

impl Sky {
    /// Dials the next peers that may know the network, until it is joined.
    pub(super) fn try_contacts(&mut self, now: Instant) {
        while !self.is_joined && self.contacts.open.len() < CONTACTS_AT_ONCE {
            let Some(node) = self.contacts.next.pop_front() else {
                break;
            };
            match self.reach(node, now) {
                Reach::Not => {}
                Reach::Dialling => {
                    self.contacts.open.insert(node);
                }
                Reach::Open(conn) => {
                    self.contacts.open.insert(node);
                    self.compare(conn, now);
                }
            }
        }
        if !self.is_joined
            && self.contacts.is_exhausted()
            && !std::mem::replace(&mut self.contacts.has_told_failure, true)
        {
            self.out(Output::Event(Event::NobodyAnswers));
        }
    }

    pub(super) fn contact_failed(&mut self, node: &NodeKey, now: Instant) {
        if self.contacts.open.remove(node) {
            self.try_contacts(now);
        }
    }

    /// Begins another round of contacts when the last one led nowhere.
    pub(super) fn renew_contacts(&mut self, now: Instant) {
        if self.is_joined || !self.contacts.is_exhausted() {
            return;
        }
        let members = self
            .sky
            .ring()
            .iter()
            .map(|member| member.seat.key)
            .filter(|node| *node != self.me);
        self.contacts.next = self.contacts.seeds.keys().copied().chain(members).collect();
        self.try_contacts(now);
    }

    /// The lists agree with those of a peer.
    pub(super) fn joined(&mut self, now: Instant) {
        if std::mem::replace(&mut self.is_joined, true) {
            return;
        }
        self.contacts.next.clear();
        self.contacts.open.clear();
        self.is_dirty = true;
        self.stored_at = None;
        let links = self.sky.ring().links(&self.point(), Links::Fingers);
        self.contacts.introduction =
            Some((links.iter().copied().collect(), now + INTRODUCTION_WAIT));
        for link in links {
            match self.reach(link, now) {
                Reach::Open(conn) => {
                    let record = SpreadItem::Record(Box::new(self.own.record().clone()));
                    self.send_news(conn, vec![record], now);
                }
                // Whoever is dialled is told by the greeting.
                Reach::Dialling => {}
                Reach::Not => self.introduced(&link, now),
            }
        }
        self.introduced_in_time(now);
    }

    /// A link has our record, or cannot be told.
    pub(super) fn introduced(&mut self, node: &NodeKey, now: Instant) {
        if let Some((waiting, _)) = &mut self.contacts.introduction {
            waiting.remove(node);
            self.introduced_in_time(now);
        }
    }

    pub(super) fn introduced_in_time(&mut self, now: Instant) {
        let is_over = |(waiting, deadline): &mut (BTreeSet<NodeKey>, Instant)| {
            waiting.is_empty() || *deadline <= now
        };
        if self.contacts.introduction.take_if(is_over).is_some() {
            self.out(Output::Event(Event::Joined));
        }
    }
}
