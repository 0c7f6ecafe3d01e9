//! `chats` and `chat`: conversations.

pub(crate) mod list;
mod mark_read;

use clap::Subcommand;

use super::Context;
use crate::door::Door;
use crate::fault::Fault;

/// Change conversations
#[derive(Debug, Subcommand)]
pub(crate) enum Chat {
    MarkRead(mark_read::MarkRead),
}

impl Chat {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        match self {
            Self::MarkRead(command) => command.run(context).await,
        }
    }
}
