//! Damaged, swapped and foreign files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;

fn folder_store() -> (tempfile::TempDir, Arc<dyn Disk>, Store) {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::new(folder.path()));
    let store = create(&disk);
    (folder, disk, store)
}

/// All files below `folder`, smaller paths first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    found
}

fn copy_folder(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, &target).unwrap();
    }
}

#[test]
fn rows_moved_to_another_key_or_table_do_not_open() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        put(&mut store, Table::Contacts, b"alice", b"key of alice");
        put(&mut store, Table::Contacts, b"bob", b"key of bob");
        let raw = |table: Table, key: &[u8]| {
            let get =
                |live: &reader::Live| Ok(live.backend.get(table.family(), &table.physical(key))?);
            store.shared.with(get).unwrap().unwrap()
        };
        let write = |table: Table, key: &[u8], value: Vec<u8>| {
            let op = Op {
                family: table.family(),
                key: table.physical(key),
                value: Some(value),
            };
            store
                .shared
                .with(|live| Ok(live.backend.write(vec![op])?))
                .unwrap();
        };
        let (alice, bob) = (raw(Table::Contacts, b"alice"), raw(Table::Contacts, b"bob"));
        write(Table::Contacts, b"alice", bob.clone());
        write(Table::Identity, b"bob", bob);
        write(Table::Ratchet, b"alice", alice);
        for (table, key) in [
            (Table::Contacts, &b"alice"[..]),
            (Table::Identity, b"bob"),
            (Table::Ratchet, b"alice"),
        ] {
            assert!(
                matches!(store.get(table, key), Err(StoreError::Row { .. })),
                "{table}"
            );
            assert!(
                matches!(
                    store.page(table, &Query::all()),
                    Err(StoreError::Row { .. })
                ),
                "{table}"
            );
        }
        assert_eq!(
            store
                .get(Table::Contacts, b"bob")
                .unwrap()
                .unwrap()
                .as_slice(),
            b"key of bob"
        );
    });
}

#[test]
fn missing_and_foreign_parts_are_named() {
    let (folder, disk, store) = folder_store();
    store.close().unwrap();
    let (foreign, foreign_disk, store) = folder_store();
    store.close().unwrap();
    let path = |name: &str| folder.path().join(name);
    let complaint = |expected: &str| {
        let error = try_open(&disk).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };

    fs::rename(path("db"), path("away")).unwrap();
    complaint("the database is damaged: it is missing");
    assert!(!path("db").exists());
    copy_folder(&foreign.path().join("db"), &path("db"));
    complaint("a row of table meta is damaged");
    fs::remove_dir_all(path("db")).unwrap();
    fs::rename(path("away"), path("db")).unwrap();

    let own = fs::read(path("subkeys")).unwrap();
    fs::remove_file(path("subkeys")).unwrap();
    complaint("subkeys: the file is missing");
    fs::copy(foreign.path().join("subkeys"), path("subkeys")).unwrap();
    complaint("subkeys: it does not open");
    fs::write(path("subkeys"), &own[..20]).unwrap();
    complaint("subkeys: it is too short");
    fs::write(path("subkeys"), own).unwrap();

    let own = fs::read(path("header")).unwrap();
    fs::write(path("header"), &own[..own.len() / 2]).unwrap();
    complaint("header: its length");
    fs::write(path("header"), b"").unwrap();
    complaint("header: it is too short");
    let mut newer = own.clone();
    newer[8] = 2;
    fs::write(path("header"), newer).unwrap();
    complaint("the store has format 2, written by hermesd test; this program reads up to 1");
    fs::write(path("header"), own).unwrap();

    drop(open(&disk));
    drop(open(&foreign_disk));
}

#[test]
fn a_store_made_after_a_crash_moves_the_stray_database_aside() {
    let (folder, disk, store) = folder_store();
    store.close().unwrap();
    fs::remove_file(folder.path().join("header")).unwrap();
    assert!(matches!(try_open(&disk), Err(OpenError::NoStore)));
    drop(create(&disk));
    assert!(folder.path().join("db.set-aside-1/version").exists());
    drop(open(&disk));
}

/// fjall answers such names with a panic that ends the process.
#[test]
fn names_that_are_not_the_databases_own_are_told() {
    let (folder, disk, store) = folder_store();
    store.close().unwrap();
    for name in ["keyspaces/stray", "keyspaces/-1", "x.jnl", "7.jnl", "7.JNL"] {
        let stray = folder.path().join("db").join(name);
        fs::create_dir(&stray).unwrap();
        let error = try_open(&disk).err().unwrap().to_string();
        assert!(error.contains("is not one of its files"), "{name}: {error}");
        fs::remove_dir(stray).unwrap();
    }
    fs::write(folder.path().join("db/0.jnl.torn"), "x").unwrap();
    drop(open(&disk));
}

/// fjall takes a keyspace without its parts for one that was never finished, and deletes or empties it.
#[test]
fn a_missing_part_is_told_before_anything_is_touched() {
    let (folder, disk, store) = folder_store();
    fill(&disk, store);
    let database = folder.path().join("db");
    let mut parts = vec!["version".to_owned(), "keyspaces".to_owned()];
    for keyspace in 0..5 {
        parts.push(format!("keyspaces/{keyspace}"));
        parts.push(format!("keyspaces/{keyspace}/current"));
        parts.push(format!("keyspaces/{keyspace}/tables"));
    }
    for part in parts {
        let (path, away) = (database.join(&part), folder.path().join("away"));
        fs::rename(&path, &away).unwrap();
        let error = try_open(&disk).err();
        assert!(
            matches!(error, Some(OpenError::Store(StoreError::Database(_)))),
            "{part}: {error:?}"
        );
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::rename(&away, &path).unwrap();
    }
    read_all(&disk, false).unwrap();
}

/// Rows such that the store has tables, manifests and a filled journal.
fn fill(disk: &Arc<dyn Disk>, mut store: Store) {
    for part in 0..2 {
        for n in 0..30 {
            let mut batch = Batch::new();
            batch.put(Table::Messages, &message_key(part, n), vec![n as u8; 900]);
            batch.put(Table::Ratchet, b"session", vec![n as u8; 900]);
            batch.event(n, "event");
            store.commit(batch).unwrap();
        }
        if part == 0 {
            store.close().unwrap();
            store = open(disk);
        }
    }
}

/// Opens and reads all; whatever can be read must be as it was written. A journal without its end looks like one that
/// a crash cut short, so then the last commits since the last orderly close may be gone, but only as a whole.
fn read_all(disk: &Arc<dyn Disk>, may_end_early: bool) -> Result<(), String> {
    let mut store = try_open(disk).map_err(|error| error.to_string())?;
    let told = |error: StoreError| error.to_string();
    let events = store
        .events_after(
            Cursor {
                seq: 0,
                ..store.head()
            },
            100,
        )
        .map_err(told)?;
    let mut rows = 0;
    store
        .for_each(Table::Messages, &[], |row| {
            let n = seq_of(&row.key).unwrap();
            assert_eq!(row.value.as_slice(), vec![n as u8; 900]);
            rows += 1;
            Ok(())
        })
        .map_err(told)?;
    let session = store.get(Table::Ratchet, b"session").map_err(told)?;
    assert_eq!(rows, events.len(), "half a commit is there");
    assert!(
        rows == 60 || (rows >= 30 && may_end_early),
        "rows vanished without a word"
    );
    let last = ((rows - 1) % 30) as u8;
    assert_eq!(session.unwrap().as_slice(), [last; 900]);
    let mut batch = Batch::new();
    batch.put(Table::Chats, b"k", "v");
    store.commit(batch).map_err(told)?;
    Ok(())
}

/// Every file in turn loses its end, is emptied, or has a byte changed: the store says so or is unharmed.
#[test]
fn no_damage_to_any_file_goes_unnoticed_or_brings_the_program_down() {
    let (folder, disk, store) = folder_store();
    fill(&disk, store);
    read_all(&disk, false).unwrap();
    let mut complaints = 0;
    let mut tried = 0;
    for path in files(folder.path()) {
        let name = path.strip_prefix(folder.path()).unwrap().to_owned();
        let whole = fs::read(&path).unwrap();
        let is_lock = name.ends_with("lock");
        if whole.is_empty() || is_lock {
            continue;
        }
        for damage in damages(&whole) {
            let work = tempfile::tempdir().unwrap();
            copy_folder(folder.path(), work.path());
            fs::write(work.path().join(&name), &damage).unwrap();
            let disk: Arc<dyn Disk> = Arc::new(DirDisk::new(work.path()));
            tried += 1;
            let is_cut_journal =
                damage.len() < whole.len() && name.extension().is_some_and(|end| end == "jnl");
            let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                read_all(&disk, is_cut_journal)
            }));
            match read {
                Ok(Ok(())) => {}
                Ok(Err(_)) => complaints += 1,
                Err(_) => panic!(
                    "{}: {} of {} bytes",
                    name.display(),
                    damage.len(),
                    whole.len()
                ),
            }
        }
    }
    assert!(complaints * 2 > tried, "{complaints} of {tried}");
}

fn damages(whole: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new(), whole[..whole.len() / 2].to_vec()];
    let step = whole.len().div_ceil(4);
    for at in (0..whole.len()).step_by(step) {
        let mut changed = whole.to_vec();
        changed[at] ^= 1 << (at % 8);
        all.push(changed);
    }
    all
}
