//! One person's program: a core, its committed rows, and what it has told.

use std::collections::BTreeMap;

use hermes_wire::ids::MailboxId;

use super::{World, net::Expected};
use crate::{
    chat::{self, Message},
    proto::{
        Accepted, ContactId, ContactState, InviteOptions, LinkId, Now, Outgoing, Underworld,
        effect::{MailboxWish, PresenceWish},
        event::{Event, LinkState, Received, SendState},
        output::{Output, Table, Write},
    },
};

/// The rows of a store.
pub type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// One of the world's nodes.
pub type NodeId = usize;

/// Where in a cycle a node crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before the commit: the cycle never happened.
    BeforeCommit,
    /// After the commit, before any effect.
    BeforeEffects,
    /// After half of the effects.
    AmidEffects,
}

/// One person's program.
pub struct Node {
    core: Option<Underworld>,
    rows: Rows,
    /// What was told, in committed cycles only.
    pub events: Vec<Event>,
    /// Cycles that were drained, in all lives.
    pub cycles: u64,
    /// Counted up with every start, so that what was meant for an earlier life is not delivered.
    pub(crate) life: u64,
    pub(crate) presence: Vec<PresenceWish>,
    pub(crate) mailboxes: BTreeMap<MailboxId, MailboxWish>,
    pub(crate) expected: Vec<Expected>,
    pub(crate) canceled: Vec<crate::proto::DepositOp>,
    pub(crate) links: Vec<LinkId>,
    crash_at: Option<(u64, CrashPoint)>,
    restart: bool,
    open_cycle: bool,
    skew_ms: i64,
}

impl Node {
    /// The core, if the program runs.
    #[must_use]
    pub const fn core(&self) -> Option<&Underworld> {
        self.core.as_ref()
    }

    /// The committed rows.
    #[must_use]
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Frames of friends that were shown, in order.
    pub fn received(&self) -> impl Iterator<Item = &Received> {
        self.events.iter().filter_map(|event| match event {
            Event::Received(received) => Some(received),
            _ => None,
        })
    }

    /// Texts of a contact that were shown, in order.
    #[must_use]
    pub fn texts(&self, from: ContactId) -> Vec<String> {
        self.received()
            .filter(|received| received.contact == from)
            .filter_map(|received| match chat::read(received) {
                Message::Text(text) => Some(text),
                _ => None,
            })
            .collect()
    }

    /// The last told state of a frame of ours.
    #[must_use]
    pub fn state_of(&self, contact: ContactId, conv_seq: u64) -> Option<SendState> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Sent {
                contact: c,
                conv_seq: s,
                state,
                ..
            } if *c == contact && *s == conv_seq => Some(state.clone()),
            _ => None,
        })
    }

    /// All told states of a frame of ours.
    #[must_use]
    pub fn states_of(&self, contact: ContactId, conv_seq: u64) -> Vec<SendState> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Sent {
                    contact: c,
                    conv_seq: s,
                    state,
                    ..
                } if *c == contact && *s == conv_seq => Some(state.clone()),
                _ => None,
            })
            .collect()
    }
}

impl World {
    /// Adds a node with a new identity; it runs at once.
    ///
    /// # Panics
    ///
    /// If the name cannot be taken.
    pub fn add(&mut self, name: &str) -> NodeId {
        let seed = self.new_seed();
        let core = Underworld::create(self.network.clone(), name, seed, self.now())
            .expect("a possible name");
        let node = self.add_stopped(Rows::new());
        self.node_mut(node).core = Some(core);
        self.wake(node);
        node
    }

    /// Adds a node that does not run, with what it has stored.
    pub fn add_stopped(&mut self, rows: Rows) -> NodeId {
        self.nodes.push(Node {
            core: None,
            rows,
            events: Vec::new(),
            cycles: 0,
            life: 1,
            presence: Vec::new(),
            mailboxes: BTreeMap::new(),
            expected: Vec::new(),
            canceled: Vec::new(),
            links: Vec::new(),
            crash_at: None,
            restart: false,
            open_cycle: false,
            skew_ms: 0,
        });
        self.nodes.len() - 1
    }

    /// A node.
    ///
    /// # Panics
    ///
    /// If there is none of this number.
    #[must_use]
    pub fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node]
    }

    pub(crate) fn node_mut(&mut self, node: NodeId) -> &mut Node {
        &mut self.nodes[node]
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node's core.
    ///
    /// # Panics
    ///
    /// If it does not run.
    #[must_use]
    pub fn core(&self, node: NodeId) -> &Underworld {
        self.node(node).core().expect("the node runs")
    }

    /// Calls a node's core, then carries out what follows.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn call<T>(&mut self, node: NodeId, call: impl FnOnce(&mut Underworld, Now) -> T) -> T {
        let now = self.now_at(node);
        let result = call(
            self.node_mut(node).core.as_mut().expect("the node runs"),
            now,
        );
        self.drain(node);
        result
    }

    /// Sends a text.
    ///
    /// # Panics
    ///
    /// If it is not accepted.
    pub fn say(&mut self, node: NodeId, to: ContactId, text: &str) -> Accepted {
        let frame: Outgoing = chat::text(text, None, None).expect("a possible text");
        self.call(node, |core, now| {
            core.send(to, frame, now).expect("accepted")
        })
    }

    /// Makes two nodes contacts; gives each one's contact for the other.
    ///
    /// # Panics
    ///
    /// If it does not come about within two seconds.
    pub fn befriend(&mut self, inviter: NodeId, invitee: NodeId) -> (ContactId, ContactId) {
        let link = self.invite(inviter, false);
        let theirs = self.accept(invitee, &link);
        let done = self.run_until(2_000, |world| {
            world.is_established(invitee, theirs) && {
                let ik = world.core(invitee).identity();
                world
                    .core(inviter)
                    .contacts()
                    .any(|c| c.identity == Some(ik) && c.state == ContactState::Established)
            }
        });
        assert!(
            done,
            "not established within two seconds (seed {})",
            self.seed
        );
        let ik = self.core(invitee).identity();
        let ours = self
            .core(inviter)
            .contacts()
            .filter(|c| c.identity == Some(ik))
            .last()
            .map(|c| c.id);
        match ours {
            Some(ours) => (ours, theirs),
            None => unreachable!("it was found a moment ago"),
        }
    }

    /// Makes an invite.
    ///
    /// # Panics
    ///
    /// If there are too many.
    pub fn invite(&mut self, node: NodeId, ask: bool) -> String {
        let options = InviteOptions {
            ask,
            expires_in_s: None,
            nodes: vec![super::net::entry()],
        };
        self.call(node, |core, now| {
            core.create_invite(options, now)
                .expect("room for one more")
                .link
        })
    }

    /// Accepts an invite.
    ///
    /// # Panics
    ///
    /// If it cannot be accepted.
    pub fn accept(&mut self, node: NodeId, link: &str) -> ContactId {
        self.call(node, |core, now| {
            core.accept_invite(link, None, now).expect("acceptable")
        })
    }

    /// Whether a node's contact is established.
    #[must_use]
    pub fn is_established(&self, node: NodeId, contact: ContactId) -> bool {
        self.state(node, contact) == Some(ContactState::Established)
    }

    /// The state of a node's contact.
    #[must_use]
    pub fn state(&self, node: NodeId, contact: ContactId) -> Option<ContactState> {
        Some(self.node(node).core()?.contact(contact)?.state)
    }

    /// Whether a node has a direct link to a contact.
    #[must_use]
    pub fn is_linked(&self, node: NodeId, contact: ContactId) -> bool {
        let info = self
            .node(node)
            .core()
            .and_then(|core| core.contact(contact));
        info.is_some_and(|info| info.link == LinkState::Up)
    }

    /// Stops a node as a loss of power does: its friends are not told that their links are gone.
    pub fn vanish(&mut self, node: NodeId) {
        self.node_mut(node).links.clear();
        self.crash(node);
    }

    /// Stops a node as SIGKILL does.
    pub fn crash(&mut self, node: NodeId) {
        let gone = self.node_mut(node);
        gone.core = None;
        gone.open_cycle = false;
        gone.expected.clear();
        gone.mailboxes.clear();
        gone.presence.clear();
        gone.canceled.clear();
        self.sky
            .retain(|_, registration| registration.owner != node);
        let links = std::mem::take(&mut self.node_mut(node).links);
        for link in links {
            self.break_link(link);
        }
    }

    /// Has a node crash in the cycle of this number (from 0, counted over all lives), and start again at once.
    pub fn crash_at(&mut self, node: NodeId, cycle: u64, point: CrashPoint) {
        let planned = self.node_mut(node);
        planned.crash_at = Some((cycle, point));
    }

    /// Starts a node from its committed rows.
    ///
    /// # Panics
    ///
    /// If they do not load.
    pub fn start(&mut self, node: NodeId) {
        let rows = self.node(node).rows.clone();
        self.start_from(node, rows);
    }

    /// Starts a node from other rows, for example old ones.
    ///
    /// # Panics
    ///
    /// If they do not load.
    pub fn start_from(&mut self, node: NodeId, rows: Rows) {
        let seed = self.new_seed();
        let listed = rows
            .iter()
            .map(|((table, key), value)| (*table, key.clone(), value.clone()));
        let core = match Underworld::load(self.network.clone(), listed, seed, self.now_at(node)) {
            Ok(core) => core,
            Err(error) => panic!("node {node} does not load: {error} (seed {})", self.seed),
        };
        let started = self.node_mut(node);
        started.rows = rows;
        started.core = Some(core);
        started.life += 1;
        started.restart = false;
        self.wake(node);
    }

    /// Sets a node's wall clock ahead of, or behind, the others'.
    pub fn skew(&mut self, node: NodeId, by_ms: i64) {
        self.node_mut(node).skew_ms = by_ms;
    }

    /// What a node's clocks show.
    fn now_at(&self, node: NodeId) -> Now {
        let mut now = self.now();
        now.unix_ms = now.unix_ms.saturating_add_signed(self.node(node).skew_ms);
        now
    }

    fn wake(&mut self, node: NodeId) {
        let addrs = [super::net::address(node)];
        self.feed(node, |core, now| core.handle_candidates(&addrs, now));
    }

    /// Feeds a node's core if it runs, and carries out what follows.
    pub(crate) fn feed(&mut self, node: NodeId, input: impl FnOnce(&mut Underworld, Now)) {
        let now = self.now_at(node);
        let Some(core) = self.node_mut(node).core.as_mut() else {
            return;
        };
        input(core, now);
        let batching = self.weather.batching_percent;
        if self.chance(batching) {
            self.node_mut(node).open_cycle = true;
        } else {
            self.drain(node);
        }
    }

    /// The same, if the node still lives the life that the input is for.
    pub(crate) fn feed_life(
        &mut self,
        node: NodeId,
        life: u64,
        input: impl FnOnce(&mut Underworld, Now),
    ) {
        if self.node(node).life == life {
            self.feed(node, input);
        }
    }

    /// Ends cycles that were left open; gives whether there were any.
    pub(crate) fn finish_open_cycles(&mut self) -> bool {
        let open: Vec<NodeId> = (0..self.nodes.len())
            .filter(|node| self.node(*node).open_cycle)
            .collect();
        for node in &open {
            self.drain(*node);
        }
        !open.is_empty()
    }

    /// Starts nodes that crashed as planned.
    pub(crate) fn restart_crashed(&mut self) {
        for node in 0..self.nodes.len() {
            if std::mem::take(&mut self.node_mut(node).restart) {
                self.start(node);
            }
        }
    }

    /// The node whose timer fires next, and when.
    pub(crate) fn next_timer(&self) -> Option<(u64, NodeId)> {
        let started = self.started;
        self.nodes
            .iter()
            .enumerate()
            .filter_map(|(id, node)| {
                let (at, _) = node.core.as_ref()?.poll_timeout()?;
                let ms = u64::try_from(
                    at.saturating_duration_since(started)
                        .as_micros()
                        .div_ceil(1_000),
                )
                .ok()?;
                Some((ms, id))
            })
            .min()
    }

    /// One cycle: commits, then publishes, then carries out.
    fn drain(&mut self, node: NodeId) {
        let this = self.node_mut(node);
        this.open_cycle = false;
        let Some(core) = this.core.as_mut() else {
            return;
        };
        let (mut writes, mut events, mut effects) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(output) = core.poll_output() {
            match output {
                Output::Write(write) => writes.push(write),
                Output::Event(event) => events.push(event),
                Output::Effect(effect) => effects.push(effect),
            }
        }
        if writes.is_empty() && events.is_empty() && effects.is_empty() {
            return;
        }
        let cycle = this.cycles;
        this.cycles += 1;
        let crash = this
            .crash_at
            .filter(|(at, _)| *at == cycle)
            .map(|(_, point)| point);
        if crash == Some(CrashPoint::BeforeCommit) {
            return self.crash_and_restart(node);
        }
        for Write { table, key, value } in writes {
            match value {
                Some(value) => this.rows.insert((table, key), value.to_vec()),
                None => this.rows.remove(&(table, key)),
            };
        }
        this.events.append(&mut events);
        if crash == Some(CrashPoint::BeforeEffects) {
            return self.crash_and_restart(node);
        }
        if crash == Some(CrashPoint::AmidEffects) {
            effects.truncate(effects.len() / 2);
        }
        for effect in effects {
            self.do_effect(node, effect);
        }
        if crash.is_some() {
            self.crash_and_restart(node);
        }
    }

    fn crash_and_restart(&mut self, node: NodeId) {
        self.crash(node);
        self.node_mut(node).crash_at = None;
        self.node_mut(node).restart = true;
    }

    fn new_seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        rand_core::Rng::fill_bytes(&mut self.random, &mut seed);
        seed
    }
}
