//! `daemon start`: starts the daemon and waits until it answers.

use std::env;
use std::process::Command;

use clap::Args;
use hermes_api::error::Exit;

use super::super::{Context, init};
use super::State;
use crate::door::{Door as _, Launcher};
use crate::fault::Fault;

/// The variable that forbids starting a daemon by the way.
const NO_AUTOSTART: &str = "HERMES_NO_AUTOSTART";

/// Start the daemon, if it does not run
///
/// Network and sky nodes are stored in the home; they need to be given once only.
#[derive(Args, Debug)]
pub(crate) struct Start {
    /// Network to belong to, by name or as a file that describes it
    #[arg(long, value_name = "NAME|FILE")]
    network: Option<String>,
    /// Sky node to begin with; may be given several times
    #[arg(long, value_name = "URI")]
    sky: Vec<String>,
}

impl Start {
    pub(crate) async fn run(self, context: &mut Context<Launcher>) -> Result<(), Fault> {
        let network = self
            .network
            .as_deref()
            .map(init::absolute_if_file)
            .transpose()?;
        let args = init::daemon_args(network.as_deref(), &self.sky);
        if let Some((client, _)) = context.door.look().await? {
            if !args.is_empty() {
                context
                    .out
                    .warn("hermesd runs already; --network and --sky do not reach it");
            }
            let state = State::of(&client).await?;
            return state.show(format!("{} runs already", state.name()), &mut context.out);
        }
        context.door.start_with(args);
        start(context).await
    }
}

/// Starts a daemon where none runs, and tells about it.
pub(super) async fn start(context: &mut Context<Launcher>) -> Result<(), Fault> {
    if context.door.paths()?.is_socket_named() {
        return Err(
            Fault::usage("a daemon is not started by its socket").hint("name its home with --home")
        );
    }
    if env::var_os(NO_AUTOSTART).is_some_and(|value| !value.is_empty()) {
        return start_on_purpose(context);
    }
    let client = context.door.open(&mut context.out).await?;
    let mut state = State::of(&client).await?;
    state.started = true;
    state.show(format!("{} runs", state.name()), &mut context.out)
}

/// The variable is about daemons that are started by the way, and this one is started on purpose:
/// the same command once more, without the variable.
fn start_on_purpose(context: &mut Context<Launcher>) -> Result<(), Fault> {
    context.out.flush()?;
    let cannot = |error| Fault::system("cannot run this program again", &error);
    let program = env::current_exe().map_err(cannot)?;
    let status = Command::new(program)
        .args(env::args_os().skip(1))
        .env_remove(NO_AUTOSTART)
        .status()
        .map_err(cannot)?;
    if status.success() {
        return Ok(());
    }
    Err(Fault::Told(Exit::Unreachable))
}
