//! The records of one role: who is known, who is known to be gone.
//!
//! Of two records of one node the higher sequence number counts. A departure names the record that it ends; it is remembered for as
//! long as that record could still be offered by somebody, so that the dead do not come back through those who have not heard.
//! Two nodes that have seen the same records and departures, in any order, list the same nodes.

use std::collections::{BTreeMap, BTreeSet};

use hermes_ring::{Inserted, Member, Ring, Seat};
use hermes_wire::{
    Network, Wire as _,
    ids::NodeKey,
    node::{MAX_LIFE_S, NodeRecord},
    sky::{self, Departure},
    slots::Hash,
};

/// What a record would mean for the catalog, its signature aside.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is news.
    News,
    /// It is the one we have, or older than that.
    Known,
    /// Its node has departed since.
    Gone(Departure),
    /// Another node has its point.
    Taken { by: NodeKey },
    /// The catalog has no room for more nodes.
    Full,
}

/// The records of one role.
#[derive(Debug)]
pub(super) struct Catalog {
    network: Network,
    records_max: usize,
    ring: Ring<NodeRecord>,
    by_end: BTreeSet<(u64, NodeKey)>,
    gone: BTreeMap<NodeKey, Departure>,
    gone_by_end: BTreeSet<(u64, NodeKey)>,
    digest: Option<Hash>,
}

impl Catalog {
    pub(super) fn new(network: Network, records_max: usize) -> Self {
        Self {
            network,
            records_max,
            ring: Ring::new(),
            by_end: BTreeSet::new(),
            gone: BTreeMap::new(),
            gone_by_end: BTreeSet::new(),
            digest: None,
        }
    }

    pub(super) const fn ring(&self) -> &Ring<NodeRecord> {
        &self.ring
    }

    pub(super) fn get(&self, node: &NodeKey) -> Option<&NodeRecord> {
        self.ring.get(node).map(|member| &member.value)
    }

    pub(super) fn contains(&self, node: &NodeKey) -> bool {
        self.ring.contains(node)
    }

    /// What a record of this role would change.
    pub(super) fn judge(&self, record: &NodeRecord) -> Verdict {
        if let Some(departure) = self.gone.get(&record.node)
            && departure.seq >= record.body.seq
        {
            return Verdict::Gone(departure.clone());
        }
        let known = self.get(&record.node);
        if known.is_some_and(|known| !record.replaces(known)) {
            return Verdict::Known;
        }
        match self.ring.at(&record.point(&self.network)) {
            Some(occupant) if occupant.seat.key != record.node => Verdict::Taken {
                by: occupant.seat.key,
            },
            _ if known.is_none() && self.ring.len() >= self.records_max => Verdict::Full,
            _ => Verdict::News,
        }
    }

    /// Takes a record in that was judged to be news and whose signature holds.
    pub(super) fn insert(&mut self, record: NodeRecord) {
        let Some(seat) = Seat::of(&self.network, &record) else {
            return;
        };
        let (node, end) = (record.node, record.body.expires);
        match self.ring.insert(seat, record) {
            Inserted::New => {}
            Inserted::Replaced(former) => {
                self.by_end.remove(&(former.value.body.expires, node));
            }
            Inserted::Taken { .. } => return,
        }
        self.by_end.insert((end, node));
        self.forget_departure(&node);
        self.digest = None;
    }

    /// Takes a node out without a word.
    pub(super) fn remove(&mut self, node: &NodeKey) -> Option<NodeRecord> {
        let Member { value: record, .. } = self.ring.remove(node)?;
        self.by_end.remove(&(record.body.expires, *node));
        self.digest = None;
        Some(record)
    }

    /// Whether a departure would end a record that is listed.
    pub(super) fn ends(&self, departure: &Departure) -> bool {
        self.get(&departure.node)
            .is_some_and(|record| record.body.seq <= departure.seq)
    }

    /// Ends the record that a departure names, and remembers it. The caller has checked who says so.
    pub(super) fn depart(&mut self, departure: Departure) -> Option<NodeRecord> {
        if !self.ends(&departure) {
            return None;
        }
        let record = self.remove(&departure.node)?;
        if self.gone.len() >= self.records_max {
            self.gone_by_end
                .pop_first()
                .and_then(|(_, oldest)| self.gone.remove(&oldest));
        }
        self.forget_departure(&departure.node);
        self.gone_by_end
            .insert((end_of(&departure), departure.node));
        self.gone.insert(departure.node, departure);
        Some(record)
    }

    fn forget_departure(&mut self, node: &NodeKey) {
        if let Some(departure) = self.gone.remove(node) {
            self.gone_by_end.remove(&(end_of(&departure), *node));
        }
    }

    /// Drops what has ended.
    pub(super) fn expire(&mut self, unix_s: u64) -> Vec<NodeRecord> {
        let mut ended = Vec::new();
        while let Some((end, node)) = self.by_end.first().copied()
            && end <= unix_s
        {
            ended.extend(self.remove(&node));
        }
        while let Some((end, node)) = self.gone_by_end.first().copied()
            && end <= unix_s
        {
            self.forget_departure(&node);
        }
        ended
    }

    /// The records after a key in the order of keys: at most `count` and about `bytes`, at least one if there is one. And whether
    /// others follow.
    pub(super) fn page(
        &self,
        after: &NodeKey,
        count: usize,
        bytes: usize,
    ) -> (Vec<NodeRecord>, bool) {
        let mut records = Vec::new();
        let mut left = bytes;
        let mut rest = self
            .ring
            .by_key(after)
            .map(|member| &member.value)
            .peekable();
        while let Some(record) = rest.peek() {
            // Two bytes of length stand before each.
            let len = record.to_bytes().len().saturating_add(2);
            if records.len() >= count || (len > left && !records.is_empty()) {
                return (records, true);
            }
            left = left.saturating_sub(len);
            records.extend(rest.next().cloned());
        }
        (records, false)
    }

    /// The digest over all that is listed.
    pub(super) fn digest(&mut self) -> Hash {
        let records = self
            .ring
            .iter()
            .map(|member| (member.seat.key, member.value.body.seq));
        *self.digest.get_or_insert_with(|| sky::digest(records))
    }
}

/// Until when the record that a departure ends could be offered: a record lives [`MAX_LIFE_S`] from its signing at most.
fn end_of(departure: &Departure) -> u64 {
    (departure.seq / 1_000).saturating_add(MAX_LIFE_S)
}
