//! What was computed of a friend's addresses: building a tree of 256 blinded keys takes milliseconds, once an epoch.

use std::collections::BTreeMap;

use hermes_wire::{
    address::{AddressError, FriendAddress, FriendEpoch, FriendPresence},
    ids::Epoch,
};

use crate::{
    proto::{clock::Part, core::Core, ids::ContactId, output::Table},
    records,
};

/// Epochs of one friend that are remembered.
const EPOCHS_MAX: usize = 3;

/// A friend's mailboxes and presence, as far as they were needed.
#[derive(Default)]
pub(crate) struct Views {
    epochs: BTreeMap<Epoch, FriendEpoch>,
    /// Public parts of trees that were read from the store and not used yet.
    stored: BTreeMap<Epoch, Vec<u8>>,
    presence: Option<(Part, FriendPresence)>,
}

impl Views {
    /// A friend's mailbox of an epoch.
    pub(crate) fn epoch(
        &mut self,
        contact: ContactId,
        address: &FriendAddress,
        epoch: Epoch,
        core: &mut Core,
    ) -> Result<&FriendEpoch, AddressError> {
        if !self.epochs.contains_key(&epoch) {
            let kept = self
                .stored
                .get(&epoch)
                .and_then(|cache| address.view_cached(&core.net, epoch, cache));
            let view = match kept {
                Some(view) => view,
                None => {
                    let view = address.view(&core.net, epoch)?;
                    let key = records::root::view_key(contact, epoch);
                    core.out
                        .put(Table::Root, key, records::root::encode_view(&view.cache()));
                    self.stored.insert(epoch, view.cache());
                    view
                }
            };
            self.epochs.insert(epoch, view);
            self.limit(contact, core);
        }
        let (from, asked) = (address.epoch(), epoch);
        self.epochs
            .get(&epoch)
            .ok_or(AddressError::Past { from, asked })
    }

    /// A friend's presence in a part of an epoch.
    pub(crate) fn presence(
        &mut self,
        address: &FriendAddress,
        part: Part,
        core: &Core,
    ) -> Result<&FriendPresence, AddressError> {
        let known = self.presence.take().filter(|(of, _)| *of == part);
        let made = match known {
            Some(known) => known,
            None => (part, address.presence(&core.net, part.epoch, part.part)?),
        };
        Ok(&self.presence.insert(made).1)
    }

    /// Takes the public part of a tree that was read from the store.
    pub(crate) fn restore(&mut self, epoch: Epoch, cache: Vec<u8>) {
        self.stored.insert(epoch, cache);
    }

    /// Forgets everything, after a friend moved.
    pub(crate) fn clear(&mut self, contact: ContactId, core: &mut Core) {
        self.epochs.clear();
        self.presence = None;
        for epoch in std::mem::take(&mut self.stored).into_keys() {
            core.out
                .delete(Table::Root, records::root::view_key(contact, epoch));
        }
    }

    fn limit(&mut self, contact: ContactId, core: &mut Core) {
        while self.epochs.len() > EPOCHS_MAX {
            self.epochs.pop_first();
        }
        while self.stored.len() > EPOCHS_MAX {
            if let Some((epoch, _)) = self.stored.pop_first() {
                core.out
                    .delete(Table::Root, records::root::view_key(contact, epoch));
            }
        }
    }
}
