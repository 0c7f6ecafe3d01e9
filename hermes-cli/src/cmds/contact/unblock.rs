//! `contact unblock`: lets a blocked contact in again.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::ContactUnblock;
use hermes_api::types::ContactParams;

use super::super::Context;
use super::changed;
use crate::door::Door;
use crate::fault::Fault;

/// Take a contact's messages again
#[derive(Args, Debug)]
pub(crate) struct Unblock {
    /// Contact, by name or id
    contact: String,
}

impl Unblock {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let params = ContactParams {
            contact: self.contact,
        };
        let contact = context.api().await?.call::<ContactUnblock>(params).await?;
        context.out.show(&contact, |_| {
            let sentence = format!("{} is {}", contact.name, contact.state.as_str());
            changed(&contact, sentence)
        })
    }
}
