//! `contact rename`: gives a contact another name on this machine.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::ContactRename;
use hermes_api::types::ContactRenameParams;

use super::super::Context;
use super::changed;
use crate::door::Door;
use crate::fault::Fault;

/// Call a contact something else, here only
#[derive(Args, Debug)]
pub(crate) struct Rename {
    /// Contact, by name or id
    contact: String,
    /// What to call it from now on
    name: String,
}

impl Rename {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        if self.name.trim().is_empty() {
            return Err(Fault::usage("the new name is empty"));
        }
        let params = ContactRenameParams {
            contact: self.contact.clone(),
            name: self.name,
        };
        let contact = context.api().await?.call::<ContactRename>(params).await?;
        context.out.show(&contact, |_| {
            let sentence = format!("{} is called {} now", self.contact, contact.name);
            changed(&contact, sentence)
        })
    }
}
