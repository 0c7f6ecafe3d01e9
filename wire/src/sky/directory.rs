//! Records and news about nodes on sky channels: listing, announcing, spreading, comparing.

use ed25519_dalek::SigningKey;

use crate::channel::MAX_BODY;
use crate::codec::{DecodeError, Put, Reader, Wire};
use crate::earth::read_bool;
use crate::ids::{Binding, NodeKey};
use crate::kdf::h;
use crate::network::Network;
use crate::node::{MAX_RECORD, NodeRecord, Role};
use crate::sign::{self, Sig, SignatureError};
use crate::slots::Hash;

/// Which records to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    /// Of which role.
    pub role: Role,
    /// Those after this key.
    pub after: NodeKey,
    /// At most so many.
    pub max: u16,
}

impl Wire for List {
    fn encode(&self, out: &mut Vec<u8>) {
        self.role.encode(out);
        self.after.encode(out);
        out.put_u16(self.max);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            role: Role::read(r)?,
            after: NodeKey::read(r)?,
            max: r.u16()?,
        })
    }
}

/// The answer to LIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whether others follow.
    pub more: bool,
    /// The records in order of node key.
    pub records: Vec<NodeRecord>,
}

impl Wire for Listed {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.more.into());
        put_counted(out, &self.records);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            more: read_bool(r, "more")?,
            records: read_counted(r, "records")?,
        })
    }
}

impl Listed {
    /// An answer with as many of the records, which must be in order, as fit into a frame and `max`.
    #[must_use]
    pub fn fill<'a>(records: impl IntoIterator<Item = &'a NodeRecord>, max: u16) -> Self {
        let (mut room, mut listed) = (
            MAX_BODY - 3,
            Self {
                more: false,
                records: Vec::new(),
            },
        );
        for record in records {
            let size = record.item_len();
            if size > room || listed.records.len() >= usize::from(max).min(MAX_ITEMS) {
                listed.more = true;
                break;
            }
            room -= size;
            listed.records.push(record.clone());
        }
        listed
    }
}

/// The answer to KEEPERS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepersFound {
    /// The records, clockwise from the position.
    pub records: Vec<NodeRecord>,
}

impl Wire for KeepersFound {
    fn encode(&self, out: &mut Vec<u8>) {
        put_counted(out, &self.records);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            records: read_counted(r, "records")?,
        })
    }
}

/// Something that stands in lists.
pub(super) trait Listable: Sized {
    fn put_item(&self, out: &mut Vec<u8>);
    fn item_len(&self) -> usize {
        let mut item = Vec::new();
        self.put_item(&mut item);
        item.len()
    }
    fn read_item(r: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

impl Listable for NodeRecord {
    fn put_item(&self, out: &mut Vec<u8>) {
        out.put_var16(&self.to_bytes());
    }

    fn read_item(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::decode(r.var16("record", MAX_RECORD)?)
    }
}

impl Listable for SpreadItem {
    fn put_item(&self, out: &mut Vec<u8>) {
        let (kind, item) = match self {
            Self::Record(record) => (record.body.role.code(), record.to_bytes()),
            Self::Departure(departure) => (3, departure.to_bytes()),
        };
        out.put_u8(kind);
        out.put_var16(&item);
    }

    fn read_item(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = r.u8()?;
        let item = r.var16("spread item", MAX_RECORD)?;
        match kind {
            1 | 2 => match NodeRecord::decode(item)? {
                record if record.body.role.code() == kind => Ok(Self::Record(Box::new(record))),
                _ => Err(DecodeError::Value {
                    field: "role of a spread record",
                    value: kind.into(),
                }),
            },
            3 => Ok(Self::Departure(Departure::decode(item)?)),
            other => Err(DecodeError::Value {
                field: "spread kind",
                value: other.into(),
            }),
        }
    }
}

/// The most items in one list: no record and no departure is shorter than 100 bytes.
pub const MAX_ITEMS: usize = MAX_BODY / 100;

pub(super) fn put_counted<T: Listable>(out: &mut Vec<u8>, items: &[T]) {
    let items = items.get(..MAX_ITEMS).unwrap_or(items);
    out.put_u16(u16::try_from(items.len()).unwrap_or(u16::MAX));
    for item in items {
        item.put_item(out);
    }
}

pub(super) fn read_counted<T: Listable>(
    r: &mut Reader<'_>,
    field: &'static str,
) -> Result<Vec<T>, DecodeError> {
    let n = r.count16(field, 0, MAX_ITEMS)?;
    (0..n).map(|_| T::read_item(r)).collect()
}

/// A keeper's announcement of itself to its home sky node, for one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// The record.
    pub record: NodeRecord,
    sig: Sig,
}

impl Announce {
    /// Signs for the channel with this binding to this sky node.
    #[must_use]
    pub fn sign(
        net: &Network,
        key: &SigningKey,
        record: NodeRecord,
        binding: &Binding,
        sky: &NodeKey,
    ) -> Self {
        let hash = h(&[&record.to_bytes()]);
        let sig = sign::sign(
            net,
            key,
            "announce",
            &[binding.as_bytes(), sky.as_bytes(), &hash],
        );
        Self { record, sig }
    }

    /// Checks that the record's node is at the other end. The record itself has its own check.
    ///
    /// # Errors
    /// If the signature is not the node's, or for another channel.
    pub fn verify(
        &self,
        net: &Network,
        binding: &Binding,
        sky: &NodeKey,
    ) -> Result<(), SignatureError> {
        let hash = h(&[&self.record.to_bytes()]);
        let body: &[&[u8]] = &[binding.as_bytes(), sky.as_bytes(), &hash];
        sign::verify(
            net,
            self.record.node.as_bytes(),
            "announce",
            body,
            &self.sig,
        )
    }
}

impl Wire for Announce {
    fn encode(&self, out: &mut Vec<u8>) {
        self.record.put_item(out);
        out.put(&self.sig);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            record: NodeRecord::read_item(r)?,
            sig: r.array()?,
        })
    }
}

/// News between sky nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpreadItem {
    /// A node's record.
    Record(Box<NodeRecord>),
    /// A node that no longer answers.
    Departure(Departure),
}

impl SpreadItem {
    /// Cuts news into pieces that fit into one request each.
    #[must_use]
    pub fn batches(items: Vec<Self>) -> Vec<Vec<Self>> {
        let (mut batches, mut batch, mut room) = (Vec::new(), Vec::new(), MAX_BODY - 2);
        for item in items {
            let size = item.item_len();
            if size > room || batch.len() >= MAX_ITEMS {
                batches.push(std::mem::take(&mut batch));
                room = MAX_BODY - 2;
            }
            room = room.saturating_sub(size);
            batch.push(item);
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
        batches
    }
}

/// A node's word that another one no longer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The role of the one that is gone.
    pub role: Role,
    /// The one that is gone.
    pub node: NodeKey,
    /// The record that this is about; a newer one overrides it.
    pub seq: u64,
    /// Who says so.
    pub by: NodeKey,
    sig: Sig,
}

impl Departure {
    /// Signs as the node of `key`.
    #[must_use]
    pub fn sign(net: &Network, key: &SigningKey, role: Role, node: NodeKey, seq: u64) -> Self {
        let by = NodeKey(key.verifying_key().to_bytes());
        let mut departure = Self {
            role,
            node,
            seq,
            by,
            sig: [0; 64],
        };
        departure.sig = sign::sign(net, key, "departure", &[&departure.signed()]);
        departure
    }

    /// Checks the signature. Whether `by` may say such a thing is another question.
    ///
    /// # Errors
    /// If it does not hold.
    pub fn verify(&self, net: &Network) -> Result<(), SignatureError> {
        sign::verify(
            net,
            self.by.as_bytes(),
            "departure",
            &[&self.signed()],
            &self.sig,
        )
    }

    fn signed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(73);
        self.role.encode(&mut out);
        self.node.encode(&mut out);
        out.put_u64(self.seq);
        self.by.encode(&mut out);
        out
    }
}

impl Wire for Departure {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.signed());
        out.put(&self.sig);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (role, node, seq, by) = (
            Role::read(r)?,
            NodeKey::read(r)?,
            r.u64()?,
            NodeKey::read(r)?,
        );
        Ok(Self {
            role,
            node,
            seq,
            by,
            sig: r.array()?,
        })
    }
}

/// The answer to DIGEST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// Over the sky nodes.
    pub sky: Hash,
    /// Over the keepers.
    pub earth: Hash,
}

impl Wire for Digests {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.sky);
        out.put(&self.earth);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            sky: r.array()?,
            earth: r.array()?,
        })
    }
}

/// The digest of the records of one role, given as node keys and sequence numbers in any order.
#[must_use]
pub fn digest(records: impl IntoIterator<Item = (NodeKey, u64)>) -> Hash {
    let mut entries: Vec<[u8; 40]> = records
        .into_iter()
        .map(|(node, seq)| {
            let mut entry = [0; 40];
            let (key, tail) = entry.split_at_mut(32);
            key.copy_from_slice(node.as_bytes());
            tail.copy_from_slice(&seq.to_le_bytes());
            entry
        })
        .collect();
    entries.sort_unstable();
    h(&[entries.as_flattened()])
}
