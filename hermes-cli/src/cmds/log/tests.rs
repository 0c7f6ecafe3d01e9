//! Tests of `log` with a daemon in memory.

use hermes_api::ApiError;
use hermes_api::client::Double;
use hermes_api::types::{Direction, MessageState};

use super::*;
use crate::cmds::testing::{self, block_on, context};
use crate::output::Format;

/// A daemon with so many messages, which answers no more than `fit` at a time.
fn daemon(count: u64, fit: u32) -> Double {
    let double = Double::new();
    double.on::<ChatHistory>(move |params| {
        let limit = params.limit.unwrap_or(50);
        if limit > fit {
            return Err(ApiError::new(ErrorCode::ResponseTooBig, "too big"));
        }
        let after = params.after.unwrap_or(0);
        let before = params.before.unwrap_or(u64::MAX);
        let fitting: Vec<u64> = (1..=count)
            .filter(|seq| *seq > after && *seq < before)
            .collect();
        let most = fitting.len().min(limit as usize);
        let seqs = if params.after.is_some() {
            &fitting[..most]
        } else {
            &fitting[fitting.len() - most..]
        };
        Ok(ChatHistoryResponse {
            chat: "c-bob".to_owned(),
            items: seqs
                .iter()
                .map(|seq| testing::message(*seq, "hi"))
                .collect(),
            more: fitting.len() > most,
        })
    });
    double
}

/// The places of the messages that are printed, and the number of calls that it took.
fn printed(double: Double, number: Option<u64>) -> (Vec<u64>, usize) {
    let (mut context, shown) = context(double, Format::Json);
    let log = Log {
        chat: "bob".to_owned(),
        number,
    };
    block_on(log.run(&mut context)).expect("printed");
    let seq = |line: &str| {
        serde_json::from_str::<Message>(line)
            .expect("a message")
            .seq
    };
    (
        shown.stdout().lines().map(seq).collect(),
        context.door.calls().len(),
    )
}

#[test]
fn everything_is_printed_oldest_first() {
    let (seqs, calls) = printed(daemon(1_234, PAGE_LIMIT_MAX), None);
    assert_eq!(seqs, (1..=1_234).collect::<Vec<u64>>());
    assert_eq!(calls, 3);
    assert!(printed(daemon(0, PAGE_LIMIT_MAX), None).0.is_empty());
}

#[test]
fn the_newest_are_printed_oldest_first_too() {
    let newest = |count, number| printed(daemon(count, PAGE_LIMIT_MAX), Some(number)).0;
    assert_eq!(newest(10, 3), [8, 9, 10]);
    assert_eq!(newest(2, 3), [1, 2]);
    assert!(newest(10, 0).is_empty());
    assert_eq!(newest(1_200, 700), (501..=1_200).collect::<Vec<u64>>());
}

#[test]
fn long_messages_are_read_in_smaller_pages() {
    let all: Vec<u64> = (1..=100).collect();
    assert_eq!(printed(daemon(100, 40), None).0, all);
    assert_eq!(printed(daemon(100, 1), Some(100)).0, all);
}

#[test]
fn people_see_who_said_what_and_how_far_it_came() {
    let double = Double::new();
    double.on::<ChatHistory>(|_| {
        Ok(ChatHistoryResponse {
            chat: "c-bob".to_owned(),
            items: vec![
                testing::message(1, "hi\nthere\x1b[2J\u{202e}"),
                Message {
                    sender: "me".to_owned(),
                    direction: Direction::Out,
                    state: MessageState::Read,
                    received_at: None,
                    ..testing::message(2, "hello")
                },
                Message {
                    gap_before: 2,
                    sender: "b\x07ob".to_owned(),
                    ..testing::message(5, "again")
                },
            ],
            more: false,
        })
    });
    let (mut context, shown) = context(double, Format::Human);
    let log = Log {
        chat: "bob".to_owned(),
        number: None,
    };
    block_on(log.run(&mut context)).expect("printed");
    assert_eq!(
        shown.stdout(),
        "2026-03-02 10:41  bob: hi\n        there[2J\n\
         2026-03-02 10:41  me (read): hello\n        \
         (2 messages of bob missing here)\n\
         2026-03-02 10:41  bob: again\n"
    );
}

#[test]
fn a_line_of_json_has_the_fields_that_scripts_rely_on() {
    let (mut context, shown) = context(daemon(1, 50), Format::Json);
    let log = Log {
        chat: "bob".to_owned(),
        number: Some(1),
    };
    block_on(log.run(&mut context)).expect("printed");
    let line: serde_json::Value = serde_json::from_str(&shown.stdout()).expect("json");
    for field in [
        "message_id",
        "chat",
        "sender",
        "direction",
        "body",
        "state",
        "sent_at",
        "received_at",
        "kept",
        "why",
    ] {
        assert!(line.get(field).is_some(), "{field}");
    }
    assert_eq!(line["direction"], "in");
}
