//! Deposits: sealed records that wait at keepers for the owner of a mailbox (protocol section 7).
//!
//! A keeper reads a record with [`DepositRef::parse`], which borrows everything, and [`DepositRef::verify`], which
//! costs the hashes of the path and the body and one signature. The owner needs no signature: he uses
//! [`DepositRef::locate`] and [`DepositRef::open`], since the sealed body proves who wrote it.

use std::ops::Deref;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::address::Writer;
use crate::codec::{DecodeError, Put, Reader};
use crate::ids::{DepositId, MailboxId, OwnerKey, Slot, WriteKey};
use crate::kdf::h;
use crate::mailbox::{Descriptor, Policy};
use crate::network::Network;
use crate::outer::{self, OVERHEAD, OuterError};
use crate::sign::{self, SignatureError};
use crate::slots::{Hash, leaf, root_of_path};

/// The bytes before the path.
pub const HEAD_LEN: usize = 92;

/// The longest record: depth 8, bucket 3.
pub const MAX_RECORD: usize = 65_948;

/// The shortest record: depth 0, bucket 0.
pub const MIN_RECORD: usize = 1_180;

/// The size class of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// 1 KiB.
    Small,
    /// 4 KiB.
    Medium,
    /// 16 KiB.
    Large,
    /// 64 KiB.
    Huge,
}

impl Bucket {
    /// All of them, rising.
    pub const ALL: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::Huge];

    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The length of a body.
    #[must_use]
    pub const fn body_len(self) -> usize {
        1_024 << (2 * self as usize)
    }

    /// The longest content that a body holds.
    #[must_use]
    pub const fn max_content(self) -> usize {
        self.body_len() - OVERHEAD
    }

    /// The smallest bucket for a content of this length.
    #[must_use]
    pub fn fitting(len: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|b| len <= b.max_content())
    }

    /// The length of a whole record.
    #[must_use]
    pub const fn record_len(self, policy: Policy) -> usize {
        HEAD_LEN + 32 * policy.depth() as usize + self.body_len() + 64
    }

    fn from_code(code: u16) -> Result<Self, DecodeError> {
        let bad = DecodeError::Value {
            field: "bucket",
            value: code.into(),
        };
        Self::ALL.into_iter().find(|b| b.code() == code).ok_or(bad)
    }
}

/// Why a deposit cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The content is longer than the bucket allows.
    #[error("content of {len} bytes does not fit into {max}")]
    TooLong {
        /// Its length.
        len: usize,
        /// What fits.
        max: usize,
    },
    /// The writer's path or leaf does not lead to the mailbox's root.
    #[error("this write key does not belong to the mailbox")]
    ForeignWriter,
}

/// Where a deposit goes and who writes it.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// The mailbox.
    pub descriptor: &'a Descriptor,
    /// The key to write with.
    pub writer: &'a Writer,
    /// Until when keepers keep it (an expiry stamp).
    pub expiry: u32,
    /// The size class.
    pub bucket: Bucket,
}

/// A deposit as its record's bytes, which are well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    bytes: Vec<u8>,
}

impl Deposit {
    /// Seals `content` with the pair's outer key, signs the record, and names it. `random` must be fresh.
    ///
    /// # Errors
    /// If the content is too long for the bucket or the writer belongs elsewhere.
    pub fn build(
        net: &Network,
        draft: &Draft<'_>,
        outer_key: &[u8; 32],
        content: &[u8],
        random: &[u8; 32],
    ) -> Result<(Self, Located), BuildError> {
        let Draft {
            descriptor,
            writer,
            bucket,
            ..
        } = *draft;
        let write_key = writer.write_key();
        let root = root_of_path(leaf(write_key.as_bytes()), writer.leaf.into(), &writer.path);
        let depth = usize::from(descriptor.policy.depth());
        if root != descriptor.root
            || writer.path.len() != depth
            || writer.leaf >= descriptor.policy.leaves()
        {
            return Err(BuildError::ForeignWriter);
        }
        let nonce = outer::deposit_nonce(outer_key, random, content);
        let head = head(draft, &write_key, &nonce);
        let too_long = BuildError::TooLong {
            len: content.len(),
            max: bucket.max_content(),
        };
        let body = outer::seal_body(net, outer_key, &head, bucket, content).ok_or(too_long)?;
        let body_hash = h(&[&body]);
        let mut bytes = Vec::with_capacity(bucket.record_len(descriptor.policy));
        bytes.put(&head);
        for hash in &writer.path {
            bytes.put(hash);
        }
        bytes.put(&body);
        bytes.put(&writer.key.sign(net, "deposit", &[&head, &root, &body_hash]));
        let named = Named {
            descriptor: *descriptor,
            leaf: writer.leaf,
            expiry: draft.expiry,
        };
        let located = named.locate(net, &head, &body_hash, bytes.len());
        Ok((Self { bytes }, located))
    }

    /// Takes a record whose form is right. Signature and place remain to be checked.
    ///
    /// # Errors
    /// If the form is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        DepositRef::parse(bytes)?;
        Ok(Self {
            bytes: bytes.to_vec(),
        })
    }

    /// The record's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The record's bytes, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn head(draft: &Draft<'_>, write_key: &WriteKey, nonce: &[u8; 16]) -> [u8; HEAD_LEN] {
    let policy = draft.descriptor.policy;
    let mut v = Vec::with_capacity(HEAD_LEN);
    v.put(&[1, 1, policy.code(), policy.depth()]);
    v.put_u32(draft.expiry);
    v.put(draft.descriptor.owner.as_bytes());
    v.put(write_key.as_bytes());
    v.put_u16(draft.writer.leaf);
    v.put_u16(draft.bucket.code());
    v.put(nonce);
    let mut head = [0; HEAD_LEN];
    head.copy_from_slice(&v);
    head
}

/// What names a deposit besides its bytes.
struct Named {
    descriptor: Descriptor,
    leaf: u16,
    expiry: u32,
}

impl Named {
    fn locate(
        self,
        net: &Network,
        head: &[u8; HEAD_LEN],
        body_hash: &Hash,
        record_len: usize,
    ) -> Located {
        let Self {
            descriptor,
            leaf,
            expiry,
        } = self;
        let mailbox = descriptor.id(net);
        let id = DepositId(h(&[
            b"hermes/1 dep",
            mailbox.as_bytes(),
            head,
            &descriptor.root,
            body_hash,
        ]));
        Located {
            mailbox,
            id,
            descriptor,
            leaf,
            slot: slot_of(descriptor.policy, leaf),
            expiry,
            record_len,
        }
    }
}

fn slot_of(policy: Policy, leaf: u16) -> Option<Slot> {
    match policy {
        Policy::Single => None,
        Policy::Slots => Slot::of_leaf(leaf),
    }
}

/// Where a deposit belongs and what it is called; follows from its bytes without any check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The mailbox's name.
    pub mailbox: MailboxId,
    /// The deposit's name.
    pub id: DepositId,
    /// The mailbox.
    pub descriptor: Descriptor,
    /// The leaf of the write key.
    pub leaf: u16,
    /// The slot of that leaf; none in a mailbox with a single write key.
    pub slot: Option<Slot>,
    /// Until when it is to be kept (an expiry stamp).
    pub expiry: u32,
    /// The length of the record.
    pub record_len: usize,
}

/// A deposit whose signature by a key of its mailbox was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedDeposit(Located);

impl Deref for VerifiedDeposit {
    type Target = Located;

    fn deref(&self) -> &Located {
        &self.0
    }
}

/// A record read in place: nothing is copied.
#[derive(Debug, Clone, Copy)]
pub struct DepositRef<'a> {
    bytes: &'a [u8],
    head: &'a [u8; HEAD_LEN],
    policy: Policy,
    expiry: u32,
    owner: &'a [u8; 32],
    write_key: &'a [u8; 32],
    leaf: u16,
    bucket: Bucket,
    path: &'a [Hash],
    body: &'a [u8],
    sig: &'a [u8; 64],
}

impl<'a> DepositRef<'a> {
    /// Reads the form of a record that is all of `bytes`.
    ///
    /// # Errors
    /// If the form is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let head = Reader::new(bytes).array_ref()?;
        let mut r = Reader::new(bytes);
        r.expect_u8("deposit version", 1)?;
        r.expect_u8("deposit type", 1)?;
        let policy = Policy::read(&mut r)?;
        let expiry = r.u32()?;
        let owner = r.array_ref()?;
        let write_key = r.array_ref()?;
        let leaf = r.u16()?;
        if leaf >= policy.leaves() {
            return Err(DecodeError::Value {
                field: "leaf index",
                value: leaf.into(),
            });
        }
        let bucket = Bucket::from_code(r.u16()?)?;
        r.take(16)?;
        let (path, _) = r.take(32 * usize::from(policy.depth()))?.as_chunks();
        let body = r.take(bucket.body_len())?;
        let sig = r.array_ref()?;
        r.finish()?;
        Ok(Self {
            bytes,
            head,
            policy,
            expiry,
            owner,
            write_key,
            leaf,
            bucket,
            path,
            body,
            sig,
        })
    }

    /// Where it belongs and what it is called. Checks nothing.
    #[must_use]
    pub fn locate(&self, net: &Network) -> Located {
        self.locate_with(net, &self.root(), &h(&[self.body]))
    }

    /// Checks the signature: some holder of a write key of the mailbox wrote exactly this.
    ///
    /// # Errors
    /// If the signature does not hold.
    pub fn verify(&self, net: &Network) -> Result<VerifiedDeposit, SignatureError> {
        let root = self.root();
        let body_hash = h(&[self.body]);
        sign::verify(
            net,
            self.write_key,
            "deposit",
            &[self.head, &root, &body_hash],
            self.sig,
        )?;
        Ok(VerifiedDeposit(self.locate_with(net, &root, &body_hash)))
    }

    /// Opens the body with the candidate key that it is committed to; gives that key's index and the content.
    ///
    /// # Errors
    /// If no candidate fits, or the body is damaged.
    pub fn open(
        &self,
        net: &Network,
        candidates: &[&[u8; 32]],
    ) -> Result<(usize, Zeroizing<Vec<u8>>), OuterError> {
        outer::open_body(net, candidates, self.head, self.body)
    }

    /// The whole record.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The leaf of the write key.
    #[must_use]
    pub const fn leaf(&self) -> u16 {
        self.leaf
    }

    /// The slot of the write key; none in a mailbox with a single one.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        slot_of(self.policy, self.leaf)
    }

    /// Until when it is to be kept (an expiry stamp).
    #[must_use]
    pub const fn expiry(&self) -> u32 {
        self.expiry
    }

    /// The size class.
    #[must_use]
    pub const fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The key that ruled the mailbox when this was written.
    #[must_use]
    pub const fn owner(&self) -> OwnerKey {
        OwnerKey(*self.owner)
    }

    /// The key that wrote it.
    #[must_use]
    pub const fn write_key(&self) -> WriteKey {
        WriteKey(*self.write_key)
    }

    fn root(&self) -> Hash {
        root_of_path(leaf(self.write_key), self.leaf.into(), self.path)
    }

    fn locate_with(&self, net: &Network, root: &Hash, body_hash: &Hash) -> Located {
        let descriptor = Descriptor {
            policy: self.policy,
            owner: self.owner(),
            root: *root,
        };
        let named = Named {
            descriptor,
            leaf: self.leaf,
            expiry: self.expiry,
        };
        named.locate(net, self.head, body_hash, self.bytes.len())
    }
}
