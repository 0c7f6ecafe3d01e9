//! `invite`: links by which friends find each other.

mod accept;
mod approve;
mod create;
mod inspect;
mod list;
mod revoke;

use clap::Subcommand;
use hermes_api::ErrorCode;

use super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::input::Input;

/// Longest link that is read from stdin; a real one has some hundreds of bytes.
const LINK_BYTES_MAX: usize = 8 * 1024;

/// Make and use invites
#[derive(Debug, Subcommand)]
pub(crate) enum Invite {
    Create(create::Create),
    Inspect(inspect::Inspect),
    Accept(accept::Accept),
    Approve(approve::Approve),
    List(list::List),
    Revoke(revoke::Revoke),
}

impl Invite {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::Inspect(command) => command.run(context).await,
            Self::Accept(command) => command.run(context).await,
            Self::Approve(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Revoke(command) => command.run(context).await,
        }
    }
}

/// The link itself, read from stdin if it is `-`: arguments can be seen by other users.
async fn link(given: String, input: &Input) -> Result<String, Fault> {
    let link = if given == "-" {
        let bytes = input.stdin(LINK_BYTES_MAX).await?;
        if bytes.len() > LINK_BYTES_MAX {
            return Err(invalid(
                "what stands on standard input is too long for an invite",
            ));
        }
        String::from_utf8(bytes)
            .map_err(|_| invalid("what stands on standard input is not text"))?
    } else {
        given
    };
    let link = link.trim();
    if link.is_empty() {
        return Err(invalid("the invite is empty"));
    }
    Ok(link.to_owned())
}

fn invalid(message: &str) -> Fault {
    Fault::refused(ErrorCode::InviteInvalid, message)
}

#[cfg(test)]
mod tests;
