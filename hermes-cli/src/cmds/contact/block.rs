//! `contact block`: shuts a contact out of mailbox and knocks.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::ContactBlock;
use hermes_api::types::ContactParams;

use super::super::Context;
use super::changed;
use crate::door::Door;
use crate::fault::Fault;

/// Refuse whatever a contact sends
#[derive(Args, Debug)]
pub(crate) struct Block {
    /// Contact, by name or id
    contact: String,
}

impl Block {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let params = ContactParams {
            contact: self.contact,
        };
        let contact = context.api().await?.call::<ContactBlock>(params).await?;
        context.out.show(&contact, |_| {
            let sentence = format!("{} is blocked: whatever it sends is refused", contact.name);
            changed(&contact, sentence)
        })
    }
}
