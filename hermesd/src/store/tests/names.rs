//! Consumers and idempotency keys.

use super::*;

fn store() -> Store {
    create(&(Arc::new(MemoryDisk::new()) as Arc<dyn Disk>))
}

fn remember(store: &mut Store, scope: &str, key: &str, answer: &[u8], now_ms: u64) {
    let mut batch = Batch::new();
    store
        .remember(&mut batch, scope, key, answer, now_ms)
        .unwrap();
    store.commit(batch).unwrap();
}

fn remembered(store: &Store, scope: &str, key: &str, now_ms: u64) -> Option<Vec<u8>> {
    store
        .remembered(scope, key, now_ms)
        .unwrap()
        .map(|answer| answer.to_vec())
}

#[test]
fn an_answer_is_kept_for_a_week_under_scope_and_key() {
    let mut store = store();
    remember(&mut store, "message.send", "k1", b"answer", 1_000);
    assert_eq!(
        remembered(&store, "message.send", "k1", 1_000).unwrap(),
        b"answer"
    );
    assert_eq!(remembered(&store, "message.send", "k2", 1_000), None);
    assert_eq!(remembered(&store, "invite.create", "k1", 1_000), None);
    assert_eq!(remembered(&store, "message.sen", "dk1", 1_000), None);
    let end = 1_000 + IDEMPOTENCY_MS;
    assert!(remembered(&store, "message.send", "k1", end - 1).is_some());
    assert_eq!(remembered(&store, "message.send", "k1", end), None);
}

#[test]
fn expired_answers_go_in_small_steps_and_renewed_ones_stay() {
    let mut store = store();
    for n in 0..10 {
        remember(&mut store, "s", &format!("k{n}"), b"old", n);
    }
    remember(&mut store, "s", "k0", b"new", 500);
    let now = 9 + IDEMPOTENCY_MS;
    assert_eq!(
        store.expire_idempotency(4 + IDEMPOTENCY_MS, 100).unwrap(),
        5
    );
    assert_eq!(store.expire_idempotency(now, 3).unwrap(), 3);
    assert_eq!(store.expire_idempotency(now, 3).unwrap(), 2);
    assert_eq!(store.expire_idempotency(now, 3).unwrap(), 0);
    assert_eq!(store.count(Table::Idempotency, &[]).unwrap(), 1);
    assert_eq!(store.count(Table::IdempotencyExpiry, &[]).unwrap(), 1);
    assert_eq!(remembered(&store, "s", "k0", now).unwrap(), b"new");
    assert_eq!(
        store.expire_idempotency(500 + IDEMPOTENCY_MS, 3).unwrap(),
        1
    );
    assert_eq!(store.count(Table::Idempotency, &[]).unwrap(), 0);
}

#[test]
fn keys_have_a_length() {
    let store = store();
    for (scope, key) in [("", "k"), ("s", ""), ("s", &*"k".repeat(257))] {
        let result = store.remember(&mut Batch::new(), scope, key, b"", 0);
        assert!(matches!(result, Err(StoreError::NameLength { .. })));
    }
}

#[test]
fn consumers_are_remembered_by_name() {
    on_both_disks(|disk| {
        let mut store = create(&disk);
        let mut batch = Batch::new();
        store.put_consumer(&mut batch, "bot", 3).unwrap();
        store.put_consumer(&mut batch, "archive", 9).unwrap();
        store.commit(batch).unwrap();
        let mut batch = Batch::new();
        store.put_consumer(&mut batch, "bot", 4).unwrap();
        store.commit(batch).unwrap();
        store.close().unwrap();
        let mut store = open(&disk);
        assert_eq!(store.consumer("bot").unwrap(), Some(4));
        assert_eq!(store.consumer("nobody").unwrap(), None);
        let named = |name: &str, seq| Consumer {
            name: name.to_owned(),
            seq,
        };
        assert_eq!(
            store.consumers().unwrap(),
            [named("archive", 9), named("bot", 4)]
        );
        let mut batch = Batch::new();
        store.delete_consumer(&mut batch, "archive").unwrap();
        store.commit(batch).unwrap();
        assert_eq!(store.consumers().unwrap(), [named("bot", 4)]);
    });
}

#[test]
fn there_is_a_limit_of_consumers_and_of_their_names() {
    let mut store = store();
    let mut batch = Batch::new();
    for n in 0..CONSUMERS_MAX {
        store.put_consumer(&mut batch, &format!("c{n}"), 1).unwrap();
    }
    store.commit(batch).unwrap();
    let mut batch = Batch::new();
    let result = store.put_consumer(&mut batch, "one more", 1);
    assert!(matches!(
        result,
        Err(StoreError::TooManyConsumers { limit: 256 })
    ));
    store.put_consumer(&mut batch, "c7", 2).unwrap();
    for name in ["", &"x".repeat(65)] {
        let result = store.put_consumer(&mut batch, name, 1);
        assert!(matches!(result, Err(StoreError::NameLength { .. })));
    }
}
