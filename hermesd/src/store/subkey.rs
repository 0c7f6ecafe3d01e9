//! The sub-keys of the ratchet table and the small file that holds them (`docs/storage.md`, *Sub-keys*).
//!
//! A [`Ring`] is a value: renewing makes another ring, which takes the old one's place only once its file is durable.

use chacha20poly1305::{KeyInit, XChaCha20Poly1305, aead::AeadInOut};
use zeroize::Zeroizing;

use super::{
    entropy::{Entropy, EntropyError, draw},
    error::OpenError,
    kdf::Key,
    keys::take,
    tables::Table,
};

/// How long a sub-key is used before it is renewed, in seconds: what an old ratchet state can tell is then a day old.
pub const SUBKEY_SECONDS: u64 = 24 * 60 * 60;

const MAGIC_AND_VERSION: &[u8; 9] = b"HERMSUBK\x01";
const TAG_BYTES: usize = 16;

/// One sub-key.
pub(crate) struct Subkey {
    pub(crate) id: u32,
    made: u64,
    secret: Key,
    /// What rows are sealed under.
    pub(crate) row_key: Key,
}

impl Subkey {
    fn new(id: u32, made: u64, secret: Key) -> Self {
        let row_key = secret.derive("db", &[Table::Ratchet.name().as_bytes()]);
        Self {
            id,
            made,
            secret,
            row_key,
        }
    }

    fn duplicate(&self) -> Self {
        Self::new(self.id, self.made, self.secret.duplicate())
    }
}

/// The sub-keys of a store: the one in use and, while its rows are being rewritten, the one before.
pub(crate) struct Ring {
    revision: u64,
    /// Head of the events when the ring was written; a database below it is older than the ring.
    pub(crate) floor: u64,
    old: Option<Subkey>,
    newest: Subkey,
}

impl Ring {
    /// The ring of a new store. Its sub-key counts as made in 1970, so that the first renewal is due at once and sets the clock.
    pub(crate) fn first(entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        let secret = Key::new(draw::<32>(entropy)?);
        Ok(Self {
            revision: 1,
            floor: 0,
            old: None,
            newest: Subkey::new(1, 0, secret),
        })
    }

    pub(crate) fn newest(&self) -> &Subkey {
        &self.newest
    }

    pub(crate) fn find(&self, id: u32) -> Option<&Subkey> {
        [Some(&self.newest), self.old.as_ref()]
            .into_iter()
            .flatten()
            .find(|subkey| subkey.id == id)
    }

    /// True while rows under the old sub-key may be left.
    pub(crate) fn is_renewing(&self) -> bool {
        self.old.is_some()
    }

    /// True if the sub-key in use is a day old at `now_s`, or was made by a clock that was a day ahead.
    pub(crate) fn is_due(&self, now_s: u64) -> bool {
        self.newest.made.abs_diff(now_s) >= SUBKEY_SECONDS
    }

    /// This ring with a new sub-key, made at `now_s`, in use.
    pub(crate) fn renewed(
        &self,
        now_s: u64,
        floor: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, EntropyError> {
        let secret = Key::new(draw::<32>(entropy)?);
        let id = self
            .newest
            .id
            .checked_add(1)
            .expect("four thousand million days do not pass");
        Ok(Self {
            revision: self.revision + 1,
            floor: self.floor.max(floor),
            old: Some(self.newest.duplicate()),
            newest: Subkey::new(id, now_s, secret),
        })
    }

    /// This ring without its old sub-key.
    pub(crate) fn without_old(&self, floor: u64) -> Self {
        Self {
            revision: self.revision + 1,
            floor: self.floor.max(floor),
            old: None,
            newest: self.newest.duplicate(),
        }
    }

    /// This ring with a higher floor.
    pub(crate) fn with_floor(&self, floor: u64) -> Self {
        Self {
            old: self.old.as_ref().map(Subkey::duplicate),
            ..self.without_old(floor)
        }
    }

    /// The bytes of the file, sealed under `file_key`.
    pub(crate) fn seal_file(
        &self,
        file_key: &Key,
        store_id: &[u8; 16],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, EntropyError> {
        let nonce = *draw::<24>(entropy)?;
        let mut text = Zeroizing::new(Vec::with_capacity(128));
        text.extend_from_slice(&self.revision.to_le_bytes());
        text.extend_from_slice(&self.floor.to_le_bytes());
        text.push(1 + u8::from(self.old.is_some()));
        for subkey in self.old.iter().chain([&self.newest]) {
            text.extend_from_slice(&subkey.id.to_le_bytes());
            text.extend_from_slice(&subkey.made.to_le_bytes());
            text.extend_from_slice(subkey.secret.bytes());
        }
        let tag = XChaCha20Poly1305::new(file_key.bytes().into())
            .encrypt_inout_detached(
                &nonce.into(),
                &associated_data(store_id),
                text.as_mut_slice().into(),
            )
            .expect("a ring is shorter than the limit of the cipher");
        Ok([MAGIC_AND_VERSION.as_slice(), &nonce, &text, &tag].concat())
    }

    /// Reads the bytes of the file.
    pub(crate) fn open_file(
        bytes: &[u8],
        file_key: &Key,
        store_id: &[u8; 16],
    ) -> Result<Self, OpenError> {
        let damaged = |detail| OpenError::damaged("subkeys", detail);
        let mut rest = bytes;
        let head = take::<9>(&mut rest).filter(|head| head == MAGIC_AND_VERSION);
        head.ok_or_else(|| damaged("it is too short or no file of sub-keys"))?;
        let nonce = take::<24>(&mut rest).ok_or_else(|| damaged("it is too short"))?;
        let (text, tag) = rest
            .split_last_chunk::<TAG_BYTES>()
            .ok_or_else(|| damaged("it is too short"))?;
        let mut text = Zeroizing::new(text.to_vec());
        XChaCha20Poly1305::new(file_key.bytes().into())
            .decrypt_inout_detached(
                &nonce.into(),
                &associated_data(store_id),
                text.as_mut_slice().into(),
                &(*tag).into(),
            )
            .map_err(|_| damaged("it does not open under this store's key"))?;
        Self::read(&text).ok_or_else(|| damaged("its contents make no sense"))
    }

    fn read(mut text: &[u8]) -> Option<Self> {
        let rest = &mut text;
        let revision = u64::from_le_bytes(take(rest)?);
        let floor = u64::from_le_bytes(take(rest)?);
        let (old, newest) = match take(rest)? {
            [1] => (None, read_subkey(rest)?),
            [2] => (Some(read_subkey(rest)?), read_subkey(rest)?),
            _ => return None,
        };
        let rising = old.as_ref().is_none_or(|old| old.id < newest.id);
        (rising && rest.is_empty()).then_some(Self {
            revision,
            floor,
            old,
            newest,
        })
    }
}

fn read_subkey(rest: &mut &[u8]) -> Option<Subkey> {
    let id = u32::from_le_bytes(take(rest)?);
    let made = u64::from_le_bytes(take(rest)?);
    let secret = Zeroizing::new(take::<32>(rest)?);
    Some(Subkey::new(id, made, Key::new(secret)))
}

fn associated_data(store_id: &[u8; 16]) -> Vec<u8> {
    [MAGIC_AND_VERSION.as_slice(), store_id].concat()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::store::entropy::SeededEntropy;

    fn key(byte: u8) -> Key {
        Key::new(Zeroizing::new([byte; 32]))
    }

    fn ring() -> Ring {
        let mut entropy = SeededEntropy::new(5);
        Ring::first(&mut entropy)
            .unwrap()
            .renewed(1_800_000_000, 41, &mut entropy)
            .unwrap()
    }

    fn file(ring: &Ring) -> Vec<u8> {
        ring.seal_file(&key(9), &[3; 16], &mut SeededEntropy::new(6))
            .unwrap()
    }

    #[test]
    fn bytes_are_frozen() {
        assert_eq!(
            HEXLOWER.encode(&file(&ring())),
            include_str!("tests/subkeys.hex").trim()
        );
    }

    #[test]
    fn what_was_written_is_read() {
        let before = ring();
        for ring in [before.without_old(50), before.with_floor(40), before] {
            let after = Ring::open_file(&file(&ring), &key(9), &[3; 16]).unwrap();
            assert_eq!((after.revision, after.floor), (ring.revision, ring.floor));
            assert_eq!(after.is_renewing(), ring.is_renewing());
            assert_eq!(after.newest.made, 1_800_000_000);
            for id in [1, 2, 3] {
                let bytes = |ring: &Ring| ring.find(id).map(|subkey| *subkey.row_key.bytes());
                assert_eq!(bytes(&after), bytes(&ring), "{id}");
            }
        }
    }

    #[test]
    fn renewal_keeps_the_old_until_told() {
        let ring = ring();
        assert!(ring.is_renewing() && ring.find(1).is_some() && ring.newest().id == 2);
        let ring = ring.without_old(7);
        assert!(!ring.is_renewing() && ring.find(1).is_none() && ring.newest().id == 2);
        assert_eq!((ring.revision, ring.floor), (3, 41));
    }

    #[test]
    fn a_day_makes_it_due_also_when_the_clock_was_ahead() {
        let ring = ring();
        let due = |now_s| ring.is_due(now_s);
        assert!(!due(1_800_000_000) && !due(1_800_086_399) && due(1_800_086_400));
        assert!(!due(1_799_913_601) && due(1_799_913_600));
    }

    #[test]
    fn damage_is_noticed() {
        let bytes = file(&ring());
        let open = |bytes: &[u8]| Ring::open_file(bytes, &key(9), &[3; 16]);
        assert!(open(&bytes).is_ok());
        for len in 0..bytes.len() {
            assert!(matches!(
                open(&bytes[..len]),
                Err(OpenError::Damaged {
                    part: "subkeys",
                    ..
                })
            ));
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(
                open(&changed),
                Err(OpenError::Damaged {
                    part: "subkeys",
                    ..
                })
            ));
        }
        assert!(Ring::open_file(&bytes, &key(8), &[3; 16]).is_err());
        assert!(Ring::open_file(&bytes, &key(9), &[4; 16]).is_err());
    }
}
