//! Sky and earth nodes: their addresses, records, places on the ring and URIs (protocol sections 6 and 8).

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use ed25519_dalek::SigningKey;
use thiserror::Error;

pub use crate::addr::{Addr, Prefix};
use crate::addr::{put_addrs, read_addrs};
use crate::codec::{DecodeError, Put, Reader, Wire};
use crate::ids::{NodeKey, Position};
use crate::kdf::h;
use crate::mailbox::{keeper_point, position};
use crate::network::Network;
use crate::sign::{self, Sig};

/// The most addresses in a record.
pub const MAX_ADDRS: usize = 4;

/// The longest record.
pub const MAX_RECORD: usize = 1_024;

/// The longest extensions.
pub const MAX_EXTENSIONS: usize = 256;

/// How long a record lives at most, in seconds.
pub const MAX_LIFE_S: u64 = 86_400;

/// How far ahead of our clock a record's signing time may lie, in seconds.
pub const MAX_AHEAD_S: u64 = 3_600;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Presence and directory.
    Sky,
    /// Keeping.
    Earth,
}

impl Role {
    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Sky => 1,
            Self::Earth => 2,
        }
    }

    const fn scheme(self) -> &'static str {
        match self {
            Self::Sky => "hermes-sky://",
            Self::Earth => "hermes-earth://",
        }
    }
}

impl Wire for Role {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.code());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8()? {
            1 => Ok(Self::Sky),
            2 => Ok(Self::Earth),
            other => Err(DecodeError::Value {
                field: "role",
                value: other.into(),
            }),
        }
    }
}

/// What a node says about itself, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u16);

impl Flags {
    /// Can be dialled directly.
    pub const DIRECT: Self = Self(1);
    /// Its connection is not metered.
    pub const UNMETERED: Self = Self(2);
    /// Relays; reserved.
    pub const RELAY: Self = Self(4);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn from_bits(bits: u16) -> Result<Self, DecodeError> {
        if bits > 7 {
            Err(DecodeError::Value {
                field: "node flags",
                value: bits.into(),
            })
        } else {
            Ok(Self(bits))
        }
    }
}

/// What a node signs about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBody {
    /// What it does.
    pub role: Role,
    /// What it is capable of.
    pub flags: Flags,
    /// Its HPKE key.
    pub hpke_key: [u8; 32],
    /// When it was signed (Unix milliseconds); the newer record wins.
    pub seq: u64,
    /// When it ends (Unix seconds).
    pub expires: u64,
    /// Which of the places of its prefix a sky node takes: 0 or 1.
    pub slot: u16,
    /// Where it listens, 1 to 4.
    pub addrs: Vec<Addr>,
}

/// A node's signed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// The node.
    pub node: NodeKey,
    /// What it says.
    pub body: RecordBody,
    extensions: Vec<u8>,
    sig: Sig,
}

/// Why a record is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is not signed by its node.
    #[error(transparent)]
    Signature(#[from] sign::SignatureError),
    /// It is over.
    #[error("the record ended at {expires}")]
    Expired {
        /// When (Unix seconds).
        expires: u64,
    },
    /// It claims to live too long, or comes from the future.
    #[error("the record's times are out of range")]
    Times,
    /// An address is not public, on a network that demands it.
    #[error("the record has an address that is not public")]
    NotPublic,
    /// The place number is out of range.
    #[error("the record's slot is out of range")]
    Slot,
    /// It has no address, or too many.
    #[error("a record has 1 to 4 addresses")]
    Addresses,
}

impl NodeRecord {
    /// Signs a record.
    ///
    /// # Errors
    /// If there is no address or there are too many.
    pub fn sign(net: &Network, key: &SigningKey, body: RecordBody) -> Result<Self, RecordError> {
        if !(1..=MAX_ADDRS).contains(&body.addrs.len()) {
            return Err(RecordError::Addresses);
        }
        let node = NodeKey(key.verifying_key().to_bytes());
        let mut record = Self {
            node,
            body,
            extensions: Vec::new(),
            sig: [0; 64],
        };
        record.sig = sign::sign(net, key, "node-record", &[&record.signed()]);
        Ok(record)
    }

    /// Checks signature, times and addresses.
    ///
    /// # Errors
    /// If one of them is not acceptable.
    pub fn verify(&self, net: &Network, now_s: u64) -> Result<(), RecordError> {
        self.verify_limits(net, now_s)?;
        self.verify_signature(net)
    }

    /// Checks times and addresses only, for a record whose signature was checked before.
    ///
    /// # Errors
    /// If one of them is not acceptable.
    pub fn verify_limits(&self, net: &Network, now_s: u64) -> Result<(), RecordError> {
        let RecordBody { expires, seq, .. } = self.body;
        let signed_s = seq / 1_000;
        if expires <= now_s {
            return Err(RecordError::Expired { expires });
        }
        if expires > signed_s.saturating_add(MAX_LIFE_S)
            || signed_s > now_s.saturating_add(MAX_AHEAD_S)
        {
            return Err(RecordError::Times);
        }
        if net.is_diverse() && !self.body.addrs.iter().all(Addr::is_public) {
            return Err(RecordError::NotPublic);
        }
        if self.body.slot > 1 {
            return Err(RecordError::Slot);
        }
        Ok(())
    }

    /// Checks the signature only.
    ///
    /// # Errors
    /// If it does not hold.
    pub fn verify_signature(&self, net: &Network) -> Result<(), RecordError> {
        sign::verify(
            net,
            self.node.as_bytes(),
            "node-record",
            &[&self.signed()],
            &self.sig,
        )?;
        Ok(())
    }

    /// Whether this record takes the place of `other`.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        self.node == other.node
            && self.body.role == other.body.role
            && self.body.seq > other.body.seq
    }

    /// The node's point on the ring of its role.
    #[must_use]
    pub fn point(&self, net: &Network) -> Position {
        match (self.body.role, self.body.addrs.first()) {
            (Role::Sky, Some(addr)) => position("sky", &place(net, addr, self.body.slot), 0),
            _ => keeper_point(&self.node),
        }
    }

    /// The prefix of the first address, by which holders are told apart.
    #[must_use]
    pub fn prefix(&self) -> Option<Prefix> {
        self.body.addrs.first().map(Addr::prefix)
    }

    /// The URI by which others are told of this node.
    #[must_use]
    pub fn uri(&self) -> Option<NodeUri> {
        self.body.addrs.first().map(|a| NodeUri {
            role: self.body.role,
            node: self.node,
            addr: *a,
        })
    }

    fn signed(&self) -> Vec<u8> {
        let b = &self.body;
        let mut out = Vec::with_capacity(256);
        out.put(&[1, b.role.code()]);
        out.put_u16(b.flags.0);
        self.node.encode(&mut out);
        out.put_u8(1);
        out.put(&b.hpke_key);
        out.put_u64(b.seq);
        out.put_u64(b.expires);
        out.put_u16(b.slot);
        put_addrs(&mut out, &b.addrs, MAX_ADDRS);
        out.put_var16(&self.extensions);
        out
    }
}

/// What a sky node's point is the hash of.
fn place(net: &Network, addr: &Addr, slot: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(19);
    if !net.is_diverse() {
        addr.encode(&mut out);
        return out;
    }
    match addr.prefix() {
        Prefix::V4(bytes) => {
            out.put_u8(4);
            out.put(&bytes);
        }
        Prefix::V6(bytes) => {
            out.put_u8(6);
            out.put(&bytes);
        }
    }
    out.put_u16(slot);
    out
}

impl Wire for NodeRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.signed());
        out.put(&self.sig);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.expect_u8("record version", 1)?;
        let role = Role::read(r)?;
        let flags = Flags::from_bits(r.u16()?)?;
        let node = NodeKey::read(r)?;
        r.expect_u8("HPKE suite", 1)?;
        let body = RecordBody {
            role,
            flags,
            hpke_key: r.array()?,
            seq: r.u64()?,
            expires: r.u64()?,
            slot: r.u16()?,
            addrs: read_addrs(r, 1, MAX_ADDRS)?,
        };
        let extensions = r.var16("record extensions", MAX_EXTENSIONS)?.to_vec();
        Ok(Self {
            node,
            body,
            extensions,
            sig: r.array()?,
        })
    }
}

/// The first 8 bytes of the hash of a node's key, by which an invite pins it.
#[must_use]
pub fn key_hash(node: &NodeKey) -> [u8; 8] {
    let [a, b, c, d, e, f, g, i, ..] = h(&[node.as_bytes()]);
    [a, b, c, d, e, f, g, i]
}

/// A node as people write it: role, key and address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeUri {
    /// What the node does.
    pub role: Role,
    /// Its key.
    pub node: NodeKey,
    /// Where it listens.
    pub addr: Addr,
}

/// Why a text is not a node's URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UriError {
    /// It does not start with one of the schemes.
    #[error("a node URI starts with hermes-sky:// or hermes-earth://")]
    Scheme,
    /// The key is not 52 characters of base32.
    #[error("the node key in the URI is not 52 characters of base32")]
    Key,
    /// The address is not IP:PORT.
    #[error("the node URI does not end in @IP:PORT")]
    Addr,
}

impl fmt::Display for NodeUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE32_NOPAD
            .encode(self.node.as_bytes())
            .to_ascii_lowercase();
        write!(f, "{}{key}@{}", self.role.scheme(), self.addr)
    }
}

impl FromStr for NodeUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let scheme = |role: Role| Some((role, strip_prefix_any_case(text, role.scheme())?));
        let (role, rest) = scheme(Role::Sky)
            .or_else(|| scheme(Role::Earth))
            .ok_or(UriError::Scheme)?;
        let (key, addr) = rest.split_once('@').ok_or(UriError::Addr)?;
        let key = BASE32_NOPAD
            .decode(key.to_ascii_uppercase().as_bytes())
            .map_err(|_| UriError::Key)?;
        let node = NodeKey(key.try_into().map_err(|_| UriError::Key)?);
        let addr: SocketAddr = addr.parse().map_err(|_| UriError::Addr)?;
        if addr.port() == 0 {
            return Err(UriError::Addr);
        }
        Ok(Self {
            role,
            node,
            addr: addr.into(),
        })
    }
}

pub(crate) fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}
