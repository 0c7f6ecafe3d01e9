//! Tests of `send` with a daemon in memory.

use std::sync::{Arc, Mutex};

use hermes_api::ApiError;
use hermes_api::client::Double;
use hermes_api::error::Exit;
use hermes_api::types::{Direction, Kept, Time};
use proptest::prelude::*;

use super::*;
use crate::cmds::testing::{self, MARCH, block_on, context, context_with};
use crate::input::tests::Scripted;

fn send(text: &str) -> Send {
    Send {
        to: "bob".to_owned(),
        text: text.to_owned(),
        wait: Wait::Queued,
        timeout: Duration::from_secs(30),
        key: None,
        expires: None,
    }
}

fn answer(state: MessageState) -> MessageSendResponse {
    MessageSendResponse {
        message_id: "m1".to_owned(),
        chat: "c-bob".to_owned(),
        state,
        duplicate: false,
    }
}

/// A daemon whose messages come this far.
fn daemon(state: MessageState) -> Double {
    let double = Double::new();
    double.on::<MessageSend>(move |_| Ok(answer(state)));
    double.on::<MessageGet>(move |_| {
        Ok(Message {
            state,
            direction: Direction::Out,
            kept: Some(Kept {
                receipts: 5,
                of: 5,
                until: Time::from_unix_ms(MARCH),
            }),
            why: Some("no way to bob".to_owned()),
            ..testing::message(1, "hi")
        })
    });
    double
}

#[test]
fn the_answer_is_printed_as_the_daemon_gave_it() {
    let (mut context, shown) = context(daemon(MessageState::Queued), Format::Json);
    block_on(send("hi").run(&mut context)).expect("sent");
    assert_eq!(
        shown.stdout(),
        "{\"message_id\":\"m1\",\"chat\":\"c-bob\",\"state\":\"queued\",\"duplicate\":false}\n"
    );
    let (method, params) = context.door.calls().remove(0);
    assert_eq!(method, "message.send");
    assert_eq!(params["body"], "hi");
    assert_eq!(params["timeout_ms"], 30_000);
    assert!(
        params["idempotency_key"]
            .as_str()
            .expect("a key")
            .starts_with("cli-")
    );
}

#[test]
fn people_read_the_state_in_words() {
    let words = |state, wait| {
        let (mut context, shown) = context(daemon(state), Format::Human);
        let sending = Send { wait, ..send("hi") };
        // Some of these end with a fault; what counts here is what was said.
        let _ = block_on(sending.run(&mut context));
        shown.stdout()
    };
    assert_eq!(
        words(MessageState::Queued, Wait::Queued),
        "to bob: queued (message m1)\n"
    );
    assert_eq!(
        words(MessageState::Kept, Wait::Queued),
        "to bob: kept by 5 of 5 until 2 Mar (message m1)\n"
    );
    assert_eq!(
        words(MessageState::Delivered, Wait::Delivered),
        "to bob: delivered (message m1)\n"
    );
    assert_eq!(
        words(MessageState::Queued, Wait::Delivered),
        "to bob: queued: no way to bob (message m1)\n"
    );
}

#[test]
fn the_exit_code_tells_whether_it_came_as_far_as_it_should() {
    let exit = |state, wait| {
        let (mut context, shown) = context(daemon(state), Format::Json);
        let sending = Send { wait, ..send("hi") };
        let outcome = block_on(sending.run(&mut context));
        assert!(shown.stdout().contains("\"m1\""), "the answer is printed");
        outcome.map_or_else(|fault| fault.exit(), |()| Exit::Done)
    };
    assert_eq!(exit(MessageState::Queued, Wait::Queued), Exit::Done);
    assert_eq!(exit(MessageState::Delivered, Wait::Kept), Exit::Done);
    assert_eq!(exit(MessageState::Queued, Wait::Kept), Exit::NotYet);
    assert_eq!(exit(MessageState::Kept, Wait::Delivered), Exit::NotYet);
    assert_eq!(exit(MessageState::Expired, Wait::Delivered), Exit::NotYet);
    assert_eq!(exit(MessageState::Failed, Wait::Queued), Exit::Refused);
}

/// What becomes of bytes on stdin: the text that was sent, or the fault.
fn through_stdin(bytes: &[u8]) -> Result<String, Fault> {
    let script = Scripted {
        stdin: bytes.to_vec(),
        ..Scripted::default()
    };
    let (mut context, _) = context_with(daemon(MessageState::Queued), Format::Json, script, false);
    let outcome = block_on(send("-").run(&mut context));
    let mut calls = context.door.calls();
    if let Err(fault) = outcome {
        assert!(calls.is_empty(), "refused before anything was asked");
        return Err(fault);
    }
    let body = calls.remove(0).1["body"]
        .as_str()
        .expect("a body")
        .to_owned();
    Ok(body)
}

#[test]
fn text_comes_from_stdin_without_one_line_break_at_its_end() {
    let sent = |bytes: &[u8]| through_stdin(bytes).expect("sent");
    assert_eq!(sent(b"hi"), "hi");
    assert_eq!(sent(b"hi\n"), "hi");
    assert_eq!(sent(b"hi\r\n"), "hi");
    assert_eq!(sent(b"one\n\ntwo\n\n"), "one\n\ntwo\n");
    assert_eq!(sent("Grüße 👍\n".as_bytes()), "Grüße 👍");
}

#[test]
fn the_longest_text_fits_and_no_longer_one() {
    let full = "ü".repeat(BODY_BYTES_MAX / 2);
    assert_eq!(through_stdin(full.as_bytes()).expect("sent"), full);
    assert_eq!(
        through_stdin(format!("{full}\n").as_bytes()).expect("sent"),
        full
    );
    for bytes in [BODY_BYTES_MAX + 1, BODY_BYTES_MAX + 2, BODY_BYTES_MAX * 3] {
        let fault = through_stdin(&vec![b'x'; bytes]).expect_err("refused");
        assert!(fault.is(ErrorCode::TooLarge), "{fault:?}");
        assert!(fault.brief().contains("60 KiB"), "{}", fault.brief());
    }
}

#[test]
fn what_is_no_text_is_refused_before_anything_is_asked() {
    for (bytes, why) in [
        (b"".as_slice(), "empty"),
        (b"\n", "empty"),
        (b"ab\xff", "byte 3"),
        (b"\xe2\x82", "UTF-8"),
    ] {
        let fault = through_stdin(bytes).expect_err("refused");
        assert!(fault.brief().contains(why), "{}", fault.brief());
        assert_eq!(fault.exit(), Exit::Usage);
    }
}

#[test]
fn an_argument_is_held_to_the_same_limits() {
    for (text, exit) in [
        (String::new(), Exit::Usage),
        ("x".repeat(BODY_BYTES_MAX + 1), Exit::Refused),
    ] {
        let (mut context, _) = context(daemon(MessageState::Queued), Format::Json);
        let fault = block_on(send(&text).run(&mut context)).expect_err("refused");
        assert_eq!(fault.exit(), exit);
        assert!(context.door.calls().is_empty());
    }
}

#[test]
fn a_key_has_a_length() {
    for key in [String::new(), "k".repeat(65)] {
        let (mut context, _) = context(daemon(MessageState::Queued), Format::Json);
        let sending = Send {
            key: Some(key),
            ..send("hi")
        };
        let fault = block_on(sending.run(&mut context)).expect_err("refused");
        assert_eq!(fault.exit(), Exit::Usage);
    }
}

/// A daemon that remembers keys, as the real one does.
fn remembering() -> Double {
    let double = Double::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    double.on::<MessageSend>(move |params| {
        let mut seen = seen.lock().expect("lock");
        let duplicate = seen.contains(&params.idempotency_key);
        seen.push(params.idempotency_key);
        Ok(MessageSendResponse {
            duplicate,
            ..answer(MessageState::Queued)
        })
    });
    double
}

#[test]
fn the_same_key_is_told_as_a_duplicate() {
    let double = remembering();
    let told = |key: Option<&str>| {
        let (mut context, shown) = context(double.clone(), Format::Human);
        let sending = Send {
            key: key.map(str::to_owned),
            ..send("hi")
        };
        block_on(sending.run(&mut context)).expect("sent");
        shown.stdout()
    };
    assert!(!told(Some("k")).contains("earlier call"));
    assert!(told(Some("k")).contains("earlier call"));
    assert!(!told(None).contains("earlier call"));
    assert!(!told(None).contains("earlier call"));
}

#[test]
fn the_daemons_refusal_decides_the_exit_code() {
    let double = Double::new();
    double.on::<MessageSend>(|_| {
        Err(
            ApiError::new(ErrorCode::AmbiguousName, "\"bo\" fits several contacts")
                .candidates(vec!["bob".to_owned(), "bond".to_owned()]),
        )
    });
    let (mut context, shown) = context(double, Format::Human);
    let fault = block_on(send("hi").run(&mut context)).expect_err("refused");
    assert_eq!(fault.exit(), Exit::NotFound);
    assert_eq!(shown.stdout(), "");
}

proptest! {
    #[test]
    fn any_text_arrives_as_it_was(text in ".{1,200}") {
        prop_assume!(!text.ends_with('\n'));
        prop_assert_eq!(through_stdin(text.as_bytes()).expect("sent"), text);
    }

    #[test]
    fn any_bytes_are_sent_as_they_are_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(sent) = through_stdin(&bytes) {
            prop_assert!(bytes.starts_with(sent.as_bytes()));
            prop_assert!(bytes.len() - sent.len() <= 2);
        }
    }
}
