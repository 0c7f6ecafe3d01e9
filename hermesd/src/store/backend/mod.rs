//! The database under a store, as far as the store needs one: four ordered maps of bytes, written in atomic batches.
//!
//! [`FjallBackend`] is the real one; `MemoryBackend` is one that can crash. Keys here are a table's byte and the row's key,
//! values are sealed; nothing below this line knows a secret.

use std::{io, ops::Bound};

use super::{error::is_disk_full, tables::Family};

mod fjall;
mod journal;
mod manifest;
#[cfg(any(test, feature = "test-utils"))]
pub(crate) mod memory;

pub use self::fjall::FjallBackend;

/// One change of one row.
pub struct Op {
    /// The keyspace.
    pub family: Family,
    /// Table byte and key.
    pub key: Vec<u8>,
    /// The sealed value, or `None` to delete the row.
    pub value: Option<Vec<u8>>,
}

/// Which way rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest key up.
    Forward,
    /// From the highest key down.
    Backward,
}

/// Rows of one keyspace between two keys.
pub struct RawQuery {
    /// The keyspace.
    pub family: Family,
    /// Lower end.
    pub lower: Bound<Vec<u8>>,
    /// Upper end.
    pub upper: Bound<Vec<u8>>,
    /// Order of the answer.
    pub direction: Direction,
    /// Most rows to return.
    pub rows: usize,
    /// No further row is returned once this many bytes of values are.
    pub bytes: usize,
}

impl RawQuery {
    /// True if no key can lie between the ends; such ranges must not reach an ordered map, which may panic over them.
    pub(crate) fn is_empty(&self) -> bool {
        match (&self.lower, &self.upper) {
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
            | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
            _ => false,
        }
    }
}

/// Rows found by a [`RawQuery`].
#[derive(Default)]
pub struct RawPage {
    /// Keys and sealed values.
    pub rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// True if a limit ended the page and rows remain.
    pub more: bool,
}

impl RawPage {
    /// Collects rows up to the limits of `query`.
    pub(crate) fn collect<E>(
        query: &RawQuery,
        rows: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), E>>,
    ) -> Result<Self, E> {
        let mut page = Self::default();
        let mut bytes = 0;
        for row in rows {
            if page.rows.len() >= query.rows || bytes >= query.bytes {
                page.more = true;
                break;
            }
            let row = row?;
            bytes += row.1.len();
            page.rows.push(row);
        }
        Ok(page)
    }
}

/// A database of ordered maps.
pub trait Backend: Send + Sync {
    /// The value of a key.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError>;
    /// Rows of a range.
    fn page(&self, query: &RawQuery) -> Result<RawPage, BackendError>;
    /// Number of rows in a range, whatever the limits of `query`.
    fn count(&self, query: &RawQuery) -> Result<u64, BackendError>;
    /// Makes all changes or none, durably before it returns. No key may occur twice. After an error the outcome is open
    /// (all or none) until the database has been opened again, and every further write fails.
    fn write(&self, ops: Vec<Op>) -> Result<(), BackendError>;
    /// Bytes that the database takes on its medium.
    fn bytes(&self) -> Result<u64, BackendError>;
    /// Ends the use of the database, leaving it such that it opens fast.
    fn close(self: Box<Self>) -> Result<(), BackendError>;
}

/// Why a database failed.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// No room for a write.
    #[error("the disk is full")]
    DiskFull,
    /// An earlier write failed.
    #[error("an earlier write failed")]
    Poisoned,
    /// The database is open elsewhere.
    #[error("the database is open elsewhere")]
    InUse,
    /// The database is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// A file operation failed.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for BackendError {
    fn from(error: io::Error) -> Self {
        if is_disk_full(&error) {
            Self::DiskFull
        } else {
            Self::Io(error)
        }
    }
}
