//! How the program ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::daemon::{Daemon, Reply, event, message};
use crate::{command, home, run, stderr, stdout};

/// Subscriptions get these events; commits are granted.
fn telling(events: Vec<Value>) -> impl Fn(&str, &Value) -> Option<Reply> + Send + Sync {
    move |method, params| match method {
        "events.subscribe" => Some(Reply::Stream(json!("s1"), events.clone())),
        "events.commit" => Some(Reply::Result(params.clone())),
        _ => None,
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let home = home();
    for (arguments, word) in [(["--help"], "Exit codes:"), (["--version"], "hermes-cli")] {
        let output = run(&home, arguments);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains(word));
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn wrong_usage_is_2_and_goes_to_stderr() {
    let home = home();
    for arguments in [
        vec!["stauts"],
        vec!["send", "bob"],
        vec!["send", "bob", ""],
        vec!["--json", "--plain", "status"],
        vec!["invite", "create", "--expires", "soon"],
    ] {
        let output = run(&home, &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(stderr(&output).starts_with("error: "), "{arguments:?}");
    }
}

#[test]
fn no_daemon_is_3_and_says_what_to_do() {
    let home = home();
    let output = run(&home, ["status"]);
    assert_eq!(output.status.code(), Some(3));
    let told = stderr(&output);
    assert!(told.starts_with("error: hermesd is not running"), "{told}");
    assert!(told.contains("hermes-cli daemon start"), "{told}");
    let output = run(&home, ["daemon", "status", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let state: Value = serde_json::from_str(&stdout(&output)).expect("json");
    assert_eq!(state["running"], false);
}

#[test]
fn a_socket_path_that_is_too_long_is_said_so() {
    let home = home();
    let long = home.path().join("x".repeat(120));
    let output = run(
        &home,
        ["--socket".as_ref(), long.as_os_str(), "status".as_ref()],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the system takes at most"));
}

#[test]
fn the_daemons_error_decides_the_code() {
    for (code, kind, exit) in [
        (1001, "store_locked", 4),
        (1101, "unknown_contact", 5),
        (1105, "blocked", 7),
        (1203, "no_route", 6),
        (1501, "storage_failed", 1),
        (1999, "something_new", 1),
    ] {
        let home = home();
        let _daemon = Daemon::start(&home, move |_, _| {
            let data = json!({ "kind": kind, "candidates": ["bo\u{202e}b"] });
            Some(Reply::Error(
                json!({ "code": code, "message": "no\x1b[2J", "data": data }),
            ))
        });
        let output = run(&home, ["send", "bop", "hi", "--json"]);
        assert_eq!(output.status.code(), Some(exit), "{kind}");
        assert_eq!(stdout(&output), "");
        let told: Value = serde_json::from_str(&stderr(&output)).expect("a line of json");
        assert_eq!(told["error"]["kind"], kind);
        assert_eq!(told["error"]["exit"], exit);
        let output = run(&home, ["send", "bop", "hi"]);
        assert_eq!(output.status.code(), Some(exit), "{kind}");
        let told = stderr(&output);
        assert!(told.starts_with("error: no[2J\n"), "{told:?}");
        assert!(told.contains("did you mean: bob\n"), "{told:?}");
    }
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again_under_the_same_key() {
    let home = home();
    let daemon = Daemon::start(&home, {
        let calls = std::sync::atomic::AtomicU32::new(0);
        move |method, _| {
            assert_eq!(method, "message.send");
            Some(
                match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                    0 => Reply::HangUp,
                    _ => Reply::Result(json!({
                        "message_id": "m1", "chat": "c1", "state": "queued", "duplicate": true,
                    })),
                },
            )
        }
    });
    let output = run(&home, ["send", "bob", "hi", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (first, second) = (daemon.call(), daemon.call());
    assert_eq!(first, second);
    let sent: Value = serde_json::from_str(&stdout(&output)).expect("json");
    assert_eq!(sent["duplicate"], false, "nobody else sent it");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let home = home();
    // More than any pipe holds, so that a write must fail.
    let events = (1..=2_000).map(|seq| {
        let body = "x".repeat(1_000);
        event(seq, "message.received", message(seq, &body))
    });
    let _daemon = Daemon::start(&home, telling(events.collect()));
    let mut child = command(&home, ["recv", "--follow", "--json"])
        .spawn()
        .expect("it runs");
    let mut reader = BufReader::new(child.stdout.take().expect("stdout"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    assert!(line.contains("\"cursor\":\"e:1\""), "{line}");
    drop(reader);
    let mut told = String::new();
    child
        .stderr
        .take()
        .expect("stderr")
        .read_to_string(&mut told)
        .expect("text");
    let status = child.wait().expect("it ends");
    assert_eq!((status.code(), told.as_str()), (Some(0), ""));
}

#[test]
fn a_document_into_a_closed_pipe_is_no_error() {
    let home = home();
    let mut child = command(&home, ["completions", "bash"])
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let mut told = String::new();
    child
        .stderr
        .take()
        .expect("stderr")
        .read_to_string(&mut told)
        .expect("text");
    let status = child.wait().expect("it ends");
    assert_eq!((status.code(), told.as_str()), (Some(0), ""));
}

/// Starts a command that prints an event and goes on, sends it a signal, and tells how it ends.
fn signalled(arguments: &[&str], signal: Signal) -> Option<i32> {
    let home = home();
    let events = vec![event(1, "message.received", message(1, "hi"))];
    let answer = telling(events);
    let _daemon = Daemon::start(&home, move |method, params| match method {
        "message.send" => Some(Reply::Result(json!({
            "message_id": "m2", "chat": "c1", "state": "queued", "duplicate": false,
        }))),
        "chat.mark_read" => Some(Reply::Result(
            json!({ "chat": "c1", "read_seq": 1, "unread": 0 }),
        )),
        _ => answer(method, params),
    });
    let mut child = command(&home, arguments).spawn().expect("it runs");
    let mut reader = BufReader::new(child.stdout.take().expect("stdout"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    assert!(line.contains("m1"), "{line}");
    // It has printed, so it has begun to wait, or is about to; the signal finds it either way,
    // once it watches for it.
    loop {
        kill_process(Pid::from_child(&child), signal).expect("signalled");
        if let Some(status) = child.try_wait().expect("looked") {
            return status.code();
        }
        std::thread::yield_now();
    }
}

#[test]
fn ctrl_c_is_130() {
    let code = signalled(&["recv", "--follow", "--json"], Signal::INT);
    assert_eq!(code, Some(130));
}

#[test]
fn a_robot_ends_in_good_order_when_asked_to() {
    assert_eq!(signalled(&["robot", "--json"], Signal::TERM), Some(0));
}

#[test]
fn ctrl_c_ends_it_also_while_it_reads_stdin() {
    let home = home();
    let mut child = command(&home, ["send", "bob", "-", "--json", "-v"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(b"half a").expect("written");
    let status = loop {
        if let Some(status) = child.try_wait().expect("looked") {
            break status;
        }
        // Before it watches for the signal, the signal would end it in the system's own way.
        if watches_sigint(child.id()) {
            kill_process(Pid::from_child(&child), Signal::INT).expect("signalled");
        }
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(130));
    drop(stdin);
}

/// Whether the process has a handler for SIGINT; elsewhere than on Linux this cannot be seen, and
/// it is given as true.
fn watches_sigint(pid: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
        return true;
    };
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal 2 is the second bit.
    caught.is_some_and(|mask| mask & 0b10 != 0)
}
