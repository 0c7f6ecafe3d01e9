//! Deposits that are done with, and their deletion at keepers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use hermes_wire::{
    Network, Wire as _,
    earth::{Delete, MAX_DELETE},
    ids::{DepositId, Epoch, MailboxId},
    mailbox::mailbox_position,
};

use crate::{
    proto::{
        effect::{Effect, OwnerRequest},
        now::Now,
        output::{Outputs, Table},
        random::Random,
        wishes::Owned,
    },
    records,
};

/// Deposits that are remembered as done with. Beyond it those of the oldest epoch are forgotten; were one of them handed
/// out again, the ratchet would refuse it.
pub const SEEN_MAX: usize = 262_144;

/// How long after a deletion a keeper may hand a deposit out again without being asked once more.
const DELETE_AGAIN: Duration = Duration::from_secs(60);

/// Deposits to us that are done with.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    all: BTreeMap<(Epoch, DepositId), Option<Instant>>,
    deletions: BTreeMap<MailboxId, BTreeSet<DepositId>>,
}

impl Seen {
    /// Whether a deposit is done with. If so and a keeper still hands it out, it is deleted once more.
    pub(crate) fn contains(
        &mut self,
        mailbox: MailboxId,
        epoch: Epoch,
        id: DepositId,
        now: Now,
    ) -> bool {
        let Some(deleted) = self.all.get_mut(&(epoch, id)) else {
            return false;
        };
        if deleted.is_none_or(|at| now.mono.saturating_duration_since(at) > DELETE_AGAIN) {
            *deleted = Some(now.mono);
            self.deletions.entry(mailbox).or_default().insert(id);
        }
        true
    }

    /// Notes that a deposit is done with.
    pub(crate) fn insert(
        &mut self,
        mailbox: MailboxId,
        epoch: Epoch,
        id: DepositId,
        now: Now,
        out: &mut Outputs,
    ) {
        if self.all.insert((epoch, id), Some(now.mono)).is_some() {
            return;
        }
        out.put(
            Table::Seen,
            records::seen::key(epoch, &id),
            records::seen::encode(),
        );
        self.deletions.entry(mailbox).or_default().insert(id);
        while self.all.len() > SEEN_MAX {
            if let Some(((epoch, id), _)) = self.all.pop_first() {
                out.delete(Table::Seen, records::seen::key(epoch, &id));
            }
        }
    }

    /// Takes a row of the store.
    pub(crate) fn restore(&mut self, epoch: Epoch, id: DepositId) {
        self.all.insert((epoch, id), None);
    }

    /// Forgets the deposits of epochs whose mailboxes are not read any more.
    pub(crate) fn forget_before(&mut self, oldest: Epoch, out: &mut Outputs) {
        while let Some(entry) = self.all.first_entry() {
            let (epoch, id) = *entry.key();
            if epoch >= oldest {
                break;
            }
            entry.remove();
            out.delete(Table::Seen, records::seen::key(epoch, &id));
        }
    }

    /// The mailboxes of which something is to be deleted.
    pub(crate) fn with_deletions(&self) -> impl Iterator<Item = MailboxId> {
        self.deletions.keys().copied()
    }

    /// Asks keepers to delete what was done with in this cycle.
    pub(crate) fn flush(
        &mut self,
        net: &Network,
        owned: BTreeMap<MailboxId, Owned>,
        random: &mut Random,
        out: &mut Outputs,
    ) {
        for (mailbox, ids) in std::mem::take(&mut self.deletions) {
            let Some(owned) = owned.get(&mailbox) else {
                continue;
            };
            let ids: Vec<DepositId> = ids.into_iter().collect();
            for some in ids.chunks(MAX_DELETE) {
                let request = Delete::sign(
                    net,
                    &owned.key,
                    owned.descriptor,
                    random.bytes(),
                    some.to_vec(),
                );
                if let Some(request) = request {
                    out.effect(Effect::Delete(OwnerRequest {
                        mailbox,
                        positions: [0, 1].map(|k| mailbox_position(&mailbox, k)),
                        request: request.to_bytes(),
                    }));
                }
            }
        }
    }
}
