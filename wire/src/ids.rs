//! Names of things, each a type of its own, so that none is taken for another.

use std::fmt;

use data_encoding::HEXLOWER;

use crate::codec::{DecodeError, Put, Reader, Wire};

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $n:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $n]);

        impl $name {
            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $n] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let short = self.0.first_chunk::<4>().map_or_else(String::new, |c| HEXLOWER.encode(c));
                write!(f, concat!(stringify!($name), "({}…)"), short)
            }
        }

        /// All bytes in lower-case hexadecimal.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl From<[u8; $n]> for $name {
            fn from(bytes: [u8; $n]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl Wire for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.put(&self.0);
            }

            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                r.array().map(Self)
            }
        }
    };
}

bytes_id!(
    /// The hash of a network's parameters.
    NetId, 4
);
bytes_id!(
    /// The Ed25519 key of a sky or earth node.
    NodeKey, 32
);
bytes_id!(
    /// A person's long-term Ed25519 key, IK.
    IdentityKey, 32
);
bytes_id!(
    /// A person's long-term X25519 key, IX.
    HandshakeKey, 32
);
bytes_id!(
    /// The blinded key by which an owner rules a mailbox for one epoch, A'.
    OwnerKey, 32
);
bytes_id!(
    /// The blinded key by which a depositor writes into a mailbox for one epoch, W'.
    WriteKey, 32
);
bytes_id!(
    /// The blinded key under which an owner is present at sky for a part of an epoch, P'.
    PresenceKey, 32
);
bytes_id!(
    /// The blinded key by which a friend knocks in a part of an epoch, K'.
    KnockKey, 32
);
bytes_id!(
    /// The name of a mailbox at earth, MB.
    MailboxId, 32
);
bytes_id!(
    /// The name of a deposit.
    DepositId, 32
);
bytes_id!(
    /// A place on the ring: a 256-bit big-endian number, ordered as one.
    Position, 32
);
bytes_id!(
    /// The name of a message, chosen by its sender.
    MessageId, 16
);
bytes_id!(
    /// The TLS exporter of a channel, which binds requests to it.
    Binding, 32
);

/// An address epoch, counted from the protocol's zero time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The following epoch; the last one follows itself.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The preceding epoch, if there is one.
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(e) => Some(Self(e)),
            None => None,
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Wire for Epoch {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.0);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.u32().map(Self)
    }
}

/// A friend's slot in an address generation: 0 to 63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// How many slots a generation has.
    pub const COUNT: u8 = 64;

    /// The slot with this number, if there is one.
    #[must_use]
    pub const fn new(n: u8) -> Option<Self> {
        if n < Self::COUNT { Some(Self(n)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Its number as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All slots in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The leaf of a mailbox tree that belongs to sub-slot `j`, of which there are four.
    #[must_use]
    pub const fn leaf(self, j: u8) -> u16 {
        (self.0 as u16) * 4 + (j & 3) as u16
    }

    /// The slot to which a leaf of a mailbox tree belongs.
    #[must_use]
    pub const fn of_leaf(leaf: u16) -> Option<Self> {
        if leaf < 256 {
            Some(Self((leaf / 4) as u8))
        } else {
            None
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Wire for Slot {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.0);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let n = r.u8()?;
        Self::new(n).ok_or(DecodeError::Value {
            field: "slot",
            value: n.into(),
        })
    }
}
