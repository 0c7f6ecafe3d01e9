//! An earth node under load: receipted deposits in, deposits out to their owner, and what is left after SIGKILL.
//!
//! The load comes from a process of its own, the generator in `load`, so that its cost can be told apart.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Options,
    report::{Goal, Row},
};
use crate::{lab::Lab, nest::Nest, programs::Programs};

const WRITERS: usize = 64;

pub(super) fn measure(
    nest: &Arc<Nest>,
    programs: &Arc<Programs>,
    options: &Options,
) -> Result<Vec<Row>> {
    let count = options.size(50_000, 5_000);
    let mut lab = Lab::start(nest, programs, 1, 1)?;
    let receipts = nest.path().join("receipts");
    let generate = |job: &str, uri: &str| -> Result<Value> {
        load(nest, programs, job, uri, count, &receipts)
    };
    let node = lab.earth.first().context("no earth node")?;
    let pid = node.process.id();
    let before = cpu_s(pid);
    let put = generate("put", &node.uri)?;
    let node_cpu = cpu_s(pid).zip(before).map(|(after, before)| after - before);
    node.process.kill()?;

    lab.restart_earth(0)?;
    let node = lab.earth.first().context("no earth node")?;
    let before = cpu_s(node.process.id());
    let drain = generate("drain", &node.uri)?;
    let drain_cpu = cpu_s(node.process.id())
        .zip(before)
        .map(|(after, before)| after - before);

    let number = |value: &Value, field: &str| {
        value[field]
            .as_f64()
            .with_context(|| format!("the generator told no {field}"))
    };
    let lost = number(&drain, "lost")?;
    let cost = |value: &Value, node: Option<f64>| -> Result<String> {
        let per = |seconds: f64| format!("{:.0} us", seconds * 1e6 / count as f64);
        let node = node.map_or_else(|| "unknown".to_owned(), per);
        Ok(format!(
            "processor time per deposit: node {node}, generator {}",
            per(number(value, "cpu_s")?)
        ))
    };
    let note = format!(
        "{count} deposits, {WRITERS} connections, {lost} lost; {}",
        cost(&put, node_cpu)?
    );
    let samples: Vec<f64> = put["latencies_ms"]
        .as_array()
        .context("no latencies")?
        .iter()
        .filter_map(Value::as_f64)
        .collect();
    let one = "receipted, synced 1 KiB deposits";
    Ok(vec![
        Row::new(&format!("earth node: {one}, 64 writers, signed beforehand"), "deposits/s", Goal::AtLeast(10_000.0), &[number(&put, "rate")?])
            .peer("mosquitto 70-140 000/s and loses all, or 700-1 400/s when it saves every change and still loses some; ed25519 verify_strict 18 000/s a core")
            .note(&note),
        Row::new("the same: receipted deposits lost at SIGKILL", "deposits", Goal::AtMost(0.0), &[lost])
            .note("killed right after the last receipt, counted by its owner after the restart"),
        Row::new("the same: one deposit to its receipt", "ms", Goal::None, &samples),
        Row::new("drain of 50 000 kept 1 KiB deposits by their owner", "deposits/s", Goal::AtLeast(100_000.0), &[number(&drain, "rate")?])
            .peer("mosquitto 200 000/s from memory")
            .note(&format!("{} mailboxes, {} connections one after another; {}", drain["mailboxes"], drain["connections"], cost(&drain, drain_cpu)?)),
    ])
}

fn load(
    nest: &Arc<Nest>,
    programs: &Programs,
    job: &str,
    uri: &str,
    count: usize,
    receipts: &Path,
) -> Result<Value> {
    let mut command = programs.command("xtask")?;
    command
        .args(["load", job, uri, &count.to_string(), &WRITERS.to_string()])
        .arg(receipts);
    let generator = nest.spawn("load", command)?;
    let line = generator.line_at_leisure();
    let (_, status) = generator.finish()?;
    ensure!(
        status.success(),
        "the generator ended with {status}: {}",
        nest.last_words("load")
    );
    let line = line.context("the generator told nothing")?;
    serde_json::from_str(&line).with_context(|| format!("not JSON: {line:?}"))
}

/// Processor time of a process, where /proc tells it.
fn cpu_s(pid: u32) -> Option<f64> {
    super::crowd::cpu_s(pid.into()).ok()
}
