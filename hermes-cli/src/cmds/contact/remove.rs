//! `contact remove`: ends a contact for good.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::ContactRemove;
use hermes_api::types::{ContactRemoveParams, HistoryFate};

use super::super::Context;
use super::changed;
use crate::door::Door;
use crate::fault::Fault;

/// End an acquaintance
///
/// To be in touch again, a new invite is needed. The conversation stays, unless told otherwise.
#[derive(Args, Debug)]
pub(crate) struct Remove {
    /// Contact, by name or id
    contact: String,
    /// Delete the conversation as well
    #[arg(long)]
    delete_history: bool,
    /// Do not ask; needed for --delete-history where nobody can be asked
    #[arg(long, short)]
    yes: bool,
}

impl Remove {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        if !self.yes && context.input.is_interactive() {
            let what = if self.delete_history {
                "and the whole conversation"
            } else {
                "and keep the conversation"
            };
            let question = format!("Remove {} {what}?", self.contact);
            if !context.input.confirm(&question).await? {
                return Err(Fault::failed("nothing was removed"));
            }
        } else if !self.yes && self.delete_history {
            return Err(
                Fault::usage("deleting a conversation cannot be undone").hint("confirm with --yes")
            );
        }
        let params = ContactRemoveParams {
            contact: self.contact,
            history: if self.delete_history {
                HistoryFate::Delete
            } else {
                HistoryFate::Keep
            },
        };
        let contact = context.api().await?.call::<ContactRemove>(params).await?;
        context.out.show(&contact, |_| {
            changed(&contact, format!("{} is removed", contact.name))
        })
    }
}
