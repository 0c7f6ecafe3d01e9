//! Where underworld's rows stand in the store.
//!
//! Each of its tables has a table of the store, shared by some, and there a first byte of its own. The pairs never change
//! (`docs/storage.md`).

use hermes_underworld::proto::output::{Table as Theirs, Write};

use crate::store::{Batch, Reader, StoreError, Table};

/// The store's table and the first byte of the key.
pub(super) const fn place(table: Theirs) -> (Table, u8) {
    match table {
        Theirs::Identity => (Table::Identity, 0),
        Theirs::Generation => (Table::Identity, 1),
        Theirs::Contact => (Table::Contacts, 0),
        Theirs::Flow => (Table::Ratchet, 1),
        Theirs::Session => (Table::Ratchet, 0),
        Theirs::Outbox => (Table::Outbox, 0),
        Theirs::Held => (Table::Outbox, 1),
        Theirs::Deposit => (Table::Delivery, 0),
        Theirs::DepositBody => (Table::Delivery, 1),
        Theirs::Root => (Table::Mailboxes, 0),
        Theirs::Seen => (Table::Seen, 0),
        Theirs::Invite => (Table::Invites, 0),
    }
}

fn key(first: u8, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(first);
    out.extend_from_slice(key);
    out
}

/// Adds a write to the cycle's batch.
pub(super) fn add(batch: &mut Batch, write: &Write) {
    let (table, first) = place(write.table);
    match &write.value {
        Some(value) => batch.put(table, &key(first, &write.key), value.to_vec()),
        None => batch.delete(table, &key(first, &write.key)),
    }
}

/// A row as underworld gave it.
pub(super) type TheirRow = (Theirs, Vec<u8>, Vec<u8>);

/// All of underworld's rows.
pub(super) fn all(reader: &Reader) -> Result<Vec<TheirRow>, StoreError> {
    let mut rows = Vec::new();
    for theirs in Theirs::ALL {
        let (table, first) = place(theirs);
        reader.for_each::<StoreError>(table, &[first], |row| {
            rows.push((
                theirs,
                row.key.get(1..).unwrap_or_default().to_vec(),
                row.value.to_vec(),
            ));
            Ok(())
        })?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_tables_share_a_place() {
        let places: BTreeSet<_> = Theirs::ALL.iter().map(|table| place(*table)).collect();
        assert_eq!(places.len(), Theirs::ALL.len());
    }
}
