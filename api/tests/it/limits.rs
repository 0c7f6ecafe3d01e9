//! What one client may use, and that the others do not notice.

use std::sync::Arc;
use std::time::Duration;

use hermes_api::server::Peer;
use serde_json::{Value, json};

use crate::support::{Daemon, Raw, kind, request};

const REQUEST_BYTES_MAX: usize = 1024 * 1024;

#[tokio::test]
async fn a_line_too_long_is_refused_and_the_next_is_served() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    let long = request(
        1,
        "message.send",
        json!({ "to": "bob", "body": "x".repeat(REQUEST_BYTES_MAX) }),
    );
    client.line(&long).await;
    let answer = client.json().await;
    assert_eq!(
        (kind(&answer), &answer["error"]["code"]),
        ("request_too_big", &json!(-32007))
    );
    assert_eq!(
        client.call("hello", json!({})).await["result"]["server_version"],
        "0.0.0-test"
    );
    assert!(daemon.state.sent.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn a_line_of_exactly_the_limit_is_served() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    let empty = request(1, "message.send", json!({ "to": "bob", "body": "" }));
    let body = "x".repeat(REQUEST_BYTES_MAX - empty.len());
    client
        .line(&request(
            1,
            "message.send",
            json!({ "to": "bob", "body": body }),
        ))
        .await;
    assert_eq!(client.json().await["result"]["state"], "queued");
}

#[tokio::test]
async fn what_is_not_text_ends_the_connection_after_the_answers_before_it() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    client
        .write(
            [
                request(1, "hello", json!({})).as_bytes(),
                b"\n{\"id\":\"\xff\"}\n",
            ]
            .concat(),
        )
        .await;
    assert_eq!(client.json().await["id"], 1);
    assert_eq!(client.read().await, None);
}

#[tokio::test]
async fn deep_nesting_is_only_a_fault_of_the_line() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    let deep = "[".repeat(200_000);
    for line in [
        deep.clone(),
        format!("{deep}{}", "]".repeat(200_000)),
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"hello","params":{deep}{}}}"#,
            "]".repeat(200_000)
        ),
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"hello","params":{{"client":{}1{}}}}}"#,
            "{\"a\":".repeat(9_000),
            "}".repeat(9_000)
        ),
    ] {
        client.line(&line).await;
        let answer = client.json().await;
        let shown = answer.get(0).unwrap_or(&answer);
        assert!(shown["error"]["code"].is_number(), "{answer}");
    }
    assert!(client.call("hello", json!({})).await["result"].is_object());
}

#[tokio::test]
async fn half_a_line_is_waited_for() {
    let daemon = Daemon::start();
    let mut slow = daemon.connect().await;
    let line = request(1, "hello", json!({})) + "\n";
    let (first, second) = line.split_at(line.len() / 2);
    slow.write(first).await;
    let mut other = daemon.connect().await;
    assert!(other.call("hello", json!({})).await["result"].is_object());
    slow.write(second).await;
    assert_eq!(slow.json().await["id"], 1);
}

#[tokio::test]
async fn who_says_nothing_at_all_is_let_go() {
    let daemon =
        Daemon::start_with(|options| options.limits.first_byte_wait = Duration::from_millis(1));
    assert_eq!(daemon.connect().await.read().await, None);
}

#[tokio::test]
async fn who_never_ends_a_line_is_let_go() {
    let daemon = Daemon::start_with(|options| options.limits.line_wait = Duration::from_millis(1));
    let mut client = daemon.connect().await;
    client
        .write(r#"{"jsonrpc":"2.0","id":1,"me"#.to_owned())
        .await;
    assert_eq!(client.read().await, None);
    // Who waits between two lines owes nothing.
    let mut patient = daemon.connect().await;
    assert!(patient.call("hello", json!({})).await["result"].is_object());
    daemon.connect().await.write("{".to_owned()).await;
    assert!(patient.call("hello", json!({})).await["result"].is_object());
}

#[tokio::test]
async fn another_user_is_turned_away_before_anything_is_read() {
    let daemon = Daemon::start_with(|options| {
        // The peer is real, so that the system's answer is tested too; only the verdict is turned.
        let us = std::process::id();
        options.may_connect = Arc::new(move |peer: &Peer| peer.pid != i32::try_from(us).ok());
    });
    let mut client = daemon.connect().await;
    let send = request(1, "message.send", json!({ "to": "bob", "body": "x" })) + "\n";
    let _ = client.try_write(send.as_bytes());
    assert_eq!(kind(&client.json().await), "permission");
    drop(client);
    daemon.stop().await;
    assert!(daemon.state.sent.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn our_own_user_may_connect() {
    let daemon = Daemon::start();
    assert!(daemon.connect().await.call("hello", json!({})).await["result"].is_object());
}

#[tokio::test]
async fn connections_beyond_the_cap_are_told_so_and_room_is_made_again() {
    let daemon = Daemon::start_with(|options| options.limits.connections_max = 2);
    let mut first = daemon.connect().await;
    let mut second = daemon.connect().await;
    for client in [&mut first, &mut second] {
        assert!(client.call("hello", json!({})).await["result"].is_object());
    }
    assert_eq!(daemon.handle.connections(), 2);
    let refusal = daemon.connect().await.json().await;
    assert_eq!(
        (kind(&refusal), &refusal["error"]["data"]["retryable"]),
        ("busy", &json!(true))
    );
    assert!(second.call("hello", json!({})).await["result"].is_object());
    first.finish().await;
    assert_eq!(first.read().await, None);
    // The room is made right after the end that we saw.
    while kind(&try_hello(&mut daemon.connect().await).await) == "busy" {}
}

async fn try_hello(client: &mut Raw) -> Value {
    let _ = client.try_write((request(1, "hello", json!({})) + "\n").as_bytes());
    client.json().await
}

#[tokio::test]
async fn a_batch_has_at_most_64_calls() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    let batch = |count| {
        format!(
            "[{}]",
            vec![request(1, "hello", json!({})); count].join(",")
        )
    };
    client.line(&batch(65)).await;
    assert_eq!(kind(&client.json().await), "batch_too_big");
    client.line(&batch(64)).await;
    assert_eq!(client.json().await.as_array().map(Vec::len), Some(64));
}

#[tokio::test]
async fn calls_beyond_the_cap_wait_their_turn() {
    let daemon = Daemon::start_with(|options| options.limits.calls_max = 2);
    let mut client = daemon.connect().await;
    for id in 0..3 {
        client
            .line(&request(id, "net.ping", json!({ "contact": "bob" })))
            .await;
    }
    client.line(&request(9, "hello", json!({}))).await;
    daemon.state.pings_begun(2).await;
    // A second client is served meanwhile, and shows that the third call has not begun.
    let mut other = daemon.connect().await;
    assert!(other.call("hello", json!({})).await["result"].is_object());
    assert_eq!(*daemon.state.pings.borrow(), 2);
    daemon.state.gate.add_permits(3);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(client.json().await["id"].as_u64().expect("an id"));
    }
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 9]);
}

#[tokio::test]
async fn who_asks_and_never_reads_is_not_read_from_either() {
    let daemon = Daemon::start();
    let mut rude = daemon.connect().await;
    let line = request(1, "contact.get", json!({ "contact": "x*10000" })) + "\n";
    // Some 300 MiB of answers, if all of them were made.
    let mut written = 0;
    let mut other = daemon.connect().await;
    let mut refused = 0;
    while refused < 1_000 && written < 30_000 {
        match rude.try_write(line.as_bytes()) {
            Ok(count) if count == line.len() => written += 1,
            // A part of a line was taken: the socket is full.
            Ok(_) => break,
            Err(_) => refused += 1,
        }
        assert!(other.call("hello", json!({})).await["result"].is_object());
    }
    assert!(
        written < 30_000,
        "the daemon took all requests of a client that reads nothing"
    );
    for _ in 0..written {
        assert_eq!(rude.json().await["id"], 1);
    }
}
