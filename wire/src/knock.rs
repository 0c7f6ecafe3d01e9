//! Knocks: how a friend asks an owner who is present where he can be dialled (protocol section 11).
//!
//! Sky nodes see who knocks at which blinded key and check that he may. What the two tell each other is in the sealed
//! halves, by the pair's outer key.

use thiserror::Error;

use crate::addr::{Addr, put_addrs, read_addrs};
use crate::address::FriendPresence;
use crate::codec::{DecodeError, Put, Reader, Wire};
use crate::ids::{KnockKey, PresenceKey, Slot};
use crate::kdf::{self, TAG_LEN, h, kdf32};
use crate::network::Network;
use crate::sign::{self, Sig, SignatureError};
use crate::slots::{Hash, leaf, root_of_path};

/// The length of a sealed half.
pub const SEALED_LEN: usize = 512;
/// The length of what is sealed.
pub const PLAIN_LEN: usize = SEALED_LEN - TAG_LEN;
/// The most addresses in a half.
pub const MAX_CANDIDATES: usize = 8;
/// The depth of the tree of knock keys.
pub const DEPTH: usize = 6;

/// One sealed half of a knock.
pub type Sealed = [u8; SEALED_LEN];

/// A knock.
#[derive(Clone, PartialEq, Eq)]
pub struct Knock {
    /// Only asks whether somebody is there.
    pub probe: bool,
    /// At whose door.
    pub presence: PresenceKey,
    /// Who knocks.
    pub key: KnockKey,
    /// The knocker's slot.
    pub slot: Slot,
    path: [Hash; DEPTH],
    /// What is used once.
    pub nonce: [u8; 16],
    /// The knocker's half; zeros for a probe.
    pub sealed: Box<Sealed>,
    sig: Sig,
}

/// Why a knock is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KnockError {
    /// The key is not one of those that the owner registered.
    #[error("the knock's path does not lead to the registered root")]
    Path,
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl Knock {
    /// Its length in bytes.
    pub const LEN: usize = 1 + 32 + 32 + 1 + 32 * DEPTH + 16 + SEALED_LEN + 64;

    /// Signs a knock; `None` if the presence's path has the wrong length. Without a half it is a probe.
    #[must_use]
    pub fn sign(
        net: &Network,
        at: &FriendPresence,
        nonce: [u8; 16],
        sealed: Option<Box<Sealed>>,
    ) -> Option<Self> {
        let mut knock = Self {
            probe: sealed.is_none(),
            presence: at.presence,
            key: KnockKey(at.key.public()),
            slot: at.slot,
            path: at.path.as_slice().try_into().ok()?,
            nonce,
            sealed: sealed.unwrap_or_else(|| Box::new([0; SEALED_LEN])),
            sig: [0; 64],
        };
        knock.sig = at.key.sign(net, "knock", &[&knock.signed()]);
        Some(knock)
    }

    /// Checks the signature. Nodes that pass a knock on check this much.
    ///
    /// # Errors
    /// If it does not hold.
    pub fn verify_signature(&self, net: &Network) -> Result<(), SignatureError> {
        sign::verify(
            net,
            self.key.as_bytes(),
            "knock",
            &[&self.signed()],
            &self.sig,
        )
    }

    /// Checks that the key is among those under `knock_root`, and the signature.
    ///
    /// # Errors
    /// If one of them does not hold.
    pub fn verify(&self, net: &Network, knock_root: &Hash) -> Result<(), KnockError> {
        if self.root() != *knock_root {
            return Err(KnockError::Path);
        }
        Ok(self.verify_signature(net)?)
    }

    /// The root to which its path leads.
    #[must_use]
    pub fn root(&self) -> Hash {
        root_of_path(
            leaf(self.key.as_bytes()),
            self.slot.get().into(),
            &self.path,
        )
    }

    fn signed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(82);
        out.put_u8(self.probe.into());
        self.presence.encode(&mut out);
        self.slot.encode(&mut out);
        out.put(&self.nonce);
        out.put(&h(&[self.sealed.as_slice()]));
        out
    }
}

/// Shows no keys.
impl std::fmt::Debug for Knock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Knock")
            .field("probe", &self.probe)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl Wire for Knock {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.probe.into());
        self.presence.encode(out);
        self.key.encode(out);
        self.slot.encode(out);
        for hash in &self.path {
            out.put(hash);
        }
        out.put(&self.nonce);
        out.put(self.sealed.as_slice());
        out.put(&self.sig);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let probe = crate::earth::read_bool(r, "knock flags")?;
        let (presence, key, slot) = (PresenceKey::read(r)?, KnockKey::read(r)?, Slot::read(r)?);
        let mut path = [[0; 32]; DEPTH];
        for hash in &mut path {
            *hash = r.array()?;
        }
        let nonce = r.array()?;
        let sealed = Box::new(r.array::<SEALED_LEN>()?);
        if probe && sealed.iter().any(|b| *b != 0) {
            return Err(DecodeError::Value {
                field: "half of a probe",
                value: 1,
            });
        }
        Ok(Self {
            probe,
            presence,
            key,
            slot,
            path,
            nonce,
            sealed,
            sig: r.array()?,
        })
    }
}

/// What a knocker tells: who will dial from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// When (Unix milliseconds).
    pub time_ms: u64,
    /// The fresh Ed25519 key that the caller will present.
    pub tls_key: [u8; 32],
    /// Where the caller can be reached, at most eight.
    pub addrs: Vec<Addr>,
}

/// What the owner answers: where to dial, and whom to expect there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callee {
    /// When (Unix milliseconds).
    pub time_ms: u64,
    /// The fresh Ed25519 key that the callee will present.
    pub tls_key: [u8; 32],
    /// The name by which to ask for that key.
    pub tag: [u8; 16],
    /// Where to dial, at most eight.
    pub addrs: Vec<Addr>,
}

/// Why a sealed half is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HalfError {
    /// It is not for this key, this door and this knock.
    #[error(transparent)]
    Sealed(#[from] kdf::OpenError),
    /// Its inside is malformed.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// What a sealed half belongs to.
#[derive(Debug, Clone, Copy)]
pub struct HalfContext<'a> {
    /// The sender's outer key of the epoch of the presence key.
    pub outer_key: &'a [u8; 32],
    /// The door.
    pub presence: &'a PresenceKey,
    /// The knock's nonce.
    pub nonce: &'a [u8; 16],
}

impl HalfContext<'_> {
    fn key(&self, net: &Network, role: u8) -> kdf::Secret {
        let mut part = [role; 17];
        if let Some(nonce) = part.last_chunk_mut() {
            *nonce = *self.nonce;
        }
        kdf32(net, self.outer_key, "knock", &[&part])
    }

    fn aad(&self) -> Vec<u8> {
        [self.presence.as_ref(), self.nonce].concat()
    }

    fn seal(&self, net: &Network, role: u8, mut plain: Vec<u8>) -> Box<Sealed> {
        plain.resize(PLAIN_LEN, 0);
        let mut out = Box::new([0; SEALED_LEN]);
        out.copy_from_slice(&kdf::seal(&self.key(net, role), &self.aad(), &plain));
        out
    }

    /// Seals a caller's half.
    #[must_use]
    pub fn seal_caller(&self, net: &Network, caller: &Caller) -> Box<Sealed> {
        let mut plain = Vec::with_capacity(PLAIN_LEN);
        plain.put(&[1, 0]);
        plain.put_u64(caller.time_ms);
        plain.put(&caller.tls_key);
        put_addrs(&mut plain, &caller.addrs, MAX_CANDIDATES);
        self.seal(net, 0, plain)
    }

    /// Seals a callee's half.
    #[must_use]
    pub fn seal_callee(&self, net: &Network, callee: &Callee) -> Box<Sealed> {
        let mut plain = Vec::with_capacity(PLAIN_LEN);
        plain.put(&[1, 0]);
        plain.put_u64(callee.time_ms);
        plain.put(&callee.tls_key);
        plain.put(&callee.tag);
        put_addrs(&mut plain, &callee.addrs, MAX_CANDIDATES);
        self.seal(net, 1, plain)
    }

    /// Opens a caller's half.
    ///
    /// # Errors
    /// If it does not open or is malformed.
    pub fn open_caller(&self, net: &Network, sealed: &Sealed) -> Result<Caller, HalfError> {
        let plain = kdf::open(&self.key(net, 0), &self.aad(), sealed)?;
        let mut r = Reader::new(&plain);
        let time_ms = read_half_head(&mut r)?;
        let tls_key = r.array()?;
        let addrs = read_addrs(&mut r, 0, MAX_CANDIDATES)?;
        only_zeros(&mut r)?;
        Ok(Caller {
            time_ms,
            tls_key,
            addrs,
        })
    }

    /// Opens a callee's half.
    ///
    /// # Errors
    /// If it does not open or is malformed.
    pub fn open_callee(&self, net: &Network, sealed: &Sealed) -> Result<Callee, HalfError> {
        let plain = kdf::open(&self.key(net, 1), &self.aad(), sealed)?;
        let mut r = Reader::new(&plain);
        let time_ms = read_half_head(&mut r)?;
        let (tls_key, tag) = (r.array()?, r.array()?);
        let addrs = read_addrs(&mut r, 0, MAX_CANDIDATES)?;
        only_zeros(&mut r)?;
        Ok(Callee {
            time_ms,
            tls_key,
            tag,
            addrs,
        })
    }
}

fn read_half_head(r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    r.expect_u8("half version", 1)?;
    r.expect_u8("half flags", 0)?;
    r.u64()
}

fn only_zeros(r: &mut Reader<'_>) -> Result<(), DecodeError> {
    match r.rest().iter().find(|b| **b != 0) {
        None => Ok(()),
        Some(b) => Err(DecodeError::Value {
            field: "padding",
            value: (*b).into(),
        }),
    }
}
