//! Changing how a store is unlocked: the master key is wrapped anew, nothing else is touched.
//!
//! Stretching two passphrases takes a good quarter of a second, so the work is cut in three: [`Store::rewrap`] takes what is
//! needed, [`Rewrap::run`] does the slow part on any thread, [`Store::finish_rewrap`] puts the new header in place.

use std::sync::Arc;

use super::{
    Store,
    entropy::Entropy,
    error::OpenError,
    header::Header,
    keys::{Cost, Slot, SlotContext, Unlock},
    open::{find_master, write_header},
    vault::Vault,
};

/// The slow part of changing how a store is unlocked.
pub struct Rewrap {
    header: Header,
    cost: Cost,
    vault: Arc<dyn Vault>,
    old: Unlock,
    new: Vec<Unlock>,
    entropy: Box<dyn Entropy>,
}

/// What became of a [`Rewrap`], for [`Store::finish_rewrap`].
pub struct Rewrapped(Result<Header, OpenError>);

impl Store {
    /// Begins to change the ways of unlocking to exactly `new`; `old` must be a way that works now. Fails at once if
    /// there were too many wrong passphrases or `new` is no set of ways that a store can have.
    pub fn rewrap(
        &self,
        old: Unlock,
        new: Vec<Unlock>,
        now_ms: u64,
        entropy: Box<dyn Entropy>,
    ) -> Result<Rewrap, OpenError> {
        let retry_after_ms = self.base.delay.retry_after_ms(now_ms);
        if retry_after_ms > 0 {
            return Err(OpenError::TooSoon { retry_after_ms });
        }
        let kinds: Vec<_> = new.iter().map(Unlock::kind).collect();
        Header::check_slots(&kinds)?;
        Ok(Rewrap {
            header: Header::decode(&self.base.header.encode())?,
            cost: self.base.options.cost,
            vault: Arc::clone(&self.base.options.vault),
            old,
            new,
            entropy,
        })
    }

    /// Puts the new header in place, durably; from then on only the new ways open the store. On an error the old ones
    /// still do. A wrong old passphrase counts as one at unlocking.
    pub fn finish_rewrap(&mut self, rewrapped: Rewrapped, now_ms: u64) -> Result<(), OpenError> {
        let header = match rewrapped.0 {
            Err(OpenError::WrongPassphrase { .. }) => {
                let retry_after_ms = self.base.delay.failed(now_ms);
                return Err(OpenError::WrongPassphrase { retry_after_ms });
            }
            other => other?,
        };
        self.base.delay.succeeded();
        write_header(&*self.base.disk, &header)?;
        let old = std::mem::replace(&mut self.base.header, header);
        for entry in old
            .slots
            .iter()
            .filter_map(|slot| slot.keyring_entry(&old.store_id))
        {
            if let Err(error) = self.base.options.vault.remove(&entry) {
                tracing::warn!(%error, "old entry left in the keyring");
            }
        }
        Ok(())
    }
}

impl Rewrap {
    /// Opens the old slot and makes the new ones. Blocks for the time that stretching takes. Writes nothing but, for a
    /// keyring, the new entry there.
    pub fn run(mut self) -> Rewrapped {
        Rewrapped(self.make_header())
    }

    fn make_header(&mut self) -> Result<Header, OpenError> {
        let context = SlotContext {
            store_id: &self.header.store_id,
            cost: self.cost,
            vault: &*self.vault,
        };
        let master = find_master(&self.header, &self.old, &context)?;
        let slots = self
            .new
            .iter()
            .map(|unlock| Slot::wrap(&master, unlock, &context, &mut *self.entropy))
            .collect::<Result<_, _>>()?;
        let written_by = self.header.written_by.clone();
        Ok(Header {
            store_id: self.header.store_id,
            written_by,
            slots,
        })
    }
}
