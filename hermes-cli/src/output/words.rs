//! States, times and sizes in words.

use hermes_api::types::{Kept, MessageState, Time};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::Format;

/// The words of one form of output: local time for people, RFC 3339 in UTC for programs.
pub(crate) struct Words<'a> {
    format: Format,
    zone: &'a TimeZone,
}

impl<'a> Words<'a> {
    pub(super) fn new(format: Format, zone: &'a TimeZone) -> Self {
        Self { format, zone }
    }

    /// A point in time, to the minute for people.
    pub(crate) fn when(&self, time: Time) -> String {
        match self.format {
            Format::Human => self.local(time, "%Y-%m-%d %H:%M"),
            Format::Plain | Format::Json => time.to_string(),
        }
    }

    /// A point in time, if there is one; else what stands for none.
    pub(crate) fn when_or(&self, time: Option<Time>, none: &str) -> String {
        time.map_or_else(|| none.to_owned(), |time| self.when(time))
    }

    /// Where a message stands, with the proof that it is kept and the reason why it waits.
    pub(crate) fn state(
        &self,
        state: MessageState,
        kept: Option<&Kept>,
        why: Option<&str>,
    ) -> String {
        let because = |word: &str| match why {
            Some(why) => format!("{word}: {why}"),
            None => word.to_owned(),
        };
        match (state, kept) {
            (MessageState::Kept, Some(kept)) => {
                let until = self.local(kept.until, "%-d %b");
                let receipts = kept.receipts;
                format!("kept by {receipts} of {} until {until}", kept.of)
            }
            (MessageState::Queued | MessageState::Failed, _) => because(state.as_str()),
            (MessageState::Expired, _) => because("expired, may have been seen"),
            (MessageState::Kept | MessageState::Delivered | MessageState::Read, _) => {
                state.as_str().to_owned()
            }
        }
    }

    fn local(&self, time: Time, format: &str) -> String {
        match Timestamp::from_millisecond(time.unix_ms()) {
            Ok(timestamp) => timestamp
                .to_zoned(self.zone.clone())
                .strftime(format)
                .to_string(),
            Err(_) => time.to_string(),
        }
    }
}

/// The word of an enum of the interface, as it stands in JSON.
pub(crate) fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => other.map(|value| value.to_string()).unwrap_or_default(),
    }
}

/// A number and what it counts, which takes an `s` for more than one.
pub(crate) fn count(number: u64, thing: &str) -> String {
    if number == 1 {
        format!("1 {thing}")
    } else {
        format!("{number} {thing}s")
    }
}

/// A size.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of a unit, so that no floating point is needed.
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A short span of time.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-02 10:41:07 in UTC.
    const MARCH: i64 = 1_772_448_067_250;

    #[test]
    fn people_read_local_time_and_programs_utc() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let time = Time::from_unix_ms(MARCH);
        let human = Words::new(Format::Human, &zone);
        assert_eq!(human.when(time), "2026-03-02 12:41");
        assert_eq!(human.when_or(None, "never"), "never");
        let plain = Words::new(Format::Plain, &zone);
        assert_eq!(plain.when(time), "2026-03-02T10:41:07.250Z");
    }

    #[test]
    fn states_are_words() {
        let zone = TimeZone::UTC;
        let words = Words::new(Format::Human, &zone);
        let kept = Kept {
            receipts: 5,
            of: 5,
            until: Time::from_unix_ms(MARCH),
        };
        let state = |state, kept, why| words.state(state, kept, why);
        assert_eq!(state(MessageState::Queued, None, None), "queued");
        assert_eq!(
            state(MessageState::Queued, None, Some("held by 2 of 3 needed")),
            "queued: held by 2 of 3 needed"
        );
        assert_eq!(
            state(MessageState::Kept, Some(&kept), None),
            "kept by 5 of 5 until 2 Mar"
        );
        assert_eq!(
            state(MessageState::Delivered, Some(&kept), None),
            "delivered"
        );
        assert_eq!(
            state(MessageState::Failed, None, Some("refused")),
            "failed: refused"
        );
        assert_eq!(
            state(MessageState::Expired, None, None),
            "expired, may have been seen"
        );
    }

    #[test]
    fn sizes_and_spans_have_units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(1_048_575), "1023.9 KiB");
        assert_eq!(bytes(1_048_576), "1.0 MiB");
        assert_eq!(bytes(u64::MAX / 16), "1048575.9 TiB");
        assert_eq!(micros(70), "70 us");
        assert_eq!(micros(1_234), "1.2 ms");
        assert_eq!(micros(2_500_000), "2.5 s");
        assert_eq!(count(1, "message"), "1 message");
        assert_eq!(count(0, "message"), "0 messages");
    }

    #[test]
    fn enums_are_shown_as_in_json() {
        assert_eq!(word(MessageState::Delivered), "delivered");
    }
}
