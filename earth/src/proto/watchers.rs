//! Which connection has opened and watches which mailbox.

use std::collections::{BTreeMap, BTreeSet};

use hermes_wire::ids::MailboxId;

use super::output::ConnId;

/// Handles of all connections.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    handles: BTreeMap<ConnId, Handles>,
    watched: BTreeMap<MailboxId, BTreeSet<(ConnId, u16)>>,
}

#[derive(Debug, Default)]
struct Handles {
    last: u16,
    open: BTreeMap<u16, MailboxId>,
}

impl Watchers {
    /// Mailboxes that one connection may hold open (protocol section 10).
    pub(super) const HANDLES_MAX: usize = 64;

    /// Opens a mailbox; a mailbox already open keeps its handle.
    pub(super) fn open(&mut self, conn: ConnId, mailbox: MailboxId) -> Option<u16> {
        let handles = self.handles.entry(conn).or_default();
        if let Some((handle, _)) = handles.open.iter().find(|(_, open)| **open == mailbox) {
            return Some(*handle);
        }
        if handles.open.len() >= Self::HANDLES_MAX {
            return None;
        }
        handles.last = handles.last.checked_add(1)?;
        handles.open.insert(handles.last, mailbox);
        Some(handles.last)
    }

    /// The mailbox behind a handle.
    pub(super) fn mailbox(&self, conn: ConnId, handle: u16) -> Option<MailboxId> {
        self.handles.get(&conn)?.open.get(&handle).copied()
    }

    /// Starts watching; false if the handle is not open.
    pub(super) fn watch(&mut self, conn: ConnId, handle: u16) -> bool {
        let Some(mailbox) = self.mailbox(conn, handle) else {
            return false;
        };
        self.watched
            .entry(mailbox)
            .or_default()
            .insert((conn, handle));
        true
    }

    /// Who watches a mailbox.
    pub(super) fn of(&self, mailbox: &MailboxId) -> impl Iterator<Item = (ConnId, u16)> + '_ {
        self.watched.get(mailbox).into_iter().flatten().copied()
    }

    /// Forgets a connection.
    pub(super) fn close(&mut self, conn: ConnId) {
        let Some(handles) = self.handles.remove(&conn) else {
            return;
        };
        for (handle, mailbox) in handles.open {
            if let Some(set) = self.watched.get_mut(&mailbox) {
                set.remove(&(conn, handle));
                if set.is_empty() {
                    self.watched.remove(&mailbox);
                }
            }
        }
    }
}
