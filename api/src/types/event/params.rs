//! How to ask for events.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Cursor, Event, EventKind};

/// Longest wait of `events.list`.
pub const EVENTS_WAIT_MS_MAX: u64 = 60_000;

/// Most characters in the name of a consumer.
pub const CONSUMER_CHARS_MAX: usize = 64;

/// Where to begin reading the log. In JSON a string, either a cursor, `start` or `now`, or an
/// object `{"consumer": "NAME"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// The oldest event that is still in the log.
    Start,
    /// Only what happens from now on.
    Now,
    /// After this position.
    Cursor(Cursor),
    /// After what this named consumer last committed with `events.commit`; a new name begins at
    /// the start.
    Consumer(String),
}

/// The object form of [`After`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsumerForm {
    consumer: String,
}

impl Serialize for After {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Start => serializer.serialize_str("start"),
            Self::Now => serializer.serialize_str("now"),
            Self::Cursor(cursor) => cursor.serialize(serializer),
            Self::Consumer(name) => ConsumerForm {
                consumer: name.clone(),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for After {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Consumer(ConsumerForm),
        }
        match Form::deserialize(deserializer) {
            Ok(Form::Text(text)) => match text.as_str() {
                "start" => Ok(Self::Start),
                "now" => Ok(Self::Now),
                cursor => cursor
                    .parse()
                    .map(Self::Cursor)
                    .map_err(serde::de::Error::custom),
            },
            Ok(Form::Consumer(form)) => Ok(Self::Consumer(form.consumer)),
            Err(_) => Err(serde::de::Error::custom(
                "`after` must be a cursor, \"start\", \"now\" or {\"consumer\": NAME}",
            )),
        }
    }
}

impl JsonSchema for After {
    fn schema_name() -> Cow<'static, str> {
        "After".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A cursor, \"start\" for the oldest event in the log, \"now\", or a named consumer",
            "oneOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "consumer": { "type": "string" } },
                    "required": ["consumer"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// Parameters of `events.subscribe`.
///
/// The answer is the subscription's id. Then the connection carries one notification `event` for
/// each event: first what the log holds after the position, then one `caught_up`, then whatever
/// happens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsSubscribeParams {
    /// Where to begin; from now on if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// Only events of these kinds; all if absent. `caught_up` and `server.shutdown` always come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<EventKind>>,
    /// Only events of these conversations, by id or contact name, and those that belong to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chats: Option<Vec<String>>,
}

/// Answer of `events.subscribe`: the subscription's id.
///
/// A plain string, and the only result that is not an object: this is what JSON-RPC libraries with
/// subscriptions expect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SubscriptionId(pub String);

/// Parameters of `events.unsubscribe`; the id alone in an array is understood as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsUnsubscribeParams {
    /// The answer of `events.subscribe`.
    pub subscription: SubscriptionId,
}

/// Answer of `events.unsubscribe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsUnsubscribeResponse {
    /// Whether there was such a subscription on this connection.
    pub unsubscribed: bool,
}

/// Parameters of `events.list`, for those who would rather ask than be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsListParams {
    /// Where to begin; the oldest event in the log if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// Most events wanted, 1 to 500; 50 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// If there is none yet, wait so long for one; 0 to 60 000, 0 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Only events of these kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<EventKind>>,
    /// Only events of these conversations, and those that belong to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chats: Option<Vec<String>>,
}

/// Answer of `events.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsListResponse {
    /// The events, oldest first.
    pub items: Vec<Event>,
    /// Where to go on; moves also past events that the filter left out.
    pub cursor: Cursor,
    /// Whether the log holds more already.
    pub more: bool,
}

/// Parameters of `events.commit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsCommitParams {
    /// The consumer's name, 1 to 64 characters.
    pub consumer: String,
    /// Up to where it has dealt with the events.
    pub cursor: Cursor,
}

/// Answer of `events.commit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsCommitResponse {
    /// The consumer's name.
    pub consumer: String,
    /// Where it goes on next time.
    pub cursor: Cursor,
}

/// Parameters of the notification `event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventNotification {
    /// The subscription that it belongs to.
    pub subscription: SubscriptionId,
    /// What happened.
    pub result: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_has_four_forms() {
        let forms = [
            (After::Start, r#""start""#),
            (After::Now, r#""now""#),
            (After::Cursor(Cursor::new("e", 5)), r#""e:5""#),
            (After::Consumer("bot".to_owned()), r#"{"consumer":"bot"}"#),
        ];
        for (after, json) in forms {
            assert_eq!(serde_json::to_string(&after).expect("json"), json);
            assert_eq!(serde_json::from_str::<After>(json).expect("after"), after);
        }
        for json in [
            r#""""#,
            r#""5""#,
            "5",
            "null",
            r#"{"consumer":"a","x":1}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<After>(json).is_err(), "{json}");
        }
    }
}
