//! Recovery: starting over when a session is lost (protocol section 17).
//!
//! A side starts one when what a friend sends cannot be read any more; the other answers with a new session. Both number
//! their frames far ahead from then on, because either may have been set back to an old state and would otherwise give
//! numbers twice. Whatever was not acknowledged is sent again in the new session.
//!
//! Whoever has an old copy of somebody's keys could start one too. The answerer therefore says in the *old* session that
//! there was a recovery; a friend who hears that without having started one raises an alarm, and so does the answerer if
//! the old session goes on talking.

use hermes_wire::{
    Wire as _,
    handshake::{AnswererSeeds, StarterSeeds},
    ids::{IdentityKey, MessageId},
    packet::{Body, FIRST_DEVICE, Frame, FrameKind, Packet},
    pair::{OuterChain, Rank},
    recovery::{Approval, Counters, Finished, Parties, Request, Starter, Verdict},
};
use zeroize::Zeroizing;

use super::{
    contacts::{Contact, Peer, Secrets},
    core::Core,
    delivery::{self, Purpose},
    event::{Alarm, Event, Renewal, Via},
    inbox::{NUMBER_MAX, read_packet},
    invites, rekey,
    timers::{ContactTimer, Timer},
};
use crate::session::Session;

/// Automatic starts within a day.
const STARTS_PER_DAY: usize = 3;

const DAY_S: u64 = 86_400;

/// A packet of a replaced session that comes over a link this long after the new session was heard was made later.
const LATER_ON_LINK_S: u64 = 60;

/// The same for one that comes through keepers and knows that the session was replaced.
const LATER_BY_KEEPERS_S: u64 = 600;

/// The same for one whose frames were written then, by a clock that may differ from ours.
const LATER_BY_HIS_CLOCK_S: u64 = 3_600;

/// How far the numbering jumps; more frames than anybody sends between two states that could be confused.
const JUMP: u64 = 1 << 20;

/// Recoveries with one contact.
#[derive(Default)]
pub(crate) struct Recovery {
    pub(crate) counters: Counters,
    /// Our start that was not answered yet.
    pub(crate) open: Option<Box<Starter>>,
    /// The last start of the contact that we answered, and the answer.
    pub(crate) answered: Option<Answered>,
    /// When we started, in Unix seconds, within the last day.
    pub(crate) starts_s: Vec<u64>,
}

/// An answer that may have to be repeated.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) counter: u64,
    /// The session that the answer replaced.
    pub(crate) replaced: u16,
    /// The number of the frame that said in that session that it is replaced.
    pub(crate) notice_seq: u64,
    /// When the new session was first heard, in Unix seconds; 0 for not yet.
    pub(crate) heard_s: u64,
    pub(crate) content: Zeroizing<Vec<u8>>,
}

/// Our rank beside a contact.
pub(crate) fn rank(ours: &IdentityKey, theirs: &IdentityKey) -> Rank {
    Rank::of(ours, theirs)
}

/// Notes that the session cannot be repaired otherwise.
pub(crate) fn want(contact: &mut Contact, core: &mut Core) {
    contact.wants_recovery = true;
    core.touch(contact.id);
}

/// Starts a recovery if there is reason to.
pub(crate) fn consider(contact: &mut Contact, core: &mut Core) {
    // Copies of what came over the link long ago do not decrypt; the session is fine all the same.
    if contact.reach.link.as_ref().is_some_and(|link| link.heard) {
        contact.pool.note_success();
    }
    let lost = contact.pool.session_is_lost() || contact.wants_recovery;
    if !lost || !contact.is_paired() || contact.card.recovery.open.is_some() {
        return;
    }
    let now_s = core.now.unix_s();
    let starts = &mut contact.card.recovery.starts_s;
    starts.retain(|at| at.saturating_add(DAY_S) > now_s && *at <= now_s);
    if starts.len() >= STARTS_PER_DAY {
        let again = starts.first().map_or(now_s, |first| first + DAY_S);
        let timer = Timer::Contact(contact.id, ContactTimer::Recover);
        if !core.timers.is_set(timer) {
            core.out.event(Event::Alarm(Alarm::RecoveryLimit {
                contact: contact.id,
            }));
            core.timers.set(timer, core.now.at_unix_ms(again * 1_000));
        }
        return;
    }
    start(contact, core);
}

/// Starts a recovery.
fn start(contact: &mut Contact, core: &mut Core) -> Option<()> {
    contact.wants_recovery = false;
    contact.pool.note_success();
    jump_ahead(contact);
    let bundle = own_bundle(contact, core)?;
    let seeds = StarterSeeds::draw(core.random.rng());
    let counter = contact.card.recovery.counters.start(core.now.unix_s());
    let generation = contact.sessions.newest().unwrap_or_default();
    let parties = parties(
        contact.card.peer.as_ref()?,
        contact.card.secrets.as_ref()?,
        core,
    );
    let next_seq = contact.flow.next_seq;
    let starter = Starter::start(&parties, counter, generation, next_seq, &bundle, seeds).ok()?;
    contact.card.recovery.starts_s.push(core.now.unix_s());
    contact.card.recovery.open = Some(Box::new(starter));
    contact.changed.card = true;
    core.touch(contact.id);
    delivery::deposit_opening(contact, Purpose::Recovery1, core);
    Some(())
}

/// Takes a start of the contact.
pub(crate) fn take_request(contact: &mut Contact, content: &[u8], core: &mut Core) {
    let (Some(peer), Some(secrets)) = (&contact.card.peer, &contact.card.secrets) else {
        return;
    };
    let parties = parties(peer, secrets, core);
    let Ok(request) = parties.read(content) else {
        return;
    };
    let recovery = &contact.card.recovery;
    let open = recovery.open.as_ref().map(|starter| starter.counter());
    match recovery
        .counters
        .judge(request.counter, open, parties.rank())
    {
        Verdict::Answer => {
            answer(contact, content, core);
        }
        Verdict::Old => {
            let same = recovery
                .answered
                .as_ref()
                .is_some_and(|a| a.counter == request.counter);
            if same {
                delivery::deposit_opening(contact, Purpose::Recovery2, core);
            }
        }
        Verdict::OursStands => {}
    }
}

/// Answers a start of the contact with a new session.
fn answer(contact: &mut Contact, content: &[u8], core: &mut Core) -> Option<()> {
    jump_ahead(contact);
    let bundle = own_bundle(contact, core)?;
    let newest = contact.sessions.newest().unwrap_or_default();
    let seeds = AnswererSeeds::draw(core.random.rng());
    let approval = Approval::new(content, newest, contact.flow.next_seq, &bundle, seeds);
    let parties = parties(
        contact.card.peer.as_ref()?,
        contact.card.secrets.as_ref()?,
        core,
    );
    let made = parties.answer(&approval).ok()?;
    let mut session =
        Session::open_as_opener(&made.secrets.root, &made.peer_ratchet, &made.opener_secret)
            .ok()?;
    // A start of ours that we drop for this one may still be on its way; this voids it on the other side as well.
    let void = contact.card.recovery.counters.highest();
    let void = void.max(made.request.counter);
    let first = first_message(contact, made.generation, void, &mut session, core)?;
    let content = Zeroizing::new(made.message(&first));
    let Request {
        counter,
        next_seq,
        bundle,
        ..
    } = made.request;

    let replaced = contact.sessions.current();
    let notice_seq = announce(contact, counter, core).unwrap_or(u64::MAX);
    contact
        .sessions
        .add(made.generation, session, true, core.now.unix_s());
    let (outer_in, outer_out) = (made.secrets.outer_in, made.secrets.outer_out);
    let s_rekey = made.secrets.s_rekey;
    go_over(
        contact,
        Renewed {
            outer_in,
            outer_out,
            s_rekey,
            next_seq,
            bundle,
        },
        core,
    );
    let recovery = &mut contact.card.recovery;
    // What we declared void we do not answer either: the contact would take its notice for one that he knows.
    recovery.counters.settle(void);
    recovery.open = None;
    recovery.answered = Some(Answered {
        counter,
        replaced,
        notice_seq,
        heard_s: 0,
        content,
    });
    delivery::remove_deposits(
        contact.id,
        |p| p == Purpose::Recovery1 || p == Purpose::Recovery2,
        core,
    );
    delivery::deposit_opening(contact, Purpose::Recovery2, core);
    Some(())
}

/// The first message of a new session: what we received, so that the contact knows what need not be sent again, and up to
/// which counter recoveries are void. The contact learns both in the moment in which he takes the session.
fn first_message(
    contact: &Contact,
    generation: u16,
    void: u64,
    session: &mut Session,
    core: &mut Core,
) -> Option<hermes_wire::packet::SessionMessage> {
    let recovered = Frame {
        kind: FrameKind::Recovered,
        critical: false,
        conv_seq: 0,
        msg_id: MessageId(core.random.bytes()),
        sent_at: core.now.unix_ms,
        body: Body::Recovered { counter: void }.to_bytes(),
    };
    let packet = Packet {
        device: FIRST_DEVICE,
        floor: contact.outbox.first().unwrap_or(contact.flow.next_seq),
        // The message travels beside a handshake; more ranges would not fit.
        acks: delivery::first_ranges(&contact.flow.inflow.received),
        frames: vec![recovered],
    };
    let (olm_type, olm) = session.encrypt(&packet.to_bytes()).ok()?;
    Some(hermes_wire::packet::SessionMessage {
        generation,
        olm_type,
        olm,
    })
}

/// Says in the old session, to whoever has it, that there is a recovery; gives the number of the frame.
fn announce(contact: &mut Contact, counter: u64, core: &mut Core) -> Option<u64> {
    let body = Body::Recovered { counter }.to_bytes();
    let seq = delivery::accept_core(contact, FrameKind::Recovered, body, core)?;
    delivery::deposit_notice(contact, seq, core);
    Some(seq)
}

/// Takes the answer to our start.
pub(crate) fn take_answer(contact: &mut Contact, content: &[u8], core: &mut Core) {
    let (Some(starter), Some(peer), Some(secrets)) = (
        &contact.card.recovery.open,
        &contact.card.peer,
        &contact.card.secrets,
    ) else {
        return;
    };
    let Ok(finished) = starter.finish(&parties(peer, secrets, core), content) else {
        return;
    };
    let counter = starter.counter();
    let Finished {
        generation,
        next_seq,
        bundle,
        secrets: made,
        ratchet_secret,
        first,
    } = finished;
    let mut session = Session::open_as_other(&made.root, &ratchet_secret);
    let Ok(plain) = session.decrypt(first.olm_type, &first.olm) else {
        return;
    };
    contact
        .sessions
        .add(generation, session, true, core.now.unix_s());
    let (outer_in, outer_out, s_rekey) = (made.outer_in, made.outer_out, made.s_rekey);
    go_over(
        contact,
        Renewed {
            outer_in,
            outer_out,
            s_rekey,
            next_seq,
            bundle,
        },
        core,
    );
    let counters = &mut contact.card.recovery.counters;
    counters.settle(counter);
    if let Some(void) = voided(&plain) {
        counters.settle(void);
    }
    contact.card.recovery.open = None;
    delivery::remove_deposits(contact.id, |p| p == Purpose::Recovery1, core);
    // The other side has to hear us in the new session.
    contact.flow.owes_ack = true;
    contact.reach.ack_due = true;
    invites::heard(contact, core);
    read_packet(contact, generation, &plain, Via::Keepers, core);
}

/// Up to which counter the first packet of a new session declares recoveries void.
fn voided(plain: &[u8]) -> Option<u64> {
    let frames = Packet::decode(plain).ok()?.frames;
    let bodies = frames
        .iter()
        .filter_map(|frame| Body::parse(frame.kind, &frame.body).ok());
    bodies
        .filter_map(|body| match body {
            Body::Recovered { counter } => Some(counter),
            _ => None,
        })
        .max()
}

/// What both sides take from a recovery.
struct Renewed {
    outer_in: OuterChain,
    outer_out: OuterChain,
    s_rekey: hermes_wire::kdf::Secret,
    next_seq: u64,
    bundle: hermes_wire::address::Bundle,
}

/// Goes over to the new session and its keys, and offers everything again.
fn go_over(contact: &mut Contact, new: Renewed, core: &mut Core) {
    if let Some(secrets) = &mut contact.card.secrets {
        secrets.renew_incoming(new.outer_in);
        secrets.outgoing = new.outer_out;
        secrets.s_rekey = new.s_rekey;
    }
    if let Some(peer) = &mut contact.card.peer {
        peer.address = new.bundle;
    }
    contact.views.clear(contact.id, core);
    contact.flow.inflow.jump(new.next_seq);
    contact.flow.sent_in_session = 0;
    rekey::withdraw(contact, core);
    contact.pool.note_success();
    contact.wants_recovery = false;
    contact.renewed = true;
    contact.recovered = true;
    contact.changed.card = true;
    contact.changed.flow = true;
    delivery::offer_all_again(contact, core);
    rekey::schedule(contact, core);
    core.touch(contact.id);
    core.out.event(Event::SessionRenewed {
        contact: contact.id,
        reason: Renewal::Recovery,
    });
}

/// A packet of a session was read. One in the new session shows that our answer arrived. One in the replaced session that
/// must have been made later shows that the friend never lost it: then it was not he who started the recovery.
pub(crate) fn heard(
    contact: &mut Contact,
    generation: u16,
    packet: &Packet,
    via: Via,
    core: &mut Core,
) {
    let Some(answered) = &mut contact.card.recovery.answered else {
        return;
    };
    let now_s = core.now.unix_s();
    if generation > answered.replaced {
        if answered.heard_s == 0 {
            answered.heard_s = now_s.max(1);
            contact.changed.card = true;
            delivery::remove_deposits(contact.id, |p| p == Purpose::Recovery2, core);
        }
        return;
    }
    let age_s = now_s.saturating_sub(answered.heard_s);
    let written_ms = packet.frames.iter().map(|frame| frame.sent_at).max();
    let later = match via {
        Via::Link => age_s > LATER_ON_LINK_S,
        Via::Keepers => {
            let knows = age_s > LATER_BY_KEEPERS_S && packet.acks.contains(answered.notice_seq);
            let since = answered.heard_s.saturating_add(LATER_BY_HIS_CLOCK_S);
            knows || written_ms > Some(since.saturating_mul(1_000))
        }
    };
    if answered.heard_s > 0 && later {
        contact.card.recovery.answered = None;
        contact.changed.card = true;
        core.out.event(Event::Alarm(Alarm::RecoveryWhileAlive {
            contact: contact.id,
        }));
    }
}

/// The contact says that there was a recovery.
pub(crate) fn take_notice(contact: &mut Contact, counter: u64, core: &mut Core) {
    let known = counter <= contact.card.recovery.counters.highest();
    contact.card.recovery.counters.settle(counter);
    contact.changed.card = true;
    if !known {
        // We started none: somebody did in our name.
        core.out.event(Event::Alarm(Alarm::RecoveryWhileAlive {
            contact: contact.id,
        }));
    }
}

/// Numbers what follows far ahead of all that was ever sent.
fn jump_ahead(contact: &mut Contact) {
    let from = contact.flow.next_seq;
    let to = from.saturating_add(JUMP).min(NUMBER_MAX);
    let start = contact
        .flow
        .skipped
        .map_or(from, |(start, end)| if end == from { start } else { from });
    contact.flow.skipped = Some((start, to));
    contact.flow.next_seq = to;
    contact.changed.flow = true;
}

fn own_bundle(contact: &Contact, core: &Core) -> Option<hermes_wire::address::Bundle> {
    let home = core.homes.get(&contact.card.home)?;
    home.bundle(&core.net, contact.card.slot, core.address_epoch())
}

fn parties<'a>(peer: &'a Peer, secrets: &'a Secrets, core: &'a Core) -> Parties<'a> {
    Parties {
        net: &core.net,
        identity: &core.me.keys,
        peer_ik: &peer.ik,
        peer_ix: &peer.ix,
        s_rec: &secrets.s_rec,
    }
}
