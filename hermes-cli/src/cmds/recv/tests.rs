//! Tests of `recv` with a daemon in memory.

use std::time::Duration;

use hermes_api::client::Double;
use hermes_api::error::Exit;
use hermes_api::types::{CaughtUp, EventsCommitResponse, ServerShutdown, StoreLockChanged, Time};
use hermes_api::{ApiError, ErrorCode};
use tokio::time::timeout;

use super::*;
use crate::cmds::testing::{self, MARCH, block_on, context};
use crate::output::Shown;

fn recv() -> Recv {
    Recv {
        follow: false,
        since: None,
        consumer: None,
        chat: Vec::new(),
    }
}

fn event(seq: u64, data: EventData) -> Feed {
    Feed::Event(Event {
        cursor: Cursor::new("e", seq),
        time: Time::from_unix_ms(MARCH),
        data,
    })
}

fn message_event(seq: u64) -> Feed {
    let message = testing::message(seq, &format!("text {seq}"));
    event(seq, EventData::MessageReceived(Box::new(message)))
}

fn caught_up(seq: u64) -> Feed {
    event(seq, EventData::CaughtUp(CaughtUp {}))
}

/// A daemon that notes how far consumers came.
fn daemon() -> Double {
    let double = Double::new();
    double.on::<EventsCommit>(|params| {
        Ok(EventsCommitResponse {
            consumer: params.consumer,
            cursor: params.cursor,
        })
    });
    double
}

/// The clock stands still while anything can happen, so this is over only when the command has
/// nothing left to do but to wait.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the command against a daemon that tells this once somebody listens.
fn run(recv: Recv, double: Double, feeds: Vec<fn() -> Feed>, format: Format) -> Ran {
    let (mut context, shown) = context(double.clone(), format);
    let outcome = block_on(async {
        let tell = async {
            while double.subscriptions().is_empty() {
                tokio::task::yield_now().await;
            }
            for feed in feeds {
                double.tell(feed);
            }
        };
        tokio::join!(timeout(FOREVER, recv.run(&mut context)), tell).0
    });
    Ran {
        outcome: outcome.expect("it waits for more"),
        shown,
    }
}

struct Ran {
    outcome: Result<(), Fault>,
    shown: Shown,
}

#[test]
fn it_ends_when_it_has_caught_up() {
    let feeds: Vec<fn() -> Feed> = vec![
        || Feed::Connected,
        || message_event(1),
        || caught_up(1),
        || message_event(2),
    ];
    let double = daemon();
    let ran = run(recv(), double.clone(), feeds, Format::Json);
    ran.outcome.expect("ended");
    let kinds: Vec<String> = ran
        .shown
        .stdout()
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).expect("json");
            for field in ["cursor", "time", "kind", "data"] {
                assert!(event.get(field).is_some(), "{field}");
            }
            event["kind"].as_str().expect("kind").to_owned()
        })
        .collect();
    assert_eq!(kinds, ["message.received", "caught_up"]);
    assert_eq!(double.subscriptions()[0].after, Some(After::Start));
}

#[test]
fn a_consumer_notes_what_was_printed() {
    let feeds: Vec<fn() -> Feed> = vec![|| message_event(1), || message_event(2), || caught_up(2)];
    let double = daemon();
    let command = Recv {
        consumer: Some("bot".to_owned()),
        chat: vec!["bob".to_owned()],
        ..recv()
    };
    let ran = run(command, double.clone(), feeds, Format::Json);
    ran.outcome.expect("ended");
    let asked = &double.subscriptions()[0];
    assert_eq!(asked.after, Some(After::Consumer("bot".to_owned())));
    assert_eq!(asked.chats, Some(vec!["bob".to_owned()]));
    let last = double.calls().pop().expect("noted");
    assert_eq!(
        last,
        (
            "events.commit".to_owned(),
            serde_json::json!({ "consumer": "bot", "cursor": "e:2" })
        )
    );
}

#[test]
fn a_consumer_can_be_set_to_a_place() {
    let command = Recv {
        consumer: Some("bot".to_owned()),
        since: Some(After::Now),
        ..recv()
    };
    let double = daemon();
    let feeds: Vec<fn() -> Feed> = vec![|| caught_up(7)];
    run(command, double.clone(), feeds, Format::Json)
        .outcome
        .expect("ended");
    assert_eq!(double.subscriptions()[0].after, Some(After::Now));
    assert_eq!(double.calls()[0].1["cursor"], "e:7");
}

#[test]
fn without_a_consumer_nothing_is_noted() {
    let feeds: Vec<fn() -> Feed> = vec![|| message_event(1), || caught_up(1)];
    let double = daemon();
    run(recv(), double.clone(), feeds, Format::Json)
        .outcome
        .expect("ended");
    assert!(double.calls().is_empty());
}

#[test]
fn who_follows_waits_out_an_interruption() {
    let feeds: Vec<fn() -> Feed> = vec![
        || caught_up(0),
        || Feed::Lost(ClientError::Lost),
        || Feed::Connected,
        || message_event(1),
        || Feed::Ended(ApiError::new(ErrorCode::CursorExpired, "too old").into()),
    ];
    let command = Recv {
        follow: true,
        ..recv()
    };
    let ran = run(command, daemon(), feeds, Format::Human);
    let fault = ran.outcome.expect_err("ended by the daemon");
    assert!(fault.is(ErrorCode::CursorExpired));
    assert_eq!(ran.shown.stdout(), "2026-03-02 10:41  bob: text 1\n");
    assert!(ran.shown.stderr().contains("waiting for hermesd"));
}

#[test]
fn who_does_not_follow_hears_of_a_locked_store() {
    let feeds: Vec<fn() -> Feed> =
        vec![|| Feed::Lost(ApiError::new(ErrorCode::StoreLocked, "locked").into())];
    let fault = run(recv(), daemon(), feeds, Format::Json)
        .outcome
        .expect_err("locked");
    assert_eq!(fault.exit(), Exit::Locked);
}

#[test]
fn people_read_sentences_and_no_commands() {
    let feeds: Vec<fn() -> Feed> = vec![
        || {
            let hostile = "\x1b]52;c;aGk=\x07\u{202e}two\nlines";
            let message = testing::message(1, hostile);
            event(1, EventData::MessageReceived(Box::new(message)))
        },
        || event(2, EventData::StoreLock(StoreLockChanged { locked: true })),
        || event(2, EventData::ServerShutdown(ServerShutdown {})),
        || caught_up(2),
    ];
    let ran = run(recv(), daemon(), feeds, Format::Human);
    ran.outcome.expect("ended");
    assert_eq!(
        ran.shown.stdout(),
        "2026-03-02 10:41  bob: ]52;c;aGk=two\n        lines\n\
         2026-03-02 10:41  * the store is locked\n"
    );
}

#[test]
fn an_event_of_a_newer_daemon_is_passed_on() {
    let feeds: Vec<fn() -> Feed> = vec![
        || {
            let data = serde_json::json!({ "x": "\u{202e}" });
            let kind = "group.formed".to_owned();
            event(1, EventData::Other { kind, data })
        },
        || caught_up(1),
    ];
    let ran = run(recv(), daemon(), feeds, Format::Json);
    ran.outcome.expect("ended");
    assert!(
        ran.shown
            .stdout()
            .contains(r#""kind":"group.formed","data":{"x":"\u202e"}"#)
    );
}
