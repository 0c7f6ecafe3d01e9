//! What is said on channels to sky nodes (protocol section 11).

mod directory;

pub use directory::{
    Announce, Departure, Digests, KeepersFound, List, Listed, MAX_ITEMS, SpreadItem, digest,
};

use crate::address::OwnerPresence;
use crate::channel::{RequestError, whole};
use crate::codec::{DecodeError, Put, Reader, Wire};
use crate::ids::{Binding, NodeKey, Position, PresenceKey, Slot};
use crate::knock::{Knock, SEALED_LEN, Sealed};
use crate::network::Network;
use crate::sign::{self, Sig, SignatureError};
use crate::slots::Hash;
use directory::{put_counted, read_counted};

/// Be present under a key.
pub const REGISTER: u8 = 0x01;
/// Be present no longer.
pub const UNREGISTER: u8 = 0x02;
/// Knock at somebody's door.
pub const KNOCK: u8 = 0x03;
/// List records of a role.
pub const LIST: u8 = 0x04;
/// Give keepers near a position.
pub const KEEPERS: u8 = 0x05;
/// Announce a keeper.
pub const ANNOUNCE: u8 = 0x06;
/// Node to node: spread records and departures.
pub const SPREAD: u8 = 0x07;
/// Node to node: compare what is known.
pub const DIGEST: u8 = 0x08;
/// Sky to owner: somebody knocks.
pub const INCOMING: u8 = 0x10;
/// Node to node: a knock for somebody there.
pub const FORWARD: u8 = 0x13;
/// Push: the address that a node sees us at.
pub const OBSERVED: u8 = 0x40;

/// The most keys that one channel registers.
pub const MAX_KEYS: usize = 8;
/// How long an owner has to answer a knock, in seconds.
pub const ANSWER_S: u64 = 8;
/// How long a presence node remembers nonces, in seconds.
pub const NONCE_MEMORY_S: u64 = 600;
/// The hops after which FORWARD is refused.
pub const MAX_HOPS: u8 = 2;

/// A request to a sky node, or (INCOMING) from one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Be present.
    Register(Register),
    /// Be present no longer.
    Unregister(PresenceKey),
    /// Knock.
    Knock(Box<Knock>),
    /// List records.
    List(List),
    /// Give keepers.
    Keepers {
        /// Near which position.
        position: Position,
        /// How many.
        n: u8,
    },
    /// Announce a keeper.
    Announce(Box<Announce>),
    /// Spread news.
    Spread(Vec<SpreadItem>),
    /// Compare.
    Digest,
    /// Somebody knocks.
    Incoming(Incoming),
    /// A knock from another node.
    Forward {
        /// How many nodes it passed.
        hops: u8,
        /// The knock.
        knock: Box<Knock>,
    },
}

impl Request {
    /// The type of its frame.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Register(_) => REGISTER,
            Self::Unregister(_) => UNREGISTER,
            Self::Knock(_) => KNOCK,
            Self::List(_) => LIST,
            Self::Keepers { .. } => KEEPERS,
            Self::Announce(_) => ANNOUNCE,
            Self::Spread(_) => SPREAD,
            Self::Digest => DIGEST,
            Self::Incoming(_) => INCOMING,
            Self::Forward { .. } => FORWARD,
        }
    }

    /// Appends the body of its frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Register(register) => register.encode(out),
            Self::Unregister(key) => key.encode(out),
            Self::Knock(knock) => knock.encode(out),
            Self::List(list) => list.encode(out),
            Self::Keepers { position, n } => {
                position.encode(out);
                out.put_u8(*n);
            }
            Self::Announce(announce) => announce.encode(out),
            Self::Spread(items) => put_counted(out, items),
            Self::Digest => {}
            Self::Incoming(incoming) => incoming.encode(out),
            Self::Forward { hops, knock } => {
                out.put_u8(*hops);
                knock.encode(out);
            }
        }
    }

    /// Reads the body of a frame of type `kind`.
    ///
    /// # Errors
    /// If the type is unknown or the body malformed.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, RequestError> {
        whole(body, |r| {
            Ok(match kind {
                REGISTER => Self::Register(Register::read(r)?),
                UNREGISTER => Self::Unregister(PresenceKey::read(r)?),
                KNOCK => Self::Knock(Box::new(Knock::read(r)?)),
                LIST => Self::List(List::read(r)?),
                KEEPERS => Self::Keepers {
                    position: Position::read(r)?,
                    n: r.u8()?,
                },
                ANNOUNCE => Self::Announce(Box::new(Announce::read(r)?)),
                SPREAD => Self::Spread(read_counted(r, "spread items")?),
                DIGEST => Self::Digest,
                INCOMING => Self::Incoming(Incoming::read(r)?),
                FORWARD => Self::Forward {
                    hops: r.u8()?,
                    knock: Box::new(Knock::read(r)?),
                },
                _ => return Err(RequestError::Unsupported { kind }),
            })
        })
    }
}

/// Registration of a presence key on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The key.
    pub presence: PresenceKey,
    /// The root over the keys that may knock.
    pub knock_root: Hash,
    /// Bit i refuses slot i.
    pub refused: u64,
    /// For how long.
    pub lease_s: u32,
    sig: Sig,
}

impl Register {
    /// Signs for the channel with this binding to this node.
    #[must_use]
    pub fn sign(
        net: &Network,
        presence: &OwnerPresence,
        refused: u64,
        lease_s: u32,
        binding: &Binding,
        node: &NodeKey,
    ) -> Self {
        let OwnerPresence {
            key,
            presence,
            knock_root,
            ..
        } = presence;
        let (presence, knock_root) = (*presence, *knock_root);
        let mut register = Self {
            presence,
            knock_root,
            refused,
            lease_s,
            sig: [0; 64],
        };
        register.sig = key.sign(
            net,
            "register",
            &[binding.as_bytes(), node.as_bytes(), &register.terms()],
        );
        register
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// If it is not the key's, or for another channel.
    pub fn verify(
        &self,
        net: &Network,
        binding: &Binding,
        node: &NodeKey,
    ) -> Result<(), SignatureError> {
        let body: &[&[u8]] = &[binding.as_bytes(), node.as_bytes(), &self.terms()];
        sign::verify(net, self.presence.as_bytes(), "register", body, &self.sig)
    }

    /// Whether a slot may not knock.
    #[must_use]
    pub const fn refuses(&self, slot: Slot) -> bool {
        self.refused >> slot.get() & 1 == 1
    }

    /// `knock_root ‖ refused ‖ flags ‖ lease_s`
    fn terms(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(45);
        out.put(&self.knock_root);
        out.put_u64(self.refused);
        out.put_u8(0);
        out.put_u32(self.lease_s);
        out
    }
}

impl Wire for Register {
    fn encode(&self, out: &mut Vec<u8>) {
        self.presence.encode(out);
        out.put(&self.terms());
        out.put(&self.sig);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (presence, knock_root, refused) = (PresenceKey::read(r)?, r.array()?, r.u64()?);
        r.expect_u8("register flags", 0)?;
        Ok(Self {
            presence,
            knock_root,
            refused,
            lease_s: r.u32()?,
            sig: r.array()?,
        })
    }
}

/// The answer to REGISTER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// For how long.
    pub lease_s: u32,
}

impl Wire for Registered {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.lease_s);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { lease_s: r.u32()? })
    }
}

/// The answer to KNOCK and FORWARD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knocked {
    /// Nobody is registered under this key.
    Absent,
    /// The owner's half.
    Answered(Box<Sealed>),
    /// The owner is registered and silent.
    NoAnswer,
    /// The owner refuses this slot.
    Refused,
    /// Somebody is there (to a probe).
    Online,
}

impl Wire for Knocked {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Absent => out.put_u8(0),
            Self::Answered(sealed) => {
                out.put_u8(1);
                out.put(sealed.as_slice());
            }
            Self::NoAnswer => out.put_u8(2),
            Self::Refused => out.put_u8(3),
            Self::Online => out.put_u8(4),
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8()? {
            0 => Ok(Self::Absent),
            1 => Ok(Self::Answered(Box::new(r.array::<SEALED_LEN>()?))),
            2 => Ok(Self::NoAnswer),
            3 => Ok(Self::Refused),
            4 => Ok(Self::Online),
            other => Err(DecodeError::Value {
                field: "knock status",
                value: other.into(),
            }),
        }
    }
}

/// A presence node's question to the owner: somebody knocks, what do you answer? The answer is a sealed half.
#[derive(Clone, PartialEq, Eq)]
pub struct Incoming {
    /// At which of the owner's keys.
    pub presence: PresenceKey,
    /// The knocker's slot.
    pub slot: Slot,
    /// The knock's nonce.
    pub nonce: [u8; 16],
    /// The knocker's half.
    pub sealed: Box<Sealed>,
}

impl From<&Knock> for Incoming {
    fn from(k: &Knock) -> Self {
        Self {
            presence: k.presence,
            slot: k.slot,
            nonce: k.nonce,
            sealed: k.sealed.clone(),
        }
    }
}

/// Shows no keys.
impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl Wire for Incoming {
    fn encode(&self, out: &mut Vec<u8>) {
        self.presence.encode(out);
        self.slot.encode(out);
        out.put(&self.nonce);
        out.put(self.sealed.as_slice());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (presence, slot, nonce) = (PresenceKey::read(r)?, Slot::read(r)?, r.array()?);
        Ok(Self {
            presence,
            slot,
            nonce,
            sealed: Box::new(r.array()?),
        })
    }
}
