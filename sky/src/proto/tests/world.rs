//! A network of sky nodes, keepers and users on a virtual clock.
//!
//! Every message takes [`LATENCY`]. A node that is killed says nothing any more: dials to it fail after [`DIAL_TIMEOUT`], and
//! connections to it break only after [`IDLE`], as with the real transport.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use hermes_wire::{
    Network, Wire as _,
    channel::{ErrorAnswer, ErrorCode},
    ids::{Binding, NodeKey},
    node::{NodeRecord, NodeUri, Role},
    sky::{Digests, List, Listed, Request},
};

use crate::proto::{
    CallFailure, CallId, Close, Closed, Config, ConnId, DialFailure, Event, Limits, Opened, Output,
    RequestId, Side, Sky,
};

pub(super) const LATENCY: Duration = Duration::from_millis(10);
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
pub(super) const IDLE: Duration = Duration::from_secs(90);

/// 2026-06-01, in the first year of the protocol.
pub(super) const START_S: u64 = 1_780_272_000;

/// How long a test may take on the virtual clock before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) type Answer = Result<Vec<u8>, ErrorAnswer>;

/// What a user or keeper does with requests of its sky node.
#[derive(Clone)]
pub(super) enum Policy {
    /// Answers with this body.
    Answer(Vec<u8>),
    /// Answers each type of request with a body, or not at all.
    ByKind(fn(u8, &[u8]) -> Option<Vec<u8>>),
    /// Answers with an error.
    Refuse,
    /// Never answers.
    Silent,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct NodeId(pub(super) usize);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ClientId(usize);

impl ClientId {
    pub(super) const fn index(self) -> usize {
        self.0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Who {
    Node(NodeId, u32),
    Client(ClientId),
}

pub(super) struct Node {
    pub(super) sky: Option<Sky>,
    pub(super) key: SigningKey,
    pub(super) addr: SocketAddr,
    pub(super) stored: Vec<NodeRecord>,
    pub(super) events: Vec<Event>,
    pub(super) closes: Vec<Close>,
    pub(super) dials: usize,
    life: u32,
}

pub(super) struct Client {
    pub(super) conn: ConnId,
    pub(super) node_key: NodeKey,
    pub(super) observed: Vec<SocketAddr>,
    pub(super) incoming: Vec<Request>,
    pub(super) is_closed: bool,
    pub(super) policy: Policy,
}

enum Message {
    Opened {
        to: Who,
        opened: Opened,
    },
    DialFailed {
        to: Who,
        node: NodeKey,
        why: DialFailure,
    },
    Request {
        to: Who,
        conn: ConnId,
        request: RequestId,
        kind: u8,
        body: Vec<u8>,
    },
    Answer {
        to: Who,
        call: Asked,
        answer: Answer,
    },
    Observed {
        to: Who,
        addr: SocketAddr,
    },
    Closed {
        to: Who,
        conn: ConnId,
        how: Closed,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Call(CallId),
    Ticket(u64),
}

pub(super) struct World {
    pub(super) network: Network,
    pub(super) limits: Limits,
    pub(super) now: Instant,
    start: Instant,
    pub(super) nodes: Vec<Node>,
    pub(super) clients: Vec<Client>,
    conns: BTreeMap<ConnId, [(Who, Side); 2]>,
    requests: BTreeMap<RequestId, (Who, Asked)>,
    tickets: BTreeMap<u64, Option<Answer>>,
    queue: BTreeMap<(Instant, u64), Message>,
    last: u64,
    /// Requests of nodes, by type, that were delivered.
    pub(super) traffic: BTreeMap<u8, usize>,
    /// Connections that carry nothing any more, without anybody noticing.
    cut: Vec<ConnId>,
}

/// A request of a client.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

impl World {
    pub(super) fn new(network: Network) -> Self {
        let now = Instant::now();
        let limits = if network.is_diverse() {
            Limits::public()
        } else {
            Limits::lab()
        };
        Self {
            network,
            limits,
            now,
            start: now,
            nodes: Vec::new(),
            clients: Vec::new(),
            conns: BTreeMap::new(),
            requests: BTreeMap::new(),
            tickets: BTreeMap::new(),
            queue: BTreeMap::new(),
            last: 0,
            traffic: BTreeMap::new(),
            cut: Vec::new(),
        }
    }

    pub(super) fn lab() -> Self {
        Self::new(Network::lab())
    }

    /// Several nodes; each joins by the first, one second after the other. Returns when all agree.
    pub(super) fn lab_of(count: usize) -> Self {
        let mut world = Self::lab();
        for n in 0..count {
            let seeds = if n == 0 {
                Vec::new()
            } else {
                vec![world.uri(NodeId(0))]
            };
            world.start_node(seeds);
            world.run_for(Duration::from_secs(1));
        }
        world.run_until("all nodes agree", World::agree);
        world
    }

    fn next_id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn unix(&self) -> Duration {
        Duration::from_secs(START_S) + (self.now - self.start)
    }

    pub(super) fn unix_s(&self) -> u64 {
        self.unix().as_secs()
    }

    pub(super) fn addr(n: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 10_000 + u16::try_from(n).unwrap()))
    }

    pub(super) fn start_node(&mut self, seeds: Vec<NodeUri>) -> NodeId {
        let n = self.nodes.len();
        self.start_node_at(Self::addr(n), seeds)
    }

    pub(super) fn start_node_at(&mut self, addr: SocketAddr, seeds: Vec<NodeUri>) -> NodeId {
        let id = NodeId(self.nodes.len());
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(id.0 as u64 + 1).to_le_bytes());
        self.nodes.push(Node {
            sky: None,
            key: SigningKey::from_bytes(&seed),
            addr,
            stored: Vec::new(),
            events: Vec::new(),
            closes: Vec::new(),
            dials: 0,
            life: 0,
        });
        self.boot(id, seeds);
        id
    }

    /// Starts a node that was killed, with what it has stored.
    pub(super) fn boot(&mut self, id: NodeId, seeds: Vec<NodeUri>) {
        let node = &mut self.nodes[id.0];
        assert!(node.sky.is_none());
        node.life += 1;
        node.events.clear();
        let config = Config {
            network: self.network.clone(),
            key: node.key.clone(),
            addrs: vec![node.addr.into()],
            seeds,
            known: node.stored.clone(),
            limits: self.limits,
        };
        let unix = Duration::from_secs(START_S) + (self.now - self.start);
        node.sky = Some(Sky::new(config, self.now, unix).unwrap());
        self.drain(id);
    }

    pub(super) fn kill(&mut self, id: NodeId) {
        let who = self.who(id);
        self.nodes[id.0].sky = None;
        let broken: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, ends)| ends.iter().any(|(end, _)| *end == who))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in broken {
            self.break_conn(conn);
        }
    }

    /// Tells a node to stop, and runs until it has said goodbye.
    pub(super) fn leave(&mut self, id: NodeId) -> Duration {
        let now = self.now;
        if let Some(sky) = &mut self.nodes[id.0].sky {
            sky.handle_leave(now);
        }
        self.drain(id);
        self.run_until("it has left", |world| {
            world.nodes[id.0].events.contains(&Event::Left)
        })
    }

    /// Lets a connection carry nothing any more; both ends learn of it after the idle time.
    pub(super) fn break_conn(&mut self, conn: ConnId) {
        let Some(ends) = self.conns.get(&conn).copied() else {
            return;
        };
        self.cut.push(conn);
        for (to, _) in ends {
            self.send_in(
                IDLE,
                Message::Closed {
                    to,
                    conn,
                    how: Closed::Broken,
                },
            );
        }
    }

    /// Lets all connections between two nodes carry nothing any more.
    pub(super) fn break_between(&mut self, a: NodeId, b: NodeId) {
        let (a, b) = (self.who(a), self.who(b));
        let conns: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, ends)| {
                ends.iter().any(|end| end.0 == a) && ends.iter().any(|end| end.0 == b)
            })
            .map(|(conn, _)| *conn)
            .collect();
        for conn in conns {
            self.break_conn(conn);
        }
    }

    fn who(&self, id: NodeId) -> Who {
        Who::Node(id, self.nodes[id.0].life)
    }

    pub(super) fn node(&self, id: NodeId) -> &Sky {
        self.nodes[id.0].sky.as_ref().unwrap()
    }

    pub(super) fn uri(&self, id: NodeId) -> NodeUri {
        let node = &self.nodes[id.0];
        NodeUri {
            role: Role::Sky,
            node: NodeKey(node.key.verifying_key().to_bytes()),
            addr: node.addr.into(),
        }
    }

    pub(super) fn key(&self, id: NodeId) -> NodeKey {
        self.uri(id).node
    }

    pub(super) fn alive(&self) -> Vec<NodeId> {
        (0..self.nodes.len())
            .map(NodeId)
            .filter(|id| self.nodes[id.0].sky.is_some())
            .collect()
    }

    /// Whether all living nodes list exactly the living nodes, and the same keepers.
    pub(super) fn agree(&mut self) -> bool {
        let count = self.alive().len();
        let mut digests: Vec<Digests> = Vec::new();
        for node in &mut self.nodes {
            let Some(sky) = &mut node.sky else { continue };
            if sky.sky_count() != count {
                return false;
            }
            digests.push(sky.digests());
        }
        digests.windows(2).all(|pair| pair[0] == pair[1])
    }

    fn send_in(&mut self, wait: Duration, message: Message) {
        let id = self.next_id();
        self.queue.insert((self.now + wait, id), message);
    }

    fn send(&mut self, message: Message) {
        self.send_in(LATENCY, message);
    }

    fn connect(
        &mut self,
        from: Who,
        presented: Option<NodeKey>,
        remote: SocketAddr,
        to: NodeId,
    ) -> ConnId {
        let conn = ConnId(self.next_id());
        let acceptor = self.who(to);
        self.conns
            .insert(conn, [(from, Side::Dialled), (acceptor, Side::Accepted)]);
        let mut binding = [7; 32];
        binding[..8].copy_from_slice(&conn.0.to_le_bytes());
        let binding = Binding(binding);
        let (key, addr) = (self.key(to), self.nodes[to.0].addr);
        let accepted = Opened {
            conn,
            side: Side::Accepted,
            remote,
            node: presented,
            binding,
        };
        self.send(Message::Opened {
            to: acceptor,
            opened: accepted,
        });
        let dialled = Opened {
            conn,
            side: Side::Dialled,
            remote: addr,
            node: Some(key),
            binding,
        };
        self.send(Message::Opened {
            to: from,
            opened: dialled,
        });
        conn
    }

    fn dial(&mut self, from: NodeId, node: NodeKey, addrs: &[SocketAddr]) {
        self.nodes[from.0].dials += 1;
        let (who, presented, remote) = (self.who(from), self.key(from), self.nodes[from.0].addr);
        let there = self
            .alive()
            .into_iter()
            .find(|id| addrs.contains(&self.nodes[id.0].addr));
        match there {
            None => self.send_in(
                DIAL_TIMEOUT,
                Message::DialFailed {
                    to: who,
                    node,
                    why: DialFailure::Unreachable,
                },
            ),
            Some(id) if self.key(id) != node => {
                self.send_in(
                    LATENCY * 2,
                    Message::DialFailed {
                        to: who,
                        node,
                        why: DialFailure::WrongKey,
                    },
                );
            }
            Some(id) => {
                self.connect(who, Some(presented), remote, id);
            }
        }
    }

    /// Whether something sent now by this end gets to the other.
    fn other_end(&self, conn: ConnId, from: Who) -> Option<Who> {
        if self.cut.contains(&conn) {
            return None;
        }
        self.conns
            .get(&conn)?
            .iter()
            .map(|(who, _)| *who)
            .find(|who| *who != from)
    }

    fn is_alive(&self, who: Who) -> bool {
        match who {
            Who::Client(_) => true,
            Who::Node(id, life) => self.nodes[id.0].life == life && self.nodes[id.0].sky.is_some(),
        }
    }

    /// Carries out what a node wants.
    fn drain(&mut self, id: NodeId) {
        let who = self.who(id);
        while let Some(output) = self.nodes[id.0].sky.as_mut().and_then(Sky::poll_output) {
            match output {
                Output::Dial { node, addrs } => self.dial(id, node, &addrs),
                Output::Call {
                    conn,
                    call,
                    request,
                } => self.ask(who, conn, Asked::Call(call), &request),
                Output::Answer { request, answer } => {
                    if let Some((to, call)) = self.requests.remove(&request) {
                        self.send(Message::Answer { to, call, answer });
                    }
                }
                Output::Observed { conn, addr } => {
                    if let Some(to) = self.other_end(conn, who) {
                        self.send(Message::Observed { to, addr });
                    }
                }
                Output::Close { conn, why } => {
                    self.nodes[id.0].closes.push(why);
                    self.close_from(conn, who);
                }
                Output::Store { records } => self.nodes[id.0].stored = records,
                Output::Event(event) => self.nodes[id.0].events.push(event),
            }
        }
    }

    fn close_from(&mut self, conn: ConnId, from: Who) {
        let other = self.other_end(conn, from);
        self.conns.remove(&conn);
        if let Some(to) = other {
            self.send(Message::Closed {
                to,
                conn,
                how: Closed::ByPeer,
            });
        }
    }

    fn ask(&mut self, from: Who, conn: ConnId, asked: Asked, request: &Request) {
        let Some(to) = self.other_end(conn, from) else {
            return;
        };
        let id = RequestId(self.next_id());
        self.requests.insert(id, (from, asked));
        let mut body = Vec::new();
        request.encode(&mut body);
        if matches!(from, Who::Node(..)) {
            *self.traffic.entry(request.kind()).or_default() += 1;
        }
        self.send(Message::Request {
            to,
            conn,
            request: id,
            kind: request.kind(),
            body,
        });
    }

    fn deliver(&mut self, message: Message) {
        let to = match &message {
            Message::Opened { to, .. }
            | Message::DialFailed { to, .. }
            | Message::Request { to, .. }
            | Message::Answer { to, .. }
            | Message::Observed { to, .. }
            | Message::Closed { to, .. } => *to,
        };
        if !self.is_alive(to) {
            return;
        }
        match to {
            Who::Client(id) => self.deliver_to_client(id, message),
            Who::Node(id, _) => {
                let now = self.now;
                let Some(sky) = &mut self.nodes[id.0].sky else {
                    return;
                };
                match message {
                    Message::Opened { opened, .. } => sky.handle_opened(&opened, now),
                    Message::DialFailed { node, why, .. } => sky.handle_dial_failed(node, why, now),
                    Message::Request {
                        conn,
                        request,
                        kind,
                        body,
                        ..
                    } => sky.handle_request(conn, request, kind, &body, now),
                    Message::Answer {
                        call: Asked::Call(call),
                        answer,
                        ..
                    } => {
                        sky.handle_answer(call, answer.map_err(CallFailure::Refused), now);
                    }
                    Message::Closed { conn, how, .. } => sky.handle_closed(conn, how, now),
                    Message::Answer { .. } | Message::Observed { .. } => {}
                }
                self.drain(id);
            }
        }
    }

    fn deliver_to_client(&mut self, id: ClientId, message: Message) {
        let client = &mut self.clients[id.0];
        match message {
            Message::Observed { addr, .. } => client.observed.push(addr),
            Message::Closed { .. } => client.is_closed = true,
            Message::Answer {
                call: Asked::Ticket(ticket),
                answer,
                ..
            } => {
                self.tickets.insert(ticket, Some(answer));
            }
            Message::Request {
                request,
                kind,
                body,
                ..
            } => {
                client.incoming.extend(Request::decode(kind, &body));
                let answer = match client.policy.clone() {
                    Policy::Answer(body) => Ok(body),
                    Policy::ByKind(answer) => match answer(kind, &body) {
                        Some(body) => Ok(body),
                        None => return,
                    },
                    Policy::Refuse => Err(ErrorAnswer::new(ErrorCode::UNSUPPORTED)),
                    Policy::Silent => return,
                };
                if let Some((to, call)) = self.requests.remove(&request) {
                    self.send(Message::Answer { to, call, answer });
                }
            }
            Message::Opened { .. } | Message::DialFailed { .. } | Message::Answer { .. } => {}
        }
    }

    /// Lets the next thing happen, unless that is after `until`.
    fn step(&mut self, until: Instant) -> bool {
        let message = self.queue.first_key_value().map(|(key, _)| *key);
        let timer = self
            .alive()
            .into_iter()
            .filter_map(|id| {
                self.node(id)
                    .poll_timeout()
                    .map(|(at, why)| (at.max(self.now), id, why))
            })
            .min_by_key(|(at, id, _)| (*at, *id));
        match (message, timer) {
            (Some(key), timer) if timer.is_none_or(|(at, ..)| key.0 <= at) && key.0 <= until => {
                self.now = key.0;
                if let Some(message) = self.queue.remove(&key) {
                    self.deliver(message);
                }
                true
            }
            (_, Some((at, id, why))) if at <= until => {
                assert!(!why.is_empty());
                self.now = at;
                if let Some(sky) = &mut self.nodes[id.0].sky {
                    sky.handle_timeout(at);
                    let next = sky.poll_timeout();
                    assert!(
                        next.is_none_or(|(next, _)| next > at),
                        "{why}: the timeout was not dealt with ({next:?})"
                    );
                }
                self.drain(id);
                true
            }
            _ => false,
        }
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until something holds.
    #[track_caller]
    pub(super) fn run_until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> Duration {
        let start = self.now;
        while !holds(self) {
            assert!(
                self.step(start + PATIENCE),
                "still not so after {PATIENCE:?}: {what}"
            );
        }
        self.now - start
    }
}

/// Users and keepers.
impl World {
    /// Connects a user to a node.
    pub(super) fn client(&mut self, node: NodeId) -> ClientId {
        self.client_from(node, SocketAddr::from(([127, 0, 0, 1], 50_000)), None)
    }

    /// Connects from an address, showing a node key or none.
    pub(super) fn client_from(
        &mut self,
        node: NodeId,
        remote: SocketAddr,
        presented: Option<NodeKey>,
    ) -> ClientId {
        let id = ClientId(self.clients.len());
        let conn = self.connect(Who::Client(id), presented, remote, node);
        self.clients.push(Client {
            conn,
            node_key: self.key(node),
            observed: Vec::new(),
            incoming: Vec::new(),
            is_closed: false,
            policy: Policy::Refuse,
        });
        self.run_for(LATENCY);
        id
    }

    pub(super) fn conn_of(&self, id: ClientId) -> ConnId {
        self.clients[id.0].conn
    }

    pub(super) fn at(&mut self, id: ClientId) -> &mut Client {
        &mut self.clients[id.0]
    }

    pub(super) fn binding(&self, id: ClientId) -> Binding {
        let mut binding = [7; 32];
        binding[..8].copy_from_slice(&self.clients[id.0].conn.0.to_le_bytes());
        Binding(binding)
    }

    /// Whether a client's connection carries anything.
    pub(super) fn stands(&self, id: ClientId) -> bool {
        let client = &self.clients[id.0];
        !client.is_closed
            && self
                .other_end(client.conn, Who::Client(id))
                .is_some_and(|who| self.is_alive(who))
    }

    pub(super) fn hang_up(&mut self, id: ClientId) {
        let conn = self.clients[id.0].conn;
        self.close_from(conn, Who::Client(id));
    }

    pub(super) fn send_request(&mut self, id: ClientId, request: &Request) -> Ticket {
        let ticket = self.next_id();
        self.tickets.insert(ticket, None);
        let conn = self.clients[id.0].conn;
        self.ask(Who::Client(id), conn, Asked::Ticket(ticket), request);
        Ticket(ticket)
    }

    /// Sends bytes of any kind as a request.
    pub(super) fn send_raw(&mut self, id: ClientId, kind: u8, body: Vec<u8>) -> Ticket {
        let ticket = self.next_id();
        self.tickets.insert(ticket, None);
        let conn = self.clients[id.0].conn;
        let request = RequestId(self.next_id());
        self.requests
            .insert(request, (Who::Client(id), Asked::Ticket(ticket)));
        let to = self.other_end(conn, Who::Client(id)).unwrap();
        self.send(Message::Request {
            to,
            conn,
            request,
            kind,
            body,
        });
        Ticket(ticket)
    }

    pub(super) fn answer_to(&self, ticket: Ticket) -> Option<&Answer> {
        self.tickets[&ticket.0].as_ref()
    }

    #[track_caller]
    pub(super) fn wait_for(&mut self, ticket: Ticket) -> Answer {
        self.run_until("an answer", |world| world.answer_to(ticket).is_some());
        self.tickets.remove(&ticket.0).flatten().unwrap()
    }

    #[track_caller]
    pub(super) fn request(&mut self, id: ClientId, request: &Request) -> Answer {
        let ticket = self.send_request(id, request);
        self.wait_for(ticket)
    }

    /// The whole list of a role, by pages.
    #[track_caller]
    pub(super) fn list(&mut self, id: ClientId, role: Role, max: u16) -> Vec<NodeKey> {
        let mut keys: Vec<NodeKey> = Vec::new();
        loop {
            let after = keys.last().copied().unwrap_or(NodeKey([0; 32]));
            let page = self
                .request(id, &Request::List(List { role, after, max }))
                .unwrap();
            let page = Listed::decode(&page).unwrap();
            assert!(page.records.len() <= usize::from(max));
            assert!(
                page.records
                    .iter()
                    .all(|record| record.verify(&self.network, self.unix_s()).is_ok())
            );
            keys.extend(page.records.iter().map(|record| record.node));
            if !page.more {
                assert!(keys.is_sorted());
                return keys;
            }
        }
    }
}

#[track_caller]
pub(super) fn code(answer: Answer) -> ErrorCode {
    answer.expect_err("an error was expected").code
}
