//! Key slots: the ways to the master key (`docs/storage.md`, *Slots*).
//!
//! A slot holds the master key wrapped under a passphrase, wrapped under a key in the system's keyring, or, only where the
//! user asked for it, as it stands. Every slot of a store yields the same key, so that changing the way in rewrites
//! one small file.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, aead::AeadInOut};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::{
    entropy::{Entropy, draw},
    error::OpenError,
    kdf::Key,
    vault::Vault,
};

/// Bytes of a wrapped key: the key and the tag.
const BOX_BYTES: usize = 48;

/// A way to unlock a store. Has no `Debug`, since it may hold a passphrase.
pub enum Unlock {
    /// With a passphrase of 1 to 1 024 bytes.
    Passphrase(Zeroizing<String>),
    /// With a key kept by the system's keyring.
    Keyring,
    /// With nothing: the key lies in the store, and who has the files can read them.
    Insecure,
}

impl Unlock {
    /// The kind of slot that this opens or makes.
    pub fn kind(&self) -> SlotKind {
        match self {
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::Keyring => SlotKind::Keyring,
            Self::Insecure => SlotKind::Insecure,
        }
    }
}

/// Kind of a key slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// Opened by a passphrase.
    Passphrase,
    /// Opened by the system's keyring.
    Keyring,
    /// Open.
    Insecure,
}

impl fmt::Display for SlotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase => "passphrase",
            Self::Keyring => "keyring",
            Self::Insecure => "insecure",
        })
    }
}

/// What Argon2id costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// 64 MiB, three passes, one lane: about 0.15 s on a machine of 2020, as the design asks.
    pub const DEFAULT: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 1,
    };

    /// As cheap as Argon2 goes, for tests that are not about guessing.
    #[cfg(any(test, feature = "test-utils"))]
    pub const CHEAP: Self = Self {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };

    /// Parameters within what a reader accepts; the upper limits keep a changed header from stopping the machine.
    fn params(self) -> Result<Params, OpenError> {
        let refused = OpenError::Cost {
            memory_kib: self.memory_kib,
            passes: self.passes,
            lanes: self.lanes,
        };
        let within = self.memory_kib <= 1024 * 1024
            && (1..=64).contains(&self.passes)
            && (1..=16).contains(&self.lanes);
        if !within {
            return Err(refused);
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| refused)
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A key slot as it lies in the header.
pub(crate) enum Slot {
    Passphrase {
        cost: Cost,
        salt: [u8; 16],
        nonce: [u8; 24],
        wrapped: [u8; BOX_BYTES],
    },
    Keyring {
        id: [u8; 8],
        nonce: [u8; 24],
        wrapped: [u8; BOX_BYTES],
    },
    Insecure(Key),
}

/// What wrapping and unwrapping need besides the slot.
pub(crate) struct SlotContext<'a> {
    pub(crate) store_id: &'a [u8; 16],
    pub(crate) cost: Cost,
    pub(crate) vault: &'a dyn Vault,
}

impl Slot {
    pub(crate) fn kind(&self) -> SlotKind {
        match self {
            Self::Passphrase { .. } => SlotKind::Passphrase,
            Self::Keyring { .. } => SlotKind::Keyring,
            Self::Insecure(_) => SlotKind::Insecure,
        }
    }

    /// Wraps `master` for `unlock`. For the keyring this also writes the keyring's entry.
    pub(crate) fn wrap(
        master: &Key,
        unlock: &Unlock,
        context: &SlotContext<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, OpenError> {
        let nonce = *draw::<24>(entropy)?;
        match unlock {
            Unlock::Passphrase(passphrase) => {
                let salt = *draw::<16>(entropy)?;
                let key = stretch(passphrase, &salt, context.cost)?;
                let body = passphrase_body(context.cost, &salt);
                let wrapped = seal(&key, &nonce, context.store_id, 1, &body, master);
                Ok(Self::Passphrase {
                    cost: context.cost,
                    salt,
                    nonce,
                    wrapped,
                })
            }
            Unlock::Keyring => {
                let id = *draw::<8>(entropy)?;
                let key = Key::new(draw::<32>(entropy)?);
                context
                    .vault
                    .save(&keyring_user(context.store_id, &id), key.bytes())?;
                let wrapped = seal(&key, &nonce, context.store_id, 2, &id, master);
                Ok(Self::Keyring { id, nonce, wrapped })
            }
            Unlock::Insecure => Ok(Self::Insecure(master.duplicate())),
        }
    }

    /// The master key, or `None` if `unlock` is not what this slot was wrapped for.
    pub(crate) fn unwrap(
        &self,
        unlock: &Unlock,
        context: &SlotContext<'_>,
    ) -> Result<Option<Key>, OpenError> {
        match (self, unlock) {
            (
                Self::Passphrase {
                    cost,
                    salt,
                    nonce,
                    wrapped,
                },
                Unlock::Passphrase(passphrase),
            ) => {
                let key = stretch(passphrase, salt, *cost)?;
                let body = passphrase_body(*cost, salt);
                Ok(open(&key, nonce, context.store_id, 1, &body, wrapped))
            }
            (Self::Keyring { id, nonce, wrapped }, Unlock::Keyring) => {
                let secret = context.vault.load(&keyring_user(context.store_id, id))?;
                let Some(key) = Key::from_slice(&secret) else {
                    return Err(OpenError::damaged(
                        "keyring",
                        "its entry has another length",
                    ));
                };
                Ok(open(&key, nonce, context.store_id, 2, id, wrapped))
            }
            (Self::Insecure(master), Unlock::Insecure) => Ok(Some(master.duplicate())),
            _ => Ok(None),
        }
    }

    /// The keyring's entry of this slot, if it has one.
    pub(crate) fn keyring_entry(&self, store_id: &[u8; 16]) -> Option<String> {
        match self {
            Self::Keyring { id, .. } => Some(keyring_user(store_id, id)),
            _ => None,
        }
    }

    /// Appends kind, length and body.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, body) = match self {
            Self::Passphrase {
                cost,
                salt,
                nonce,
                wrapped,
            } => (
                1,
                [passphrase_body(*cost, salt).as_slice(), nonce, wrapped].concat(),
            ),
            Self::Keyring { id, nonce, wrapped } => {
                (2, [id.as_slice(), nonce.as_slice(), wrapped].concat())
            }
            Self::Insecure(master) => (3, master.bytes().to_vec()),
        };
        let body = Zeroizing::new(body);
        out.push(kind);
        out.extend_from_slice(&(body.len() as u16).to_le_bytes());
        out.extend_from_slice(&body);
    }

    /// Reads a body of the given kind; `None` for an unknown kind or another length.
    pub(crate) fn decode(kind: u8, body: &[u8]) -> Option<Self> {
        let mut rest = body;
        let slot = match kind {
            1 => Self::Passphrase {
                cost: Cost {
                    memory_kib: u32::from_le_bytes(take(&mut rest)?),
                    passes: u32::from_le_bytes(take(&mut rest)?),
                    lanes: u32::from_le_bytes(take(&mut rest)?),
                },
                salt: take(&mut rest)?,
                nonce: take(&mut rest)?,
                wrapped: take(&mut rest)?,
            },
            2 => Self::Keyring {
                id: take(&mut rest)?,
                nonce: take(&mut rest)?,
                wrapped: take(&mut rest)?,
            },
            3 => Self::Insecure(Key::new(Zeroizing::new(take(&mut rest)?))),
            _ => return None,
        };
        rest.is_empty().then_some(slot)
    }
}

/// The next `N` bytes of `from`.
pub(crate) fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}

fn keyring_user(store_id: &[u8; 16], slot_id: &[u8; 8]) -> String {
    format!("{}-{}", HEXLOWER.encode(store_id), HEXLOWER.encode(slot_id))
}

fn stretch(passphrase: &str, salt: &[u8; 16], cost: Cost) -> Result<Key, OpenError> {
    if !(1..=1024).contains(&passphrase.len()) {
        return Err(OpenError::PassphraseLength {
            len: passphrase.len(),
        });
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?);
    let mut out = Zeroizing::new([0; 32]);
    argon2
        .hash_password_into(passphrase.as_bytes(), salt, out.as_mut_slice())
        .map_err(|_| OpenError::Cost {
            memory_kib: cost.memory_kib,
            passes: cost.passes,
            lanes: cost.lanes,
        })?;
    Ok(Key::new(out))
}

fn passphrase_body(cost: Cost, salt: &[u8; 16]) -> [u8; 28] {
    let mut body = [0; 28];
    let numbers = [cost.memory_kib, cost.passes, cost.lanes].map(u32::to_le_bytes);
    let bytes = numbers.iter().flatten().chain(salt);
    for (to, from) in body.iter_mut().zip(bytes) {
        *to = *from;
    }
    body
}

fn associated_data(store_id: &[u8; 16], kind: u8, body: &[u8]) -> Vec<u8> {
    [b"hermes-store/1 slot".as_slice(), store_id, &[kind], body].concat()
}

fn seal(
    key: &Key,
    nonce: &[u8; 24],
    store_id: &[u8; 16],
    kind: u8,
    body: &[u8],
    master: &Key,
) -> [u8; BOX_BYTES] {
    let mut wrapped = [0; BOX_BYTES];
    let (text, tag) = wrapped.split_at_mut(32);
    text.copy_from_slice(master.bytes());
    let mac = XChaCha20Poly1305::new(key.bytes().into())
        .encrypt_inout_detached(
            &(*nonce).into(),
            &associated_data(store_id, kind, body),
            text.into(),
        )
        .expect("32 bytes are within the limit of the cipher");
    tag.copy_from_slice(&mac);
    wrapped
}

fn open(
    key: &Key,
    nonce: &[u8; 24],
    store_id: &[u8; 16],
    kind: u8,
    body: &[u8],
    wrapped: &[u8; BOX_BYTES],
) -> Option<Key> {
    let mut rest = wrapped.as_slice();
    let mut text = Zeroizing::new(take::<32>(&mut rest)?);
    let tag = take::<16>(&mut rest)?;
    XChaCha20Poly1305::new(key.bytes().into())
        .decrypt_inout_detached(
            &(*nonce).into(),
            &associated_data(store_id, kind, body),
            text.as_mut_slice().into(),
            &tag.into(),
        )
        .ok()?;
    Some(Key::new(text))
}
