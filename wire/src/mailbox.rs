//! Mailboxes and positions on the ring (protocol section 6).

use crate::codec::{DecodeError, Put, Reader, Wire};
use crate::ids::{MailboxId, NodeKey, OwnerKey, Position, PresenceKey, WriteKey};
use crate::kdf::h;
use crate::network::Network;
use crate::slots::{Hash, leaf};

/// Who may write into a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// One write key (invites).
    Single,
    /// The four sub-slots of each of 64 friends.
    Slots,
}

impl Policy {
    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Single => 0,
            Self::Slots => 1,
        }
    }

    /// How many levels a path to a write key has.
    #[must_use]
    pub const fn depth(self) -> u8 {
        match self {
            Self::Single => 0,
            Self::Slots => 8,
        }
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn leaves(self) -> u16 {
        1 << self.depth()
    }

    /// Reads `policy u8 ‖ depth u8`, which must agree.
    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let policy = match r.u8()? {
            0 => Self::Single,
            1 => Self::Slots,
            other => {
                return Err(DecodeError::Value {
                    field: "policy",
                    value: other.into(),
                });
            }
        };
        r.expect_u8("depth", policy.depth())?;
        Ok(policy)
    }
}

/// All that defines a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// Who may write.
    pub policy: Policy,
    /// Who rules.
    pub owner: OwnerKey,
    /// The root over the write keys.
    pub root: Hash,
}

impl Descriptor {
    /// Its length in bytes.
    pub const LEN: usize = 66;

    /// A mailbox for a whole generation.
    #[must_use]
    pub const fn slots(owner: OwnerKey, root: Hash) -> Self {
        Self {
            policy: Policy::Slots,
            owner,
            root,
        }
    }

    /// A mailbox with one write key.
    #[must_use]
    pub fn single(owner: OwnerKey, key: &WriteKey) -> Self {
        Self {
            policy: Policy::Single,
            owner,
            root: leaf(key.as_bytes()),
        }
    }

    /// The mailbox's name.
    #[must_use]
    pub fn id(&self, net: &Network) -> MailboxId {
        let head = [self.policy.code(), self.policy.depth()];
        MailboxId(h(&[
            b"hermes/1 mbx",
            net.id().as_bytes(),
            &head,
            self.owner.as_bytes(),
            &self.root,
        ]))
    }
}

impl Wire for Descriptor {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.policy.code());
        out.put_u8(self.policy.depth());
        out.put(self.owner.as_bytes());
        out.put(&self.root);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            policy: Policy::read(r)?,
            owner: OwnerKey(r.array()?),
            root: r.array()?,
        })
    }
}

/// `pos(label, id, k)`.
#[must_use]
pub fn position(label: &str, id: &[u8], k: u8) -> Position {
    let mut head = Vec::with_capacity(16);
    crate::kdf::push_label(&mut head, label);
    Position(h(&[b"hermes/1 ring", &head, &[0; 32], id, &[k]]))
}

/// Where a mailbox lies; `k` is 0, or 1 for the second, independent position.
#[must_use]
pub fn mailbox_position(id: &MailboxId, k: u8) -> Position {
    position("mbx", id.as_bytes(), k)
}

/// Where a presence key lies.
#[must_use]
pub fn presence_position(key: &PresenceKey) -> Position {
    position("presence", key.as_bytes(), 0)
}

/// The point of a keeper.
#[must_use]
pub fn keeper_point(key: &NodeKey) -> Position {
    position("earth", key.as_bytes(), 0)
}
