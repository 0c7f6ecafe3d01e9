//! Re-keying: a new session with a fresh post-quantum secret, regularly and unnoticed (protocol section 16).
//!
//! The side with the lower identity key offers, as a frame of the old session; the other answers. The answerer opens the
//! new session when his answer was acknowledged; the offerer goes over to it when he hears it. Outer keys change
//! together with the session that is sent in. Both can lose power at any step: each step is stored with the card.

use hermes_wire::{
    Wire as _,
    ids::{Epoch, IdentityKey},
    kdf::Secret,
    packet::FrameKind,
    pair::{OuterChain, Rank, SessionRoot},
    rekey::{Answer, Offer, Offering, RekeyId, Rekeyed},
};

use super::{
    contacts::Contact,
    core::Core,
    delivery::{self, OutFrame},
    event::{Event, Renewal},
    timers::{ContactTimer, Timer},
};
use crate::session::Session;

/// Re-keying with one contact.
#[derive(Default)]
pub(crate) struct Rekey {
    /// When the current session was taken up, in Unix seconds.
    pub(crate) last_s: u64,
    pub(crate) step: Step,
}

/// How far a re-keying is.
#[derive(Default)]
pub(crate) enum Step {
    /// None is under way.
    #[default]
    Idle,
    /// We offered.
    Offered(Box<Offering>),
    /// We answered, and go over when the answer was acknowledged.
    Answered(Box<Answered>),
    /// We have the answer, and go over when we hear the new session.
    Agreed {
        generation: u16,
        outgoing: OuterChain,
    },
}

/// What the answerer keeps until his answer was acknowledged.
pub(crate) struct Answered {
    pub(crate) id: RekeyId,
    /// The number of the frame that carries the answer.
    pub(crate) conv_seq: u64,
    pub(crate) peer_ratchet: [u8; 32],
    pub(crate) root: SessionRoot,
    pub(crate) s_rekey: Secret,
    pub(crate) incoming: OuterChain,
    pub(crate) outgoing: OuterChain,
}

/// Offers a re-keying if it is our turn and time.
pub(crate) fn consider(contact: &mut Contact, core: &mut Core) {
    let ours = core.me.ik();
    forget_lost_offer(contact, core);
    let lower = contact
        .card
        .peer
        .as_ref()
        .is_some_and(|peer| is_lower(&ours, &peer.ik));
    let idle = matches!(contact.card.rekey.step, Step::Idle);
    if !lower || !idle || !contact.is_established() || !contact.sessions.can_send() {
        return;
    }
    let params = core.net.params();
    let age = core.now.unix_s().saturating_sub(contact.card.rekey.last_s);
    let by_time = age >= u64::from(params.rekey_s);
    let by_use = contact.flow.sent_in_session >= u32::from(params.rekey_messages)
        && age >= u64::from(params.rekey_min_s);
    if by_time || by_use {
        offer(contact, core);
    }
    schedule(contact, core);
}

/// An offer that stays unanswered for very long was taken by a state that is gone.
fn forget_lost_offer(contact: &mut Contact, core: &Core) {
    let age = core.now.unix_s().saturating_sub(contact.card.rekey.last_s);
    let patience = 2 * u64::from(core.net.params().rekey_s);
    if age > patience && matches!(contact.card.rekey.step, Step::Offered(_)) {
        let waits = contact
            .outbox
            .from(0)
            .any(|(_, frame)| frame.kind == FrameKind::RekeyOffer);
        if !waits {
            contact.card.rekey.step = Step::Idle;
            contact.changed.card = true;
        }
    }
}

/// Sets the time of the next look.
pub(crate) fn schedule(contact: &Contact, core: &mut Core) {
    let params = core.net.params();
    let last = contact.card.rekey.last_s;
    let at = last + u64::from(params.rekey_s);
    let early = last + u64::from(params.rekey_min_s);
    let next = [early, at].into_iter().find(|at| *at > core.now.unix_s());
    let timer = Timer::Contact(contact.id, ContactTimer::Rekey);
    if let Some(next) = next {
        core.timers.set(timer, core.now.at_unix_ms(next * 1_000));
    }
}

fn is_lower(ours: &IdentityKey, theirs: &IdentityKey) -> bool {
    Rank::of(ours, theirs) == Rank::Lower
}

fn offer(contact: &mut Contact, core: &mut Core) {
    let offering = Offering::draw(core.epoch(), core.random.rng());
    let body = offering.offer().to_bytes();
    if delivery::accept_core(contact, FrameKind::RekeyOffer, body, core).is_some() {
        contact.card.rekey.step = Step::Offered(Box::new(offering));
        contact.changed.card = true;
    }
}

/// Takes the contact's offer and answers it. One that comes in another session than the current one was made before a
/// recovery and means nothing any more.
pub(crate) fn take_offer(contact: &mut Contact, generation: u16, body: &[u8], core: &mut Core) {
    if generation != contact.sessions.current() {
        return;
    }
    let (Ok(offer), Some(peer)) = (Offer::decode(body), &contact.card.peer) else {
        return;
    };
    let rank = Rank::of(&core.me.ik(), &peer.ik);
    let ours_stands = rank == Rank::Lower && matches!(contact.card.rekey.step, Step::Offered(_));
    if ours_stands || !is_near(offer.epoch, core.epoch()) {
        return;
    }
    let Some(secrets) = &contact.card.secrets else {
        return;
    };
    let randomness = core.random.secret();
    let Ok((answer, rekeyed)) = offer.answer(&core.net, &secrets.s_rekey, &randomness, rank) else {
        return;
    };
    let frame = delivery::accept_core(contact, FrameKind::RekeyAnswer, answer.to_bytes(), core);
    if let Some(conv_seq) = frame {
        let Rekeyed {
            root,
            s_rekey,
            outer_in,
            outer_out,
        } = rekeyed;
        contact.card.rekey.step = Step::Answered(Box::new(Answered {
            id: offer.id,
            conv_seq,
            peer_ratchet: offer.ratchet,
            root,
            s_rekey,
            incoming: outer_in,
            outgoing: outer_out,
        }));
        contact.changed.card = true;
    }
}

/// Whether the new keys start at a sensible time; a frame may have been on its way for as long as deposits live.
fn is_near(theirs: Epoch, ours: Epoch) -> bool {
    theirs.0 <= ours.0.saturating_add(1)
}

/// Takes the contact's answer to our offer.
pub(crate) fn take_answer(contact: &mut Contact, body: &[u8], core: &mut Core) {
    let Step::Offered(offering) = &contact.card.rekey.step else {
        return;
    };
    let (Ok(answer), Some(peer)) = (Answer::decode(body), &contact.card.peer) else {
        return;
    };
    let rank = Rank::of(&core.me.ik(), &peer.ik);
    let (Some(secrets), Some(newest)) = (&mut contact.card.secrets, contact.sessions.newest())
    else {
        return;
    };
    let Ok(rekeyed) = offering.finish(&core.net, &secrets.s_rekey, &answer, rank) else {
        return;
    };
    let Some(generation) = newest.checked_add(1) else {
        return;
    };
    let session = Session::open_as_other(&rekeyed.root, &offering.ratchet_secret());
    contact
        .sessions
        .add(generation, session, false, core.now.unix_s());
    secrets.s_rekey = rekeyed.s_rekey;
    secrets.renew_incoming(rekeyed.outer_in);
    contact.card.rekey.step = Step::Agreed {
        generation,
        outgoing: rekeyed.outer_out,
    };
    contact.changed.card = true;
    contact.renewed = true;
}

/// Frames were acknowledged; if our answer is among them, the new session opens.
pub(crate) fn acknowledged(contact: &mut Contact, taken: &[(u64, OutFrame)], core: &mut Core) {
    let Step::Answered(answered) = &contact.card.rekey.step else {
        return;
    };
    if !taken.iter().any(|(seq, _)| *seq == answered.conv_seq) {
        return;
    }
    let Step::Answered(answered) = std::mem::take(&mut contact.card.rekey.step) else {
        return;
    };
    contact.changed.card = true;
    let a1 = core.random.secret();
    let opened = Session::open_as_opener(&answered.root, &answered.peer_ratchet, &a1);
    let generation = contact
        .sessions
        .newest()
        .and_then(|newest| newest.checked_add(1));
    let (Ok(session), Some(generation), Some(secrets)) =
        (opened, generation, &mut contact.card.secrets)
    else {
        return;
    };
    contact
        .sessions
        .add(generation, session, true, core.now.unix_s());
    secrets.s_rekey = answered.s_rekey;
    secrets.renew_incoming(answered.incoming);
    secrets.outgoing = answered.outgoing;
    contact.renewed = true;
    // The other side goes over when it hears this session, so it hears it now.
    contact.flow.owes_ack = true;
    contact.reach.ack_due = true;
    taken_up(contact, core);
}

/// A message of a session was read; if it is the one that we wait for, we go over to it.
pub(crate) fn heard(contact: &mut Contact, generation: u16, core: &mut Core) {
    match &contact.card.rekey.step {
        Step::Agreed {
            generation: new, ..
        } if *new == generation => {}
        _ => return,
    }
    let Step::Agreed { outgoing, .. } = std::mem::take(&mut contact.card.rekey.step) else {
        return;
    };
    if let Some(secrets) = &mut contact.card.secrets {
        secrets.outgoing = outgoing;
    }
    contact.sessions.send_in(generation, core.now.unix_s());
    taken_up(contact, core);
}

/// Gives up what is under way, because a recovery made a new session. An offer or answer that was not acknowledged would
/// be taken for one of the new session, with which it has nothing to do; but its number is given, so something harmless
/// takes its place.
pub(crate) fn withdraw(contact: &mut Contact, core: &mut Core) {
    contact.card.rekey = Rekey {
        last_s: core.now.unix_s(),
        step: Step::Idle,
    };
    contact.changed.card = true;
    let stale = [FrameKind::RekeyOffer, FrameKind::RekeyAnswer];
    let numbers: Vec<u64> = contact
        .outbox
        .from(0)
        .filter(|(_, frame)| stale.contains(&frame.kind))
        .map(|(seq, _)| seq)
        .collect();
    for seq in numbers {
        let body = crate::chat::profile(&core.me.name, core.me.colour);
        delivery::replace(contact, seq, FrameKind::Profile, body, core);
    }
}

fn taken_up(contact: &mut Contact, core: &mut Core) {
    contact.card.rekey.last_s = core.now.unix_s();
    contact.flow.sent_in_session = 0;
    contact.changed.card = true;
    contact.changed.flow = true;
    contact.sessions.prune(contact.id, None, &mut core.out);
    schedule(contact, core);
    core.touch(contact.id);
    core.out.event(Event::SessionRenewed {
        contact: contact.id,
        reason: Renewal::Rekey,
    });
}
