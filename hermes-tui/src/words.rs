//! Times and states in words.

use hermes_api::text;
use hermes_api::types::{Kept, Message, MessageState, Time};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A point in time by the clock on the wall.
pub(crate) fn local(time: Time, zone: &TimeZone, format: &str) -> String {
    match Timestamp::from_millisecond(time.unix_ms()) {
        Ok(timestamp) => timestamp
            .to_zoned(zone.clone())
            .strftime(format)
            .to_string(),
        Err(_) => time.to_string(),
    }
}

/// When the message came here: its sender's clock may be wrong, ours orders the conversation.
pub(crate) fn when(message: &Message) -> Time {
    message.received_at.unwrap_or(message.sent_at)
}

/// Where a message stands, with the proof that it is kept and the reason why it waits.
pub(crate) fn state(
    state: MessageState,
    kept: Option<&Kept>,
    why: Option<&str>,
    zone: &TimeZone,
) -> String {
    let because = |word: &str| match why {
        Some(why) => format!("{word}: {}", text::line(why)),
        None => word.to_owned(),
    };
    match (state, kept) {
        (MessageState::Kept, Some(kept)) => {
            let until = local(kept.until, zone, "%-d %b");
            format!("kept by {} of {} until {until}", kept.receipts, kept.of)
        }
        (MessageState::Queued | MessageState::Failed | MessageState::Expired, _) => {
            because(state.as_str())
        }
        (MessageState::Kept | MessageState::Delivered | MessageState::Read, _) => {
            state.as_str().to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_words() {
        let kept = Kept {
            receipts: 5,
            of: 5,
            until: Time::from_unix_ms(1_796_342_400_000),
        };
        let say = |s, kept, why| state(s, kept, why, &TimeZone::UTC);
        assert_eq!(
            say(MessageState::Kept, Some(&kept), None),
            "kept by 5 of 5 until 4 Dec"
        );
        assert_eq!(
            say(MessageState::Failed, None, Some("too \u{202e}old")),
            "failed: too old"
        );
        assert_eq!(say(MessageState::Queued, None, None), "queued");
        assert_eq!(say(MessageState::Delivered, Some(&kept), None), "delivered");
    }
}
