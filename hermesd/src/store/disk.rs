//! What a store stands on: two small files, a database and a lock.
//!
//! [`Disk`] is the seam at which tests put a disk that crashes (`MemoryDisk`); [`DirDisk`] is a real folder.
//! Both promise the same: when `replace` or a backend's `write` has returned `Ok`, a crash does not undo it, and a crash
//! before leaves the old state or the new one, never a mixture.

use std::{
    any::Any,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    backend::{Backend, BackendError, FjallBackend},
    lock::{InstanceLock, LockError},
};

/// Most bytes read from a small file: the longest has 4 096; more is damage.
const SMALL_FILE_BYTES_MAX: u64 = 8192;

/// A file beside the database that is always replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SmallFile {
    /// Key slots and format; its presence is what makes a folder a store.
    Header,
    /// Sub-keys of the ratchet table.
    Subkeys,
}

impl SmallFile {
    fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Subkeys => "subkeys",
        }
    }

    fn temporary_name(self) -> &'static str {
        match self {
            Self::Header => "header.new",
            Self::Subkeys => "subkeys.new",
        }
    }
}

/// Whether a database is to be made or must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Make a new database; one that is there without a header is moved aside.
    Nothing,
    /// Open the database that is there; its absence is damage.
    Database,
}

/// Something that keeps a store.
pub trait Disk: Send + Sync {
    /// Takes the lock of the store, held until the answer is dropped.
    fn lock(&self, program: &str) -> Result<Box<dyn Any + Send + Sync>, LockError>;
    /// The bytes of a small file, or `None` if there is none.
    fn read(&self, file: SmallFile) -> io::Result<Option<Zeroizing<Vec<u8>>>>;
    /// Puts `bytes` in place of a small file, durably and as a whole.
    fn replace(&self, file: SmallFile, bytes: &[u8]) -> io::Result<()>;
    /// Opens or makes the database.
    fn open_database(&self, expect: Expect) -> Result<Box<dyn Backend>, BackendError>;
}

/// A folder of the file system.
pub struct DirDisk {
    folder: PathBuf,
}

impl DirDisk {
    /// The folder of a store that is there or is to be made; it is made, for its owner alone, when the lock is taken.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Moves a database that no header belongs to out of the way, without deleting anything.
    fn set_aside(&self, database: &Path) -> io::Result<()> {
        let free = (1u32..)
            .map(|n| self.path(&format!("db.set-aside-{n}")))
            .find(|path| !path.exists());
        match free {
            Some(path) => fs::rename(database, path),
            None => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }
}

impl Disk for DirDisk {
    fn lock(&self, program: &str) -> Result<Box<dyn Any + Send + Sync>, LockError> {
        make_private_folder(&self.folder)?;
        Ok(Box::new(InstanceLock::take(&self.path("lock"), program)?))
    }

    fn read(&self, file: SmallFile) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let opened = match File::open(self.path(file.name())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(SMALL_FILE_BYTES_MAX as usize));
        opened.take(SMALL_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn replace(&self, file: SmallFile, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(file.name());
        let temporary = self.path(file.temporary_name());
        let old = Erasable::open(&path);
        let mut new = private_file()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)?;
        new.write_all(bytes)?;
        new.sync_all()?;
        drop(new);
        fs::rename(&temporary, &path)?;
        sync_folder(&self.folder)?;
        old.erase();
        Ok(())
    }

    fn open_database(&self, expect: Expect) -> Result<Box<dyn Backend>, BackendError> {
        let path = self.path("db");
        let there = path.try_exists()?;
        let backend = match expect {
            Expect::Database if there => FjallBackend::open(&path)?,
            Expect::Database => return Err(BackendError::Damaged("it is missing".to_owned())),
            Expect::Nothing => {
                if there {
                    self.set_aside(&path)?;
                }
                FjallBackend::create(&path)?
            }
        };
        sync_folder(&self.folder)?;
        Ok(Box::new(backend))
    }
}

/// A file about to be replaced, kept open so that its bytes can be overwritten once its name is gone.
///
/// Best effort by nature: a copy-on-write file system or flash writes elsewhere. Unix only, since elsewhere an open
/// file cannot be replaced.
struct Erasable(Option<File>);

impl Erasable {
    fn open(path: &Path) -> Self {
        Self(if cfg!(unix) {
            OpenOptions::new().write(true).open(path).ok()
        } else {
            None
        })
    }

    fn erase(self) {
        let Some(mut file) = self.0 else { return };
        let erased = file
            .metadata()
            .and_then(|metadata| {
                file.write_all(&vec![0; metadata.len().min(SMALL_FILE_BYTES_MAX) as usize])
            })
            .and_then(|()| file.sync_data());
        if let Err(error) = erased {
            tracing::debug!(%error, "old key file not overwritten");
        }
    }
}

/// Options that open files for their owner alone.
pub(crate) fn private_file() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Makes names in a folder durable. Windows does this by itself and has no such call.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(windows) {
        Ok(())
    } else {
        File::open(path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_replaced_as_a_whole_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let disk = DirDisk::new(&folder.path().join("store"));
        let _lock = disk.lock("test").unwrap();
        assert!(disk.read(SmallFile::Header).unwrap().is_none());
        for bytes in [b"first and longer".as_slice(), b"second"] {
            disk.replace(SmallFile::Header, bytes).unwrap();
            assert_eq!(
                disk.read(SmallFile::Header).unwrap().unwrap().as_slice(),
                bytes
            );
        }
        assert!(disk.read(SmallFile::Subkeys).unwrap().is_none());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |name: &str| {
                let path = folder.path().join("store").join(name);
                fs::metadata(path).unwrap().permissions().mode() & 0o777
            };
            assert_eq!(
                (mode(""), mode("header"), mode("lock")),
                (0o700, 0o600, 0o600)
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_bytes_of_a_replaced_file_are_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let disk = DirDisk::new(folder.path());
        disk.replace(SmallFile::Subkeys, b"secret of yesterday")
            .unwrap();
        let mut old = File::open(folder.path().join("subkeys")).unwrap();
        disk.replace(SmallFile::Subkeys, b"secret of today")
            .unwrap();
        let mut left = Vec::new();
        old.read_to_end(&mut left).unwrap();
        assert_eq!(left, [0; 19]);
    }

    #[test]
    fn a_database_without_a_header_is_moved_aside_not_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let disk = DirDisk::new(folder.path());
        for _ in 0..2 {
            fs::create_dir(folder.path().join("db")).unwrap();
            fs::write(folder.path().join("db/precious"), "x").unwrap();
            disk.set_aside(&folder.path().join("db")).unwrap();
        }
        assert!(folder.path().join("db.set-aside-1/precious").exists());
        assert!(folder.path().join("db.set-aside-2/precious").exists());
    }

    #[test]
    fn a_missing_database_is_not_replaced_by_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let disk = DirDisk::new(folder.path());
        let error = disk.open_database(Expect::Database).err().unwrap();
        assert!(matches!(error, BackendError::Damaged(_)), "{error}");
        assert!(!folder.path().join("db").exists());
    }
}
