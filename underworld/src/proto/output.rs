//! What the core asks for: writes, events and effects.
//!
//! Everything that [`Underworld::poll_output`](super::Underworld::poll_output) gives until it gives `None` is one
//! *cycle*. The driver commits all [`Write`]s of the cycle in one synced transaction, together with whatever the
//! application stores for its [`Event`]s, and only then publishes the events and carries out the [`Effect`]s. A cycle
//! that was not committed never happened: the core that is loaded afterwards knows nothing of it, and the world has seen
//! nothing of it.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::{effect::Effect, event::Event};

/// One thing that the driver has to do.
#[derive(Debug)]
pub enum Output {
    /// A row to be stored.
    Write(Write),
    /// News for the application.
    Event(Event),
    /// Something to be done on the network.
    Effect(Effect),
}

/// A change of one stored row. Later writes of a cycle win over earlier ones of the same row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub table: Table,
    /// The row's key.
    pub key: Vec<u8>,
    /// The row's new value, which holds secrets, or `None` when the row ends.
    pub value: Option<Zeroizing<Vec<u8>>>,
}

/// The tables of the store. Each value in them starts with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One row: who we are, and the counters that name things.
    Identity,
    /// Our address generations, by number.
    Generation,
    /// Roots of trees over blinded keys, which are slow to compute and not secret.
    Root,
    /// Contacts, by number: what changes seldom.
    Contact,
    /// Contacts, by number: what changes with every packet.
    Flow,
    /// Ratchet sessions, by contact and session generation.
    Session,
    /// Frames that are not acknowledged, by contact and `conv_seq`.
    Outbox,
    /// Frames that were received beyond a gap, by contact and `conv_seq`.
    Held,
    /// Deposits of ours that count, by operation.
    Deposit,
    /// The bytes of deposits that keepers still have to receive, by operation.
    DepositBody,
    /// Deposits to us that are done with, by epoch and deposit id.
    Seen,
    /// Invites that we made, by number.
    Invite,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 12] = [
        Self::Identity,
        Self::Generation,
        Self::Root,
        Self::Contact,
        Self::Flow,
        Self::Session,
        Self::Outbox,
        Self::Held,
        Self::Deposit,
        Self::DepositBody,
        Self::Seen,
        Self::Invite,
    ];

    /// The table's name, which never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Generation => "generation",
            Self::Root => "root",
            Self::Contact => "contact",
            Self::Flow => "flow",
            Self::Session => "session",
            Self::Outbox => "outbox",
            Self::Held => "held",
            Self::Deposit => "deposit",
            Self::DepositBody => "deposit_body",
            Self::Seen => "seen",
            Self::Invite => "invite",
        }
    }
}

/// The outputs that wait to be polled.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    queue: VecDeque<Output>,
}

impl Outputs {
    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    pub(crate) fn put(&mut self, table: Table, key: Vec<u8>, value: Zeroizing<Vec<u8>>) {
        let value = Some(value);
        self.queue
            .push_back(Output::Write(Write { table, key, value }));
    }

    pub(crate) fn delete(&mut self, table: Table, key: Vec<u8>) {
        let value = None;
        self.queue
            .push_back(Output::Write(Write { table, key, value }));
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.queue.push_back(Output::Event(event));
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.queue.push_back(Output::Effect(effect));
    }
}
