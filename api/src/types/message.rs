//! `message.send` and `message.get`, and the message itself.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// Most bytes of UTF-8 in the body of a message.
pub const BODY_BYTES_MAX: usize = 60 * 1024;

/// Most characters in an idempotency key.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 64;

/// Where a message stands.
///
/// An outgoing message goes `queued`, `kept` (unless it goes straight to the friend), `delivered`,
/// `read`, or ends as `expired` or `failed`. An incoming one is `delivered` and becomes `read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// It is safe on our own disk and waits.
    Queued,
    /// Enough keepers hold it, with receipts.
    Kept,
    /// The friend's daemon confirmed it.
    Delivered,
    /// The friend read it.
    Read,
    /// Nobody confirmed it in time; the friend may have seen it all the same.
    Expired,
    /// It cannot be delivered; `why` says the reason.
    Failed,
}

impl MessageState {
    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Kept => "kept",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// Whether a message in this state has come at least as far as `goal`.
    ///
    /// `expired` and `failed` reach nothing but themselves.
    #[must_use]
    pub fn reaches(self, goal: WaitFor) -> bool {
        let reached = match self {
            Self::Queued => 1,
            Self::Kept => 2,
            Self::Delivered => 3,
            Self::Read => 4,
            Self::Expired | Self::Failed => 0,
        };
        reached >= goal as u8
    }

    /// Whether the state can no longer change.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Read | Self::Expired | Self::Failed)
    }
}

impl fmt::Display for MessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a message is ours or the friend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The friend sent it.
    In,
    /// We sent it.
    Out,
}

/// A message as lists and events show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Names the message; the same at both ends.
    pub message_id: String,
    /// The conversation.
    pub chat: String,
    /// Its place in the conversation here, from 1; grows, may have holes.
    pub seq: u64,
    /// `me`, or the contact's name.
    pub sender: String,
    /// Whether it is ours or the friend's.
    pub direction: Direction,
    /// The text.
    pub body: String,
    /// Where it stands.
    pub state: MessageState,
    /// When its sender wrote it, by the sender's clock.
    pub sent_at: Time,
    /// When it came to us; null for our own.
    pub received_at: Option<Time>,
    /// The proof that keepers hold it; null if none do or did.
    pub kept: Option<Kept>,
    /// In a few words, why it still waits or why it failed.
    pub why: Option<String>,
    /// Messages of the same sender missing right before this one, given up by him.
    #[serde(default)]
    pub gap_before: u64,
}

/// How many keepers hold a message, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    /// Keepers that signed for it.
    pub receipts: u32,
    /// Keepers that it was offered to.
    pub of: u32,
    /// Until when they promised to hold it.
    pub until: Time,
}

/// What `message.send` waits for before it answers.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// Nothing but our own disk.
    #[default]
    Queued = 1,
    /// Enough keepers, or better.
    Kept = 2,
    /// The friend's daemon, or better.
    Delivered = 3,
    /// The friend.
    Read = 4,
}

/// Parameters of `message.send`.
///
/// The message is on disk before the answer, and delivery needs no client afterwards. If the
/// answer is lost, repeat the call with the same `idempotency_key`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageSendParams {
    /// The recipient: a contact's name or id, or a chat's id.
    pub to: String,
    /// The text, 1 byte to 60 KiB of UTF-8.
    pub body: String,
    /// A key of the caller's choice, 1 to 64 characters, remembered for 7 days: the same key with
    /// the same recipient and body is the same message, with others `idempotency_conflict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What to wait for before answering.
    #[serde(default)]
    pub wait: WaitFor,
    /// How long to wait at most; then the answer tells the state reached. 30 000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// After how long to give up; the network's usual time if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// Answer of `message.send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageSendResponse {
    /// Names the message.
    pub message_id: String,
    /// The conversation it went to.
    pub chat: String,
    /// Where it stands; less than what was waited for if the time ran out.
    pub state: MessageState,
    /// Whether an earlier call with the same key had already sent it.
    pub duplicate: bool,
}

/// Parameters of `message.get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageGetParams {
    /// Which one.
    pub message_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reaches_what_lies_below_it() {
        assert!(MessageState::Queued.reaches(WaitFor::Queued));
        assert!(!MessageState::Queued.reaches(WaitFor::Kept));
        assert!(MessageState::Delivered.reaches(WaitFor::Kept));
        assert!(MessageState::Read.reaches(WaitFor::Read));
        assert!(!MessageState::Failed.reaches(WaitFor::Queued));
    }

    #[test]
    fn words_are_those_of_the_json() {
        for state in [
            MessageState::Queued,
            MessageState::Kept,
            MessageState::Delivered,
            MessageState::Read,
            MessageState::Expired,
            MessageState::Failed,
        ] {
            assert_eq!(serde_json::to_value(state).expect("json"), state.as_str());
        }
    }

    #[test]
    fn a_misspelt_parameter_is_refused() {
        let json = r#"{"to":"bob","body":"hi","idempotancy_key":"k"}"#;
        let error = serde_json::from_str::<MessageSendParams>(json).expect_err("refused");
        assert!(error.to_string().contains("idempotancy_key"), "{error}");
    }
}
