//! The state of an open store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use hermes_api::types::MessageState;

use hermes_underworld::proto::effect::Effect;
use hermes_underworld::proto::{ContactId, LoadError, NameError, Now, Underworld};
use hermes_wire::Network;
use hermes_wire::ids::MessageId;
use thiserror::Error;
use tokio::sync::watch;

use super::history::{ChatRow, History, HistoryError};
use super::rows;
use super::waiting::Waiting;
use crate::net::NetInput;
use crate::notify::Notices;
use crate::store::{Batch, Reader, Store, StoreError, Table};

/// The row that tells when the identity was made.
const CREATED: &[u8] = b"created";

/// The row that tells that a contact waits for its name.
fn unnamed(contact: ContactId) -> Vec<u8> {
    [b"unnamed", &contact.0.to_be_bytes()[..]].concat()
}

/// What may be read beside the owner, from any task.
#[derive(Clone)]
pub struct Shared {
    /// Reads what is committed.
    pub reader: Reader,
    /// The number of the last committed event; changes wake those who wait for events.
    pub head: watch::Receiver<u64>,
    /// The network of this home.
    pub network: Network,
    /// Our own name and key, for `status`.
    pub identity: Arc<str>,
}

/// Underworld, store and history together.
pub struct Open {
    pub(super) underworld: Underworld,
    pub(super) store: Store,
    pub(super) history: History,
    /// What this cycle commits.
    pub(super) batch: Batch,
    /// What the network shall do once it is committed.
    pub(super) effects: Vec<Effect>,
    /// Why this cycle cannot be committed.
    pub(super) broken: Option<HistoryError>,
    pub(super) waiting: Waiting,
    /// States of this cycle, for those who wait for them.
    pub(super) reached: Vec<(MessageId, MessageState)>,
    pub(super) notices: Notices,
    pub(super) head: watch::Sender<u64>,
    /// Idempotency keys of this cycle, which the store does not know yet.
    pub(super) noted: HashMap<(String, String), Vec<u8>>,
    /// When the old ends of the tables were looked at last.
    pub(super) tended: Option<Instant>,
}

/// Why an open store does not give a state.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Underworld's rows.
    #[error("what the store holds cannot be read: {0}")]
    Load(#[from] LoadError),
    /// The store was made, and its maker ended before an identity was in it.
    #[error("there is no identity in this store: its making was interrupted")]
    Unfinished,
    /// The history's rows.
    #[error("the history cannot be read: {0}")]
    History(#[from] super::history::HistoryError),
    /// The name for a new identity.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Open {
    /// Makes a new identity in an empty store. Nothing is on the disk until the first cycle, so [`Self::create`] ends one itself.
    ///
    /// # Errors
    /// If the name cannot be taken or the disk fails.
    pub fn create(
        mut store: Store,
        network: Network,
        name: &str,
        seed: [u8; 32],
        notices: Notices,
        now: Now,
    ) -> Result<Self, OpenError> {
        let mut underworld = Underworld::create(network, name, seed, now)?;
        // Only the rows are taken here. Events of a beginning tell nothing, and the network is told anew by `load`.
        let mut batch = Batch::new();
        while let Some(output) = underworld.poll_output() {
            if let hermes_underworld::proto::output::Output::Write(write) = output {
                rows::add(&mut batch, &write);
            }
        }
        batch.put(Table::Settings, CREATED, now.unix_ms.to_le_bytes());
        store.commit(batch)?;
        let network = underworld.network().clone();
        Self::load(store, network, seed.map(|byte| byte ^ 0x5a), notices, now)
    }

    /// Takes up what a store holds.
    ///
    /// # Errors
    /// If its rows cannot be read.
    pub fn load(
        store: Store,
        network: Network,
        seed: [u8; 32],
        notices: Notices,
        now: Now,
    ) -> Result<Self, OpenError> {
        let rows = rows::all(&store)?;
        let was_made = store.get(Table::Settings, CREATED)?.is_some();
        if rows.is_empty() && !was_made && store.head().seq == 0 {
            return Err(OpenError::Unfinished);
        }
        let underworld = Underworld::load(network, rows, seed, now)?;
        let history = History::load(&store)?;
        let (head, _) = watch::channel(store.head().seq);
        Ok(Self {
            underworld,
            store,
            history,
            batch: Batch::new(),
            effects: Vec::new(),
            broken: None,
            waiting: Waiting::default(),
            reached: Vec::new(),
            notices,
            head,
            noted: HashMap::new(),
            tended: None,
        })
    }

    /// What may be read beside the owner.
    #[must_use]
    pub fn shared(&self) -> Shared {
        Shared {
            reader: self.store.reader(),
            head: self.head.subscribe(),
            network: self.underworld.network().clone(),
            identity: self.underworld.identity().to_string().into(),
        }
    }

    pub(super) fn net_input(&mut self, news: NetInput, now: Now) {
        let core = &mut self.underworld;
        match &news {
            NetInput::LinkPacket { .. } => tracing::trace!("a packet from a friend"),
            news => tracing::debug!(news = %news.outline(), "from the network"),
        }
        match news {
            NetInput::Candidates(addrs) => core.handle_candidates(&addrs, now),
            NetInput::Presence(state) => core.handle_presence(state, now),
            NetInput::Online(online) => core.handle_network(online, now),
            NetInput::Deposits { mailbox, records } => core.handle_deposits(mailbox, &records, now),
            NetInput::Fetched {
                mailbox,
                reading,
                complete,
            } => core.handle_fetched(mailbox, reading, complete, now),
            NetInput::Receipt { op, receipt } => core.handle_receipt(op, &receipt, now),
            NetInput::DepositRefused { op, keeper, code } => {
                core.handle_deposit_refused(op, keeper, code, now)
            }
            NetInput::DepositEnded { op } => core.handle_deposit_ended(op, now),
            NetInput::KnockResult { op, result } => core.handle_knock_result(op, &result, now),
            NetInput::IncomingKnock {
                id,
                presence,
                slot,
                nonce,
                sealed,
            } => {
                core.handle_incoming_knock(id, presence, slot, nonce, &sealed, now);
            }
            NetInput::LinkUp { token, link } => core.handle_link_up(token, link, now),
            NetInput::LinkPacket { link, packet } => core.handle_link_packet(link, &packet, now),
            NetInput::LinkDown { link } => core.handle_link_down(link, now),
            NetInput::DialFailed { token } => core.handle_dial_failed(token, now),
        }
    }

    /// What is known of a chat.
    #[must_use]
    pub fn chat(&self, contact: ContactId) -> Option<&ChatRow> {
        self.history.chat(contact)
    }

    /// The chat of a contact that is gone, by the name it had last.
    #[must_use]
    pub fn chat_by_name(&self, name: &str) -> Option<ContactId> {
        self.history
            .chats()
            .find(|(_, chat)| chat.name == name)
            .map(|(id, _)| id)
    }

    /// Underworld, for calls.
    pub fn underworld(&mut self) -> &mut Underworld {
        &mut self.underworld
    }

    /// Underworld, for looking.
    #[must_use]
    pub const fn people(&self) -> &Underworld {
        &self.underworld
    }

    /// Notes that a contact shall be called what it calls itself, once that is known.
    pub fn name_later(&mut self, contact: ContactId) {
        self.batch.put(Table::Settings, &unnamed(contact), [1]);
    }

    /// Calls a contact what it calls itself if that was wanted; the first free name of that kind.
    pub(super) fn name_now(&mut self, contact: ContactId, now: Now) -> Option<String> {
        let key = unnamed(contact);
        self.store.get(Table::Settings, &key).ok().flatten()?;
        let base = self.underworld.contact(contact)?.their_name;
        self.batch.delete(Table::Settings, &key);
        let numbered = (2..100).map(|n| format!("{base} {n}"));
        std::iter::once(base.clone())
            .chain(numbered)
            .find(|name| self.underworld.rename(contact, name, now).is_ok())
    }

    /// When the identity was made, in Unix milliseconds.
    #[must_use]
    pub fn created_ms(&self) -> u64 {
        let row = self.store.get(Table::Settings, CREATED).ok().flatten();
        row.and_then(|row| row.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)))
            .unwrap_or_default()
    }

    /// Reads what is committed.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.store
    }

    /// The chats that have a row.
    pub fn chat_ids(&self) -> impl Iterator<Item = ContactId> + '_ {
        self.history.chats().map(|(id, _)| id)
    }

    /// Messages that were not read, over all chats.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.history.unread()
    }

    /// The state of a message of ours that is on its way.
    #[must_use]
    pub fn pending_state(&self, id: &MessageId) -> Option<MessageState> {
        self.history.pending_state(id)
    }

    /// What was noted under an idempotency key, also in this cycle.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn remembered(
        &self,
        scope: &str,
        key: &str,
        now: Now,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(note) = self.noted.get(&(scope.to_owned(), key.to_owned())) {
            return Ok(Some(note.clone()));
        }
        let noted = self.store.remembered(scope, key, now.unix_ms)?;
        Ok(noted.map(|note| note.to_vec()))
    }

    /// Notes something under an idempotency key.
    ///
    /// # Errors
    /// If the key cannot be taken.
    pub fn remember(
        &mut self,
        scope: &str,
        key: &str,
        note: &[u8],
        now: Now,
    ) -> Result<(), StoreError> {
        self.store
            .remember(&mut self.batch, scope, key, note, now.unix_ms)?;
        self.noted
            .insert((scope.to_owned(), key.to_owned()), note.to_vec());
        Ok(())
    }

    /// The store, for reading and for what is not part of a cycle.
    pub fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// The notices on the desktop.
    pub fn notices(&mut self) -> &mut Notices {
        &mut self.notices
    }

    /// Calls that wait for messages.
    pub fn waiting(&mut self) -> &mut Waiting {
        &mut self.waiting
    }

    /// History and the batch of this cycle, for those who write both.
    pub fn history(&mut self) -> (&mut History, &Store, &mut Batch) {
        (&mut self.history, &self.store, &mut self.batch)
    }
}
