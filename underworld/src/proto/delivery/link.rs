//! Pushing frames over a direct link.
//!
//! The link carries everything unacknowledged, in order of the numbers, as far as the window allows; each packet also
//! acknowledges what was received. QUIC loses nothing on a link that stands, so a missing acknowledgement means that the
//! friend is gone, or slow, or could not take something: what is unacknowledged goes to keepers as well, later it is
//! encrypted and sent again, and a link that never brings acknowledgements is given up.

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

/// How long acknowledgements may stay out on a link before the next [`Silence`].
///
/// A friend's daemon acknowledges within milliseconds of its disk, and one that was killed says nothing; so keepers are
/// asked soon. A slow line takes long for a large packet, so the link itself is given time: taking it down would start
/// the packet anew.
const SILENCE_MS: [u64; 3] = [1_500, 10_000, 20_000];

/// How long nothing was acknowledged although frames are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Silence {
    /// Not remarkably long.
    None,
    /// Long enough to bring the frames to keepers as well.
    Noticed,
    /// Long enough to send everything on the link again.
    Repeated,
}

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
    pub(crate) silence: Silence,
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
            silence: Silence::None,
            greeted: false,
            heard: false,
        }
    }

    /// Has everything unacknowledged sent on it again.
    pub(crate) fn start_over(&mut self) {
        self.cursor = 0;
        self.in_flight = 0;
        self.greeted = false;
    }

    /// Whether frames for it are brought to keepers as well.
    pub(crate) fn is_silent(&self) -> bool {
        self.silence > Silence::None
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
                let [noticed, repeated, given_up] = SILENCE_MS;
                let wait = match link.silence {
                    Silence::None => noticed,
                    Silence::Noticed => repeated,
                    Silence::Repeated => given_up,
                };
                core.timers.set(timer, core.now.after_ms(wait));
            }
        }
        _ => core.timers.cancel(timer),
    }
}

/// Acknowledgements stayed out: asks keepers as well, then sends everything again, then gives the link up.
pub(crate) fn silent(contact: &mut Contact, core: &mut Core) -> Verdict {
    let Some(link) = &mut contact.reach.link else {
        return Verdict::Fine;
    };
    core.touch(contact.id);
    match link.silence {
        Silence::None => {
            link.silence = Silence::Noticed;
            let uncovered = contact.outbox.uncovered();
            contact.reach.fresh.extend(uncovered);
        }
        Silence::Noticed => {
            link.silence = Silence::Repeated;
            link.start_over();
        }
        Silence::Repeated => return Verdict::GiveUp(link.id),
    }
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
