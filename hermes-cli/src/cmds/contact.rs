//! `contact`: friends, and those on the way to it.

mod block;
mod list;
mod remove;
mod rename;
mod show;
mod unblock;
mod verify;

use clap::Subcommand;
use hermes_api::types::Contact as ContactRow;

use super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::View;

/// List and change contacts
#[derive(Debug, Subcommand)]
pub(crate) enum Contact {
    List(list::List),
    Show(show::Show),
    Rename(rename::Rename),
    Verify(verify::Verify),
    Block(block::Block),
    Unblock(unblock::Unblock),
    Remove(remove::Remove),
}

impl Contact {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Rename(command) => command.run(context).await,
            Self::Verify(command) => command.run(context).await,
            Self::Block(command) => command.run(context).await,
            Self::Unblock(command) => command.run(context).await,
            Self::Remove(command) => command.run(context).await,
        }
    }
}

/// A sentence about a contact that was changed, and the fields that say the same.
fn changed(contact: &ContactRow, sentence: String) -> View {
    View::Said {
        sentence,
        record: vec![
            contact.contact_id.clone(),
            contact.name.clone(),
            contact.state.as_str().to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests;
