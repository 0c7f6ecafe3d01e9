//! `daemon`: hermesd itself.

mod logs;
mod restart;
mod start;
mod status;
mod stop;

use clap::Subcommand;
use hermes_api::client::Client;
use hermes_api::table::Status as StatusMethod;
use hermes_api::types::{NoParams, Time};
use serde::Serialize;

use super::Context;
use crate::door::Launcher;
use crate::fault::Fault;
use crate::output::{Out, View};

/// Start, stop and watch the daemon
#[derive(Debug, Subcommand)]
pub(crate) enum Daemon {
    Start(start::Start),
    Stop(stop::Stop),
    Restart(restart::Restart),
    Status(status::Status),
    Logs(logs::Logs),
}

impl Daemon {
    pub(crate) async fn run(self, context: &mut Context<Launcher>) -> Result<(), Fault> {
        match self {
            Self::Start(command) => command.run(context).await,
            Self::Stop(command) => command.run(context).await,
            Self::Restart(command) => command.run(context).await,
            Self::Status(command) => command.run(context).await,
            Self::Logs(command) => command.run(context).await,
        }
    }
}

/// A daemon that runs, or none.
#[derive(Default, Serialize)]
struct State {
    running: bool,
    /// Whether this command started it.
    started: bool,
    version: Option<String>,
    pid: Option<u32>,
    started_at: Option<Time>,
    socket: String,
}

impl State {
    /// The state of the daemon that this client talks to.
    async fn of(client: &Client) -> Result<Self, Fault> {
        let status = client.call::<StatusMethod>(NoParams {}).await?;
        Ok(Self {
            running: true,
            started: false,
            version: Some(status.version),
            pid: Some(status.pid),
            started_at: Some(status.started_at),
            socket: status.socket,
        })
    }

    fn show(&self, sentence: String, out: &mut Out) -> Result<(), Fault> {
        let word = if self.running { "running" } else { "stopped" };
        let pid = self.pid.map(|pid| pid.to_string()).unwrap_or_default();
        out.show(self, |_| View::Said {
            sentence,
            record: vec![
                word.to_owned(),
                pid,
                self.version.clone().unwrap_or_default(),
                self.socket.clone(),
            ],
        })
    }

    /// What a daemon that runs is called in a sentence.
    fn name(&self) -> String {
        let version = self.version.as_deref().unwrap_or("of unknown version");
        match self.pid {
            Some(pid) => format!("hermesd {version} (process {pid})"),
            None => format!("hermesd {version}"),
        }
    }
}
