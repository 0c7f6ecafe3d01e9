//! The keeper's own keys on the disk.
//!
//! `node.key` holds `"HNK1" ‖ Ed25519 seed[32] ‖ X25519 secret[32] ‖ check[4]`, check being the first bytes of the SHA-256 of what stands
//! before it. It is written once, readable by its owner only. A storage identity is drawn at random; no user's key is in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use hermes_link::Identity;
use hermes_wire::ids::NodeKey;
use hermes_wire::kdf::h;
use thiserror::Error;
use zeroize::Zeroizing;

const MAGIC: &[u8; 4] = b"HNK1";
const LEN: usize = 72;

/// Why a keeper has no keys.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{path} is damaged; a keeper without its key is a new keeper: move the file away to start as one"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The system gives no randomness.
    #[error("no randomness: {0}")]
    Entropy(#[from] getrandom::Error),
}

/// The keys of a node.
pub struct NodeKeys {
    seed: Zeroizing<[u8; 32]>,
    hpke: Zeroizing<[u8; 32]>,
}

impl NodeKeys {
    /// Reads the keys in `dir`, or draws and writes them.
    ///
    /// # Errors
    /// If the file is damaged or the disk refuses.
    pub fn load_or_create(dir: &Path) -> Result<Self, KeyError> {
        let path = dir.join("node.key");
        let io = |source| KeyError::Io {
            path: path.clone(),
            source,
        };
        match File::open(&path) {
            Ok(file) => {
                let mut bytes = Zeroizing::new(Vec::with_capacity(LEN + 1));
                file.take(LEN as u64 + 1)
                    .read_to_end(&mut bytes)
                    .map_err(io)?;
                Self::parse(&bytes).ok_or(KeyError::Damaged { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut keys = Self {
                    seed: Zeroizing::default(),
                    hpke: Zeroizing::default(),
                };
                getrandom::fill(&mut *keys.seed)?;
                getrandom::fill(&mut *keys.hpke)?;
                keys.write(dir, &path).map_err(io)?;
                Ok(keys)
            }
            Err(error) => Err(io(error)),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, check) = bytes.split_last_chunk::<4>()?;
        let rest = head.strip_prefix(MAGIC)?;
        let (seed, hpke) = rest.split_first_chunk::<32>()?;
        let hpke: &[u8; 32] = hpke.try_into().ok()?;
        h(&[head]).starts_with(check).then(|| Self {
            seed: Zeroizing::new(*seed),
            hpke: Zeroizing::new(*hpke),
        })
    }

    fn write(&self, dir: &Path, path: &Path) -> io::Result<()> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LEN));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&*self.seed);
        bytes.extend_from_slice(&*self.hpke);
        let [a, b, c, d, ..] = h(&[&bytes]);
        bytes.extend_from_slice(&[a, b, c, d]);
        let temporary = dir.join("node.key.new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(dir)?.sync_all()
    }

    /// The key that names and signs.
    #[must_use]
    pub fn signing(&self) -> SigningKey {
        SigningKey::from_bytes(&self.seed)
    }

    /// The same as TLS shows it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::from_seed(*self.seed)
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> NodeKey {
        NodeKey(self.signing().verifying_key().to_bytes())
    }

    /// The public half of the key for sealed requests.
    #[must_use]
    pub fn hpke_public(&self) -> [u8; 32] {
        x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(*self.hpke)).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_and_are_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = NodeKeys::load_or_create(dir.path()).unwrap();
        let again = NodeKeys::load_or_create(dir.path()).unwrap();
        assert_eq!(
            (first.node(), first.hpke_public()),
            (again.node(), again.hpke_public())
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join("node.key"))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_file_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        NodeKeys::load_or_create(dir.path()).unwrap();
        let good = fs::read(&path).unwrap();
        for broken in [
            &good[..71],
            &[&good[..], b"x"].concat(),
            &[&good[..40], b"!", &good[41..]].concat(),
            b"",
        ] {
            fs::write(&path, broken).unwrap();
            assert!(matches!(
                NodeKeys::load_or_create(dir.path()),
                Err(KeyError::Damaged { .. })
            ));
            assert_eq!(fs::read(&path).unwrap(), broken);
        }
    }
}
