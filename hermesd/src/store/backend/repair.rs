//! Cuts off a journal entry that a crash left with holes (`docs/storage.md`, *Repair*).
//!
//! A batch longer than a page can reach the disk in part before `fdatasync` returns, and not from the front. fjall drops
//! one that lacks its end, but takes one whose end is there and whose middle is not for damage, and would then never
//! open again. A commit begins only after the last one is synced, so the one entry that may be torn is the last,
//! and nobody was told that it was kept. Anything else unreadable is damage and stays as it is.
//!
//! The layout is that of fjall 3.1: an entry is a start (tag 1, item count u32, sequence u64), its items (tag 2, kind u8,
//! compression u8, keyspace u64, key length u16, value length u32, stored length u32, key, value; or tag 4,
//! keyspace u64) and an end (tag 3, XXH3-64 over the items u64, `FJL` 03), integers little-endian.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use crate::store::disk::sync_folder;

const TRAILER: [u8; 4] = *b"FJL\x03";

/// The least that a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

/// The journal that is written to: the one with the highest number.
pub(super) fn active_journal(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".jnl"))
            .and_then(|number| number.parse().ok());
        let Some(number) = number else { continue };
        if newest.as_ref().is_none_or(|(highest, _)| number > *highest) {
            newest = Some((number, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Cuts the last entry off the journal if it is torn and nothing follows it. True if something was cut.
pub(super) fn cut_torn_tail(folder: &Path) -> io::Result<bool> {
    let Some(path) = active_journal(folder)? else { return Ok(false) };
    let journal = fs::read(&path)?;
    let Some(end) = torn_tail(&journal) else { return Ok(false) };
    let mut kept = path.clone().into_os_string();
    kept.push(".torn");
    fs::write(&kept, journal.get(end..).unwrap_or_default())?;
    OpenOptions::new().write(true).open(&kept)?.sync_all()?;
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(end as u64)?;
    file.sync_all()?;
    sync_folder(folder)?;
    Ok(true)
}

/// Where the torn last entry begins, or `None` if the journal is whole or damaged otherwise.
fn torn_tail(journal: &[u8]) -> Option<usize> {
    let mut rest = journal;
    while let Some(after) = whole_entry(rest) {
        rest = after;
    }
    let begin = journal.len() - rest.len();
    let end = begin + rest.iter().rposition(|byte| *byte != 0)?;
    let has_hole = journal
        .get(begin.next_multiple_of(SECTOR_BYTES)..end)?
        .chunks_exact(SECTOR_BYTES)
        .any(|sector| sector.iter().all(|byte| *byte == 0));
    // A whole entry further on would have been begun after this one was synced.
    let is_last = !(begin + 1..end)
        .filter(|at| journal.get(*at) == Some(&1))
        .any(|at| journal.get(at..).is_some_and(|tail| whole_entry(tail).is_some()));
    (rest.first() == Some(&1) && has_hole && is_last).then_some(begin)
}

/// What follows the whole entry at the start of `bytes`, or `None` if there is no whole entry.
fn whole_entry(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    let [tag] = take(&mut rest)?;
    let count = u32::from_le_bytes(take(&mut rest)?);
    let _sequence: [u8; 8] = take(&mut rest)?;
    if tag != 1 {
        return None;
    }
    let items = rest;
    for _ in 0..count {
        skip_item(&mut rest)?;
    }
    let items = items.get(..items.len() - rest.len())?;
    let [tag] = take(&mut rest)?;
    let checksum = u64::from_le_bytes(take(&mut rest)?);
    let whole = tag == 3
        && take(&mut rest)? == TRAILER
        && checksum == xxhash_rust::xxh3::xxh3_64(items);
    whole.then_some(rest)
}

fn skip_item(rest: &mut &[u8]) -> Option<()> {
    match take(rest)? {
        [2] => {
            let _kind_compression_keyspace: [u8; 10] = take(rest)?;
            let key = u16::from_le_bytes(take(rest)?);
            let _value = u32::from_le_bytes(take(rest)?);
            let stored = u32::from_le_bytes(take(rest)?);
            *rest = rest.get(usize::from(key).checked_add(stored.try_into().ok()?)?..)?;
        }
        [4] => {
            let _keyspace: [u8; 8] = take(rest)?;
        }
        _ => return None,
    }
    Some(())
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}
