//! `invite revoke`: makes an invite worthless.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::InviteRevoke;
use hermes_api::types::InviteRevokeParams;

use super::super::Context;
use super::link;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{View, word};

/// Withdraw an invite
#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// Invite, by its id from `invite list` or by the link itself; `-` reads it from stdin
    invite: String,
}

impl Revoke {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let params = InviteRevokeParams {
            invite: link(self.invite, &context.input).await?,
        };
        let revoked = context.api().await?.call::<InviteRevoke>(params).await?;
        context.out.show(&revoked, |_| View::Said {
            sentence: format!("invite {} is {}", revoked.invite_id, word(revoked.state)),
            record: vec![revoked.invite_id.clone(), word(revoked.state)],
        })
    }
}
