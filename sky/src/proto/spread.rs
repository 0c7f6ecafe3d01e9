//! News on their way to the ring's links.
//!
//! What a node learns for the first time it passes on to its links, all but the one it came from; what it knows already it drops. So
//! each item crosses each link at most twice and reaches everybody in about log2 N steps. News are gathered for [`GATHER`], so that a
//! burst (a partition that heals, many keepers that lost their home) travels in few frames.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hermes_ring::Links;
use hermes_wire::{
    Wire as _,
    ids::NodeKey,
    node::Role,
    sky::{Request, SpreadItem},
};

use super::{
    Sky,
    conns::Purpose,
    io::ConnId,
    peers::{CALL_WAIT, Reach},
};

/// The least time between two rounds of news. The first item after a quiet time leaves at once.
const GATHER: Duration = Duration::from_millis(100);

/// Bytes of items in one SPREAD. Below the frame's limit (262 144), and small enough not to block a slow link for long.
const SPREAD_BYTES: usize = 65_536;

/// Requests that may be open on a connection before news are dropped for it: the exchange of lists finds what is missing.
const OPEN_CALLS_MAX: usize = 64;

/// What an item is about: of two items about the same thing only the later one need travel.
type About = (u8, NodeKey);

/// News that wait for the next round, and from whom they came.
#[derive(Debug, Default)]
pub(super) struct Spread {
    items: BTreeMap<About, (SpreadItem, Option<NodeKey>)>,
    last: Option<Instant>,
    next: Option<Instant>,
}

impl Spread {
    pub(super) fn put(&mut self, item: SpreadItem, from: Option<NodeKey>, now: Instant) {
        self.items.insert(about(&item), (item, from));
        let earliest = self.last.map_or(now, |last| last + GATHER);
        self.next.get_or_insert(earliest.max(now));
    }

    pub(super) const fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    /// What is to be sent now, if it is time.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(SpreadItem, Option<NodeKey>)> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        self.next = None;
        self.last = Some(now);
        std::mem::take(&mut self.items).into_values().collect()
    }
}

/// Cuts items into SPREAD bodies.
fn batches(items: Vec<SpreadItem>) -> Vec<Vec<SpreadItem>> {
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    let mut bytes = 0_usize;
    for item in items {
        bytes = bytes.saturating_add(len(&item));
        if bytes > SPREAD_BYTES && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = len(&item);
        }
        batch.push(item);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

fn len(item: &SpreadItem) -> usize {
    match item {
        SpreadItem::Record(record) => record.to_bytes().len(),
        SpreadItem::Departure(departure) => departure.to_bytes().len(),
    }
}

fn about(item: &SpreadItem) -> About {
    let (role, node) = match item {
        SpreadItem::Record(record) => (record.body.role, record.node),
        SpreadItem::Departure(departure) => (departure.role, departure.node),
    };
    // A record and the departure that follows it are about the same thing: the later one says it all.
    (if role == Role::Sky { 1 } else { 2 }, node)
}

impl Sky {
    /// Sends what is new to the ring's links.
    pub(super) fn flush_news(&mut self, now: Instant) {
        let items = self.spread.take(now);
        if items.is_empty() {
            return;
        }
        for link in self.sky.ring().links(&self.point(), Links::Fingers) {
            let news: Vec<SpreadItem> = items
                .iter()
                .filter(|(_, from)| *from != Some(link))
                .map(|(item, _)| item.clone())
                .collect();
            if news.is_empty() {
                continue;
            }
            match self.reach(link, now) {
                Reach::Open(conn) => self.send_news(conn, news, now),
                Reach::Dialling => {
                    self.peers.queue_news(&link, news);
                }
                Reach::Not => {}
            }
        }
    }

    pub(super) fn send_news(&mut self, conn: ConnId, items: Vec<SpreadItem>, now: Instant) {
        for batch in batches(items) {
            if self.conns.open_calls(conn) >= OPEN_CALLS_MAX {
                return;
            }
            self.call(
                conn,
                Purpose::Spread,
                Request::Spread(batch),
                CALL_WAIT,
                now,
            );
        }
    }
}
