//! Contacts: everything about one other person.
//!
//! A [`Contact`] is made of parts that change at different rates and are stored in different tables: the
//! [`card`](Card) seldom, the [`flow`](Flow) with every packet, sessions with every message, frames one by one. What
//! stands in [`Contact::reach`] and [`Contact::pool`] lives in memory only and is rebuilt from the rest.

mod address;
mod card;
mod flow;
mod info;
mod manage;
mod sessions;
mod views;

pub(crate) use address::take_address;

pub(crate) use card::{Card, Peer, Secrets, Stage};
pub use card::{ContactState, FailReason};
pub(crate) use flow::{Chain, Chains, Flow};
pub use info::{ContactInfo, InviteInfo};
pub use manage::{ContactError, RenameError};
pub(crate) use manage::{farewell_received, finish_farewell, purge};
pub(crate) use sessions::{Place, SessionError, Sessions};
pub(crate) use views::Views;

use super::{
    core::Core,
    delivery::{self, Outbox, Reach},
    event::{Event, SendState},
    ids::ContactId,
    inbox::Pool,
    output::Table,
};
use crate::records;

/// One other person.
pub(crate) struct Contact {
    pub(crate) id: ContactId,
    pub(crate) card: Card,
    pub(crate) flow: Flow,
    pub(crate) sessions: Sessions,
    pub(crate) outbox: Outbox,
    pub(crate) views: Views,
    pub(crate) reach: Reach,
    pub(crate) pool: Pool,
    pub(crate) changed: Changed,
    /// Sessions or outer keys were added, so that what waited for them can be read.
    pub(crate) renewed: bool,
    /// They were added by a recovery.
    pub(crate) recovered: bool,
    /// The session can be repaired by nothing but a recovery.
    pub(crate) wants_recovery: bool,
    /// The friend said farewell.
    pub(crate) leaving: bool,
}

/// Which rows of a contact have to be written at the end of the cycle.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) card: bool,
    pub(crate) flow: bool,
}

impl Contact {
    pub(crate) fn new(id: ContactId, card: Card) -> Self {
        Self {
            id,
            card,
            flow: Flow::default(),
            sessions: Sessions::default(),
            outbox: Outbox::default(),
            views: Views::default(),
            reach: Reach::default(),
            pool: Pool::default(),
            changed: Changed::default(),
            renewed: false,
            recovered: false,
            wants_recovery: false,
            leaving: false,
        }
    }

    pub(crate) fn state(&self) -> ContactState {
        self.card.state()
    }

    /// Whether frames may be sent and received.
    pub(crate) fn is_established(&self) -> bool {
        matches!(self.card.stage, Stage::Established) && !self.card.blocked
    }

    /// Whether the pair has secrets, so that a lost session can be replaced.
    pub(crate) fn is_paired(&self) -> bool {
        matches!(self.card.stage, Stage::Established | Stage::Accepted { .. }) && !self.card.blocked
    }

    /// Moves on to another stage and tells so.
    pub(crate) fn enter(&mut self, stage: Stage, core: &mut Core) {
        self.card.stage = stage;
        self.changed.card = true;
        core.touch(self.id);
        self.tell_state(core);
    }

    pub(crate) fn tell_state(&self, core: &mut Core) {
        core.out.event(Event::Contact {
            contact: self.id,
            state: self.state(),
        });
    }

    /// Writes the rows that changed in this cycle.
    pub(crate) fn store(&mut self, core: &mut Core) {
        let changed = std::mem::take(&mut self.changed);
        if changed.card {
            let key = records::contact_key(self.id);
            core.out
                .put(Table::Contact, key, records::contact::encode(&self.card));
        }
        if changed.flow {
            let key = records::contact_key(self.id);
            core.out
                .put(Table::Flow, key, records::flow::encode(&self.flow));
            for (seq, held) in self.flow.inflow.take_unstored() {
                let key = records::frame_key(self.id, seq);
                core.out
                    .put(Table::Held, key, records::frame::encode_held(held));
            }
        }
        self.sessions.store(self.id, &mut core.out);
    }

    /// Gives up everything that waits for the contact.
    pub(crate) fn fail_frames(&mut self, core: &mut Core) {
        let waiting: Vec<u64> = self.outbox.from(0).map(|(seq, _)| seq).collect();
        for seq in waiting {
            if let Some(frame) = self.outbox.remove(seq) {
                delivery::leave(self, seq, &frame, SendState::Failed, core);
            }
        }
    }

    /// Deletes every row that the contact has in tables of its own.
    pub(crate) fn erase_traffic(&mut self, core: &mut Core) {
        for (seq, _) in self.outbox.from(0) {
            core.out
                .delete(Table::Outbox, records::frame_key(self.id, seq));
        }
        for seq in self.flow.inflow.held_numbers() {
            core.out
                .delete(Table::Held, records::frame_key(self.id, seq));
        }
        self.sessions.erase(self.id, &mut core.out);
        core.out.delete(Table::Flow, records::contact_key(self.id));
        self.outbox = Outbox::default();
        self.flow = Flow::default();
        self.pool = Pool::default();
        self.changed.flow = false;
    }
}
