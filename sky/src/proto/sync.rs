//! Exchange of whole lists between two nodes whose digests differ.
//!
//! The one that noticed asks for the other's list page by page (LIST), takes in what is news to it, and finally sends what the other
//! lacks (SPREAD). While a node joins, what it learns this way is no news to anybody else and is not passed on.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use hermes_wire::{
    Wire as _,
    ids::NodeKey,
    node::{NodeRecord, Role},
    sky::{Departure, Digests, List, Listed, Request, SpreadItem},
};

use super::{
    Sky,
    catalog::Verdict,
    conns::Purpose,
    io::{CallFailure, Close, ConnId},
    limits::{Kind, Payer},
    peers::{ALIVE_WAIT, CALL_WAIT},
};

/// Records asked for in one page. A record has about 200 bytes.
const PAGE: u16 = 1_024;

/// Two nodes that see different lists even after an exchange (each refuses something that the other holds) do not repeat it before
/// this time, as long as nothing changes.
const SAME_AGAIN: Duration = Duration::from_secs(300);

/// The least time between two exchanges with one peer, for each record in our lists: with 200 bytes a record that is 2 kbit/s. News on
/// their way make lists differ for a moment, the more often the larger the network; without this, large networks would read whole lists
/// all the time.
const PER_RECORD: Duration = Duration::from_millis(800);

/// But after this time it may always be done again.
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

/// A comparison with one peer, and the exchange that follows from it.
#[derive(Debug)]
pub(super) struct Exchange {
    ours: Digests,
    theirs: Digests,
    at: Instant,
    pull: Option<Pull>,
    next: VecDeque<Role>,
}

/// A list that is being read.
#[derive(Debug)]
struct Pull {
    role: Role,
    after: NodeKey,
    theirs: BTreeMap<NodeKey, u64>,
}

impl Sky {
    /// Asks a node for its digests, unless the question is open already.
    pub(super) fn compare(&mut self, conn: ConnId, now: Instant) {
        if !self.conns.has_call(conn, Purpose::Compare) {
            self.call(conn, Purpose::Compare, Request::Digest, ALIVE_WAIT, now);
        }
    }

    pub(super) fn digests(&mut self) -> Digests {
        Digests {
            sky: self.sky.digest(),
            earth: self.earth.digest(),
        }
    }

    pub(super) fn compared(
        &mut self,
        conn: ConnId,
        answer: Result<Vec<u8>, CallFailure>,
        now: Instant,
    ) {
        let Some(node) = self.conns.get(conn).and_then(|conn| conn.facts.node) else {
            return;
        };
        self.claims.answered(&node);
        let Some(theirs) = answer.ok().and_then(|body| Digests::decode(&body).ok()) else {
            return;
        };
        let ours = self.digests();
        if ours == theirs {
            self.joined(now);
            return;
        }
        let records = self
            .sky
            .ring()
            .len()
            .saturating_add(self.earth.ring().len());
        let interval = PER_RECORD
            .saturating_mul(u32::try_from(records).unwrap_or(u32::MAX))
            .min(INTERVAL_MAX);
        let peer = self.peers.table.entry(node).or_default();
        if let Some(last) = &peer.exchange {
            let age = now.saturating_duration_since(last.at);
            let is_same = last.ours == ours && last.theirs == theirs && age < SAME_AGAIN;
            if last.pull.is_some() || is_same || age < interval {
                return;
            }
        }
        let differs = [
            (Role::Sky, ours.sky != theirs.sky),
            (Role::Earth, ours.earth != theirs.earth),
        ];
        let next = differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(role, _)| role)
            .collect();
        peer.exchange = Some(Exchange {
            ours,
            theirs,
            at: now,
            pull: None,
            next,
        });
        self.exchange_next(node, conn, now);
    }

    fn exchange_next(&mut self, node: NodeKey, conn: ConnId, now: Instant) {
        let Some(exchange) = self
            .peers
            .table
            .get_mut(&node)
            .and_then(|peer| peer.exchange.as_mut())
        else {
            return;
        };
        let Some(role) = exchange.next.pop_front() else {
            exchange.pull = None;
            self.exchanged(node, now);
            return;
        };
        exchange.pull = Some(Pull {
            role,
            after: NodeKey([0; 32]),
            theirs: BTreeMap::new(),
        });
        self.ask_page(node, conn, now);
    }

    /// Both lists were exchanged with a peer.
    fn exchanged(&mut self, node: NodeKey, now: Instant) {
        // A node of another network has nothing that is valid here, not even its own record.
        if self.sky.contains(&node) || self.sky.ring().len() > 1 {
            self.joined(now);
        } else if !self.is_joined {
            tracing::warn!(
                "a node to join by has no record that is valid in this network; is it of another one?"
            );
            self.contact_failed(&node, now);
        }
    }

    fn ask_page(&mut self, node: NodeKey, conn: ConnId, now: Instant) {
        let pull = self
            .peers
            .table
            .get(&node)
            .and_then(|peer| peer.exchange.as_ref()?.pull.as_ref());
        let Some(list) = pull.map(|pull| List {
            role: pull.role,
            after: pull.after,
            max: PAGE,
        }) else {
            return;
        };
        self.call(conn, Purpose::Page, Request::List(list), CALL_WAIT, now);
    }

    pub(super) fn page_came(
        &mut self,
        conn: ConnId,
        answer: Result<Vec<u8>, CallFailure>,
        now: Instant,
    ) {
        let Some(node) = self.conns.get(conn).and_then(|conn| conn.facts.node) else {
            return;
        };
        let page = answer.ok().and_then(|body| Listed::decode(&body).ok());
        let Some(exchange) = self
            .peers
            .table
            .get_mut(&node)
            .and_then(|peer| peer.exchange.as_mut())
        else {
            return;
        };
        let (Some(pull), Some(page)) = (exchange.pull.as_mut(), page) else {
            // Try again when the next comparison finds a difference.
            if let Some(peer) = self.peers.table.get_mut(&node) {
                peer.exchange = None;
            }
            return;
        };
        let role = pull.role;
        let room = self.limits.records_max(role);
        let mut is_sound = !(page.more && page.records.is_empty());
        for record in &page.records {
            is_sound &=
                record.body.role == role && record.node > pull.after && pull.theirs.len() < room;
            pull.after = record.node;
            pull.theirs.insert(record.node, record.body.seq);
        }
        if !is_sound {
            self.close(conn, Close::Silent, now);
            return;
        }
        let source = Source {
            node,
            is_spread: false,
        };
        let learned = page
            .records
            .into_iter()
            .filter_map(|record| self.learn(record, source, now));
        let gone: Vec<SpreadItem> = learned.map(SpreadItem::Departure).collect();
        self.send_news(conn, gone, now);
        if page.more {
            self.ask_page(node, conn, now);
            return;
        }
        let missing = self.missing(node);
        self.send_news(conn, missing, now);
        self.exchange_next(node, conn, now);
    }

    /// What a peer whose list was read lacks.
    fn missing(&self, node: NodeKey) -> Vec<SpreadItem> {
        let pull = self
            .peers
            .table
            .get(&node)
            .and_then(|peer| peer.exchange.as_ref()?.pull.as_ref());
        let Some(pull) = pull else { return Vec::new() };
        let ours = self
            .catalog(pull.role)
            .ring()
            .iter()
            .map(|member| &member.value);
        ours.filter(|record| {
            pull.theirs
                .get(&record.node)
                .is_none_or(|seq| *seq < record.body.seq)
        })
        .map(|record| SpreadItem::Record(Box::new(record.clone())))
        .collect()
    }
}

/// Where news came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) node: NodeKey,
    /// Whether it was told unasked. What is read while joining is news to nobody else.
    pub(super) is_spread: bool,
}

impl Sky {
    /// Takes a record in, if it is news, and passes it on. If its node has departed since, that is what the source should know.
    pub(super) fn learn(
        &mut self,
        record: NodeRecord,
        source: Source,
        now: Instant,
    ) -> Option<Departure> {
        if record.body.role == Role::Sky && record.node == self.me {
            self.own_record_seen(&record, now);
            return None;
        }
        let verdict = self.catalog(record.body.role).judge(&record);
        match verdict {
            Verdict::Known | Verdict::Full => return None,
            Verdict::Gone(departure) => return Some(departure),
            Verdict::News | Verdict::Taken { .. } => {}
        }
        if let Err(error) = record.verify(&self.network, self.clock.unix_s(now)) {
            tracing::debug!(%error, "a record is not acceptable");
            return None;
        }
        if let Verdict::Taken { by } = verdict {
            self.place_claimed(record, by, now);
            return None;
        }
        if source.is_spread || self.is_joined {
            self.spread.put(
                SpreadItem::Record(Box::new(record.clone())),
                Some(source.node),
                now,
            );
        }
        if record.body.role == Role::Sky {
            self.is_dirty = true;
            self.peers.found(&record.node);
        }
        self.catalog_mut(record.body.role).insert(record);
        None
    }

    /// Takes a departure in, if it is news from somebody who may say such a thing, and passes it on.
    pub(super) fn learn_departure(&mut self, departure: Departure, source: Source, now: Instant) {
        let is_ours = departure.role == Role::Sky && departure.node == self.me;
        if !is_ours && !self.catalog(departure.role).ends(&departure) {
            return;
        }
        if departure.by != departure.node && !self.sky.contains(&departure.by) {
            return;
        }
        let charged = self
            .limiter
            .take(Payer::Node(departure.by), Kind::Departures, 1, now);
        if charged.is_err() || departure.verify(&self.network).is_err() {
            return;
        }
        if is_ours {
            self.declared_gone_ourselves(&departure, now);
        } else if let Some(conn) = self.homes.of_departed(&departure) {
            // We know better; but others have dropped the record already, and only a newer one helps.
            if let Some(conn) = conn {
                self.close(conn, Close::AnnounceAnew, now);
            }
        } else {
            self.end_record(departure, Some(source.node), now);
        }
    }
}
