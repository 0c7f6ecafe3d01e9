//! What the friend acknowledged leaves the outbox.

use hermes_wire::{
    Wire as _,
    codec::Put as _,
    packet::{AckRanges, FrameKind},
};

use super::{
    super::{
        contacts::Contact,
        core::Core,
        event::{Alarm, Event, SendState},
        output::Table,
        rekey,
        timers::{ContactTimer, Timer},
    },
    Silence, deposit,
    outbox::OutFrame,
};
use crate::records;

/// The share of `gap_wait_s` after which a frame is offered anew when later ones were acknowledged and it was not: its
/// copy was lost, and the receiver shows what follows when `gap_wait_s` is over.
const HOLE_SHARE: u64 = 4;

/// Takes the acknowledgements of a packet.
pub(crate) fn apply_acks(contact: &mut Contact, acks: &AckRanges, core: &mut Core) {
    let Some(largest) = acks.largest() else {
        return;
    };
    check_numbers(contact, acks, core);
    let taken = contact.outbox.take_acked(acks);
    for (seq, frame) in &taken {
        leave(contact, *seq, frame, SendState::Delivered, core);
    }
    if !taken.is_empty() {
        progress(contact, core);
    }
    offer_holes(contact, largest, core);
    rekey::acknowledged(contact, &taken, core);
}

/// What follows when a frame left the outbox for good.
pub(crate) fn leave(
    contact: &mut Contact,
    seq: u64,
    frame: &OutFrame,
    state: SendState,
    core: &mut Core,
) {
    core.out
        .delete(Table::Outbox, records::frame_key(contact.id, seq));
    contact.reach.forget_frame(seq);
    if let Some(link) = &mut contact.reach.link
        && seq < link.cursor
    {
        link.in_flight = link.in_flight.saturating_sub(1);
    }
    if let Some(op) = frame.deposit {
        deposit::drop_frame(op, seq, core);
    }
    tell(contact, seq, frame, state, core);
}

/// Tells how far a frame is. The core's own frames are nobody's business.
pub(crate) fn tell(
    contact: &Contact,
    seq: u64,
    frame: &OutFrame,
    state: SendState,
    core: &mut Core,
) {
    if !is_core_kind(frame.kind) {
        core.out.event(Event::Sent {
            contact: contact.id,
            msg_id: frame.msg_id,
            conv_seq: seq,
            kind: frame.kind,
            state,
        });
    }
}

/// Whether frames of a kind are for the core and not for the application: all of 0x01 to 0x1f.
pub(crate) const fn is_core_kind(kind: FrameKind) -> bool {
    kind.code() < 0x20
}

/// The friend takes what we send: the timer starts anew, and the window may have room.
fn progress(contact: &mut Contact, core: &mut Core) {
    if let Some(link) = &mut contact.reach.link {
        link.silence = Silence::None;
    }
    core.timers
        .cancel(Timer::Contact(contact.id, ContactTimer::Retransmit));
    core.touch(contact.id);
}

/// Frames before an acknowledged one whose deposits should have arrived are soon deposited anew.
fn offer_holes(contact: &Contact, largest: u64, core: &mut Core) {
    let wait_ms = u64::from(core.net.params().gap_wait_s) * 1_000 / HOLE_SHARE;
    let mut last = None;
    for (seq, frame) in contact.outbox.from(0) {
        if seq >= largest {
            break;
        }
        if frame.deposit != last
            && let Some(op) = frame.deposit
        {
            last = Some(op);
            deposit::hurry(op, wait_ms, core);
        }
    }
}

/// A friend who confirms numbers that we never used has seen a later state of ours.
fn check_numbers(contact: &mut Contact, acks: &AckRanges, core: &mut Core) {
    let Some((from, to)) = contact.flow.skipped else {
        return;
    };
    if !acks.iter().any(|(first, last)| first < to && last >= from) {
        if acks.largest() >= Some(to) {
            // He knows what came after and nothing of what was left out.
            contact.flow.skipped = None;
            contact.changed.flow = true;
        }
        return;
    }
    contact.flow.skipped = None;
    contact.changed.flow = true;
    core.out.event(Event::Alarm(Alarm::RolledBack {
        contact: contact.id,
    }));
    // What was accepted since the old state was loaded bears numbers that the friend knows as others' names.
    let colliding: Vec<u64> = contact
        .outbox
        .from(0)
        .filter(|(seq, frame)| frame.since_load && *seq < to && acks.contains(*seq))
        .map(|(seq, _)| seq)
        .collect();
    for seq in colliding {
        renumber(contact, seq, core);
    }
}

/// Gives a frame a new number.
fn renumber(contact: &mut Contact, seq: u64, core: &mut Core) {
    let Some(mut frame) = contact.outbox.remove(seq) else {
        return;
    };
    core.out
        .delete(Table::Outbox, records::frame_key(contact.id, seq));
    contact.reach.forget_frame(seq);
    if let Some(op) = frame.deposit.take() {
        deposit::drop_frame(op, seq, core);
    }
    let fresh = contact.flow.next_seq;
    contact.flow.next_seq += 1;
    core.out.put(
        Table::Outbox,
        records::frame_key(contact.id, fresh),
        records::frame::encode_out(&frame),
    );
    contact.outbox.insert(fresh, frame);
    contact.reach.fresh.insert(fresh);
}

/// The lowest of the ranges, for a message that has little room.
pub(crate) fn first_ranges(received: &AckRanges) -> AckRanges {
    const RANGES: usize = 8;
    let mut bytes = Vec::new();
    bytes.put_u8(u8::try_from(received.len().min(RANGES)).unwrap_or_default());
    for (first, last) in received.iter().take(RANGES) {
        bytes.put_u64(first);
        bytes.put_u64(last);
    }
    AckRanges::decode(&bytes).unwrap_or_default()
}
