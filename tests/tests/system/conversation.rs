//! Two people who are both there.

use anyhow::{Context as _, Result, ensure};
use hermes_tests::person::{Person, befriend};
use hermes_tests::{Lab, Net};
use serde_json::{Value, json};

#[test]
fn two_people_exchange_messages_and_see_how_far_they_are() -> Result<()> {
    let lab = Lab::start(Net::lab(), 3, 6)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;

    let sent = alice.send("bob", "hello bob")?;
    ensure!(
        sent["state"] == "queued" && sent["duplicate"] == false,
        "{sent}"
    );
    alice.until_state(&sent["message_id"], "delivered")?;
    let got = bob.event_where("a message", |event| event["kind"] == "message.received")?;
    ensure!(
        got["data"]["body"] == "hello bob" && got["data"]["sender"] == "alice",
        "{got}"
    );
    ensure!(
        got["data"]["message_id"] == sent["message_id"],
        "one name at both ends"
    );

    let answer = bob.call(
        "message.send",
        json!({"to": "alice", "body": "hello alice", "wait": "delivered"}),
    )?;
    ensure!(answer["state"] == "delivered", "{answer}");
    bob.call("chat.mark_read", json!({"chat": "alice"}))?;
    alice.until_state(&sent["message_id"], "read")?;

    // The command line shows the same.
    let log = alice.home.cli_json_lines(["log", "bob"])?;
    let shown: Vec<(&Value, &Value, &Value, &Value)> = log
        .iter()
        .map(|row| {
            (
                &row["sender"],
                &row["direction"],
                &row["body"],
                &row["state"],
            )
        })
        .collect();
    let (me, bob_name) = (json!("me"), json!("bob"));
    let (out, inward, read, delivered) =
        (json!("out"), json!("in"), json!("read"), json!("delivered"));
    let (hello_bob, hello_alice) = (json!("hello bob"), json!("hello alice"));
    ensure!(
        shown
            == [
                (&me, &out, &hello_bob, &read),
                (&bob_name, &inward, &hello_alice, &delivered)
            ],
        "{log:?}"
    );
    for key in [
        "message_id",
        "chat",
        "sent_at",
        "received_at",
        "kept",
        "why",
    ] {
        ensure!(
            log.iter().all(|row| row.get(key).is_some()),
            "{key} is missing"
        );
    }
    Ok(())
}

#[test]
fn the_same_key_is_the_same_message() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 3)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;
    let once = json!({"to": "bob", "body": "only once", "idempotency_key": "k1"});
    let first = alice.call("message.send", once.clone())?;
    alice.until_state(&first["message_id"], "delivered")?;
    alice.kill()?;
    alice.start()?;
    let again = alice.call("message.send", once)?;
    ensure!(
        again["duplicate"] == true && again["message_id"] == first["message_id"],
        "{again}"
    );
    let other = alice.call(
        "message.send",
        json!({"to": "bob", "body": "another", "idempotency_key": "k1"}),
    );
    let error = other
        .err()
        .context("another text under the same key was taken")?;
    ensure!(format!("{error:#}").contains("1409"), "{error:#}");
    alice.call(
        "message.send",
        json!({"to": "bob", "body": "end", "wait": "delivered"}),
    )?;
    ensure!(bob.received("alice")? == ["only once", "end"]);
    Ok(())
}

/// Caller and callee are registered at different sky nodes, so the knock that brings them together is forwarded between those.
#[test]
fn a_knock_is_forwarded_between_sky_nodes() -> Result<()> {
    let lab = Lab::start(Net::lab(), 3, 3)?;
    let mut alice = Person::new("alice", &lab)?;
    let mut friends: Vec<Person> = Vec::new();
    let home = registered(&mut alice)?;
    // Where somebody is registered is chance; one of a few people is somewhere else.
    for name in [
        "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan",
    ] {
        let mut friend = Person::new(name, &lab)?;
        let elsewhere = registered(&mut friend)? != home;
        friends.push(friend);
        if elsewhere {
            break;
        }
    }
    let friend = friends.last_mut().context("nobody")?;
    ensure!(registered(friend)? != home, "all of them are at one node");
    befriend(&mut alice, friend)?;
    let sent = alice.call(
        "message.send",
        json!({"to": friend.name, "body": "across", "wait": "delivered"}),
    )?;
    ensure!(sent["state"] == "delivered", "{sent}");
    let ping = alice.call("net.ping", json!({"contact": friend.name}))?;
    ensure!(
        ping["rtt_us"].as_u64().is_some_and(|rtt| rtt > 0),
        "no direct link: {ping}"
    );
    Ok(())
}

/// The sky node at which somebody is registered, once he is.
fn registered(person: &mut Person) -> Result<String> {
    let deadline = std::time::Instant::now() + hermes_tests::PATIENCE;
    loop {
        let sky = person.call("net.sky", json!({}))?;
        let nodes = sky["nodes"].as_array().context("no nodes")?;
        if let Some(node) = nodes.iter().find(|node| node["registered"] == true) {
            return Ok(node["node_id"].as_str().context("no id")?.to_owned());
        }
        // A long poll stands in for a pause: it ends early if anything happens.
        person.call("events.list", json!({"after": "now", "wait_ms": 50}))?;
        ensure!(
            std::time::Instant::now() < deadline,
            "{} is registered nowhere",
            person.name
        );
    }
}
