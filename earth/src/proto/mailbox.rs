//! One mailbox: numbering, room, deletions, revocations.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hermes_wire::Network;
use hermes_wire::ids::DepositId;
use hermes_wire::mailbox::Descriptor;

use super::bucket::{Bucket, Buckets};
use super::output::{Entry, Mark, Refusal};

/// What a slot uses.
#[derive(Debug, Clone, Copy, Default)]
struct Use {
    bytes: u32,
    deposits: u16,
}

/// What a deletion changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// The number of the deposit.
    pub seq: u64,
    /// The deposit.
    pub entry: Entry,
    /// The tombstone that made room for this one: what it named, and when that would have expired.
    pub forgotten: Option<(DepositId, u32)>,
}

/// The index of one mailbox.
#[derive(Debug)]
pub struct Mailbox {
    mark: Mark,
    deposits: BTreeMap<u64, Entry>,
    by_id: HashMap<DepositId, u64>,
    slots: BTreeMap<u16, Use>,
    /// Bytes that slots use beyond their reserve.
    shared: u32,
    /// Deleted ids and when each would have expired.
    tombstones: BTreeMap<DepositId, u32>,
}

impl Mailbox {
    /// An empty mailbox.
    #[must_use]
    pub fn new(descriptor: Descriptor) -> Self {
        Self::restored(Mark {
            descriptor,
            head: 0,
            until: 0,
            revoked: [0; 4],
        })
    }

    /// A mailbox as the disk remembers it; its deposits and tombstones follow by [`Self::restore`] and [`Self::restore_tombstone`].
    #[must_use]
    pub fn restored(mark: Mark) -> Self {
        Self {
            mark,
            deposits: BTreeMap::new(),
            by_id: HashMap::new(),
            slots: BTreeMap::new(),
            shared: 0,
            tombstones: BTreeMap::new(),
        }
    }

    /// What the disk remembers of it.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// Puts back a deposit found on the disk.
    pub fn restore(&mut self, network: &Network, seq: u64, entry: Entry) {
        self.mark.head = self.mark.head.max(seq);
        self.insert(network, seq, entry);
    }

    /// Puts back a tombstone found on the disk.
    pub fn restore_tombstone(&mut self, id: DepositId, expiry: u32) {
        self.tombstones.insert(id, expiry);
    }

    /// Whether a deposit of this name is held.
    #[must_use]
    pub fn holds(&self, id: &DepositId) -> Option<Entry> {
        self.by_id
            .get(id)
            .and_then(|seq| self.deposits.get(seq))
            .copied()
    }

    /// Checks that there is room for a deposit that is not yet held.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, network: &Network, entry: &Entry) -> Result<(), Refusal> {
        if self.is_revoked(entry.leaf) {
            return Err(Refusal::Revoked);
        }
        if self.tombstones.contains_key(&entry.id) {
            return Err(Refusal::Deleted);
        }
        let params = network.params();
        let used = self
            .slots
            .get(&slot_of(entry.leaf))
            .copied()
            .unwrap_or_default();
        let bytes = used.bytes.saturating_add(entry.size);
        if used.deposits >= params.slot_deposits || bytes > params.slot_bytes {
            return Err(Refusal::Quota);
        }
        let beyond = |n: u32| n.saturating_sub(params.slot_reserved_bytes);
        if self.shared + (beyond(bytes) - beyond(used.bytes)) > params.mailbox_shared_bytes {
            return Err(Refusal::Quota);
        }
        Ok(())
    }

    /// Gives an admitted deposit its number.
    pub fn add(&mut self, network: &Network, entry: Entry) -> u64 {
        self.mark.head = self.mark.head.saturating_add(1);
        self.mark.until = self.mark.until.max(entry.expiry);
        let seq = self.mark.head;
        self.insert(network, seq, entry);
        seq
    }

    fn insert(&mut self, network: &Network, seq: u64, entry: Entry) {
        let reserve = network.params().slot_reserved_bytes;
        let used = self.slots.entry(slot_of(entry.leaf)).or_default();
        let before = used.bytes.saturating_sub(reserve);
        used.bytes = used.bytes.saturating_add(entry.size);
        used.deposits = used.deposits.saturating_add(1);
        self.shared = self
            .shared
            .saturating_add(used.bytes.saturating_sub(reserve) - before);
        self.by_id.insert(entry.id, seq);
        self.deposits.insert(seq, entry);
    }

    fn take(&mut self, network: &Network, seq: u64) -> Option<Entry> {
        let entry = self.deposits.remove(&seq)?;
        self.by_id.remove(&entry.id);
        let reserve = network.params().slot_reserved_bytes;
        if let Some(used) = self.slots.get_mut(&slot_of(entry.leaf)) {
            let before = used.bytes.saturating_sub(reserve);
            used.bytes = used.bytes.saturating_sub(entry.size);
            used.deposits = used.deposits.saturating_sub(1);
            self.shared = self
                .shared
                .saturating_sub(before - used.bytes.saturating_sub(reserve));
            if used.deposits == 0 {
                self.slots.remove(&slot_of(entry.leaf));
            }
        }
        Some(entry)
    }

    /// Deletes a deposit, if held, and remembers it; without room for another tombstone one is forgotten, which at worst lets a replay
    /// be stored that the reader recognises.
    pub fn delete(&mut self, network: &Network, id: DepositId) -> Option<Deletion> {
        let seq = *self.by_id.get(&id)?;
        let entry = self.take(network, seq)?;
        let full = self.tombstones.len() >= usize::from(network.params().mailbox_tombstones);
        let forgotten = if full {
            self.tombstones.pop_first()
        } else {
            None
        };
        self.tombstones.insert(id, entry.expiry);
        Some(Deletion {
            seq,
            entry,
            forgotten,
        })
    }

    /// Revokes the leaves `first ≤ n < end` until `until` and takes their deposits out.
    pub fn revoke(
        &mut self,
        network: &Network,
        first: u16,
        end: u16,
        until: u32,
    ) -> Vec<(u64, Entry)> {
        for leaf in first..end.min(256) {
            if let Some(word) = self.mark.revoked.get_mut(usize::from(leaf / 64)) {
                *word |= 1 << (leaf % 64);
            }
        }
        self.mark.until = self.mark.until.max(until);
        let gone: Vec<u64> = self
            .deposits
            .iter()
            .filter(|(_, entry)| (first..end).contains(&entry.leaf))
            .map(|(seq, _)| *seq)
            .collect();
        gone.into_iter()
            .filter_map(|seq| self.take(network, seq).map(|entry| (seq, entry)))
            .collect()
    }

    /// Whether a leaf is revoked.
    #[must_use]
    pub fn is_revoked(&self, leaf: u16) -> bool {
        self.mark
            .revoked
            .get(usize::from(leaf / 64))
            .is_some_and(|word| word >> (leaf % 64) & 1 == 1)
    }

    /// A page of numbers and buckets after `after`, up to `bytes` in all but at least one, and whether others follow.
    #[must_use]
    pub fn page(
        &self,
        buckets: &Buckets,
        after: u64,
        bytes: u32,
        now: u32,
    ) -> (Vec<(u64, Bucket)>, bool) {
        let mut items = Vec::new();
        let mut room = bytes;
        let live = self
            .deposits
            .range(after.saturating_add(1)..)
            .filter(|(_, entry)| entry.expiry >= now);
        for (seq, entry) in live {
            let size = entry.size.saturating_add(PAGE_ITEM_OVERHEAD);
            if size > room && !items.is_empty() {
                return (items, true);
            }
            room = room.saturating_sub(size);
            items.push((*seq, buckets.at(entry.expiry)));
        }
        (items, false)
    }

    /// Takes out what is filed up to and including `bucket`; returns the bytes that this frees.
    pub fn expire(&mut self, network: &Network, buckets: &Buckets, bucket: Bucket) -> u64 {
        let gone: Vec<u64> = self
            .deposits
            .iter()
            .filter(|(_, entry)| buckets.at(entry.expiry) <= bucket)
            .map(|(seq, _)| *seq)
            .collect();
        let freed = gone
            .into_iter()
            .filter_map(|seq| self.take(network, seq))
            .map(|entry| u64::from(entry.size))
            .sum();
        self.tombstones
            .retain(|_, expiry| buckets.at(*expiry) > bucket);
        freed
    }

    /// The buckets in which something of this mailbox is filed.
    #[must_use]
    pub fn buckets(&self, buckets: &Buckets) -> BTreeSet<Bucket> {
        let held = self.deposits.values().map(|entry| entry.expiry);
        held.chain(self.tombstones.values().copied())
            .map(|expiry| buckets.at(expiry))
            .collect()
    }

    /// The bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.slots.values().map(|used| u64::from(used.bytes)).sum()
    }

    /// How many deposits it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.deposits.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deposits.is_empty()
    }
}

/// What a page spends on a deposit beside the record: number and length.
const PAGE_ITEM_OVERHEAD: u32 = 12;

const fn slot_of(leaf: u16) -> u16 {
    leaf / 4
}
