//! Renewing the sub-key of the ratchet table.

use super::*;
use crate::store::seal::subkey_id;

const NOW: u64 = 1_800_000_000;

fn memory_store() -> (MemoryDisk, Arc<dyn Disk>, Store) {
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let store = create(&disk);
    (memory, disk, store)
}

fn put_sessions(store: &mut Store, count: u8) {
    let mut batch = Batch::new();
    for n in 0..count {
        batch.put(Table::Ratchet, &[n], [n; 40]);
    }
    store.commit(batch).unwrap();
}

fn raw(store: &Store, key: &[u8]) -> Vec<u8> {
    let get = |live: &reader::Live| {
        Ok(live
            .backend
            .get(Family::Ratchet, &Table::Ratchet.physical(key))?)
    };
    store.shared.with(get).unwrap().unwrap()
}

fn ids(store: &Store, count: u8) -> Vec<u32> {
    (0..count)
        .map(|n| subkey_id(&raw(store, &[n])).unwrap())
        .collect()
}

fn sessions_are_whole(store: &Store, count: u8) {
    for n in 0..count {
        assert_eq!(
            store.get(Table::Ratchet, &[n]).unwrap().unwrap().as_slice(),
            [n; 40]
        );
    }
}

#[test]
fn a_renewal_goes_step_by_step_through_all_rows() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        put_sessions(&mut store, 5);
        assert_eq!(store.rotate_subkey(NOW, 2).unwrap(), Rotation::Started);
        assert_eq!(ids(&store, 5), [1; 5]);
        put(&mut store, Table::Ratchet, &[4], &[4; 40]);
        assert_eq!(ids(&store, 5), [1, 1, 1, 1, 2]);
        assert_eq!(
            store.rotate_subkey(NOW, 3).unwrap(),
            Rotation::Moved { rows: 3 }
        );
        assert_eq!(ids(&store, 5), [2, 2, 2, 1, 2]);
        sessions_are_whole(&store, 5);
        assert_eq!(
            store.rotate_subkey(NOW, 3).unwrap(),
            Rotation::Moved { rows: 1 }
        );
        assert_eq!(store.rotate_subkey(NOW, 3).unwrap(), Rotation::Finished);
        assert_eq!(store.rotate_subkey(NOW, 3).unwrap(), Rotation::Idle);
        assert_eq!(
            store.rotate_subkey(NOW + SUBKEY_SECONDS - 1, 3).unwrap(),
            Rotation::Idle
        );
        assert_eq!(
            store.rotate_subkey(NOW + SUBKEY_SECONDS, 3).unwrap(),
            Rotation::Started
        );
        sessions_are_whole(&store, 5);
        store.close().unwrap();
        sessions_are_whole(&open(&disk), 5);
    });
}

#[test]
fn a_renewal_goes_on_after_a_restart_even_when_none_is_due() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        put_sessions(&mut store, 3);
        store.rotate_subkey(NOW, 1).unwrap();
        store.rotate_subkey(NOW, 1).unwrap();
        drop(store);
        let mut store = open(&disk);
        assert_eq!(ids(&store, 3), [2, 1, 1]);
        sessions_are_whole(&store, 3);
        assert_eq!(
            store.rotate_subkey(NOW, 10).unwrap(),
            Rotation::Moved { rows: 2 }
        );
        assert_eq!(store.rotate_subkey(NOW, 10).unwrap(), Rotation::Finished);
    });
}

#[test]
fn more_rows_than_a_page_are_all_moved() {
    let (_, _, mut store) = memory_store();
    let mut batch = Batch::new();
    for n in 0..700 {
        batch.put(Table::Ratchet, &seq_key(n), "x");
    }
    store.commit(batch).unwrap();
    store.rotate_subkey(NOW, 1).unwrap();
    let mut moved = 0;
    while let Rotation::Moved { rows } = store.rotate_subkey(NOW, 300).unwrap() {
        assert!((1..=300).contains(&rows));
        moved += rows;
    }
    assert_eq!(moved, 700);
}

#[test]
fn after_a_renewal_what_was_written_before_it_cannot_be_read() {
    let (memory, _, mut store) = memory_store();
    put_sessions(&mut store, 1);
    let old = raw(&store, &[0]);
    let old_file = memory.read(SmallFile::Subkeys).unwrap().unwrap();
    while store.rotate_subkey(NOW, 10).unwrap() != Rotation::Finished {}
    let key = Table::Ratchet.physical(&[0]);
    let op = Op {
        family: Family::Ratchet,
        key,
        value: Some(old),
    };
    store
        .shared
        .with(|live| Ok(live.backend.write(vec![op])?))
        .unwrap();
    let error = store.get(Table::Ratchet, &[0]).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Row {
                detail: "its sub-key is gone",
                ..
            }
        ),
        "{error}"
    );
    assert_ne!(memory.read(SmallFile::Subkeys).unwrap().unwrap(), old_file);
}

#[test]
fn a_new_sub_key_seals_nothing_before_its_file_is_durable() {
    for steps in 0..3 {
        let (memory, _, mut store) = memory_store();
        put_sessions(&mut store, 1);
        memory.fail_after(steps, std::io::ErrorKind::StorageFull);
        assert!(
            matches!(store.rotate_subkey(NOW, 1), Err(StoreError::DiskFull)),
            "{steps}"
        );
        put(&mut store, Table::Ratchet, &[0], &[0; 40]);
        assert_eq!(ids(&store, 1), [1]);
        assert_eq!(store.rotate_subkey(NOW, 1).unwrap(), Rotation::Started);
        put(&mut store, Table::Ratchet, &[0], &[0; 40]);
        assert_eq!(ids(&store, 1), [2]);
        sessions_are_whole(
            &open(&(Arc::new(memory.reboot(Loss::All)) as Arc<dyn Disk>)),
            1,
        );
    }
}

#[test]
fn an_older_database_or_an_older_file_is_noticed() {
    let (memory, _, mut store) = memory_store();
    put_sessions(&mut store, 1);
    let before = memory.reboot(Loss::All);
    let mut batch = Batch::new();
    batch.event(1, "e");
    store.commit(batch).unwrap();
    while store.rotate_subkey(NOW, 10).unwrap() != Rotation::Finished {}
    store.close().unwrap();
    let file = |disk: &MemoryDisk| disk.read(SmallFile::Subkeys).unwrap().unwrap();

    let older_file = memory.reboot(Loss::All);
    older_file
        .replace(SmallFile::Subkeys, &file(&before))
        .unwrap();
    let store = open(&(Arc::new(older_file) as Arc<dyn Disk>));
    assert!(store.get(Table::Ratchet, &[0]).is_err());

    before.replace(SmallFile::Subkeys, &file(&memory)).unwrap();
    let error = try_open(&(Arc::new(before) as Arc<dyn Disk>))
        .err()
        .unwrap();
    assert!(
        matches!(error, OpenError::RolledBack { floor: 1, head: 0 }),
        "{error}"
    );
}

#[test]
fn an_orderly_close_notes_how_far_the_events_reach() {
    let (memory, disk, mut store) = memory_store();
    let before = memory.reboot(Loss::All);
    let mut batch = Batch::new();
    batch.event(1, "e");
    store.commit(batch).unwrap();
    store.close().unwrap();
    let steps = memory.steps().len();
    open(&disk).close().unwrap();
    assert_eq!(
        memory.steps().len(),
        steps,
        "nothing to note the second time"
    );
    before
        .replace(
            SmallFile::Subkeys,
            &memory.read(SmallFile::Subkeys).unwrap().unwrap(),
        )
        .unwrap();
    let error = try_open(&(Arc::new(before) as Arc<dyn Disk>))
        .err()
        .unwrap();
    assert!(matches!(error, OpenError::RolledBack { .. }));
}
