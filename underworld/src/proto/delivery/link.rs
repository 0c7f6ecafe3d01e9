//! Pushing frames over a direct link.
//!
//! The link carries everything unacknowledged, in order of the numbers, as far as the window allows; each packet also
//! acknowledges what was received. QUIC loses nothing on a link that stands, so a missing acknowledgement means that the
//! friend could not take something: after a while all that is unacknowledged is encrypted and sent again, and a link
//! that never brings acknowledgements is given up.

use std::time::Instant;

use hermes_wire::{
    Wire as _,
    packet::{AckRanges, FIRST_DEVICE, FRAMES_MAX, PACKET_MAX, Packet},
};

use super::super::{
    contacts::Contact,
    core::Core,
    effect::Effect,
    ids::LinkId,
    timers::{ContactTimer, Timer},
};

/// Frames that may be unacknowledged on one link.
pub(crate) const WINDOW_FRAMES: usize = 4_096;

/// How long an acknowledgement may take on a link, at first; doubled with every repetition.
///
/// A friend's daemon acknowledges within milliseconds of its disk; one that was killed says nothing, and until its link is given up
/// nothing is brought to keepers. So the time is short, and what comes twice because of it is recognised.
const RETRANSMIT_MS: u64 = 1_500;

/// Repetitions without any acknowledgement after which a link is given up.
const RETRANSMISSIONS_MAX: u32 = 1;

/// A direct link that stands.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) dialled_by_us: bool,
    pub(crate) up_at: Instant,
    /// The number of the next frame to send on it.
    pub(crate) cursor: u64,
    /// Frames below the cursor that are unacknowledged.
    pub(crate) in_flight: usize,
    /// Repetitions since the last acknowledgement.
    pub(crate) repetitions: u32,
    /// Whether all that was received has been acknowledged on this link once.
    pub(crate) greeted: bool,
    /// Whether a message that came over it decrypted.
    pub(crate) heard: bool,
}

impl Link {
    pub(crate) const fn new(id: LinkId, dialled_by_us: bool, up_at: Instant) -> Self {
        Self {
            id,
            dialled_by_us,
            up_at,
            cursor: 0,
            in_flight: 0,
            repetitions: 0,
            greeted: false,
            heard: false,
        }
    }
}

/// Sends what the link may carry now.
pub(crate) fn push(contact: &mut Contact, core: &mut Core) {
    while contact.sessions.can_send() && push_packet(contact, core) {}
    arm(contact, core);
}

/// Sends one packet if there is something to say; gives whether there was.
fn push_packet(contact: &mut Contact, core: &mut Core) -> bool {
    let Some(link) = &mut contact.reach.link else {
        return false;
    };
    let says_acks = contact.flow.owes_ack || !link.greeted;
    let mut packet = Packet {
        device: FIRST_DEVICE,
        floor: contact.outbox.first().unwrap_or(contact.flow.next_seq),
        acks: if says_acks {
            contact.flow.inflow.received.for_packet()
        } else {
            AckRanges::new()
        },
        frames: Vec::new(),
    };
    let mut size = packet.encoded_len();
    let room = WINDOW_FRAMES.saturating_sub(link.in_flight).min(FRAMES_MAX);
    for (seq, frame) in contact.outbox.from(link.cursor).take(room) {
        size += frame.wire_len();
        if size > PACKET_MAX {
            break;
        }
        packet.frames.push(frame.to_wire(seq));
    }
    if packet.frames.is_empty() && !says_acks {
        return false;
    }
    let sent: Vec<u64> = packet.frames.iter().map(|frame| frame.conv_seq).collect();
    link.in_flight += sent.len();
    link.cursor = sent.last().map_or(link.cursor, |last| last + 1);
    link.greeted = true;
    let id = link.id;
    for seq in sent {
        if let Some(frame) = contact.outbox.get_mut(seq) {
            frame.touched = true;
        }
    }
    let Ok(message) = contact.sessions.encrypt(&packet.to_bytes()) else {
        return false;
    };
    note_sent(contact, core);
    contact.flow.owes_ack = false;
    contact.reach.ack_due = false;
    core.out.effect(Effect::SendLink {
        link: id,
        packet: message.to_bytes(),
    });
    true
}

/// Counts a session message.
pub(crate) fn note_sent(contact: &mut Contact, core: &mut Core) {
    contact.flow.sent_in_session = contact.flow.sent_in_session.saturating_add(1);
    contact.changed.flow = true;
    core.touch(contact.id);
}

/// Sets or stops the timer for missing acknowledgements.
fn arm(contact: &Contact, core: &mut Core) {
    let timer = Timer::Contact(contact.id, ContactTimer::Retransmit);
    match &contact.reach.link {
        Some(link) if link.in_flight > 0 => {
            if !core.timers.is_set(timer) {
                let wait = RETRANSMIT_MS << link.repetitions.min(RETRANSMISSIONS_MAX);
                core.timers.set(timer, core.now.after_ms(wait));
            }
        }
        _ => core.timers.cancel(timer),
    }
}

/// Acknowledgements stayed out: sends everything again, or gives the link up.
pub(crate) fn retransmit(contact: &mut Contact, core: &mut Core) -> Verdict {
    let Some(link) = &mut contact.reach.link else {
        return Verdict::Fine;
    };
    link.repetitions += 1;
    if link.repetitions > RETRANSMISSIONS_MAX {
        return Verdict::GiveUp(link.id);
    }
    link.cursor = 0;
    link.in_flight = 0;
    link.greeted = false;
    core.touch(contact.id);
    Verdict::Fine
}

/// What is to be done with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Fine,
    /// It is closed.
    GiveUp(LinkId),
}
