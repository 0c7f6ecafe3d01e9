//! What the program says.

use serde_json::{Value, json};

use crate::daemon::{Daemon, Reply, event, message};
use crate::{command, home, run, stderr, stdout};

/// Everything that a terminal could take for more than text.
const HOSTILE: &str =
    "\x1b[2J\x1b]0;t\x07\u{9b}31m\u{202e}evil\u{2066}\r\n2026-03-02 10:42  me: yes";

fn is_harmless(text: &str) -> bool {
    !text.contains(|c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    let home = home();
    let _daemon = Daemon::start(&home, |method, _| {
        Some(match method {
            "chat.history" => Reply::Result(
                json!({ "chat": "c1", "items": [message(1, HOSTILE)], "more": false }),
            ),
            "contact.list" => Reply::Result(json!({ "items": [contact()], "next": null })),
            "contact.get" => Reply::Result(contact()),
            "events.subscribe" => Reply::Stream(
                json!("s1"),
                vec![
                    event(1, "message.received", message(1, HOSTILE)),
                    event(2, "group.formed", json!({ "name": HOSTILE })),
                    event(2, "caught_up", json!({})),
                ],
            ),
            _ => return None,
        })
    });
    for arguments in [
        vec!["log", "bob"],
        vec!["recv"],
        vec!["contact", "list"],
        vec!["contact", "show", "bob"],
        vec!["rpc", "contact.get", r#"{"contact":"bob"}"#],
    ] {
        for form in [None, Some("--plain"), Some("--json")] {
            let output = run(&home, arguments.iter().copied().chain(form));
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            let shown = stdout(&output);
            assert!(shown.contains("evil"), "{arguments:?}: {shown:?}");
            assert!(is_harmless(&shown), "{arguments:?}: {shown:?}");
            let forged = shown
                .lines()
                .any(|line| line.starts_with("2026-03-02 10:42  me"));
            assert!(!forged, "{arguments:?}: {shown:?}");
        }
    }
}

fn contact() -> Value {
    json!({
        "contact_id": "c1",
        "name": HOSTILE,
        "state": "established",
        "verified": false,
        "safety_number": null,
        "link": "none",
        "last_seen": null,
        "created_at": "2026-03-02T10:41:07.250Z",
    })
}

#[test]
fn json_means_what_the_daemon_said() {
    let home = home();
    let _daemon = Daemon::start(&home, |_, _| {
        Some(Reply::Result(
            json!({ "chat": "c1", "items": [message(1, HOSTILE)], "more": false }),
        ))
    });
    let output = run(&home, ["log", "bob", "--json"]);
    let line: Value = serde_json::from_str(&stdout(&output)).expect("one line");
    assert_eq!(line["body"], HOSTILE);
}

#[test]
fn a_daemon_of_another_version_is_remarked_on() {
    let home = home();
    // This daemon has no `hello` of its own, so its version is ours; the version is told by a
    // socket that answers otherwise.
    let listener =
        std::os::unix::net::UnixListener::bind(home.path().join("rpc.sock")).expect("a socket");
    std::thread::spawn(move || {
        use std::io::{BufRead as _, BufReader, Write as _};
        for stream in listener.incoming().flatten() {
            let mut writer = stream.try_clone().expect("a writer");
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let request: Value = serde_json::from_str(&line).expect("a request");
                let result = match request["method"].as_str() {
                    Some("hello") => json!({
                        "server_version": "9.9.9",
                        "api": { "major": 1, "minor": 7 },
                        "capabilities": ["new"],
                        "store": { "epoch": "e", "locked": false, "more": 1 },
                        "cursor": "e:0",
                    }),
                    _ => json!({ "nodes": [] }),
                };
                let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
                if writeln!(writer, "{answer}").is_err() {
                    break;
                }
            }
        }
    });
    let output = run(&home, ["net", "sky"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(
        told.starts_with("warning: hermesd is version 9.9.9"),
        "{told}"
    );
    assert!(told.contains("daemon restart"), "{told}");
    assert_eq!(stdout(&output), "no sky nodes known\n");
}

#[test]
fn colour_is_for_terminals_and_can_be_forced() {
    let home = home();
    let plain = command(&home, ["stauts"]).output().expect("it runs");
    assert!(!stderr(&plain).contains('\x1b'));
    let mut forced = command(&home, ["status"]);
    forced.env("CLICOLOR_FORCE", "1");
    let forced = forced.output().expect("it runs");
    assert!(stderr(&forced).contains("\x1b["), "{}", stderr(&forced));
    let mut without = command(&home, ["status"]);
    without.env("CLICOLOR_FORCE", "0").env("NO_COLOR", "1");
    assert!(!stderr(&without.output().expect("it runs")).contains('\x1b'));
}

#[test]
fn an_unknown_method_brings_its_neighbours_to_mind() {
    let home = home();
    let _daemon = Daemon::start(&home, |_, _| None);
    let output = run(&home, ["rpc", "mesage.send"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("did you mean: message.send"), "{told}");
}

#[test]
fn the_interface_can_be_listed_without_a_daemon() {
    let home = home();
    let output = run(&home, ["rpc", "--list", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let list: Value = serde_json::from_str(&stdout(&output)).expect("json");
    let methods = list["items"].as_array().expect("rows");
    assert!(methods.iter().any(|row| row["method"] == "message.send"));
}

#[test]
fn a_passphrase_comes_through_a_descriptor() {
    let home = home();
    let daemon = Daemon::start(&home, |_, _| {
        Some(Reply::Result(json!({ "locked": false })))
    });
    let secret = home.path().join("secret");
    std::fs::write(&secret, "correct horse\n").expect("written");
    // A shell opens the descriptor, as a script would.
    let mut shell = std::process::Command::new("sh");
    let output = shell
        .args([
            "-c",
            "exec \"$0\" --home \"$1\" store unlock --passphrase-fd 3 3<\"$2\"",
        ])
        .arg(env!("CARGO_BIN_EXE_hermes-cli"))
        .arg(home.path())
        .arg(&secret)
        .env_remove("HERMES_SOCKET")
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (method, params) = daemon.call();
    assert_eq!(method, "store.unlock");
    assert_eq!(params["passphrase"], "correct horse");
}
