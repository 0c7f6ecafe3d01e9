//! Power failures in the middle of a commit to a real journal.
//!
//! A journal is taken as it is after the last commit but one, which was synced, and after the last. Of what the last one
//! added, sectors and ends are left out in many ways: every commit but the last must be there, the last whole or not at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;

const SECTOR: usize = 512;

struct Scene {
    folder: tempfile::TempDir,
    /// Length of the journal before the last commit.
    before: usize,
    journal: Vec<u8>,
}

fn journal_path(folder: &Path) -> PathBuf {
    let journals = fs::read_dir(folder.join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut journals: Vec<_> = journals
        .filter(|path| path.extension().is_some_and(|end| end == "jnl"))
        .collect();
    assert_eq!(journals.len(), 1);
    journals.pop().unwrap()
}

fn commit(store: &mut Store, n: u64, value_bytes: usize) {
    let mut batch = Batch::new();
    for part in 0..4 {
        batch.put(
            Table::Messages,
            &message_key(n, part),
            vec![n as u8; value_bytes],
        );
    }
    batch.put(Table::Ratchet, b"last", n.to_le_bytes());
    batch.event(n, "event");
    store.commit(batch).unwrap();
}

/// Three commits, the last with values of the given length.
fn scene(value_bytes: usize) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::new(folder.path()));
    create(&disk).close().unwrap();
    let mut store = open(&disk);
    commit(&mut store, 1, 2000);
    commit(&mut store, 2, 700);
    drop(store);
    let path = journal_path(folder.path());
    let before = fs::metadata(&path).unwrap().len() as usize;
    let mut store = open(&disk);
    commit(&mut store, 3, value_bytes);
    drop(store);
    let journal = fs::read(path).unwrap();
    assert!(journal.len() > before + value_bytes);
    Scene {
        folder,
        before,
        journal,
    }
}

/// The number of the last commit that is there, after checking that there is nothing in between.
fn last_commit(scene: &Scene, journal: &[u8]) -> Result<u64, OpenError> {
    fs::write(journal_path(scene.folder.path()), journal).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::new(scene.folder.path()));
    let store = try_open(&disk)?;
    let last = store.get(Table::Ratchet, b"last").unwrap().unwrap();
    let last = u64::from_le_bytes(last.as_slice().try_into().unwrap());
    assert_eq!(store.head().seq, last);
    for n in 1..=3 {
        let rows = store
            .page(Table::Messages, &Query::prefix(&seq_key(n)))
            .unwrap()
            .rows;
        assert_eq!(rows.len(), if n <= last { 4 } else { 0 });
        assert!(
            rows.iter()
                .all(|row| row.value.iter().all(|byte| *byte == n as u8))
        );
    }
    Ok(last)
}

#[test]
fn a_journal_cut_anywhere_in_the_last_commit_opens_without_it() {
    let scene = scene(3000);
    let (start, end) = (scene.before, scene.journal.len());
    let cuts = (start..end).step_by(171).chain(end - 20..end);
    for cut in cuts {
        assert_eq!(
            last_commit(&scene, &scene.journal[..cut]).unwrap(),
            2,
            "{cut}"
        );
        let mut zeros = scene.journal.clone();
        zeros[cut..].fill(0);
        zeros.resize(end + 100_000, 0);
        assert_eq!(last_commit(&scene, &zeros).unwrap(), 2, "{cut} with zeros");
    }
    assert_eq!(last_commit(&scene, &scene.journal).unwrap(), 3);
}

#[test]
fn a_last_commit_with_lost_sectors_is_cut_off_and_kept_aside() {
    let scene = scene(3000);
    let first = scene.before / SECTOR;
    let last = (scene.journal.len() - 1) / SECTOR;
    assert!(last - first > 20);
    for lost in first..=last {
        for count in [1, 8] {
            let mut torn = scene.journal.clone();
            let from = (lost * SECTOR).max(scene.before);
            let to = ((lost + count) * SECTOR).min(torn.len());
            torn[from..to].fill(0);
            assert_eq!(
                last_commit(&scene, &torn).unwrap(),
                2,
                "sectors {lost} and {count} more"
            );
        }
    }
    let kept = journal_path(scene.folder.path()).with_extension("jnl.torn");
    assert!(fs::metadata(kept).unwrap().len() > 0);
}

#[test]
fn after_a_repair_the_store_is_written_as_before() {
    let scene = scene(3000);
    let mut torn = scene.journal.clone();
    let middle = scene.before.next_multiple_of(SECTOR) + SECTOR;
    torn[middle..middle + SECTOR].fill(0);
    assert_eq!(last_commit(&scene, &torn).unwrap(), 2);
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::new(scene.folder.path()));
    let mut store = open(&disk);
    commit(&mut store, 3, 50);
    drop(store);
    let repaired = fs::read(journal_path(scene.folder.path())).unwrap();
    assert_eq!(last_commit(&scene, &repaired).unwrap(), 3);
}

/// What was synced and is unreadable is damage: the store is refused and its journal left as it is.
#[test]
fn rot_in_a_journal_is_told_and_nothing_is_cut() {
    let scene = scene(3000);
    let len = scene.journal.len();
    // A batch's number is not under its checksum. It must rise, so only the last one's can be changed unnoticed.
    let number = scene.before + 5..scene.before + 13;
    let spots = (0..len)
        .step_by(97)
        .chain(len - 13..len)
        .chain(scene.before..scene.before + 30);
    for at in spots.filter(|at| !number.contains(at)) {
        let mut rotten = scene.journal.clone();
        rotten[at] ^= 0x10;
        let error = last_commit(&scene, &rotten).unwrap_err();
        let told = matches!(error, OpenError::Store(StoreError::Database(_)));
        assert!(told, "{at}: {error}");
        assert_eq!(
            fs::read(journal_path(scene.folder.path())).unwrap(),
            rotten,
            "{at}"
        );
    }
}

#[test]
fn batches_whose_numbers_do_not_rise_are_damage() {
    let scene = scene(3000);
    let mut rotten = scene.journal.clone();
    rotten[12] ^= 0x10;
    let error = last_commit(&scene, &rotten).unwrap_err();
    assert!(matches!(error, OpenError::Store(StoreError::Database(_))));
}

#[test]
fn lost_sectors_before_the_last_commit_are_damage() {
    let scene = scene(3000);
    for lost in 0..scene.before / SECTOR {
        let mut rotten = scene.journal.clone();
        rotten[lost * SECTOR..(lost + 1) * SECTOR].fill(0);
        let error = last_commit(&scene, &rotten).unwrap_err();
        assert!(
            matches!(error, OpenError::Store(StoreError::Database(_))),
            "{lost}: {error}"
        );
    }
}
