//! `daemon restart`: ends the daemon that runs and starts another.

use std::time::Duration;

use clap::Args;

use super::super::Context;
use super::{start, stop};
use crate::door::Launcher;
use crate::fault::Fault;
use crate::span;

/// End the daemon and start it again
#[derive(Args, Debug)]
pub(crate) struct Restart {
    /// How long to wait for the end of the one that runs
    #[arg(long, value_name = "TIME", value_parser = span::parse, default_value = "30s")]
    timeout: Duration,
}

impl Restart {
    pub(crate) async fn run(self, context: &mut Context<Launcher>) -> Result<(), Fault> {
        if let Some(stopped) = stop::stop(self.timeout, context).await? {
            context.out.detail(&format!("{} has ended", stopped.name()));
        }
        start::start(context).await
    }
}
