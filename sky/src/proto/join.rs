//! Joining: finding somebody who knows the network.
//!
//! A node that starts tries those it was told of and those it knew before, a few at a time, until its lists agree with those of one of
//! them. With nobody to try it is the first of its network. If nobody answers it goes on serving and trying.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Instant,
};

use hermes_wire::{ids::NodeKey, node::NodeRecord};

use super::{
    Sky,
    io::{Event, Output},
    peers::Reach,
};

/// Peers that are dialled at once while joining.
const CONTACTS_AT_ONCE: usize = 3;

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
    pub(super) fn joined(&mut self) {
        if std::mem::replace(&mut self.is_joined, true) {
            return;
        }
        self.contacts.next.clear();
        self.contacts.open.clear();
        self.is_dirty = true;
        self.stored_at = None;
        self.out(Output::Event(Event::Joined));
    }
}
