//! Deposits that cannot be read yet.
//!
//! They are not done with: they stay at their keepers, so this lives in memory only and is filled again after a restart.

use hermes_wire::ids::{DepositId, Epoch, MailboxId};

use super::Entry;

/// Messages of one contact that wait for those before them.
const GAP_MAX: usize = 2_048;

/// Bytes of messages of one contact that wait for those before them.
const GAP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Deposits of one contact that wait for keys.
const LOCKED_MAX: usize = 64;

/// Bytes of deposits of one contact that wait for keys.
const LOCKED_BYTES_MAX: usize = 1024 * 1024;

/// Messages in a row that do not decrypt and make a recovery (section 17).
const FAILURES_MAX: u32 = 5;

/// What waits for one contact.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// Session messages beyond a gap in their chain.
    beyond_gap: Vec<Entry>,
    /// Session messages of a session that we do not have yet.
    no_session: Vec<Entry>,
    /// Deposits under an outer key that we do not have yet.
    locked: Vec<Locked>,
    /// Session messages that did not decrypt since the last one that did.
    failures: u32,
}

/// A deposit under an unknown key.
#[derive(Debug, Clone)]
pub(crate) struct Locked {
    pub(crate) mailbox: MailboxId,
    pub(crate) epoch: Epoch,
    pub(crate) id: DepositId,
    pub(crate) record: Vec<u8>,
}

impl Pool {
    /// Keeps a message that lies beyond a gap; gives it back when there is no room.
    pub(crate) fn keep_beyond_gap(&mut self, entry: Entry) -> Option<Entry> {
        if self.beyond_gap.iter().any(|kept| kept.id == entry.id) {
            return None;
        }
        let bytes: usize = self.beyond_gap.iter().map(Entry::len).sum();
        if self.beyond_gap.len() >= GAP_MAX || bytes + entry.len() > GAP_BYTES_MAX {
            return Some(entry);
        }
        self.beyond_gap.push(entry);
        None
    }

    /// Keeps a message of a session to come. Without room it is left at its keepers.
    pub(crate) fn keep_without_session(&mut self, entry: Entry) {
        let known = self.no_session.iter().any(|kept| kept.id == entry.id);
        if !known && self.no_session.len() < LOCKED_MAX {
            self.no_session.push(entry);
        }
    }

    /// Keeps a deposit under a key to come. Without room it is left at its keepers.
    pub(crate) fn keep_locked(&mut self, locked: Locked) {
        let known = self.locked.iter().any(|kept| kept.id == locked.id);
        let bytes: usize = self.locked.iter().map(|kept| kept.record.len()).sum();
        let room =
            self.locked.len() < LOCKED_MAX && bytes + locked.record.len() <= LOCKED_BYTES_MAX;
        if !known && room {
            self.locked.push(locked);
        }
    }

    /// Whether messages wait for those before them.
    pub(crate) fn has_gap(&self) -> bool {
        !self.beyond_gap.is_empty()
    }

    pub(crate) fn take_beyond_gap(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.beyond_gap)
    }

    pub(crate) fn take_without_session(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.no_session)
    }

    pub(crate) fn take_locked(&mut self) -> Vec<Locked> {
        std::mem::take(&mut self.locked)
    }

    /// Counts a message that does not decrypt.
    pub(crate) fn note_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// A message decrypted.
    pub(crate) fn note_success(&mut self) {
        self.failures = 0;
    }

    /// Whether so much does not decrypt that the session must be lost.
    pub(crate) fn session_is_lost(&self) -> bool {
        // Deposits under unknown keys count too: after a re-keying that we forgot there is nothing else.
        let locked = u32::try_from(self.locked.len()).unwrap_or(u32::MAX);
        self.failures.saturating_add(locked) > FAILURES_MAX
    }
}
