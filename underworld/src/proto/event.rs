//! What the core tells the application.
//!
//! Events of a cycle belong into the same transaction as its writes: the application stores what it makes of them (a
//! line of history, an entry of the event log) before anybody sees it.

use hermes_wire::{ids::MessageId, packet::FrameKind};

use super::{
    contacts::{ContactState, FailReason},
    ids::{ContactId, InviteId},
};

/// News for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A friend's frame, in his order; exactly once.
    Received(Received),
    /// Frames of a friend are missing before the next one that is shown: he gave them up, or they were waited for too
    /// long. What arrives of them later is marked as late.
    Gap {
        /// The friend.
        contact: ContactId,
        /// How many.
        missing: u64,
    },
    /// A frame of ours came further.
    Sent {
        /// To whom.
        contact: ContactId,
        /// Its name.
        msg_id: MessageId,
        /// Its number.
        conv_seq: u64,
        /// What it is.
        kind: FrameKind,
        /// How far it is now.
        state: SendState,
    },
    /// A contact came into being or into another state.
    Contact {
        /// Which one.
        contact: ContactId,
        /// The state it is in now.
        state: ContactState,
    },
    /// A contact calls himself otherwise now.
    Profile {
        /// Which one.
        contact: ContactId,
        /// His name for himself.
        name: String,
        /// A number of the palette.
        colour: u8,
    },
    /// A direct link to a contact stands, or none does any more.
    Link {
        /// Which one.
        contact: ContactId,
        /// What is the case now.
        link: LinkState,
    },
    /// An invite of ours is in another state.
    Invite {
        /// Which one.
        invite: InviteId,
        /// Its state now.
        state: InviteState,
    },
    /// A new session with a contact is in use.
    SessionRenewed {
        /// Which one.
        contact: ContactId,
        /// Why there is a new one.
        reason: Renewal,
    },
    /// Something that a person should see.
    Alarm(Alarm),
}

/// A friend's frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// From whom.
    pub contact: ContactId,
    /// From which device of his.
    pub device: u16,
    /// Its number, 0 for one that is not numbered.
    pub conv_seq: u64,
    /// Its name.
    pub msg_id: MessageId,
    /// What it is.
    pub kind: FrameKind,
    /// Whether somebody who does not know the kind has to say so.
    pub critical: bool,
    /// When it was sent, in Unix milliseconds by his clock.
    pub sent_at_ms: u64,
    /// Its content; [`crate::chat::read`] reads it.
    pub body: Vec<u8>,
    /// Whether it comes after frames that it should have come before.
    pub order: Order,
    /// How it came.
    pub via: Via,
}

/// Whether a frame is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// After all before it.
    InOrder,
    /// After some that follow it, because it was waited for too long.
    Late,
}

/// The way that a frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Over a direct link.
    Link,
    /// Through keepers.
    Keepers,
}

/// How far a frame of ours is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendState {
    /// It is safe on our own disk and waits.
    Queued {
        /// For what, if more can be said than that it has just been accepted.
        why: Option<Waiting>,
    },
    /// Enough keepers hold it.
    Kept {
        /// Keepers that signed for it.
        receipts: u32,
        /// Keepers that it is offered to.
        of: u32,
        /// Until when they hold it, in Unix seconds.
        until_s: u64,
    },
    /// The friend has it durably.
    Delivered,
    /// The time that the sender gave passed without acknowledgement; it may have been seen.
    Expired,
    /// It will not be delivered: the contact is gone.
    Failed,
}

/// What a frame waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Too few keepers hold it.
    Keepers {
        /// How many do.
        held_by: u32,
        /// How many are wanted.
        wanted: u32,
    },
    /// The contact is not established.
    Contact,
}

/// Whether a friend is reachable this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// A direct link stands.
    Up,
    /// None does.
    Down,
}

/// Where an invite of ours stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteState {
    /// It can be used.
    Open,
    /// Somebody used it; this is the contact.
    Used(ContactId),
    /// Its time is over.
    Expired,
    /// It was withdrawn.
    Revoked,
}

/// In a word, for errors.
impl std::fmt::Display for InviteState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Used(_) => "used",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        })
    }
}

/// Why a session was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The regular post-quantum re-keying.
    Rekey,
    /// One side had lost its state.
    Recovery,
}

/// Something that a person should see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alarm {
    /// A second person used an invite; it was not answered. The invite was seen by somebody it was not meant for.
    InviteUsedTwice {
        /// The invite.
        invite: InviteId,
        /// Who used it first.
        contact: ContactId,
    },
    /// A contact confirms messages that we never sent: our store is older than what was sent from it.
    RolledBack {
        /// The contact that shows it.
        contact: ContactId,
    },
    /// A recovery was asked for although the old session is alive: somebody may hold a copy of the friend's keys.
    RecoveryWhileAlive {
        /// The contact.
        contact: ContactId,
    },
    /// The session with a contact cannot be repaired automatically any more today.
    RecoveryLimit {
        /// The contact.
        contact: ContactId,
    },
    /// A contact could not be made.
    ContactFailed {
        /// The contact.
        contact: ContactId,
        /// Why.
        reason: FailReason,
    },
}

/// Hides the body.
impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received")
            .field("contact", &self.contact)
            .field("conv_seq", &self.conv_seq)
            .field("kind", &self.kind)
            .field("order", &self.order)
            .field("via", &self.via)
            .finish_non_exhaustive()
    }
}
