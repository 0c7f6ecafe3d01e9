//! Getting a direct link: knocking at a friend, and answering a friend who knocks (protocol sections 11 and 12).
//!
//! A knock costs a round trip through sky and shows the sky node that somebody wants to reach the friend, so a friend
//! who did not answer is left alone for a while, longer each time. He is knocked at again when his own knock shows that
//! he is there.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use hermes_wire::{
    Wire as _,
    blind::BlindedKey,
    ids::PresenceKey,
    kdf::Secret,
    knock::{Callee, Caller, HalfContext, Knock, SEALED_LEN, Sealed},
    mailbox::presence_position,
};

use super::{
    super::{
        clock::Part,
        contacts::{Contact, Secrets, Stage},
        core::Core,
        effect::Effect,
        ids::{ContactId, KnockOp, LinkToken},
        timers::{ContactTimer, Timer},
    },
    Attempt,
};

/// How long a friend is left alone after one knock without success; doubled with each further one.
const BACKOFF_MS: u64 = 15_000;

/// The longest time that a friend for whom something waits is left alone.
const BACKOFF_MS_MAX: u64 = 600_000;

/// How long a friend who was answered is expected.
const EXPECT: Duration = Duration::from_secs(15);

/// How long an answer to a knock, or a dial, may stay out before it counts as failed although nothing was reported.
const ATTEMPT_MS_MAX: u64 = 30_000;

/// Friends' half-made links at a time, per contact.
const MEETINGS_MAX: usize = 4;

/// Nonces of knocks that are remembered per contact, against repetitions.
const NONCES_MAX: usize = 32;

/// How far the clock of a knocking friend may differ from ours, in milliseconds.
const SKEW_MS_MAX: u64 = 86_400_000;

/// What became of a knock.
#[derive(Clone, PartialEq, Eq)]
pub enum KnockResult {
    /// Nobody is present under that key.
    Absent,
    /// The friend answered with this sealed half.
    Answered(Box<Sealed>),
    /// The friend's node asked him in vain.
    NoAnswer,
    /// The friend refuses us.
    Refused,
    /// No sky node could be reached, or it refused the request.
    Failed,
}

/// A link that is about to be made.
pub(crate) struct Meeting {
    pub(crate) contact: ContactId,
    pub(crate) dialled_by_us: bool,
    /// When the knock was sent or arrived.
    pub(crate) knocked_at: std::time::Instant,
}

/// A knock of ours that is on its way.
pub(crate) struct OpenKnock {
    op: KnockOp,
    seed: Secret,
    part: Part,
    presence: PresenceKey,
    nonce: [u8; 16],
    knocked_at: std::time::Instant,
}

/// Nonces of a friend's knocks.
pub(crate) type Nonces = VecDeque<[u8; 16]>;

/// Knocks at a friend if something waits for him and he may be knocked at now.
pub(crate) fn want_link(contact: &mut Contact, core: &mut Core) {
    let reach = &contact.reach;
    let wanted = reach.greet || reach.has_cargo() || !contact.outbox.is_empty();
    if !wanted || reach.attempt != Attempt::None {
        return;
    }
    let timer = Timer::Contact(contact.id, ContactTimer::Knock);
    match reach.next_knock {
        Some(at) if at > core.now.mono => core.timers.set(timer, at),
        _ => {
            contact.reach.greet = false;
            if knock(contact, core).is_none() {
                failed(contact, core);
            }
        }
    }
}

/// Sends a knock; none if the friend's address or our keys do not reach this epoch.
fn knock(contact: &mut Contact, core: &mut Core) -> Option<()> {
    let (peer, secrets) = (contact.card.peer.as_ref()?, contact.card.secrets.as_ref()?);
    let part = core.part();
    let door = contact.views.presence(&peer.address, part, core).ok()?;
    let outer_key = secrets.outgoing.key_at(&core.net, part.epoch)?;
    let nonce = core.random.bytes();
    let seed = core.random.secret();
    let half = HalfContext {
        outer_key: &outer_key,
        presence: &door.presence,
        nonce: &nonce,
    };
    let caller = Caller {
        time_ms: core.now.unix_ms,
        tls_key: public_of(&seed),
        addrs: core.candidates.clone(),
    };
    let sealed = half.seal_caller(&core.net, &caller);
    let knock = Knock::sign(&core.net, door, nonce, Some(sealed))?;
    let (presence, op) = (door.presence, core.new_knock_op());
    contact.reach.attempt = Attempt::Knocking(op);
    contact.reach.knock = Some(OpenKnock {
        op,
        seed,
        part,
        presence,
        nonce,
        knocked_at: core.now.mono,
    });
    core.knocks.insert(op, contact.id);
    let guard = core.now.after_ms(ATTEMPT_MS_MAX);
    core.timers
        .set(Timer::Contact(contact.id, ContactTimer::Knock), guard);
    core.out.effect(Effect::Knock {
        op,
        presence,
        position: presence_position(&presence),
        knock: knock.to_bytes(),
    });
    Some(())
}

/// Takes the result of a knock of ours.
pub(crate) fn knock_result(
    contact: &mut Contact,
    op: KnockOp,
    result: &KnockResult,
    core: &mut Core,
) {
    if contact.reach.attempt != Attempt::Knocking(op) {
        return;
    }
    let Some(open) = contact.reach.knock.take().filter(|open| open.op == op) else {
        return;
    };
    core.timers
        .cancel(Timer::Contact(contact.id, ContactTimer::Knock));
    let answer = match result {
        KnockResult::Answered(sealed) => read_answer(contact, &open, sealed, core),
        _ => None,
    };
    match answer {
        Some(callee) => dial(contact, open, &callee, core),
        None => failed(contact, core),
    }
}

/// Opens an answer; none if it is not the friend's or says nowhere to dial.
fn read_answer(
    contact: &Contact,
    open: &OpenKnock,
    sealed: &Sealed,
    core: &Core,
) -> Option<Callee> {
    let secrets = contact.card.secrets.as_ref()?;
    let opened = |key: &Secret| {
        let half = HalfContext {
            outer_key: key,
            presence: &open.presence,
            nonce: &open.nonce,
        };
        half.open_callee(&core.net, sealed).ok()
    };
    secrets
        .incoming_keys(&core.net, open.part.epoch)
        .iter()
        .find_map(opened)
        .filter(|callee| !callee.addrs.is_empty())
}

fn dial(contact: &mut Contact, open: OpenKnock, callee: &Callee, core: &mut Core) {
    let link = core.new_link_token();
    let meeting = Meeting {
        contact: contact.id,
        dialled_by_us: true,
        knocked_at: open.knocked_at,
    };
    meet(contact, link, meeting, core);
    let addrs: Vec<SocketAddr> = callee.addrs.iter().map(|addr| addr.socket()).collect();
    core.out.effect(Effect::Dial {
        link,
        addrs,
        tag: callee.tag,
        our_seed: open.seed,
        their_key: callee.tls_key,
    });
}

/// Notes a link that is about to be made.
fn meet(contact: &mut Contact, link: LinkToken, meeting: Meeting, core: &mut Core) {
    if meeting.dialled_by_us || contact.reach.attempt == Attempt::None {
        contact.reach.attempt = Attempt::Meeting(link);
    }
    core.meetings.insert(link, meeting);
    core.timers
        .set(Timer::Meeting(link), core.now.after_ms(ATTEMPT_MS_MAX));
}

/// An attempt came to nothing: what waits is deposited, and the friend is left alone for a while.
pub(crate) fn failed(contact: &mut Contact, core: &mut Core) {
    let reach = &mut contact.reach;
    reach.attempt = Attempt::None;
    reach.knock = None;
    let doublings = reach.failures.min(8);
    reach.failures = reach.failures.saturating_add(1);
    let wait = (BACKOFF_MS << doublings).min(BACKOFF_MS_MAX);
    let wait = wait + core.random.up_to(wait / 4);
    reach.next_knock = Some(core.now.after_ms(wait));
    core.touch(contact.id);
}

/// The guard over a knock: if nothing was reported for very long, it failed.
pub(crate) fn knock_timeout(contact: &mut Contact, core: &mut Core) {
    if let Attempt::Knocking(op) = contact.reach.attempt {
        core.knocks.remove(&op);
        failed(contact, core);
    }
    core.touch(contact.id);
}

/// A meeting came to nothing.
pub(crate) fn meeting_failed(contact: &mut Contact, link: LinkToken, core: &mut Core) {
    if contact.reach.attempt == Attempt::Meeting(link) {
        failed(contact, core);
    }
}

/// A friend's knock, as sky brought it.
pub(crate) struct IncomingKnock<'a> {
    pub(crate) presence: PresenceKey,
    pub(crate) part: Part,
    pub(crate) nonce: [u8; 16],
    pub(crate) sealed: &'a [u8],
}

/// Answers a friend's knock, or gives nothing when it is to be met with silence. Whoever does not know an address of his own
/// has nothing to answer with; he knocks himself instead, since the friend is there and may have one.
pub(crate) fn answer(
    contact: &mut Contact,
    knock: &IncomingKnock<'_>,
    core: &mut Core,
) -> Option<Vec<u8>> {
    let may_come = matches!(
        contact.card.stage,
        Stage::Established | Stage::Accepted { .. }
    );
    let secrets = contact.card.secrets.as_ref()?;
    if !may_come || contact.card.blocked || contact.reach.nonces.contains(&knock.nonce) {
        return None;
    }
    let caller = read_call(secrets, knock, core)?;
    let ours = core
        .meetings
        .values()
        .filter(|m| m.contact == contact.id)
        .count();
    if caller.time_ms.abs_diff(core.now.unix_ms) > SKEW_MS_MAX || ours >= MEETINGS_MAX {
        return None;
    }
    let answer = if core.candidates.is_empty() {
        None
    } else {
        Some(write_answer(secrets, knock, core)?)
    };
    if contact.reach.nonces.len() >= NONCES_MAX {
        contact.reach.nonces.pop_front();
    }
    contact.reach.nonces.push_back(knock.nonce);
    if answer.is_some() || !caller.addrs.is_empty() {
        contact.reach.failures = 0;
        contact.reach.next_knock = None;
    }
    // Who knocks again did not come when he was expected before.
    if let Attempt::Meeting(link) = contact.reach.attempt
        && core.meetings.get(&link).is_some_and(|m| !m.dialled_by_us)
    {
        contact.reach.attempt = Attempt::None;
    }
    let Some(answer) = answer else {
        // Two who both know no address would knock at each other without end.
        contact.reach.greet |= !caller.addrs.is_empty();
        core.touch(contact.id);
        return None;
    };
    let link = core.new_link_token();
    let meeting = Meeting {
        contact: contact.id,
        dialled_by_us: false,
        knocked_at: core.now.mono,
    };
    meet(contact, link, meeting, core);
    core.out.effect(Effect::Expect {
        link,
        tag: answer.tag,
        our_seed: answer.seed,
        their_key: caller.tls_key,
        ttl: EXPECT,
    });
    Some(answer.sealed.to_vec())
}

struct OurAnswer {
    sealed: Box<Sealed>,
    tag: [u8; 16],
    seed: Secret,
}

fn read_call(secrets: &Secrets, knock: &IncomingKnock<'_>, core: &Core) -> Option<Caller> {
    let sealed: &[u8; SEALED_LEN] = knock.sealed.try_into().ok()?;
    let opened = |key: &Secret| {
        let half = HalfContext {
            outer_key: key,
            presence: &knock.presence,
            nonce: &knock.nonce,
        };
        half.open_caller(&core.net, sealed).ok()
    };
    secrets
        .incoming_keys(&core.net, knock.part.epoch)
        .iter()
        .find_map(opened)
}

fn write_answer(
    secrets: &Secrets,
    knock: &IncomingKnock<'_>,
    core: &mut Core,
) -> Option<OurAnswer> {
    let outer_key = secrets.outgoing.key_at(&core.net, knock.part.epoch)?;
    let (seed, tag) = (core.random.secret(), core.random.bytes());
    let half = HalfContext {
        outer_key: &outer_key,
        presence: &knock.presence,
        nonce: &knock.nonce,
    };
    let callee = Callee {
        time_ms: core.now.unix_ms,
        tls_key: public_of(&seed),
        tag,
        addrs: core.candidates.clone(),
    };
    let sealed = half.seal_callee(&core.net, &callee);
    Some(OurAnswer { sealed, tag, seed })
}

fn public_of(seed: &Secret) -> [u8; 32] {
    BlindedKey::from_seed(seed).public()
}

impl std::fmt::Debug for KnockResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Answered(_) => "Answered",
            Self::NoAnswer => "NoAnswer",
            Self::Refused => "Refused",
            Self::Failed => "Failed",
        })
    }
}
