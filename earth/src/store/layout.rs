//! Keys and values, byte for byte as `docs/keeper-store.md` has them.

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use hermes_wire::Network;
use hermes_wire::codec::{Put, Reader, Wire};
use hermes_wire::ids::{DepositId, MailboxId};
use hermes_wire::mailbox::Descriptor;

use super::StoreError;
use crate::proto::bucket::{Bucket, Buckets};
use crate::proto::{Entry, Mark};

pub(super) const DEPOSIT: &[u8; 1] = b"d";
pub(super) const ENTRY: &[u8; 1] = b"m";
pub(super) const TOMBSTONE: &[u8; 1] = b"t";

const FORMAT: u32 = 1;

/// Marks a fresh database as ours, or checks that it is.
pub(super) fn check_format(db: &Database, network: &Network) -> Result<(), StoreError> {
    let format = db.keyspace("format", KeyspaceCreateOptions::default)?;
    let net = *network.id().as_bytes();
    let unit = Buckets::of(network).width_on_disk();
    let Some(found) = format.get("version")? else {
        let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&format, "version", &FORMAT.to_le_bytes()[..]);
        batch.insert(&format, "net", &net[..]);
        batch.insert(&format, "unit", &unit[..]);
        return Ok(batch.commit()?);
    };
    let found = found
        .first_chunk()
        .map(|b| u32::from_le_bytes(*b))
        .ok_or(StoreError::Damaged { what: "the format" })?;
    if found > FORMAT {
        return Err(StoreError::Newer {
            found,
            known: FORMAT,
        });
    }
    if format.get("net")?.as_deref() != Some(&net[..]) {
        return Err(StoreError::ForeignNetwork);
    }
    if format.get("unit")?.as_deref() != Some(&unit[..]) {
        return Err(StoreError::Damaged {
            what: "the width of buckets",
        });
    }
    Ok(())
}

pub(super) fn bucket_name(bucket: Bucket) -> String {
    format!("b{}", bucket.0)
}

pub(super) fn bucket_of(name: &str) -> Option<Bucket> {
    name.strip_prefix('b')?.parse().ok().map(Bucket)
}

pub(super) fn key(kind: &[u8; 1], mailbox: &MailboxId, rest: &[u8]) -> Vec<u8> {
    [kind, &mailbox.as_bytes()[..], rest].concat()
}

/// The number in a `d` or `m` key.
pub(super) fn seq_of(key: &[u8]) -> Option<u64> {
    let (_, seq) = key.split_at_checked(33)?;
    Some(u64::from_be_bytes(seq.try_into().ok()?))
}

fn mailbox_of(key: &[u8]) -> Option<MailboxId> {
    key.get(1..33)?.try_into().ok().map(MailboxId)
}

pub(super) fn entry_value(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(42);
    entry.id.encode(&mut out);
    out.put_u32(entry.expiry);
    out.put_u16(entry.leaf);
    out.put_u32(entry.size);
    out
}

pub(super) fn entry(key: &[u8], value: &[u8]) -> Option<(MailboxId, u64, Entry)> {
    let mut r = Reader::new(value);
    let entry = Entry {
        id: DepositId::read(&mut r).ok()?,
        expiry: r.u32().ok()?,
        leaf: r.u16().ok()?,
        size: r.u32().ok()?,
    };
    r.finish().ok()?;
    Some((mailbox_of(key)?, seq_of(key)?, entry))
}

pub(super) fn tombstone(key: &[u8], value: &[u8]) -> Option<(MailboxId, DepositId, u32)> {
    let id = DepositId(key.get(33..)?.try_into().ok()?);
    Some((
        mailbox_of(key)?,
        id,
        u32::from_le_bytes(value.try_into().ok()?),
    ))
}

pub(super) fn mark_value(mark: &Mark) -> Vec<u8> {
    let mut out = Vec::with_capacity(110);
    mark.descriptor.encode(&mut out);
    out.put_u64(mark.head);
    out.put_u32(mark.until);
    for word in mark.revoked {
        out.put_u64(word);
    }
    out
}

pub(super) fn mailbox(key: &[u8], value: &[u8]) -> Option<(MailboxId, Mark)> {
    let mut r = Reader::new(value);
    let mark = Mark {
        descriptor: Descriptor::read(&mut r).ok()?,
        head: r.u64().ok()?,
        until: r.u32().ok()?,
        revoked: [r.u64().ok()?, r.u64().ok()?, r.u64().ok()?, r.u64().ok()?],
    };
    r.finish().ok()?;
    Some((MailboxId(key.try_into().ok()?), mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back() {
        let entry = Entry {
            id: DepositId([3; 32]),
            expiry: 70_000,
            leaf: 255,
            size: 65_948,
        };
        let k = key(ENTRY, &MailboxId([9; 32]), &7u64.to_be_bytes());
        assert_eq!(
            super::entry(&k, &entry_value(&entry)),
            Some((MailboxId([9; 32]), 7, entry))
        );
        assert_eq!(entry_value(&entry).len(), 42);
        let t = key(TOMBSTONE, &MailboxId([9; 32]), &[4; 32]);
        assert_eq!(
            tombstone(&t, &5u32.to_le_bytes()),
            Some((MailboxId([9; 32]), DepositId([4; 32]), 5))
        );
    }

    #[test]
    fn damaged_values_are_told() {
        let k = key(ENTRY, &MailboxId([9; 32]), &7u64.to_be_bytes());
        for n in 0..42 {
            assert_eq!(super::entry(&k, &vec![0; n]), None);
        }
        assert_eq!(super::entry(&k[..30], &[0; 42]), None);
        assert_eq!(mailbox(&[1; 31], &[0; 110]), None);
        assert_eq!(tombstone(&k, &[0; 4]), None);
    }

    #[test]
    fn bucket_names_are_numbers() {
        assert_eq!(bucket_of(&bucket_name(Bucket(77))), Some(Bucket(77)));
        assert_eq!(bucket_of("mailboxes"), None);
        assert_eq!(bucket_of("b"), None);
    }
}
