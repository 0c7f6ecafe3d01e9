//! The database on a real disk: fjall.
//!
//! fjall syncs nothing unless told to, keeps a journal that it reads as a whole at every start, and answers some damage
//! with a panic. Here every write is synced, an orderly close empties the journal, and panics become errors.

use std::{
    fs::{self, OpenOptions},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fjall::{
    AbstractTree, Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode, Readable,
    compaction::Leveled,
};

use super::{Backend, BackendError, Direction, Op, RawPage, RawQuery, journal, manifest};
use crate::store::{disk::sync_folder, error::is_disk_full, tables::Family};

/// Block cache. Histories are read a page at a time and rarely twice; more would only show in the daemon's memory.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;

/// Rows kept in memory per keyspace before they are written to a table. Memory taken is some three times this; a
/// smaller one costs more syncs in the background. Fixed for a keyspace when it is made.
const MEMTABLE_BYTES: u64 = 512 * 1024;

/// Length of a table. Merging tables takes memory by their length (with 64 MiB, fjall's choice, the daemon grew by 10 MiB
/// under load); more tables are more files. Fixed for a keyspace when it is made.
const TABLE_BYTES: u64 = 8 * 1024 * 1024;

/// Journals together before rarely written keyspaces are flushed so that old ones can go; the least that fjall takes.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Open table files. A store of a gigabyte has some fifty.
const OPEN_FILES_MAX: usize = 64;

/// How long a close waits for memtables to be written before it leaves that to the next start.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often it looks.
const FLUSH_POLL: Duration = Duration::from_millis(1);

/// A fjall database with its four keyspaces.
pub struct FjallBackend {
    /// There until the database is closed.
    open: Option<Open>,
    folder: PathBuf,
}

struct Open {
    // Fields are dropped in this order: handles first, so that the last of them closes the database.
    families: Families,
    database: Database,
}

struct Families {
    state: Keyspace,
    ratchet: Keyspace,
    log: Keyspace,
    events: Keyspace,
}

impl Families {
    fn open(database: &Database) -> Result<Self, fjall::Error> {
        let open = |family: Family| {
            database.keyspace(family.name(), || {
                let merging = Leveled::default().with_table_target_size(TABLE_BYTES);
                KeyspaceCreateOptions::default()
                    .max_memtable_size(MEMTABLE_BYTES)
                    .compaction_strategy(Arc::new(merging))
            })
        };
        Ok(Self {
            state: open(Family::State)?,
            ratchet: open(Family::Ratchet)?,
            log: open(Family::Log)?,
            events: open(Family::Events)?,
        })
    }

    fn of(&self, family: Family) -> &Keyspace {
        match family {
            Family::State => &self.state,
            Family::Ratchet => &self.ratchet,
            Family::Log => &self.log,
            Family::Events => &self.events,
        }
    }
}

impl FjallBackend {
    /// Makes a database in `folder`, which does not exist.
    pub fn create(folder: &Path) -> Result<Self, BackendError> {
        Self::start(folder, Families::open)
    }

    /// Opens the database in `folder`. What a crash left unfinished in the journal is cut off first; a database with a part
    /// missing or unreadable is left as it is.
    pub fn open(folder: &Path) -> Result<Self, BackendError> {
        manifest::look_over(folder)?;
        if journal::look_over(folder)? {
            tracing::warn!("an unfinished write was cut off the journal");
        }
        Self::start(folder, |database| {
            let missing = |family: &Family| !database.keyspace_exists(family.name());
            if Family::ALL.iter().any(missing) {
                return Err(fjall::Error::Unrecoverable);
            }
            Families::open(database)
        })
    }

    fn start(
        folder: &Path,
        families: impl FnOnce(&Database) -> Result<Families, fjall::Error>,
    ) -> Result<Self, BackendError> {
        contain(|| {
            let database = Database::builder(folder)
                .cache_size(CACHE_BYTES)
                .worker_threads(1)
                .max_cached_files(Some(OPEN_FILES_MAX))
                .max_journaling_size(JOURNAL_BYTES_MAX)
                .open()?;
            let families = families(&database)?;
            Ok(Self {
                open: Some(Open { families, database }),
                folder: folder.to_owned(),
            })
        })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Open) -> Result<T, fjall::Error>,
    ) -> Result<T, BackendError> {
        match &self.open {
            Some(open) => contain(|| work(open)),
            None => Err(BackendError::Poisoned),
        }
    }

    /// Closes the database. Its end may wait for a table that is being written, and may panic after a worker did.
    fn shut(&mut self) {
        if let Some(open) = self.open.take() {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(open)));
        }
    }
}

impl Drop for FjallBackend {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Open {
    fn rows(&self, query: &RawQuery) -> fjall::Iter {
        let bounds = (query.lower.clone(), query.upper.clone());
        self.database
            .snapshot()
            .range(self.families.of(query.family), bounds)
    }

    /// Writes all memtables to tables. True if that was complete, so that the journal holds nothing more of use.
    fn flush(&self) -> bool {
        let all = || Family::ALL.iter().map(|family| self.families.of(*family));
        if !all().all(|keyspace| keyspace.rotate_memtable().is_ok()) {
            return false;
        }
        let mut waited = Duration::ZERO;
        while all().any(|keyspace| keyspace.sealed_memtable_count() > 0) {
            let poisoned = self.database.persist(PersistMode::Buffer).is_err();
            if poisoned || waited >= FLUSH_WAIT_MAX {
                return false;
            }
            std::thread::sleep(FLUSH_POLL);
            waited += FLUSH_POLL;
        }
        all().all(|keyspace| keyspace.tree.active_memtable().is_empty())
    }
}

impl Backend for FjallBackend {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.with(|open| {
            let value = open
                .database
                .snapshot()
                .get(open.families.of(family), key)?;
            Ok(value.map(|value| value.to_vec()))
        })
    }

    fn page(&self, query: &RawQuery) -> Result<RawPage, BackendError> {
        if query.is_empty() {
            return Ok(RawPage::default());
        }
        let read = |row: Guard| {
            row.into_inner()
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
        };
        self.with(|open| match query.direction {
            Direction::Forward => RawPage::collect(query, open.rows(query).map(read)),
            Direction::Backward => RawPage::collect(query, open.rows(query).rev().map(read)),
        })
    }

    fn count(&self, query: &RawQuery) -> Result<u64, BackendError> {
        if query.is_empty() {
            return Ok(0);
        }
        self.with(|open| {
            let mut count = 0;
            for row in open.rows(query) {
                row.key()?;
                count += 1;
            }
            Ok(count)
        })
    }

    fn write(&self, ops: Vec<Op>) -> Result<(), BackendError> {
        self.with(|open| {
            let mut batch = open
                .database
                .batch()
                .durability(Some(PersistMode::SyncData));
            for op in ops {
                let keyspace = open.families.of(op.family);
                match op.value {
                    Some(value) => batch.insert(keyspace, op.key, value),
                    None => batch.remove(keyspace, op.key),
                }
            }
            batch.commit()
        })
    }

    fn bytes(&self) -> Result<u64, BackendError> {
        Ok(folder_bytes(&self.folder)?)
    }

    fn close(mut self: Box<Self>) -> Result<(), BackendError> {
        let complete = self.with(|open| Ok(open.flush())).unwrap_or(false);
        self.shut();
        if complete {
            empty_journal(&self.folder)?;
        }
        Ok(())
    }
}

/// Runs `work`, turning fjall's errors and panics into ours.
fn contain<T>(work: impl FnOnce() -> Result<T, fjall::Error>) -> Result<T, BackendError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(translate),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("panic");
            Err(BackendError::Damaged(said.to_owned()))
        }
    }
}

fn translate(error: fjall::Error) -> BackendError {
    match error {
        fjall::Error::Io(error) => translate_io(error),
        fjall::Error::Storage(fjall::LsmError::Io(error)) => translate_io(error),
        fjall::Error::Poisoned => BackendError::Poisoned,
        fjall::Error::Locked => BackendError::InUse,
        other => BackendError::Damaged(other.to_string()),
    }
}

/// Files that end early, hold nonsense or are not there are damage; the rest is trouble of the system.
fn translate_io(error: io::Error) -> BackendError {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match error.kind() {
        InvalidData | NotFound | UnexpectedEof => BackendError::Damaged(error.to_string()),
        _ if is_disk_full(&error) => BackendError::DiskFull,
        _ => BackendError::Io(error),
    }
}

/// Empties the journal that is written to, all of which is in tables by now. An empty journal is what fjall itself
/// leaves when it is opened and closed without a write in between.
fn empty_journal(folder: &Path) -> io::Result<()> {
    if let Some(path) = journal::journals(folder)?.last() {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(0)?;
        file.sync_all()?;
        sync_folder(folder)?;
    }
    Ok(())
}

/// What the files of a folder take on the disk. fjall makes its journal 64 MiB long with nothing in it, so lengths
/// would tell lies.
fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Tables come and go under our eyes; one that is gone takes nothing.
        let Ok(metadata) = path.metadata() else {
            continue;
        };
        bytes += if metadata.is_dir() {
            folder_bytes(&path)?
        } else {
            file_bytes(&metadata)
        };
    }
    Ok(bytes)
}

#[cfg(unix)]
fn file_bytes(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    // POSIX counts blocks of 512 bytes whatever the file system's own are.
    metadata.blocks() * 512
}

#[cfg(not(unix))]
fn file_bytes(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}
