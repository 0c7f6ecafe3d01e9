//! Tasks of the project that need its programs: the demo, the benchmarks, the simulator.
//!
//! `cargo demo` is a whole network with two people on this machine. `cargo xtask bench` measures the programs and compares them
//! with the goals. Both build the programs first, start them as a user would, and leave nothing behind: see [`nest`].
#![allow(
    clippy::disallowed_methods,
    reason = "tasks are shells: they measure and wait on the real clock"
)]

use std::process::ExitCode;

#[cfg(unix)]
mod bench;
#[cfg(unix)]
mod demo;
#[cfg(unix)]
mod lab;
#[cfg(feature = "load")]
mod load;
#[cfg(unix)]
mod nest;
#[cfg(unix)]
mod programs;
#[cfg(unix)]
mod rpc;
mod sim;

const USAGE: &str = "\
Usage: cargo xtask <TASK>

Tasks:
  demo    a network, a daemon for you and a robot friend, on this machine
  bench   measure the programs: [--quick] [--json FILE] [--only WORD]
  sim     simulate a network: SCENARIO|FILE [--seed N] [--nodes N] [--json], or --replay FILE
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        ["sim", rest @ ..] => sim::run(rest),
        [task, rest @ ..] => run(task, rest),
        [] => wrong_usage("no task given"),
    }
}

#[cfg(unix)]
fn run(task: &str, arguments: &[&str]) -> ExitCode {
    match (task, arguments) {
        ("demo", []) => nest::supervise("hermes-demo-", demo::run),
        ("demo", _) => wrong_usage("demo takes no arguments"),
        ("bench", _) => match bench::Options::parse(arguments) {
            Ok(options) => nest::supervise("hermes-bench-", move |nest| bench::run(nest, &options)),
            Err(error) => wrong_usage(&error.to_string()),
        },
        #[cfg(feature = "load")]
        ("load", _) => load::run(arguments),
        _ => wrong_usage(&format!("there is no task `{task}`")),
    }
}

#[cfg(not(unix))]
fn run(_task: &str, _arguments: &[&str]) -> ExitCode {
    eprintln!("error: the tasks start and stop programs with Unix signals and do not run here yet");
    ExitCode::FAILURE
}

fn wrong_usage(why: &str) -> ExitCode {
    eprintln!("error: {why}\n\n{USAGE}");
    ExitCode::from(2)
}
