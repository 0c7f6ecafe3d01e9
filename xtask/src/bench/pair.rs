//! Two people: how fast a message is there, how many go through, how soon they reach each other.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::{
    Options,
    report::{Goal, Row},
};
use crate::{
    lab::{Lab, Person, until_established},
    nest::{Nest, PATIENCE},
    programs::Programs,
    rpc::Rpc,
};

/// Messages that may be without answer while the throughput is measured.
const IN_FLIGHT: usize = 512;

/// Messages kept for somebody who is away.
const KEPT: usize = 200;

pub(super) fn measure(
    nest: &Arc<Nest>,
    programs: &Arc<Programs>,
    options: &Options,
) -> Result<Vec<Row>> {
    let lab = Lab::start(nest, programs, 3, 6)?;
    let (mut alice, mut bob) = (lab.person("alice"), lab.person("bob"));
    alice.start()?;
    bob.start()?;
    befriend(&alice, &bob)?;
    let mut began = Instant::now();
    let mut or_why = |what: &str, row: Result<Row>| {
        let took = std::mem::replace(&mut began, Instant::now()).elapsed();
        eprintln!("  {what}: {:.1} s", took.as_secs_f64());
        row.unwrap_or_else(|error| Row::not_measured(what, &format!("{error:#}")))
    };
    let rows = vec![
        or_why("direct message", latency(&alice, &bob, options)),
        or_why("`hermes-cli status`", status(&alice, options)),
        or_why(
            "reachable directly",
            reachable(&mut alice, &mut bob, options),
        ),
        or_why("200 kept messages", kept(&mut alice, &mut bob, options)),
        or_why("one direction", throughput(&alice, &bob, options)),
    ];
    Ok(rows)
}

/// Makes two people with daemons friends; both get their names here.
pub(super) fn befriend(inviter: &Person, invitee: &Person) -> Result<()> {
    for person in [inviter, invitee] {
        let mut rpc = person.rpc()?;
        if rpc.call("status", json!({}))?["initialized"] != true {
            rpc.call("identity.init", json!({"name": person.name}))?;
        }
    }
    let (mut theirs, mut ours) = (inviter.events("now")?, invitee.events("now")?);
    let invite = inviter.rpc()?.call("invite.create", json!({}))?;
    let params = json!({"invite": invite["invite"], "name": inviter.name});
    invitee.rpc()?.call("invite.accept", params)?;
    until_established(&mut ours, inviter.name)?;
    until_established(&mut theirs, invitee.name)
}

fn latency(alice: &Person, bob: &Person, options: &Options) -> Result<Row> {
    let (mut sender, mut receiver) = (alice.rpc()?, bob.events("now")?);
    let (warm_up, count) = (50, options.size(2_000, 300));
    let mut samples = Vec::with_capacity(count);
    for n in 0..warm_up + count {
        let body = format!("latency {n}");
        let began = Instant::now();
        sender.send("message.send", json!({"to": bob.name, "body": body}))?;
        receiver.event_where("a message", |event| is_received(event, &body))?;
        if n >= warm_up {
            samples.push(millis(began.elapsed()));
        }
        ensure!(sender.answer()?.get("error").is_none(), "not accepted");
    }
    let what = "direct message, `message.send` to the friend's `message.received`";
    Ok(Row::new(what, "ms", Goal::Latency(1.0, 5.0), &samples)
        .peer("Tox 25 ms (its usual loop), no disk; quinn round trip 0.07 ms + two fdatasync of 0.085 ms"))
}

fn throughput(alice: &Person, bob: &Person, options: &Options) -> Result<Row> {
    let count = options.size(20_000, 3_000);
    let (mut states, mut received) = (alice.events("now")?, bob.events("now")?);
    let mut sender = alice.rpc()?;
    let began = Instant::now();
    let acknowledged = thread::spawn(move || -> Result<Instant> {
        let mut delivered = 0;
        while delivered < count {
            let event = states.event()?;
            let state = event["data"]["state"].as_str();
            if event["kind"] == "message.state" && state == Some("delivered") {
                delivered += 1;
            }
        }
        Ok(Instant::now())
    });
    let arrived = thread::spawn(move || -> Result<(Instant, Vec<String>)> {
        let bodies = receive(&mut received, count)?;
        Ok((Instant::now(), bodies))
    });
    send_pipelined(&mut sender, bob.name, "rate", count)?;
    let acknowledged = join(acknowledged)?;
    let (arrived, bodies) = join(arrived)?;
    let order = check_order(alice, bob.name, "rate", &bodies)?;
    let end = acknowledged.max(arrived);
    let rate = count as f64 / end.duration_since(began).as_secs_f64();
    let note = format!("{count} messages, {IN_FLIGHT} calls in flight on one connection; {order}");
    let what = "one direction, acknowledged, senders pipelined";
    Ok(
        Row::new(what, "messages/s", Goal::AtLeast(10_000.0), &[rate])
            .peer("Tox 16 000/s at its best burst, no disk; Olm encrypt 40 000/s a core")
            .note(&note),
    )
}

fn join<T>(thread: thread::JoinHandle<Result<T>>) -> Result<T> {
    match thread.join() {
        Ok(outcome) => outcome,
        Err(_) => bail!("a listening thread panicked"),
    }
}

/// The texts of the next messages.
fn receive(events: &mut Rpc, count: usize) -> Result<Vec<String>> {
    let mut bodies = Vec::with_capacity(count);
    while bodies.len() < count {
        let event = events.event_where("a message", |event| event["kind"] == "message.received")?;
        bodies.push(
            event["data"]["body"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        );
    }
    Ok(bodies)
}

/// Says whether what arrived is what was sent, each once and in the order of the sender's own store.
fn check_order(sender: &Person, chat: &str, text: &str, received: &[String]) -> Result<String> {
    let prefix = format!("{text} ");
    let history = sender.history(chat)?.into_iter();
    let sent: Vec<String> = history
        .filter(|(direction, body)| direction == "out" && body.starts_with(&prefix))
        .map(|(_, body)| body)
        .collect();
    let in_order = sent == received;
    let (mut ours, mut theirs) = (sent.clone(), received.to_vec());
    ours.sort();
    theirs.sort();
    ensure!(
        ours == theirs,
        "not what was sent: {} of {}",
        received.len(),
        sent.len()
    );
    let as_called = sent
        .iter()
        .enumerate()
        .all(|(n, body)| *body == format!("{prefix}{n}"));
    let order = match (in_order, as_called) {
        (true, true) => "each arrived once and in order",
        (true, false) => {
            "each arrived once and in the sender's order, which is not that of the pipelined calls"
        }
        (false, _) => "each arrived once, but NOT IN THE SENDER'S ORDER",
    };
    Ok(order.to_owned())
}

/// Sends so many numbered texts, many of them before the first is answered.
pub(super) fn send_pipelined(rpc: &mut Rpc, to: &str, text: &str, count: usize) -> Result<()> {
    let mut answered = 0;
    for n in 0..count {
        rpc.send(
            "message.send",
            json!({"to": to, "body": format!("{text} {n}")}),
        )?;
        while n + 1 - answered >= IN_FLIGHT {
            expect_sent(rpc)?;
            answered += 1;
        }
    }
    for _ in answered..count {
        expect_sent(rpc)?;
    }
    Ok(())
}

fn expect_sent(rpc: &mut Rpc) -> Result<()> {
    let answer = rpc.answer()?;
    ensure!(answer.get("error").is_none(), "not accepted: {answer}");
    Ok(())
}

fn status(alice: &Person, options: &Options) -> Result<Row> {
    let mut samples = Vec::new();
    for _ in 0..options.size(200, 20) {
        let began = Instant::now();
        alice.cli(&["status"])?;
        samples.push(millis(began.elapsed()));
    }
    Ok(Row::new(
        "`hermes-cli status` as a process",
        "ms",
        Goal::AtMost(20.0),
        &samples,
    ))
}

/// Both daemons start at the same time; the clock runs from the later `ready` to the direct connection.
fn reachable(alice: &mut Person, bob: &mut Person, options: &Options) -> Result<Row> {
    let mut samples = Vec::new();
    for _ in 0..options.size(20, 5) {
        alice.stop()?;
        bob.stop()?;
        let (ours, theirs) = (alice.spawn_daemon()?, bob.spawn_daemon()?);
        ours.ready()?;
        theirs.ready()?;
        let began = Instant::now();
        // Asked again and again: an event could pass before the daemon counts us among its listeners.
        let mut rpc = alice.rpc()?;
        while rpc.call("contact.list", json!({}))?["items"][0]["link"] != "direct" {
            ensure!(
                began.elapsed() < PATIENCE * 2,
                "not reachable after {PATIENCE:?} twice"
            );
            thread::sleep(Duration::from_millis(1));
        }
        samples.push(millis(began.elapsed()));
        (alice.daemon, bob.daemon) = (Some(ours), Some(theirs));
    }
    let slow = samples.iter().filter(|&&took| took > 1_000.0).count();
    let what = "from both daemons `ready` to the contact reachable directly";
    Ok(Row::new(what, "ms", Goal::AtMost(200.0), &samples)
        .peer("Tox 10 s")
        .note(&format!(
            "both stopped in good order before; {slow} of {} rounds took over a second",
            samples.len()
        )))
}

fn kept(alice: &mut Person, bob: &mut Person, options: &Options) -> Result<Row> {
    let (mut samples, mut order) = (Vec::new(), String::new());
    for round in 0..options.size(10, 3) {
        let cursor = bob.rpc()?.call("hello", json!({}))?["cursor"].clone();
        let cursor = cursor.as_str().context("no cursor")?.to_owned();
        bob.stop()?;
        let mut states = alice.events("now")?;
        let text = format!("kept {round}");
        send_pipelined(&mut alice.rpc()?, bob.name, &text, KEPT)?;
        until_kept(&mut states, KEPT)?;
        alice.stop()?;
        bob.start()?;
        let began = Instant::now();
        let mut events = bob.events(&cursor)?;
        let bodies = receive(&mut events, KEPT)?;
        samples.push(millis(began.elapsed()));
        alice.start()?;
        order = check_order(alice, bob.name, &text, &bodies)?;
    }
    let what = "200 messages kept for an absent friend, shown after his daemon's `ready`";
    Ok(Row::new(what, "ms", Goal::AtMost(500.0), &samples)
        .note(&format!(
            "each kept by 3 or more of 5 keepers, and the sender's daemon off, so that all of them come from keepers; {order}"
        )))
}

fn until_kept(states: &mut Rpc, count: usize) -> Result<()> {
    let mut kept = std::collections::HashSet::new();
    states.event_where("all messages kept", |event| {
        if event["kind"] == "message.state" && event["data"]["state"] == "kept" {
            kept.insert(event["data"]["message_id"].to_string());
        }
        kept.len() >= count
    })?;
    Ok(())
}

fn is_received(event: &Value, body: &str) -> bool {
    event["kind"] == "message.received" && event["data"]["body"] == body
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
