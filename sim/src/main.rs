//! `hermes-sim`: one run, a table, and the same as JSON in the last line if asked for.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use hermes_sim::{Outcome, Replay, Scenario, run};

/// Scenarios that the program carries, by name.
const SCENARIOS: &[(&str, &str)] = &[
    ("quick", include_str!("../scenarios/quick.toml")),
    ("smoke", include_str!("../scenarios/smoke.toml")),
    ("canary", include_str!("../scenarios/canary.toml")),
];

/// Runs people and keepers on a virtual clock, breaks what can break, and checks what Hermes promises.
///
/// Ends with 0 only if no invariant was broken. A run that breaks one leaves a replay file in the current folder.
#[derive(Parser)]
#[command(name = "hermes-sim", version)]
struct Args {
    /// A scenario that comes with the program (quick, smoke, canary), or a TOML file.
    #[arg(
        value_name = "SCENARIO|FILE",
        required_unless_present = "replay",
        conflicts_with = "replay"
    )]
    scenario: Option<String>,
    /// From which all chance follows.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "replay")]
    seed: u64,
    /// People and keepers in all, in the scenario's proportion.
    #[arg(long, value_name = "N", conflicts_with = "replay")]
    nodes: Option<usize>,
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// Repeat a broken run up to where it broke. Ends with 0 if it went the same way.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match (&args.replay, &args.scenario) {
        (Some(file), _) => replay(file, &args),
        (None, Some(scenario)) => simulate(scenario, &args),
        (None, None) => Ok(ExitCode::FAILURE),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn simulate(name: &str, args: &Args) -> Result<ExitCode> {
    let path = Path::new(name);
    let built_in = SCENARIOS.iter().find(|(known, _)| *known == name);
    let text = match built_in {
        Some((_, text)) => (*text).to_owned(),
        None => fs::read_to_string(path).with_context(|| {
            format!("there is no scenario `{name}` in this program, and no file of that name")
        })?,
    };
    let name = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or(name);
    let mut scenario = Scenario::parse(&text, path.parent().unwrap_or(path))?;
    if let Some(nodes) = args.nodes {
        scenario.resize(nodes)?;
    }
    let outcome = run(scenario.clone(), args.seed, None, &mut |line| {
        eprintln!("{name}: {line}")
    })?;
    show(&outcome, name, args.seed)?;
    if let Some(violation) = outcome.violations.first() {
        let file = format!("{name}-{}.replay.toml", args.seed);
        let replay = Replay::of(name, &text, &scenario, args.seed, args.nodes, violation);
        fs::write(&file, toml::to_string(&replay)?)
            .with_context(|| format!("cannot write {file}"))?;
        writeln!(
            io::stdout(),
            "an invariant broke with seed {}; again with --replay {file}",
            args.seed
        )?;
    }
    if args.json {
        writeln!(io::stdout(), "{}", outcome.json(name, args.seed))?;
    }
    Ok(if outcome.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show(outcome: &Outcome, name: &str, seed: u64) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "scenario {name}, seed {seed}")?;
    write!(out, "{outcome}")?;
    Ok(())
}

fn replay(file: &Path, args: &Args) -> Result<ExitCode> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let replay: Replay =
        toml::from_str(&text).with_context(|| format!("{} is no replay file", file.display()))?;
    let scenario = replay.scenario()?;
    let outcome = run(scenario, replay.seed, Some(replay.step), &mut |line| {
        eprintln!("{}: {line}", replay.name)
    })?;
    let mut out = io::stdout().lock();
    writeln!(out, "the last steps: number, time, kind, who")?;
    for line in &outcome.tail {
        writeln!(out, "{line}")?;
    }
    let same = outcome.steps == replay.step && outcome.hash == replay.trace_hash;
    writeln!(out, "it broke here: {}", replay.what)?;
    let word = if same {
        "the same"
    } else {
        "ANOTHER: the code or the system differs"
    };
    writeln!(
        out,
        "trace hash at step {}: {}, {word}",
        outcome.steps, outcome.hash
    )?;
    if args.json {
        writeln!(out, "{}", outcome.json(&replay.name, replay.seed))?;
    }
    Ok(if same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
