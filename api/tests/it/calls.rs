//! Calls under way: side by side, abandoned, and when the daemon ends.

use std::time::Duration;

use serde_json::json;

use crate::support::{Daemon, kind, request};

#[tokio::test]
async fn a_slow_call_does_not_hold_up_a_quick_one() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    client
        .line(&request(1, "net.ping", json!({ "contact": "bob" })))
        .await;
    client.line(&request(2, "hello", json!({}))).await;
    assert_eq!(client.json().await["id"], 2);
    daemon.state.gate.add_permits(1);
    assert_eq!(client.json().await["id"], 1);
}

#[tokio::test]
async fn pipelined_calls_are_all_answered() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    let lines: String = (0..1_000)
        .map(|id| request(id, "hello", json!({})) + "\n")
        .collect();
    client.write(lines).await;
    for id in 0..1_000 {
        assert_eq!(client.json().await["id"], id);
    }
}

/// With two workers, tasks of their own would overtake one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_calls_begin_in_the_order_of_their_lines() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    let bodies: Vec<String> = (0..500).map(|n| format!("message {n}")).collect();
    let lines = bodies.iter().enumerate().map(|(id, body)| {
        request(
            id as u64,
            "message.send",
            json!({"to": "bob", "body": body}),
        ) + "\n"
    });
    client.write(lines.collect::<String>()).await;
    for _ in &bodies {
        assert!(client.json().await.get("error").is_none());
    }
    assert_eq!(*daemon.state.sent.lock().expect("lock"), bodies);
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_gets_its_answers() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    client
        .line(&request(1, "net.ping", json!({ "contact": "bob" })))
        .await;
    client.finish().await;
    daemon.state.pings_begun(1).await;
    daemon.state.gate.add_permits(1);
    assert_eq!(client.json().await["result"]["contact_id"], "c1");
    assert_eq!(client.read().await, None);
}

#[tokio::test]
async fn a_batch_goes_on_when_its_connection_is_gone() {
    let daemon = Daemon::start_with(|options| options.limits.drain_wait = Duration::ZERO);
    let mut client = daemon.connect().await;
    let ping = request(1, "net.ping", json!({ "contact": "bob" }));
    let send = request(
        2,
        "message.send",
        json!({ "to": "bob", "body": "after the ping" }),
    );
    client.line(&format!("[{ping},{send}]")).await;
    daemon.state.pings_begun(1).await;
    daemon.stop().await;
    assert_eq!(client.read().await, None);
    daemon.state.gate.add_permits(1);
    let mut next = Daemon::start_again(&daemon).connect().await;
    // The abandoned batch runs beside us; its end is all that is waited for.
    while daemon.state.sent.lock().expect("lock").is_empty() {
        next.call("hello", json!({})).await;
    }
    assert_eq!(*daemon.state.sent.lock().expect("lock"), ["after the ping"]);
}

#[tokio::test]
async fn stopping_finishes_what_was_begun_and_takes_nothing_new() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    client
        .line(&request(1, "net.ping", json!({ "contact": "bob" })))
        .await;
    daemon.state.pings_begun(1).await;
    daemon.handle.stop();
    daemon.state.gate.add_permits(1);
    assert_eq!(client.json().await["id"], 1);
    assert_eq!(client.read().await, None);
    daemon.handle.stopped().await;
    assert!(!daemon.paths.socket().exists());
}

#[tokio::test]
async fn a_client_that_never_reads_does_not_hold_up_the_end() {
    let daemon = Daemon::start_with(|options| options.limits.drain_wait = Duration::ZERO);
    let mut client = daemon.connect().await;
    for id in 0..40 {
        client
            .line(&request(
                id,
                "contact.get",
                json!({ "contact": "x*100000" }),
            ))
            .await;
    }
    daemon.stop().await;
}

#[tokio::test]
async fn claims_end_with_their_connection() {
    let daemon = Daemon::start();
    let mut claims = daemon.state.claims.subscribe();
    let mut client = daemon.connect().await;
    let params = json!({ "focused": true, "chat": "c1" });
    assert_eq!(
        client.call("ui.presence", params).await["result"],
        json!({})
    );
    assert_eq!(claims.borrow_and_update().len(), 1);
    drop(client);
    claims.wait_for(Vec::is_empty).await.expect("state lives");
}

#[tokio::test]
async fn what_is_too_large_to_answer_is_an_error_and_no_more() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    let answer = client
        .call("contact.get", json!({ "contact": "x*5000000" }))
        .await;
    assert_eq!(
        (kind(&answer), &answer["id"]),
        ("response_too_big", &json!(1))
    );
    let ask = |id| request(id, "contact.get", json!({ "contact": "x*3000000" }));
    client.line(&format!("[{},{}]", ask(1), ask(2))).await;
    assert_eq!(kind(&client.json().await), "batch_response_too_big");
    let answer = client
        .call("contact.get", json!({ "contact": "x*3000000" }))
        .await;
    assert_eq!(
        answer["result"]["name"].as_str().map(str::len),
        Some(3_000_000)
    );
}
