//! The load generator of the benchmarks: depositors and an owner at one keeper.
//!
//! It runs as a process of its own and prints one line of JSON. Everything is made from numbers, so that a second run knows the
//! mailboxes that the first has filled.

use std::{
    collections::HashSet,
    fs,
    net::Ipv4Addr,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use hermes_earth::client::EarthClient;
use hermes_link::{Endpoint, EndpointConfig, Profile};
use hermes_wire::{
    Network,
    address::{Chain, Generation, OwnerEpoch, Writer},
    deposit::{Bucket, Deposit, DepositRef, Draft},
    ids::Slot,
    node::{Flags, NodeRecord, NodeUri, RecordBody, Role},
};
use serde_json::{Value, json};

/// Deposits in one mailbox; a slot's quota of bytes allows some more.
const PER_MAILBOX: usize = 500;

/// Mailboxes that the owner opens on one connection; a keeper bounds them.
const PER_CONNECTION: usize = 50;

/// How long a dial may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `load JOB URI COUNT WRITERS RECEIPTS`.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    match job(arguments) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn job(arguments: &[&str]) -> Result<Value> {
    let [job, uri, count, writers, receipts] = arguments else {
        bail!("usage: load put|drain URI COUNT WRITERS RECEIPTS");
    };
    let uri: NodeUri = uri.parse()?;
    let (count, writers): (usize, usize) = (count.parse()?, writers.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match *job {
        "put" => {
            let (answer, ids) = runtime.block_on(put(&uri, count, writers))?;
            fs::write(receipts, ids.join("\n")).context("writing the receipts")?;
            Ok(answer)
        }
        "drain" => {
            let text = fs::read_to_string(receipts).context("reading the receipts")?;
            let receipted: HashSet<String> = text.lines().map(str::to_owned).collect();
            runtime.block_on(drain(&uri, count, receipted))
        }
        _ => bail!("there is no job {job}"),
    }
}

/// Somebody with a mailbox, and the friend who writes into it.
struct Pair {
    owner: OwnerEpoch,
    writer: Writer,
}

impl Pair {
    fn new(net: &Network, number: usize) -> Result<Self> {
        let mut seed = [0x5a; 32];
        seed.get_mut(..8)
            .context("a short seed")?
            .copy_from_slice(&(number as u64).to_le_bytes());
        // An epoch that does not end while the measurement runs.
        let epoch = net.epoch(hour_start());
        let (generation, chain) = (Generation::new(net, 0, seed), Chain::new(seed));
        let owner = generation.epoch(net, epoch, &chain, None);
        let slot = Slot::new(3).context("no such slot")?;
        let bundle = generation.bundle(net, slot, epoch, &chain);
        let view = bundle.view(net, epoch).context("no view of the epoch")?;
        let writer = view.writer(0).context("no write key")?.clone();
        Ok(Self { owner, writer })
    }

    fn deposit(&self, net: &Network, n: usize) -> Result<(Vec<u8>, String)> {
        let draft = Draft {
            descriptor: &self.owner.descriptor,
            writer: &self.writer,
            expiry: net.expiry_stamp(unix_s() + 86_400),
            bucket: Bucket::Small,
        };
        let mut random = [7; 32];
        random
            .get_mut(..8)
            .context("too little randomness")?
            .copy_from_slice(&(n as u64).to_le_bytes());
        // Contents that do not compress, as those of people do not.
        let (deposit, located) = Deposit::build(net, &draft, &[9; 32], &random, &random)?;
        Ok((deposit.into_bytes(), located.id.to_string()))
    }
}

async fn put(uri: &NodeUri, count: usize, writers: usize) -> Result<(Value, Vec<String>)> {
    let net = Network::lab();
    let mut shares: Vec<Vec<(Vec<u8>, String)>> = (0..writers).map(|_| Vec::new()).collect();
    for first in (0..count).step_by(PER_MAILBOX) {
        let pair = Pair::new(&net, first / PER_MAILBOX)?;
        for n in first..count.min(first + PER_MAILBOX) {
            let share = shares.get_mut(n % writers).context("no writers")?;
            share.push(pair.deposit(&net, n)?);
        }
    }
    let endpoint = endpoint()?;
    let record = record(&net, uri)?;
    let mut clients = Vec::new();
    for _ in 0..writers {
        clients.push(EarthClient::connect(&endpoint, &net, &record, PATIENCE).await?);
    }

    let (cpu, began) = (cpu_s(), Instant::now());
    let tasks: Vec<_> = clients
        .into_iter()
        .zip(shares)
        .map(|(client, share)| tokio::spawn(write(client, share)))
        .collect();
    let (mut ids, mut latencies) = (Vec::new(), Vec::new());
    for task in tasks {
        let (receipted, took) = task.await??;
        ids.extend(receipted);
        latencies.extend(took);
    }
    let seconds = began.elapsed().as_secs_f64();
    let answer = json!({
        "rate": ids.len() as f64 / seconds,
        "receipts": ids.len(),
        "cpu_s": cpu_s() - cpu,
        "latencies_ms": latencies,
    });
    Ok((answer, ids))
}

/// One writer: the next deposit after the receipt for the last.
async fn write(
    client: EarthClient,
    share: Vec<(Vec<u8>, String)>,
) -> Result<(Vec<String>, Vec<f64>)> {
    let (mut ids, mut latencies) = (Vec::new(), Vec::new());
    for (record, id) in share {
        let began = Instant::now();
        client.put(&record).await?;
        latencies.push(began.elapsed().as_secs_f64() * 1e3);
        ids.push(id);
    }
    Ok((ids, latencies))
}

async fn drain(uri: &NodeUri, count: usize, receipted: HashSet<String>) -> Result<Value> {
    let net = Network::lab();
    let mailboxes = count.div_ceil(PER_MAILBOX);
    let pairs: Vec<Pair> = (0..mailboxes)
        .map(|number| Pair::new(&net, number))
        .collect::<Result<_>>()?;
    let (endpoint, record) = (endpoint()?, record(&net, uri)?);
    let (cpu, began) = (cpu_s(), Instant::now());
    let mut records = Vec::with_capacity(count);
    for pairs in pairs.chunks(PER_CONNECTION) {
        let client = EarthClient::connect(&endpoint, &net, &record, PATIENCE).await?;
        for pair in pairs {
            fetch(&client, pair, &mut records).await?;
        }
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_s() - cpu);
    let mut missing = receipted;
    for record in &records {
        let located = DepositRef::parse(record)?.locate(&net);
        missing.remove(&located.id.to_string());
    }
    Ok(json!({
        "rate": records.len() as f64 / seconds,
        "records": records.len(),
        "mailboxes": mailboxes,
        "connections": mailboxes.div_ceil(PER_CONNECTION),
        "lost": missing.len(),
        "cpu_s": cpu,
    }))
}

/// Reads a whole mailbox.
async fn fetch(client: &EarthClient, pair: &Pair, records: &mut Vec<Bytes>) -> Result<()> {
    let opened = client.open(&pair.owner.key, pair.owner.descriptor).await?;
    let mut after = 0;
    loop {
        let page = client.fetch(opened.handle, after).await?;
        after = page.items.last().map_or(after, |(seq, _)| *seq);
        records.extend(page.items.into_iter().map(|(_, record)| record));
        if !page.more {
            return Ok(());
        }
    }
}

fn endpoint() -> Result<Endpoint> {
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    Ok(Endpoint::bind(EndpointConfig::new(any, Profile::Earth))?)
}

/// A record that leads to the node; who signed it does not matter to a client that was given the key.
fn record(net: &Network, uri: &NodeUri) -> Result<NodeRecord> {
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let body = RecordBody {
        role: Role::Earth,
        flags: Flags::DIRECT,
        hpke_key: [0; 32],
        seq: 1,
        expires: unix_s() + 3_600,
        slot: 0,
        addrs: vec![uri.addr],
    };
    let mut record = NodeRecord::sign(net, &key, body)?;
    record.node = uri.node;
    Ok(record)
}

fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The beginning of this hour: two runs in a row agree on it, but for one that straddles the end of an epoch.
fn hour_start() -> u64 {
    unix_s() / 3_600 * 3_600
}

/// Processor time of this process, threads that have ended included; in ticks of a hundredth of a second.
fn cpu_s() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|field| field.parse::<u64>().ok())
        .sum::<u64>() as f64
        / 100.0
}
