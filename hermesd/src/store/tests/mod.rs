//! Tests of the store as a whole; those of single parts stand with the parts.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::*;

mod basic;
mod child;
mod crash;
mod damage;
mod events;
mod names;
mod rotation;
mod torn;
mod unlock;

fn options() -> Options {
    Options {
        cost: Cost::CHEAP,
        vault: Arc::new(NoVault),
        program: "hermesd test".to_owned(),
    }
}

fn entropy() -> Box<dyn Entropy> {
    Box::new(OsEntropy::new())
}

fn passphrase(text: &str) -> Unlock {
    Unlock::Passphrase(Zeroizing::new(text.to_owned()))
}

/// Makes a store that is not protected, which is quick to open.
fn create(disk: &Arc<dyn Disk>) -> Store {
    Store::create_on(Arc::clone(disk), options(), &Unlock::Insecure, entropy()).unwrap()
}

fn try_open(disk: &Arc<dyn Disk>) -> Result<Store, OpenError> {
    let locked = Store::open_on(Arc::clone(disk), options())?;
    locked
        .unlock(&Unlock::Insecure, 0, entropy())
        .map_err(|refused| refused.error)
}

fn open(disk: &Arc<dyn Disk>) -> Store {
    try_open(disk).unwrap()
}

fn put(store: &mut Store, table: Table, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(table, key, value);
    store.commit(batch).unwrap();
}

/// Runs a test on a disk in memory and on a real one.
fn on_both_disks(test: impl Fn(Arc<dyn Disk>)) {
    test(Arc::new(MemoryDisk::new()));
    let folder = tempfile::tempdir().unwrap();
    test(Arc::new(DirDisk::new(&folder.path().join("store"))));
}
