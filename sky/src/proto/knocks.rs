//! Knocks: checked, passed on to the owner, or forwarded to the node where the owner is present.
//!
//! A knock that comes in from a user is answered here if its presence key is registered here. Otherwise it is forwarded, one hop, to
//! the presence node of the key in our view of the ring, and to the second one when the first cannot be reached. The node that holds
//! the key checks path, signature, refused slots and the nonce, and asks the owner (INCOMING), who has eight seconds.
//!
//! Nobody waits for the dead: a connection that was quiet for a moment is asked for a sign of life along with the knock, and when none
//! comes the knock moves on to the next node long before its own time is up.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use hermes_wire::{
    Wire as _,
    channel::{ErrorAnswer, ErrorCode},
    ids::{NodeKey, PresenceKey},
    knock::{Knock, KnockError, SEALED_LEN},
    mailbox::presence_position,
    sky::{ANSWER_S, Incoming, Knocked, MAX_HOPS, Register, Registered, Request},
};

use super::{
    Sky,
    conns::{Facts, Purpose},
    io::{CallFailure, ConnId, RequestId},
    limits::Kind,
    peers::Reach,
    replay::Repeated,
    requests::{Served, bad_signature, refusal, wait_s},
};

/// Presence nodes that a key may be registered at: the first and those that stand in for it.
const PRESENCE_NODES: usize = 3;

/// Presence nodes that a knock is forwarded to, one after the other.
const FORWARD_TO: usize = 2;

/// How long the owner may take.
const ANSWER_WAIT: Duration = Duration::from_secs(ANSWER_S);

/// How long the node that a knock was forwarded to may take: the owner's time and two for the way.
const FORWARD_WAIT: Duration = Duration::from_secs(ANSWER_S + 2);

/// A connection that was heard from so lately is taken to be alive.
const FRESH: Duration = Duration::from_secs(2);

/// A knock that waits for somebody's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KnockId(u64);

#[derive(Debug)]
enum Pending {
    /// It waits for the owner.
    Here {
        request: RequestId,
        presence: PresenceKey,
    },
    /// It waits for the node it was forwarded to, and may try these next.
    Forwarded {
        request: RequestId,
        knock: Box<Knock>,
        next: VecDeque<NodeKey>,
    },
}

/// All knocks under way.
#[derive(Debug, Default)]
pub(super) struct Knocks {
    table: BTreeMap<KnockId, Pending>,
    last: u64,
}

impl Knocks {
    fn open(&mut self, pending: Pending) -> KnockId {
        self.last = self.last.saturating_add(1);
        let id = KnockId(self.last);
        self.table.insert(id, pending);
        id
    }
}

/// Presence.
impl Sky {
    pub(super) fn serve_register(
        &mut self,
        facts: &Facts,
        register: &Register,
        now: Instant,
    ) -> Result<Served, ErrorAnswer> {
        self.charge(facts, Kind::Register, 1, now)?;
        if register.lease_s == 0 {
            return Err(refusal(ErrorCode::MALFORMED, "a lease of no time"));
        }
        let position = presence_position(&register.presence);
        if !self
            .sky
            .ring()
            .successors(&position, PRESENCE_NODES)
            .any(|member| member.seat.key == self.me)
        {
            return Err(refusal(ErrorCode::NOT_MINE, "other nodes are nearer"));
        }
        let is_new = self.presence.get(&register.presence).is_none();
        if is_new && self.presence.len() >= self.limits.leases_max {
            return Err(refusal(ErrorCode::FULL, "no room for more presence keys"));
        }
        let keys = self.conns.get(facts.conn).map(|conn| &conn.leases);
        if keys.is_none_or(|keys| {
            keys.len() >= hermes_wire::sky::MAX_KEYS && !keys.contains(&register.presence)
        }) {
            return Err(refusal(ErrorCode::QUOTA, "too many keys on one connection"));
        }
        register
            .verify(&self.network, &facts.binding, &self.me)
            .map_err(|error| bad_signature(&error))?;

        let lease_s = register.lease_s.min(self.network.params().lease_s).max(1);
        let until = now + Duration::from_secs(lease_s.into());
        let (knock_root, refused) = (register.knock_root, register.refused);
        let former =
            self.presence
                .register(register.presence, facts.conn, knock_root, refused, until);
        if let Some(conn) = former.and_then(|former| self.conns.get_mut(former)) {
            conn.leases.remove(&register.presence);
        }
        if let Some(conn) = self.conns.get_mut(facts.conn) {
            conn.leases.insert(register.presence);
        }
        Ok(Served::Body(Registered { lease_s }.to_bytes()))
    }

    /// Ends a lease, if it belongs to the one who asks. It is no error if there is none: it may just have run out.
    pub(super) fn serve_unregister(
        &mut self,
        facts: &Facts,
        key: &PresenceKey,
        now: Instant,
    ) -> Result<Served, ErrorAnswer> {
        self.charge(facts, Kind::Register, 1, now)?;
        if self
            .presence
            .get(key)
            .is_some_and(|lease| lease.conn == facts.conn)
        {
            self.presence.remove(key);
        }
        if let Some(conn) = self.conns.get_mut(facts.conn) {
            conn.leases.remove(key);
        }
        Ok(Served::Done)
    }

    /// Ends leases whose time is up.
    pub(super) fn expire_presence(&mut self, now: Instant) {
        for (key, lease) in self.presence.expire(now) {
            if let Some(conn) = self.conns.get_mut(lease.conn) {
                conn.leases.remove(&key);
            }
        }
    }
}

/// Knocks that come in.
impl Sky {
    pub(super) fn serve_knock(
        &mut self,
        facts: &Facts,
        request: RequestId,
        knock: Box<Knock>,
        now: Instant,
    ) -> Result<Served, ErrorAnswer> {
        self.charge(facts, Kind::Knock, 1, now)?;
        if self.presence.get(&knock.presence).is_some() {
            return self.knock_here(request, &knock, now);
        }
        knock
            .verify_signature(&self.network)
            .map_err(|error| bad_signature(&error))?;
        let nodes = self
            .sky
            .ring()
            .successors(&presence_position(&knock.presence), FORWARD_TO);
        let next: VecDeque<NodeKey> = nodes
            .map(|member| member.seat.key)
            .filter(|node| *node != self.me)
            .collect();
        if next.is_empty() {
            return Ok(Served::Body(Knocked::Absent.to_bytes()));
        }
        self.check_room_for_knock()?;
        let id = self.knocks.open(Pending::Forwarded {
            request,
            knock,
            next,
        });
        self.forward_next(id, now);
        Ok(Served::Later)
    }

    pub(super) fn serve_forward(
        &mut self,
        facts: &Facts,
        request: RequestId,
        hops: u8,
        knock: &Knock,
        now: Instant,
    ) -> Result<Served, ErrorAnswer> {
        if facts.node.is_none() || hops == 0 || hops >= MAX_HOPS {
            return Err(refusal(ErrorCode::REFUSED, "one hop from a node to a node"));
        }
        self.charge(facts, Kind::Forward, 1, now)?;
        if self.presence.get(&knock.presence).is_none() {
            return Ok(Served::Body(Knocked::Absent.to_bytes()));
        }
        self.knock_here(request, knock, now)
    }

    /// A knock at a key that is registered here.
    fn knock_here(
        &mut self,
        request: RequestId,
        knock: &Knock,
        now: Instant,
    ) -> Result<Served, ErrorAnswer> {
        let done = |knocked: &Knocked| Ok(Served::Body(knocked.to_bytes()));
        let Some(lease) = self.presence.get(&knock.presence) else {
            return done(&Knocked::Absent);
        };
        knock
            .verify(&self.network, &lease.knock_root)
            .map_err(|error| match error {
                KnockError::Signature(error) => bad_signature(&error),
                _ => refusal(ErrorCode::PATH, "no such knocker"),
            })?;
        if lease.refuses(knock.slot) {
            return done(&Knocked::Refused);
        }
        let (conn, waiting) = (lease.conn, lease.waiting);
        // First what may be tried again with the same knock, then what uses it up.
        if !knock.probe {
            if waiting >= self.limits.knocks_per_owner {
                let wait = u32::try_from(ANSWER_S).unwrap_or(u32::MAX);
                return Err(refusal(ErrorCode::RATE, "others are knocking").retry_after(wait));
            }
            self.check_room_for_knock()?;
        }
        let share = self.limits.knocks_per_slot;
        let noted = self
            .presence
            .note_nonce(knock.presence, knock.slot, knock.nonce, share, now);
        noted.map_err(|repeated| match repeated {
            Repeated::Nonce => refusal(ErrorCode::REFUSED, "a replay"),
            Repeated::Share(wait) => {
                refusal(ErrorCode::RATE, "too many knocks").retry_after(wait_s(wait))
            }
        })?;
        if knock.probe {
            return done(&Knocked::Online);
        }
        if let Some(lease) = self.presence.get_mut(&knock.presence) {
            lease.waiting = lease.waiting.saturating_add(1);
        }
        let id = self.knocks.open(Pending::Here {
            request,
            presence: knock.presence,
        });
        self.call(
            conn,
            Purpose::Incoming(id),
            Request::Incoming(Incoming::from(knock)),
            ANSWER_WAIT,
            now,
        );
        Ok(Served::Later)
    }

    fn check_room_for_knock(&self) -> Result<(), ErrorAnswer> {
        if self.knocks.table.len() >= self.limits.knocks_max {
            return Err(refusal(ErrorCode::FULL, "too many knocks under way"));
        }
        Ok(())
    }
}

/// Knocks that wait.
impl Sky {
    /// Sends a knock to the next node that may hold its key.
    pub(super) fn forward_next(&mut self, id: KnockId, now: Instant) {
        loop {
            let Some(Pending::Forwarded { next, .. }) = self.knocks.table.get_mut(&id) else {
                return;
            };
            let Some(node) = next.pop_front() else {
                self.finish_knock(id, Ok(Knocked::Absent));
                return;
            };
            match self.reach(node, now) {
                Reach::Open(conn) => return self.send_forward(id, node, conn, now),
                Reach::Dialling => return self.peers.queue_knock(&node, id),
                Reach::Not => {}
            }
        }
    }

    pub(super) fn send_forward(&mut self, id: KnockId, node: NodeKey, conn: ConnId, now: Instant) {
        let Some(Pending::Forwarded { knock, .. }) = self.knocks.table.get(&id) else {
            return;
        };
        let request = Request::Forward {
            hops: 1,
            knock: knock.clone(),
        };
        let is_fresh = self
            .conns
            .get(conn)
            .is_some_and(|conn| now.saturating_duration_since(conn.heard) < FRESH);
        self.call(conn, Purpose::Forward(id), request, FORWARD_WAIT, now);
        if !is_fresh {
            self.check(node, now);
        }
    }

    /// The owner has answered, or not.
    pub(super) fn incoming_answered(&mut self, id: KnockId, answer: Result<Vec<u8>, CallFailure>) {
        let knocked = match answer {
            Ok(body) => <[u8; SEALED_LEN]>::try_from(body)
                .map_or(Knocked::NoAnswer, |half| Knocked::Answered(Box::new(half))),
            // Whoever does not want to answer need not.
            Err(CallFailure::Refused(_)) => Knocked::NoAnswer,
            Err(CallFailure::Lost) => Knocked::Absent,
        };
        self.finish_knock(id, Ok(knocked));
    }

    /// The node that a knock was forwarded to has answered, or not.
    pub(super) fn forward_answered(
        &mut self,
        id: KnockId,
        answer: Result<Vec<u8>, CallFailure>,
        now: Instant,
    ) {
        match answer.map(|body| Knocked::decode(&body)) {
            Ok(Ok(knocked)) => self.finish_knock(id, Ok(knocked)),
            Err(CallFailure::Refused(error)) if !is_about_the_node(error.code) => {
                let error = ErrorAnswer::new(error.code).retry_after(error.retry_after_s);
                self.finish_knock(id, Err(error));
            }
            Ok(Err(_)) | Err(CallFailure::Refused(_) | CallFailure::Lost) => {
                self.forward_next(id, now)
            }
        }
    }

    /// Time is up for a knock.
    pub(super) fn knock_late(&mut self, id: KnockId) {
        self.finish_knock(id, Ok(Knocked::NoAnswer));
    }

    fn finish_knock(&mut self, id: KnockId, outcome: Result<Knocked, ErrorAnswer>) {
        let Some(pending) = self.knocks.table.remove(&id) else {
            return;
        };
        let request = match pending {
            Pending::Forwarded { request, .. } => request,
            Pending::Here { request, presence } => {
                if let Some(lease) = self.presence.get_mut(&presence) {
                    lease.waiting = lease.waiting.saturating_sub(1);
                }
                request
            }
        };
        self.answer(request, outcome.map(|knocked| knocked.to_bytes()));
    }
}

/// Whether an error says something about the node that was asked, and not about the knock: another node may do better then.
fn is_about_the_node(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::LEAVING
            | ErrorCode::NOT_MINE
            | ErrorCode::UNSUPPORTED
            | ErrorCode::FULL
            | ErrorCode::RATE
    )
}
