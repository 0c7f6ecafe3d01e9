//! Reading an open store, from any thread.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering},
};

use zeroize::Zeroizing;

use super::{
    backend::Backend,
    error::StoreError,
    kdf::Key,
    query::{Page, Query, Row},
    seal::Sealer,
    tables::Table,
};

/// What an unlocked store consists of; gone, keys and all, once it is locked.
pub(crate) struct Live {
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) sealer: Sealer,
    /// Key of the file of sub-keys.
    pub(crate) file_key: Key,
}

impl Live {
    pub(crate) fn get(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.backend.get(table.family(), &table.physical(key))? {
            Some(record) => self.sealer.open(table, key, &record).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn page(&self, table: Table, query: &Query) -> Result<Page, StoreError> {
        let raw = self.backend.page(&query.raw(table))?;
        let mut rows = Vec::with_capacity(raw.rows.len());
        for (physical, record) in raw.rows {
            let key = physical.get(1..).unwrap_or_default().to_vec();
            let value = self.sealer.open(table, &key, &record)?;
            rows.push(Row { key, value });
        }
        Ok(Page {
            rows,
            more: raw.more,
        })
    }
}

pub(crate) struct Shared {
    live: RwLock<Option<Live>>,
    pub(crate) epoch: u64,
    /// Sequence number of the last event committed.
    pub(crate) head: AtomicU64,
    /// Lowest sequence number kept; one above the head if no event is.
    pub(crate) oldest: AtomicU64,
}

impl Shared {
    pub(crate) fn new(live: Live, epoch: u64, oldest: u64, head: u64) -> Self {
        Self {
            live: RwLock::new(Some(live)),
            epoch,
            head: AtomicU64::new(head),
            oldest: AtomicU64::new(oldest),
        }
    }

    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&Live) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let guard: RwLockReadGuard<'_, _> =
            self.live.read().unwrap_or_else(PoisonError::into_inner);
        work(guard.as_ref().ok_or(StoreError::Closed)?)
    }

    pub(crate) fn with_mut<T>(
        &self,
        work: impl FnOnce(&mut Live) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut guard = self.live.write().unwrap_or_else(PoisonError::into_inner);
        work(guard.as_mut().ok_or(StoreError::Closed)?)
    }

    /// Takes database and keys out, after which every reader is told that the store is locked.
    pub(crate) fn shut(&self) -> Option<Live> {
        self.live
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// A handle for reading an open store; cheap to clone, usable from any thread.
///
/// Each call sees whole commits only, and only those that are already durable. Once the store is locked or closed every
/// call answers [`StoreError::Closed`].
#[derive(Clone)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

impl Reader {
    /// The value of a row. It is wiped when dropped.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.shared.with(|live| live.get(table, key))
    }

    /// A page of rows.
    pub fn page(&self, table: Table, query: &Query) -> Result<Page, StoreError> {
        self.shared.with(|live| live.page(table, query))
    }

    /// Calls `visit` with every row whose key starts with `prefix`, upwards, page by page, until it fails.
    pub fn for_each<E: From<StoreError>>(
        &self,
        table: Table,
        prefix: &[u8],
        mut visit: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut query = Query::prefix(prefix);
        loop {
            let page = self.page(table, &query)?;
            if let Some(last) = page.rows.last() {
                query = query.after(&last.key);
            }
            for row in page.rows {
                visit(row)?;
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Number of rows whose key starts with `prefix`. Reads all their keys: for small tables and for people.
    pub fn count(&self, table: Table, prefix: &[u8]) -> Result<u64, StoreError> {
        let query = Query::prefix(prefix).raw(table);
        self.shared.with(|live| Ok(live.backend.count(&query)?))
    }

    /// What stands for `name` in the keys of `table`, so that the files do not show it.
    pub fn blind(&self, table: Table, name: &[u8]) -> Result<[u8; 32], StoreError> {
        self.shared
            .with(|live| Ok(live.sealer.blind(table, &[name])))
    }

    /// Bytes that the database takes on the disk.
    pub fn store_bytes(&self) -> Result<u64, StoreError> {
        self.shared.with(|live| Ok(live.backend.bytes()?))
    }

    pub(crate) fn head_seq(&self) -> u64 {
        self.shared.head.load(Ordering::Acquire)
    }

    pub(crate) fn oldest_seq(&self) -> u64 {
        self.shared.oldest.load(Ordering::Acquire)
    }
}
