//! `net`: the network as the daemon sees it.

mod earth;
mod sky;

use clap::Subcommand;

use super::Context;
use crate::door::Door;
use crate::fault::Fault;

/// Show the network as the daemon sees it
#[derive(Debug, Subcommand)]
pub(crate) enum Net {
    Sky(sky::Sky),
    Earth(earth::Earth),
}

impl Net {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        match self {
            Self::Sky(command) => command.run(context).await,
            Self::Earth(command) => command.run(context).await,
        }
    }
}
