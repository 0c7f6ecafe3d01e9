//! Addresses: what an owner holds, what a friend holds, and the keys that both derive for an epoch
//! (protocol section 5).
//!
//! An owner keeps a [`Generation`] and one [`Chain`] per epoch. A friend holds a [`FriendAddress`], which arrives as an
//! *address bundle* and can be carried forward in time but not back. For an epoch the owner makes [`OwnerEpoch`] and
//! the friend [`FriendEpoch`]: the same mailbox seen from both ends. [`OwnerPresence`] and [`FriendPresence`] are the
//! same for a part of an epoch at sky.
//!
//! The costly step is a [`MailboxTree`] of 256 blinded keys, some milliseconds. Do it once per epoch; what follows from
//! it is public and small, and may be kept ([`FriendEpoch::cache`], the root in a descriptor).

mod friend;

pub use friend::{Bundle, FriendAddress, FriendEpoch, FriendPresence, Writer};

use curve25519_dalek::edwards::EdwardsPoint;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::blind::{BlindedKey, Factor, MasterSecret};
use crate::codec::DecodeError;
use crate::ids::{Epoch, MailboxId, OwnerKey, PresenceKey, Slot, WriteKey};
use crate::kdf::{Secret, kdf32};
use crate::mailbox::Descriptor;
use crate::network::Network;
use crate::slots::{Hash, Merkle, leaf};

/// How many keys a slot has in one mailbox.
pub const SUB_SLOTS: u8 = 4;

/// The most epochs that an address is carried forward at once; it bounds the work that a bundle can ask for.
pub const MAX_CHAIN_STEPS: u32 = 262_144;

const KEYS: usize = Slot::COUNT as usize;

/// Why an address gives no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The epoch is over and its chain forgotten.
    #[error("the address starts at epoch {from}, epoch {asked} is before it")]
    Past {
        /// The first epoch that the address can still reach.
        from: Epoch,
        /// The one that was asked for.
        asked: Epoch,
    },
    /// The epoch is absurdly far ahead.
    #[error("epoch {asked} is too far ahead of {from}")]
    TooFar {
        /// Where the address stands.
        from: Epoch,
        /// The one that was asked for.
        asked: Epoch,
    },
    /// A key in the stored address is damaged.
    #[error("the stored address is damaged: {0}")]
    Damaged(#[from] DecodeError),
}

/// The chain value of one epoch, c_e. From it follow all later ones, but none before.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Chain([u8; 32]);

impl Chain {
    /// A chain value from a random draw or from the store.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the store.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The value of the following epoch.
    #[must_use]
    pub fn next(&self, net: &Network) -> Self {
        Self(*kdf32(net, &self.0, "chain", &[]))
    }

    /// The value `steps` epochs later.
    pub(crate) fn after(&self, net: &Network, steps: u32) -> Self {
        (0..steps).fold(self.clone(), |chain, _| chain.next(net))
    }

    /// The blind of the owner's key at earth.
    #[must_use]
    pub fn mailbox_factor(&self, net: &Network) -> Factor {
        Factor::new(net, &kdf32(net, &self.0, "addr-mbx", &[]))
    }

    fn presence_factor(&self, net: &Network, part: u8) -> Factor {
        Factor::new(net, &kdf32(net, &self.0, "addr-sky", &[&[part]]))
    }

    fn write_factor(&self, net: &Network, slot: Slot, j: u8) -> Factor {
        Factor::new(net, &kdf32(net, &self.0, "slot", &[&[slot.get()], &[j]]))
    }

    fn knock_factor(&self, net: &Network, part: u8, slot: Slot) -> Factor {
        Factor::new(
            net,
            &kdf32(net, &self.0, "knock-slot", &[&[part], &[slot.get()]]),
        )
    }
}

/// An owner's address generation: a root key pair and 64 slot key pairs, all from one secret.
pub struct Generation {
    number: u16,
    secret: Secret,
    root: MasterSecret,
    slots: Vec<MasterSecret>,
    publics: Vec<[u8; 32]>,
}

impl Generation {
    /// The generation of a secret s_g, random or from the store.
    #[must_use]
    pub fn new(net: &Network, number: u16, secret: [u8; 32]) -> Self {
        let secret = Zeroizing::new(secret);
        let root = MasterSecret::from_seed(&kdf32(net, &secret, "gen-root", &[]));
        let slots: Vec<_> = Slot::all()
            .map(|i| MasterSecret::from_seed(&slot_seed(net, &secret, i)))
            .collect();
        let points: Vec<EdwardsPoint> = slots.iter().map(MasterSecret::point).collect();
        let publics = EdwardsPoint::compress_batch_alloc(&points)
            .into_iter()
            .map(|c| c.0)
            .collect();
        Self {
            number,
            secret,
            root,
            slots,
            publics,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The secret s_g, for the store.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.secret
    }

    /// What the friend in `slot` is given: the way in from `epoch` on, whose chain is `chain`.
    #[must_use]
    pub fn bundle(&self, net: &Network, slot: Slot, epoch: Epoch, chain: &Chain) -> Bundle {
        FriendAddress {
            generation: self.number,
            epoch,
            root: self.root.public().to_bytes(),
            chain: chain.clone(),
            slot,
            seed: slot_seed(net, &self.secret, slot),
            publics: self.publics.clone(),
        }
    }

    /// The mailbox of an epoch. With the root of its tree at hand (from an earlier call) this is quick.
    #[must_use]
    pub fn epoch(
        &self,
        net: &Network,
        epoch: Epoch,
        chain: &Chain,
        known_root: Option<Hash>,
    ) -> OwnerEpoch {
        let key = self.root.blind(&chain.mailbox_factor(net));
        let root = known_root.unwrap_or_else(|| *self.tree(net, chain).root());
        let descriptor = Descriptor::slots(OwnerKey(key.public()), root);
        OwnerEpoch {
            generation: self.number,
            epoch,
            mailbox: descriptor.id(net),
            descriptor,
            key,
        }
    }

    /// The tree of write keys of an epoch.
    #[must_use]
    pub fn tree(&self, net: &Network, chain: &Chain) -> MailboxTree {
        MailboxTree::build(
            net,
            chain,
            self.slots.iter().map(|v| |f: &Factor| v.blind_point(f)),
        )
    }

    /// The presence of a part of an epoch. With the knock root at hand (from an earlier call) this is quick.
    #[must_use]
    pub fn presence(
        &self,
        net: &Network,
        epoch: Epoch,
        part: u8,
        chain: &Chain,
        known_root: Option<Hash>,
    ) -> OwnerPresence {
        let key = self.root.blind(&chain.presence_factor(net, part));
        let knock_root = known_root.unwrap_or_else(|| {
            *knock_tree(
                net,
                chain,
                part,
                self.slots.iter().map(|v| |f: &Factor| v.blind_point(f)),
            )
            .root()
        });
        OwnerPresence {
            epoch,
            part,
            presence: PresenceKey(key.public()),
            knock_root,
            key,
        }
    }
}

fn slot_seed(net: &Network, secret: &[u8; 32], slot: Slot) -> Secret {
    kdf32(net, secret, "gen-slot", &[&[slot.get()]])
}

/// An owner's end of the mailbox of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerEpoch {
    /// The generation it belongs to.
    pub generation: u16,
    /// The epoch.
    pub epoch: Epoch,
    /// The mailbox's name.
    pub mailbox: MailboxId,
    /// The mailbox.
    pub descriptor: Descriptor,
    /// The key that rules it.
    pub key: BlindedKey,
}

/// An owner's presence at sky in a part of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerPresence {
    /// The epoch.
    pub epoch: Epoch,
    /// The part of it.
    pub part: u8,
    /// The name under which to register.
    pub presence: PresenceKey,
    /// The root over the knock keys of all friends.
    pub knock_root: Hash,
    /// The key of that name.
    pub key: BlindedKey,
}

/// All 256 write keys of a mailbox in one epoch and the tree over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxTree {
    keys: Vec<[u8; 32]>,
    tree: Merkle,
}

impl MailboxTree {
    fn build<F: Fn(&Factor) -> EdwardsPoint>(
        net: &Network,
        chain: &Chain,
        blinders: impl Iterator<Item = F>,
    ) -> Self {
        let mut points = Vec::with_capacity(KEYS * usize::from(SUB_SLOTS));
        for (slot, blind) in Slot::all().zip(blinders) {
            points.extend((0..SUB_SLOTS).map(|j| blind(&chain.write_factor(net, slot, j))));
        }
        let keys: Vec<_> = EdwardsPoint::compress_batch_alloc(&points)
            .into_iter()
            .map(|c| c.0)
            .collect();
        let tree = Merkle::of_keys(&keys);
        Self { keys, tree }
    }

    /// The root.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        self.tree.root()
    }

    /// The write key at a leaf.
    #[must_use]
    pub fn key(&self, leaf: u16) -> Option<WriteKey> {
        self.keys.get(usize::from(leaf)).copied().map(WriteKey)
    }

    /// The path of a leaf.
    #[must_use]
    pub fn path(&self, leaf: u16) -> Option<Vec<Hash>> {
        self.tree.path(usize::from(leaf))
    }
}

fn knock_tree<F: Fn(&Factor) -> EdwardsPoint>(
    net: &Network,
    chain: &Chain,
    part: u8,
    blinders: impl Iterator<Item = F>,
) -> Merkle {
    let points: Vec<EdwardsPoint> = Slot::all()
        .zip(blinders)
        .map(|(slot, blind)| blind(&chain.knock_factor(net, part, slot)))
        .collect();
    Merkle::new(
        EdwardsPoint::compress_batch_alloc(&points)
            .iter()
            .map(|c| leaf(&c.0))
            .collect(),
    )
}
