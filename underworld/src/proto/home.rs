//! Our own address generations: whom they were given to, and the keys that they give us for an epoch.
//!
//! A generation is one *circle* of up to 64 friends. When all its slots were given away a further one is opened beside
//! it; each has its own mailboxes and its own presence. A slot is never given to a second person, so a removed friend
//! leaves it spent: his leaves are revoked in every mailbox and his knocks refused.

use std::collections::{BTreeMap, BTreeSet};

use hermes_wire::{
    Network,
    address::{Bundle, Chain, Generation, OwnerEpoch, OwnerPresence},
    ids::{Epoch, MailboxId, PresenceKey, Slot},
    kdf::h,
    slots::Hash,
};

use super::{
    clock::Part,
    ids::ContactId,
    output::{Outputs, Table},
    random::Random,
};
use crate::records;

/// Address generations of one person. Each costs a mailbox and a presence of its own.
pub const GENERATIONS_MAX: usize = 4;

/// To whom a slot belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotUse {
    /// Nobody yet.
    Free,
    /// A contact.
    Used(ContactId),
    /// Somebody who is no longer a contact.
    Spent,
}

/// One of our generations.
pub(crate) struct Home {
    pub(crate) keys: Generation,
    /// The oldest epoch whose keys we still have, and its chain value.
    pub(crate) oldest: Epoch,
    pub(crate) chain: Chain,
    /// The first epoch whose mailbox was not read to the end.
    pub(crate) unread_from: Epoch,
    pub(crate) slots: Vec<SlotUse>,
    /// Slots whose writing and knocking is refused, one bit each.
    pub(crate) refused: u64,
    /// Epochs after `unread_from` whose mailboxes were read to the end.
    read: BTreeSet<Epoch>,
    roots: BTreeMap<RootOf, Hash>,
    epochs: BTreeMap<Epoch, OwnerEpoch>,
    parts: BTreeMap<Part, OwnerPresence>,
    changed: bool,
}

/// What a kept root belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RootOf {
    /// The write keys of a mailbox.
    Mailbox(Epoch),
    /// The knock keys of a part of an epoch.
    Knocks(Part),
}

impl RootOf {
    const fn epoch(self) -> Epoch {
        match self {
            Self::Mailbox(epoch) => epoch,
            Self::Knocks(part) => part.epoch,
        }
    }
}

impl Home {
    /// A new generation that starts at an epoch.
    pub(crate) fn create(net: &Network, number: u16, epoch: Epoch, random: &mut Random) -> Self {
        let mut home = Self::restore(
            Generation::new(net, number, *random.secret()),
            epoch,
            Chain::new(*random.secret()),
        );
        home.changed = true;
        home
    }

    /// A generation as it was stored; the other fields are filled in by whoever reads the store.
    pub(crate) fn restore(keys: Generation, oldest: Epoch, chain: Chain) -> Self {
        Self {
            keys,
            oldest,
            chain,
            unread_from: oldest,
            slots: vec![SlotUse::Free; usize::from(Slot::COUNT)],
            refused: 0,
            read: BTreeSet::new(),
            roots: BTreeMap::new(),
            epochs: BTreeMap::new(),
            parts: BTreeMap::new(),
            changed: false,
        }
    }

    pub(crate) fn number(&self) -> u16 {
        self.keys.number()
    }

    /// Gives a free slot to a contact.
    pub(crate) fn take_slot(&mut self, contact: ContactId) -> Option<Slot> {
        let slot = Slot::all().find(|slot| self.slot(*slot) == SlotUse::Free)?;
        self.set_slot(slot, SlotUse::Used(contact));
        Some(slot)
    }

    pub(crate) fn slot(&self, slot: Slot) -> SlotUse {
        self.slots
            .get(slot.index())
            .copied()
            .unwrap_or(SlotUse::Spent)
    }

    pub(crate) fn set_slot(&mut self, slot: Slot, to: SlotUse) {
        if let Some(place) = self.slots.get_mut(slot.index()) {
            *place = to;
            self.changed = true;
        }
    }

    pub(crate) fn has_free_slot(&self) -> bool {
        self.slots.contains(&SlotUse::Free)
    }

    /// Refuses or accepts what comes from a slot.
    pub(crate) fn refuse(&mut self, slot: Slot, refuse: bool) {
        let bit = 1 << slot.get();
        let mask = if refuse {
            self.refused | bit
        } else {
            self.refused & !bit
        };
        self.changed |= mask != self.refused;
        self.refused = mask;
    }

    /// The slots that are refused.
    pub(crate) fn refused_slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let mask = self.refused;
        Slot::all().filter(move |slot| mask & (1 << slot.get()) != 0)
    }

    /// The way to us from an epoch on, for the friend in a slot.
    pub(crate) fn bundle(&self, net: &Network, slot: Slot, from: Epoch) -> Option<Bundle> {
        let from = from.max(self.oldest);
        let chain = self.chain_at(net, from)?;
        Some(self.keys.bundle(net, slot, from, &chain))
    }

    /// Our mailbox of an epoch, if its keys are kept and the epoch is not absurdly far ahead.
    pub(crate) fn epoch(
        &mut self,
        net: &Network,
        epoch: Epoch,
        out: &mut Outputs,
    ) -> Option<&OwnerEpoch> {
        if !self.epochs.contains_key(&epoch) {
            let chain = self.chain_at(net, epoch)?;
            let known = self.roots.get(&RootOf::Mailbox(epoch)).copied();
            let made = self.keys.epoch(net, epoch, &chain, known);
            if known.is_none() {
                self.keep_root(RootOf::Mailbox(epoch), made.descriptor.root, out);
            }
            self.epochs.insert(epoch, made);
        }
        self.epochs.get(&epoch)
    }

    /// Our presence in a part of an epoch.
    pub(crate) fn presence(
        &mut self,
        net: &Network,
        part: Part,
        out: &mut Outputs,
    ) -> Option<&OwnerPresence> {
        if !self.parts.contains_key(&part) {
            let chain = self.chain_at(net, part.epoch)?;
            let known = self.roots.get(&RootOf::Knocks(part)).copied();
            let made = self
                .keys
                .presence(net, part.epoch, part.part, &chain, known);
            if known.is_none() {
                self.keep_root(RootOf::Knocks(part), made.knock_root, out);
            }
            self.parts.insert(part, made);
        }
        self.parts.get(&part)
    }

    /// The part whose presence has this name, among those that we took up lately.
    pub(crate) fn part_of(&self, presence: &PresenceKey) -> Option<Part> {
        self.parts
            .iter()
            .find(|(_, made)| made.presence == *presence)
            .map(|(part, _)| *part)
    }

    /// The keys of a mailbox that we made lately.
    pub(crate) fn mailbox(&self, mailbox: &MailboxId) -> Option<&OwnerEpoch> {
        self.epochs.values().find(|made| made.mailbox == *mailbox)
    }

    /// Notes that the mailbox of an epoch was read after its last deposit; gives whether that was news.
    pub(crate) fn mark_read(&mut self, epoch: Epoch) -> bool {
        if epoch < self.unread_from || !self.read.insert(epoch) {
            return false;
        }
        while self.read.remove(&self.unread_from) {
            self.unread_from = self.unread_from.next();
            self.changed = true;
        }
        true
    }

    /// Whether the mailbox of an epoch was read after its last deposit.
    pub(crate) fn is_read(&self, epoch: Epoch) -> bool {
        epoch < self.unread_from || self.read.contains(&epoch)
    }

    /// Deletes the keys of epochs before `oldest`.
    pub(crate) fn forget_before(&mut self, net: &Network, oldest: Epoch) {
        if oldest <= self.oldest {
            return;
        }
        if let Some(chain) = self.chain_at(net, oldest) {
            self.chain = chain;
            self.oldest = oldest;
            self.unread_from = self.unread_from.max(oldest);
            self.read = self.read.split_off(&oldest);
            self.changed = true;
        }
    }

    /// Drops what was computed for epochs that are not served any more.
    pub(crate) fn drop_caches(
        &mut self,
        mailboxes_from: Epoch,
        parts_from: Part,
        out: &mut Outputs,
    ) {
        self.epochs.retain(|epoch, _| *epoch >= mailboxes_from);
        self.parts.retain(|part, _| *part >= parts_from);
        let number = self.number();
        self.roots.retain(|of, _| {
            let keep = match of {
                RootOf::Mailbox(epoch) => *epoch >= mailboxes_from,
                RootOf::Knocks(part) => *part >= parts_from,
            };
            if !keep {
                out.delete(Table::Root, records::root::home_key(number, *of));
            }
            keep
        });
    }

    /// Takes a root that was read from the store.
    pub(crate) fn restore_root(&mut self, of: RootOf, root: Hash) {
        self.roots.insert(of, root);
    }

    /// A random-looking number for an edge in time, the same after every restart.
    pub(crate) fn spread(&self, edge_s: u64, max: u64) -> u64 {
        let mixed = h(&[b"edge", self.keys.expose(), &edge_s.to_le_bytes()]);
        let (low, _) = mixed
            .split_first_chunk::<8>()
            .map_or((0, ()), |(b, _)| (u64::from_le_bytes(*b), ()));
        max.checked_add(1).map_or(low, |n| low % n)
    }

    /// Writes the generation if it changed.
    pub(crate) fn store(&mut self, out: &mut Outputs) {
        if std::mem::take(&mut self.changed) {
            let key = records::generation::key(self.number());
            out.put(Table::Generation, key, records::generation::encode(self));
        }
    }

    fn keep_root(&mut self, of: RootOf, root: Hash, out: &mut Outputs) {
        self.roots.insert(of, root);
        let key = records::root::home_key(self.number(), of);
        out.put(Table::Root, key, records::root::encode(&root));
    }

    /// The chain value of an epoch; none for forgotten epochs and for those beyond every reasonable clock.
    fn chain_at(&self, net: &Network, epoch: Epoch) -> Option<Chain> {
        let steps = epoch.0.checked_sub(self.oldest.0)?;
        if steps > hermes_wire::address::MAX_CHAIN_STEPS {
            return None;
        }
        Some((0..steps).fold(self.chain.clone(), |chain, _| chain.next(net)))
    }
}

/// Whether a kept root is of an epoch from `oldest` on.
pub(crate) fn is_current(of: RootOf, oldest: Epoch) -> bool {
    of.epoch() >= oldest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_read_out_of_order_and_forgotten_in_order() {
        let net = Network::lab();
        let mut home = Home::create(&net, 0, Epoch(10), &mut Random::new([1; 32]));
        assert!(home.mark_read(Epoch(12)));
        assert!(!home.mark_read(Epoch(12)));
        assert_eq!(home.unread_from, Epoch(10));
        assert!(home.mark_read(Epoch(10)));
        assert_eq!(home.unread_from, Epoch(11));
        assert!(home.is_read(Epoch(12)) && !home.is_read(Epoch(11)));
        assert!(home.mark_read(Epoch(11)));
        assert_eq!(home.unread_from, Epoch(13));
        home.forget_before(&net, Epoch(20));
        assert_eq!((home.oldest, home.unread_from), (Epoch(20), Epoch(20)));
        let mut out = Outputs::default();
        assert!(home.epoch(&net, Epoch(19), &mut out).is_none());
        assert!(home.epoch(&net, Epoch(20), &mut out).is_some());
    }

    #[test]
    fn a_slot_is_given_once() {
        let net = Network::lab();
        let mut home = Home::create(&net, 0, Epoch(1), &mut Random::new([2; 32]));
        for n in 0..64 {
            assert_eq!(
                home.take_slot(ContactId(n)).map(Slot::get),
                u8::try_from(n).ok()
            );
        }
        assert_eq!(home.take_slot(ContactId(99)), None);
        let slot = Slot::new(5).expect("a slot");
        home.set_slot(slot, SlotUse::Spent);
        home.refuse(slot, true);
        assert!(!home.has_free_slot());
        assert_eq!(home.refused_slots().collect::<Vec<_>>(), [slot]);
        home.refuse(slot, false);
        assert_eq!(home.refused, 0);
    }
}
