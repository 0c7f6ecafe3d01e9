//! Somebody with ten friends and ten thousand messages: what the daemon costs when nothing happens, and how soon it is back.

use std::{
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    Options, pair,
    report::{Goal, Row},
};
use crate::{
    lab::{Lab, Person},
    nest::Nest,
    programs::Programs,
    rpc::Rpc,
};

const FRIENDS: [&str; 10] = [
    "ada", "ben", "cleo", "dora", "emil", "fay", "gus", "hope", "ivo", "jan",
];

pub(super) fn measure(
    nest: &Arc<Nest>,
    programs: &Arc<Programs>,
    options: &Options,
) -> Result<Vec<Row>> {
    let lab = Lab::start(nest, programs, 3, 6)?;
    let mut owner = lab.person("owner");
    owner.start()?;
    let each = options.size(1_000, 100);
    let mut friends = Vec::new();
    for name in FRIENDS {
        let mut friend = lab.person(name);
        friend.start()?;
        pair::befriend(&owner, &friend)?;
        exchange(&owner, &friend, each)?;
        friends.push(friend);
    }
    let stored = FRIENDS.len() * each;
    let mut rows = idle(&owner, options)?;
    rows.push(ready(&mut owner, stored, options)?);
    owner.stop()?;
    for friend in &mut friends {
        friend.stop()?;
    }
    Ok(rows)
}

/// Half of the messages from each side, all of them delivered.
fn exchange(owner: &Person, friend: &Person, count: usize) -> Result<()> {
    let half = count / 2;
    let (mut ours, mut theirs) = (owner.events("now")?, friend.events("now")?);
    pair::send_pipelined(&mut owner.rpc()?, friend.name, "from the owner", half)?;
    until_received(&mut theirs, half)?;
    pair::send_pipelined(&mut friend.rpc()?, owner.name, "from a friend", half)?;
    until_received(&mut ours, half)
}

fn until_received(events: &mut Rpc, count: usize) -> Result<()> {
    for _ in 0..count {
        let is_message = |event: &Value| event["kind"] == "message.received";
        events.event_where("a message", is_message)?;
    }
    Ok(())
}

fn idle(owner: &Person, options: &Options) -> Result<Vec<Row>> {
    let status = owner.rpc()?.call("status", json!({}))?;
    let pid = status["pid"].as_u64().context("no pid")?;
    if !cfg!(target_os = "linux") {
        return Ok(vec![Row::not_measured(
            "hermesd idle",
            "it is read from /proc",
        )]);
    }
    // What the exchange left to do is no part of being idle.
    thread::sleep(Duration::from_secs(options.size(20, 5) as u64));
    let window = Duration::from_secs(options.size(60, 10) as u64);
    let (before, began) = (cpu_s(pid)?, Instant::now());
    thread::sleep(window);
    let used = cpu_s(pid)? - before;
    let share = used / began.elapsed().as_secs_f64() * 100.0;
    let rss = resident_mib(pid)?;

    let page = owner.rpc()?.call("contact.list", json!({}))?;
    let items = page["items"].as_array().context("no contacts")?;
    let direct = items.iter().filter(|item| item["link"] == "direct").count();
    let note = format!(
        "{} contacts, {direct} of them connected, over {} s",
        items.len(),
        window.as_secs()
    );
    Ok(vec![
        Row::new(
            "hermesd idle, 10 contacts, connected: memory",
            "MiB",
            Goal::AtMost(24.0),
            &[rss],
        )
        .peer("Tox 4 MiB; Delta Chat 13 MiB")
        .note("VmRSS after the messages were exchanged, without a restart"),
        Row::new(
            "hermesd idle, 10 contacts, connected: share of a core",
            "%",
            Goal::AtMost(0.1),
            &[share],
        )
        .peer("Tox 0.4 %")
        .note(&note),
    ])
}

/// From the start of the process to its `ready`, and what it holds then.
fn ready(owner: &mut Person, stored: usize, options: &Options) -> Result<Row> {
    let mut samples = Vec::new();
    for _ in 0..options.size(20, 5) {
        owner.stop()?;
        let began = Instant::now();
        owner.start()?;
        samples.push(pair::millis(began.elapsed()));
    }
    let page = owner.rpc()?.call("contact.list", json!({}))?;
    let contacts = page["items"].as_array().map_or(0, Vec::len);
    ensure!(contacts == FRIENDS.len(), "{contacts} contacts are left");
    let note = format!("{stored} messages with {contacts} contacts, from the start of the process");
    let what = "hermesd: `ready` with 10 contacts and 10 000 messages, store key at hand";
    Ok(Row::new(what, "ms", Goal::AtMost(60.0), &samples)
        .peer("Delta Chat 12 ms")
        .note(&note))
}

/// Clock ticks a second in /proc, the same on every Linux that we know.
const TICKS: f64 = 100.0;

/// Processor time of a process in seconds. It has to be the count of the process: the sum over its threads loses what those did that
/// have ended meanwhile, and may even fall.
pub(super) fn cpu_s(pid: u64) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name stands in parentheses and may hold anything.
    let (_, fields) = text.rsplit_once(')').context("an odd stat file")?;
    let mut ticks = 0;
    for field in fields.split_whitespace().skip(11).take(2) {
        ticks += field.parse::<u64>()?;
    }
    Ok(ticks as f64 / TICKS)
}

pub(super) fn resident_mib(pid: u64) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
    Ok(kib.parse::<f64>()? / 1024.0)
}
