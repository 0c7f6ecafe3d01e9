//! What a node does without being asked: looking after neighbours, forgetting what has ended, storing, leaving.

use std::time::{Duration, Instant};

use hermes_ring::Links;
use hermes_wire::{
    node::{NodeRecord, Role},
    sky::{Departure, Request, SpreadItem},
};

use super::{
    Sky,
    conns::Purpose,
    io::{ConnId, Event, Output},
};

/// How often a node looks after its neighbours. With the time for a sign of life and two dials, a dead node is noticed within about
/// twenty seconds; the cost is three small requests.
pub(super) const WATCH_EVERY: Duration = Duration::from_secs(10);

/// The list of sky nodes is written to the disk at most so often, apart from the first time.
const STORE_EVERY: Duration = Duration::from_secs(60);

/// How long a goodbye may take.
const LEAVE_WAIT: Duration = Duration::from_secs(2);

/// A goodbye under way.
#[derive(Debug)]
pub(super) struct Leaving {
    deadline: Instant,
    /// Links that have not yet confirmed it.
    waiting: usize,
    is_told: bool,
}

impl Leaving {
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Sky {
    pub(super) fn watch(&mut self, now: Instant) {
        let unix_s = self.clock.unix_s(now);
        for record in self.sky.expire(unix_s) {
            self.is_dirty = true;
            self.place_freed(&record, now);
        }
        self.earth.expire(unix_s);
        if self.leaving.is_none() {
            self.renew_own_in_time(now);
            self.watch_peers(now);
            self.watch_keepers(now);
        }
        self.store_in_time(now);
    }

    /// Stores the list of sky nodes if it has changed and some time has passed.
    pub(super) fn store_in_time(&mut self, now: Instant) {
        let is_time = self
            .stored_at
            .is_none_or(|at| now.saturating_duration_since(at) >= STORE_EVERY);
        if is_time && self.is_dirty {
            self.store(now);
        }
    }

    fn store(&mut self, now: Instant) {
        self.is_dirty = false;
        self.stored_at = Some(now);
        let members = self
            .sky
            .ring()
            .iter()
            .map(|member| &member.value)
            .filter(|record| record.node != self.me);
        let records: Vec<NodeRecord> = members.chain(self.peers.lost()).cloned().collect();
        self.out(Output::Store { records });
    }

    pub(super) fn leave(&mut self, now: Instant) {
        if self.leaving.is_some() {
            return;
        }
        self.store(now);
        let departure = Departure::sign(
            &self.network,
            &self.key,
            Role::Sky,
            self.me,
            self.own.record().body.seq,
        );
        let links = self.sky.ring().links(&self.point(), Links::Fingers);
        let conns: Vec<ConnId> = links
            .iter()
            .filter_map(|node| self.conns.of_node(node))
            .map(|conn| conn.facts.conn)
            .collect();
        self.leaving = Some(Leaving {
            deadline: now + LEAVE_WAIT,
            waiting: conns.len(),
            is_told: false,
        });
        for conn in conns {
            let farewell = SpreadItem::Departure(departure.clone());
            self.call(
                conn,
                Purpose::Farewell,
                Request::Spread(vec![farewell]),
                LEAVE_WAIT,
                now,
            );
        }
        self.leave_in_time(now);
    }

    /// A link has confirmed our goodbye, or will not.
    pub(super) fn farewell_heard(&mut self, now: Instant) {
        if let Some(leaving) = &mut self.leaving {
            leaving.waiting = leaving.waiting.saturating_sub(1);
        }
        self.leave_in_time(now);
    }

    pub(super) fn leave_in_time(&mut self, now: Instant) {
        let Some(leaving) = &mut self.leaving else {
            return;
        };
        let is_over = leaving.waiting == 0 || leaving.deadline <= now;
        if is_over && !std::mem::replace(&mut leaving.is_told, true) {
            // Nothing is left to wait for; the deadline must not wake the driver again and again.
            leaving.deadline = now + Duration::from_secs(86_400);
            self.out(Output::Event(Event::Left));
        }
    }
}
