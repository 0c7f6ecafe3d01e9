//! A decrypted packet: acknowledgements, floor and frames.

use hermes_wire::{
    Wire as _,
    packet::{Body, Frame, FrameKind, Packet},
};

use super::{
    super::{
        contacts::Contact,
        core::Core,
        delivery::apply_acks,
        event::{Event, Order, Received, Via},
        output::Table,
        recovery, rekey,
        timers::{ContactTimer, Timer},
    },
    Held, Patience,
    order::{Accepted, Step},
};
use crate::records;

/// Takes a packet of a contact. One that breaks the form is passed over: its sender is broken, and nothing he says
/// can be relied on.
pub(crate) fn read_packet(
    contact: &mut Contact,
    generation: u16,
    plain: &[u8],
    via: Via,
    core: &mut Core,
) {
    let Ok(packet) = Packet::decode(plain) else {
        return;
    };
    let device = contact.card.peer.as_ref().map(|peer| peer.device);
    if device != Some(packet.device) {
        return;
    }
    recovery::heard(contact, generation, &packet, via, core);
    apply_acks(contact, &packet.acks, core);
    contact.flow.inflow.raise_floor(packet.floor);
    let mut numbered = false;
    for frame in packet.frames {
        numbered |= frame.conv_seq != 0;
        take_frame(contact, generation, frame, via, core);
    }
    if numbered {
        owe_ack(contact, core);
    }
    show(contact, core);
    contact.flow.heard_ms = core.now.unix_ms;
    contact.changed.flow = true;
    core.touch(contact.id);
}

fn take_frame(contact: &mut Contact, generation: u16, frame: Frame, via: Via, core: &mut Core) {
    if frame.conv_seq == 0 {
        if !is_for_core(frame.kind) {
            tell(contact, Held { frame, via }, Order::InOrder, core);
        }
        return;
    }
    if !is_for_core(frame.kind) {
        contact.flow.inflow.accept(frame, via, true);
        return;
    }
    let (kind, body) = (frame.kind, frame.body.clone());
    if contact.flow.inflow.accept(frame, via, false) == Accepted::New {
        take_core_frame(contact, generation, kind, &body, core);
    }
}

/// Whether a kind is for the core; unknown ones of its range are passed over (and acknowledged).
const fn is_for_core(kind: FrameKind) -> bool {
    kind.code() < 0x20
}

fn take_core_frame(
    contact: &mut Contact,
    generation: u16,
    kind: FrameKind,
    bytes: &[u8],
    core: &mut Core,
) {
    let Ok(body) = Body::parse(kind, bytes) else {
        return;
    };
    match body {
        Body::Profile { name, colour } => take_profile(contact, name, colour, core),
        Body::RekeyOffer(bytes) => rekey::take_offer(contact, generation, &bytes, core),
        Body::RekeyAnswer(bytes) => rekey::take_answer(contact, &bytes, core),
        Body::Recovered { counter } => recovery::take_notice(contact, counter, core),
        Body::Farewell => super::super::contacts::farewell_received(contact, core),
        Body::AddressUpdate(bytes) => super::super::contacts::take_address(contact, &bytes, core),
        _ => {}
    }
}

fn take_profile(contact: &mut Contact, name: String, colour: u8, core: &mut Core) {
    contact.card.their_name.clone_from(&name);
    contact.card.colour = colour;
    contact.changed.card = true;
    core.out.event(Event::Profile {
        contact: contact.id,
        name,
        colour,
    });
}

/// Notes that what was received has to be acknowledged: over a link when the cycle ends, else after a random while, so
/// that a keeper cannot tell from the time who answers whom.
fn owe_ack(contact: &mut Contact, core: &mut Core) {
    contact.flow.owes_ack = true;
    contact.changed.flow = true;
    schedule_ack(contact, core);
}

/// Sets the time at which acknowledgements go out without a link.
pub(crate) fn schedule_ack(contact: &mut Contact, core: &mut Core) {
    let timer = Timer::Contact(contact.id, ContactTimer::Acknowledge);
    if contact.reach.link.is_some() || contact.reach.ack_due || core.timers.is_set(timer) {
        return;
    }
    let mean = core.net.params().ack_delay_ms;
    if mean == 0 {
        contact.reach.ack_due = true;
    } else {
        let wait = core.random.exponential_ms(mean);
        core.timers.set(timer, core.now.after_ms(wait));
    }
}

/// Shows what is in order, and gaps that were waited for long enough.
pub(crate) fn show(contact: &mut Contact, core: &mut Core) {
    let wait_ms = u64::from(core.net.params().gap_wait_s) * 1_000;
    let since = contact.flow.inflow.gap_since_ms;
    let over = since.is_some_and(|since| core.now.unix_ms >= since.saturating_add(wait_ms));
    let patience = if over {
        Patience::Over
    } else {
        Patience::Waiting
    };
    while let Some(step) = contact.flow.inflow.step(patience) {
        match step {
            Step::Gap(missing) => core.out.event(Event::Gap {
                contact: contact.id,
                missing,
            }),
            Step::Show(held) => release(contact, held, Order::InOrder, core),
            Step::ShowLate(held) => release(contact, held, Order::Late, core),
        }
        contact.changed.flow = true;
    }
    watch_gap(contact, core);
}

/// Starts or stops the clock of a gap.
fn watch_gap(contact: &mut Contact, core: &mut Core) {
    let timer = Timer::Contact(contact.id, ContactTimer::Gap);
    let flow = &mut contact.flow.inflow;
    if !flow.has_gap() {
        flow.gap_since_ms = None;
        core.timers.cancel(timer);
        return;
    }
    // A wall clock that was set back must not make the wait longer than it is.
    let since = flow
        .gap_since_ms
        .map_or(core.now.unix_ms, |since| since.min(core.now.unix_ms));
    flow.gap_since_ms = Some(since);
    let wait_ms = u64::from(core.net.params().gap_wait_s) * 1_000;
    core.timers
        .set(timer, core.now.at_unix_ms(since.saturating_add(wait_ms)));
}

fn release(contact: &mut Contact, held: Held, order: Order, core: &mut Core) {
    let seq = held.frame.conv_seq;
    if contact.flow.inflow.was_stored(seq) {
        core.out
            .delete(Table::Held, records::frame_key(contact.id, seq));
    }
    tell(contact, held, order, core);
}

fn tell(contact: &Contact, held: Held, order: Order, core: &mut Core) {
    let Held { frame, via } = held;
    core.out.event(Event::Received(Received {
        contact: contact.id,
        device: hermes_wire::packet::FIRST_DEVICE,
        conv_seq: frame.conv_seq,
        msg_id: frame.msg_id,
        kind: frame.kind,
        critical: frame.critical,
        sent_at_ms: frame.sent_at,
        body: frame.body,
        order,
        via,
    }));
}
