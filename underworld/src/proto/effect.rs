//! What the core asks of the network.
//!
//! [`Effect::Presence`] and [`Effect::Mailboxes`] are wishes: each replaces the one before, and the driver keeps reality
//! equal to it, with retries of its own, until the next. The others are orders, carried out once; those with an
//! operation or a token are answered by an input of the core.

use std::{fmt, net::SocketAddr, time::Duration};

use hermes_wire::{
    blind::BlindedKey,
    ids::{Epoch, MailboxId, Position, PresenceKey},
    mailbox::Descriptor,
    slots::Hash,
};
use zeroize::Zeroizing;

use super::ids::{DepositOp, IncomingKnockId, KnockOp, LinkId, LinkToken};

/// Something to be done on the network, after the cycle's writes are synced.
pub enum Effect {
    /// Be present under exactly these keys. A key that is no longer in the set stays registered until the others stand.
    /// The core hears of it by `handle_presence`.
    Presence(Vec<PresenceWish>),
    /// Fetch from, and where so marked watch, exactly these mailboxes, at the keepers of both positions.
    Mailboxes(Vec<MailboxWish>),
    /// Bring a deposit to the keepers of a position. Each receipt is handed to `handle_receipt`, each refusal to
    /// `handle_deposit_refused`; `handle_deposit_ended` follows when all candidates were asked or none is left.
    Deposit {
        /// Names it in the answers.
        op: DepositOp,
        /// The mailbox.
        mailbox: MailboxId,
        /// Where its keepers are.
        position: Position,
        /// The deposit.
        record: Vec<u8>,
    },
    /// Stop bringing a deposit to keepers; nothing is answered any more.
    CancelDeposit {
        /// The operation.
        op: DepositOp,
    },
    /// Send a DELETE to all keepers of a mailbox of ours.
    Delete(OwnerRequest),
    /// Send a REVOKE to all keepers of a mailbox of ours.
    Revoke(OwnerRequest),
    /// Knock at a friend; answered by `handle_knock_result`.
    Knock {
        /// Names it in the answer.
        op: KnockOp,
        /// The friend's presence key.
        presence: PresenceKey,
        /// Where its presence node is.
        position: Position,
        /// The body of the KNOCK request.
        knock: Vec<u8>,
    },
    /// Answer a knock that `handle_incoming_knock` brought.
    AnswerKnock {
        /// Which one.
        id: IncomingKnockId,
        /// The sealed answer, or `None` to stay silent.
        answer: Option<Vec<u8>>,
    },
    /// Let one friend in who comes with this tag and key; reported by `handle_link_up`.
    Expect {
        /// Names the link-to-be.
        link: LinkToken,
        /// What the friend's server name holds.
        tag: [u8; 16],
        /// The seed of the key that we present.
        our_seed: Zeroizing<[u8; 32]>,
        /// The key that he must present.
        their_key: [u8; 32],
        /// How long to wait for him.
        ttl: Duration,
    },
    /// Dial a friend who answered a knock; reported by `handle_link_up` or `handle_dial_failed`.
    Dial {
        /// Names the link-to-be.
        link: LinkToken,
        /// His addresses, to be tried together.
        addrs: Vec<SocketAddr>,
        /// What the server name holds.
        tag: [u8; 16],
        /// The seed of the key that we present.
        our_seed: Zeroizing<[u8; 32]>,
        /// The key that he must present.
        their_key: [u8; 32],
    },
    /// Push a packet over a link.
    SendLink {
        /// The link.
        link: LinkId,
        /// The body of the PACKET push.
        packet: Vec<u8>,
    },
    /// Close a link for good reason, after what was sent on it before.
    CloseLink {
        /// The link.
        link: LinkId,
    },
}

/// A name under which we want to be present at sky.
#[derive(Clone, PartialEq, Eq)]
pub struct PresenceWish {
    /// The name.
    pub presence: PresenceKey,
    /// The key that signs for it.
    pub owner: BlindedKey,
    /// The root over the knock keys of friends.
    pub knock_root: Hash,
    /// Slots whose knocks are refused, one bit each.
    pub refused: u64,
    /// The epoch it belongs to.
    pub epoch: Epoch,
    /// The part of that epoch.
    pub part: u8,
    /// Where its presence node is.
    pub position: Position,
}

/// A mailbox of ours whose deposits we want.
#[derive(Clone, PartialEq, Eq)]
pub struct MailboxWish {
    /// The mailbox's name, as `handle_deposits` and `handle_fetched` want it.
    pub mailbox: MailboxId,
    /// What defines it.
    pub descriptor: Descriptor,
    /// The key that proves that it is ours.
    pub owner: BlindedKey,
    /// The epoch it belongs to.
    pub epoch: Epoch,
    /// Where its keepers are: the first and the second, independent position.
    pub positions: [Position; 2],
    /// Whether more may still arrive or it is only read to the end.
    pub reading: Reading,
}

/// How a mailbox is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Watch first, then fetch all; report the pass, and go on watching.
    Watch,
    /// Fetch all once and report the pass; after a complete one the mailbox leaves the wish.
    Once,
}

/// A request that the owner of a mailbox signed. It is bound to no channel and may be sent to any keeper, repeatedly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRequest {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Where its keepers are.
    pub positions: [Position; 2],
    /// The body of the request.
    pub request: Vec<u8>,
}

/// Tells the kind and what names it; no keys and no bytes.
impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presence(wishes) => write!(f, "Presence({})", wishes.len()),
            Self::Mailboxes(wishes) => write!(f, "Mailboxes({})", wishes.len()),
            Self::Deposit { op, record, .. } => write!(f, "Deposit({op}, {} bytes)", record.len()),
            Self::CancelDeposit { op } => write!(f, "CancelDeposit({op})"),
            Self::Delete(request) => write!(f, "Delete({} bytes)", request.request.len()),
            Self::Revoke(_) => f.write_str("Revoke"),
            Self::Knock { op, .. } => write!(f, "Knock({op})"),
            Self::AnswerKnock { id, answer } => {
                write!(f, "AnswerKnock({id}, {})", answer.is_some())
            }
            Self::Expect { link, .. } => write!(f, "Expect({link})"),
            Self::Dial { link, addrs, .. } => write!(f, "Dial({link}, {} addresses)", addrs.len()),
            Self::SendLink { link, packet } => {
                write!(f, "SendLink({link}, {} bytes)", packet.len())
            }
            Self::CloseLink { link } => write!(f, "CloseLink({link})"),
        }
    }
}

impl fmt::Debug for PresenceWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (epoch, part) = (self.epoch, self.part);
        write!(f, "PresenceWish({epoch}, part {part})")
    }
}

impl fmt::Debug for MailboxWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailboxWish({}, {:?})", self.epoch, self.reading)
    }
}
