//! Our own record and place.
//!
//! The record is renewed at half of its life, and whenever somebody believes that we are gone.
//!
//! A place on the ring of sky nodes belongs to an address block (or, in a lab, to an address and port), so two nodes can want the same.
//! Whoever is there stays, as long as it answers: a newcomer who finds its place taken by a living node takes the block's second place,
//! and if that is taken too stays outside of the ring until one becomes free. Others who see two records for one place ask the one they
//! know for a sign of life ([`Claims`]) and let the newcomer in only if there is none.

use std::{collections::BTreeMap, time::Instant};

use ed25519_dalek::SigningKey;
use hermes_wire::{
    Network,
    ids::NodeKey,
    node::{Addr, Flags, MAX_AHEAD_S, MAX_LIFE_S, NodeRecord, RecordBody, RecordError, Role},
    sky::{Departure, SpreadItem},
};

use super::{
    Sky,
    catalog::Verdict,
    io::{Event, Output},
};

/// Claims under examination. More are dropped: the exchange of lists brings them up again.
const CLAIMS_MAX: usize = 64;

/// What we say about ourselves.
#[derive(Debug)]
pub(super) struct Own {
    record: NodeRecord,
    /// Whether the ring has no place for us.
    pub(super) is_outside: bool,
}

impl Own {
    pub(super) fn new(
        network: &Network,
        key: &SigningKey,
        addrs: Vec<Addr>,
        unix_ms: u64,
    ) -> Result<Self, RecordError> {
        let body = RecordBody {
            role: Role::Sky,
            flags: Flags::DIRECT,
            // Reserved for keepers behind NAT; a node that is dialled directly has no use for a secret of its own here.
            hpke_key: key.verifying_key().to_montgomery().to_bytes(),
            seq: unix_ms,
            expires: (unix_ms / 1_000).saturating_add(MAX_LIFE_S),
            slot: 0,
            addrs,
        };
        let record = NodeRecord::sign(network, key, body)?;
        record.verify_limits(network, unix_ms / 1_000)?;
        Ok(Self {
            record,
            is_outside: false,
        })
    }

    pub(super) const fn record(&self) -> &NodeRecord {
        &self.record
    }

    /// Signs anew, with a higher sequence number than before and than `above`.
    fn renew(&mut self, network: &Network, key: &SigningKey, above: u64, slot: u16, unix_ms: u64) {
        let seq = unix_ms
            .max(self.record.body.seq.saturating_add(1))
            .max(above.saturating_add(1));
        let expires = (unix_ms / 1_000)
            .saturating_add(MAX_LIFE_S)
            .min((seq / 1_000).saturating_add(MAX_LIFE_S));
        let body = RecordBody {
            seq,
            expires,
            slot,
            ..self.record.body.clone()
        };
        if let Ok(record) = NodeRecord::sign(network, key, body) {
            self.record = record;
        }
    }
}

/// Newcomers who want a place that a known node has, by the node that is asked for a sign of life.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<NodeKey, Claim>);

#[derive(Debug)]
struct Claim {
    record: NodeRecord,
    /// Whether the one who is asked is the newcomer itself, because the place is ours.
    is_ours: bool,
}

impl Claims {
    /// The address of a newcomer who is asked itself.
    pub(super) fn record_of(&self, node: &NodeKey) -> Option<&NodeRecord> {
        self.0
            .get(node)
            .filter(|claim| claim.is_ours)
            .map(|claim| &claim.record)
    }

    /// A node has given a sign of life. Whoever wanted its place does not get it.
    pub(super) fn answered(&mut self, node: &NodeKey) {
        if self.0.get(node).is_some_and(|claim| !claim.is_ours) {
            self.0.remove(node);
        }
    }

    /// A newcomer who wanted our place does not answer.
    pub(super) fn withdraw(&mut self, node: &NodeKey) {
        self.0.remove(node);
    }
}

impl Sky {
    /// A record came in for a place that another node has.
    pub(super) fn place_claimed(&mut self, record: NodeRecord, by: NodeKey, now: Instant) {
        let is_ours = by == self.me;
        // Once we have joined we are the one who is there. In a lab the place is our very address and port: whoever claims it was here
        // before us.
        let is_settled = is_ours && (self.is_joined || !self.network.is_diverse());
        if self.claims.0.len() >= CLAIMS_MAX || is_settled {
            return;
        }
        let asked = if is_ours { record.node } else { by };
        self.claims.0.insert(asked, Claim { record, is_ours });
        if is_ours {
            // A connection that stands does not prove the address: only dialling does.
            self.dial(asked, now);
        } else {
            self.check(asked, now);
        }
    }

    /// A node that was dialled answers; if it was at our place before us, we must look for another.
    pub(super) fn claimant_answered(&mut self, node: &NodeKey, now: Instant) {
        let Some(claim) = self.claims.0.remove(node) else {
            return;
        };
        if !claim.is_ours || self.own.is_outside {
            return;
        }
        let other_slot = 1 - self.own.record.body.slot.min(1);
        self.sky.remove(&self.me);
        self.own.renew(
            &self.network,
            &self.key,
            0,
            other_slot,
            self.clock.unix_ms(now),
        );
        if self.sky.judge(&claim.record) == Verdict::News {
            self.sky.insert(claim.record);
        }
        self.take_place(now);
    }

    /// Puts our record on the ring, and tells it.
    fn take_place(&mut self, now: Instant) {
        let record = self.own.record.clone();
        let is_outside = self.sky.judge(&record) != Verdict::News;
        let was_outside = std::mem::replace(&mut self.own.is_outside, is_outside);
        if is_outside {
            if !was_outside {
                self.out(Output::Event(Event::PlaceTaken));
            }
            return;
        }
        self.sky.insert(record.clone());
        self.is_dirty = true;
        self.spread
            .put(SpreadItem::Record(Box::new(record)), None, now);
    }

    /// A member has gone: its place is free for the newcomer who waited for it.
    pub(super) fn place_freed(&mut self, former: &NodeRecord, now: Instant) {
        let Some(claim) = self.claims.0.remove(&former.node) else {
            return;
        };
        if !claim.is_ours && self.sky.judge(&claim.record) == Verdict::News {
            self.spread.put(
                SpreadItem::Record(Box::new(claim.record.clone())),
                None,
                now,
            );
            self.sky.insert(claim.record);
        }
    }

    /// Signs our record anew and tells it.
    pub(super) fn renew_own(&mut self, above: u64, now: Instant) {
        let slot = self.own.record.body.slot;
        self.own.renew(
            &self.network,
            &self.key,
            above,
            slot,
            self.clock.unix_ms(now),
        );
        self.take_place(now);
    }

    /// Renews our record when half of its life is over, or when there is a place for us at last.
    pub(super) fn renew_own_in_time(&mut self, now: Instant) {
        let left = self
            .own
            .record
            .body
            .expires
            .saturating_sub(self.clock.unix_s(now));
        let has_room_now = self.own.is_outside && self.sky.judge(&self.own.record) == Verdict::News;
        if left <= MAX_LIFE_S / 2 || has_room_now {
            self.renew_own(0, now);
        }
    }

    /// Somebody has a record of ours that we did not sign just now: from before a restart with a clock that was set back since.
    pub(super) fn own_record_seen(&mut self, record: &NodeRecord, now: Instant) {
        let unix_s = self.clock.unix_s(now);
        if record.body.seq > self.own.record.body.seq
            && record.verify(&self.network, unix_s).is_ok()
        {
            self.renew_own(record.body.seq, now);
        }
    }

    /// Somebody says that we are gone.
    pub(super) fn declared_gone_ourselves(&mut self, departure: &Departure, now: Instant) {
        let latest = self
            .clock
            .unix_ms(now)
            .saturating_add(MAX_AHEAD_S.saturating_mul(1_000));
        if departure.seq >= self.own.record.body.seq
            && departure.seq < latest
            && self.leaving.is_none()
        {
            self.renew_own(departure.seq, now);
        }
    }
}
