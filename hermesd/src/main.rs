//! hermesd: arguments, logging and the runtime; everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use hermesd::args::{Cli, Command};
use hermesd::run;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    if cli.openrpc {
        let document = hermes_api::table::document();
        println!(
            "{}",
            serde_json::to_string_pretty(&document).unwrap_or_default()
        );
        return ExitCode::SUCCESS;
    }
    let Some(Command::Run(args)) = cli.command else {
        eprintln!("hermesd: say what to do, usually: hermesd run (see --help)");
        return ExitCode::from(64);
    };
    if let Err(error) = hermes_link::log_to_stderr(&args.log) {
        eprintln!("hermesd: --log {}: {error}", args.log);
        return ExitCode::from(64);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("hermesd: {error}");
            return ExitCode::from(74);
        }
    };
    match runtime.block_on(run::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hermesd: {:#}", failure.error);
            ExitCode::from(failure.status)
        }
    }
}
