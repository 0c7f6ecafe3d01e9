//! The sky node as a pure machine.
//!
//! A sky node does four things, each in a file of its own:
//!
//! - it knows **all sky nodes** by their signed records: `peers` (who answers, who is gone), `spread` (news over the ring's
//!   links), `sync` (exchange of lists when digests differ), `join`, `own` (its own record and place), over one `catalog` per role;
//! - it keeps the **directory of keepers**, for whose being there their home sky node vouches: `homes`;
//! - it holds the **presence** of owners by blinded keys, and carries **knocks** to them, over one other node at most: `presence`,
//!   `knocks`, `replay`;
//! - it **answers anybody** who asks for sky nodes, keepers or its own view of their address, within `limits`.
//!
//! The flow of a knock, with the presence key P' registered at node B:
//!
//! ```text
//! friend ──KNOCK──▶ A ──FORWARD(1)──▶ B ──INCOMING──▶ owner
//!        ◀─────────   ◀────────────    ◀── sealed half
//! ```
//!
//! The machine has no socket, clock, file or randomness. It is fed by `handle_*`, and drained by [`Sky::poll_output`] until that gives
//! nothing. Everything it holds on behalf of others has a cap in [`Limits`] or a named constant.

mod catalog;
mod clock;
mod conns;
mod homes;
mod io;
mod join;
mod knocks;
mod limits;
mod own;
mod peers;
mod presence;
mod replay;
mod requests;
mod spread;
mod sync;
#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a virtual clock starts somewhere"
)]
mod tests;
mod upkeep;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use hermes_wire::{
    Network,
    channel::{ErrorAnswer, ErrorCode},
    ids::NodeKey,
    node::{Addr, NodeRecord, NodeUri, RecordError, Role},
    sky::{DIGEST, Request},
};

pub use io::{
    CallFailure, CallId, Close, Closed, ConnId, DialFailure, Event, Opened, Output, RequestId, Side,
};
pub use limits::{Handshakes, Kind, Limits, Rate};
pub use replay::NONCES_KEPT;

use catalog::{Catalog, Verdict};
use clock::Clock;
use conns::{Call, Conn, Conns, Purpose};
use homes::Homes;
use io::earlier;
use join::Contacts;
use knocks::Knocks;
use limits::{Limiter, Payer};
use own::{Claims, Own};
use peers::Peers;
use presence::Presence;
use requests::Served;
use spread::Spread;

/// What a node is made of.
#[derive(Debug)]
pub struct Config {
    /// The network.
    pub network: Network,
    /// The node key.
    pub key: SigningKey,
    /// Where others reach this node, one to four; the first decides about its place on the ring.
    pub addrs: Vec<Addr>,
    /// Nodes to join by.
    pub seeds: Vec<NodeUri>,
    /// What [`Output::Store`] said last.
    pub known: Vec<NodeRecord>,
    /// Caps and rates.
    pub limits: Limits,
}

/// A sky node.
///
/// - *Getters*: [`node_key`](Self::node_key), [`uri`](Self::uri), [`sky_count`](Self::sky_count),
///   [`keeper_count`](Self::keeper_count), [`connection_count`](Self::connection_count).
/// - *Inputs*: [`handle_opened`](Self::handle_opened), [`handle_moved`](Self::handle_moved), [`handle_closed`](Self::handle_closed),
///   [`handle_dial_failed`](Self::handle_dial_failed), [`handle_request`](Self::handle_request),
///   [`handle_answer`](Self::handle_answer), [`handle_clock`](Self::handle_clock), [`handle_leave`](Self::handle_leave),
///   [`handle_timeout`](Self::handle_timeout). `now` never goes back.
/// - *Outputs*: [`poll_output`](Self::poll_output) until `None` after every input, then [`poll_timeout`](Self::poll_timeout).
///
/// ```text
/// loop {
///     while let Some(output) = sky.poll_output() { carry it out }
///     wait for an event, at most until sky.poll_timeout()
///     sky.handle_…(event, now) or sky.handle_timeout(now)
/// }
/// ```
#[derive(Debug)]
pub struct Sky {
    network: Network,
    key: SigningKey,
    me: NodeKey,
    limits: Limits,
    clock: Clock,
    /// When something last came in from anybody.
    heard: Instant,
    outputs: VecDeque<Output>,
    conns: Conns,
    limiter: Limiter,
    sky: Catalog,
    earth: Catalog,
    own: Own,
    claims: Claims,
    peers: Peers,
    contacts: Contacts,
    spread: Spread,
    homes: Homes,
    presence: Presence,
    knocks: Knocks,
    is_joined: bool,
    next_watch: Instant,
    /// Whether the list of sky nodes has changed since it was stored.
    is_dirty: bool,
    stored_at: Option<Instant>,
    leaving: Option<upkeep::Leaving>,
}

impl Sky {
    /// A node that starts now. `unix_now` is the wall clock, since the Unix epoch.
    ///
    /// # Errors
    ///
    /// When the addresses do not make an acceptable record: none or too many, or not public on a network that demands it.
    pub fn new(config: Config, now: Instant, unix_now: Duration) -> Result<Self, RecordError> {
        let Config {
            network,
            key,
            addrs,
            seeds,
            known,
            limits,
        } = config;
        let clock = Clock::new(now, unix_now);
        let own = Own::new(&network, &key, addrs, clock.unix_ms(now))?;
        let me = own.record().node;
        let mut sky = Catalog::new(network.clone(), limits.sky_max);
        sky.insert(own.record().clone());
        let unix_s = clock.unix_s(now);
        let is_member = |record: &NodeRecord| {
            record.body.role == Role::Sky && record.verify(&network, unix_s).is_ok()
        };
        let known: Vec<NodeRecord> = known
            .into_iter()
            .filter(|record| record.node != me && is_member(record))
            .collect();
        for record in &known {
            if sky.judge(record) == Verdict::News {
                sky.insert(record.clone());
            }
        }
        let seeds = seeds
            .iter()
            .filter(|seed| seed.role == Role::Sky && seed.node != me);
        let contacts = Contacts::new(seeds.map(|seed| (seed.node, seed.addr.socket())), &known);
        let mut machine = Self {
            earth: Catalog::new(network.clone(), limits.keepers_max),
            network,
            key,
            me,
            limits,
            clock,
            heard: now,
            outputs: VecDeque::new(),
            conns: Conns::default(),
            limiter: Limiter::new(limits),
            sky,
            own,
            claims: Claims::default(),
            peers: Peers::default(),
            contacts,
            spread: Spread::default(),
            homes: Homes::default(),
            presence: Presence::default(),
            knocks: Knocks::default(),
            is_joined: false,
            next_watch: now + upkeep::WATCH_EVERY,
            is_dirty: true,
            stored_at: None,
            leaving: None,
        };
        if machine.contacts.is_exhausted() {
            machine.joined(now);
        } else {
            machine.try_contacts(now);
        }
        Ok(machine)
    }

    /// Our key.
    #[must_use]
    pub const fn node_key(&self) -> NodeKey {
        self.me
    }

    /// How others are told of this node.
    #[must_use]
    pub fn uri(&self) -> Option<NodeUri> {
        self.own.record().uri()
    }

    /// How many sky nodes are listed, this one included.
    #[must_use]
    pub fn sky_count(&self) -> usize {
        self.sky.ring().len()
    }

    /// How many keepers are listed.
    #[must_use]
    pub fn keeper_count(&self) -> usize {
        self.earth.ring().len()
    }

    /// How many connections stand.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.conns.len()
    }

    /// What is to be done next. `None`: all is done until the next input.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let deadlines = [
            (self.conns.next_deadline(), "a request of ours is late"),
            (self.presence.next_deadline(), "a lease ends"),
            (self.spread.next_deadline(), "news are to be spread"),
            (self.peers.next_deadline(), "a peer is to be dialled again"),
            (
                self.contacts.next_deadline(),
                "links do not confirm our record",
            ),
            (self.homes.next_deadline(), "a keeper did not come back"),
            (
                self.leaving.as_ref().map(upkeep::Leaving::deadline),
                "leaving takes too long",
            ),
        ];
        let watch = Some((self.next_watch, "looking after neighbours"));
        deadlines
            .into_iter()
            .map(|(at, why)| at.map(|at| (at, why)))
            .fold(watch, earlier)
    }

    /// A connection stands.
    pub fn handle_opened(&mut self, opened: &Opened, now: Instant) {
        if opened.side == Side::Accepted && !self.has_room(opened, now) {
            self.out(Output::Close {
                conn: opened.conn,
                why: Close::Limit,
            });
            return;
        }
        self.heard = now;
        let facts = self.conns.insert(opened, now);
        match (opened.side, opened.node) {
            (Side::Accepted, node) => {
                self.out(Output::Observed {
                    conn: opened.conn,
                    addr: opened.remote,
                });
                node.into_iter().for_each(|node| self.peer_is_back(node));
            }
            (Side::Dialled, Some(node)) => self.greet(&facts, node, now),
            (Side::Dialled, None) => {}
        }
    }

    /// The other side of a connection has another address than before.
    pub fn handle_moved(&mut self, conn: ConnId, remote: SocketAddr) {
        if self
            .conns
            .get(conn)
            .is_some_and(|conn| conn.facts.side == Side::Accepted)
        {
            self.out(Output::Observed { conn, addr: remote });
        }
    }

    /// A connection has ended.
    pub fn handle_closed(&mut self, conn: ConnId, how: Closed, now: Instant) {
        self.forget_conn(conn, how, now);
    }

    /// A dial has failed.
    pub fn handle_dial_failed(&mut self, node: NodeKey, why: DialFailure, now: Instant) {
        self.dial_failed(node, why, now);
    }

    /// The other side asks something.
    pub fn handle_request(
        &mut self,
        conn: ConnId,
        request: RequestId,
        kind: u8,
        body: &[u8],
        now: Instant,
    ) {
        let Some(facts) = self.conns.hear(conn, now) else {
            return;
        };
        self.heard = now;
        if kind != DIGEST
            && let Some(conn) = self.conns.get_mut(conn)
        {
            conn.used = now;
        }
        let served = match Request::decode(kind, body) {
            Err(error) => Err(ErrorAnswer::new(error.code())),
            Ok(_) if self.leaving.is_some() => Err(ErrorAnswer::new(ErrorCode::LEAVING)),
            Ok(asked) => self.serve(&facts, request, asked, now),
        };
        match served {
            Ok(Served::Done) => self.answer(request, Ok(Vec::new())),
            Ok(Served::Body(body)) => self.answer(request, Ok(body)),
            Ok(Served::Later) => {}
            Err(error) => self.answer(request, Err(error)),
        }
    }

    /// A request of ours was answered, or will not be.
    pub fn handle_answer(
        &mut self,
        call: CallId,
        answer: Result<Vec<u8>, CallFailure>,
        now: Instant,
    ) {
        let Some(Call { conn, purpose, .. }) = self.conns.end_call(call) else {
            return;
        };
        if !matches!(answer, Err(CallFailure::Lost)) {
            self.conns.hear(conn, now);
            self.heard = now;
        }
        self.answered(conn, purpose, answer, now);
    }

    /// The wall clock, from time to time: after a suspend or a correction it differs from what passed.
    pub fn handle_clock(&mut self, unix_now: Duration, now: Instant) {
        self.clock = Clock::new(now, unix_now);
    }

    /// The node is to stop: it says goodbye to its links. [`Event::Left`] tells when that is done.
    pub fn handle_leave(&mut self, now: Instant) {
        self.leave(now);
    }

    /// Time has passed. Early calls do no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(Call { conn, purpose, .. }) = self.conns.late_call(now) {
            self.late(conn, purpose, now);
        }
        self.expire_presence(now);
        self.retry_peers(now);
        self.bury_keepers(now);
        if self.next_watch <= now {
            self.next_watch = now + upkeep::WATCH_EVERY;
            self.watch(now);
        }
        self.flush_news(now);
        self.introduced_in_time(now);
        self.leave_in_time(now);
    }

    fn out(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn answer(&mut self, request: RequestId, answer: Result<Vec<u8>, ErrorAnswer>) {
        self.out(Output::Answer { request, answer });
    }

    fn catalog(&self, role: Role) -> &Catalog {
        match role {
            Role::Sky => &self.sky,
            Role::Earth => &self.earth,
        }
    }

    fn catalog_mut(&mut self, role: Role) -> &mut Catalog {
        match role {
            Role::Sky => &mut self.sky,
            Role::Earth => &mut self.earth,
        }
    }

    fn call(
        &mut self,
        conn: ConnId,
        purpose: Purpose,
        request: Request,
        wait: Duration,
        now: Instant,
    ) {
        if let Some(call) = self.conns.open_call(conn, purpose, now + wait, now) {
            self.out(Output::Call {
                conn,
                call,
                request,
            });
        }
    }

    fn answered(
        &mut self,
        conn: ConnId,
        purpose: Purpose,
        answer: Result<Vec<u8>, CallFailure>,
        now: Instant,
    ) {
        match purpose {
            Purpose::Compare => self.compared(conn, answer, now),
            Purpose::Page => self.page_came(conn, answer, now),
            Purpose::Incoming(knock) => self.incoming_answered(knock, answer),
            Purpose::Forward(knock) => self.forward_answered(knock, answer, now),
            Purpose::Farewell => self.farewell_heard(now),
            Purpose::Spread => {
                let node = self.conns.get(conn).and_then(|conn| conn.facts.node);
                node.into_iter()
                    .for_each(|node| self.introduced(&node, now));
            }
            Purpose::Alive => {}
        }
    }

    /// A request of ours was not answered in time.
    fn late(&mut self, conn: ConnId, purpose: Purpose, now: Instant) {
        match purpose {
            Purpose::Incoming(knock) | Purpose::Forward(knock) => self.knock_late(knock),
            Purpose::Farewell => self.farewell_heard(now),
            // Nodes answer these at once; whoever does not is not there.
            Purpose::Compare | Purpose::Alive | Purpose::Page | Purpose::Spread => {
                self.close(conn, Close::Silent, now)
            }
        }
    }

    /// Closes a connection and forgets it.
    fn close(&mut self, conn: ConnId, why: Close, now: Instant) {
        self.out(Output::Close { conn, why });
        let how = match why {
            Close::Unused | Close::Limit => Closed::ByPeer,
            Close::Silent | Close::AnnounceAnew => Closed::Broken,
        };
        self.forget_conn(conn, how, now);
    }

    fn forget_conn(&mut self, id: ConnId, how: Closed, now: Instant) {
        let Some((conn, calls)) = self.conns.remove(id) else {
            return;
        };
        for key in &conn.leases {
            self.presence.remove(key);
        }
        for purpose in calls {
            self.answered(id, purpose, Err(CallFailure::Lost), now);
        }
        if let Some(keeper) = conn.keeper {
            self.keeper_lost(keeper, id, how, now);
        }
        if let Some(node) = conn.facts.node {
            self.connection_lost(node, how, now);
        }
    }

    /// Whether an accepted connection may stay. It may take the place of the visitor that has been quiet for longest.
    fn has_room(&mut self, opened: &Opened, now: Instant) -> bool {
        let block = Addr::new(opened.remote).prefix();
        let is_member = opened.node.is_some_and(|node| self.sky.contains(&node));
        if !is_member {
            let is_crowded = self.conns.count_in(block) >= self.limits.connections_per_block;
            if is_crowded
                || self
                    .limiter
                    .take(Payer::Block(block), Kind::Connect, 1, now)
                    .is_err()
            {
                return false;
            }
        }
        if self.conns.len() < self.limits.connections_max {
            return true;
        }
        let sky = &self.sky;
        let is_member = |conn: &Conn| conn.facts.node.is_some_and(|node| sky.contains(&node));
        let has_duty =
            |conn: &Conn| !conn.leases.is_empty() || conn.keeper.is_some() || is_member(conn);
        let Some(idlest) = self.conns.idlest(now, has_duty) else {
            return false;
        };
        self.close(idlest, Close::Limit, now);
        true
    }
}
