//! What hermesd must not lose, encrypted, on a disk (`docs/storage.md` has every byte).
//!
//! A [`Store`] is a set of tables of small rows, an event log, and a few helpers that belong with them. There is one
//! writer, the owner of the `Store`; a [`Reader`] reads from any thread. All changes go through [`Store::commit`], which
//! takes a [`Batch`] over any tables and returns when it is on the disk as a whole. Nothing may be sent, shown or
//! answered before.
//!
//! ```text
//! Store::create / Store::open -> LockedStore -> unlock -> Store -> lock -> LockedStore
//! ```
//!
//! Below lies a [`Disk`], real ([`DirDisk`]) or one that crashes on demand (`MemoryDisk`, for tests); in between every value is
//! sealed and bound to its place. No clock is read here and no randomness taken except through [`Entropy`].

use std::{ops::Deref, sync::atomic::Ordering};

mod backend;
mod batch;
mod consumers;
mod delay;
mod disk;
mod entropy;
mod error;
mod events;
mod header;
mod idempotency;
mod kdf;
mod keys;
mod lock;
mod open;
mod query;
mod reader;
mod rewrap;
mod rotation;
mod seal;
mod subkey;
mod tables;
mod vault;

#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "test-utils"))]
pub use self::{
    backend::memory::{Loss, MemoryDisk, Step, at_every_crash},
    entropy::SeededEntropy,
};
pub use self::{
    backend::{Backend, BackendError, Direction, FjallBackend, Op, RawPage, RawQuery},
    batch::{Batch, Committed},
    consumers::{CONSUMER_NAME_BYTES_MAX, CONSUMERS_MAX, Consumer},
    delay::UnlockDelay,
    disk::{DirDisk, Disk, Expect, SmallFile},
    entropy::{Entropy, EntropyError, OsEntropy},
    error::{OpenError, StoreError},
    events::{Cursor, CursorSyntax, EVENT_AGE_MS_MAX, EVENTS_MAX, Event},
    header::FORMAT,
    idempotency::{IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_MS},
    keys::{Cost, SlotKind, Unlock},
    lock::{InstanceLock, LockError},
    open::{LockedStore, Options, Refused},
    query::{Page, Query, Row},
    reader::Reader,
    rewrap::{Rewrap, Rewrapped},
    rotation::Rotation,
    subkey::SUBKEY_SECONDS,
    tables::{Family, KEY_BYTES_MAX, Table, VALUE_BYTES_MAX, message_key, seq_key, seq_of},
    vault::{NoVault, Vault, VaultError},
};

use self::{events::event_row, open::Base, reader::Live};

/// An unlocked store and the right to write it. Reads as its [`Reader`] does.
pub struct Store {
    reader: OwnedReader,
    base: Base,
    entropy: Box<dyn Entropy>,
    poisoned: bool,
}

impl Deref for Store {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader.0
    }
}

/// The reader of the store's owner. Other readers may outlive the store; they must keep neither its keys nor its database
/// alive, so both go with this one.
struct OwnedReader(Reader);

impl Drop for OwnedReader {
    fn drop(&mut self) {
        drop(self.0.shared.shut());
    }
}

impl Store {
    /// A handle for reading from elsewhere.
    pub fn reader(&self) -> Reader {
        self.reader.0.clone()
    }

    /// The ways in which the store can be unlocked.
    pub fn slots(&self) -> Vec<SlotKind> {
        self.base
            .header
            .slots
            .iter()
            .map(keys::Slot::kind)
            .collect()
    }

    /// Makes all changes of `batch`, or none. When this returns `Ok` they are on the disk and readers see them. An empty
    /// batch costs nothing.
    ///
    /// A key or value that is too long is refused before anything is written. After any error of the disk it is open
    /// whether the batch was kept until the store has been opened again, and every further commit answers
    /// [`StoreError::Poisoned`]: what is in memory may not be what is on the disk, so the process has to start anew. Blocks for the sync.
    pub fn commit(&mut self, batch: Batch) -> Result<Committed, StoreError> {
        let head = self.head_seq();
        if batch.is_empty() {
            return Ok(Committed {
                first_event: None,
                head,
            });
        }
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let events = batch.events.len() as u64;
        let entropy = &mut *self.entropy;
        let written = self.reader.0.shared.with(|live| {
            let ops = seal_batch(live, batch, head, entropy)?;
            Ok(live.backend.write(ops))
        })?;
        if let Err(error) = written {
            self.poisoned = true;
            return Err(error.into());
        }
        self.reader
            .0
            .shared
            .head
            .store(head + events, Ordering::Release);
        Ok(Committed {
            first_event: (events > 0).then_some(head + 1),
            head: head + events,
        })
    }

    /// Wipes the keys from memory, closes the database and keeps hold of the folder. Every [`Reader`] is told that the
    /// store is locked. Trouble on the way is logged: all that was committed is on the disk already.
    pub fn lock(mut self) -> LockedStore {
        if let Err(error) = self.shut() {
            tracing::warn!(%error, "store not closed in good order");
        }
        LockedStore { base: self.base }
    }

    /// Closes the store in good order, so that the next start is fast, and lets go of the folder.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.shut()
    }

    fn shut(&mut self) -> Result<(), StoreError> {
        let noted = if self.poisoned {
            Ok(())
        } else {
            self.note_floor()
        };
        match self.reader.0.shared.shut() {
            Some(live) => live.backend.close()?,
            None => return Err(StoreError::Closed),
        }
        noted
    }
}

fn seal_batch(
    live: &Live,
    batch: Batch,
    head: u64,
    entropy: &mut dyn Entropy,
) -> Result<Vec<Op>, StoreError> {
    let mut ops = Vec::with_capacity(batch.len());
    for ((table, key), value) in &batch.rows {
        let value = value.as_deref().map(Vec::as_slice);
        ops.push(seal_row(live, *table, key, value, entropy)?);
    }
    for (seq, event) in (head + 1..).zip(&batch.events) {
        let row = event_row(event.time_ms, &event.payload);
        ops.push(seal_row(
            live,
            Table::Events,
            &seq_key(seq),
            Some(&row),
            entropy,
        )?);
    }
    Ok(ops)
}

fn seal_row(
    live: &Live,
    table: Table,
    key: &[u8],
    value: Option<&[u8]>,
    entropy: &mut dyn Entropy,
) -> Result<Op, StoreError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(StoreError::KeyTooLong {
            table,
            len: key.len(),
        });
    }
    if let Some(value) = value.filter(|value| value.len() > VALUE_BYTES_MAX) {
        return Err(StoreError::ValueTooLong {
            table,
            len: value.len(),
        });
    }
    let value = value
        .map(|value| live.sealer.seal(table, key, value, entropy))
        .transpose()?;
    Ok(Op {
        family: table.family(),
        key: table.physical(key),
        value,
    })
}
