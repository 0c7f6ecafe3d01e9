//! The event log.

use super::*;

fn commit_events(store: &mut Store, times: &[u64]) {
    let mut batch = Batch::new();
    for time_ms in times {
        batch.event(*time_ms, format!("event of {time_ms}"));
    }
    store.commit(batch).unwrap();
}

fn seqs(store: &Store, after: u64, limit: usize) -> Vec<u64> {
    let cursor = Cursor {
        seq: after,
        ..store.head()
    };
    store
        .events_after(cursor, limit)
        .unwrap()
        .iter()
        .map(|event| event.seq)
        .collect()
}

#[test]
fn events_are_numbered_without_gaps_across_reopening() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        assert_eq!(
            (store.head().seq, store.oldest().seq, store.event_count()),
            (0, 0, 0)
        );
        let mut batch = Batch::new();
        batch.put(Table::Chats, b"k", "v");
        batch.event(10, "a");
        batch.event(11, "b");
        let committed = store.commit(batch).unwrap();
        assert_eq!(
            committed,
            Committed {
                first_event: Some(1),
                head: 2
            }
        );
        put(&mut store, Table::Chats, b"k", b"w");
        let epoch = store.head().epoch;
        for close in [true, false] {
            if close {
                store.close().unwrap()
            } else {
                drop(store)
            }
            store = open(&disk);
            commit_events(&mut store, &[12]);
        }
        assert_eq!(store.head(), Cursor { epoch, seq: 4 });
        let events = store.events_after(Cursor { epoch, seq: 0 }, 10).unwrap();
        let seen: Vec<_> = events
            .iter()
            .map(|event| (event.seq, event.time_ms, event.payload.to_vec()))
            .collect();
        let late = b"event of 12".to_vec();
        assert_eq!(
            seen,
            [
                (1, 10, b"a".to_vec()),
                (2, 11, b"b".to_vec()),
                (3, 12, late.clone()),
                (4, 12, late)
            ]
        );
        assert_eq!(seqs(&store, 1, 2), [2, 3]);
        assert_eq!(seqs(&store, 3, 0), [4]);
        assert!(seqs(&store, 4, 10).is_empty());
    });
}

#[test]
fn cursors_of_other_stores_and_from_the_future_have_expired() {
    let mut store = create(&(Arc::new(MemoryDisk::new()) as Arc<dyn Disk>));
    commit_events(&mut store, &[1, 2]);
    let head = store.head();
    for cursor in [
        Cursor {
            epoch: head.epoch ^ 1,
            seq: 1,
        },
        Cursor { seq: 3, ..head },
    ] {
        let Err(StoreError::CursorExpired { oldest, head }) = store.events_after(cursor, 1) else {
            panic!("{cursor} was taken")
        };
        assert_eq!((oldest, head), (store.oldest(), store.head()));
    }
}

#[test]
fn old_events_go_in_small_steps_and_their_cursors_with_them() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        let day = 24 * 60 * 60 * 1000;
        let times: Vec<_> = (0..40).map(|n| n * day).collect();
        commit_events(&mut store, &times);
        let now = 39 * day;
        assert_eq!(store.trim_events(now, 6).unwrap(), 6);
        assert_eq!(store.trim_events(now, 6).unwrap(), 3);
        assert_eq!(store.trim_events(now, 6).unwrap(), 0);
        assert_eq!((store.oldest().seq, store.event_count()), (9, 31));
        assert_eq!(seqs(&store, 9, 2), [10, 11]);
        let gone = Cursor {
            seq: 8,
            ..store.head()
        };
        assert!(matches!(
            store.events_after(gone, 1),
            Err(StoreError::CursorExpired { .. })
        ));
        store.close().unwrap();
        let store = open(&disk);
        assert_eq!((store.oldest().seq, store.head().seq), (9, 40));
        assert_eq!(seqs(&store, 9, 100).len(), 31);
    });
}

#[test]
fn more_events_than_are_kept_push_out_the_oldest() {
    let mut store = create(&(Arc::new(MemoryDisk::new()) as Arc<dyn Disk>));
    commit_events(&mut store, &[5; 20]);
    assert_eq!(store.trim_events_to(0, 12, 100).unwrap(), 8);
    assert_eq!(store.trim_events_to(0, 12, 100).unwrap(), 0);
    assert_eq!((store.oldest().seq, store.event_count()), (8, 12));
}

#[test]
fn numbers_go_on_when_all_events_are_gone() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        commit_events(&mut store, &[5, 6, 7]);
        assert_eq!(store.trim_events(u64::MAX, 100).unwrap(), 3);
        assert_eq!((store.oldest(), store.event_count()), (store.head(), 0));
        store.close().unwrap();
        let mut store = open(&disk);
        assert_eq!((store.head().seq, store.oldest().seq), (3, 3));
        commit_events(&mut store, &[8]);
        assert_eq!(seqs(&store, 3, 9), [4]);
    });
}

#[test]
fn a_cursor_has_one_spelling() {
    let cursor = Cursor {
        epoch: 0xab,
        seq: 12,
    };
    assert_eq!(cursor.to_string(), "00000000000000ab:12");
    assert_eq!("00000000000000ab:12".parse(), Ok(cursor));
    for text in [
        "",
        ":",
        "ab:12",
        "00000000000000AB:12",
        "00000000000000ab:012",
        "00000000000000ab:+12",
        "00000000000000ab:-1",
        "00000000000000ab",
        "00000000000000ab:12 ",
        "000000000000000ab:12",
        "00000000000000ab:18446744073709551616",
        "é0000000000000ab:1",
    ] {
        assert_eq!(text.parse::<Cursor>(), Err(CursorSyntax), "{text}");
    }
}
