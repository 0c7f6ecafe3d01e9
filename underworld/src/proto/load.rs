//! Rebuilding the core from its rows.

use std::collections::BTreeMap;

use hermes_wire::Network;

use super::{
    ContactId, DepositOp, Now, Underworld,
    contacts::{Card, Contact},
    core::Core,
    home::{RootOf, is_current},
    output::Table,
    random::Random,
};
use crate::records::{self, RecordError};

/// The store does not make a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// There is no identity in it.
    #[error("the store holds no identity")]
    NoIdentity,
    /// A row cannot be read.
    #[error("table {}: {error}", table.name())]
    Row {
        /// Where it stands.
        table: Table,
        /// What is wrong with it.
        error: RecordError,
    },
    /// A row belongs to something that is not there.
    #[error("table {}: a row belongs to nothing", table.name())]
    Orphan {
        /// Where it stands.
        table: Table,
    },
}

/// Rows by table, in the order of their keys.
type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

impl Underworld {
    /// The core whose committed rows these are, in any order.
    ///
    /// # Errors
    /// If a row is damaged, of a later version, or missing.
    pub fn load(
        network: Network,
        rows: impl IntoIterator<Item = (Table, Vec<u8>, Vec<u8>)>,
        seed: [u8; 32],
        now: Now,
    ) -> Result<Self, LoadError> {
        let rows: Rows = rows
            .into_iter()
            .map(|(table, key, value)| ((table, key), value))
            .collect();
        let me = of(&rows, Table::Identity)
            .next()
            .ok_or(LoadError::NoIdentity)?;
        let me = records::identity::decode(me.1).map_err(in_table(Table::Identity))?;
        let mut this = Self::assemble(Core::new(network, me, Random::new(seed), now));
        this.load_homes(&rows)?;
        this.load_contacts(&rows)?;
        this.load_roots(&rows)?;
        this.load_frames(&rows)?;
        this.load_deposits(&rows)?;
        this.load_rest(&rows)?;
        this.resume();
        this.start();
        Ok(this)
    }

    fn load_homes(&mut self, rows: &Rows) -> Result<(), LoadError> {
        for (_, value) in of(rows, Table::Generation) {
            let home = records::generation::decode(&self.core.net, value)
                .map_err(in_table(Table::Generation))?;
            self.core.homes.insert(home.number(), home);
        }
        Ok(())
    }

    fn load_contacts(&mut self, rows: &Rows) -> Result<(), LoadError> {
        let table = Table::Contact;
        for (key, value) in of(rows, table) {
            let id = records::read_contact_key(key).map_err(in_table(table))?;
            let card: Card = records::contact::decode(value).map_err(in_table(table))?;
            self.contacts.insert(id, Contact::new(id, card));
        }
        let table = Table::Flow;
        for (key, value) in of(rows, table) {
            let id = records::read_contact_key(key).map_err(in_table(table))?;
            self.owner(id, table)?.flow = records::flow::decode(value).map_err(in_table(table))?;
        }
        let table = Table::Session;
        for (key, value) in of(rows, table) {
            let (id, generation) = records::session::read_key(key).map_err(in_table(table))?;
            let (session, replaced_s) = records::session::decode(value).map_err(in_table(table))?;
            self.owner(id, table)?
                .sessions
                .restore(generation, session, replaced_s);
        }
        Ok(())
    }

    fn load_roots(&mut self, rows: &Rows) -> Result<(), LoadError> {
        let table = Table::Root;
        for (key, value) in of(rows, table) {
            match records::root::read_key(key).map_err(in_table(table))? {
                records::root::Owner::Home { number, of } => self.load_root(number, of, value)?,
                records::root::Owner::Contact { contact, epoch } => {
                    let cache = records::root::decode_view(value).map_err(in_table(table))?;
                    self.owner(contact, table)?.views.restore(epoch, cache);
                }
            }
        }
        Ok(())
    }

    fn load_root(&mut self, number: u16, of: RootOf, value: &[u8]) -> Result<(), LoadError> {
        let table = Table::Root;
        let root = records::root::decode(value).map_err(in_table(table))?;
        let home = self
            .core
            .homes
            .get_mut(&number)
            .ok_or(LoadError::Orphan { table })?;
        if is_current(of, home.oldest) {
            home.restore_root(of, root);
        }
        Ok(())
    }

    fn load_frames(&mut self, rows: &Rows) -> Result<(), LoadError> {
        let table = Table::Outbox;
        for (key, value) in of(rows, table) {
            let (id, seq) = records::read_frame_key(key).map_err(in_table(table))?;
            let frame = records::frame::decode_out(value).map_err(in_table(table))?;
            let contact = self.owner(id, table)?;
            contact.outbox.insert(seq, frame);
            // A number is in use as soon as its frame is stored.
            contact.flow.next_seq = contact.flow.next_seq.max(seq.saturating_add(1));
        }
        let table = Table::Held;
        for (key, value) in of(rows, table) {
            let (id, _) = records::read_frame_key(key).map_err(in_table(table))?;
            let held = records::frame::decode_held(value).map_err(in_table(table))?;
            self.owner(id, table)?.flow.inflow.restore(held);
        }
        Ok(())
    }

    fn load_deposits(&mut self, rows: &Rows) -> Result<(), LoadError> {
        let table = Table::Deposit;
        for (key, value) in of(rows, table) {
            let op = records::read_deposit_key(key).map_err(in_table(table))?;
            let mut kept = records::deposit::decode(value).map_err(in_table(table))?;
            let contact = self.owner(kept.contact, table)?;
            // The row is not written anew for each frame that is acknowledged.
            kept.frames
                .retain(|seq| match contact.outbox.get_mut(*seq) {
                    Some(frame) => {
                        frame.deposit = frame.deposit.max(Some(op));
                        true
                    }
                    None => false,
                });
            self.core.used_deposit_op(op);
            self.core.deposits.insert(op, kept);
        }
        let table = Table::DepositBody;
        for (key, value) in of(rows, table) {
            let op: DepositOp = records::read_deposit_key(key).map_err(in_table(table))?;
            let record = records::deposit::decode_body(value).map_err(in_table(table))?;
            let kept = self
                .core
                .deposits
                .get_mut(&op)
                .ok_or(LoadError::Orphan { table })?;
            kept.record = Some(record);
        }
        Ok(())
    }

    fn load_rest(&mut self, rows: &Rows) -> Result<(), LoadError> {
        let table = Table::Seen;
        for (key, value) in of(rows, table) {
            let (epoch, id) = records::seen::read_key(key).map_err(in_table(table))?;
            records::seen::decode(value).map_err(in_table(table))?;
            self.core.seen.restore(epoch, id);
        }
        let table = Table::Invite;
        for (key, value) in of(rows, table) {
            let id = records::invite::read_key(key).map_err(in_table(table))?;
            let own = records::invite::decode(id, value).map_err(in_table(table))?;
            self.invites.insert(id, own);
        }
        Ok(())
    }

    fn owner(&mut self, id: ContactId, table: Table) -> Result<&mut Contact, LoadError> {
        self.contacts
            .get_mut(&id)
            .ok_or(LoadError::Orphan { table })
    }
}

/// The rows of one table.
fn of(rows: &Rows, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
    rows.range((table, Vec::new())..)
        .take_while(move |((of, _), _)| *of == table)
        .map(|((_, key), value)| (key.as_slice(), value.as_slice()))
}

fn in_table(table: Table) -> impl Fn(RecordError) -> LoadError {
    move |error| LoadError::Row { table, error }
}
