//! `invite inspect`: what an invite says, without accepting it.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::InviteInspect;
use hermes_api::types::{InviteInspectParams, InviteInspectResponse};

use super::super::Context;
use super::link;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Fields, View, Words};

/// Show what a link says, without using it
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// Link, or `-` to read it from stdin
    link: String,
}

impl Inspect {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let invite = link(self.link, &context.input).await?;
        let api = context.api().await?;
        let found = api
            .call::<InviteInspect>(InviteInspectParams { invite })
            .await?;
        context.out.show(&found, |words| view(&found, words))
    }
}

fn view(found: &InviteInspectResponse, words: &Words<'_>) -> View {
    let network = if found.same_network {
        found.network.clone()
    } else {
        format!("{}, not the one of this home", found.network)
    };
    let until = words.when(found.expires_at);
    let expiry = if found.expired {
        format!("no, it expired {until}")
    } else {
        format!("yes, until {until}")
    };
    let maker = if found.is_mine { "you" } else { "a friend" };
    View::Fields(
        Fields::new()
            .field("network", network)
            .field("usable", expiry)
            .field("made by", maker)
            .field("fingerprint of the inviter", &found.inviter),
    )
}
