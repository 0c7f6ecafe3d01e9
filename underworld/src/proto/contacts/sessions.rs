//! The ratchet sessions of a pair: one to send in, and older ones that may still be received from.

use std::collections::BTreeMap;

use hermes_wire::packet::SessionMessage;
use vodozemac::olm::OlmMessage;
use zeroize::Zeroizing;

use crate::{
    proto::{
        ids::ContactId,
        output::{Outputs, Table},
    },
    records,
    session::{DecryptError, EncryptError, Session},
};

/// Older sessions that are kept for receiving (section 16).
pub(crate) const OLD_SESSIONS_MAX: usize = 8;

/// All sessions of a pair.
#[derive(Default)]
pub(crate) struct Sessions {
    all: BTreeMap<u16, Kept>,
    current: u16,
}

/// A session in the store.
pub(crate) struct Kept {
    pub(crate) session: Session,
    /// When a newer one took its place, in Unix seconds.
    pub(crate) replaced_s: Option<u64>,
    changed: bool,
}

/// A session message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionError {
    /// Its session is newer than all that we have.
    NotYet,
    /// Its session is gone.
    Gone,
    /// The session does not read it.
    Decrypt(DecryptError),
}

/// Where a message stands in its ratchet, readable without any key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) session: u16,
    pub(crate) ratchet_key: [u8; 32],
    pub(crate) index: u64,
}

impl Place {
    /// The place of a message, if it is one of the ratchet at all.
    pub(crate) fn of(message: &SessionMessage) -> Option<Self> {
        let parsed = OlmMessage::from_parts(usize::from(message.olm_type), &message.olm).ok()?;
        let inner = match &parsed {
            OlmMessage::Normal(inner) => inner,
            OlmMessage::PreKey(first) => first.message(),
        };
        Some(Self {
            session: message.generation,
            ratchet_key: inner.ratchet_key().to_bytes(),
            index: inner.chain_index(),
        })
    }
}

impl Sessions {
    /// Adds a session; `sending` makes it the one to send in.
    pub(crate) fn add(&mut self, generation: u16, session: Session, sending: bool, now_s: u64) {
        let kept = Kept {
            session,
            replaced_s: None,
            changed: true,
        };
        self.all.insert(generation, kept);
        if sending {
            self.send_in(generation, now_s);
        }
    }

    /// Takes a session that was read from the store.
    pub(crate) fn restore(&mut self, generation: u16, session: Session, replaced_s: Option<u64>) {
        let kept = Kept {
            session,
            replaced_s,
            changed: false,
        };
        self.all.insert(generation, kept);
        // The newest one that nothing has replaced and that may send is the one to send in; a session from a re-keying
        // that was not heard yet may not.
        let usable = |kept: &Kept| kept.replaced_s.is_none() && kept.session.can_send();
        let newest = self.all.iter().rev().find(|(_, kept)| usable(kept));
        let fallback = self
            .all
            .iter()
            .rev()
            .find(|(_, kept)| kept.replaced_s.is_none());
        self.current = newest.or(fallback).map_or(0, |(generation, _)| *generation);
    }

    /// Makes a session the one to send in.
    pub(crate) fn send_in(&mut self, generation: u16, now_s: u64) {
        for (other, kept) in &mut self.all {
            let replaced = *other < generation;
            if replaced && kept.replaced_s.is_none() {
                kept.replaced_s = Some(now_s);
                kept.changed = true;
            }
        }
        self.current = generation;
    }

    /// The session to send in.
    pub(crate) const fn current(&self) -> u16 {
        self.current
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The highest number that was ever used.
    pub(crate) fn newest(&self) -> Option<u16> {
        self.all.last_key_value().map(|(generation, _)| *generation)
    }

    pub(crate) fn can_send(&self) -> bool {
        self.all
            .get(&self.current)
            .is_some_and(|kept| kept.session.can_send())
    }

    /// Encrypts a packet in the current session.
    pub(crate) fn encrypt(&mut self, packet: &[u8]) -> Result<SessionMessage, EncryptError> {
        let generation = self.current;
        let kept = self
            .all
            .get_mut(&generation)
            .ok_or(EncryptError::OpenerFirst)?;
        let (olm_type, olm) = kept.session.encrypt(packet)?;
        kept.changed = true;
        Ok(SessionMessage {
            generation,
            olm_type,
            olm,
        })
    }

    /// Decrypts a message in the session that it names.
    pub(crate) fn decrypt(
        &mut self,
        message: &SessionMessage,
    ) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        let newest = self.newest();
        let kept = match self.all.get_mut(&message.generation) {
            Some(kept) => kept,
            None if newest.is_none_or(|newest| message.generation > newest) => {
                return Err(SessionError::NotYet);
            }
            None => return Err(SessionError::Gone),
        };
        let plain = kept
            .session
            .decrypt(message.olm_type, &message.olm)
            .map_err(SessionError::Decrypt)?;
        kept.changed = true;
        Ok(plain)
    }

    /// Writes the sessions that changed.
    pub(crate) fn store(&mut self, contact: ContactId, out: &mut Outputs) {
        for (generation, kept) in &mut self.all {
            if std::mem::take(&mut kept.changed) {
                let key = records::session::key(contact, *generation);
                out.put(
                    Table::Session,
                    key,
                    records::session::encode(&kept.session, kept.replaced_s),
                );
            }
        }
    }

    /// Deletes sessions that were replaced before a moment, and those beyond the cap.
    pub(crate) fn prune(
        &mut self,
        contact: ContactId,
        replaced_before_s: Option<u64>,
        out: &mut Outputs,
    ) {
        let old: Vec<u16> = self
            .all
            .iter()
            .filter(|(_, kept)| kept.replaced_s.is_some())
            .map(|(generation, _)| *generation)
            .collect();
        let excess = old.len().saturating_sub(OLD_SESSIONS_MAX);
        for (n, generation) in old.into_iter().enumerate() {
            let over = |kept: &Kept| kept.replaced_s < replaced_before_s;
            if n < excess || self.all.get(&generation).is_some_and(over) {
                self.all.remove(&generation);
                out.delete(Table::Session, records::session::key(contact, generation));
            }
        }
    }

    /// Deletes all sessions.
    pub(crate) fn erase(&mut self, contact: ContactId, out: &mut Outputs) {
        for generation in std::mem::take(&mut self.all).into_keys() {
            out.delete(Table::Session, records::session::key(contact, generation));
        }
    }
}
