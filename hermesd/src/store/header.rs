//! The file `header`: who wrote the store, in which format, and how it is unlocked (`docs/storage.md`, *Header*).

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    error::OpenError,
    keys::{Slot, SlotKind, take},
};

/// The format that this program writes, and the highest it reads.
pub const FORMAT: u16 = 1;

const MAGIC: &[u8; 8] = b"HERMSTOR";
/// Most bytes of a header; four slots need some 500.
const HEADER_BYTES_MAX: usize = 4096;
const WRITTEN_BY_BYTES_MAX: usize = 32;
const SLOTS_MAX: usize = 4;
const CHECKSUM_BYTES: usize = 32;

/// The header, decoded.
pub(crate) struct Header {
    pub(crate) store_id: [u8; 16],
    pub(crate) written_by: String,
    pub(crate) slots: Vec<Slot>,
}

impl Header {
    /// The epoch of the store's event cursors.
    pub(crate) fn epoch(&self) -> u64 {
        (u128::from_be_bytes(self.store_id) >> 64) as u64
    }

    /// Fails unless there are one to four slots, at most one each by keyring and without protection.
    pub(crate) fn check_slots(kinds: &[SlotKind]) -> Result<(), OpenError> {
        let count = |kind| kinds.iter().filter(|other| **other == kind).count();
        let fits = (1..=SLOTS_MAX).contains(&kinds.len())
            && count(SlotKind::Keyring) <= 1
            && count(SlotKind::Insecure) <= 1;
        if fits { Ok(()) } else { Err(OpenError::Slots) }
    }

    /// The bytes of the file. They hold the master key if there is an insecure slot.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let written_by = printable(&self.written_by);
        let mut out = Vec::with_capacity(HEADER_BYTES_MAX);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.store_id);
        out.push(written_by.len() as u8);
        out.extend_from_slice(written_by.as_bytes());
        out.push(self.slots.len() as u8);
        for slot in &self.slots {
            slot.encode(&mut out);
        }
        let len = (out.len() + CHECKSUM_BYTES) as u16;
        for (to, from) in out.iter_mut().skip(10).zip(len.to_le_bytes()) {
            *to = from;
        }
        let checksum = Sha256::digest(&out);
        out.extend_from_slice(&checksum);
        Zeroizing::new(out)
    }

    /// Reads the file; a newer format is told apart before anything else is looked at.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, OpenError> {
        let mut rest = bytes;
        let (format, store_id, written_by, len) = prefix(&mut rest)
            .ok_or_else(|| OpenError::damaged("header", "it is too short or no header at all"))?;
        if format > FORMAT {
            return Err(OpenError::Newer {
                found: format,
                known: FORMAT,
                written_by,
            });
        }
        if format == 0 {
            return Err(OpenError::damaged("header", "there is no format 0"));
        }
        if usize::from(len) != bytes.len() || bytes.len() > HEADER_BYTES_MAX {
            return Err(OpenError::damaged(
                "header",
                "its length is not the one it states",
            ));
        }
        let checked = rest
            .split_last_chunk::<CHECKSUM_BYTES>()
            .zip(bytes.split_last_chunk::<CHECKSUM_BYTES>())
            .filter(|((_, sum), (all, _))| Sha256::digest(all).as_slice() == sum.as_slice());
        let Some(((slots, _), _)) = checked else {
            return Err(OpenError::damaged("header", "its checksum does not match"));
        };
        let slots = read_slots(slots)
            .ok_or_else(|| OpenError::damaged("header", "its key slots make no sense"))?;
        Ok(Self {
            store_id,
            written_by,
            slots,
        })
    }
}

/// The part that every later format keeps: format, store id, writer, and the length between them.
fn prefix(rest: &mut &[u8]) -> Option<(u16, [u8; 16], String, u16)> {
    if &take::<8>(rest)? != MAGIC {
        return None;
    }
    let format = u16::from_le_bytes(take(rest)?);
    let len = u16::from_le_bytes(take(rest)?);
    let store_id = take(rest)?;
    let [written_by_len] = take(rest)?;
    let (written_by, after) = rest.split_at_checked(written_by_len.into())?;
    if written_by.len() > WRITTEN_BY_BYTES_MAX {
        return None;
    }
    *rest = after;
    let written_by = String::from_utf8_lossy(written_by);
    Some((format, store_id, printable(&written_by), len))
}

fn read_slots(mut rest: &[u8]) -> Option<Vec<Slot>> {
    let [count] = take(&mut rest)?;
    let mut slots = Vec::new();
    for _ in 0..count {
        let [kind] = take(&mut rest)?;
        let len = u16::from_le_bytes(take(&mut rest)?);
        let (body, after) = rest.split_at_checked(len.into())?;
        rest = after;
        slots.push(Slot::decode(kind, body)?);
    }
    let kinds: Vec<_> = slots.iter().map(Slot::kind).collect();
    (rest.is_empty() && Header::check_slots(&kinds).is_ok()).then_some(slots)
}

/// `text` cut to what `written_by` may hold.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| (' '..='~').contains(c))
        .take(WRITTEN_BY_BYTES_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::store::{
        entropy::SeededEntropy,
        kdf::Key,
        keys::{Cost, SlotContext, Unlock},
        vault::NoVault,
    };

    fn header(unlocks: &[Unlock]) -> Header {
        let master = Key::new(Zeroizing::new([0x4b; 32]));
        let store_id = [0x1d; 16];
        let context = SlotContext {
            store_id: &store_id,
            cost: Cost::CHEAP,
            vault: &NoVault,
        };
        let mut entropy = SeededEntropy::new(1);
        let slots = unlocks
            .iter()
            .map(|unlock| Slot::wrap(&master, unlock, &context, &mut entropy).unwrap())
            .collect();
        Header {
            store_id,
            written_by: "hermesd 0.1.0".to_owned(),
            slots,
        }
    }

    fn passphrase(text: &str) -> Unlock {
        Unlock::Passphrase(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn bytes_are_frozen() {
        let bytes = header(&[passphrase("correct horse"), Unlock::Insecure]).encode();
        assert_eq!(
            HEXLOWER.encode(&bytes),
            include_str!("tests/header.hex").trim()
        );
    }

    #[test]
    fn what_was_written_is_read() {
        let before = header(&[passphrase("a"), passphrase("b"), Unlock::Insecure]);
        let after = Header::decode(&before.encode()).unwrap();
        assert_eq!(
            (after.store_id, after.written_by.as_str()),
            ([0x1d; 16], "hermesd 0.1.0")
        );
        assert_eq!(after.epoch(), 0x1d1d_1d1d_1d1d_1d1d);
        let context = SlotContext {
            store_id: &[0x1d; 16],
            cost: Cost::CHEAP,
            vault: &NoVault,
        };
        let opened = |slot: usize, unlock: &Unlock| {
            after.slots[slot]
                .unwrap(unlock, &context)
                .unwrap()
                .map(|key| *key.bytes())
        };
        assert_eq!(opened(0, &passphrase("a")), Some([0x4b; 32]));
        assert_eq!(opened(0, &passphrase("b")), None);
        assert_eq!(opened(1, &passphrase("b")), Some([0x4b; 32]));
        assert_eq!(opened(2, &Unlock::Insecure), Some([0x4b; 32]));
        assert_eq!(opened(0, &Unlock::Insecure), None);
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_noticed() {
        let bytes = header(&[passphrase("a"), Unlock::Insecure]).encode();
        for len in 0..bytes.len() {
            let error = Header::decode(&bytes[..len]).err().unwrap();
            assert!(
                matches!(error, OpenError::Damaged { part: "header", .. }),
                "{len}: {error}"
            );
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let error = Header::decode(&changed).err().unwrap();
            let fits = match error {
                OpenError::Newer { .. } => (64..80).contains(&bit),
                OpenError::Damaged { part: "header", .. } => true,
                _ => false,
            };
            assert!(fits, "bit {bit}");
        }
        assert!(Header::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn a_newer_format_is_refused_by_name_whatever_follows() {
        let mut bytes = header(&[Unlock::Insecure]).encode().to_vec();
        bytes[8] = 9;
        bytes.truncate(50);
        bytes.extend_from_slice(&[0xee; 6000]);
        let error = Header::decode(&bytes).err().unwrap();
        assert_eq!(
            error.to_string(),
            "the store has format 9, written by hermesd 0.1.0; this program reads up to 1"
        );
    }

    #[test]
    fn slots_have_limits() {
        use SlotKind::{Insecure, Keyring, Passphrase};
        assert!(Header::check_slots(&[]).is_err());
        assert!(Header::check_slots(&[Passphrase; 4]).is_ok());
        assert!(Header::check_slots(&[Passphrase; 5]).is_err());
        assert!(Header::check_slots(&[Keyring, Keyring]).is_err());
        assert!(Header::check_slots(&[Insecure, Passphrase, Insecure]).is_err());
    }

    #[test]
    fn a_changed_slot_does_not_open() {
        let before = header(&[passphrase("a")]);
        let mut encoded = Vec::new();
        before.slots[0].encode(&mut encoded);
        let body = &encoded[3..];
        let context = SlotContext {
            store_id: &[0x1d; 16],
            cost: Cost::CHEAP,
            vault: &NoVault,
        };
        let open = |body: &[u8], context: &SlotContext<'_>| {
            Slot::decode(1, body)
                .unwrap()
                .unwrap(&passphrase("a"), context)
        };
        assert!(open(body, &context).unwrap().is_some());
        for byte in 12..body.len() {
            let mut changed = body.to_vec();
            changed[byte] ^= 1;
            assert!(open(&changed, &context).unwrap().is_none(), "{byte}");
        }
        let elsewhere = SlotContext {
            store_id: &[0x1e; 16],
            ..context
        };
        assert!(open(body, &elsewhere).unwrap().is_none());
        let mut dear = body.to_vec();
        dear[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(open(&dear, &context), Err(OpenError::Cost { .. })));
    }

    #[test]
    fn a_passphrase_has_a_length() {
        let master = Key::new(Zeroizing::new([1; 32]));
        let context = SlotContext {
            store_id: &[0; 16],
            cost: Cost::CHEAP,
            vault: &NoVault,
        };
        for len in [0, 1025] {
            let unlock = passphrase(&"x".repeat(len));
            let result = Slot::wrap(&master, &unlock, &context, &mut SeededEntropy::new(1));
            assert!(
                matches!(result, Err(OpenError::PassphraseLength { .. })),
                "{len}"
            );
        }
    }
}
