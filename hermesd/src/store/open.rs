//! Making, opening and unlocking a store.
//!
//! The states are types: [`Store::open`] gives a [`LockedStore`], which knows the header and holds the lock of the folder;
//! unlocking turns it into a [`Store`]; locking turns that back. Unlocking stretches a passphrase, which takes a good tenth
//! of a second on purpose, so it belongs on a thread that may block.

use std::{any::Any, path::Path, sync::Arc};

use super::{
    Store,
    batch::Batch,
    delay::UnlockDelay,
    disk::{DirDisk, Disk, Expect, SmallFile},
    entropy::{Entropy, draw},
    error::{OpenError, StoreError},
    events,
    header::Header,
    kdf::Key,
    keys::{Cost, Slot, SlotContext, SlotKind, Unlock},
    lock::LockError,
    reader::{Live, Reader, Shared},
    seal::Sealer,
    subkey::Ring,
    tables::Table,
    vault::{self, Vault},
};

/// The row of `meta` that names the store that the database belongs to.
const STORE_ROW: &[u8] = b"store";

/// What a store is made or opened with, apart from where it is.
pub struct Options {
    /// What guessing a passphrase shall cost, for slots made from now on.
    pub cost: Cost,
    /// The keyring for [`Unlock::Keyring`].
    pub vault: Arc<dyn Vault>,
    /// Program and version, for the header and the lock file.
    pub program: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cost: Cost::DEFAULT,
            vault: vault::system(),
            program: concat!("hermesd ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Everything about a store that does not need its key.
pub(crate) struct Base {
    pub(crate) disk: Arc<dyn Disk>,
    _lock: Box<dyn Any + Send + Sync>,
    pub(crate) options: Options,
    pub(crate) header: Header,
    pub(crate) delay: UnlockDelay,
}

impl Base {
    fn take(disk: Arc<dyn Disk>, options: Options, header: Header) -> Result<Self, OpenError> {
        let lock = lock(&*disk, &options.program)?;
        Ok(Self {
            disk,
            _lock: lock,
            options,
            header,
            delay: UnlockDelay::default(),
        })
    }

    fn context(&self) -> SlotContext<'_> {
        SlotContext {
            store_id: &self.header.store_id,
            cost: self.options.cost,
            vault: &*self.options.vault,
        }
    }
}

fn lock(disk: &dyn Disk, program: &str) -> Result<Box<dyn Any + Send + Sync>, OpenError> {
    disk.lock(program).map_err(|error| match error {
        LockError::Held { holder } => OpenError::InUse { holder },
        LockError::Io(source) => OpenError::Io {
            what: "lock file",
            source,
        },
    })
}

fn read_header(disk: &dyn Disk) -> Result<Option<Header>, OpenError> {
    let bytes = disk
        .read(SmallFile::Header)
        .map_err(OpenError::io("header"))?;
    bytes.map(|bytes| Header::decode(&bytes)).transpose()
}

/// A store that is there and held by this process, but whose key is not known.
pub struct LockedStore {
    pub(crate) base: Base,
}

/// A store that stayed locked, and why.
pub struct Refused {
    /// The store, for the next try.
    pub locked: LockedStore,
    /// What stood in the way.
    pub error: OpenError,
}

impl LockedStore {
    /// The ways in which the store can be unlocked.
    pub fn slots(&self) -> Vec<SlotKind> {
        self.base.header.slots.iter().map(Slot::kind).collect()
    }

    /// How long the next try is refused at `now_ms`, by the clock that is given to [`Self::unlock`].
    pub fn retry_after_ms(&self, now_ms: u64) -> u64 {
        self.base.delay.retry_after_ms(now_ms)
    }

    /// Unlocks the store. Blocks for the time that stretching a passphrase takes and for the start of the database.
    ///
    /// `now_ms` is any clock that does not go back; after three wrong passphrases it decides whether this one is looked at.
    pub fn unlock(
        mut self,
        unlock: &Unlock,
        now_ms: u64,
        entropy: Box<dyn Entropy>,
    ) -> Result<Store, Box<Refused>> {
        let opened = self
            .find_master(unlock, now_ms)
            .and_then(|master| self.open_live(&master));
        match opened {
            Ok(shared) => Ok(Store::assemble(self.base, shared, entropy)),
            Err(error) => Err(Box::new(Refused {
                locked: self,
                error,
            })),
        }
    }

    fn find_master(&mut self, unlock: &Unlock, now_ms: u64) -> Result<Key, OpenError> {
        let retry_after_ms = self.base.delay.retry_after_ms(now_ms);
        if retry_after_ms > 0 {
            return Err(OpenError::TooSoon { retry_after_ms });
        }
        match find_master(&self.base.header, unlock, &self.base.context()) {
            Err(OpenError::WrongPassphrase { .. }) => Err(OpenError::WrongPassphrase {
                retry_after_ms: self.base.delay.failed(now_ms),
            }),
            Err(error) => Err(error),
            Ok(master) => {
                self.base.delay.succeeded();
                Ok(master)
            }
        }
    }

    /// Opens sub-keys and database. Nothing stays open if anything is wrong.
    fn open_live(&mut self, master: &Key) -> Result<Shared, OpenError> {
        let base = &mut self.base;
        let file_key = master.derive("subkeys", &[]);
        let bytes = base
            .disk
            .read(SmallFile::Subkeys)
            .map_err(OpenError::io("subkeys"))?;
        let bytes = bytes.ok_or_else(|| OpenError::damaged("subkeys", "the file is missing"))?;
        let ring = Ring::open_file(&bytes, &file_key, &base.header.store_id)?;
        let floor = ring.floor;
        let backend = base
            .disk
            .open_database(Expect::Database)
            .map_err(StoreError::from)?;
        let live = Live {
            backend,
            sealer: Sealer::new(master, ring),
            file_key,
        };
        match live.get(Table::Meta, STORE_ROW)? {
            Some(id) if id.as_slice() == base.header.store_id => {}
            _ => {
                return Err(OpenError::damaged(
                    "database",
                    "it belongs to another store",
                ));
            }
        }
        let (oldest, head) = events::ends(&live)?;
        if head < floor {
            return Err(OpenError::RolledBack { floor, head });
        }
        if base.header.written_by != base.options.program {
            base.header.written_by.clone_from(&base.options.program);
            // A full disk must not keep the store from being read.
            if let Err(error) = write_header(&*base.disk, &base.header) {
                tracing::warn!(%error, "version not noted in the header");
            }
        }
        Ok(Shared::new(live, base.header.epoch(), oldest, head))
    }
}

/// The master key that `unlock` opens.
pub(crate) fn find_master(
    header: &Header,
    unlock: &Unlock,
    context: &SlotContext<'_>,
) -> Result<Key, OpenError> {
    let kind = unlock.kind();
    let mut slots = header
        .slots
        .iter()
        .filter(|slot| slot.kind() == kind)
        .peekable();
    if slots.peek().is_none() {
        return Err(OpenError::NoSlot(kind));
    }
    for slot in slots {
        if let Some(master) = slot.unwrap(unlock, context)? {
            return Ok(master);
        }
    }
    match kind {
        SlotKind::Passphrase => Err(OpenError::WrongPassphrase { retry_after_ms: 0 }),
        _ => Err(OpenError::damaged(
            "header",
            "the key that is kept does not open its slot",
        )),
    }
}

pub(crate) fn write_header(disk: &dyn Disk, header: &Header) -> Result<(), OpenError> {
    disk.replace(SmallFile::Header, &header.encode())
        .map_err(OpenError::io("header"))
}

impl Store {
    /// Makes a store in `folder`, with the cost, keyring and name of [`Options::default`].
    pub fn create(
        folder: &Path,
        unlock: &Unlock,
        entropy: Box<dyn Entropy>,
    ) -> Result<Self, OpenError> {
        Self::create_on(
            Arc::new(DirDisk::new(folder)),
            Options::default(),
            unlock,
            entropy,
        )
    }

    /// Makes a store on `disk`.
    ///
    /// A crash before the end leaves no store: the header, which makes it one, is written last.
    pub fn create_on(
        disk: Arc<dyn Disk>,
        options: Options,
        unlock: &Unlock,
        mut entropy: Box<dyn Entropy>,
    ) -> Result<Self, OpenError> {
        let header = Header {
            store_id: *draw::<16>(&mut *entropy)?,
            written_by: options.program.clone(),
            slots: Vec::new(),
        };
        let mut base = Base::take(disk, options, header)?;
        if read_header(&*base.disk)?.is_some() {
            return Err(OpenError::Exists);
        }
        let master = Key::new(draw::<32>(&mut *entropy)?);
        base.header
            .slots
            .push(Slot::wrap(&master, unlock, &base.context(), &mut *entropy)?);
        let file_key = master.derive("subkeys", &[]);
        let ring = Ring::first(&mut *entropy)?;
        let file = ring.seal_file(&file_key, &base.header.store_id, &mut *entropy)?;
        let backend = base
            .disk
            .open_database(Expect::Nothing)
            .map_err(StoreError::from)?;
        let live = Live {
            backend,
            sealer: Sealer::new(&master, ring),
            file_key,
        };
        let shared = Shared::new(live, base.header.epoch(), 1, 0);
        let mut store = Self::assemble(base, shared, entropy);
        let mut batch = Batch::new();
        batch.put(Table::Meta, STORE_ROW, store.base.header.store_id);
        store.commit(batch)?;
        let disk = &store.base.disk;
        disk.replace(SmallFile::Subkeys, &file)
            .map_err(OpenError::io("subkeys"))?;
        write_header(&**disk, &store.base.header)?;
        Ok(store)
    }

    /// Takes hold of the store in `folder`, with the cost, keyring and name of [`Options::default`].
    pub fn open(folder: &Path) -> Result<LockedStore, OpenError> {
        Self::open_on(Arc::new(DirDisk::new(folder)), Options::default())
    }

    /// Takes hold of the store on `disk`. Reads the header only.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<LockedStore, OpenError> {
        // Looked at before the lock is taken, so that nothing is made where there is no store, and again under the lock.
        read_header(&*disk)?.ok_or(OpenError::NoStore)?;
        let lock = lock(&*disk, &options.program)?;
        let header = read_header(&*disk)?.ok_or(OpenError::NoStore)?;
        let delay = UnlockDelay::default();
        Ok(LockedStore {
            base: Base {
                disk,
                _lock: lock,
                options,
                header,
                delay,
            },
        })
    }

    pub(crate) fn assemble(base: Base, shared: Shared, entropy: Box<dyn Entropy>) -> Self {
        let reader = super::OwnedReader(Reader {
            shared: Arc::new(shared),
        });
        Self {
            reader,
            base,
            entropy,
            poisoned: false,
        }
    }
}
