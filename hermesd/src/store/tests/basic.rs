//! Committing and reading.

use super::*;

#[test]
fn rows_of_every_table_are_there_after_reopening() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        let mut batch = Batch::new();
        for table in Table::ALL
            .into_iter()
            .filter(|table| *table != Table::Events)
        {
            batch.put(table, b"kept", table.name());
            batch.put(table, b"", vec![0xff; 70_000]);
            batch.put(table, b"deleted", "x");
        }
        store.commit(batch).unwrap();
        let mut batch = Batch::new();
        for table in Table::ALL {
            batch.delete(table, b"deleted");
        }
        store.commit(batch).unwrap();
        for close in [true, false] {
            for table in Table::ALL
                .into_iter()
                .filter(|table| *table != Table::Events)
            {
                let value = |key: &[u8]| store.get(table, key).unwrap().map(|value| value.to_vec());
                assert_eq!(value(b"kept").unwrap(), table.name().as_bytes());
                assert_eq!(value(b"").unwrap(), vec![0xff; 70_000]);
                assert_eq!(value(b"deleted"), None);
                assert_eq!(value(b"never"), None);
            }
            if close {
                store.close().unwrap()
            } else {
                drop(store)
            }
            store = open(&disk);
        }
    });
}

#[test]
fn of_two_changes_to_a_row_the_last_counts() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        let mut batch = Batch::new();
        batch.put(Table::Chats, b"a", "1");
        batch.put(Table::Chats, b"a", "2");
        batch.put(Table::Chats, b"b", "1");
        batch.delete(Table::Chats, b"b");
        let mut later = Batch::new();
        later.put(Table::Chats, b"b", "3");
        later.delete(Table::Chats, b"c");
        batch.put(Table::Chats, b"c", "4");
        batch.merge(later);
        assert_eq!(batch.len(), 3);
        store.commit(batch).unwrap();
        let value = |key: &[u8]| {
            store
                .get(Table::Chats, key)
                .unwrap()
                .map(|value| value.to_vec())
        };
        assert_eq!(value(b"a").unwrap(), b"2");
        assert_eq!(value(b"b").unwrap(), b"3");
        assert_eq!(value(b"c"), None);
    });
}

#[test]
fn pages_go_both_ways_and_end_at_their_limits() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        let mut batch = Batch::new();
        for chat in [6, 7, 8] {
            for seq in 0..50 {
                batch.put(
                    Table::Messages,
                    &message_key(chat, seq),
                    vec![chat as u8; 100],
                );
            }
        }
        store.commit(batch).unwrap();
        let numbers = |query: &Query| {
            let page = store.page(Table::Messages, query).unwrap();
            let seqs: Vec<_> = page
                .rows
                .iter()
                .map(|row| seq_of(&row.key).unwrap())
                .collect();
            assert!(page.rows.iter().all(|row| row.value.as_slice() == [7; 100]));
            (seqs, page.more)
        };
        let chat = seq_key(7);
        let all = Query::prefix(&chat);
        assert_eq!(numbers(&all), ((0..50).collect(), false));
        assert_eq!(numbers(&all.clone().rows(50)), ((0..50).collect(), false));
        assert_eq!(numbers(&all.clone().rows(3)), (vec![0, 1, 2], true));
        assert_eq!(
            numbers(&all.clone().rows(3).after(&message_key(7, 2))),
            (vec![3, 4, 5], true)
        );
        let back = all.clone().backward();
        assert_eq!(numbers(&back), ((0..50).rev().collect(), false));
        assert_eq!(numbers(&back.clone().rows(2)), (vec![49, 48], true));
        assert_eq!(
            numbers(&back.rows(9).after(&message_key(7, 2))),
            (vec![1, 0], false)
        );
        assert_eq!(numbers(&all.clone().bytes(450)).0.len(), 4);
        assert_eq!(numbers(&all.after(&message_key(7, 49))), (vec![], false));
        assert_eq!(store.count(Table::Messages, &chat).unwrap(), 50);
        assert_eq!(store.count(Table::Messages, &[]).unwrap(), 150);
        assert_eq!(store.count(Table::MessageIds, &[]).unwrap(), 0);
        let mut seen = 0;
        store
            .for_each(Table::Messages, &[], |_| {
                seen += 1;
                Ok::<_, StoreError>(())
            })
            .unwrap();
        assert_eq!(seen, 150);
    });
}

#[test]
fn an_empty_batch_touches_nothing() {
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut store = create(&disk);
    let before = memory.steps().len();
    assert_eq!(
        store.commit(Batch::new()).unwrap(),
        Committed {
            first_event: None,
            head: 0
        }
    );
    assert_eq!(memory.steps().len(), before);
}

#[test]
fn a_commit_is_synced_before_it_returns() {
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut store = create(&disk);
    let before = memory.steps().len();
    put(&mut store, Table::Outbox, b"k", b"v");
    assert_eq!(
        memory.steps()[before..],
        [Step::WriteJournal, Step::SyncJournal]
    );
}

#[test]
fn too_long_keys_and_values_are_refused_and_harm_nothing() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        let mut batch = Batch::new();
        batch.put(Table::Chats, b"fine", "x");
        batch.put(Table::Chats, &[0; KEY_BYTES_MAX + 1], "x");
        assert!(matches!(
            store.commit(batch),
            Err(StoreError::KeyTooLong { len: 513, .. })
        ));
        let mut batch = Batch::new();
        batch.put(Table::Chats, b"fine", vec![0; VALUE_BYTES_MAX + 1]);
        assert!(matches!(
            store.commit(batch),
            Err(StoreError::ValueTooLong { .. })
        ));
        assert!(store.get(Table::Chats, b"fine").unwrap().is_none());
        put(
            &mut store,
            Table::Chats,
            &[0; KEY_BYTES_MAX],
            &vec![0; VALUE_BYTES_MAX / 16],
        );
        let value = store
            .get(Table::Chats, &[0; KEY_BYTES_MAX])
            .unwrap()
            .unwrap();
        assert_eq!(value.len(), VALUE_BYTES_MAX / 16);
    });
}

#[test]
fn handles_move_between_threads() {
    fn moves<T: Send>() {}
    fn is_shared<T: Send + Sync + Clone>() {}
    moves::<Store>();
    moves::<LockedStore>();
    moves::<Refused>();
    moves::<Rewrap>();
    moves::<Rewrapped>();
    moves::<Batch>();
    is_shared::<Reader>();
}

#[test]
fn readers_live_elsewhere_and_end_with_the_store() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        let reader = store.reader();
        put(&mut store, Table::Chats, b"k", b"v");
        let elsewhere = reader.clone();
        let value = std::thread::spawn(move || elsewhere.get(Table::Chats, b"k").unwrap().unwrap());
        assert_eq!(value.join().unwrap().as_slice(), b"v");
        let locked = store.lock();
        assert!(matches!(
            reader.get(Table::Chats, b"k"),
            Err(StoreError::Closed)
        ));
        assert!(matches!(
            reader.blind(Table::Chats, b"k"),
            Err(StoreError::Closed)
        ));
        let store = locked
            .unlock(&Unlock::Insecure, 0, entropy())
            .map_err(|r| r.error)
            .unwrap();
        assert_eq!(
            store.get(Table::Chats, b"k").unwrap().unwrap().as_slice(),
            b"v"
        );
        assert!(matches!(
            reader.get(Table::Chats, b"k"),
            Err(StoreError::Closed)
        ));
        let reader = store.reader();
        drop(store);
        assert!(matches!(
            reader.get(Table::Chats, b"k"),
            Err(StoreError::Closed)
        ));
        drop(open(&disk));
    });
}

#[test]
fn the_store_tells_its_size() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        let before = store.store_bytes().unwrap();
        put(&mut store, Table::Chats, b"k", &vec![1; 2 * 1024 * 1024]);
        let after = store.store_bytes().unwrap();
        assert!(after - before >= 2 * 1024 * 1024, "{before} {after}");
        assert!(
            after < 16 * 1024 * 1024,
            "{after}: holes in the journal are no bytes"
        );
    });
}

#[test]
fn nothing_readable_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(DirDisk::new(folder.path()));
    let unlock = passphrase("open sesame");
    let mut store = Store::create_on(Arc::clone(&disk), options(), &unlock, entropy()).unwrap();
    let mut batch = Batch::new();
    for table in Table::ALL
        .into_iter()
        .filter(|table| *table != Table::Events)
    {
        batch.put(
            table,
            &store.blind(table, b"needle-name").unwrap(),
            "needle-value",
        );
    }
    batch.event(1, "needle-event");
    store
        .put_consumer(&mut batch, "needle-consumer", 0)
        .unwrap();
    store
        .remember(
            &mut batch,
            "needle-scope",
            "needle-key",
            b"needle-answer",
            5,
        )
        .unwrap();
    store.commit(batch).unwrap();
    store.rotate_subkey(1_800_000_000, 10).unwrap();
    let mut searched = 0;
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            searched += 1;
            // The journal is made 64 MiB long, nearly all of it zeros.
            bytes.truncate(
                bytes
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(0, |last| last + 1),
            );
            for needle in ["needle", "open sesame"] {
                let found = bytes
                    .windows(needle.len())
                    .any(|window| window == needle.as_bytes());
                assert!(!found, "{needle} in {}", path.display());
            }
        }
    }
    assert!(searched > 8, "{searched} files");
}
