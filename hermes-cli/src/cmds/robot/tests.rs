//! Tests of `robot` with a daemon in memory that can be killed at any point.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hermes_api::ApiError;
use hermes_api::client::Double;
use hermes_api::types::{ChatMarkReadResponse, Event, EventsCommitResponse, MessageState, Time};
use tokio::time::timeout;

use super::*;
use crate::cmds::testing::{self, MARCH, block_on, context};
use crate::output::{Format, Shown};

fn robot(once: Option<u64>) -> Robot {
    Robot {
        prefix: "you said: ".to_owned(),
        once,
        consumer: "robot".to_owned(),
    }
}

/// What lasts when robot and daemon are killed.
#[derive(Default)]
struct Disk {
    /// Bodies of answers, by key.
    sent: BTreeMap<String, String>,
    /// What the consumer has committed.
    committed: u64,
    read: u64,
    /// Calls until the daemon goes away for a while.
    calls_left: Option<u32>,
}

impl Disk {
    fn call(&mut self) -> Result<(), ApiError> {
        match &mut self.calls_left {
            Some(0) => Err(ApiError::new(ErrorCode::Internal, "killed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn daemon(disk: &Arc<Mutex<Disk>>) -> Double {
    let double = Double::new();
    let shared = Arc::clone(disk);
    double.on::<MessageSend>(move |params| {
        let mut disk = shared.lock().expect("lock");
        disk.call()?;
        let key = params.idempotency_key.expect("a key");
        let known = disk.sent.get(&key);
        if known.is_some_and(|body| *body != params.body) {
            return Err(ApiError::new(ErrorCode::IdempotencyConflict, "other body"));
        }
        let duplicate = known.is_some();
        disk.sent.insert(key.clone(), params.body);
        Ok(MessageSendResponse {
            message_id: format!("a-{key}"),
            chat: params.to,
            state: MessageState::Queued,
            duplicate,
        })
    });
    let shared = Arc::clone(disk);
    double.on::<ChatMarkRead>(move |params| {
        let mut disk = shared.lock().expect("lock");
        disk.call()?;
        disk.read = params.up_to.expect("a place");
        Ok(ChatMarkReadResponse {
            chat: params.chat,
            read_seq: disk.read,
            unread: 0,
        })
    });
    let shared = Arc::clone(disk);
    double.on::<EventsCommit>(move |params| {
        let mut disk = shared.lock().expect("lock");
        disk.call()?;
        disk.committed = params.cursor.parts().expect("a cursor").1;
        Ok(EventsCommitResponse {
            consumer: params.consumer,
            cursor: params.cursor,
        })
    });
    double
}

fn received(message: Message) -> Feed {
    Feed::Event(Event {
        cursor: Cursor::new("e", message.seq),
        time: Time::from_unix_ms(MARCH),
        data: EventData::MessageReceived(Box::new(message)),
    })
}

/// Longer than the robot waits for anything. The clock stands still while anything can happen, so
/// this is over only when the robot has nothing left to do.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the robot against a daemon that tells of these messages, then of nothing more. Without an
/// outcome the robot went on listening.
fn run(robot: Robot, double: &Double, messages: &[Message]) -> (Option<Result<(), Fault>>, Shown) {
    let (mut context, shown) = context(double.clone(), Format::Json);
    let outcome = block_on(async {
        let tell = async {
            while double.subscriptions().is_empty() {
                tokio::task::yield_now().await;
            }
            for message in messages {
                double.tell(|| received(message.clone()));
            }
        };
        tokio::join!(timeout(FOREVER, robot.run(&mut context)), tell).0
    });
    (outcome.ok(), shown)
}

fn messages(count: u64) -> Vec<Message> {
    (1..=count)
        .map(|seq| testing::message(seq, &format!("text {seq}")))
        .collect()
}

#[test]
fn every_message_is_answered_and_noted() {
    let disk = Arc::default();
    let double = daemon(&disk);
    let (outcome, shown) = run(robot(Some(3)), &double, &messages(5));
    outcome.expect("ended").expect("after three");
    let disk = disk.lock().expect("lock");
    let answers: Vec<(&str, &str)> = disk
        .sent
        .iter()
        .map(|(key, body)| (key.as_str(), body.as_str()))
        .collect();
    assert_eq!(
        answers,
        [
            ("robot-m1", "you said: text 1"),
            ("robot-m2", "you said: text 2"),
            ("robot-m3", "you said: text 3"),
        ]
    );
    assert_eq!((disk.committed, disk.read), (3, 3));
    let asked = &double.subscriptions()[0];
    assert_eq!(asked.after, Some(After::Consumer("robot".to_owned())));
    assert_eq!(asked.kinds, Some(vec![EventKind::MessageReceived]));
    assert_eq!(
        shown.stdout().lines().next(),
        Some(
            r#"{"answered":"m1","message_id":"a-robot-m1","chat":"c-bob","to":"bob","duplicate":false}"#
        )
    );
}

#[test]
fn killed_after_any_call_it_answers_everything_once() {
    let messages = messages(4);
    for calls in 0..12 {
        let disk = Arc::new(Mutex::new(Disk {
            calls_left: Some(calls),
            ..Disk::default()
        }));
        let (outcome, _) = run(robot(None), &daemon(&disk), &messages);
        assert!(
            outcome.is_none_or(|outcome| outcome.is_err()),
            "killed, or still listening"
        );
        let seen = {
            let mut disk = disk.lock().expect("lock");
            disk.calls_left = None;
            disk.committed as usize
        };
        // The daemon goes on after what was committed.
        let (outcome, _) = run(robot(None), &daemon(&disk), &messages[seen..]);
        assert!(outcome.is_none(), "still listening");
        let disk = disk.lock().expect("lock");
        assert_eq!(disk.sent.len(), 4, "after {calls} calls");
        assert_eq!(disk.committed, 4, "after {calls} calls");
    }
}

#[test]
fn an_answer_from_before_with_another_prefix_is_enough() {
    let disk: Arc<Mutex<Disk>> = Arc::default();
    let before = ("robot-m1".to_owned(), "heard: text 1".to_owned());
    disk.lock().expect("lock").sent.extend([before]);
    let (outcome, _) = run(robot(Some(1)), &daemon(&disk), &messages(2));
    outcome.expect("ended").expect("after the second");
    let disk = disk.lock().expect("lock");
    assert_eq!(disk.sent["robot-m1"], "heard: text 1");
    assert_eq!(disk.sent["robot-m2"], "you said: text 2");
    assert_eq!(disk.committed, 2);
}

#[test]
fn two_robots_do_not_talk_forever() {
    let disk: Arc<Mutex<Disk>> = Arc::default();
    let messages = [
        testing::message(1, "you said: hi"),
        testing::message(2, "hi"),
    ];
    let (outcome, _) = run(robot(Some(1)), &daemon(&disk), &messages);
    outcome.expect("ended").expect("after one");
    let disk = disk.lock().expect("lock");
    assert_eq!(disk.sent.keys().collect::<Vec<_>>(), ["robot-m2"]);
    assert_eq!(disk.committed, 2);
}

#[test]
fn who_cannot_be_answered_is_passed_over() {
    let disk = Arc::default();
    let double = daemon(&disk);
    double.on::<MessageSend>(|_| Err(ApiError::new(ErrorCode::Blocked, "bob is blocked")));
    let (outcome, shown) = run(robot(None), &double, &messages(1));
    assert!(outcome.is_none(), "still listening");
    assert_eq!(disk.lock().expect("lock").committed, 1);
    assert!(shown.stderr().contains("bob is blocked"));
}

#[test]
fn it_waits_for_a_daemon_that_is_busy_or_locked() {
    let disk = Arc::default();
    let double = daemon(&disk);
    let mut refusals = vec![
        ApiError::new(ErrorCode::StoreLocked, "locked"),
        ApiError::new(ErrorCode::RateLimited, "slowly").retry_after_ms(5_000),
        ApiError::new(ErrorCode::ShuttingDown, "ending"),
    ];
    double.on::<MessageSend>(move |params| match refusals.pop() {
        Some(refusal) => Err(refusal),
        None => Ok(MessageSendResponse {
            message_id: "a".to_owned(),
            chat: params.to,
            state: MessageState::Queued,
            duplicate: false,
        }),
    });
    let (outcome, _) = run(robot(Some(1)), &double, &messages(1));
    outcome.expect("ended").expect("answered in the end");
    let tries = double
        .calls()
        .iter()
        .filter(|(method, _)| method == "message.send")
        .count();
    assert_eq!(tries, 4);
}

#[test]
fn the_longest_message_gets_an_answer_that_fits() {
    let robot = robot(None);
    let answer = robot.answer_to(&"ü".repeat(BODY_BYTES_MAX / 2));
    assert!(answer.len() <= BODY_BYTES_MAX && answer.len() > BODY_BYTES_MAX - 2);
    assert!(answer.starts_with("you said: ü"));
    assert_eq!(robot.answer_to("hi"), "you said: hi");
}

#[test]
fn keys_fit() {
    assert_eq!(key_of("m1"), "robot-m1");
    assert_eq!(
        key_of(&"x".repeat(100)).chars().count(),
        IDEMPOTENCY_KEY_CHARS_MAX
    );
}
