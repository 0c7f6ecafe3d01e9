//! What events say: one type for each kind, in the words of the socket.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::super::{ContactState, Kept, LinkState, Message, MessageState, Time};
use super::Cursor;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where to go on after this event.
    pub cursor: Cursor,
    /// When it happened, by the daemon's clock.
    pub time: Time,
    /// What happened; its kind stands in JSON as `kind`, its fields as `data`.
    pub data: EventData,
}

impl Event {
    /// The kind of the event.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.data.kind()
    }
}

/// Declares the kinds of events once: the enum of kinds, the enum of payloads, and how both read
/// and write themselves.
macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident($payload:ty) = $name:literal,)+) => {
        /// The kind of an event.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $($(#[$doc])* $variant,)+
            /// A kind that this version does not know; to be ignored.
            Other(String),
        }

        impl EventKind {
            /// Every kind that this version knows.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name as it stands in JSON.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other(name) => name,
                }
            }

            /// The kind with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        /// What an event says, by kind.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum EventData {
            $($(#[$doc])* $variant($payload),)+
            /// A kind that this version does not know; to be ignored.
            Other {
                /// Its name.
                kind: String,
                /// Its fields as they came.
                data: serde_json::Value,
            },
        }

        impl EventData {
            /// The kind of event that this is the data of.
            #[must_use]
            pub fn kind(&self) -> EventKind {
                match self {
                    $(Self::$variant(_) => EventKind::$variant,)+
                    Self::Other { kind, .. } => EventKind::Other(kind.clone()),
                }
            }

            /// Reads the data of an event of this kind.
            ///
            /// # Errors
            ///
            /// If the kind is known and the fields are not what it needs.
            pub fn from_json(kind: &str, data: &str) -> Result<Self, serde_json::Error> {
                Ok(match kind {
                    $($name => Self::$variant(serde_json::from_str(data)?),)+
                    other => Self::Other { kind: other.to_owned(), data: serde_json::from_str(data)? },
                })
            }
        }

        impl Serialize for Event {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut event = serializer.serialize_struct("Event", 4)?;
                event.serialize_field("cursor", &self.cursor)?;
                event.serialize_field("time", &self.time)?;
                match &self.data {
                    $(EventData::$variant(payload) => {
                        event.serialize_field("kind", $name)?;
                        event.serialize_field("data", payload)?;
                    })+
                    EventData::Other { kind, data } => {
                        event.serialize_field("kind", kind)?;
                        event.serialize_field("data", data)?;
                    }
                }
                event.end()
            }
        }

        impl JsonSchema for Event {
            fn schema_name() -> Cow<'static, str> {
                "Event".into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let kinds = vec![$({
                    let data = generator.subschema_for::<$payload>();
                    json_schema!({
                        "type": "object",
                        "properties": { "kind": { "const": $name }, "data": data },
                    })
                },)+];
                json_schema!({
                    "type": "object",
                    "description": "Something that happened. Clients ignore kinds that they do not know.",
                    "properties": {
                        "cursor": generator.subschema_for::<Cursor>(),
                        "time": generator.subschema_for::<Time>(),
                        "kind": { "type": "string" },
                        "data": { "type": "object" },
                    },
                    "required": ["cursor", "time", "kind", "data"],
                    "anyOf": kinds,
                })
            }
        }
    };
}

event_kinds! {
    /// A message came in.
    MessageReceived(Box<Message>) = "message.received",
    /// A message was queued for sending, here or by another client of this daemon.
    MessageSent(Box<Message>) = "message.sent",
    /// A message of ours, or the reason why it waits, changed.
    MessageState(MessageStateChanged) = "message.state",
    /// An acquaintance came further, or ended.
    ContactState(ContactStateChanged) = "contact.state",
    /// A contact is called something else.
    ContactRenamed(ContactRenamed) = "contact.renamed",
    /// Something about a contact that a person should know of.
    ContactWarning(ContactWarning) = "contact.warning",
    /// Messages were marked read, by whichever client.
    ChatRead(ChatRead) = "chat.read",
    /// Somebody used an invite of ours.
    InviteUsed(InviteUsed) = "invite.used",
    /// The store was locked or unlocked.
    StoreLock(StoreLockChanged) = "store.lock",
    /// A direct connection to a contact came or went; not in the log, only to those who listen.
    LinkState(LinkStateChanged) = "link.state",
    /// The daemon is about to end; not in the log.
    ServerShutdown(ServerShutdown) = "server.shutdown",
    /// All older events have been sent; what follows is new. Not in the log.
    CaughtUp(CaughtUp) = "caught_up",
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_name(&Cow::<'de, str>::deserialize(
            deserializer,
        )?))
    }
}

impl JsonSchema for EventKind {
    fn schema_name() -> Cow<'static, str> {
        "EventKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Self::ALL.iter().map(Self::as_str).collect();
        json_schema!({
            "type": "string",
            "description": "Names that this version does not know match no event",
            "examples": names,
        })
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Form {
            cursor: Cursor,
            time: Time,
            kind: String,
            data: Box<RawValue>,
        }
        let form = Form::deserialize(deserializer)?;
        let data = EventData::from_json(&form.kind, form.data.get()).map_err(D::Error::custom)?;
        Ok(Self {
            cursor: form.cursor,
            time: form.time,
            data,
        })
    }
}

/// Data of `message.state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageStateChanged {
    /// The message.
    pub message_id: String,
    /// Its conversation.
    pub chat: String,
    /// Its place there.
    pub seq: u64,
    /// Where it stands now.
    pub state: MessageState,
    /// The proof that keepers hold it.
    pub kept: Option<Kept>,
    /// Why it still waits, or why it failed.
    pub why: Option<String>,
}

/// Data of `contact.state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContactStateChanged {
    /// The contact.
    pub contact_id: String,
    /// What it is called.
    pub name: String,
    /// How far the acquaintance has come.
    pub state: ContactState,
    /// Whether its safety number was compared.
    pub verified: bool,
}

/// Data of `contact.renamed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContactRenamed {
    /// The contact.
    pub contact_id: String,
    /// What it is called now.
    pub name: String,
    /// What it was called.
    pub old_name: String,
}

/// Data of `contact.warning`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContactWarning {
    /// The contact.
    pub contact_id: String,
    /// What it is called.
    pub name: String,
    /// What happened.
    pub warning: Warning,
    /// The same in words for a person.
    pub text: String,
}

/// What a person should know about a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// The contact confirms messages that this store does not know: the store is older than what was sent from it, or somebody
    /// sends from a copy of it.
    RolledBack,
    /// The session was replaced although the old one is alive: somebody may hold a copy of one side's keys.
    RecoveryWhileAlive,
    /// The session was repaired so often that no more is tried today.
    RecoveryLimit,
    /// The invite was used by somebody else before, or withdrawn.
    InviteUsed,
    /// The inviter did not answer while the invite stood.
    InviteExpired,
    /// Something that this version has no name for.
    #[serde(other)]
    Other,
}

impl Warning {
    /// The name as it stands in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled_back",
            Self::RecoveryWhileAlive => "recovery_while_alive",
            Self::RecoveryLimit => "recovery_limit",
            Self::InviteUsed => "invite_used",
            Self::InviteExpired => "invite_expired",
            Self::Other => "other",
        }
    }
}

/// Data of `chat.read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatRead {
    /// The conversation.
    pub chat: String,
    /// Up to which `seq` it is read.
    pub read_seq: u64,
    /// Messages still not read.
    pub unread: u64,
}

/// Data of `invite.used`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteUsed {
    /// The invite.
    pub invite_id: String,
    /// The contact that came of it; null if it was used a second time, which `warning` then says.
    pub contact_id: Option<String>,
    /// What the invitee calls himself.
    pub name: Option<String>,
    /// What is odd about it.
    pub warning: Option<String>,
}

/// Data of `store.lock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreLockChanged {
    /// Whether the store is locked now.
    pub locked: bool,
}

/// Data of `link.state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkStateChanged {
    /// The contact.
    pub contact_id: String,
    /// Whether it is reachable now.
    pub link: LinkState,
}

/// Data of `server.shutdown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerShutdown {}

/// Data of `caught_up`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaughtUp {}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: EventData) -> Event {
        Event {
            cursor: Cursor::new("e", 3),
            time: Time::from_unix_ms(0),
            data,
        }
    }

    #[test]
    fn an_event_is_flat_in_json() {
        let json = serde_json::to_string(&event(EventData::StoreLock(StoreLockChanged {
            locked: true,
        })))
        .expect("json");
        assert_eq!(
            json,
            r#"{"cursor":"e:3","time":"1970-01-01T00:00:00.000Z","kind":"store.lock","data":{"locked":true}}"#
        );
    }

    #[test]
    fn an_event_survives_json_and_values() {
        let shown = event(EventData::ChatRead(ChatRead {
            chat: "c".to_owned(),
            read_seq: 4,
            unread: 1,
        }));
        let value = serde_json::to_value(&shown).expect("value");
        assert_eq!(serde_json::from_value::<Event>(value).expect("back"), shown);
    }

    #[test]
    fn an_unknown_kind_is_kept_as_it_came() {
        let json = r#"{"cursor":"e:1","time":"1970-01-01T00:00:00.000Z","kind":"group.formed","data":{"a":[1]}}"#;
        let event: Event = serde_json::from_str(json).expect("tolerated");
        assert_eq!(event.kind(), EventKind::Other("group.formed".to_owned()));
        assert_eq!(serde_json::to_string(&event).expect("json"), json);
    }

    #[test]
    fn a_known_kind_needs_its_fields() {
        assert!(EventData::from_json("store.lock", "{}").is_err());
        assert!(EventData::from_json("caught_up", r#"{"more":1}"#).is_ok());
    }

    #[test]
    fn warnings_have_their_names_and_later_ones_are_tolerated() {
        for warning in [
            Warning::RolledBack,
            Warning::RecoveryWhileAlive,
            Warning::RecoveryLimit,
            Warning::InviteUsed,
            Warning::InviteExpired,
            Warning::Other,
        ] {
            let json = serde_json::to_value(warning).expect("json");
            assert_eq!(json, warning.as_str());
        }
        let later: Warning = serde_json::from_str(r#""eclipse""#).expect("tolerated");
        assert_eq!(later, Warning::Other);
    }

    #[test]
    fn names_and_kinds_agree() {
        for kind in EventKind::ALL {
            assert_eq!(&EventKind::from_name(kind.as_str()), kind);
        }
    }
}
