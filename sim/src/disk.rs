//! A keeper's disk: exactly what its machine's writes say, and nothing else.
//!
//! It stands in for the store of a real keeper (an LSM tree with one synced transaction for each cycle). It counts what it holds by
//! itself, so that quotas are checked against the disk and not against the index of the machine that should keep them.

use std::{collections::BTreeMap, time::Instant};

use bytes::Bytes;
use hermes_earth::proto::{Config, Entry, Keeper, Mark, Write, bucket::Bucket};
use hermes_wire::{
    Network,
    ids::{DepositId, MailboxId},
};

/// Leaves of one slot.
const LEAVES: u16 = 4;

/// What one slot of a mailbox uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) deposits: u64,
    pub(crate) bytes: u64,
}

/// A keeper's disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    deposits: BTreeMap<(Bucket, MailboxId, u64), (Entry, Bytes)>,
    tombstones: BTreeMap<(Bucket, MailboxId, DepositId), u32>,
    marks: BTreeMap<MailboxId, Mark>,
    used: BTreeMap<(MailboxId, u16), Use>,
    bytes: u64,
}

impl Disk {
    /// Commits one cycle.
    pub(crate) fn commit(&mut self, writes: &[Write]) {
        for write in writes {
            self.apply(write);
        }
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Deposit {
                bucket,
                mailbox,
                seq,
                entry,
                record,
            } => {
                self.remove(&(*bucket, *mailbox, *seq));
                let used = self
                    .used
                    .entry((*mailbox, entry.leaf / LEAVES))
                    .or_default();
                used.deposits += 1;
                used.bytes += record.len() as u64;
                self.bytes += record.len() as u64;
                self.deposits
                    .insert((*bucket, *mailbox, *seq), (*entry, record.clone()));
            }
            Write::Remove {
                bucket,
                mailbox,
                seq,
            } => self.remove(&(*bucket, *mailbox, *seq)),
            Write::Tombstone {
                bucket,
                mailbox,
                id,
                expiry,
            } => {
                self.tombstones.insert((*bucket, *mailbox, *id), *expiry);
            }
            Write::Untomb {
                bucket,
                mailbox,
                id,
            } => {
                self.tombstones.remove(&(*bucket, *mailbox, *id));
            }
            Write::Mailbox(id, mark) => {
                self.marks.insert(*id, *mark);
            }
            Write::Forget(id) => {
                self.marks.remove(id);
            }
            Write::Drop(bucket) => self.drop_bucket(*bucket),
        }
    }

    fn drop_bucket(&mut self, bucket: Bucket) {
        let all = self.deposits.keys().filter(|(filed, ..)| *filed == bucket);
        for key in all.copied().collect::<Vec<_>>() {
            self.remove(&key);
        }
        self.tombstones.retain(|(filed, ..), _| *filed != bucket);
    }

    fn remove(&mut self, key: &(Bucket, MailboxId, u64)) {
        let Some((entry, record)) = self.deposits.remove(key) else {
            return;
        };
        let slot = (key.1, entry.leaf / LEAVES);
        let len = record.len() as u64;
        self.bytes = self.bytes.saturating_sub(len);
        if let Some(used) = self.used.get_mut(&slot) {
            used.deposits = used.deposits.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(len);
            if used.deposits == 0 {
                self.used.remove(&slot);
            }
        }
    }

    /// A record and its name, if it is still there.
    pub(crate) fn named(
        &self,
        bucket: Bucket,
        mailbox: MailboxId,
        seq: u64,
    ) -> Option<(DepositId, Bytes)> {
        let (entry, record) = self.deposits.get(&(bucket, mailbox, seq))?;
        Some((entry.id, record.clone()))
    }

    /// Bytes of records.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the slot of a leaf uses.
    pub(crate) fn used(&self, mailbox: MailboxId, leaf: u16) -> Use {
        self.used
            .get(&(mailbox, leaf / LEAVES))
            .copied()
            .unwrap_or_default()
    }

    /// The machine that a keeper starts with from this disk.
    pub(crate) fn start(&self, network: &Network, config: Config, now: Instant) -> Keeper {
        let mut machine = Keeper::new(network.clone(), config, now);
        for (id, mark) in &self.marks {
            machine.restore_mailbox(*id, *mark);
        }
        for ((_, mailbox, seq), (entry, _)) in &self.deposits {
            // False means that the mailbox's row is missing, which the comparison of counts below the callers would show.
            let _ = machine.restore_deposit(*mailbox, *seq, *entry);
        }
        for ((_, mailbox, id), expiry) in &self.tombstones {
            machine.restore_tombstone(*mailbox, *id, *expiry);
        }
        machine
    }

    /// Deposits held.
    pub(crate) fn deposits(&self) -> usize {
        self.deposits.len()
    }
}

#[cfg(test)]
mod tests {
    use hermes_earth::proto::{ConnId, Output, Put, Refusal, Reply, ReqId, admission::Prefix};
    use hermes_wire::{ids::OwnerKey, mailbox::Descriptor, network::T0};

    use super::*;

    const NOW_S: u64 = T0 + 1_000_000;

    fn put(network: &Network, n: u8) -> Put {
        let descriptor = Descriptor::slots(OwnerKey([7; 32]), [8; 32]);
        let expiry = network.expiry_stamp(NOW_S + 86_400);
        let entry = Entry {
            id: DepositId([n; 32]),
            expiry,
            leaf: u16::from(n),
            size: 1_000,
        };
        Put {
            source: Prefix::of([192, 0, 2, n].into()),
            mailbox: descriptor.id(network),
            descriptor,
            entry,
            record: Bytes::from(vec![n; 1_000]),
            stamped: 0,
        }
    }

    fn cycle(machine: &mut Keeper) -> (Vec<Write>, Vec<Reply>) {
        let (mut writes, mut replies) = (Vec::new(), Vec::new());
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Write(write) => writes.push(write),
                Output::Reply(_, reply) => replies.push(reply),
                Output::Push { .. } => {}
            }
        }
        (writes, replies)
    }

    /// A keeper that was killed has every deposit that it gave a receipt for, and refuses what was deleted.
    #[test]
    fn a_killed_keeper_has_every_receipted_deposit_after_its_restart() {
        let network = Network::main();
        let now = hermes_underworld::testing::start();
        let mut disk = Disk::default();
        let mut machine = disk.start(&network, Config::default(), now);
        let mut receipted = Vec::new();
        for n in 1..=9 {
            machine.handle_put(ReqId(n.into()), put(&network, n), NOW_S);
            let (writes, replies) = cycle(&mut machine);
            // The commit comes first; the last cycle dies before it, and with it its reply.
            if n < 9 {
                disk.commit(&writes);
                receipted.extend(replies);
            }
        }
        let mailbox = put(&network, 1).mailbox;
        machine.handle_delete(ReqId(20), mailbox, &[DepositId([3; 32])]);
        disk.commit(&cycle(&mut machine).0);
        assert_eq!(receipted.len(), 8);
        drop(machine);

        let mut machine = disk.start(&network, Config::default(), now);
        assert_eq!(machine.deposits(), 7);
        assert_eq!(machine.bytes(), disk.bytes());
        machine.handle_open(ReqId(30), ConnId(1), mailbox);
        machine.handle_fetch(ReqId(31), ConnId(1), 1, 0, 262_000, NOW_S);
        let (_, replies) = cycle(&mut machine);
        let Some(Reply::Page { items, .. }) = replies.last() else {
            panic!("a page: {replies:?}");
        };
        let held: Vec<u8> = items
            .iter()
            .filter_map(|(seq, bucket)| disk.named(*bucket, mailbox, *seq))
            .map(|(_, record)| record[0])
            .collect();
        assert_eq!(held, [1, 2, 4, 5, 6, 7, 8]);
        machine.handle_put(ReqId(32), put(&network, 3), NOW_S);
        assert_eq!(cycle(&mut machine).1, [Reply::Refused(Refusal::Deleted)]);
    }

    #[test]
    fn the_disk_counts_what_it_holds_by_slot() {
        let network = Network::main();
        let mut disk = Disk::default();
        let mut machine = disk.start(
            &network,
            Config::default(),
            hermes_underworld::testing::start(),
        );
        for n in 4..=6 {
            machine.handle_put(ReqId(n.into()), put(&network, n), NOW_S);
        }
        disk.commit(&cycle(&mut machine).0);
        let mailbox = put(&network, 4).mailbox;
        assert_eq!(
            disk.used(mailbox, 7),
            Use {
                deposits: 3,
                bytes: 3_000
            }
        );
        assert_eq!(disk.used(mailbox, 8), Use::default());
        machine.handle_delete(ReqId(9), mailbox, &[DepositId([5; 32])]);
        disk.commit(&cycle(&mut machine).0);
        assert_eq!(
            disk.used(mailbox, 4),
            Use {
                deposits: 2,
                bytes: 2_000
            }
        );
        assert_eq!((disk.bytes(), disk.deposits()), (2_000, 2));
    }
}
