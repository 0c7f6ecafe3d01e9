//! Sealing of rows: every value is encrypted and bound to its table, key and schema (`docs/storage.md`, *Rows*).

use std::collections::BTreeMap;

use chacha20poly1305::{KeyInit, XChaCha20Poly1305, aead::AeadInOut};
use zeroize::Zeroizing;

use super::{
    entropy::{Entropy, EntropyError},
    error::StoreError,
    kdf::Key,
    keys::take,
    subkey::Ring,
    tables::Table,
};

/// A row under the table's own key.
const UNDER_TABLE_KEY: u8 = 1;
/// A row under a sub-key, whose id follows.
const UNDER_SUBKEY: u8 = 2;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The keys of an unlocked store. All are wiped when this is dropped.
pub(crate) struct Sealer {
    rows: BTreeMap<Table, Key>,
    names: BTreeMap<Table, Key>,
    pub(crate) ring: Ring,
}

impl Sealer {
    pub(crate) fn new(master: &Key, ring: Ring) -> Self {
        let derive = |label: &str| {
            Table::ALL
                .iter()
                .map(|table| (*table, master.derive(label, &[table.name().as_bytes()])))
                .collect()
        };
        Self {
            rows: derive("db"),
            names: derive("db-name"),
            ring,
        }
    }

    /// What stands for `name` in the keys of `table`.
    pub(crate) fn blind(&self, table: Table, name: &[&[u8]]) -> [u8; 32] {
        self.names
            .get(&table)
            .expect("every table has a name key")
            .mac(name)
    }

    pub(crate) fn seal(
        &self,
        table: Table,
        key: &[u8],
        value: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, EntropyError> {
        let mut out = Vec::with_capacity(6 + NONCE_BYTES + value.len() + TAG_BYTES);
        let row_key = if table.under_subkey() {
            let subkey = self.ring.newest();
            out.extend_from_slice(&[UNDER_SUBKEY, table.schema()]);
            out.extend_from_slice(&subkey.id.to_le_bytes());
            &subkey.row_key
        } else {
            out.extend_from_slice(&[UNDER_TABLE_KEY, table.schema()]);
            self.rows.get(&table).expect("every table has a row key")
        };
        let associated_data = associated_data(&out, table, key);
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce)?;
        out.extend_from_slice(&nonce);
        let text = out.len();
        out.extend_from_slice(value);
        let buffer = out.get_mut(text..).unwrap_or_default();
        let tag = XChaCha20Poly1305::new(row_key.bytes().into())
            .encrypt_inout_detached(&nonce.into(), &associated_data, buffer.into())
            .expect("values are shorter than the limit of the cipher");
        out.extend_from_slice(&tag);
        Ok(out)
    }

    pub(crate) fn open(
        &self,
        table: Table,
        key: &[u8],
        record: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let damaged = |detail| StoreError::Row { table, detail };
        let mut rest = record;
        let row_key = self.row_key(table, &mut rest).map_err(damaged)?;
        let head = record.get(..record.len() - rest.len()).unwrap_or_default();
        let nonce = take::<NONCE_BYTES>(&mut rest).ok_or_else(|| damaged("it is too short"))?;
        let (text, tag) = rest
            .split_last_chunk::<TAG_BYTES>()
            .ok_or_else(|| damaged("it is too short"))?;
        let mut value = Zeroizing::new(text.to_vec());
        XChaCha20Poly1305::new(row_key.bytes().into())
            .decrypt_inout_detached(
                &nonce.into(),
                &associated_data(head, table, key),
                value.as_mut_slice().into(),
                &(*tag).into(),
            )
            .map_err(|_| damaged("it does not open under this store's keys"))?;
        Ok(value)
    }

    /// The key that a row was sealed under; leaves `rest` at the nonce.
    fn row_key(&self, table: Table, rest: &mut &[u8]) -> Result<&Key, &'static str> {
        let [format, schema] = take(rest).ok_or("it is too short")?;
        if schema != table.schema() {
            return Err("its schema is unknown");
        }
        match (format, table.under_subkey()) {
            (UNDER_TABLE_KEY, false) => {
                Ok(self.rows.get(&table).expect("every table has a row key"))
            }
            (UNDER_SUBKEY, true) => {
                let id = u32::from_le_bytes(take(rest).ok_or("it is too short")?);
                self.ring
                    .find(id)
                    .map(|subkey| &subkey.row_key)
                    .ok_or("its sub-key is gone")
            }
            _ => Err("its format is unknown"),
        }
    }
}

/// The id of the sub-key that a sealed row names, if it names one.
pub(crate) fn subkey_id(record: &[u8]) -> Option<u32> {
    let mut rest = record;
    let [format, _] = take(&mut rest)?;
    (format == UNDER_SUBKEY).then_some(())?;
    Some(u32::from_le_bytes(take(&mut rest)?))
}

fn associated_data(head: &[u8], table: Table, key: &[u8]) -> Vec<u8> {
    [b"hermes-store/1 row".as_slice(), head, &[table.byte()], key].concat()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::store::entropy::SeededEntropy;

    fn sealer(master: u8) -> Sealer {
        let master = Key::new(Zeroizing::new([master; 32]));
        let ring = Ring::first(&mut SeededEntropy::new(7)).unwrap();
        Sealer::new(&master, ring)
    }

    fn seal(sealer: &Sealer, table: Table, key: &[u8], value: &[u8]) -> Vec<u8> {
        sealer
            .seal(table, key, value, &mut SeededEntropy::new(3))
            .unwrap()
    }

    #[test]
    fn bytes_are_frozen() {
        let sealer = sealer(0x4b);
        let rows = [
            (Table::Messages, b"key".as_slice()),
            (Table::Ratchet, b"session"),
        ]
        .map(|(table, key)| HEXLOWER.encode(&seal(&sealer, table, key, b"value")) + "\n");
        assert_eq!(rows.concat(), include_str!("tests/rows.hex"));
    }

    #[test]
    fn what_was_sealed_opens() {
        let sealer = sealer(1);
        for table in Table::ALL {
            for value in [b"".as_slice(), b"x", &[7; 5000]] {
                let record = seal(&sealer, table, b"key", value);
                assert_eq!(
                    sealer.open(table, b"key", &record).unwrap().as_slice(),
                    value
                );
                assert_eq!(subkey_id(&record).is_some(), table == Table::Ratchet);
            }
        }
    }

    #[test]
    fn a_row_elsewhere_does_not_open() {
        let sealer = sealer(1);
        let record = seal(&sealer, Table::Contacts, b"key", b"value");
        assert!(sealer.open(Table::Contacts, b"kez", &record).is_err());
        assert!(sealer.open(Table::Contacts, b"ke", &record).is_err());
        assert!(sealer.open(Table::Chats, b"key", &record).is_err());
        assert!(sealer.open(Table::Ratchet, b"key", &record).is_err());
        let other = super::tests::sealer(2);
        assert!(other.open(Table::Contacts, b"key", &record).is_err());
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_noticed() {
        let sealer = sealer(1);
        for table in [Table::Contacts, Table::Ratchet] {
            let record = seal(&sealer, table, b"key", b"value");
            for len in 0..record.len() {
                assert!(sealer.open(table, b"key", &record[..len]).is_err());
            }
            for bit in 0..record.len() * 8 {
                let mut changed = record.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    sealer.open(table, b"key", &changed).is_err(),
                    "{table} bit {bit}"
                );
            }
        }
    }

    #[test]
    fn names_are_blind_per_table_and_store() {
        let (one, two) = (sealer(1), sealer(2));
        let name = one.blind(Table::Contacts, &[b"bob"]);
        assert_eq!(name, one.blind(Table::Contacts, &[b"bo", b"b"]));
        assert_ne!(name, one.blind(Table::Contacts, &[b"bon"]));
        assert_ne!(name, one.blind(Table::Chats, &[b"bob"]));
        assert_ne!(name, two.blind(Table::Contacts, &[b"bob"]));
    }
}
