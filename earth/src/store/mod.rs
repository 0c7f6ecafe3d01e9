//! Deposits on the disk (`docs/keeper-store.md`).

#![allow(clippy::disallowed_methods, reason = "the shell owns clock and disk")]

mod layout;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use hermes_wire::Network;
use hermes_wire::ids::MailboxId;
use thiserror::Error;

use crate::proto::bucket::{Bucket, Buckets};
use crate::proto::{Config, Keeper, Write};

/// Why the store does not do what it was asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database reports an error; after one on writing it accepts nothing until it is opened anew.
    #[error("the store of deposits failed: {0}")]
    Database(#[from] fjall::Error),
    /// The directory was written by a newer version.
    #[error("the store has format {found}, this program knows {known}: use a newer version")]
    Newer {
        /// Its format.
        found: u32,
        /// What this version reads.
        known: u32,
    },
    /// The directory belongs to another network.
    #[error("the store belongs to another network")]
    ForeignNetwork,
    /// Something that this version wrote cannot be read back.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// What was found wrong.
        what: &'static str,
    },
}

/// The database of one keeper; cheap to clone, safe to read from several threads while one writes.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    mailboxes: Keyspace,
    buckets: RwLock<BTreeMap<Bucket, Keyspace>>,
    path: PathBuf,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

/// How many records and tombstones were left out because they could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Damage {
    /// Index entries that do not decode or whose mailbox is unknown.
    pub entries: u64,
}

/// Memory for cached blocks and for what is not yet in tables.
const CACHE_BYTES: u64 = 8 << 20;
const MEMTABLE_BYTES: u64 = 8 << 20;
const JOURNAL_BYTES: u64 = 128 << 20;

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
}

impl Store {
    /// Opens or creates the database under `dir`.
    ///
    /// # Errors
    /// If it belongs to another network or a newer version, or the database cannot be opened.
    pub fn open(dir: &Path, network: &Network) -> Result<Self, StoreError> {
        let path = dir.join("deposits");
        let db = Database::builder(&path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()?;
        layout::check_format(&db, network)?;
        let mailboxes = db.keyspace("mailboxes", options)?;
        let mut buckets = BTreeMap::new();
        for name in db.list_keyspace_names() {
            if let Some(bucket) = layout::bucket_of(&name) {
                buckets.insert(bucket, db.keyspace(&name, options)?);
            }
        }
        let inner = Inner {
            db,
            mailboxes,
            buckets: RwLock::new(buckets),
            path,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Rebuilds a keeper's index. What cannot be read is left out and counted: the rest is served.
    ///
    /// # Errors
    /// If the database cannot be read at all.
    pub fn restore(
        &self,
        network: Network,
        config: Config,
        now: Instant,
    ) -> Result<(Keeper, Damage), StoreError> {
        let mut keeper = Keeper::new(network, config, now);
        let mut damage = Damage::default();
        for pair in self.inner.mailboxes.iter() {
            let (key, value) = pair.into_inner()?;
            match layout::mailbox(&key, &value) {
                Some((id, mark)) => keeper.restore_mailbox(id, mark),
                None => damage.entries += 1,
            }
        }
        for keyspace in self.buckets().values() {
            for pair in keyspace.prefix(*layout::ENTRY) {
                let (key, value) = pair.into_inner()?;
                let restored = layout::entry(&key, &value)
                    .is_some_and(|(mb, seq, entry)| keeper.restore_deposit(mb, seq, entry));
                damage.entries += u64::from(!restored);
            }
            for pair in keyspace.prefix(*layout::TOMBSTONE) {
                let (key, value) = pair.into_inner()?;
                match layout::tombstone(&key, &value) {
                    Some((mb, id, expiry)) => keeper.restore_tombstone(mb, id, expiry),
                    None => damage.entries += 1,
                }
            }
        }
        Ok((keeper, damage))
    }

    /// Commits all writes of a cycle in one batch and syncs it to the disk.
    ///
    /// # Errors
    /// If the database fails; then nothing of the cycle counts and the store must be opened anew.
    pub fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let mut batch = self
            .inner
            .db
            .batch()
            .durability(Some(PersistMode::SyncData));
        let mut dropped = Vec::new();
        for write in writes {
            match write {
                Write::Deposit {
                    bucket,
                    mailbox,
                    seq,
                    entry,
                    record,
                } => {
                    let keyspace = self.bucket(bucket)?;
                    batch.insert(
                        &keyspace,
                        layout::key(layout::DEPOSIT, &mailbox, &seq.to_be_bytes()),
                        &*record,
                    );
                    batch.insert(
                        &keyspace,
                        layout::key(layout::ENTRY, &mailbox, &seq.to_be_bytes()),
                        layout::entry_value(&entry),
                    );
                }
                Write::Remove {
                    bucket,
                    mailbox,
                    seq,
                } => {
                    let keyspace = self.bucket(bucket)?;
                    batch.remove(
                        &keyspace,
                        layout::key(layout::DEPOSIT, &mailbox, &seq.to_be_bytes()),
                    );
                    batch.remove(
                        &keyspace,
                        layout::key(layout::ENTRY, &mailbox, &seq.to_be_bytes()),
                    );
                }
                Write::Tombstone {
                    bucket,
                    mailbox,
                    id,
                    expiry,
                } => {
                    let key = layout::key(layout::TOMBSTONE, &mailbox, id.as_bytes());
                    batch.insert(&self.bucket(bucket)?, key, &expiry.to_le_bytes()[..]);
                }
                Write::Untomb {
                    bucket,
                    mailbox,
                    id,
                } => {
                    batch.remove(
                        &self.bucket(bucket)?,
                        layout::key(layout::TOMBSTONE, &mailbox, id.as_bytes()),
                    );
                }
                Write::Mailbox(id, mark) => batch.insert(
                    &self.inner.mailboxes,
                    &id.as_bytes()[..],
                    layout::mark_value(&mark),
                ),
                Write::Forget(id) => batch.remove(&self.inner.mailboxes, &id.as_bytes()[..]),
                Write::Drop(bucket) => dropped.push(bucket),
            }
        }
        batch.commit()?;
        for bucket in dropped {
            let keyspace = self.write_buckets().remove(&bucket);
            if let Some(keyspace) = keyspace {
                self.inner.db.delete_keyspace(keyspace)?;
            }
        }
        Ok(())
    }

    /// Reads one deposit; `None` if it was deleted or its bucket dropped in the meantime.
    ///
    /// # Errors
    /// If the database fails.
    pub fn read(
        &self,
        bucket: Bucket,
        mailbox: &MailboxId,
        seq: u64,
    ) -> Result<Option<fjall::UserValue>, StoreError> {
        let Some(keyspace) = self.buckets().get(&bucket).cloned() else {
            return Ok(None);
        };
        Ok(keyspace.get(layout::key(layout::DEPOSIT, mailbox, &seq.to_be_bytes()))?)
    }

    /// Reads the deposits of a page, in its order, leaving out what is gone; neighbours in one bucket are read in one scan.
    ///
    /// # Errors
    /// If the database fails.
    pub fn read_page(
        &self,
        mailbox: &MailboxId,
        items: &[(u64, Bucket)],
    ) -> Result<Vec<(u64, fjall::UserValue)>, StoreError> {
        let mut out = Vec::with_capacity(items.len());
        for run in items.chunk_by(|a, b| a.1 == b.1) {
            let [(first, bucket), ..] = run else { continue };
            let last = run.last().map_or(*first, |(seq, _)| *seq);
            let Some(keyspace) = self.buckets().get(bucket).cloned() else {
                continue;
            };
            let from = layout::key(layout::DEPOSIT, mailbox, &first.to_be_bytes());
            let to = layout::key(layout::DEPOSIT, mailbox, &last.to_be_bytes());
            let mut wanted = run.iter().map(|(seq, _)| *seq).peekable();
            for pair in keyspace.range(from..=to) {
                let (key, value) = pair.into_inner()?;
                let Some(seq) = layout::seq_of(&key) else {
                    return Err(StoreError::Damaged {
                        what: "the key of a deposit",
                    });
                };
                while wanted.next_if(|want| *want < seq).is_some() {}
                if wanted.next_if_eq(&seq).is_some() {
                    out.push((seq, value));
                }
            }
        }
        Ok(out)
    }

    /// Bytes on the disk.
    ///
    /// # Errors
    /// If the database cannot tell.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.inner.db.disk_space()?)
    }

    fn bucket(&self, bucket: Bucket) -> Result<Keyspace, StoreError> {
        if let Some(keyspace) = self.buckets().get(&bucket) {
            return Ok(keyspace.clone());
        }
        let keyspace = self
            .inner
            .db
            .keyspace(&layout::bucket_name(bucket), options)?;
        self.write_buckets().insert(bucket, keyspace.clone());
        Ok(keyspace)
    }

    fn buckets(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Bucket, Keyspace>> {
        self.inner
            .buckets
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write_buckets(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<Bucket, Keyspace>> {
        self.inner
            .buckets
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Buckets {
    /// The width as the disk remembers it, so that a changed rule is noticed.
    pub(crate) fn width_on_disk(&self) -> [u8; 4] {
        self.end(Bucket(0)).to_le_bytes()
    }
}
