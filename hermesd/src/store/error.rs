//! What can go wrong with a store, one enum for getting in and one for working inside.

use std::io;

use super::{
    backend::BackendError, entropy::EntropyError, events::Cursor, keys::SlotKind, tables::Table,
    vault::VaultError,
};

/// Why a store could not be made, opened, unlocked or re-keyed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder holds no store.
    #[error("there is no store here")]
    NoStore,
    /// The folder already holds a store.
    #[error("there is a store here already")]
    Exists,
    /// Another process has the store open.
    #[error("the store is in use{}", holder.as_deref().map(|h| format!(" by {h}")).unwrap_or_default())]
    InUse {
        /// What the other process wrote about itself; for people only.
        holder: Option<String>,
    },
    /// The store was written by a newer program.
    #[error(
        "the store has format {found}, written by {written_by}; this program reads up to {known}"
    )]
    Newer {
        /// Format of the store.
        found: u16,
        /// Highest format that this program reads.
        known: u16,
        /// Program and version that wrote the store.
        written_by: String,
    },
    /// A file of the store is damaged.
    #[error("the store is damaged: {part}: {detail}")]
    Damaged {
        /// Which part of the store.
        part: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The database is older than the file of sub-keys.
    #[error("the store was rolled back: events reach {head}, but {floor} were written before")]
    RolledBack {
        /// Event that was durable when the sub-keys were last written.
        floor: u64,
        /// Last event in the database.
        head: u64,
    },
    /// The passphrase opens no slot.
    #[error("wrong passphrase")]
    WrongPassphrase {
        /// How long the next try will be refused; 0 while no delay applies.
        retry_after_ms: u64,
    },
    /// Too many wrong passphrases; this try was not looked at.
    #[error("too many wrong passphrases, try again in {retry_after_ms} ms")]
    TooSoon {
        /// How long tries are still refused.
        retry_after_ms: u64,
    },
    /// The store is not unlocked in this way.
    #[error("the store has no {0} slot")]
    NoSlot(SlotKind),
    /// The passphrase is empty or longer than 1 024 bytes.
    #[error("a passphrase has 1 to 1024 bytes, this one has {len}")]
    PassphraseLength {
        /// Its length in bytes.
        len: usize,
    },
    /// A store has one to four slots, at most one each of keyring and insecure.
    #[error(
        "a store has 1 to 4 ways to unlock it, at most one by keyring and one without protection"
    )]
    Slots,
    /// Argon2 refused its parameters.
    #[error(
        "these Argon2 parameters are not allowed: {memory_kib} KiB, {passes} passes, {lanes} lanes"
    )]
    Cost {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// The system's keyring did not answer as needed.
    #[error("keyring: {0}")]
    Keyring(#[from] VaultError),
    /// The system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The opened store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    pub(crate) fn damaged(part: &'static str, detail: impl Into<String>) -> Self {
        Self::Damaged {
            part,
            detail: detail.into(),
        }
    }
}

/// Why an open store could not read or write.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store has been locked or closed.
    #[error("the store is locked")]
    Closed,
    /// An earlier write failed; the process must be restarted before more is written.
    #[error("an earlier write to the store failed; restart to go on")]
    Poisoned,
    /// There is no room on the disk.
    #[error("the disk is full")]
    DiskFull,
    /// A key is longer than 512 bytes.
    #[error("a key of table {table} has {len} bytes, more than 512")]
    KeyTooLong {
        /// The table.
        table: Table,
        /// Length of the key.
        len: usize,
    },
    /// A value is longer than 16 MiB.
    #[error("a value of table {table} has {len} bytes, more than 16 MiB")]
    ValueTooLong {
        /// The table.
        table: Table,
        /// Length of the value.
        len: usize,
    },
    /// A name is empty or longer than its limit.
    #[error("a name has 1 to {limit} bytes, this one has {len}")]
    NameLength {
        /// Its length.
        len: usize,
        /// The most it may have.
        limit: usize,
    },
    /// There are as many consumers as a store keeps.
    #[error("there are {limit} consumers already")]
    TooManyConsumers {
        /// The most a store keeps.
        limit: usize,
    },
    /// A row does not open under the keys of this store, or holds nonsense.
    #[error("a row of table {table} is damaged: {detail}")]
    Row {
        /// The table.
        table: Table,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The cursor belongs to another store or to events no longer kept.
    #[error("the cursor has expired: events go from {oldest} to {head}")]
    CursorExpired {
        /// The earliest cursor from which reading can start.
        oldest: Cursor,
        /// The cursor of the last event.
        head: Cursor,
    },
    /// The database reports damage.
    #[error("the database is damaged: {0}")]
    Database(String),
    /// The system gave no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A file operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            if is_disk_full(&source) {
                Self::DiskFull
            } else {
                Self::Io { what, source }
            }
        }
    }
}

impl From<BackendError> for StoreError {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::DiskFull => Self::DiskFull,
            BackendError::Poisoned => Self::Poisoned,
            BackendError::InUse => Self::Database("it is open elsewhere".to_owned()),
            BackendError::Damaged(detail) => Self::Database(detail),
            BackendError::Io(source) => Self::Io {
                what: "database",
                source,
            },
        }
    }
}

/// True if a write failed for want of room, quota or permitted file size.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
