//! `contact show`: everything that is known of one contact.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::ContactGet;
use hermes_api::types::{Contact, ContactParams, LinkState};

use super::super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Fields, View, Words};

/// Show everything about a contact
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// Contact, by name or id
    contact: String,
}

impl Show {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let params = ContactParams {
            contact: self.contact,
        };
        let contact = context.api().await?.call::<ContactGet>(params).await?;
        context.out.show(&contact, |words| view(&contact, words))
    }
}

fn view(contact: &Contact, words: &Words<'_>) -> View {
    let reach = match contact.link {
        LinkState::Direct => "directly, now",
        LinkState::None => "not directly; messages go to keepers",
    };
    View::Fields(
        Fields::new()
            .field("name", &contact.name)
            .field("contact", &contact.contact_id)
            .field("state", contact.state.as_str())
            .field("verified", if contact.verified { "yes" } else { "no" })
            .maybe("safety number", contact.safety_number.clone())
            .field("reachable", reach)
            .field("last seen", words.when_or(contact.last_seen, "never"))
            .field("added", words.when(contact.created_at)),
    )
}
