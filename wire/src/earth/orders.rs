//! What the owner of a mailbox signs: the proof of ownership for a channel, deletions, revocations.

use crate::blind::BlindedKey;
use crate::codec::{DecodeError, Put, Reader, Wire};
use crate::ids::{Binding, DepositId, MailboxId, NodeKey};
use crate::mailbox::Descriptor;
use crate::network::Network;
use crate::sign::{self, Sig, SignatureError};

/// The most deposits that one request deletes.
pub const MAX_DELETE: usize = 2_048;

/// Proof of ownership of a mailbox on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The mailbox.
    pub descriptor: Descriptor,
    sig: Sig,
}

impl Open {
    /// Signs for the channel with this binding to this keeper.
    #[must_use]
    pub fn sign(
        net: &Network,
        key: &BlindedKey,
        descriptor: Descriptor,
        binding: &Binding,
        node: &NodeKey,
    ) -> Self {
        let mailbox = descriptor.id(net);
        let sig = key.sign(
            net,
            "fetch",
            &[binding.as_bytes(), node.as_bytes(), mailbox.as_bytes()],
        );
        Self { descriptor, sig }
    }

    /// Checks the proof and gives the mailbox's name.
    ///
    /// # Errors
    /// If it is not the owner's, or for another channel.
    pub fn verify(
        &self,
        net: &Network,
        binding: &Binding,
        node: &NodeKey,
    ) -> Result<MailboxId, SignatureError> {
        let mailbox = self.descriptor.id(net);
        let body: &[&[u8]] = &[binding.as_bytes(), node.as_bytes(), mailbox.as_bytes()];
        sign::verify(
            net,
            self.descriptor.owner.as_bytes(),
            "fetch",
            body,
            &self.sig,
        )?;
        Ok(mailbox)
    }
}

impl Wire for Open {
    fn encode(&self, out: &mut Vec<u8>) {
        self.descriptor.encode(out);
        out.put(&self.sig);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            descriptor: Descriptor::read(r)?,
            sig: r.array()?,
        })
    }
}

/// An owner's order to delete deposits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// The mailbox.
    pub descriptor: Descriptor,
    /// What makes this order differ from others.
    pub random: [u8; 16],
    ids: Vec<DepositId>,
    sig: Sig,
}

impl Delete {
    /// Signs an order; `None` without ids or with more than [`MAX_DELETE`].
    #[must_use]
    pub fn sign(
        net: &Network,
        key: &BlindedKey,
        descriptor: Descriptor,
        random: [u8; 16],
        ids: Vec<DepositId>,
    ) -> Option<Self> {
        if ids.is_empty() || ids.len() > MAX_DELETE {
            return None;
        }
        let mut delete = Self {
            descriptor,
            random,
            ids,
            sig: [0; 64],
        };
        delete.sig = key.sign(
            net,
            "delete",
            &[descriptor.id(net).as_bytes(), &delete.tail()],
        );
        Some(delete)
    }

    /// Checks the order and gives the mailbox's name.
    ///
    /// # Errors
    /// If it is not the owner's.
    pub fn verify(&self, net: &Network) -> Result<MailboxId, SignatureError> {
        let mailbox = self.descriptor.id(net);
        let body: &[&[u8]] = &[mailbox.as_bytes(), &self.tail()];
        sign::verify(
            net,
            self.descriptor.owner.as_bytes(),
            "delete",
            body,
            &self.sig,
        )?;
        Ok(mailbox)
    }

    /// The deposits to delete.
    #[must_use]
    pub fn ids(&self) -> &[DepositId] {
        &self.ids
    }

    /// `random ‖ n ‖ ids`
    fn tail(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(18 + 32 * self.ids.len());
        out.put(&self.random);
        out.put_u16(u16::try_from(self.ids.len()).unwrap_or(u16::MAX));
        for id in &self.ids {
            id.encode(&mut out);
        }
        out
    }
}

impl Wire for Delete {
    fn encode(&self, out: &mut Vec<u8>) {
        self.descriptor.encode(out);
        out.put(&self.tail());
        out.put(&self.sig);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let descriptor = Descriptor::read(r)?;
        let random = r.array()?;
        let n = r.count16("ids to delete", 1, MAX_DELETE)?;
        let ids = (0..n)
            .map(|_| DepositId::read(r))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            descriptor,
            random,
            ids,
            sig: r.array()?,
        })
    }
}

/// An owner's order to refuse write keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    /// The mailbox.
    pub descriptor: Descriptor,
    /// What makes this order differ from others.
    pub random: [u8; 16],
    first: u16,
    end: u16,
    sig: Sig,
}

impl Revoke {
    /// Signs an order for the leaves `first..end`; `None` when there are no such leaves.
    #[must_use]
    pub fn sign(
        net: &Network,
        key: &BlindedKey,
        descriptor: Descriptor,
        random: [u8; 16],
        leaves: std::ops::Range<u16>,
    ) -> Option<Self> {
        let (first, end) = (leaves.start, leaves.end);
        if first >= end || end > descriptor.policy.leaves() {
            return None;
        }
        let mut revoke = Self {
            descriptor,
            random,
            first,
            end,
            sig: [0; 64],
        };
        revoke.sig = key.sign(
            net,
            "revoke-leaf",
            &[descriptor.id(net).as_bytes(), &revoke.tail()],
        );
        Some(revoke)
    }

    /// Checks the order and gives the mailbox's name.
    ///
    /// # Errors
    /// If it is not the owner's.
    pub fn verify(&self, net: &Network) -> Result<MailboxId, SignatureError> {
        let mailbox = self.descriptor.id(net);
        let body: &[&[u8]] = &[mailbox.as_bytes(), &self.tail()];
        sign::verify(
            net,
            self.descriptor.owner.as_bytes(),
            "revoke-leaf",
            body,
            &self.sig,
        )?;
        Ok(mailbox)
    }

    /// The leaves that are refused from now on.
    #[must_use]
    pub const fn leaves(&self) -> std::ops::Range<u16> {
        self.first..self.end
    }

    /// `random ‖ first ‖ end`
    fn tail(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20);
        out.put(&self.random);
        out.put_u16(self.first);
        out.put_u16(self.end);
        out
    }
}

impl Wire for Revoke {
    fn encode(&self, out: &mut Vec<u8>) {
        self.descriptor.encode(out);
        out.put(&self.tail());
        out.put(&self.sig);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let descriptor = Descriptor::read(r)?;
        let (random, first, end) = (r.array()?, r.u16()?, r.u16()?);
        if first >= end || end > descriptor.policy.leaves() {
            return Err(DecodeError::Value {
                field: "leaves to revoke",
                value: end.into(),
            });
        }
        Ok(Self {
            descriptor,
            random,
            first,
            end,
            sig: r.array()?,
        })
    }
}
