//! A friend's end of an address.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{AddressError, Chain, KEYS, MAX_CHAIN_STEPS, MailboxTree, SUB_SLOTS, knock_tree};
use crate::blind::{BlindedKey, Factor, MasterPublic, MasterSecret};
use crate::codec::{DecodeError, Put, Reader, Wire};
use crate::ids::{Epoch, MailboxId, OwnerKey, PresenceKey, Slot, WriteKey};
use crate::kdf::Secret;
use crate::mailbox::Descriptor;
use crate::network::Network;
use crate::slots::{Hash, leaf, root_of_path};

/// The address bundle is the form in which a friend's address travels.
pub type Bundle = FriendAddress;

/// A friend's address as its holder has it, standing at the oldest epoch that he still reaches.
///
/// Its bytes are the address bundle. [`Wire::decode`] applies the import rules (some milliseconds for 65 keys);
/// [`FriendAddress::reload`] is for our own store.
#[derive(Clone)]
pub struct FriendAddress {
    pub(super) generation: u16,
    pub(super) epoch: Epoch,
    pub(super) root: [u8; 32],
    pub(super) chain: Chain,
    pub(super) slot: Slot,
    pub(super) seed: Secret,
    pub(super) publics: Vec<[u8; 32]>,
}

impl FriendAddress {
    /// The length of an address bundle.
    pub const LEN: usize = 2 + 4 + 32 + 32 + 1 + 32 + 32 * KEYS;

    /// Reads an address back from our own store, without the checks of a first import.
    ///
    /// # Errors
    /// If the form is damaged.
    pub fn reload(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let address = Self::read_unchecked(&mut r)?;
        r.finish()?;
        Ok(address)
    }

    fn read_unchecked(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            generation: r.u16()?,
            epoch: Epoch::read(r)?,
            root: r.array()?,
            chain: Chain::new(r.array()?),
            slot: Slot::read(r)?,
            seed: Zeroizing::new(r.array()?),
            publics: (0..KEYS).map(|_| r.array()).collect::<Result<_, _>>()?,
        })
    }

    /// The owner's generation.
    #[must_use]
    pub const fn generation(&self) -> u16 {
        self.generation
    }

    /// The oldest epoch that can still be reached.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Our slot with this owner.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// Forgets how to reach epochs before `epoch`. Friends keep the current and the previous one only.
    ///
    /// # Errors
    /// If `epoch` is too far ahead; going back changes nothing.
    pub fn forget_before(&mut self, net: &Network, epoch: Epoch) -> Result<(), AddressError> {
        if epoch > self.epoch {
            self.chain = self.chain_of(net, epoch)?;
            self.epoch = epoch;
        }
        Ok(())
    }

    /// The owner's mailbox in an epoch, with our keys to it. Builds the whole tree.
    ///
    /// # Errors
    /// If the epoch cannot be reached.
    pub fn view(&self, net: &Network, epoch: Epoch) -> Result<FriendEpoch, AddressError> {
        let chain = self.chain_of(net, epoch)?;
        let tree = self.tree(net, &chain)?;
        let paths = self
            .leaves()
            .map(|leaf| tree.path(leaf).unwrap_or_default())
            .collect();
        self.assemble(net, epoch, &chain, *tree.root(), paths)
    }

    /// The same from what [`FriendEpoch::cache`] gave, which is checked; `None` when it does not belong here.
    #[must_use]
    pub fn view_cached(&self, net: &Network, epoch: Epoch, cache: &[u8]) -> Option<FriendEpoch> {
        let mut r = Reader::new(cache);
        let root = r.array().ok()?;
        let mut read_path = || (0..8).map(|_| r.array()).collect::<Result<Vec<Hash>, _>>();
        let paths = (0..SUB_SLOTS)
            .map(|_| read_path())
            .collect::<Result<Vec<_>, _>>()
            .ok()?;
        r.finish().ok()?;
        let view = self
            .assemble(net, epoch, &self.chain_of(net, epoch).ok()?, root, paths)
            .ok()?;
        view.is_sound().then_some(view)
    }

    /// The tree of write keys of an epoch at whose chain value we stand.
    fn tree(&self, net: &Network, chain: &Chain) -> Result<MailboxTree, AddressError> {
        let publics = self.points()?;
        Ok(MailboxTree::build(
            net,
            chain,
            publics.iter().map(|v| |f: &Factor| v.blind_point(f)),
        ))
    }

    /// The owner's presence in a part of an epoch, with our key to knock.
    ///
    /// # Errors
    /// If the epoch cannot be reached.
    pub fn presence(
        &self,
        net: &Network,
        epoch: Epoch,
        part: u8,
    ) -> Result<FriendPresence, AddressError> {
        let chain = self.chain_of(net, epoch)?;
        let root = MasterPublic::reload(&self.root, "address root")?;
        let publics = self.points()?;
        let tree = knock_tree(
            net,
            &chain,
            part,
            publics.iter().map(|v| |f: &Factor| v.blind_point(f)),
        );
        Ok(FriendPresence {
            epoch,
            part,
            presence: PresenceKey(root.blind(&chain.presence_factor(net, part))),
            slot: self.slot,
            path: tree.path(self.slot.index()).unwrap_or_default(),
            knock_root: *tree.root(),
            key: MasterSecret::from_seed(&self.seed)
                .blind(&chain.knock_factor(net, part, self.slot)),
        })
    }

    /// The owner's name at sky in a part of an epoch, without the tree; quick.
    ///
    /// # Errors
    /// If the epoch cannot be reached.
    pub fn presence_key(
        &self,
        net: &Network,
        epoch: Epoch,
        part: u8,
    ) -> Result<PresenceKey, AddressError> {
        let chain = self.chain_of(net, epoch)?;
        let root = MasterPublic::reload(&self.root, "address root")?;
        Ok(PresenceKey(root.blind(&chain.presence_factor(net, part))))
    }

    fn assemble(
        &self,
        net: &Network,
        epoch: Epoch,
        chain: &Chain,
        root: Hash,
        paths: Vec<Vec<Hash>>,
    ) -> Result<FriendEpoch, AddressError> {
        let owner = MasterPublic::reload(&self.root, "address root")?;
        let owner = OwnerKey(owner.blind(&chain.mailbox_factor(net)));
        let descriptor = Descriptor::slots(owner, root);
        let secret = MasterSecret::from_seed(&self.seed);
        let writers = (0..SUB_SLOTS)
            .zip(self.leaves())
            .zip(paths)
            .map(|((j, leaf), path)| Writer {
                key: secret.blind(&chain.write_factor(net, self.slot, j)),
                leaf,
                path,
            })
            .collect();
        Ok(FriendEpoch {
            generation: self.generation,
            epoch,
            slot: self.slot,
            mailbox: descriptor.id(net),
            descriptor,
            writers,
        })
    }

    fn leaves(&self) -> impl Iterator<Item = u16> + use<> {
        let slot = self.slot;
        (0..SUB_SLOTS).map(move |j| slot.leaf(j))
    }

    fn points(&self) -> Result<Vec<MasterPublic>, DecodeError> {
        self.publics
            .iter()
            .map(|v| MasterPublic::reload(v, "slot key"))
            .collect()
    }

    fn chain_of(&self, net: &Network, asked: Epoch) -> Result<Chain, AddressError> {
        let from = self.epoch;
        let steps = asked
            .0
            .checked_sub(from.0)
            .ok_or(AddressError::Past { from, asked })?;
        if steps > MAX_CHAIN_STEPS {
            return Err(AddressError::TooFar { from, asked });
        }
        Ok(self.chain.after(net, steps))
    }
}

impl Wire for FriendAddress {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.generation);
        self.epoch.encode(out);
        out.put(&self.root);
        out.put(self.chain.expose());
        self.slot.encode(out);
        out.put(self.seed.as_slice());
        for v in &self.publics {
            out.put(v);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let address = Self::read_unchecked(r)?;
        MasterPublic::import(&address.root, "address root")?;
        for v in &address.publics {
            MasterPublic::import(v, "slot key")?;
        }
        let ours = MasterSecret::from_seed(&address.seed).public().to_bytes();
        if address.publics.get(address.slot.index()) != Some(&ours) {
            return Err(DecodeError::Key { field: "slot seed" });
        }
        Ok(address)
    }
}

impl PartialEq for FriendAddress {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (
            Zeroizing::new(self.to_bytes()),
            Zeroizing::new(other.to_bytes()),
        );
        a.ct_eq(&b).into()
    }
}

impl Eq for FriendAddress {}

/// Shows no keys.
impl std::fmt::Debug for FriendAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FriendAddress")
            .field("generation", &self.generation)
            .field("epoch", &self.epoch)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// One key that may write into a mailbox, and the proof that it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The key pair.
    pub key: BlindedKey,
    /// Its leaf in the mailbox's tree.
    pub leaf: u16,
    /// The path from there to the root.
    pub path: Vec<Hash>,
}

impl Writer {
    /// The key's name.
    #[must_use]
    pub fn write_key(&self) -> WriteKey {
        WriteKey(self.key.public())
    }
}

/// A friend's end of the mailbox of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FriendEpoch {
    /// The owner's generation.
    pub generation: u16,
    /// The epoch.
    pub epoch: Epoch,
    /// Our slot.
    pub slot: Slot,
    /// The mailbox's name.
    pub mailbox: MailboxId,
    /// The mailbox.
    pub descriptor: Descriptor,
    writers: Vec<Writer>,
}

impl FriendEpoch {
    /// Our four write keys. Use them in turn.
    #[must_use]
    pub fn writers(&self) -> &[Writer] {
        &self.writers
    }

    /// The write key of a sub-slot; the number counts round.
    #[must_use]
    pub fn writer(&self, j: usize) -> Option<&Writer> {
        self.writers.get(j % usize::from(SUB_SLOTS))
    }

    /// What to keep so that the tree need not be built again ([`FriendAddress::view_cached`]). Not secret.
    #[must_use]
    pub fn cache(&self) -> Vec<u8> {
        let mut out = self.descriptor.root.to_vec();
        for hash in self.writers.iter().flat_map(|w| &w.path) {
            out.put(hash);
        }
        out
    }

    fn is_sound(&self) -> bool {
        self.writers.len() == usize::from(SUB_SLOTS)
            && self.writers.iter().all(|w| {
                root_of_path(leaf(&w.key.public()), w.leaf.into(), &w.path) == self.descriptor.root
            })
    }
}

/// A friend's view of an owner's presence in a part of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FriendPresence {
    /// The epoch.
    pub epoch: Epoch,
    /// The part of it.
    pub part: u8,
    /// The owner's name at sky.
    pub presence: PresenceKey,
    /// Our slot.
    pub slot: Slot,
    /// The path from our knock key to the knock root.
    pub path: Vec<Hash>,
    /// The knock root as we compute it.
    pub knock_root: Hash,
    /// Our knock key.
    pub key: BlindedKey,
}
