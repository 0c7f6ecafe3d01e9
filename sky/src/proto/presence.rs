//! Who is present: leases of presence keys.
//!
//! An owner registers a blinded key for some minutes, renews it, and loses it with the connection. Whoever registers the key last has
//! it: the former connection of an owner that has just come back may take a while to be noticed as dead.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use hermes_wire::{
    ids::{PresenceKey, Slot},
    slots::Hash,
};

use super::{
    io::ConnId,
    replay::{NONCES_KEPT, Nonces, Repeated},
};

/// Keys whose knocks are remembered. Beyond it the one that has been quiet for longest is forgotten; to get there somebody has to
/// register and knock at that many keys within ten minutes, against the limits per source.
const NONCE_KEYS_MAX: usize = 262_144;

/// A registered key.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) conn: ConnId,
    pub(super) knock_root: Hash,
    pub(super) refused: u64,
    /// Knocks that wait for the owner.
    pub(super) waiting: usize,
    until: Instant,
}

impl Lease {
    pub(super) const fn refuses(&self, slot: Slot) -> bool {
        self.refused >> slot.get() & 1 == 1
    }
}

/// All leases, and the nonces of knocks, which outlive them.
#[derive(Debug, Default)]
pub(super) struct Presence {
    leases: BTreeMap<PresenceKey, Lease>,
    by_end: BTreeSet<(Instant, PresenceKey)>,
    nonces: BTreeMap<PresenceKey, (Instant, Nonces)>,
    nonces_by_end: BTreeSet<(Instant, PresenceKey)>,
}

impl Presence {
    pub(super) fn len(&self) -> usize {
        self.leases.len()
    }

    pub(super) fn get(&self, key: &PresenceKey) -> Option<&Lease> {
        self.leases.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &PresenceKey) -> Option<&mut Lease> {
        self.leases.get_mut(key)
    }

    /// Registers or renews a key. The connection that had it before is handed back if it is another one.
    pub(super) fn register(
        &mut self,
        key: PresenceKey,
        conn: ConnId,
        knock_root: Hash,
        refused: u64,
        until: Instant,
    ) -> Option<ConnId> {
        let former = self.remove(&key);
        let waiting = former.as_ref().map_or(0, |lease| lease.waiting);
        self.leases.insert(
            key,
            Lease {
                conn,
                knock_root,
                refused,
                waiting,
                until,
            },
        );
        self.by_end.insert((until, key));
        former
            .map(|lease| lease.conn)
            .filter(|former| *former != conn)
    }

    pub(super) fn remove(&mut self, key: &PresenceKey) -> Option<Lease> {
        let lease = self.leases.remove(key)?;
        self.by_end.remove(&(lease.until, *key));
        Some(lease)
    }

    /// Notes the nonce of a knock at a key, unless it must not pass.
    pub(super) fn note_nonce(
        &mut self,
        key: PresenceKey,
        slot: Slot,
        nonce: [u8; 16],
        share: usize,
        now: Instant,
    ) -> Result<(), Repeated> {
        if !self.nonces.contains_key(&key) && self.nonces.len() >= NONCE_KEYS_MAX {
            self.nonces_by_end
                .pop_first()
                .and_then(|(_, oldest)| self.nonces.remove(&oldest));
        }
        let (until, nonces) = self
            .nonces
            .entry(key)
            .or_insert_with(|| (now, Nonces::default()));
        let noted = nonces.note(slot.get(), nonce, share, now);
        self.nonces_by_end.remove(&(*until, key));
        *until = now + NONCES_KEPT;
        self.nonces_by_end.insert((*until, key));
        noted
    }

    /// Ends leases whose time is up, and forgets old nonces.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(PresenceKey, Lease)> {
        let mut ended = Vec::new();
        while let Some((until, key)) = self.by_end.first().copied()
            && until <= now
        {
            ended.extend(self.remove(&key).map(|lease| (key, lease)));
        }
        while let Some((until, key)) = self.nonces_by_end.first().copied()
            && until <= now
        {
            self.nonces_by_end.remove(&(until, key));
            self.nonces.remove(&key);
        }
        ended
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.by_end.first().map(|(until, _)| *until)
    }
}
