//! A disk in memory that loses what was not synced, for tests.
//!
//! It counts every step that touches the medium (writing, syncing, renaming) and can crash before any of them. After
//! the crash every call fails, as it would for a process that is no more; [`MemoryDisk::reboot`] then gives the disk as
//! the next start would find it: synced bytes are there, the rest is lost, kept or torn, as the test wants.
//! [`at_every_crash`] runs a scenario once for every step and every kind of loss.

use std::{
    any::Any,
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Backend, BackendError, Direction, Op, RawPage, RawQuery};
use crate::store::{
    disk::{Disk, Expect, SmallFile},
    lock::LockError,
    tables::Family,
};

/// A step that touches the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The database is made.
    MakeDatabase,
    /// A batch is written to the journal, not yet synced.
    WriteJournal,
    /// The journal is synced.
    SyncJournal,
    /// The new bytes of a small file are written under a temporary name and synced.
    WriteFile(SmallFile),
    /// The temporary name takes the place of the file's.
    RenameFile(SmallFile),
    /// The rename is synced.
    SyncFolder(SmallFile),
}

/// What becomes of bytes that were written and not synced when the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// They are gone.
    All,
    /// They had reached the disk all the same.
    Nothing,
    /// The journal's have a hole in the middle and a cut end.
    Torn,
}

impl Loss {
    /// Every kind of loss.
    pub const ALL: [Self; 3] = [Self::All, Self::Nothing, Self::Torn];
}

#[derive(Clone)]
enum Fault {
    Crash,
    Error(io::ErrorKind),
}

#[derive(Default)]
struct Platter {
    has_database: bool,
    journal: Vec<u8>,
    unsynced: Vec<u8>,
    files: BTreeMap<SmallFile, Vec<u8>>,
    renamed: Option<(SmallFile, Vec<u8>)>,
    steps: Vec<Step>,
    fault: Option<(usize, Fault)>,
    room: Option<usize>,
    crashed: bool,
    locked: bool,
}

impl Platter {
    /// Goes one step, unless the fault strikes first.
    fn step(&mut self, step: Step) -> io::Result<()> {
        if self.crashed {
            return Err(crashed());
        }
        match self.fault.clone() {
            Some((at, fault)) if at == self.steps.len() => {
                self.fault = None;
                match fault {
                    Fault::Crash => {
                        self.crashed = true;
                        Err(crashed())
                    }
                    Fault::Error(kind) => Err(kind.into()),
                }
            }
            _ => {
                self.steps.push(step);
                Ok(())
            }
        }
    }

    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.step(Step::WriteJournal)?;
        let used = self.journal.len() + self.unsynced.len() + frame.len();
        if self.room.is_some_and(|room| used > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.unsynced.extend_from_slice(frame);
        self.step(Step::SyncJournal)?;
        let synced = std::mem::take(&mut self.unsynced);
        self.journal.extend_from_slice(&synced);
        Ok(())
    }
}

fn crashed() -> io::Error {
    io::Error::other("the machine has crashed")
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Platter>>);

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Steps gone so far.
    pub fn steps(&self) -> Vec<Step> {
        self.platter().steps.clone()
    }

    /// Crashes before the step that follows `steps` more.
    pub fn crash_after(&self, steps: usize) {
        let mut platter = self.platter();
        platter.fault = Some((platter.steps.len() + steps, Fault::Crash));
    }

    /// Lets the step that follows `steps` more fail with an error, once.
    pub fn fail_after(&self, steps: usize, kind: io::ErrorKind) {
        let mut platter = self.platter();
        platter.fault = Some((platter.steps.len() + steps, Fault::Error(kind)));
    }

    /// Gives the journal room for so many more bytes, or no limit.
    pub fn leave_room(&self, bytes: Option<usize>) {
        let mut platter = self.platter();
        platter.room = bytes.map(|bytes| platter.journal.len() + bytes);
    }

    /// True once it has crashed.
    pub fn has_crashed(&self) -> bool {
        self.platter().crashed
    }

    /// The disk as it is found after the power failed now. This one stays as it is, for whoever still holds it.
    pub fn reboot(&self, loss: Loss) -> Self {
        let old = self.platter();
        let mut journal = old.journal.clone();
        let mut files = old.files.clone();
        match loss {
            Loss::All => {}
            Loss::Nothing => {
                journal.extend_from_slice(&old.unsynced);
                files.extend(old.renamed.clone());
            }
            Loss::Torn => {
                let len = old.unsynced.len();
                let torn = old.unsynced.iter().enumerate().take(len - len / 8);
                journal.extend(torn.map(|(at, byte)| {
                    if at > len / 3 && at < len / 2 {
                        0
                    } else {
                        *byte
                    }
                }));
            }
        }
        let platter = Platter {
            has_database: old.has_database,
            journal,
            files,
            ..Platter::default()
        };
        Self(Arc::new(Mutex::new(platter)))
    }
}

struct Unlocker(MemoryDisk);

impl Drop for Unlocker {
    fn drop(&mut self) {
        self.0.platter().locked = false;
    }
}

impl Disk for MemoryDisk {
    fn lock(&self, _: &str) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        let mut platter = self.platter();
        if std::mem::replace(&mut platter.locked, true) {
            return Err(LockError::Held {
                holder: Some("another test".to_owned()),
            });
        }
        Ok(Box::new(Unlocker(self.clone())))
    }

    fn read(&self, file: SmallFile) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let platter = self.platter();
        if platter.crashed {
            return Err(crashed());
        }
        let renamed = platter
            .renamed
            .as_ref()
            .filter(|(name, _)| *name == file)
            .map(|(_, bytes)| bytes);
        Ok(renamed
            .or_else(|| platter.files.get(&file))
            .cloned()
            .map(Zeroizing::new))
    }

    fn replace(&self, file: SmallFile, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.platter();
        platter.step(Step::WriteFile(file))?;
        platter.step(Step::RenameFile(file))?;
        platter.renamed = Some((file, bytes.to_vec()));
        platter.step(Step::SyncFolder(file))?;
        let renamed = platter.renamed.take();
        platter.files.extend(renamed);
        Ok(())
    }

    fn open_database(&self, expect: Expect) -> Result<Box<dyn Backend>, BackendError> {
        let mut platter = self.platter();
        match expect {
            Expect::Nothing => {
                platter.step(Step::MakeDatabase)?;
                platter.journal.clear();
                platter.has_database = true;
            }
            Expect::Database if !platter.has_database => {
                return Err(BackendError::Damaged("it is missing".to_owned()));
            }
            Expect::Database => {}
        }
        let (rows, whole) = replay(&platter.journal);
        platter.journal.truncate(whole);
        drop(platter);
        Ok(Box::new(MemoryBackend {
            disk: self.clone(),
            state: RwLock::new(State {
                rows,
                poisoned: false,
            }),
        }))
    }
}

type Rows = BTreeMap<Family, BTreeMap<Vec<u8>, Vec<u8>>>;

struct State {
    rows: Rows,
    poisoned: bool,
}

/// The database on a [`MemoryDisk`]: ordered maps, filled from the journal.
struct MemoryBackend {
    disk: MemoryDisk,
    state: RwLock<State>,
}

impl MemoryBackend {
    fn select<T>(
        &self,
        query: &RawQuery,
        read: impl FnOnce(&mut dyn DoubleEndedIterator<Item = (&Vec<u8>, &Vec<u8>)>) -> T,
    ) -> T {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match state.rows.get(&query.family) {
            Some(rows) if !query.is_empty() => {
                read(&mut rows.range((query.lower.clone(), query.upper.clone())))
            }
            _ => read(&mut std::iter::empty()),
        }
    }
}

impl Backend for MemoryBackend {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Ok(state
            .rows
            .get(&family)
            .and_then(|rows| rows.get(key))
            .cloned())
    }

    fn page(&self, query: &RawQuery) -> Result<RawPage, BackendError> {
        self.select(query, |rows| {
            let read = |(key, value): (&Vec<u8>, &Vec<u8>)| Ok((key.clone(), value.clone()));
            match query.direction {
                Direction::Forward => RawPage::collect(query, rows.map(read)),
                Direction::Backward => RawPage::collect(query, rows.rev().map(read)),
            }
        })
    }

    fn count(&self, query: &RawQuery) -> Result<u64, BackendError> {
        Ok(self.select(query, |rows| rows.count() as u64))
    }

    fn write(&self, ops: Vec<Op>) -> Result<(), BackendError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.poisoned {
            return Err(BackendError::Poisoned);
        }
        if let Err(error) = self.disk.platter().append(&frame(&ops)) {
            state.poisoned = true;
            return Err(error.into());
        }
        apply(&mut state.rows, ops);
        Ok(())
    }

    fn bytes(&self) -> Result<u64, BackendError> {
        Ok(self.disk.platter().journal.len() as u64)
    }

    fn close(self: Box<Self>) -> Result<(), BackendError> {
        Ok(())
    }
}

fn apply(rows: &mut Rows, ops: Vec<Op>) {
    for op in ops {
        let map = rows.entry(op.family).or_default();
        match op.value {
            Some(value) => map.insert(op.key, value),
            None => map.remove(&op.key),
        };
    }
}

/// One batch in the journal: length, checksum, changes.
fn frame(ops: &[Op]) -> Vec<u8> {
    let mut body = Vec::new();
    for op in ops {
        body.push(op.family as u8);
        body.push(u8::from(op.value.is_some()));
        for part in [op.key.as_slice(), op.value.as_deref().unwrap_or_default()] {
            body.extend_from_slice(&(part.len() as u32).to_le_bytes());
            body.extend_from_slice(part);
        }
    }
    let len = (body.len() as u32).to_le_bytes();
    let checksum: [u8; 32] = Sha256::digest(&body).into();
    [len.as_slice(), &checksum, &body].concat()
}

/// The rows that whole batches at the front of `journal` make, and where those end.
fn replay(journal: &[u8]) -> (Rows, usize) {
    let mut rows = Rows::new();
    let mut rest = journal;
    while let Some((ops, after)) = read_frame(rest) {
        apply(&mut rows, ops);
        rest = after;
    }
    (rows, journal.len() - rest.len())
}

fn read_frame(bytes: &[u8]) -> Option<(Vec<Op>, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<32>()?;
    let (mut body, after) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    if Sha256::digest(body).as_slice() != checksum {
        return None;
    }
    let mut ops = Vec::new();
    while let Some(([family, is_put], tail)) = body.split_first_chunk::<2>() {
        body = tail;
        let key = part(&mut body)?;
        let value = part(&mut body)?;
        let family = *Family::ALL.get(usize::from(*family))?;
        ops.push(Op {
            family,
            key,
            value: (*is_put == 1).then_some(value),
        });
    }
    Some((ops, after))
}

fn part(from: &mut &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = from.split_first_chunk::<4>()?;
    let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *from = rest;
    Some(part.to_vec())
}

/// Runs `scenario` on an empty disk without a fault, then again once for every step before which the machine can crash and
/// for every kind of loss. After each crash `check` gets what the scenario returned, the disk as the next start finds it,
/// and a name of the crash for its messages. A scenario ends at its first error.
pub fn at_every_crash<R>(scenario: impl Fn(MemoryDisk) -> R, check: impl Fn(R, MemoryDisk, &str)) {
    let disk = MemoryDisk::new();
    let result = scenario(disk.clone());
    let steps = disk.steps();
    assert!(
        !disk.has_crashed() && !steps.is_empty(),
        "the scenario must write something"
    );
    check(result, disk.reboot(Loss::All), "no crash");
    for (at, step) in steps.iter().enumerate() {
        for loss in Loss::ALL {
            let disk = MemoryDisk::new();
            disk.crash_after(at);
            let result = scenario(disk.clone());
            assert!(
                disk.has_crashed(),
                "the scenario goes another way the second time"
            );
            check(
                result,
                disk.reboot(loss),
                &format!("crash before step {at}, {step:?}, loss {loss:?}"),
            );
        }
    }
}
