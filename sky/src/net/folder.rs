//! A node's folder: its key and the sky nodes it knew last. Nothing about people is ever written.
//!
//! | file | holds |
//! |---|---|
//! | `node.key` | `"HSK1" ‖ Ed25519 seed[32] ‖ check[4]`, readable by the owner only; written once |
//! | `sky.records` | `"HSR1" ‖ net_id[4] ‖ u32 n ‖ n × var16 record ‖ check[4]`, replaced as a whole |
//! | `lock` | nothing; locked while a process uses the folder |
//!
//! `check` is the beginning of the SHA-256 of what stands before it. The records are a convenience: a damaged list, or one of another
//! network, is put aside and the node starts with what it is told. A damaged key is not: a node without its key is another node.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use hermes_wire::{
    Network, Wire as _,
    codec::{DecodeError, Put as _, Reader},
    kdf::h,
    node::{MAX_RECORD, NodeRecord},
};
use thiserror::Error;
use zeroize::Zeroizing;

const KEY: &str = "node.key";
const RECORDS: &str = "sky.records";
const LOCK: &str = "lock";
const KEY_MAGIC: &[u8; 4] = b"HSK1";
const RECORDS_MAGIC: &[u8; 4] = b"HSR1";
const KEY_LEN: usize = 4 + 32 + 4;

/// The longest list that is read: far above what a node stores.
const RECORDS_LEN_MAX: u64 = 128 * 1024 * 1024;

/// Why a folder cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The disk refuses.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The key file holds something else.
    #[error("{} is damaged; move it away to start as a new node", path.display())]
    DamagedKey {
        /// Which file.
        path: PathBuf,
    },
    /// Others may read the key.
    #[error("{} can be read by others; take that right away (chmod 600) or move the file away to start as a new node", path.display())]
    OpenKey {
        /// Which file.
        path: PathBuf,
    },
    /// The system gives no randomness.
    #[error("no randomness to be had")]
    Randomness(#[from] getrandom::Error),
}

/// A node's folder, locked for this process while the value lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens a folder, making it if it is not there, and locks it.
    ///
    /// # Errors
    ///
    /// When the disk refuses or another process uses it.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        make_private(path).map_err(|source| FolderError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        let lock_path = path.join(LOCK);
        let io = |source| FolderError::Io {
            path: lock_path.clone(),
            source,
        };
        let lock = options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_path_buf(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse {
                path: path.to_path_buf(),
            }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// The seed of the node key; drawn and written when there is none.
    ///
    /// # Errors
    ///
    /// When the file is damaged, others may read it, or the disk refuses.
    pub fn key(&self) -> Result<Zeroizing<[u8; 32]>, FolderError> {
        let path = self.path.join(KEY);
        let io = |source| FolderError::Io {
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.make_key(&path),
            Err(error) => return Err(io(error)),
        };
        if is_open_to_others(&file).map_err(io)? {
            return Err(FolderError::OpenKey { path });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_LEN + 1));
        file.take(KEY_LEN as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        let seed = checked(&bytes, KEY_MAGIC).and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        seed.map(Zeroizing::new)
            .ok_or(FolderError::DamagedKey { path })
    }

    fn make_key(&self, path: &Path) -> Result<Zeroizing<[u8; 32]>, FolderError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_LEN));
        bytes.put(KEY_MAGIC);
        bytes.put(&*seed);
        put_check(&mut bytes);
        self.replace(KEY, &bytes)
            .map_err(|source| FolderError::Io {
                path: path.to_path_buf(),
                source,
            })?;
        Ok(seed)
    }

    /// The sky nodes that were known last. Nothing, if the list is missing, damaged, or of another network.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn records(&self, network: &Network) -> Result<Vec<NodeRecord>, FolderError> {
        let path = self.path.join(RECORDS);
        let io = |source| FolderError::Io {
            path: path.clone(),
            source,
        };
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => file
                .take(RECORDS_LEN_MAX)
                .read_to_end(&mut bytes)
                .map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(error)),
        };
        let Some(list) = checked(&bytes, RECORDS_MAGIC) else {
            tracing::warn!("the list of known sky nodes is damaged and not used");
            return Ok(Vec::new());
        };
        Ok(read_records(list, network).unwrap_or_else(|error| {
            tracing::warn!(%error, "the list of known sky nodes cannot be read and is not used");
            Vec::new()
        }))
    }

    /// Replaces the list of known sky nodes.
    ///
    /// # Errors
    ///
    /// When the disk refuses. The former list is still there then.
    pub fn store(&self, network: &Network, records: &[NodeRecord]) -> Result<(), FolderError> {
        let mut bytes = Vec::with_capacity(64 + records.len() * 256);
        bytes.put(RECORDS_MAGIC);
        network.id().encode(&mut bytes);
        bytes.put_u32(u32::try_from(records.len()).unwrap_or(u32::MAX));
        for record in records {
            bytes.put_var16(&record.to_bytes());
        }
        put_check(&mut bytes);
        self.replace(RECORDS, &bytes)
            .map_err(|source| FolderError::Io {
                path: self.path.join(RECORDS),
                source,
            })
    }

    /// Writes a file under another name, has it on the disk, and only then gives it its name.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.path.join(format!("{name}.new"));
        let mut file = options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, self.path.join(name))?;
        sync_folder(&self.path)
    }
}

fn read_records(list: &[u8], network: &Network) -> Result<Vec<NodeRecord>, DecodeError> {
    let mut r = Reader::new(list);
    if r.array::<4>()? != network.id().0 {
        tracing::warn!("the list of known sky nodes is of another network and not used");
        return Ok(Vec::new());
    }
    let count = r.u32()?;
    // What the bytes cannot hold is not set aside for: the list grows as it is read.
    let mut records = Vec::new();
    for _ in 0..count {
        records.push(NodeRecord::decode(r.var16("record", MAX_RECORD)?)?);
    }
    r.finish()?;
    Ok(records)
}

fn put_check(bytes: &mut Vec<u8>) {
    let [a, b, c, d, ..] = h(&[bytes]);
    bytes.put(&[a, b, c, d]);
}

/// What stands between the magic and the check, if both are right.
fn checked<'a>(bytes: &'a [u8], magic: &[u8; 4]) -> Option<&'a [u8]> {
    let (head, check) = bytes.split_last_chunk::<4>()?;
    h(&[head])
        .starts_with(check)
        .then(|| head.strip_prefix(magic))?
}

/// Files are for the owner only.
fn options() -> OpenOptions {
    #[allow(unused_mut, reason = "only Unix has file modes")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> io::Result<bool> {
    Ok(std::os::unix::fs::MetadataExt::mode(&file.metadata()?) & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ed25519_dalek::SigningKey;
    use hermes_wire::node::{Flags, RecordBody, Role};

    use super::*;

    fn records(count: u8) -> Vec<NodeRecord> {
        let record = |n| {
            let body = RecordBody {
                role: Role::Sky,
                flags: Flags::DIRECT,
                hpke_key: [0; 32],
                seq: 1,
                expires: 2,
                slot: 0,
                addrs: vec![SocketAddr::from(([127, 0, 0, 1], 1)).into()],
            };
            NodeRecord::sign(&Network::lab(), &SigningKey::from_bytes(&[n; 32]), body).unwrap()
        };
        (0..count).map(record).collect()
    }

    #[test]
    fn a_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder");
        let first = Folder::open(&path).unwrap().key().unwrap();
        assert_eq!(Folder::open(&path).unwrap().key().unwrap(), first);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Folder::open(other.path()).unwrap().key().unwrap(), first);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_is_for_its_owner_only() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let folder = Folder::open(&path).unwrap();
        folder.key().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(KEY))), (0o700, 0o600));
        fs::set_permissions(path.join(KEY), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(folder.key(), Err(FolderError::OpenKey { .. })));
    }

    #[test]
    fn a_damaged_key_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        folder.key().unwrap();
        let path = parent.path().join(KEY);
        let good = fs::read(&path).unwrap();
        let mut bent = good.clone();
        bent[20] ^= 1;
        for bad in [&good[..39], &[&good[..], b"x"].concat(), &bent, b""] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(folder.key(), Err(FolderError::DamagedKey { .. })));
            assert_eq!(fs::read(&path).unwrap(), bad);
        }
    }

    #[test]
    fn two_processes_do_not_share_a_folder() {
        let parent = tempfile::tempdir().unwrap();
        let first = Folder::open(parent.path()).unwrap();
        assert!(matches!(
            Folder::open(parent.path()),
            Err(FolderError::InUse { .. })
        ));
        drop(first);
        Folder::open(parent.path()).unwrap();
    }

    #[test]
    fn records_come_back() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        let lab = Network::lab();
        assert_eq!(folder.records(&lab).unwrap(), []);
        for count in [3, 0, 200] {
            folder.store(&lab, &records(count)).unwrap();
            assert_eq!(folder.records(&lab).unwrap(), records(count));
        }
        assert_eq!(
            folder.records(&Network::main()).unwrap(),
            [],
            "of another network"
        );
    }

    #[test]
    fn a_damaged_list_is_no_list() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path()).unwrap();
        let lab = Network::lab();
        folder.store(&lab, &records(3)).unwrap();
        let path = parent.path().join(RECORDS);
        let good = fs::read(&path).unwrap();
        for len in (0..good.len()).step_by(7) {
            fs::write(&path, &good[..len]).unwrap();
            assert_eq!(folder.records(&lab).unwrap(), []);
        }
        // The right check over the wrong content.
        let mut bent = good[..good.len() - 4].to_vec();
        bent[8] = 200;
        put_check(&mut bent);
        fs::write(&path, &bent).unwrap();
        assert_eq!(folder.records(&lab).unwrap(), []);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(matches!(
            Folder::open(&file.join("data")),
            Err(FolderError::Io { .. })
        ));
    }
}
