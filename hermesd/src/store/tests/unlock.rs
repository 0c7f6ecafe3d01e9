//! The ways in.

use std::{collections::BTreeMap, sync::Mutex};

use super::*;

fn disk() -> Arc<dyn Disk> {
    Arc::new(MemoryDisk::new())
}

fn create_with(disk: &Arc<dyn Disk>, unlock: &Unlock) -> Store {
    Store::create_on(Arc::clone(disk), options(), unlock, entropy()).unwrap()
}

fn reopen(disk: &Arc<dyn Disk>) -> LockedStore {
    Store::open_on(Arc::clone(disk), options()).unwrap()
}

/// Tries to unlock; the error, or `None` if the store is open.
fn refused(locked: LockedStore, unlock: &Unlock, now_ms: u64) -> (LockedStore, OpenError) {
    match locked.unlock(unlock, now_ms, entropy()) {
        Ok(_) => panic!("unlocked"),
        Err(refused) => (refused.locked, refused.error),
    }
}

#[test]
fn a_passphrase_opens_and_another_does_not() {
    on_both_disks(|disk| {
        let mut store = create_with(&disk, &passphrase("right"));
        assert_eq!(store.slots(), [SlotKind::Passphrase]);
        put(&mut store, Table::Chats, b"k", b"v");
        store.close().unwrap();
        let locked = reopen(&disk);
        assert_eq!(locked.slots(), [SlotKind::Passphrase]);
        let (locked, error) = refused(locked, &passphrase("wrong"), 0);
        assert!(matches!(
            error,
            OpenError::WrongPassphrase { retry_after_ms: 0 }
        ));
        let (locked, error) = refused(locked, &Unlock::Insecure, 0);
        assert!(matches!(error, OpenError::NoSlot(SlotKind::Insecure)));
        let store = locked
            .unlock(&passphrase("right"), 0, entropy())
            .map_err(|r| r.error)
            .unwrap();
        assert_eq!(
            store.get(Table::Chats, b"k").unwrap().unwrap().as_slice(),
            b"v"
        );
    });
}

#[test]
fn wrong_passphrases_grow_a_delay_that_even_the_right_one_waits_for() {
    let disk = disk();
    drop(create_with(&disk, &passphrase("right")));
    let mut locked = reopen(&disk);
    for (failure, expected) in [0, 0, 1_000].into_iter().enumerate() {
        let error;
        (locked, error) = refused(locked, &passphrase("wrong"), 100);
        let OpenError::WrongPassphrase { retry_after_ms } = error else {
            panic!("{error}")
        };
        assert_eq!(retry_after_ms, expected, "{failure}");
    }
    let (locked, error) = refused(locked, &passphrase("right"), 600);
    assert!(matches!(
        error,
        OpenError::TooSoon {
            retry_after_ms: 500
        }
    ));
    assert_eq!(locked.retry_after_ms(600), 500);
    let (locked, error) = refused(locked, &passphrase("wrong"), 1_100);
    assert!(matches!(
        error,
        OpenError::WrongPassphrase {
            retry_after_ms: 2_000
        }
    ));
    let store = locked
        .unlock(&passphrase("right"), 3_100, entropy())
        .map_err(|r| r.error)
        .unwrap();
    let (_, error) = refused(store.lock(), &passphrase("wrong"), 3_100);
    assert!(matches!(
        error,
        OpenError::WrongPassphrase { retry_after_ms: 0 }
    ));
}

#[test]
fn a_keyring_that_fails_counts_as_no_wrong_passphrase() {
    let disk = disk();
    let vault = Arc::new(FakeVault::default());
    let keyring = || Options {
        vault: vault.clone(),
        ..options()
    };
    drop(Store::create_on(disk.clone(), keyring(), &Unlock::Keyring, entropy()).unwrap());
    let held = std::mem::take(&mut *vault.0.lock().unwrap());
    assert_eq!(held.len(), 1);
    let mut locked = Store::open_on(disk, keyring()).unwrap();
    for _ in 0..9 {
        let error;
        (locked, error) = refused(locked, &Unlock::Keyring, 0);
        assert!(matches!(error, OpenError::Keyring(VaultError::NoEntry)));
    }
    *vault.0.lock().unwrap() = held;
    assert!(locked.unlock(&Unlock::Keyring, 0, entropy()).is_ok());
}

#[derive(Default)]
struct FakeVault(Mutex<BTreeMap<String, Vec<u8>>>);

impl Vault for FakeVault {
    fn load(&self, user: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let secret = self.0.lock().unwrap().get(user).cloned();
        secret.map(Zeroizing::new).ok_or(VaultError::NoEntry)
    }

    fn save(&self, user: &str, secret: &[u8]) -> Result<(), VaultError> {
        self.0
            .lock()
            .unwrap()
            .insert(user.to_owned(), secret.to_vec());
        Ok(())
    }

    fn remove(&self, user: &str) -> Result<(), VaultError> {
        self.0.lock().unwrap().remove(user);
        Ok(())
    }
}

#[cfg(feature = "keyring")]
#[test]
fn a_keyring_holds_a_wrapping_key_and_not_the_master_key() {
    use crate::store::vault::keyring::Keyring;
    let vault = Arc::new(Keyring::new(|| {
        Ok(keyring_core::mock::Store::new()? as Arc<keyring_core::api::CredentialStore>)
    }));
    let disk = disk();
    let with = || Options {
        vault: vault.clone(),
        ..options()
    };
    let mut store = Store::create_on(disk.clone(), with(), &Unlock::Keyring, entropy()).unwrap();
    put(&mut store, Table::Chats, b"k", b"v");
    store.close().unwrap();
    let locked = Store::open_on(disk.clone(), with()).unwrap();
    let mut store = locked
        .unlock(&Unlock::Keyring, 0, entropy())
        .map_err(|r| r.error)
        .unwrap();
    assert_eq!(
        store.get(Table::Chats, b"k").unwrap().unwrap().as_slice(),
        b"v"
    );
    change(&mut store, Unlock::Keyring, vec![Unlock::Insecure]).unwrap();
    store.close().unwrap();
    let (_, error) = refused(Store::open_on(disk, with()).unwrap(), &Unlock::Keyring, 0);
    assert!(matches!(error, OpenError::NoSlot(SlotKind::Keyring)));
}

#[test]
fn without_a_keyring_no_store_is_made() {
    let disk = disk();
    let result = Store::create_on(Arc::clone(&disk), options(), &Unlock::Keyring, entropy());
    assert!(matches!(
        result,
        Err(OpenError::Keyring(VaultError::Unsupported))
    ));
    assert!(matches!(
        Store::open_on(disk, options()),
        Err(OpenError::NoStore)
    ));
}

fn change(store: &mut Store, old: Unlock, new: Vec<Unlock>) -> Result<(), OpenError> {
    let rewrapped = store.rewrap(old, new, 0, entropy())?.run();
    store.finish_rewrap(rewrapped, 0)
}

#[test]
fn changing_the_passphrase_leaves_rows_and_cursors_alone() {
    on_both_disks(|disk| {
        let mut store = create_with(&disk, &passphrase("old"));
        put(&mut store, Table::Chats, b"k", b"v");
        let head = store.head();
        change(&mut store, passphrase("old"), vec![passphrase("new")]).unwrap();
        store.close().unwrap();
        let (locked, error) = refused(reopen(&disk), &passphrase("old"), 0);
        assert!(matches!(error, OpenError::WrongPassphrase { .. }));
        let store = locked
            .unlock(&passphrase("new"), 0, entropy())
            .map_err(|r| r.error)
            .unwrap();
        assert_eq!(
            store.get(Table::Chats, b"k").unwrap().unwrap().as_slice(),
            b"v"
        );
        assert_eq!(store.head(), head);
    });
}

#[test]
fn a_store_can_be_opened_in_several_ways_and_in_no_others() {
    let disk = disk();
    let mut store = create_with(&disk, &Unlock::Insecure);
    change(
        &mut store,
        Unlock::Insecure,
        vec![passphrase("a"), passphrase("b")],
    )
    .unwrap();
    assert_eq!(store.slots(), [SlotKind::Passphrase; 2]);
    let mut locked = store.lock();
    for word in ["a", "b"] {
        let store = locked
            .unlock(&passphrase(word), 0, entropy())
            .map_err(|r| r.error)
            .unwrap();
        locked = store.lock();
    }
    let (_, error) = refused(locked, &Unlock::Insecure, 0);
    assert!(matches!(error, OpenError::NoSlot(SlotKind::Insecure)));
}

#[test]
fn a_wrong_old_passphrase_changes_nothing_and_counts() {
    let disk = disk();
    let mut store = create_with(&disk, &passphrase("old"));
    for _ in 0..3 {
        let error = change(&mut store, passphrase("odl"), vec![passphrase("new")]).unwrap_err();
        assert!(matches!(error, OpenError::WrongPassphrase { .. }));
    }
    let error = change(&mut store, passphrase("old"), vec![passphrase("new")]).unwrap_err();
    assert!(matches!(
        error,
        OpenError::TooSoon {
            retry_after_ms: 1_000
        }
    ));
    let locked = store.lock();
    assert_eq!(locked.retry_after_ms(0), 1_000);
    assert!(locked.unlock(&passphrase("old"), 1_000, entropy()).is_ok());
}

#[test]
fn new_ways_are_checked_before_anything_is_done() {
    let store = create_with(&disk(), &Unlock::Insecure);
    for new in [vec![], vec![Unlock::Insecure, Unlock::Insecure]] {
        let result = store.rewrap(Unlock::Insecure, new, 0, entropy());
        assert!(matches!(result, Err(OpenError::Slots)));
    }
}

#[test]
fn only_one_may_hold_a_store_and_only_one_be_made() {
    on_both_disks(|disk| {
        assert!(matches!(try_open(&disk), Err(OpenError::NoStore)));
        let store = create(&disk);
        let OpenError::InUse { holder } = try_open(&disk).err().unwrap() else {
            panic!("opened twice")
        };
        assert!(holder.is_some() || cfg!(windows));
        let made = Store::create_on(Arc::clone(&disk), options(), &Unlock::Insecure, entropy());
        assert!(matches!(made, Err(OpenError::InUse { .. })));
        let locked = store.lock();
        assert!(matches!(try_open(&disk), Err(OpenError::InUse { .. })));
        drop(locked);
        let made = Store::create_on(Arc::clone(&disk), options(), &Unlock::Insecure, entropy());
        assert!(matches!(made, Err(OpenError::Exists)));
        drop(open(&disk));
    });
}

#[test]
fn looking_for_a_store_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    assert!(matches!(Store::open(&path), Err(OpenError::NoStore)));
    assert!(!path.exists());
}

#[test]
fn the_default_cost_is_the_documented_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), &passphrase("right"), entropy()).unwrap();
    drop(store);
    let header = std::fs::read(folder.path().join("header")).unwrap();
    let written_by = usize::from(header[28]);
    let cost = &header[29 + written_by + 1 + 3..][..12];
    assert_eq!(cost, [0, 0, 1, 0, 3, 0, 0, 0, 1, 0, 0, 0]);
    let locked = Store::open(folder.path()).unwrap();
    assert!(locked.unlock(&passphrase("right"), 0, entropy()).is_ok());
}

#[test]
fn a_newer_program_notes_itself_in_the_header() {
    let disk = disk();
    drop(create(&disk));
    let newer = Options {
        program: "hermesd 7.0".to_owned(),
        ..options()
    };
    let locked = Store::open_on(Arc::clone(&disk), newer).unwrap();
    drop(
        locked
            .unlock(&Unlock::Insecure, 0, entropy())
            .map_err(|r| r.error)
            .unwrap(),
    );
    let header = disk.read(SmallFile::Header).unwrap().unwrap();
    assert_eq!(&header[29..40], b"hermesd 7.0");
}
