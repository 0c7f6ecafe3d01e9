//! `events.subscribe`, `events.unsubscribe`, `events.list`, `events.commit`, and the events.
//!
//! Every durable change is appended to one log, in the same commit as the change itself. A client
//! reads the log from a cursor and misses nothing, however long it was away. Delivery is at least
//! once: `message_id` tells repeated messages apart.

mod data;
mod params;

pub use data::*;
pub use params::*;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A position in the event log: opaque to clients, to be given back as it came.
///
/// The daemon makes it of the store's epoch and the number of the last event before the position.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Cursor(String);

/// A text that no daemon of ours made as a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: it must come from an event, `hello` or `events.list`")]
pub struct CursorError;

impl Cursor {
    /// The cursor after event number `seq` in the store with this epoch.
    ///
    /// The epoch should be short and must not hold a colon.
    #[must_use]
    pub fn new(store_epoch: &str, seq: u64) -> Self {
        Self(format!("{store_epoch}:{seq}"))
    }

    /// The cursor as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The store's epoch and the event's number, for the daemon.
    ///
    /// # Errors
    ///
    /// If the text is not one that [`Cursor::new`] makes.
    pub fn parts(&self) -> Result<(&str, u64), CursorError> {
        let (store_epoch, seq) = self.0.split_once(':').ok_or(CursorError)?;
        let canonical =
            seq == "0" || (!seq.starts_with('0') && seq.bytes().all(|b| b.is_ascii_digit()));
        if store_epoch.is_empty() || !canonical {
            return Err(CursorError);
        }
        Ok((store_epoch, seq.parse().map_err(|_| CursorError)?))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let cursor = Self(text.to_owned());
        cursor.parts()?;
        Ok(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_tells_its_parts() {
        let cursor = Cursor::new("k3f", 17);
        assert_eq!(cursor.as_str(), "k3f:17");
        assert_eq!(cursor.parts(), Ok(("k3f", 17)));
        assert_eq!(
            "k3f:0".parse::<Cursor>().expect("a cursor").parts(),
            Ok(("k3f", 0))
        );
    }

    #[test]
    fn what_is_not_a_cursor_is_refused() {
        for text in [
            "",
            "17",
            ":17",
            "k3f:",
            "k3f:+1",
            "k3f:017",
            "k3f:1:2",
            "k3f:99999999999999999999",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
