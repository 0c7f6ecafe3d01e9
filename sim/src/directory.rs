//! What everybody knows of sky and through sky: the list of keepers, and who is present under which key.
//!
//! Sky is a model here, and one that never fails: one list that all people see, onto which a keeper comes some time after it starts and
//! from which it goes at once when it says goodbye, or after the time of detection when it does not. Presence keys are registered at
//! one place. The machines of sky, several of them, and what they hide or invent are not simulated yet.

use std::collections::BTreeMap;

use hermes_ring::{Inserted, Ring, Rules, Seat};
use hermes_underworld::{PresenceState, effect::PresenceWish};
use hermes_wire::{
    ids::{NodeKey, Position, PresenceKey},
    mailbox::keeper_point,
    slots::Hash,
};

use crate::{
    handle::{KeeperId, PersonId},
    ledger::Scope,
    world::Sim,
};

/// A keeper as it stands on the list.
pub(crate) type Target = (usize, NodeKey);

/// How long sky keeps the presence of somebody who is gone without a word.
pub(crate) const IDLE_MS: u64 = 30_000;

/// The list of keepers, and presence.
#[derive(Default)]
pub(crate) struct Directory {
    ring: Ring<usize>,
    presence: BTreeMap<PresenceKey, Registration>,
}

/// Somebody's presence.
pub(crate) struct Registration {
    pub(crate) owner: PersonId,
    pub(crate) knock_root: Hash,
    pub(crate) refused: u64,
    pub(crate) epoch: u32,
}

impl Directory {
    /// Keepers on the list.
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(crate) fn registration(&self, presence: &PresenceKey) -> Option<&Registration> {
        self.presence.get(presence)
    }
}

impl Sim {
    /// The keepers of a position: those to write to, and then those to take when one fails.
    pub(crate) fn holders(&self, position: &Position) -> Vec<Target> {
        let rules = Rules::of(&self.network);
        let holders = self
            .directory
            .ring
            .holders(position, &rules, rules.candidates());
        holders
            .candidates()
            .map(|member| (member.value, member.seat.key))
            .collect()
    }

    /// The keepers near the first position in order, and all that are near either.
    pub(crate) fn readers_of(&self, positions: &[Position; 2]) -> (Vec<Target>, Vec<Target>) {
        let [first, second] = positions;
        let first = self.holders(first);
        let mut all = first.clone();
        for target in self.holders(second) {
            if !all.contains(&target) {
                all.push(target);
            }
        }
        (first, all)
    }

    pub(crate) fn listed(&mut self, at: KeeperId) {
        let Some(host) = self.keepers.get(at.slot).filter(|host| host.is(at)) else {
            return;
        };
        let seat = Seat {
            point: keeper_point(&host.node),
            key: host.node,
            prefix: host.addr.prefix(),
            direct: true,
        };
        // Two keepers at one point would need equal hashes of their keys.
        if let Inserted::Taken { .. } = self.directory.ring.insert(seat, at.slot) {
            self.ledger
                .violate(format!("{at} finds its point on the ring taken"));
        }
    }

    /// A keeper left without a word; if it came back meanwhile under the same key it stays.
    pub(crate) fn delisted(&mut self, slot: usize, node: NodeKey) {
        let back = self
            .keepers
            .get(slot)
            .is_some_and(|host| host.is_up() && host.node == node);
        if !back {
            self.directory.ring.remove(&node);
        }
    }

    pub(crate) fn register(&mut self, who: PersonId, wishes: &[PresenceWish]) {
        if !self.is_alive(who) {
            return;
        }
        self.directory
            .presence
            .retain(|_, registration| registration.owner.slot != who.slot);
        for wish in wishes {
            let epoch = wish.epoch.0;
            self.ledger.seen(wish.presence.0, Scope::Epoch(epoch));
            self.ledger.seen(wish.knock_root, Scope::Epoch(epoch));
            let registration = Registration {
                owner: who,
                knock_root: wish.knock_root,
                refused: wish.refused,
                epoch,
            };
            self.directory.presence.insert(wish.presence, registration);
        }
        self.feed(who, |core, now| {
            core.handle_presence(PresenceState::Registered, now)
        });
    }

    pub(crate) fn unregister(&mut self, who: PersonId) {
        self.directory
            .presence
            .retain(|_, registration| registration.owner != who);
    }
}
