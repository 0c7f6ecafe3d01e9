//! `invite accept`: becomes the friend of whoever made the invite.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::InviteAccept;
use hermes_api::types::{ContactState, InviteAcceptParams, InviteAcceptResponse};

use super::super::Context;
use super::link;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::View;

/// Use a friend's link
///
/// The acquaintance goes on by itself; `contact list` shows `established` when messages can flow.
#[derive(Args, Debug)]
pub(crate) struct Accept {
    /// Link, or `-` to read it from stdin, where other users cannot see it
    link: String,
    /// What to call the inviter here; the name that he gave himself if not given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Accept {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let invite = link(self.link, &context.input).await?;
        let params = InviteAcceptParams {
            invite,
            name: self.name,
        };
        let accepted = context.api().await?.call::<InviteAccept>(params).await?;
        context.out.show(&accepted, |_| view(&accepted))
    }
}

/// How people see a new contact.
pub(super) fn view(accepted: &InviteAcceptResponse) -> View {
    let name = &accepted.name;
    let sentence = match accepted.state {
        ContactState::Established => format!("{name} is a contact now"),
        ContactState::Requested => format!("{name} was asked; the answer comes by itself"),
        state => format!("{name} is {}", state.as_str()),
    };
    View::Said {
        sentence,
        record: vec![
            accepted.contact_id.clone(),
            name.clone(),
            accepted.state.as_str().to_owned(),
        ],
    }
}
