//! Addresses change every epoch, and friends follow.

use anyhow::{Result, ensure};
use hermes_tests::person::{Person, befriend, exactly_in_order};
use hermes_tests::{Lab, Net};
use serde_json::json;

/// Like `lab`, with an epoch of six seconds.
const SHORT: &str = r#"
name = "short"
epoch_s = 6
presence_parts = 2
expiry_unit_s = 1
expiry_default_s = 240
expiry_max_s = 300
grace_s = 60
mailboxes_per_prefix_hour = 65535
diversity = 0
register_jitter_s = 0
deposit_jitter_ms = 0
ack_delay_ms = 0
lease_s = 60
knock_grace_ms = 300
invite_max_s = 120
"#;

#[test]
fn friends_find_each_other_in_every_epoch() -> Result<()> {
    let lab = Lab::start(Net::described(SHORT)?, 3, 6)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;
    let first = epoch(&mut alice)?;
    let (mut n, mut texts) = (0, Vec::new());
    // Directly, through keepers, and after both were away, in epochs that follow each other.
    while epoch(&mut alice)? < first + 4 {
        n += 1;
        texts.push(format!("there {n}"));
        let sent = alice.send("bob", &format!("there {n}"))?;
        alice.until_state(&sent["message_id"], "delivered")?;
        alice.call("events.list", json!({"after": "now", "wait_ms": 800}))?;
    }
    bob.stop()?;
    let before = epoch(&mut alice)?;
    texts.push("while away".to_owned());
    let sent = alice.send("bob", "while away")?;
    alice.until_state(&sent["message_id"], "kept")?;
    while epoch(&mut alice)? < before + 3 {
        alice.call("events.list", json!({"after": "now", "wait_ms": 500}))?;
    }
    bob.start()?;
    alice.until_state(&sent["message_id"], "delivered")?;
    exactly_in_order(&bob.received("alice")?, &texts)?;
    let back = bob.call(
        "message.send",
        json!({"to": "alice", "body": "back", "wait": "delivered"}),
    )?;
    ensure!(back["state"] == "delivered", "{back}");
    Ok(())
}

fn epoch(person: &mut Person) -> Result<u64> {
    let status = person.call("status", json!({}))?;
    Ok(status["epoch"].as_u64().unwrap_or_default())
}
