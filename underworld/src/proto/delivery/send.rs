//! Accepting frames into the outbox.

use hermes_wire::{
    ids::MessageId,
    packet::{FrameKind, PACKET_MAX},
};

use super::{
    super::{
        contacts::{Contact, ContactState},
        core::Core,
        event::{SendState, Waiting},
        output::Table,
        timers::{ContactTimer, Timer},
    },
    OutFrame,
    acks::tell,
};
use crate::records;

/// Bytes of a frame's body. With the heads of frame and packet and 32 acknowledgements it still fits one packet.
pub const BODY_MAX: usize = PACKET_MAX - 1_024;

/// A frame that the application wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// What it is.
    pub kind: FrameKind,
    /// Whether a friend who does not know the kind has to say so.
    pub critical: bool,
    /// Its content.
    pub body: Vec<u8>,
    /// Its name; a random one if absent.
    pub msg_id: Option<MessageId>,
    /// After how long the sender no longer cares; never if absent.
    pub expires_in_s: Option<u64>,
    /// Whether it takes the place of a former one.
    pub coalesce: Coalesce,
}

/// What becomes of a frame of the same kind that still waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coalesce {
    /// Both are sent.
    Never,
    /// If the newest of its kind was never encrypted, it takes on the new content instead.
    Replace,
}

/// A frame is safe in the outbox, once the cycle is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its name.
    pub msg_id: MessageId,
    /// Its number in the conversation.
    pub conv_seq: u64,
}

/// A frame is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no such contact.
    #[error("no such contact")]
    UnknownContact,
    /// Nothing can be sent to a contact in this state.
    #[error("nothing can be sent to a contact that is {state}")]
    NotNow {
        /// The contact's state.
        state: ContactState,
    },
    /// The body is too long.
    #[error("the body has {len} bytes, at most {max} are possible")]
    TooLong {
        /// Its bytes.
        len: usize,
        /// The most.
        max: usize,
    },
    /// Too much waits for this contact already.
    #[error("{waiting} messages wait for this contact already")]
    OutboxFull {
        /// How many.
        waiting: usize,
    },
}

/// Puts a frame into the outbox.
pub(crate) fn accept(
    contact: &mut Contact,
    outgoing: Outgoing,
    core: &mut Core,
) -> Result<Accepted, SendError> {
    let state = contact.state();
    let waits = match state {
        ContactState::Established => None,
        ContactState::Requested | ContactState::Asked | ContactState::Accepted => {
            Some(Waiting::Contact)
        }
        ContactState::Blocked | ContactState::Removed | ContactState::Failed(_) => {
            return Err(SendError::NotNow { state });
        }
    };
    let len = outgoing.body.len();
    if len > BODY_MAX {
        return Err(SendError::TooLong { len, max: BODY_MAX });
    }
    if !contact.outbox.has_room(len) {
        let waiting = contact.outbox.len();
        return Err(SendError::OutboxFull { waiting });
    }
    let replaced = match outgoing.coalesce {
        Coalesce::Replace => contact.outbox.untouched_last(outgoing.kind),
        Coalesce::Never => None,
    };
    let (seq, msg_id) = match replaced.and_then(|seq| Some((seq, contact.outbox.get(seq)?.msg_id)))
    {
        Some(same) => same,
        None => {
            let fresh = contact.flow.next_seq;
            contact.flow.next_seq += 1;
            contact.changed.flow = true;
            (
                fresh,
                outgoing
                    .msg_id
                    .unwrap_or_else(|| MessageId(core.random.bytes())),
            )
        }
    };
    let frame = OutFrame {
        kind: outgoing.kind,
        critical: outgoing.critical,
        msg_id,
        sent_at_ms: core.now.unix_ms,
        expires_at_ms: outgoing
            .expires_in_s
            .map(|s| core.now.unix_ms.saturating_add(s.saturating_mul(1_000))),
        body: outgoing.body,
        touched: false,
        since_load: true,
        deposit: None,
    };
    let key = records::frame_key(contact.id, seq);
    core.out
        .put(Table::Outbox, key, records::frame::encode_out(&frame));
    tell(contact, seq, &frame, SendState::Queued { why: waits }, core);
    if let Some(at) = frame.expires_at_ms {
        let timer = Timer::Contact(contact.id, ContactTimer::Expire);
        core.timers.set_earlier(timer, core.now.at_unix_ms(at));
    }
    contact.outbox.insert(seq, frame);
    // On a link it is pushed when the cycle ends; should the link go before, it is found uncovered.
    if contact.reach.needs_keepers() {
        contact.reach.fresh.insert(seq);
    }
    core.touch(contact.id);
    Ok(Accepted {
        msg_id,
        conv_seq: seq,
    })
}

/// Puts a frame of the core itself into the outbox; gives its number.
pub(crate) fn accept_core(
    contact: &mut Contact,
    kind: FrameKind,
    body: Vec<u8>,
    core: &mut Core,
) -> Option<u64> {
    let outgoing = Outgoing {
        kind,
        critical: false,
        body,
        msg_id: None,
        expires_in_s: None,
        coalesce: Coalesce::Never,
    };
    accept(contact, outgoing, core)
        .ok()
        .map(|accepted| accepted.conv_seq)
}

/// Puts something else under a number that is not acknowledged.
pub(crate) fn replace(
    contact: &mut Contact,
    seq: u64,
    kind: FrameKind,
    body: Vec<u8>,
    core: &mut Core,
) {
    let Some(mut frame) = contact.outbox.remove(seq) else {
        return;
    };
    frame.kind = kind;
    frame.body = body;
    let key = records::frame_key(contact.id, seq);
    core.out
        .put(Table::Outbox, key, records::frame::encode_out(&frame));
    contact.outbox.insert(seq, frame);
}

/// Gives up frames whose time is over.
pub(crate) fn expire(contact: &mut Contact, core: &mut Core) {
    for (seq, frame) in contact.outbox.take_expired(core.now.unix_ms) {
        super::acks::leave(contact, seq, &frame, SendState::Expired, core);
        core.touch(contact.id);
    }
    if let Some(at) = contact.outbox.next_expiry_ms() {
        let timer = Timer::Contact(contact.id, ContactTimer::Expire);
        core.timers.set(timer, core.now.at_unix_ms(at));
    }
}
