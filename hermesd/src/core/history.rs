//! Conversations as people see them: rows of messages, and for each chat what was read.
//!
//! A chat belongs to one contact and has its number. Messages of a chat are numbered from 1 in the order in which they were accepted
//! here, ours and the friend's in one sequence. Rows are JSON with a version, so that later fields can be added.

mod stored;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hermes_api::types::{Direction, MessageState};
use hermes_underworld::proto::ContactId;
use hermes_wire::ids::MessageId;
use lru::LruCache;
use thiserror::Error;

use crate::store::{Batch, Query, Reader, StoreError, Table, message_key, seq_key};
pub use stored::{ChatRow, MessageRow};
use stored::{parse, store_chat, store_message};

/// Rows of our own messages that are on their way and kept in memory, so that their state can be changed without reading.
const ON_THEIR_WAY_MAX: usize = 16_384;

/// Messages that a read mark passed over and that may still be delivered and read; more are forgotten, and stay `delivered`.
const PASSED_MAX: usize = 4_096;

/// Why the history cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row is not what this version writes.
    #[error("a row of {table} is damaged: {source}")]
    Damaged {
        /// Of which table.
        table: Table,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// What a friend said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The message's name.
    pub id: MessageId,
    /// Its number between the two devices.
    pub conv_seq: u64,
    /// The text.
    pub body: String,
    /// When it was written, in Unix milliseconds.
    pub sent_ms: u64,
}

/// The chats in memory; messages stay on the disk but for those that are on their way.
pub struct History {
    chats: BTreeMap<ContactId, ChatRow>,
    on_their_way: LruCache<MessageId, (ContactId, u64, MessageRow)>,
    /// Rows of this cycle, which the store does not know yet, and where those stand that have a name.
    fresh: BTreeMap<(ContactId, u64), MessageRow>,
    fresh_places: HashMap<MessageId, (ContactId, u64)>,
    /// Chats that were deleted in this cycle: what underworld still says of them makes no row.
    gone: BTreeSet<ContactId>,
    /// Messages of ours that the friend's mark passed over because he had not confirmed them.
    passed: BTreeMap<(ContactId, u64), MessageId>,
}

impl History {
    /// Reads the chats.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn load(reader: &Reader) -> Result<Self, HistoryError> {
        let mut chats = BTreeMap::new();
        reader.for_each::<HistoryError>(Table::Chats, &[], |row| {
            let Some(number) = crate::store::seq_of(&row.key).and_then(|n| u32::try_from(n).ok())
            else {
                return Ok(());
            };
            chats.insert(ContactId(number), parse(Table::Chats, &row.value)?);
            Ok(())
        })?;
        Ok(Self {
            chats,
            on_their_way: LruCache::unbounded(),
            fresh: BTreeMap::new(),
            fresh_places: HashMap::new(),
            gone: BTreeSet::new(),
            passed: BTreeMap::new(),
        })
    }

    /// The cycle is on the disk: its rows are read from there now.
    pub fn committed(&mut self) {
        self.fresh.clear();
        self.fresh_places.clear();
        self.gone.clear();
    }

    /// Writes a message in this cycle.
    fn put(&mut self, contact: ContactId, seq: u64, row: &MessageRow, batch: &mut Batch) {
        store_message(contact, seq, row, batch);
        if let Some(id) = message_id(&row.id) {
            self.fresh_places.insert(id, (contact, seq));
        }
        self.fresh.insert((contact, seq), row.clone());
    }

    /// A row as this cycle leaves it: `stored`, unless the cycle has written it anew.
    fn newest(
        &self,
        contact: ContactId,
        seq: u64,
        stored: &[u8],
    ) -> Result<MessageRow, HistoryError> {
        match self.fresh.get(&(contact, seq)) {
            Some(row) => Ok(row.clone()),
            None => parse(Table::Messages, stored),
        }
    }

    /// What is known of a chat.
    #[must_use]
    pub fn chat(&self, contact: ContactId) -> Option<&ChatRow> {
        self.chats.get(&contact)
    }

    /// All chats.
    pub fn chats(&self) -> impl Iterator<Item = (ContactId, &ChatRow)> {
        self.chats.iter().map(|(id, row)| (*id, row))
    }

    /// The state of a message of ours that is on its way.
    #[must_use]
    pub fn pending_state(&self, id: &MessageId) -> Option<MessageState> {
        self.on_their_way.peek(id).map(|(_, _, row)| row.state)
    }

    /// Messages of friends that were not read, over all chats.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.chats.values().map(|chat| chat.unread).sum()
    }

    /// Makes the row of a chat if there is none, and takes up what the contact is called.
    pub fn name(&mut self, contact: ContactId, name: &str, batch: &mut Batch) {
        if self.gone.contains(&contact) {
            return;
        }
        let chat = self.chats.entry(contact).or_default();
        if chat.v == 0 || chat.name != name {
            chat.v = 1;
            name.clone_into(&mut chat.name);
            store_chat(contact, chat, batch);
        }
    }

    /// Adds a message of our own.
    pub fn add_own(
        &mut self,
        contact: ContactId,
        id: MessageId,
        conv_seq: u64,
        body: String,
        now_ms: u64,
        batch: &mut Batch,
    ) -> (u64, MessageRow) {
        let row = MessageRow {
            v: 1,
            id: id.to_string(),
            direction: Direction::Out,
            body,
            state: MessageState::Queued,
            sent_ms: now_ms,
            received_ms: None,
            conv_seq,
            kept: None,
            why: None,
            gap: 0,
        };
        let seq = self.add(contact, id, &row, batch);
        self.note_on_its_way(id, (contact, seq, row.clone()));
        (seq, row)
    }

    /// Adds a friend's message.
    pub fn add_theirs(
        &mut self,
        contact: ContactId,
        said: Said,
        now_ms: u64,
        batch: &mut Batch,
    ) -> (u64, MessageRow) {
        let Said {
            id,
            conv_seq,
            body,
            sent_ms,
        } = said;
        let chat = self.chats.entry(contact).or_default();
        let gap = std::mem::take(&mut chat.gap);
        chat.unread += 1;
        let row = MessageRow {
            v: 1,
            id: id.to_string(),
            direction: Direction::In,
            body,
            state: MessageState::Delivered,
            sent_ms,
            received_ms: Some(now_ms),
            conv_seq,
            kept: None,
            why: None,
            gap,
        };
        let seq = self.add(contact, id, &row, batch);
        (seq, row)
    }

    fn add(
        &mut self,
        contact: ContactId,
        id: MessageId,
        row: &MessageRow,
        batch: &mut Batch,
    ) -> u64 {
        let chat = self.chats.entry(contact).or_default();
        chat.v = 1;
        chat.last_seq += 1;
        let seq = chat.last_seq;
        store_chat(contact, chat, batch);
        self.put(contact, seq, row, batch);
        batch.put(
            Table::MessageIds,
            id.as_bytes(),
            message_key(contact.0.into(), seq),
        );
        seq
    }

    /// Notes that messages of the friend's are missing before his next one.
    pub fn gap(&mut self, contact: ContactId, missing: u64, batch: &mut Batch) {
        if self.gone.contains(&contact) {
            return;
        }
        let chat = self.chats.entry(contact).or_default();
        // The peer's numbers decide how large this is.
        chat.gap = chat.gap.saturating_add(missing);
        store_chat(contact, chat, batch);
    }

    /// Changes a message of our own; `None` if it is unknown or nothing changes.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn change(
        &mut self,
        reader: &Reader,
        id: MessageId,
        change: impl FnOnce(&mut MessageRow),
        batch: &mut Batch,
    ) -> Result<Option<(ContactId, u64, MessageRow)>, HistoryError> {
        let known = match self.on_their_way.get(&id) {
            Some(known) => Some(known.clone()),
            None => self.look_up(reader, id)?,
        };
        let Some((contact, seq, before)) = known else {
            return Ok(None);
        };
        if self.gone.contains(&contact) {
            return Ok(None);
        }
        let mut row = before.clone();
        change(&mut row);
        if row == before {
            return Ok(None);
        }
        self.put(contact, seq, &row, batch);
        if matches!(row.state, MessageState::Queued | MessageState::Kept) {
            self.note_on_its_way(id, (contact, seq, row.clone()));
        } else {
            // What was delivered changes once more at most, when it is read, and a read mark reads its rows anyway.
            self.on_their_way.pop(&id);
        }
        Ok(Some((contact, seq, row)))
    }

    fn note_on_its_way(&mut self, id: MessageId, place: (ContactId, u64, MessageRow)) {
        self.on_their_way.put(id, place);
        if self.on_their_way.len() > ON_THEIR_WAY_MAX {
            self.on_their_way.pop_lru();
        }
    }

    /// A message by its name, as this cycle leaves it.
    fn look_up(
        &self,
        reader: &Reader,
        id: MessageId,
    ) -> Result<Option<(ContactId, u64, MessageRow)>, HistoryError> {
        let fresh = self.fresh_places.get(&id).and_then(|place| {
            let row = self.fresh.get(place)?.clone();
            Some((place.0, place.1, row))
        });
        match fresh {
            Some(found) => Ok(Some(found)),
            None => find(reader, &id),
        }
    }

    /// Our messages up to the friend's read mark that were not yet marked, oldest first.
    ///
    /// Only what the friend has confirmed can have been read: what he has not may be missing at his side, and what has expired or failed
    /// stays so. Confirmations come before the mark that follows from them.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read_by_friend(
        &mut self,
        reader: &Reader,
        contact: ContactId,
        up_to: u64,
        batch: &mut Batch,
    ) -> Result<Vec<(u64, MessageRow)>, HistoryError> {
        let Some(from) = self.chats.get(&contact).map(|chat| chat.read_by_friend) else {
            return Ok(Vec::new());
        };
        let mut changed = self.read_late(reader, contact, up_to)?;
        let mut marked = from;
        let mut query = Query::prefix(&u64::from(contact.0).to_be_bytes())
            .after(&message_key(contact.0.into(), from));
        'pages: loop {
            let page = reader.page(Table::Messages, &query)?;
            for row in &page.rows {
                let seq = crate::store::seq_of(&row.key).unwrap_or_default();
                let message = self.newest(contact, seq, &row.value)?;
                if message.direction == Direction::Out {
                    if message.conv_seq > up_to {
                        break 'pages;
                    }
                    match message.state {
                        MessageState::Delivered => changed.push((seq, message)),
                        MessageState::Queued | MessageState::Kept => self.pass(contact, &message),
                        _ => {}
                    }
                }
                marked = seq;
            }
            match page.rows.last() {
                Some(last) if page.more => query = query.after(&last.key),
                _ => break,
            }
        }
        for (seq, message) in &mut changed {
            message.state = MessageState::Read;
            message.why = None;
            self.put(contact, *seq, message, batch);
            if let Some(id) = message_id(&message.id) {
                self.on_their_way.pop(&id);
            }
        }
        if let Some(chat) = self.chats.get_mut(&contact)
            && chat.read_by_friend != marked
        {
            chat.read_by_friend = marked;
            store_chat(contact, chat, batch);
        }
        Ok(changed)
    }

    /// Messages that an earlier mark passed over and that have been delivered since.
    fn read_late(
        &mut self,
        reader: &Reader,
        contact: ContactId,
        up_to: u64,
    ) -> Result<Vec<(u64, MessageRow)>, HistoryError> {
        let passed: Vec<(u64, MessageId)> = self
            .passed
            .range((contact, 0)..=(contact, up_to))
            .map(|((_, conv_seq), id)| (*conv_seq, *id))
            .collect();
        let mut late = Vec::new();
        for (conv_seq, id) in passed {
            let known = match self.on_their_way.peek(&id) {
                Some(known) => Some(known.clone()),
                None => self.look_up(reader, id)?,
            };
            match known {
                Some((_, _, row))
                    if matches!(row.state, MessageState::Queued | MessageState::Kept) =>
                {
                    continue;
                }
                Some((_, seq, row)) if row.state == MessageState::Delivered => {
                    late.push((seq, row));
                }
                _ => {}
            }
            self.passed.remove(&(contact, conv_seq));
        }
        Ok(late)
    }

    fn pass(&mut self, contact: ContactId, message: &MessageRow) {
        if self.passed.len() < PASSED_MAX
            && let Some(id) = message_id(&message.id)
        {
            self.passed.insert((contact, message.conv_seq), id);
        }
    }

    /// Notes the friend's messages up to `up_to` as read by us; gives the highest of their numbers between the devices, if any is new.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn mark_read(
        &mut self,
        reader: &Reader,
        contact: ContactId,
        up_to: u64,
        batch: &mut Batch,
    ) -> Result<Option<u64>, HistoryError> {
        let Some(mut chat) = self.chats.get(&contact).cloned() else {
            return Ok(None);
        };
        let up_to = up_to.min(chat.last_seq);
        if up_to <= chat.read_seq {
            return Ok(None);
        }
        let mut highest = None;
        let mut query = Query::prefix(&u64::from(contact.0).to_be_bytes())
            .after(&message_key(contact.0.into(), chat.read_seq));
        'pages: loop {
            let page = reader.page(Table::Messages, &query)?;
            for row in &page.rows {
                let seq = crate::store::seq_of(&row.key).unwrap_or_default();
                if seq > up_to {
                    break 'pages;
                }
                let mut message = self.newest(contact, seq, &row.value)?;
                if message.direction == Direction::In && message.state != MessageState::Read {
                    message.state = MessageState::Read;
                    highest = highest.max(Some(message.conv_seq));
                    chat.unread = chat.unread.saturating_sub(1);
                    self.put(contact, seq, &message, batch);
                }
            }
            match page.rows.last() {
                Some(last) if page.more => query = query.after(&last.key),
                _ => break,
            }
        }
        chat.read_seq = up_to;
        // A message that came late has a lower number than others that were read before: a mark never goes back.
        let highest = highest.map(|highest| highest.max(chat.told));
        chat.told = highest.unwrap_or(chat.told);
        store_chat(contact, &chat, batch);
        self.chats.insert(contact, chat);
        Ok(highest)
    }

    /// Deletes a chat with all its messages.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn delete(
        &mut self,
        reader: &Reader,
        contact: ContactId,
        batch: &mut Batch,
    ) -> Result<(), HistoryError> {
        reader.for_each::<HistoryError>(
            Table::Messages,
            &u64::from(contact.0).to_be_bytes(),
            |row| {
                let message: MessageRow = parse(Table::Messages, &row.value)?;
                batch.delete(Table::Messages, &row.key);
                if let Some(id) = message_id(&message.id) {
                    batch.delete(Table::MessageIds, id.as_bytes());
                    self.on_their_way.pop(&id);
                }
                Ok(())
            },
        )?;
        let fresh: Vec<u64> = self
            .fresh
            .range((contact, 0)..=(contact, u64::MAX))
            .map(|((_, seq), _)| *seq)
            .collect();
        for seq in fresh {
            if let Some(row) = self.fresh.remove(&(contact, seq)) {
                batch.delete(Table::Messages, &message_key(contact.0.into(), seq));
                if let Some(id) = message_id(&row.id) {
                    batch.delete(Table::MessageIds, id.as_bytes());
                    self.fresh_places.remove(&id);
                    self.on_their_way.pop(&id);
                }
            }
        }
        self.passed.retain(|(of, _), _| *of != contact);
        self.gone.insert(contact);
        self.chats.remove(&contact);
        batch.delete(Table::Chats, &seq_key(contact.0.into()));
        Ok(())
    }
}

/// A page of a chat's messages, oldest first: the last `limit` before `before`, or the first after `after`.
///
/// # Errors
/// If the store cannot be read.
pub fn page(
    reader: &Reader,
    contact: ContactId,
    before: Option<u64>,
    after: Option<u64>,
    limit: usize,
) -> Result<(Vec<(u64, MessageRow)>, bool), HistoryError> {
    let prefix = u64::from(contact.0).to_be_bytes();
    let query = match (after, before) {
        (Some(after), _) => Query::prefix(&prefix).after(&message_key(contact.0.into(), after)),
        (None, Some(before)) => Query::prefix(&prefix)
            .backward()
            .after(&message_key(contact.0.into(), before)),
        (None, None) => Query::prefix(&prefix).backward(),
    };
    let page = reader.page(Table::Messages, &query.rows(limit))?;
    let mut items = Vec::with_capacity(page.rows.len());
    for row in &page.rows {
        let seq = crate::store::seq_of(&row.key).unwrap_or_default();
        if after.is_some() && before.is_some_and(|before| seq >= before) {
            return Ok((items, false));
        }
        items.push((seq, parse(Table::Messages, &row.value)?));
    }
    if after.is_none() {
        items.reverse();
    }
    Ok((items, page.more))
}

/// The message with a name.
///
/// # Errors
/// If the store cannot be read.
pub fn find(
    reader: &Reader,
    id: &MessageId,
) -> Result<Option<(ContactId, u64, MessageRow)>, HistoryError> {
    let Some(place) = reader.get(Table::MessageIds, id.as_bytes())? else {
        return Ok(None);
    };
    let Some(row) = reader.get(Table::Messages, &place)? else {
        return Ok(None);
    };
    let number = place
        .first_chunk()
        .map(|bytes| u64::from_be_bytes(*bytes))
        .and_then(|n| u32::try_from(n).ok());
    let (Some(number), Some(seq)) = (number, crate::store::seq_of(&place)) else {
        return Ok(None);
    };
    Ok(Some((
        ContactId(number),
        seq,
        parse(Table::Messages, &row)?,
    )))
}

/// The name of a message from its text.
#[must_use]
pub fn message_id(text: &str) -> Option<MessageId> {
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
    bytes.try_into().ok().map(MessageId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{OsEntropy, Store, Unlock};

    const FRIEND: ContactId = ContactId(1);

    struct Bench {
        _dir: tempfile::TempDir,
        store: Store,
        history: History,
        batch: Batch,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let entropy = Box::new(OsEntropy::new());
            let store = Store::create(dir.path(), &Unlock::Insecure, entropy).unwrap();
            Self {
                history: History::load(&store).unwrap(),
                _dir: dir,
                store,
                batch: Batch::new(),
            }
        }

        fn commit(&mut self) {
            self.store.commit(std::mem::take(&mut self.batch)).unwrap();
            self.history.committed();
        }

        fn own(&mut self, n: u8) -> MessageId {
            let id = MessageId([n; 16]);
            let text = format!("text {n}");
            self.history
                .add_own(FRIEND, id, n.into(), text, 0, &mut self.batch);
            id
        }

        fn theirs(&mut self, n: u8) {
            let said = Said {
                id: MessageId([n; 16]),
                conv_seq: n.into(),
                body: String::new(),
                sent_ms: 0,
            };
            self.history.add_theirs(FRIEND, said, 0, &mut self.batch);
        }

        fn set(&mut self, id: MessageId, state: MessageState) -> bool {
            // As the owner does it: what was read stays read.
            let change = |row: &mut MessageRow| {
                if row.state != MessageState::Read {
                    row.state = state;
                }
            };
            let changed = self
                .history
                .change(&self.store, id, change, &mut self.batch);
            changed.unwrap().is_some()
        }

        fn read_up_to(&mut self, up_to: u64) -> usize {
            let changed = self
                .history
                .read_by_friend(&self.store, FRIEND, up_to, &mut self.batch);
            changed.unwrap().len()
        }

        fn state(&self, id: MessageId) -> Option<MessageState> {
            let found = find(&self.store, &id).unwrap();
            found.map(|(_, _, row)| row.state)
        }
    }

    #[test]
    fn what_one_cycle_says_in_any_order_ends_as_read() {
        let mut bench = Bench::new();
        let id = bench.own(1);
        bench.commit();
        bench.set(id, MessageState::Delivered);
        assert_eq!(bench.read_up_to(1), 1);
        assert!(!bench.set(id, MessageState::Delivered));
        bench.commit();
        assert_eq!(bench.state(id), Some(MessageState::Read));
    }

    #[test]
    fn a_mark_counts_for_what_was_confirmed_only() {
        let mut bench = Bench::new();
        let (late, expired, read) = (bench.own(1), bench.own(2), bench.own(3));
        bench.commit();
        bench.set(expired, MessageState::Expired);
        bench.set(read, MessageState::Delivered);
        bench.commit();
        assert_eq!(bench.read_up_to(3), 1);
        bench.commit();
        assert_eq!(bench.state(late), Some(MessageState::Queued));
        assert_eq!(bench.state(expired), Some(MessageState::Expired));
        assert_eq!(bench.state(read), Some(MessageState::Read));
        // It came late, and then he read it.
        bench.set(late, MessageState::Delivered);
        bench.commit();
        assert_eq!(bench.read_up_to(3), 1);
        bench.commit();
        assert_eq!(bench.state(late), Some(MessageState::Read));
    }

    #[test]
    fn a_mark_of_ours_never_goes_back() {
        let mut bench = Bench::new();
        bench.theirs(5);
        bench.commit();
        let mark = |bench: &mut Bench| {
            let told = bench
                .history
                .mark_read(&bench.store, FRIEND, u64::MAX, &mut bench.batch);
            bench.commit();
            told.unwrap()
        };
        assert_eq!(mark(&mut bench), Some(5));
        bench.theirs(4);
        bench.commit();
        assert_eq!(bench.history.unread(), 1);
        assert_eq!(mark(&mut bench), Some(5));
        assert_eq!(mark(&mut bench), None);
        assert_eq!(bench.history.unread(), 0);
    }

    #[test]
    fn a_deleted_chat_is_not_written_again_by_what_follows_from_its_end() {
        let mut bench = Bench::new();
        let old = bench.own(1);
        bench.commit();
        let new = bench.own(2);
        let deleted = bench.history.delete(&bench.store, FRIEND, &mut bench.batch);
        deleted.unwrap();
        assert!(!bench.set(old, MessageState::Failed));
        assert!(!bench.set(new, MessageState::Failed));
        bench.history.name(FRIEND, "bob", &mut bench.batch);
        bench.commit();
        assert_eq!((bench.state(old), bench.state(new)), (None, None));
        let (rows, _) = page(&bench.store, FRIEND, None, None, 10).unwrap();
        assert!(rows.is_empty());
        assert_eq!(History::load(&bench.store).unwrap().chats().count(), 0);
    }
}
