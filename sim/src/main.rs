//! `hermes-sim`: one run, a table, and the same as JSON in the last line.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser;
use hermes_sim::{Settings, run};

/// Runs people, a modelled sky and modelled keepers on a virtual clock.
///
/// Ends with 0 only if nothing was lost, doubled or misordered.
#[derive(Parser)]
#[command(name = "hermes-sim", version)]
struct Args {
    /// From which all randomness follows.
    #[arg(long, value_name = "N", default_value_t = Settings::default().seed)]
    seed: u64,
    /// People.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(2..))]
    users: u16,
    /// Hours of the virtual clock in which they write.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    hours: u64,
    /// Requests to keepers, and knocks, that are lost, in percent.
    #[arg(long, value_name = "P", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=100))]
    loss: u64,
}

fn main() -> io::Result<ExitCode> {
    let args = Args::parse();
    let outcome = run(Settings {
        seed: args.seed,
        users: args.users.into(),
        hours: args.hours,
        loss_percent: args.loss,
    });
    let mut out = io::stdout().lock();
    write!(out, "{outcome}")?;
    if !outcome.is_good() {
        writeln!(out, "not as promised; again with --seed {}", args.seed)?;
    }
    let mut json = outcome.json();
    if let Some(fields) = json.as_object_mut() {
        fields.insert("seed".to_owned(), args.seed.into());
    }
    writeln!(out, "{json}")?;
    Ok(if outcome.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
