//! Points in time as the interface writes them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time with a resolution of one millisecond, in JSON an RFC 3339 string in UTC such as
/// `2026-03-02T10:41:07.250Z`.
///
/// Ordered by time. Values outside the years -9999 to 9999 are clamped to that range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Timestamp);

/// Why a text is not a [`Time`].
#[derive(Debug, thiserror::Error)]
#[error("not an RFC 3339 time: {0}")]
pub struct TimeError(#[from] jiff::Error);

impl Time {
    /// The time so many milliseconds after the start of 1970 in UTC.
    #[must_use]
    pub fn from_unix_ms(unix_ms: i64) -> Self {
        let clamped = if unix_ms < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        Self(Timestamp::from_millisecond(unix_ms).unwrap_or(clamped))
    }

    /// Milliseconds since the start of 1970 in UTC, negative before it.
    #[must_use]
    pub fn unix_ms(self) -> i64 {
        self.0.as_millisecond()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let timestamp: Timestamp = text.parse()?;
        Ok(Self::from_unix_ms(timestamp.as_millisecond()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339 in UTC with milliseconds, for example 2026-03-02T10:41:07.250Z",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_utc_with_milliseconds() {
        assert_eq!(
            Time::from_unix_ms(1_772_448_067_250).to_string(),
            "2026-03-02T10:41:07.250Z"
        );
        assert_eq!(
            Time::from_unix_ms(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn reads_other_offsets_and_drops_what_is_below_a_millisecond() {
        let time: Time = "2026-03-02T11:41:07.2509+01:00".parse().expect("a time");
        assert_eq!(time.unix_ms(), 1_772_448_067_250);
    }

    #[test]
    fn clamps_what_no_calendar_has() {
        assert!(
            Time::from_unix_ms(i64::MAX)
                .to_string()
                .starts_with("9999-")
        );
        assert!(
            Time::from_unix_ms(i64::MIN)
                .to_string()
                .starts_with("-009999-")
        );
    }

    #[test]
    fn survives_json_also_with_escapes() {
        let time = Time::from_unix_ms(1_772_448_067_250);
        let json = serde_json::to_string(&time).expect("json");
        assert_eq!(json, "\"2026-03-02T10:41:07.250Z\"");
        assert_eq!(serde_json::from_str::<Time>(&json).expect("time"), time);
        let escaped = "\"2026-03-02T10:41:07.250\\u005a\"";
        assert_eq!(serde_json::from_str::<Time>(escaped).expect("time"), time);
        assert!(serde_json::from_str::<Time>("\"yesterday\"").is_err());
    }
}
