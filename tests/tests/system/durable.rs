//! What the system sees: nothing is promised, shown or sent before the disk has it.
//!
//! Programs run under `strace`, which shows when `fdatasync` on a database's journal returned. SIGKILL cannot show this, since
//! what was written and not synced survives it. Texts are long, so that a packet which carries one can be told from all others by its
//! size although nobody can read it. Every check also gets the same trace with the syncs taken out, and with each moved behind what it
//! must precede, and has to refuse both.
//!
//! The checks need `strace`. Where it is missing they say so and pass, unless `HERMES_REQUIRE_TOOLS` is set, as the continuous
//! integration does.

mod trace;

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use hermes_tests::person::{Person, befriend};
use hermes_tests::{Daemon, Lab, Net, Process, command};
use serde_json::Value;

use trace::{Call, Kind, Trace, now_us, traced};

/// Characters of each text.
const BODY: usize = 12_000;

/// A keeper's answer with a receipt is longer than this; packets that only acknowledge others are shorter.
const RECEIPT_MIN: usize = 100;

/// Probes for longer packets are this long or longer, and receipts are not.
const PROBE_MIN: usize = 1_200;

/// How many texts of each kind are sent.
const TEXTS: usize = 5;

/// A text that was sent, and when on the trace's clock it was on its way.
struct Sent {
    token: String,
    id: String,
    during_us: Range<u128>,
}

impl Sent {
    fn covers(&self, call: &Call) -> bool {
        self.during_us.contains(&call.at_us)
    }
}

fn send_until(person: &mut Person, n: usize, state: &str) -> Result<Sent> {
    let token = format!("text {n} {state} ");
    let body = token.clone() + &"x".repeat(BODY);
    let begin = now_us();
    let id = person.send("bob", &body)?["message_id"].take();
    person.until_state(&id, state)?;
    Ok(Sent {
        token,
        id: text(&id)?,
        during_us: begin..now_us(),
    })
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("not a string")?.to_owned())
}

#[test]
fn the_disk_has_a_message_before_it_is_answered_sent_or_shown() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 3)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;
    bob.stop()?;
    alice.stop()?;
    let Some(alices) = start_traced(&mut alice)? else {
        return Ok(());
    };
    let mut sent = Vec::new();
    for n in 0..TEXTS {
        sent.push(send_until(&mut alice, n, "kept")?);
    }
    let Some(bobs) = start_traced(&mut bob)? else {
        return Ok(());
    };
    let mut shown = Vec::new();
    for n in 0..=TEXTS {
        let text = send_until(&mut alice, n, "delivered")?;
        let id = Value::from(text.id.clone());
        bob.event_where("the text", |event| {
            event["kind"] == "message.received" && event["data"]["message_id"] == id
        })?;
        shown.push(text);
    }
    // When the first came, no link stood yet and nobody listened to the events.
    shown.remove(0);
    alice.stop()?;
    bob.stop()?;

    let alices = alices.finish()?;
    for text in sent.iter().chain(&shown) {
        holds(&alices, |calls| answered_and_sent_after_sync(calls, text))?;
    }
    let bobs = bobs.finish()?;
    for text in &shown {
        holds(&bobs, |calls| shown_after_sync(calls, text))?;
    }
    Ok(())
}

#[test]
fn the_disk_has_a_deposit_before_its_receipt_leaves() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 2)?;
    // The third of the three keepers that have to give receipts.
    let data = tempfile::tempdir()?;
    let mut keeper = command("hermes-earth")?;
    keeper
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(data.path());
    keeper.arg("--network").arg(lab.net.name());
    for uri in lab.sky_uris() {
        keeper.args(["--sky", uri]);
    }
    let Some((keeper, trace)) = traced(&keeper)? else {
        return Ok(());
    };
    let mut keeper = Process::spawn("hermes-earth", keeper)?;
    keeper.ready()?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;
    bob.stop()?;
    // The first finds no connection to the keepers yet; the others do.
    send_until(&mut alice, 0, "kept")?;
    let mut sent = Vec::new();
    for n in 1..=TEXTS {
        sent.push(send_until(&mut alice, n, "kept")?);
    }
    ensure!(
        keeper.terminate()?.success(),
        "hermes-earth did not end well"
    );

    let calls = trace.finish()?;
    for text in &sent {
        holds(&calls, |calls| receipted_after_sync(calls, text))?;
    }
    Ok(())
}

/// Starts a person's daemon under observation.
fn start_traced(person: &mut Person) -> Result<Option<Trace>> {
    let Some((command, trace)) = traced(&Daemon::command(&person.home)?)? else {
        return Ok(None);
    };
    person.start_by(command)?;
    Ok(Some(trace))
}

/// Checks a trace, and that the check means something: without the syncs, and with late ones, it fails.
fn holds(calls: &[Call], check: impl Fn(&[Call]) -> Result<()>) -> Result<()> {
    check(calls)?;
    let without: Vec<Call> = calls
        .iter()
        .filter(|call| !call.is_sync())
        .cloned()
        .collect();
    ensure!(
        check(&without).is_err(),
        "the check does not need the syncs"
    );
    let last = calls
        .iter()
        .map(|call| call.ended)
        .max()
        .unwrap_or_default();
    let late = calls.iter().cloned().map(|mut call| {
        if call.is_sync() {
            (call.began, call.ended) = (call.began + last, call.ended + last);
        }
        call
    });
    ensure!(
        check(&late.collect::<Vec<_>>()).is_err(),
        "the check takes late syncs"
    );
    Ok(())
}

/// The first sync that began after one line of the trace, and where it returned.
fn synced_after(calls: &[Call], line: usize) -> Result<usize> {
    let sync = calls
        .iter()
        .find(|call| call.is_sync() && call.began > line);
    Ok(sync.context("no sync at all")?.ended)
}

/// From the request to the answer, and to the packets that carry the text to the friend or to keepers.
fn answered_and_sent_after_sync(calls: &[Call], text: &Sent) -> Result<()> {
    let mut of_text = calls.iter().filter(|call| text.covers(call));
    let first = of_text
        .find(|call| call.is_read() && call.kind == Kind::Unix && call.text.contains(&text.token))
        .context("the request was not seen")?;
    let answer = of_text
        .find(|call| call.is_write() && call.fd == first.fd)
        .context("the answer was not seen")?;
    ensure!(answer.text.contains(&text.id), "another answer: {answer:?}");
    let came = calls
        .iter()
        .filter(|call| call.is_read() && call.fd == first.fd && call.ended < answer.began)
        .map(|call| call.ended)
        .max()
        .context("nothing was read")?;
    let synced = synced_after(calls, came)?;
    ensure!(
        synced < answer.began,
        "{}: answered in line {}, synced in line {synced}",
        text.token,
        answer.began
    );
    let bytes = |lines: Range<usize>| -> usize {
        let of_text = calls
            .iter()
            .filter(|call| text.covers(call) && call.is_write());
        let within = of_text.filter(|call| lines.contains(&call.began));
        within
            .flat_map(Call::datagrams)
            .map(|datagram| datagram.bytes)
            .sum()
    };
    let (before, after) = (bytes(came..synced), bytes(synced..usize::MAX));
    ensure!(
        before < BODY / 2 && after >= BODY,
        "{}: {before} bytes were sent before the sync and {after} after it",
        text.token
    );
    Ok(())
}

/// From the packets that bring the text to the event that tells of it.
fn shown_after_sync(calls: &[Call], text: &Sent) -> Result<()> {
    let (came, _) = body_came(calls, text)?;
    let told = calls
        .iter()
        .find(|call| call.is_write() && call.kind == Kind::Unix && call.text.contains(&text.token))
        .context("the event was not seen")?;
    let synced = synced_after(calls, came)?;
    ensure!(
        synced < told.began,
        "{}: shown in line {}, synced in line {synced}",
        text.token,
        told.began
    );
    Ok(())
}

/// From the packets that bring a deposit to the one that carries the receipt back.
fn receipted_after_sync(calls: &[Call], text: &Sent) -> Result<()> {
    let (came, port) = body_came(calls, text)?;
    let receipt = calls
        .iter()
        .filter(|call| text.covers(call) && call.is_write() && call.began > came)
        .find(|call| {
            let sent = call.datagrams();
            let mut back = sent.iter().filter(|datagram| datagram.port == port);
            back.any(|datagram| (RECEIPT_MIN..PROBE_MIN).contains(&datagram.bytes))
        })
        .context("the receipt was not seen")?;
    let synced = synced_after(calls, came)?;
    ensure!(
        synced < receipt.began,
        "{}: receipted in line {}, synced in line {synced}",
        text.token,
        receipt.began
    );
    Ok(())
}

/// Where so many bytes had come from one port that the text must be among them, and from which.
fn body_came(calls: &[Call], text: &Sent) -> Result<(usize, u16)> {
    let mut from = std::collections::BTreeMap::<u16, usize>::new();
    let mut reads: Vec<&Call> = calls
        .iter()
        .filter(|call| text.during_us.end > call.at_us && call.is_read())
        .collect();
    // A read may wait for long: what counts is when it returned, and that is known by its line.
    let begin = calls
        .iter()
        .filter(|call| call.at_us < text.during_us.start);
    let begin = begin.map(|call| call.began).max().unwrap_or_default();
    reads.retain(|call| call.ended > begin);
    reads.sort_by_key(|call| call.ended);
    for call in reads {
        for datagram in call.datagrams() {
            let bytes = from.entry(datagram.port).or_default();
            *bytes += datagram.bytes;
            if *bytes >= BODY {
                return Ok((call.ended, datagram.port));
            }
        }
    }
    anyhow::bail!("{}: the text did not come: {from:?}", text.token)
}
