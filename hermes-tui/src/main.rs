//! hermes-tui: chats in the terminal.
//!
//! The daemon has the truth; this program shows it and may end at any time. A key becomes an
//! [`Action`](keymap::Action), a happening a [`Msg`](msg::Msg); [`update`] changes the
//! [`Model`](model::Model) and names [`Effect`](msg::Effect)s, [`view`] draws the model, and
//! [`app`] is the one loop around them. [`plain`] says in whole lines what [`view`] draws.

mod app;
mod effects;
mod keymap;
mod layout;
mod model;
mod msg;
mod plain;
mod terminal;
#[cfg(test)]
mod testing;
mod update;
mod view;
mod window;
mod words;
mod wrap;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use hermes_api::paths::{Paths, Sources};

/// Chat in the terminal
///
/// hermes-tui shows what hermesd, the daemon of this user, has, and starts it if it does not run.
/// Messages are delivered by the daemon, whether this program runs or not. F1 shows the keys.
#[derive(Debug, Parser)]
#[command(name = "hermes-tui", version, max_term_width = 100)]
struct Cli {
    /// Folder with everything of one user: configuration, store and socket
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Socket of the daemon, if it lies elsewhere; a daemon named so is never started
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print whole lines instead of drawing a screen, for screen readers; also if TERM is dumb or
    /// HERMES_A11Y is set
    #[arg(long)]
    plain: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hermes-tui: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let is_plain = cli.plain
        || env::var_os("TERM").is_some_and(|term| term == "dumb")
        || env::var_os("HERMES_A11Y").is_some_and(|value| !value.is_empty());
    let paths = Paths::resolve(&Sources::from_env(cli.home, cli.socket))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = if is_plain {
        runtime.block_on(plain::run(paths))
    } else {
        runtime.block_on(app::run(paths))
    };
    // Calls that were not answered are of no use any more.
    runtime.shutdown_background();
    outcome
}
