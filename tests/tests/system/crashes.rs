//! SIGKILL at any instant: nothing is lost, doubled or out of order, and no event is missed.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hermes_tests::person::{Person, befriend, exactly_in_order};
use hermes_tests::{Lab, Net};
use serde_json::{Value, json};

/// Messages each way, and how often a daemon is killed meanwhile.
const MESSAGES: usize = 250;
const KILLS: usize = 50;

/// A small generator, so that a failure can be run again with its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Sends with a key of its own until the daemon has said that it is accepted; the daemon may die at any point of it.
fn send_surely(person: &mut Person, to: &str, n: usize, kill: Option<Duration>) -> Result<()> {
    let params = json!({"to": to, "body": format!("{} {n}", person.name), "idempotency_key": format!("{}-{n}", person.name)});
    if let Some(wait) = kill {
        // The kill comes while the call is on its way: before, in the middle of, or after its commit.
        let pid = person.daemon().context("no daemon")?.process.pid();
        let (stop, stopped) = mpsc::channel::<()>();
        let killer = std::thread::spawn(move || {
            let _ = stopped.recv_timeout(wait);
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok()
        });
        let _ = person.call("message.send", params.clone());
        killer
            .join()
            .ok()
            .flatten()
            .context("the daemon was not killed")?;
        drop(stop);
        person.kill()?;
        person.start()?;
    }
    person.call("message.send", params).map(drop)
}

#[test]
fn fifty_kills_while_five_hundred_messages_flow() -> Result<()> {
    let seed = std::env::var("HERMES_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0x9e37_79b9_7f4a_7c15);
    println!("HERMES_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let lab = Lab::start(Net::lab(), 3, 6)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;

    let mut kills: BTreeSet<usize> = BTreeSet::new();
    while kills.len() < KILLS {
        kills.insert(usize::try_from(dice.below(2 * MESSAGES as u64))?);
    }
    for n in 0..2 * MESSAGES {
        let kill = kills
            .contains(&n)
            .then(|| Duration::from_micros(dice.below(8_000)));
        let (person, to) = if n % 2 == 0 {
            (&mut alice, "bob")
        } else {
            (&mut bob, "alice")
        };
        send_surely(person, to, n / 2 + 1, kill)
            .with_context(|| format!("message {n}, seed {seed}"))?;
    }
    let expected = |name: &str| {
        (1..=MESSAGES)
            .map(|n| format!("{name} {n}"))
            .collect::<Vec<_>>()
    };
    until_received(&mut bob, "alice", MESSAGES)?;
    until_received(&mut alice, "bob", MESSAGES)?;
    exactly_in_order(&bob.received("alice")?, &expected("alice"))
        .with_context(|| format!("bob's, seed {seed}"))?;
    exactly_in_order(&alice.received("bob")?, &expected("bob"))
        .with_context(|| format!("alice's, seed {seed}"))
}

/// Waits until so many messages of a friend are shown.
fn until_received(person: &mut Person, from: &str, count: usize) -> Result<()> {
    let deadline = Instant::now() + 2 * hermes_tests::PATIENCE;
    loop {
        let received = person.received(from)?.len();
        if received >= count {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{} has {received} of {count}",
            person.name
        );
        person.call("events.list", json!({"after": "now", "wait_ms": 100}))?;
    }
}

#[test]
fn a_client_that_comes_back_by_cursor_sees_every_event() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 3)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;
    let mut seen: Vec<Value> = Vec::new();
    let mut sent = 0;
    for round in 0..5 {
        for _ in 0..10 {
            sent += 1;
            alice.send("bob", &format!("event {sent}"))?;
        }
        // Reads some of them, then the daemon dies under the reader.
        while seen.len() < round * 10 + 5 {
            let event =
                bob.event_where("a message", |event| event["kind"] == "message.received")?;
            seen.push(event["data"]["body"].clone());
        }
        bob.kill()?;
        bob.start()?;
    }
    while seen.len() < sent {
        let event = bob.event_where("a message", |event| event["kind"] == "message.received")?;
        seen.push(event["data"]["body"].clone());
    }
    let expected: Vec<Value> = (1..=sent).map(|n| json!(format!("event {n}"))).collect();
    ensure!(seen == expected, "{seen:?}");
    Ok(())
}

#[test]
fn a_keeper_that_is_killed_has_every_deposit_that_it_receipted() -> Result<()> {
    let mut lab = Lab::start(Net::lab(), 1, 3)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;
    bob.stop()?;
    let last = alice.send("bob", "through three crashes")?["message_id"].take();
    alice.until_state(&last, "kept")?;
    alice.stop()?;
    for keeper in &mut lab.earth {
        keeper.restart()?;
    }
    bob.start()?;
    let got = bob.event_where("the message", |event| event["kind"] == "message.received")?;
    ensure!(got["data"]["body"] == "through three crashes", "{got}");
    Ok(())
}
