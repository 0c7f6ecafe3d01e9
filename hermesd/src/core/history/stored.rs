//! The rows of history as they are stored, and how a message is shown from its row.

use hermes_api::types::{Direction, Kept, Message, MessageState, Time};
use hermes_underworld::proto::ContactId;
use serde::{Deserialize, Serialize};

use super::HistoryError;
use crate::store::{Batch, Table, message_key, seq_key};

/// What is known of a chat beside its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatRow {
    pub(super) v: u8,
    /// The highest number given to a message.
    pub last_seq: u64,
    /// Everything of the friend's up to here was read by us.
    pub read_seq: u64,
    /// The friend's messages after that.
    pub unread: u64,
    /// Everything of ours up to here was read by the friend.
    pub read_by_friend: u64,
    /// What the contact was called last, for when it is gone.
    pub name: String,
    /// Messages of the friend's that will be missing before his next one.
    #[serde(default)]
    pub gap: u64,
    /// The highest number between the devices that the friend was told we have read.
    #[serde(default)]
    pub told: u64,
}

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    pub(super) v: u8,
    /// Its name.
    pub id: String,
    /// Ours or the friend's.
    pub direction: Direction,
    /// The text.
    pub body: String,
    /// Where it stands.
    pub state: MessageState,
    /// When it was written, in Unix milliseconds.
    pub sent_ms: u64,
    /// When it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_ms: Option<u64>,
    /// Its number between the two devices.
    pub conv_seq: u64,
    /// The proof that keepers hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// Why it waits or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Messages missing before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gap: u64,
}

impl MessageRow {
    /// As the interface shows it.
    #[must_use]
    pub fn shown(&self, chat: &str, name: &str, seq: u64) -> Message {
        let time = |ms: u64| Time::from_unix_ms(i64::try_from(ms).unwrap_or(i64::MAX));
        Message {
            message_id: self.id.clone(),
            chat: chat.to_owned(),
            seq,
            sender: match self.direction {
                Direction::In => name.to_owned(),
                Direction::Out => "me".to_owned(),
            },
            direction: self.direction,
            body: self.body.clone(),
            state: self.state,
            sent_at: time(self.sent_ms),
            received_at: self.received_ms.map(time),
            kept: self.kept,
            why: self.why.clone(),
            gap_before: self.gap,
        }
    }
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(
    table: Table,
    value: &[u8],
) -> Result<T, HistoryError> {
    serde_json::from_slice(value).map_err(|source| HistoryError::Damaged { table, source })
}

pub(super) fn store_chat(contact: ContactId, chat: &ChatRow, batch: &mut Batch) {
    // A row is made of numbers and strings: writing it to memory does not fail.
    let value = serde_json::to_vec(chat).unwrap_or_default();
    batch.put(Table::Chats, &seq_key(contact.0.into()), value);
}

pub(super) fn store_message(contact: ContactId, seq: u64, row: &MessageRow, batch: &mut Batch) {
    let value = serde_json::to_vec(row).unwrap_or_default();
    batch.put(Table::Messages, &message_key(contact.0.into(), seq), value);
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
