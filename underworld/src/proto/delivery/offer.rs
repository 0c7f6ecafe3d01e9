//! Packing what waits into deposits.
//!
//! What waits for one friend is collected for as long as a knock may be answered and, where the network wants it, a
//! random while longer. Then all of it goes into as few deposits as hold it, in the order of the numbers.

use std::collections::BTreeSet;

use hermes_wire::{
    Wire as _,
    content::Content,
    deposit::Bucket,
    packet::{FIRST_DEVICE, FRAMES_MAX, PACKET_MAX, Packet},
};

use super::{
    super::{
        contacts::Contact,
        core::Core,
        timers::{ContactTimer, Timer},
    },
    Attempt, Wait,
    deposit::{Cargo, Purpose, Target, order, remove_deposits},
    link::note_sent,
};

/// One in so many small deposits is padded to the size of those that carry handshakes and re-keyings, so that these do
/// not stand out.
const PADDED_SHARE: u64 = 16;

/// How long to wait when the friend's address gives no mailbox for this epoch, before it is tried again.
const NO_ADDRESS_MS: u64 = 60_000;

/// Deposits what waits, if it has waited long enough.
pub(crate) fn offer(contact: &mut Contact, core: &mut Core) {
    let timer = Timer::Contact(contact.id, ContactTimer::Offer);
    if !contact.reach.has_cargo() || !contact.sessions.can_send() {
        contact.reach.waiting = None;
        core.timers.cancel(timer);
        return;
    }
    let jitter_max = u64::from(core.net.params().deposit_jitter_ms);
    let wait = *contact.reach.waiting.get_or_insert_with(|| Wait {
        since: core.now.mono,
        jitter_ms: core.random.up_to(jitter_max),
    });
    let grace_ms = match contact.reach.attempt {
        Attempt::None => 0,
        _ => u64::from(core.net.params().knock_grace_ms),
    };
    let due = wait.since + std::time::Duration::from_millis(grace_ms.max(wait.jitter_ms));
    if due > core.now.mono {
        core.timers.set(timer, due);
        return;
    }
    if deposit_all(contact, core).is_none() {
        core.timers.set(timer, core.now.after_ms(NO_ADDRESS_MS));
        return;
    }
    contact.reach.waiting = None;
    core.timers.cancel(timer);
}

/// Makes deposits of everything that waits; none when the friend cannot be addressed.
fn deposit_all(contact: &mut Contact, core: &mut Core) -> Option<()> {
    for round in [0, 1] {
        let waiting = match round {
            0 => std::mem::take(&mut contact.reach.fresh),
            _ => std::mem::take(&mut contact.reach.again),
        };
        let mut left: BTreeSet<u64> = waiting
            .into_iter()
            .filter(|seq| contact.outbox.get(*seq).is_some())
            .collect();
        while !left.is_empty() {
            let batch = next_batch(contact, &left);
            if deposit_batch(contact, &batch, round, core).is_none() {
                let back = if round == 0 {
                    &mut contact.reach.fresh
                } else {
                    &mut contact.reach.again
                };
                back.append(&mut left);
                return None;
            }
            left.retain(|seq| !batch.contains(seq));
        }
    }
    if contact.reach.ack_due {
        deposit_batch(contact, &BTreeSet::new(), 0, core)?;
    }
    Some(())
}

/// The lowest of the waiting frames, as many as one packet holds.
fn next_batch(contact: &Contact, left: &BTreeSet<u64>) -> BTreeSet<u64> {
    let head = packet(contact, &BTreeSet::new()).encoded_len();
    let mut size = head;
    let mut batch = BTreeSet::new();
    for seq in left.iter().take(FRAMES_MAX) {
        size += contact
            .outbox
            .get(*seq)
            .map_or(0, super::OutFrame::wire_len);
        if size > PACKET_MAX && !batch.is_empty() {
            break;
        }
        batch.insert(*seq);
    }
    batch
}

/// A packet of these frames, with all acknowledgements.
fn packet(contact: &Contact, batch: &BTreeSet<u64>) -> Packet {
    let frame = |seq: &u64| contact.outbox.get(*seq).map(|frame| frame.to_wire(*seq));
    Packet {
        device: FIRST_DEVICE,
        floor: contact.outbox.first().unwrap_or(contact.flow.next_seq),
        acks: contact.flow.inflow.received.for_packet(),
        frames: batch.iter().filter_map(frame).collect(),
    }
}

/// Encrypts one packet and has it deposited.
fn deposit_batch(
    contact: &mut Contact,
    batch: &BTreeSet<u64>,
    round: u8,
    core: &mut Core,
) -> Option<()> {
    let epoch = core.epoch();
    let packet = packet(contact, batch).to_bytes();
    let (peer, secrets) = (contact.card.peer.as_ref()?, contact.card.secrets.as_ref()?);
    let outer_key = secrets.outgoing.key_at(&core.net, epoch)?;
    let view = contact
        .views
        .epoch(contact.id, &peer.address, epoch, core)
        .ok()?
        .clone();
    let message = contact.sessions.encrypt(&packet).ok()?;
    let content = Content::session(&message);
    let sub_slot = usize::try_from(core.random.up_to(3)).unwrap_or_default();
    let target = Target {
        epoch,
        descriptor: &view.descriptor,
        writer: view.writer(sub_slot)?,
        outer_key: &outer_key,
    };
    let cargo = Cargo {
        purpose: if batch.is_empty() {
            Purpose::Acks
        } else {
            Purpose::Frames
        },
        bucket: bucket(content.len(), core)?,
        content: &content,
        frames: batch.clone(),
        round,
        until_s: until_s(contact, batch),
    };
    let op = order(contact.id, cargo, &target, core)?;
    for seq in batch {
        let before = contact.outbox.get_mut(*seq).and_then(|frame| {
            frame.touched = true;
            frame.deposit.replace(op)
        });
        if let Some(before) = before {
            super::deposit::drop_frame(before, *seq, core);
        }
    }
    contact.flow.owes_ack = false;
    contact.reach.ack_due = false;
    core.timers
        .cancel(Timer::Contact(contact.id, ContactTimer::Acknowledge));
    note_sent(contact, core);
    Some(())
}

/// The size class for a content.
pub(crate) fn bucket(len: usize, core: &mut Core) -> Option<Bucket> {
    let fitting = Bucket::fitting(len)?;
    let pad = fitting == Bucket::Small && core.random.up_to(PADDED_SHARE - 1) == 0;
    Some(if pad { Bucket::Medium } else { fitting })
}

/// When the last of the frames expires, if all do.
fn until_s(contact: &Contact, batch: &BTreeSet<u64>) -> Option<u64> {
    let mut latest = None;
    for seq in batch {
        let at_ms = contact.outbox.get(*seq)?.expires_at_ms?;
        latest = latest.max(Some(at_ms.div_ceil(1_000)));
    }
    latest
}

/// Says something once, in the session that is in use now: encrypts one frame of the outbox and has it deposited, apart
/// from how it is delivered otherwise.
pub(crate) fn deposit_notice(contact: &mut Contact, seq: u64, core: &mut Core) -> Option<()> {
    let epoch = core.epoch();
    let packet = packet(contact, &BTreeSet::from([seq])).to_bytes();
    let (peer, secrets) = (contact.card.peer.as_ref()?, contact.card.secrets.as_ref()?);
    let outer_key = secrets.outgoing.key_at(&core.net, epoch)?;
    let view = contact
        .views
        .epoch(contact.id, &peer.address, epoch, core)
        .ok()?
        .clone();
    let message = contact.sessions.encrypt(&packet).ok()?;
    let content = Content::session(&message);
    let target = Target {
        epoch,
        descriptor: &view.descriptor,
        writer: view.writer(0)?,
        outer_key: &outer_key,
    };
    let cargo = Cargo {
        purpose: Purpose::Notice,
        bucket: bucket(content.len(), core)?,
        content: &content,
        frames: BTreeSet::new(),
        round: 0,
        until_s: None,
    };
    order(contact.id, cargo, &target, core)?;
    note_sent(contact, core);
    Some(())
}

/// Has everything unacknowledged sent anew, after the session changed. What was deposited before does not count any more,
/// since nobody may be able to read it.
pub(crate) fn offer_all_again(contact: &mut Contact, core: &mut Core) {
    contact.outbox.uncover();
    remove_deposits(contact.id, |purpose| purpose == Purpose::Frames, core);
    contact.reach.again.clear();
    contact.reach.fresh.extend(contact.outbox.uncovered());
    if let Some(link) = &mut contact.reach.link {
        link.start_over();
    }
}
