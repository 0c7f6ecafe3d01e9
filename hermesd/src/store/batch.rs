//! Changes that are made together or not at all.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::tables::Table;

/// What happens to one row: a value put, or `None` for a deletion.
pub(crate) type Change = Option<Zeroizing<Vec<u8>>>;

/// An event on its way into the log.
pub(crate) struct NewEvent {
    pub(crate) time_ms: u64,
    pub(crate) payload: Zeroizing<Vec<u8>>,
}

/// A set of changes over any tables, for [`super::Store::commit`].
///
/// Of several changes to one row the last counts. Events get their sequence numbers when the batch is committed, in the
/// order in which they were added. Dropping a batch changes nothing.
#[derive(Default)]
pub struct Batch {
    pub(crate) rows: BTreeMap<(Table, Vec<u8>), Change>,
    pub(crate) events: Vec<NewEvent>,
}

impl Batch {
    /// A batch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value; it is wiped from memory when the batch is gone.
    pub fn put(&mut self, table: Table, key: &[u8], value: impl Into<Vec<u8>>) {
        self.rows
            .insert((table, key.to_vec()), Some(Zeroizing::new(value.into())));
    }

    /// Deletes a row; that there is none is no error.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        self.rows.insert((table, key.to_vec()), None);
    }

    /// Appends an event of `time_ms`, Unix milliseconds, to the log.
    pub fn event(&mut self, time_ms: u64, payload: impl Into<Vec<u8>>) {
        self.events.push(NewEvent {
            time_ms,
            payload: Zeroizing::new(payload.into()),
        });
    }

    /// Adds the changes of `later` to these; where both change a row, `later` counts.
    pub fn merge(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.events.extend(later.events);
    }

    /// True if nothing would change.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.events.is_empty()
    }

    /// Number of rows and events changed.
    pub fn len(&self) -> usize {
        self.rows.len() + self.events.len()
    }
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Sequence number of the batch's first event; the others follow it. `None` if it had none.
    pub first_event: Option<u64>,
    /// Sequence number of the last event in the log after the commit.
    pub head: u64,
}
