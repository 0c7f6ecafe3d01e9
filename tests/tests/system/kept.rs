//! One of two people is away, and keepers come and go meanwhile.

use anyhow::{Context as _, Result, ensure};
use hermes_tests::person::{Person, befriend, exactly_in_order};
use hermes_tests::{Lab, Net};
use serde_json::json;

#[test]
fn two_hundred_messages_wait_for_a_daemon_that_is_off() -> Result<()> {
    let mut lab = Lab::start(Net::lab(), 3, 6)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;
    bob.stop()?;

    let texts: Vec<String> = (1..=200).map(|n| format!("kept {n}")).collect();
    let mut last = json!(null);
    for text in &texts {
        last = alice.send("bob", text)?["message_id"].take();
    }
    let kept = alice.until_state(&last, "kept")?;
    let proof = &kept["data"]["kept"];
    ensure!(
        proof["receipts"].as_u64().is_some_and(|n| n >= 3) && proof["until"].is_string(),
        "{kept}"
    );
    until_all_kept(&mut alice, texts.len())?;

    for keeper in lab.earth.iter_mut().take(2) {
        keeper.process.kill()?;
    }
    lab.earth.get_mut(2).context("too few keepers")?.restart()?;
    bob.start()?;
    let received = receive(&mut bob, "alice", texts.len())?;
    exactly_in_order(&received, &texts)?;
    alice.until_state(&last, "delivered")?;
    exactly_in_order(&bob.received("alice")?, &texts)
}

/// Waits until no message of ours is without its receipts.
fn until_all_kept(person: &mut Person, count: usize) -> Result<()> {
    let deadline = std::time::Instant::now() + hermes_tests::PATIENCE;
    loop {
        let page = person.call(
            "chat.history",
            json!({"chat": "bob", "after": 0, "limit": 500}),
        )?;
        let items = page["items"].as_array().context("no items")?;
        if items.iter().filter(|item| item["state"] == "kept").count() == count {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < deadline, "not all are kept");
        person.call("events.list", json!({"after": "now", "wait_ms": 50}))?;
    }
}

/// Reads events until so many messages have come.
fn receive(person: &mut Person, _from: &str, count: usize) -> Result<Vec<String>> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        let event = person.event_where("a kept message", |event| {
            event["kind"] == "message.received"
        })?;
        bodies.push(
            event["data"]["body"]
                .as_str()
                .context("no body")?
                .to_owned(),
        );
    }
    Ok(bodies)
}

#[test]
fn without_enough_keepers_a_message_waits_and_says_so() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 2)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;
    bob.stop()?;
    let sent = alice.send("bob", "few keepers")?;
    let told = alice.event_where("the reason", |event| {
        event["kind"] == "message.state" && event["data"]["why"].is_string()
    })?;
    ensure!(told["data"]["state"] == "queued", "{told}");
    ensure!(told["data"]["why"] == "held by 2 of 3 needed", "{told}");
    bob.start()?;
    alice.until_state(&sent["message_id"], "delivered")?;
    ensure!(bob.received("alice")? == ["few keepers"]);
    Ok(())
}
