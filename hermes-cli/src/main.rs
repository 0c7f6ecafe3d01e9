//! `hermes-cli`, the scripting face of Hermes.
//!
//! Each subcommand is a file under [`cmds`]; it reads its arguments, asks the daemon through
//! [`door`] and shows the answer through [`output`], which is the only place that writes to the
//! terminal and makes everything fit to be shown there. What goes wrong is a [`fault::Fault`],
//! which alone decides the exit code.
//!
//! The program is one thread. Nothing is done before the arguments are understood, and the daemon
//! is not looked for before a command needs it, so that a refused text never starts a daemon.

#![allow(
    clippy::disallowed_methods,
    reason = "this is a shell: it waits for a daemon and owns its clock"
)]

mod args;
mod cmds;
mod door;
mod fault;
mod input;
mod output;
mod passphrase;
mod random;
mod span;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command, Global};
use cmds::Context;
use door::Launcher;
use fault::Fault;
use input::Input;
use output::Out;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return args::explain(&error),
    };
    let Cli { global, command } = cli;
    let format = global.format();
    let outcome = run(&global, command);
    match outcome {
        Ok(()) => ExitCode::from(hermes_api::error::Exit::Done.code()),
        Err(fault) => {
            fault.tell(format);
            ExitCode::from(fault.exit().code())
        }
    }
}

fn run(global: &Global, command: Command) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::system("cannot start", &error))?;
    let mut context = Context {
        out: Out::standard(global),
        input: Input::standard(global),
        door: Launcher::new(global),
    };
    let outcome = runtime.block_on(until_interrupted(cmds::run(command, &mut context)));
    // What was shown before an error is shown all the same.
    let flushed = context.out.flush();
    // A prompt may still wait on its thread for a line that will not come.
    runtime.shutdown_background();
    outcome.and(flushed)
}

/// Gives a command up at the first Ctrl-C. The signal is not watched until the command waits for
/// something, and then a prompt that hides what is typed gets the time to show the terminal again.
async fn until_interrupted(command: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    tokio::pin!(command);
    tokio::select! {
        biased;
        outcome = &mut command => outcome,
        Ok(()) = tokio::signal::ctrl_c() => {
            input::let_prompt_end(command).await;
            Err(Fault::Interrupted)
        }
    }
}
