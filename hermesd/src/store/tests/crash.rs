//! Power failures before every step that touches the disk.

use std::{error::Error, io, iter};

use super::*;

/// What a scenario was told before it ended.
#[derive(Default)]
struct Told {
    created: bool,
    /// Commits begun, and commits that returned `Ok`.
    begun: u64,
    done: u64,
    rewrap_begun: bool,
    rewrap_done: bool,
}

const TABLES: [Table; 4] = [
    Table::Outbox,
    Table::Ratchet,
    Table::Messages,
    Table::Delivery,
];
const DAY: u64 = SUBKEY_SECONDS;

fn commit(store: &mut Store, told: &mut Told) -> Result<(), StoreError> {
    told.begun += 1;
    let mut batch = Batch::new();
    for table in TABLES {
        batch.put(table, b"last", told.begun.to_le_bytes());
        batch.put(table, &seq_key(told.begun), [7; 300]);
        batch.delete(table, &seq_key(told.begun - 1));
    }
    batch.event(told.begun, "event");
    store.commit(batch)?;
    told.done += 1;
    Ok(())
}

fn renew(store: &mut Store, now_s: u64) -> Result<(), StoreError> {
    while !matches!(
        store.rotate_subkey(now_s, 2)?,
        Rotation::Finished | Rotation::Idle
    ) {}
    Ok(())
}

/// A life of a store: made, written, its sub-key renewed twice, its passphrase set, trimmed, closed and opened again.
fn live(disk: &Arc<dyn Disk>, told: &mut Told) -> Result<(), Box<dyn Error>> {
    let mut store = Store::create_on(Arc::clone(disk), options(), &Unlock::Insecure, entropy())?;
    told.created = true;
    let mut batch = Batch::new();
    for n in 0..5 {
        batch.put(Table::Ratchet, &[b's', n], [n; 50]);
    }
    store.commit(batch)?;
    for day in 0..2 {
        commit(&mut store, told)?;
        assert_eq!(
            store.rotate_subkey(DAY * (20_000 + day), 2)?,
            Rotation::Started
        );
        commit(&mut store, told)?;
        renew(&mut store, DAY * (20_000 + day))?;
        commit(&mut store, told)?;
    }
    told.rewrap_begun = true;
    let rewrap = store.rewrap(Unlock::Insecure, vec![passphrase("new")], 0, entropy())?;
    store.finish_rewrap(rewrap.run(), 0)?;
    told.rewrap_done = true;
    store.trim_events_to(4, EVENTS_MAX, 2)?;
    commit(&mut store, told)?;
    store.close()?;
    let locked = Store::open_on(Arc::clone(disk), options())?;
    let mut store = locked
        .unlock(&passphrase("new"), 0, entropy())
        .map_err(|refused| refused.error)?;
    commit(&mut store, told)?;
    Ok(())
}

fn unlock_as_told(disk: &Arc<dyn Disk>, told: &Told, crash: &str) -> Store {
    let mut locked =
        Store::open_on(Arc::clone(disk), options()).unwrap_or_else(|e| panic!("{crash}: {e}"));
    let ways = [
        (Unlock::Insecure, !told.rewrap_done),
        (passphrase("new"), told.rewrap_begun),
    ];
    for (unlock, possible) in ways {
        match locked.unlock(&unlock, 0, entropy()) {
            Ok(store) => {
                assert!(possible, "{crash}: opened by {}", unlock.kind());
                return store;
            }
            Err(refused) => {
                assert!(
                    matches!(refused.error, OpenError::NoSlot(_)),
                    "{crash}: {}",
                    refused.error
                );
                locked = refused.locked;
            }
        }
    }
    panic!("{crash}: no way in");
}

fn check(told: &Told, disk: MemoryDisk, crash: &str) {
    let disk: Arc<dyn Disk> = Arc::new(disk);
    if !told.created {
        match try_open(&disk) {
            Err(OpenError::NoStore) => drop(create(&disk)),
            Ok(_) => {}
            Err(error) => panic!("{crash}: {error}"),
        }
        return;
    }
    let mut store = unlock_as_told(&disk, told, crash);
    let value = |store: &Store, table, key: &[u8]| {
        store.get(table, key).unwrap().map(|value| value.to_vec())
    };
    let last = TABLES.map(|table| value(&store, table, b"last"));
    assert!(
        last.iter().all(|row| *row == last[0]),
        "{crash}: {last:?} are of several commits"
    );
    let last = last[0]
        .as_deref()
        .map_or(0, |row| u64::from_le_bytes(row.try_into().unwrap()));
    assert!(
        (told.done..=told.begun).contains(&last),
        "{crash}: {last} of {}",
        told.done
    );
    for table in TABLES {
        assert_eq!(
            value(&store, table, &seq_key(last)).is_some(),
            last > 0,
            "{crash}"
        );
        assert!(
            (1..last).all(|n| value(&store, table, &seq_key(n)).is_none()),
            "{crash}"
        );
    }
    assert_eq!(store.head().seq, last, "{crash}");
    let events = store.events_after(store.oldest(), 100).unwrap();
    let expected: Vec<_> = (store.oldest().seq + 1..=last).collect();
    assert_eq!(
        events.iter().map(|event| event.seq).collect::<Vec<_>>(),
        expected,
        "{crash}"
    );
    let sessions = store
        .page(Table::Ratchet, &Query::prefix(b"s"))
        .unwrap()
        .rows;
    if last > 0 {
        assert!(
            sessions
                .iter()
                .map(|row| row.value.to_vec())
                .eq((0..5).map(|n| vec![n; 50])),
            "{crash}"
        );
    }
    let mut told = Told {
        begun: last,
        ..Told::default()
    };
    renew(&mut store, DAY * 30_000).unwrap();
    commit(&mut store, &mut told).unwrap_or_else(|e| panic!("{crash}: {e}"));
    assert_eq!(
        value(&store, Table::Outbox, b"last").unwrap(),
        (last + 1).to_le_bytes(),
        "{crash}"
    );
}

#[test]
fn nothing_told_is_lost_and_nothing_is_half_there_whenever_the_power_fails() {
    at_every_crash(
        |disk| {
            let mut told = Told::default();
            let disk: Arc<dyn Disk> = Arc::new(disk);
            let _ = live(&disk, &mut told);
            told
        },
        |told, disk, crash| check(&told, disk, crash),
    );
}

#[test]
fn the_scenario_goes_through_every_kind_of_step() {
    let disk = MemoryDisk::new();
    let mut told = Told::default();
    live(&(Arc::new(disk.clone()) as Arc<dyn Disk>), &mut told).unwrap();
    let kinds = [
        Step::MakeDatabase,
        Step::WriteJournal,
        Step::SyncJournal,
        Step::WriteFile(SmallFile::Header),
        Step::RenameFile(SmallFile::Subkeys),
        Step::SyncFolder(SmallFile::Subkeys),
    ];
    assert!(kinds.iter().all(|kind| disk.steps().contains(kind)));
    assert_eq!(told.done, 8);
}

/// A disk that forgets would not be noticed if the fake kept everything: without the sync, commits must be lost.
#[test]
fn the_disk_does_lose_what_is_not_synced() {
    let memory = MemoryDisk::new();
    let mut store = create(&(Arc::new(memory.clone()) as Arc<dyn Disk>));
    put(&mut store, Table::Chats, b"k", b"old");
    memory.crash_after(1);
    let mut batch = Batch::new();
    batch.put(Table::Chats, b"k", "new");
    assert!(store.commit(batch).is_err());
    assert_eq!(memory.steps().last(), Some(&Step::WriteJournal));
    for (loss, expected) in iter::zip(Loss::ALL, ["old", "new", "old"]) {
        let store = open(&(Arc::new(memory.reboot(loss)) as Arc<dyn Disk>));
        let value = store.get(Table::Chats, b"k").unwrap().unwrap();
        assert_eq!(value.as_slice(), expected.as_bytes(), "{loss:?}");
    }
}

#[test]
fn a_full_disk_is_told_once_and_then_nothing_is_written_until_a_restart() {
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut store = create(&disk);
    put(&mut store, Table::Chats, b"k", b"before");
    memory.leave_room(Some(100));
    let change = |value: &str| {
        let mut batch = Batch::new();
        batch.put(Table::Chats, b"k", value);
        batch.event(1, "e");
        batch
    };
    assert!(matches!(
        store.commit(change("full")),
        Err(StoreError::DiskFull)
    ));
    memory.leave_room(None);
    assert!(matches!(
        store.commit(change("later")),
        Err(StoreError::Poisoned)
    ));
    assert!(matches!(
        store.rotate_subkey(DAY * 30_000, 1),
        Err(StoreError::Poisoned)
    ));
    assert_eq!(
        store.get(Table::Chats, b"k").unwrap().unwrap().as_slice(),
        b"before"
    );
    assert_eq!(store.head().seq, 0);
    drop(store);
    let mut store = open(&disk);
    assert_eq!(
        store.get(Table::Chats, b"k").unwrap().unwrap().as_slice(),
        b"before"
    );
    assert_eq!(store.commit(change("again")).unwrap().head, 1);
}

#[test]
fn a_failing_sync_poisons_and_leaves_the_batch_whole_or_absent() {
    for steps in [0, 1] {
        let memory = MemoryDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        let mut store = create(&disk);
        memory.fail_after(steps, io::ErrorKind::Other);
        let mut batch = Batch::new();
        batch.put(Table::Chats, b"a", "x");
        batch.put(Table::Outbox, b"a", "x");
        assert!(matches!(store.commit(batch), Err(StoreError::Io { .. })));
        let mut batch = Batch::new();
        batch.put(Table::Chats, b"b", "x");
        assert!(matches!(store.commit(batch), Err(StoreError::Poisoned)));
        drop(store);
        for loss in Loss::ALL {
            let store = open(&(Arc::new(memory.reboot(loss)) as Arc<dyn Disk>));
            let there = [Table::Chats, Table::Outbox]
                .map(|table| store.get(table, b"a").unwrap().is_some());
            assert_eq!(there[0], there[1]);
            assert!(store.get(Table::Chats, b"b").unwrap().is_none());
        }
    }
}

#[test]
fn a_header_that_cannot_be_written_leaves_the_old_way_in() {
    for steps in 0..3 {
        let memory = MemoryDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        let mut store = create(&disk);
        let rewrap = store
            .rewrap(Unlock::Insecure, vec![passphrase("new")], 0, entropy())
            .unwrap();
        memory.fail_after(steps, io::ErrorKind::StorageFull);
        assert!(matches!(
            store.finish_rewrap(rewrap.run(), 0),
            Err(OpenError::Io { .. })
        ));
        assert_eq!(store.slots(), [SlotKind::Insecure]);
        put(&mut store, Table::Chats, b"k", b"v");
        drop(store);
        drop(open(&(Arc::new(memory.reboot(Loss::All)) as Arc<dyn Disk>)));
    }
}
