//! Events: nobody takes another's, nobody loses any, nobody is held up.

use hermes_api::types::{Event, EventData};
use serde_json::{Value, json};

use crate::support::{Daemon, Raw, kind, number, request};

async fn subscribe(client: &mut Raw, params: Value) -> String {
    let answer = client.call("events.subscribe", params).await;
    answer["result"]
        .as_str()
        .unwrap_or_else(|| panic!("refused: {answer}"))
        .to_owned()
}

async fn next_event(client: &mut Raw) -> Event {
    let notification = client.json().await;
    assert_eq!(notification["method"], "event");
    serde_json::from_value(notification["params"]["result"].clone()).expect("an event")
}

#[tokio::test]
async fn what_happened_before_comes_first_and_what_happens_then_follows() {
    let daemon = Daemon::start();
    daemon.state.append(3);
    let mut client = daemon.connect().await;
    subscribe(&mut client, json!({ "after": "t:1" })).await;
    assert_eq!(number(&next_event(&mut client).await), 2);
    assert_eq!(number(&next_event(&mut client).await), 3);
    assert!(matches!(
        next_event(&mut client).await.data,
        EventData::CaughtUp(_)
    ));
    daemon.state.append(1);
    assert_eq!(number(&next_event(&mut client).await), 4);
}

#[tokio::test]
async fn nobody_ends_the_subscription_of_another() {
    let daemon = Daemon::start();
    let mut alice = daemon.connect().await;
    let mut bob = daemon.connect().await;
    let of_alice = subscribe(&mut alice, json!({})).await;
    let of_bob = subscribe(&mut bob, json!({})).await;
    assert_ne!(of_alice, of_bob);
    next_event(&mut alice).await;
    next_event(&mut bob).await;
    let answer = bob
        .call("events.unsubscribe", json!({ "subscription": of_alice }))
        .await;
    assert_eq!(answer["result"]["unsubscribed"], false);
    let answer = bob
        .call("events.unsubscribe", json!({ "subscription": of_bob }))
        .await;
    assert_eq!(answer["result"]["unsubscribed"], true);
    daemon.state.append(1);
    assert_eq!(number(&next_event(&mut alice).await), 1);
    // The answer comes without an event before it.
    assert!(bob.call("hello", json!({})).await["result"].is_object());
}

#[tokio::test]
async fn who_reads_slowly_loses_nothing_and_holds_up_nobody() {
    const EVENTS: u64 = 20_000;
    let daemon = Daemon::start();
    let mut slow = daemon.connect().await;
    subscribe(&mut slow, json!({})).await;
    daemon.state.append(EVENTS);
    let mut quick = daemon.connect().await;
    subscribe(&mut quick, json!({ "after": "start" })).await;
    for expected in 1..=EVENTS {
        assert_eq!(number(&next_event(&mut quick).await), expected);
    }
    let mut third = daemon.connect().await;
    assert!(third.call("hello", json!({})).await["result"].is_object());
    let mut seen = Vec::new();
    while seen.len() < EVENTS as usize {
        let event = next_event(&mut slow).await;
        if !matches!(event.data, EventData::CaughtUp(_)) {
            seen.push(number(&event));
        }
    }
    assert!(seen.into_iter().eq(1..=EVENTS));
}

#[tokio::test]
async fn a_connection_has_at_most_32_subscriptions() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    let mut ids = Vec::new();
    for _ in 0..32 {
        client
            .line(&request(1, "events.subscribe", json!({})))
            .await;
    }
    while ids.len() < 32 {
        if let Some(id) = client.json().await["result"].as_str() {
            ids.push(id.to_owned());
        }
    }
    client
        .line(&request(2, "events.subscribe", json!({})))
        .await;
    let refusal = loop {
        let line = client.json().await;
        if line["id"] == 2 {
            break line;
        }
    };
    assert_eq!(kind(&refusal), "too_many_subscriptions");
    let answer = client
        .call("events.unsubscribe", json!({ "subscription": ids[0] }))
        .await;
    assert_eq!(answer["result"]["unsubscribed"], true);
    // The ended subscription gives its place back once its task has noticed.
    while kind(&client.call("events.subscribe", json!({})).await) == "too_many_subscriptions" {}
}

#[tokio::test]
async fn subscriptions_end_with_their_connection() {
    let daemon = Daemon::start();
    let mut client = daemon.connect().await;
    subscribe(&mut client, json!({})).await;
    assert_eq!(daemon.state.head.receiver_count(), 1);
    drop(client);
    daemon.state.head.closed().await;
}
