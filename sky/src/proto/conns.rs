//! Connections that stand, and our open requests on them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use hermes_wire::{
    ids::{Binding, NodeKey, PresenceKey},
    node::{Addr, Prefix},
};

use super::{
    io::{CallId, ConnId, Opened, Side},
    knocks::KnockId,
};

/// How often idle visitors are looked for when there is no room, so that a crowd at the door does not cost a pass over all connections
/// each time.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// A connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) facts: Facts,
    /// The presence keys that are registered on it.
    pub(super) leases: BTreeSet<PresenceKey>,
    /// The keeper that has announced itself on it.
    pub(super) keeper: Option<NodeKey>,
    /// When something last came in.
    pub(super) heard: Instant,
    /// When it was last of use to us (dialled ones only).
    pub(super) used: Instant,
    calls: BTreeSet<CallId>,
}

/// What never changes about a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) conn: ConnId,
    pub(super) side: Side,
    pub(super) block: Prefix,
    pub(super) node: Option<NodeKey>,
    pub(super) binding: Binding,
}

/// An open request of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) conn: ConnId,
    pub(super) purpose: Purpose,
    deadline: Instant,
}

/// What an open request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// DIGEST to a node: a sign of life, and the start of an exchange if the lists differ.
    Compare,
    /// DIGEST to a keeper, which does not know it: any answer is a sign of life.
    Alive,
    /// LIST for an exchange.
    Page,
    /// SPREAD.
    Spread,
    /// SPREAD of our own departure.
    Farewell,
    /// INCOMING to an owner.
    Incoming(KnockId),
    /// FORWARD to a node.
    Forward(KnockId),
}

/// All connections and open requests.
#[derive(Debug, Default)]
pub(super) struct Conns {
    table: BTreeMap<ConnId, Conn>,
    by_node: BTreeMap<NodeKey, BTreeSet<ConnId>>,
    by_block: BTreeMap<Prefix, usize>,
    calls: BTreeMap<CallId, Call>,
    deadlines: BTreeSet<(Instant, CallId)>,
    last_call: u64,
    idle: Vec<ConnId>,
    idle_checked: Option<Instant>,
}

impl Conns {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn count_in(&self, block: Prefix) -> usize {
        self.by_block.get(&block).copied().unwrap_or_default()
    }

    pub(super) fn insert(&mut self, opened: &Opened, now: Instant) -> Facts {
        let facts = Facts {
            conn: opened.conn,
            side: opened.side,
            block: block_of(opened.remote),
            node: opened.node,
            binding: opened.binding,
        };
        let conn = Conn {
            facts,
            leases: BTreeSet::new(),
            keeper: None,
            heard: now,
            used: now,
            calls: BTreeSet::new(),
        };
        self.table.insert(facts.conn, conn);
        if let Some(node) = facts.node {
            self.by_node.entry(node).or_default().insert(facts.conn);
        }
        let count = self.by_block.entry(facts.block).or_default();
        *count = count.saturating_add(1);
        facts
    }

    /// Forgets a connection; its open requests are handed back.
    pub(super) fn remove(&mut self, id: ConnId) -> Option<(Conn, Vec<Purpose>)> {
        let conn = self.table.remove(&id)?;
        if let Some(node) = conn.facts.node
            && let Some(conns) = self.by_node.get_mut(&node)
        {
            conns.remove(&id);
            if conns.is_empty() {
                self.by_node.remove(&node);
            }
        }
        if let Some(count) = self.by_block.get_mut(&conn.facts.block) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_block.remove(&conn.facts.block);
            }
        }
        let calls: Vec<CallId> = conn.calls.iter().copied().collect();
        let purposes = calls
            .into_iter()
            .filter_map(|call| self.end_call(call))
            .map(|call| call.purpose)
            .collect();
        Some((conn, purposes))
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.table.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.table.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Conn> {
        self.table.values()
    }

    /// The connection to use for a node: the one that was heard from last.
    pub(super) fn of_node(&self, node: &NodeKey) -> Option<&Conn> {
        let conns = self.by_node.get(node)?;
        conns
            .iter()
            .filter_map(|id| self.table.get(id))
            .max_by_key(|conn| (conn.heard, conn.facts.conn))
    }

    /// Notes that something came in.
    pub(super) fn hear(&mut self, id: ConnId, now: Instant) -> Option<Facts> {
        let conn = self.table.get_mut(&id)?;
        conn.heard = now;
        Some(conn.facts)
    }

    /// Opens a request.
    pub(super) fn open_call(
        &mut self,
        id: ConnId,
        purpose: Purpose,
        deadline: Instant,
        now: Instant,
    ) -> Option<CallId> {
        let conn = self.table.get_mut(&id)?;
        self.last_call = self.last_call.saturating_add(1);
        let call = CallId(self.last_call);
        if !matches!(purpose, Purpose::Compare) {
            conn.used = now;
        }
        conn.calls.insert(call);
        self.calls.insert(
            call,
            Call {
                conn: id,
                purpose,
                deadline,
            },
        );
        self.deadlines.insert((deadline, call));
        Some(call)
    }

    /// Ends a request, if it is open.
    pub(super) fn end_call(&mut self, id: CallId) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        self.deadlines.remove(&(call.deadline, id));
        if let Some(conn) = self.table.get_mut(&call.conn) {
            conn.calls.remove(&id);
        }
        Some(call)
    }

    /// How many requests are open on a connection.
    pub(super) fn open_calls(&self, id: ConnId) -> usize {
        self.table.get(&id).map_or(0, |conn| conn.calls.len())
    }

    /// Whether a request of this kind is open on a connection.
    pub(super) fn has_call(&self, id: ConnId, purpose: Purpose) -> bool {
        let calls = self.table.get(&id).into_iter().flat_map(|conn| &conn.calls);
        calls
            .filter_map(|call| self.calls.get(call))
            .any(|call| call.purpose == purpose)
    }

    /// Ends the next request whose time is up.
    pub(super) fn late_call(&mut self, now: Instant) -> Option<Call> {
        let (deadline, id) = self.deadlines.first().copied()?;
        if deadline > now {
            None
        } else {
            self.end_call(id)
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The visitor that has been quiet for longest, of those that `has_duty` does not claim. Looked for in passes.
    pub(super) fn idlest(
        &mut self,
        now: Instant,
        has_duty: impl Fn(&Conn) -> bool,
    ) -> Option<ConnId> {
        loop {
            if let Some(id) = self.idle.pop() {
                match self.table.get(&id) {
                    Some(conn) if !has_duty(conn) => return Some(id),
                    _ => continue,
                }
            }
            if self
                .idle_checked
                .is_some_and(|at| now.saturating_duration_since(at) < IDLE_CHECK)
            {
                return None;
            }
            self.idle_checked = Some(now);
            let mut visitors: Vec<&Conn> =
                self.table.values().filter(|conn| !has_duty(conn)).collect();
            visitors.sort_by_key(|conn| std::cmp::Reverse(conn.heard));
            self.idle = visitors.into_iter().map(|conn| conn.facts.conn).collect();
        }
    }
}

fn block_of(remote: SocketAddr) -> Prefix {
    Addr::new(remote).prefix()
}
