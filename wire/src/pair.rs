//! What two people share after a handshake or a recovery (protocol sections 14 and 17), and the chain of their outer keys.
//!
//! [`PairSecrets`] is the whole outcome: the root of a new ratchet session, the secrets for later recoveries and re-keyings, and one
//! [`OuterChain`] for each direction. Outer keys are symmetric keys of one epoch and one direction; they seal the bodies of deposits
//! and the halves of a knock, so that a keeper who stores them, or a thief of one device who finds old ones, sees neither content nor
//! who wrote. A chain only runs forward: [`OuterChain::advance`] forgets the keys of past epochs.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    codec::{DecodeError, Put, Reader, Wire},
    ids::{Epoch, IdentityKey},
    kdf::{Secret, extract, kdf32},
    network::Network,
};

/// The version of the stored forms in this module.
const VERSION: u8 = 1;

/// The farthest that a chain is followed for a single key; epochs come from clocks, and a clock may be wrong.
const STEPS_MAX: u32 = 65_536;

/// Which end of a handshake or recovery this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Sent the first message: the invitee, or the starter of a recovery.
    Starter,
    /// Answered: the inviter, or the answerer of a recovery. Opens the ratchet session.
    Answerer,
}

/// Which of two contacts has the lower identity key, bytewise. It settles what would otherwise be symmetric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Ours is the lower one.
    Lower,
    /// Ours is the upper one.
    Upper,
}

impl Rank {
    /// The rank of `ours` beside `theirs`.
    #[must_use]
    pub fn of(ours: &IdentityKey, theirs: &IdentityKey) -> Self {
        if ours < theirs {
            Self::Lower
        } else {
            Self::Upper
        }
    }

    /// The rank of the other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Lower => Self::Upper,
            Self::Upper => Self::Lower,
        }
    }
}

/// From what a ratchet session starts (section 15.1).
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SessionRoot {
    rk0: [u8; 32],
    ck0: [u8; 32],
    envelope: [[u8; 32]; 3],
}

/// Everything that a completed handshake or recovery gives.
#[derive(PartialEq, Eq)]
pub struct PairSecrets {
    /// The start of the ratchet session.
    pub root: SessionRoot,
    /// S_rec, under which recoveries are made; it outlives them.
    pub s_rec: Secret,
    /// S_rekey, from which the next re-keying derives.
    pub s_rekey: Secret,
    /// Keys of what the other side sends to us.
    pub outer_in: OuterChain,
    /// Keys of what we send.
    pub outer_out: OuterChain,
}

/// The outer keys of one direction, from some epoch on.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct OuterChain {
    #[zeroize(skip)]
    epoch: Epoch,
    key: [u8; 32],
    /// Nothing has been forgotten yet, so the key also stands for every epoch before.
    #[zeroize(skip)]
    whole: bool,
}

impl SessionRoot {
    /// Completes rk0 and ck0 by the keys of the envelope, `KDF(rk0, "olm-dummy", n)`.
    #[must_use]
    pub fn new(net: &Network, rk0: &Secret, ck0: &Secret) -> Self {
        Self {
            rk0: **rk0,
            ck0: **ck0,
            envelope: [0, 1, 2].map(|n: u8| *kdf32(net, rk0, "olm-dummy", &[&[n]])),
        }
    }

    /// The root key.
    #[must_use]
    pub const fn rk0(&self) -> &[u8; 32] {
        &self.rk0
    }

    /// The first chain key, of the side that does not open.
    #[must_use]
    pub const fn ck0(&self) -> &[u8; 32] {
        &self.ck0
    }

    /// The identity, base and one-time key that Olm's envelope names.
    #[must_use]
    pub const fn envelope(&self) -> [[u8; 32]; 3] {
        self.envelope
    }
}

impl Wire for SessionRoot {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        for part in [&self.rk0, &self.ck0].into_iter().chain(&self.envelope) {
            out.put(part);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.expect_u8("version of a session root", VERSION)?;
        Ok(Self {
            rk0: r.array()?,
            ck0: r.array()?,
            envelope: [r.array()?, r.array()?, r.array()?],
        })
    }
}

/// The secrets that enter the key schedule of section 14.
pub(crate) struct Ingredients<'a> {
    /// Noise's handshake hash.
    pub(crate) hash: &'a [u8; 32],
    /// The outputs of Noise's Split().
    pub(crate) split: (&'a [u8; 32], &'a [u8; 32]),
    /// The X-Wing secret.
    pub(crate) shared: &'a [u8; 32],
    /// k_inv in a handshake, S_rec in a recovery.
    pub(crate) psk: &'a [u8; 32],
}

impl PairSecrets {
    /// The key schedule of section 14; `e0` is the epoch of the starter's address bundle.
    pub(crate) fn derive(net: &Network, from: &Ingredients<'_>, e0: Epoch, side: Side) -> Self {
        let (k1, k2) = from.split;
        let prk = extract(from.hash, &[k1, k2, from.shared, from.psk]);
        let keys = Schedule::of(net, &prk);
        let (outer_in, outer_out) = match side {
            Side::Starter => (keys.outer_0, keys.outer_1),
            Side::Answerer => (keys.outer_1, keys.outer_0),
        };
        Self {
            root: keys.root,
            s_rec: kdf32(net, &prk, "recover", &[]),
            s_rekey: keys.s_rekey,
            outer_in: OuterChain::new(e0, &outer_in),
            outer_out: OuterChain::new(e0, &outer_out),
        }
    }
}

impl Wire for PairSecrets {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        self.root.encode(out);
        out.put(self.s_rec.as_slice());
        out.put(self.s_rekey.as_slice());
        self.outer_in.encode(out);
        self.outer_out.encode(out);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.expect_u8("version of pair secrets", VERSION)?;
        Ok(Self {
            root: SessionRoot::read(r)?,
            s_rec: Zeroizing::new(r.array()?),
            s_rekey: Zeroizing::new(r.array()?),
            outer_in: OuterChain::read(r)?,
            outer_out: OuterChain::read(r)?,
        })
    }
}

/// What a PRK of section 14 and one of section 16 give alike.
pub(crate) struct Schedule {
    pub(crate) root: SessionRoot,
    pub(crate) s_rekey: Secret,
    /// Direction 0x00: answerer to starter, or lower to higher identity key.
    pub(crate) outer_0: Secret,
    pub(crate) outer_1: Secret,
}

impl Schedule {
    pub(crate) fn of(net: &Network, prk: &Secret) -> Self {
        Self {
            root: SessionRoot::new(
                net,
                &kdf32(net, prk, "root", &[]),
                &kdf32(net, prk, "ck0", &[]),
            ),
            s_rekey: kdf32(net, prk, "rekey", &[]),
            outer_0: kdf32(net, prk, "outer", &[&[0]]),
            outer_1: kdf32(net, prk, "outer", &[&[1]]),
        }
    }
}

impl OuterChain {
    /// A chain whose key for `start`, and for every epoch before it, is `key`.
    #[must_use]
    pub fn new(start: Epoch, key: &Secret) -> Self {
        Self {
            epoch: start,
            key: **key,
            whole: true,
        }
    }

    /// The earliest epoch whose key is known, unless the chain is still whole.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The key of an epoch; none for epochs that were forgotten, and for those beyond every reasonable clock.
    #[must_use]
    pub fn key_at(&self, net: &Network, epoch: Epoch) -> Option<Secret> {
        let Some(steps) = epoch.0.checked_sub(self.epoch.0) else {
            return self.whole.then(|| Zeroizing::new(self.key));
        };
        if steps > STEPS_MAX {
            return None;
        }
        let mut key = Zeroizing::new(self.key);
        for _ in 0..steps {
            key = kdf32(net, &key, "outer-next", &[]);
        }
        Some(key)
    }

    /// Forgets every key before `oldest`. An epoch beyond every reasonable clock changes nothing.
    pub fn advance(&mut self, net: &Network, oldest: Epoch) {
        if oldest <= self.epoch {
            return;
        }
        if let Some(key) = self.key_at(net, oldest) {
            self.key = *key;
            self.epoch = oldest;
            self.whole = false;
        }
    }
}

impl Wire for OuterChain {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_u8(self.whole.into());
        out.put_u32(self.epoch.0);
        out.put(&self.key);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.expect_u8("version of an outer chain", VERSION)?;
        let whole = match r.u8()? {
            0 => false,
            1 => true,
            value => {
                let (field, value) = ("state of an outer chain", value.into());
                return Err(DecodeError::Value { field, value });
            }
        };
        Ok(Self {
            whole,
            epoch: Epoch(r.u32()?),
            key: r.array()?,
        })
    }
}

macro_rules! closed_debug {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
pub(crate) use closed_debug;

closed_debug!(SessionRoot, PairSecrets, OuterChain);

#[cfg(test)]
mod tests;
