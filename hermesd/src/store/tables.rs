//! Tables, the keyspaces that hold them, and the encodings of ordered keys (`docs/storage.md`, *Tables*).

use std::fmt;

/// The most bytes a row's key may have.
///
/// The longest keys in use have 72 bytes; the database could take 64 KiB, at a price in memory.
pub const KEY_BYTES_MAX: usize = 512;

/// The most bytes a row's value may have; far above any row (a message has at most 60 KiB), below what would hurt.
pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A keyspace of the database: rows in one live and die alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Small rows that are overwritten and deleted.
    State,
    /// A few rows, rewritten with every message.
    Ratchet,
    /// Rows that are added and stay.
    Log,
    /// Rows added at one end and dropped at the other.
    Events,
}

impl Family {
    /// Every keyspace.
    pub const ALL: [Self; 4] = [Self::State, Self::Ratchet, Self::Log, Self::Events];

    /// The keyspace's name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Ratchet => "ratchet",
            Self::Log => "log",
            Self::Events => "events",
        }
    }
}

/// A table of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// What the store notes about itself.
    Meta = 0x01,
    /// The user's own keys and address generations.
    Identity = 0x02,
    /// Contacts.
    Contacts = 0x03,
    /// Chats, by [`seq_key`] of the chat's number.
    Chats = 0x04,
    /// Frames on offer to a contact.
    Outbox = 0x05,
    /// Deposits made, their receipts and timers.
    Delivery = 0x06,
    /// Own mailboxes: what was fetched, watched, revoked.
    Mailboxes = 0x07,
    /// Invites made and accepted.
    Invites = 0x08,
    /// What has been received before.
    Seen = 0x09,
    /// Named readers of the event log; written through [`super::Reader::put_consumer`].
    Consumers = 0x0a,
    /// Answers to calls with an idempotency key; written through [`super::Reader::remember`].
    Idempotency = 0x0b,
    /// The same by time of expiry.
    IdempotencyExpiry = 0x0c,
    /// Known nodes, network parameters.
    Network = 0x0d,
    /// The user's settings.
    Settings = 0x0e,
    /// Session state, under a sub-key renewed daily.
    Ratchet = 0x10,
    /// Messages, by [`message_key`].
    Messages = 0x20,
    /// Where the message with an id is.
    MessageIds = 0x21,
    /// The event log; written through [`super::Batch::event`].
    Events = 0x30,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 18] = [
        Self::Meta,
        Self::Identity,
        Self::Contacts,
        Self::Chats,
        Self::Outbox,
        Self::Delivery,
        Self::Mailboxes,
        Self::Invites,
        Self::Seen,
        Self::Consumers,
        Self::Idempotency,
        Self::IdempotencyExpiry,
        Self::Network,
        Self::Settings,
        Self::Ratchet,
        Self::Messages,
        Self::MessageIds,
        Self::Events,
    ];

    /// The first byte of the table's rows in the database.
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// The name that the table's keys are derived with; frozen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Identity => "identity",
            Self::Contacts => "contacts",
            Self::Chats => "chats",
            Self::Outbox => "outbox",
            Self::Delivery => "delivery",
            Self::Mailboxes => "mailboxes",
            Self::Invites => "invites",
            Self::Seen => "seen",
            Self::Consumers => "consumers",
            Self::Idempotency => "idempotency",
            Self::IdempotencyExpiry => "idempotency-expiry",
            Self::Network => "network",
            Self::Settings => "settings",
            Self::Ratchet => "ratchet",
            Self::Messages => "messages",
            Self::MessageIds => "message-ids",
            Self::Events => "events",
        }
    }

    /// The keyspace that holds the table.
    pub fn family(self) -> Family {
        match self {
            Self::Ratchet => Family::Ratchet,
            Self::Messages | Self::MessageIds => Family::Log,
            Self::Events => Family::Events,
            _ => Family::State,
        }
    }

    /// Version of what the rows hold.
    pub(crate) fn schema(self) -> u8 {
        1
    }

    /// True if rows are sealed under the sub-key that is renewed daily.
    pub(crate) fn under_subkey(self) -> bool {
        self == Self::Ratchet
    }

    /// The row's key in the database.
    pub(crate) fn physical(self, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + key.len());
        out.push(self.byte());
        out.extend_from_slice(key);
        out
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The key of a number, such that keys sort as numbers do.
pub fn seq_key(seq: u64) -> [u8; 8] {
    seq.to_be_bytes()
}

/// The key of the message with sequence `seq` in chat `chat`; a chat's messages stand together and in order.
pub fn message_key(chat: u64, seq: u64) -> [u8; 16] {
    (u128::from(chat) << 64 | u128::from(seq)).to_be_bytes()
}

/// The last eight bytes of a key as the number that [`seq_key`] or [`message_key`] put there.
pub fn seq_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tables_have_bytes_and_names_of_their_own() {
        let bytes: BTreeSet<_> = Table::ALL.iter().map(|table| table.byte()).collect();
        let names: BTreeSet<_> = Table::ALL.iter().map(|table| table.name()).collect();
        assert_eq!(
            (bytes.len(), names.len()),
            (Table::ALL.len(), Table::ALL.len())
        );
    }

    #[test]
    fn table_bytes_names_and_families_are_as_documented() {
        let document = include_str!("../../../docs/storage.md");
        let mut family = "";
        let mut found = BTreeSet::new();
        for line in document.lines().filter(|line| line.starts_with('|')) {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [_, keyspace, name, byte, _, _] = cells[..] else {
                continue;
            };
            if keyspace.starts_with('`') {
                family = keyspace.trim_matches('`');
            }
            let Some(table) = Table::ALL.iter().find(|table| table.name() == name) else {
                continue;
            };
            assert_eq!(byte, format!("{:02x}", table.byte()), "{name}");
            assert_eq!(family, table.family().name(), "{name}");
            found.insert(table.byte());
        }
        assert_eq!(found.len(), Table::ALL.len());
    }

    #[test]
    fn keys_sort_as_numbers_do() {
        let numbers = [0, 1, 255, 256, u64::from(u32::MAX), u64::MAX];
        assert!(numbers.map(seq_key).is_sorted());
        let mut keys = Vec::new();
        for chat in numbers {
            keys.extend(numbers.map(|seq| message_key(chat, seq)));
        }
        assert!(keys.is_sorted());
        assert_eq!(
            message_key(1, 2),
            [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]
        );
        assert_eq!(seq_of(&message_key(9, 7)), Some(7));
        assert_eq!(seq_of(&[1; 7]), None);
    }
}
