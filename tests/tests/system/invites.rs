//! Invites that cannot be used, and contacts that go.

use anyhow::{Context as _, Result, ensure};
use hermes_tests::person::{Person, befriend};
use hermes_tests::{Lab, Net};
use serde_json::{Value, json};

fn code(result: Result<Value>) -> Result<String> {
    let error = result.err().context("it was accepted")?;
    Ok(format!("{error:#}"))
}

#[test]
fn invites_that_cannot_be_used_say_why() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 3)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    let invite = alice.call("invite.create", json!({}))?;
    let link = invite["invite"].as_str().context("no link")?.to_owned();
    let accept =
        |person: &mut Person, text: &str| person.call("invite.accept", json!({"invite": text}));

    ensure!(
        code(accept(&mut alice, &link))?.contains("1304"),
        "a self-made invite"
    );
    for wrong in [
        "",
        "hello",
        "hermes:",
        &link[..link.len() - 8],
        &link.replacen('a', "b", 3),
    ] {
        let text = code(accept(&mut bob, wrong))?;
        ensure!(text.contains("1301"), "{wrong:?}: {text}");
    }
    accept(&mut bob, &format!("  {}\n", link.to_uppercase()))
        .context("upper case, as a QR code has it")?;
    ensure!(
        code(accept(&mut bob, &link))?.contains("1303"),
        "used a second time by the same person"
    );
    bob.until_established("alice")?;

    alice.until_established("bob")?;

    // Somebody else with the same link is told that it was used. Keepers hear of the revocation a moment after alice is
    // established, so the first of them may come too early to be told at once.
    for name in ["mallory", "oscar", "trudy"] {
        let mut late = Person::new(name, &lab)?;
        accept(&mut late, &link)?;
        for _ in 0..40 {
            let contacts = late.call("contact.list", json!({"state": "failed"}))?;
            if contacts["items"]
                .as_array()
                .is_some_and(|items| !items.is_empty())
            {
                return is_reached_by_the_same_name(&mut alice, &mut late);
            }
            late.call("events.list", json!({"after": "now", "wait_ms": 100}))?;
        }
    }
    anyhow::bail!("nobody was told that the invite was used")
}

/// A contact that never came about does not stand in the way of the one that does, under the same name.
fn is_reached_by_the_same_name(alice: &mut Person, late: &mut Person) -> Result<()> {
    let invite = alice.call("invite.create", json!({}))?;
    let accepted = late.call(
        "invite.accept",
        json!({"invite": invite["invite"], "name": "alice"}),
    )?;
    late.until_established("alice")?;
    let found = late.call("contact.get", json!({"contact": "alice"}))?;
    ensure!(
        found["state"] == "established" && found["contact_id"] == accepted["contact_id"],
        "{found}"
    );
    late.call("message.send", json!({"to": "alice", "body": "at last"}))?;
    Ok(())
}

#[test]
fn an_invite_that_asks_waits_for_the_inviters_word() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 3)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    let invite = alice.call("invite.create", json!({"approval": "ask"}))?;
    bob.call(
        "invite.accept",
        json!({"invite": invite["invite"], "name": "alice"}),
    )?;
    let asked = alice.event_where("a question", |event| {
        event["kind"] == "contact.state" && event["data"]["state"] == "asked"
    })?;
    ensure!(asked["data"]["name"] == "bob", "{asked}");
    alice.call("invite.approve", json!({"contact": "bob"}))?;
    bob.until_established("alice")?;
    alice.until_established("bob")
}

#[test]
fn a_removed_contact_can_neither_write_nor_reach() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 3)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;
    alice.call(
        "message.send",
        json!({"to": "bob", "body": "before", "wait": "delivered"}),
    )?;
    alice.call("contact.remove", json!({"contact": "bob"}))?;
    ensure!(code(alice.send("bob", "x"))?.contains("1101"));
    bob.event_where("the farewell", |event| {
        event["kind"] == "contact.state" && event["data"]["state"] == "removed"
    })?;
    ensure!(bob.received("alice")? == ["before"], "the history stays");
    Ok(())
}
