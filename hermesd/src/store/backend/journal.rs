//! Looks over the journal before fjall does (`docs/storage.md`, *The database*).
//!
//! A crash can leave the last batch of a journal unfinished, or with holes: pages reach the disk in any order before
//! `fdatasync` returns. fjall cuts off one that lacks its end, takes one whose end is there for damage and would then
//! never open again, and, where the damage looks like an end, silently drops all that follows. Here the rule is:
//!
//! - A commit begins only after the last one is synced. So only the last batch can be unfinished, and nobody was told
//!   that it was kept: it is cut off, and a copy stays beside the journal.
//! - A batch that is unreadable although whole ones follow it, or although its end is there and it has no hole, is damage,
//!   and so is every unreadable batch of an older journal: the store is refused, and nothing is changed.
//!
//! A hole is a sector of zeros, which sealed values never hold.
//!
//! The layout is that of fjall 3.1: a batch is a start (tag 1, item count u32, sequence u64), its items (tag 2, kind u8,
//! compression u8, keyspace u64, key length u16, value length u32, stored length u32, key, value; or tag 4,
//! keyspace u64) and an end (tag 3, XXH3-64 over the items u64, `FJL` 03), integers little-endian.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::BackendError;
use crate::store::disk::sync_folder;

const TRAILER: [u8; 4] = *b"FJL\x03";

/// The least that a disk writes as a whole.
const SECTOR_BYTES: u64 = 512;

/// Bytes read at once.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// All journals, the one that is written to last.
pub(super) fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name
            .and_then(|name| name.strip_suffix(".jnl"))
            .and_then(|n| n.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Looks over all journals in `folder` and cuts off an unfinished last batch. True if something was cut.
pub(super) fn look_over(folder: &Path) -> Result<bool, BackendError> {
    let journals = journals(folder)?;
    let Some((active, older)) = journals.split_last() else {
        return Ok(false);
    };
    for path in older {
        let (begin, tail) = unreadable_tail(path)?;
        if !tail.is_empty() {
            return Err(damaged(path, begin));
        }
    }
    let (begin, tail) = unreadable_tail(active)?;
    if tail.is_empty() {
        return Ok(false);
    }
    if !is_unfinished(begin, &tail) {
        return Err(damaged(active, begin));
    }
    cut(folder, active, begin, &tail)?;
    Ok(true)
}

fn damaged(path: &Path, at: u64) -> BackendError {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    BackendError::Damaged(format!("{name} is unreadable from byte {at}"))
}

fn cut(folder: &Path, path: &Path, begin: u64, tail: &[u8]) -> io::Result<()> {
    let mut copy = path.to_owned().into_os_string();
    copy.push(".torn");
    fs::write(&copy, tail)?;
    OpenOptions::new().write(true).open(&copy)?.sync_all()?;
    let journal = OpenOptions::new().write(true).open(path)?;
    journal.set_len(begin)?;
    journal.sync_all()?;
    sync_folder(folder)
}

/// What follows the last of the whole batches at the front of a journal, and where it begins; empty if that is nothing but
/// the zeros that a journal is made with. Reads in chunks, since a journal may have 64 MiB.
fn unreadable_tail(path: &Path) -> io::Result<(u64, Vec<u8>)> {
    let mut file = File::open(path)?;
    let (mut begin, mut window, mut last) = (0, Vec::new(), None);
    // Zeros after the last batch are only counted, until something else follows them.
    let mut zeros = 0;
    loop {
        if (&mut file).take(CHUNK_BYTES).read_to_end(&mut window)? == 0 {
            break;
        }
        let mut rest = window.as_slice();
        while let Ok((sequence, after)) = batch(rest)
            && last < Some(sequence)
        {
            (last, rest) = (Some(sequence), after);
        }
        let used = window.len() - rest.len();
        window.drain(..used);
        begin += used as u64;
        if window.iter().all(|byte| *byte == 0) {
            zeros += window.len();
            window.clear();
        } else if zeros > 0 {
            window.splice(..0, std::iter::repeat_n(0, std::mem::take(&mut zeros)));
        }
    }
    let end = window
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    window.truncate(end);
    Ok((begin, window))
}

/// True if `tail`, which begins at byte `begin` of its journal and ends with something other than zero, is what an
/// interrupted write leaves.
fn is_unfinished(begin: u64, tail: &[u8]) -> bool {
    let holds_batch = (0..tail.len())
        .filter_map(|at| tail.get(at..))
        .any(|later| later.first() == Some(&1) && batch(later).is_ok());
    if holds_batch {
        return false;
    }
    has_hole(begin, tail)
        || (!tail.ends_with(&TRAILER) && matches!(batch(tail), Err(Unreadable::Short)))
}

/// True if some sector that lies in `tail`, or that part of the first one which does, is all zeros.
fn has_hole(begin: u64, tail: &[u8]) -> bool {
    let lead = (begin.next_multiple_of(SECTOR_BYTES) - begin) as usize;
    let Some((lead, sectors)) = tail.split_at_checked(lead) else {
        return false;
    };
    let is_empty = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
    (!lead.is_empty() && is_empty(lead))
        || sectors.chunks_exact(SECTOR_BYTES as usize).any(is_empty)
}

/// Why no batch could be read.
enum Unreadable {
    /// The bytes end before the batch does.
    Short,
    /// The bytes are no batch.
    Wrong,
}

/// Sequence number of the whole batch at the start of `bytes`, and what follows it. The number rises from batch to batch;
/// it is the one thing that the checksum leaves out.
fn batch(bytes: &[u8]) -> Result<(u64, &[u8]), Unreadable> {
    let mut rest = bytes;
    let [1] = take(&mut rest)? else {
        return Err(Unreadable::Wrong);
    };
    let count = u32::from_le_bytes(take(&mut rest)?);
    let sequence = u64::from_le_bytes(take(&mut rest)?);
    let items = rest;
    for _ in 0..count {
        rest = item(rest)?;
    }
    let items = items
        .get(..items.len() - rest.len())
        .ok_or(Unreadable::Wrong)?;
    let [3] = take(&mut rest)? else {
        return Err(Unreadable::Wrong);
    };
    let checksum = u64::from_le_bytes(take(&mut rest)?);
    if take(&mut rest)? != TRAILER || checksum != xxh3_64(items) {
        return Err(Unreadable::Wrong);
    }
    Ok((sequence, rest))
}

/// What follows the item at the start of `bytes`.
fn item(bytes: &[u8]) -> Result<&[u8], Unreadable> {
    let mut rest = bytes;
    match take(&mut rest)? {
        [2] => {
            let _kind_compression_keyspace: [u8; 10] = take(&mut rest)?;
            let key = u64::from(u16::from_le_bytes(take(&mut rest)?));
            let _value: [u8; 4] = take(&mut rest)?;
            let stored = u64::from(u32::from_le_bytes(take(&mut rest)?));
            let len = usize::try_from(key + stored).map_err(|_| Unreadable::Short)?;
            rest.get(len..).ok_or(Unreadable::Short)
        }
        [4] => {
            let _keyspace: [u8; 8] = take(&mut rest)?;
            Ok(rest)
        }
        _ => Err(Unreadable::Wrong),
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], Unreadable> {
    let (head, rest) = from.split_first_chunk::<N>().ok_or(Unreadable::Short)?;
    *from = rest;
    Ok(*head)
}
