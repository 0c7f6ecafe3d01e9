//! Invites: how two people find each other the first time (protocol section 13).
//!
//! An [`Invite`] is a one-time text. It names mailboxes, one per epoch, into which whoever holds the text may write;
//! [`InviteSecrets`] is what the inviter keeps to rule them.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::address::{Chain, MAX_CHAIN_STEPS, Writer};
use crate::blind::{BlindedKey, MasterPublic, MasterSecret};
use crate::codec::{DecodeError, Put, Reader, Wire};
use crate::ids::{Epoch, IdentityKey, MailboxId, NetId, NodeKey, OwnerKey};
use crate::kdf::{Secret, h, kdf32};
use crate::mailbox::Descriptor;
use crate::network::Network;
use crate::node::{Addr, key_hash, strip_prefix_any_case};

/// The most sky nodes in an invite.
pub const MAX_NODES: usize = 4;

const PREFIX: &str = "hermes:";
const MAGIC: &[u8; 3] = b"HRM";
const CHECK_LEN: usize = 4;

/// A sky node as an invite names it: enough to dial it and to know that it is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Where it listens.
    pub addr: Addr,
    /// The first bytes of the hash of its key.
    pub key_hash: [u8; 8],
}

impl Entry {
    /// The entry of a node.
    #[must_use]
    pub fn new(addr: Addr, node: &NodeKey) -> Self {
        Self {
            addr,
            key_hash: key_hash(node),
        }
    }

    /// Whether a node that shows this key is the right one.
    #[must_use]
    pub fn matches(&self, node: &NodeKey) -> bool {
        self.key_hash == key_hash(node)
    }
}

/// An invite. It contains a secret: whoever has its text can use it.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// The inviter will be asked before the contact stands.
    pub ask: bool,
    /// The network it is for.
    pub net_id: NetId,
    /// The first epoch that has a mailbox.
    pub start_epoch: Epoch,
    /// When it ends (an expiry stamp).
    pub expiry: u32,
    /// The root of the invite mailboxes, D_inv.
    pub root: [u8; 32],
    /// The inviter's one-time X25519 key, S_A.
    pub handshake_key: [u8; 32],
    secret: Secret,
    /// The fingerprint of the inviter's identity key.
    pub fingerprint: [u8; 16],
    nodes: Vec<Entry>,
}

/// Why a text is no invite that can be used here and now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InviteError {
    /// It does not look like an invite at all.
    #[error("this is not a Hermes invite")]
    NotAnInvite,
    /// It is an invite of a later version.
    #[error("this invite needs a newer version of Hermes")]
    Newer,
    /// It was cut off or mistyped: its check sum is wrong.
    #[error("the invite is incomplete or was changed on its way; copy all of it")]
    Truncated,
    /// Its check sum is right, but its inside is not.
    #[error("the invite is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// It is for another network.
    #[error("the invite is for another network ({theirs}, not {ours})")]
    ForeignNetwork {
        /// The invite's network.
        theirs: NetId,
        /// Ours.
        ours: NetId,
    },
    /// Its time is over.
    #[error("the invite has expired")]
    Expired {
        /// When (Unix seconds).
        at: u64,
    },
}

/// The fingerprint of an identity key that invites carry.
#[must_use]
pub fn fingerprint(identity: &IdentityKey) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(h(&[b"hermes/1 fp", identity.as_bytes()]).split_at(16).0);
    out
}

impl Invite {
    /// Reads a text and checks that it can be used in this network at this time.
    ///
    /// # Errors
    /// Tells apart what is no invite, damaged, for another network, and expired.
    pub fn parse(text: &str, net: &Network, now_s: u64) -> Result<Self, InviteError> {
        let invite: Self = text.parse()?;
        invite.check(net, now_s)?;
        Ok(invite)
    }

    /// Checks that it is for this network and not over.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(&self, net: &Network, now_s: u64) -> Result<(), InviteError> {
        if self.net_id != net.id() {
            return Err(InviteError::ForeignNetwork {
                theirs: self.net_id,
                ours: net.id(),
            });
        }
        let at = self.expires_at(net);
        if at <= now_s {
            return Err(InviteError::Expired { at });
        }
        Ok(())
    }

    /// Reads the bytes behind a text.
    ///
    /// # Errors
    /// As [`Invite::parse`], without looking at network and time.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InviteError> {
        let magic = bytes.get(..MAGIC.len());
        if magic.is_some_and(|m| m != MAGIC) {
            return Err(InviteError::NotAnInvite);
        }
        let (before, check) = bytes
            .split_last_chunk::<CHECK_LEN>()
            .ok_or(InviteError::Truncated)?;
        if check_of(before) != *check {
            return Err(InviteError::Truncated);
        }
        let mut r = Reader::new(before);
        r.array::<3>()?;
        if (r.u8()?, r.u8()?) != (1, 1) {
            return Err(InviteError::Newer);
        }
        let invite = Self::read_fields(&mut r)?;
        r.finish()?;
        Ok(invite)
    }

    fn read_fields(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ask = crate::earth::read_bool(r, "invite flags")?;
        let (net_id, start_epoch, expiry) = (NetId::read(r)?, Epoch::read(r)?, r.u32()?);
        let root = r.array()?;
        MasterPublic::import(&root, "invite root")?;
        let (handshake_key, secret, fingerprint) =
            (r.array()?, Zeroizing::new(r.array()?), r.array()?);
        let n = r.count8("sky nodes", 1, MAX_NODES)?;
        let nodes = (0..n)
            .map(|_| {
                Ok(Entry {
                    addr: Addr::read(r)?,
                    key_hash: r.array()?,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        Ok(Self {
            ask,
            net_id,
            start_epoch,
            expiry,
            root,
            handshake_key,
            secret,
            fingerprint,
            nodes,
        })
    }

    /// The bytes behind the text.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(256));
        out.put(MAGIC);
        out.put(&[1, 1, self.ask.into()]);
        self.net_id.encode(&mut out);
        self.start_epoch.encode(&mut out);
        out.put_u32(self.expiry);
        out.put(&self.root);
        out.put(&self.handshake_key);
        out.put(self.secret.as_slice());
        out.put(&self.fingerprint);
        out.put_u8(u8::try_from(self.nodes.len()).unwrap_or_default());
        for node in &self.nodes {
            node.addr.encode(&mut out);
            out.put(&node.key_hash);
        }
        let check = check_of(&out);
        out.put(&check);
        out
    }

    /// `H(invite)`, which the handshake's prologue contains.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        h(&[&self.to_bytes()])
    }

    /// The text of a link.
    #[must_use]
    pub fn link(&self) -> Zeroizing<String> {
        let mut code = Zeroizing::new(BASE32_NOPAD.encode(&self.to_bytes()));
        code.make_ascii_lowercase();
        Zeroizing::new([PREFIX, code.as_str()].concat())
    }

    /// The text for a QR code: all in upper case, which keeps the code small.
    #[must_use]
    pub fn qr_text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.link().to_ascii_uppercase())
    }

    /// The one-time secret k_inv.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Where to ask first.
    #[must_use]
    pub fn nodes(&self) -> &[Entry] {
        &self.nodes
    }

    /// When it ends (Unix seconds).
    #[must_use]
    pub fn expires_at(&self, net: &Network) -> u64 {
        net.expiry_time(self.expiry)
    }

    /// The last epoch that has a mailbox.
    #[must_use]
    pub fn last_epoch(&self, net: &Network) -> Epoch {
        net.epoch(self.expires_at(net))
    }

    /// The mailbox of an epoch; none outside the invite's life.
    #[must_use]
    pub fn mailbox(&self, net: &Network, epoch: Epoch) -> Option<InviteMailbox> {
        let chain = self.chain(net, epoch)?;
        let root = MasterPublic::reload(&self.root, "invite root").ok()?;
        let owner = OwnerKey(root.blind(&chain.mailbox_factor(net)));
        Some(InviteMailbox::new(net, epoch, &chain, owner))
    }

    /// The key for bodies in the invite's mailboxes.
    #[must_use]
    pub fn outer_key(&self, net: &Network) -> Secret {
        kdf32(net, &self.secret, "outer-inv", &[])
    }

    /// The key for the body of the inviter's answer.
    #[must_use]
    pub fn answer_outer_key(&self, net: &Network) -> Secret {
        kdf32(net, &self.secret, "outer-msg2", &[])
    }

    fn chain(&self, net: &Network, epoch: Epoch) -> Option<Chain> {
        let steps = epoch.0.checked_sub(self.start_epoch.0)?;
        if epoch > self.last_epoch(net) || steps > MAX_CHAIN_STEPS {
            return None;
        }
        let start = Chain::new(*kdf32(net, &self.secret, "inv-chain", &[]));
        Some(start.after(net, steps))
    }
}

fn check_of(bytes: &[u8]) -> [u8; CHECK_LEN] {
    let [a, b, c, d, ..] = h(&[bytes]);
    [a, b, c, d]
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let code = strip_prefix_any_case(text, PREFIX).ok_or(InviteError::NotAnInvite)?;
        let code = Zeroizing::new(code.to_ascii_uppercase());
        if !code.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7')) {
            return Err(InviteError::NotAnInvite);
        }
        let bytes = BASE32_NOPAD
            .decode(code.as_bytes())
            .map_err(|_| InviteError::Truncated)?;
        Self::from_bytes(&Zeroizing::new(bytes))
    }
}

/// Shows nothing that would let others use it.
impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite")
            .field("ask", &self.ask)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

/// An invite's mailbox in one epoch, as all who know the invite see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteMailbox {
    /// The epoch.
    pub epoch: Epoch,
    /// The mailbox's name.
    pub mailbox: MailboxId,
    /// The mailbox.
    pub descriptor: Descriptor,
    /// The key that may write into it.
    pub writer: Writer,
}

impl InviteMailbox {
    fn new(net: &Network, epoch: Epoch, chain: &Chain, owner: OwnerKey) -> Self {
        let key = BlindedKey::from_seed(&kdf32(net, chain.expose(), "inv-write", &[]));
        let writer = Writer {
            key,
            leaf: 0,
            path: Vec::new(),
        };
        let descriptor = Descriptor::single(owner, &writer.write_key());
        Self {
            epoch,
            mailbox: descriptor.id(net),
            descriptor,
            writer,
        }
    }
}

/// What the inviter keeps until success or expiry: the seeds of D_inv and S_A.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct InviteSecrets {
    /// The Ed25519 seed of D_inv.
    pub root_seed: [u8; 32],
    /// The X25519 secret of S_A.
    pub handshake_secret: [u8; 32],
}

/// What an invite is made for.
#[derive(Debug, Clone)]
pub struct InviteTerms {
    /// Ask before the contact stands.
    pub ask: bool,
    /// The first epoch that has a mailbox: the current one.
    pub start_epoch: Epoch,
    /// When it ends (an expiry stamp).
    pub expiry: u32,
    /// Who invites.
    pub identity: IdentityKey,
    /// Where to ask first, 1 to 4.
    pub nodes: Vec<Entry>,
}

impl InviteSecrets {
    /// Makes the invite that goes with these secrets and the one-time secret k_inv; all three must be fresh.
    /// `None` without sky nodes or with more than four.
    #[must_use]
    pub fn invite(&self, net: &Network, secret: [u8; 32], terms: InviteTerms) -> Option<Invite> {
        let secret = Zeroizing::new(secret);
        if !(1..=MAX_NODES).contains(&terms.nodes.len()) {
            return None;
        }
        let handshake = x25519_dalek::StaticSecret::from(self.handshake_secret);
        Some(Invite {
            ask: terms.ask,
            net_id: net.id(),
            start_epoch: terms.start_epoch,
            expiry: terms.expiry,
            root: MasterSecret::from_seed(&self.root_seed).public().to_bytes(),
            handshake_key: x25519_dalek::PublicKey::from(&handshake).to_bytes(),
            secret,
            fingerprint: fingerprint(&terms.identity),
            nodes: terms.nodes,
        })
    }

    /// The key that rules the invite's mailbox of an epoch; none outside the invite's life.
    #[must_use]
    pub fn owner_key(&self, net: &Network, invite: &Invite, epoch: Epoch) -> Option<BlindedKey> {
        let chain = invite.chain(net, epoch)?;
        Some(MasterSecret::from_seed(&self.root_seed).blind(&chain.mailbox_factor(net)))
    }
}
