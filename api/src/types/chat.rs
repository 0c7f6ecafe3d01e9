//! `chat.list`, `chat.get`, `chat.history` and `chat.mark_read`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Message, Page};

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chat {
    /// Names the conversation; never changes. With one friend it equals his `contact_id`.
    pub chat: String,
    /// What to show for it: the contact's name.
    pub name: String,
    /// The contact at the other end.
    pub contact_id: String,
    /// Messages received and not marked read; own messages never count.
    pub unread: u64,
    /// The `seq` of the last message that was marked read; 0 if none was.
    pub read_seq: u64,
    /// The `seq` of the newest message; 0 in an empty conversation.
    pub last_seq: u64,
    /// The newest message.
    pub last: Option<Message>,
}

/// Answer of `chat.list`, the conversation with the newest message first.
pub type ChatListResponse = Page<Chat>;

/// Parameters of `chat.get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatParams {
    /// Which one, by its id or by the contact's name or id.
    pub chat: String,
}

/// Parameters of `chat.history`. Without `before` and `after` the newest messages are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatHistoryParams {
    /// Which one, by its id or by the contact's name or id.
    pub chat: String,
    /// Most messages wanted, 1 to 500; 50 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only messages with a lower `seq`, the nearest ones; not together with `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Only messages with a higher `seq`, the nearest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// Answer of `chat.history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatHistoryResponse {
    /// Names the conversation.
    pub chat: String,
    /// The messages, oldest first.
    pub items: Vec<Message>,
    /// Whether there are more in the direction that was asked for.
    pub more: bool,
}

/// Parameters of `chat.mark_read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatMarkReadParams {
    /// Which one, by its id or by the contact's name or id.
    pub chat: String,
    /// The `seq` of the last message that was read; the newest if absent. Marks never move back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<u64>,
}

/// Answer of `chat.mark_read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatMarkReadResponse {
    /// Names the conversation.
    pub chat: String,
    /// Up to which `seq` it is read now.
    pub read_seq: u64,
    /// Messages still not read.
    pub unread: u64,
}
