//! `invite list`: invites that are still open.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::InviteList;
use hermes_api::types::Approval;

use super::super::{Context, pages};
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Table, View, word};

/// List the invites made here
#[derive(Args, Debug)]
pub(crate) struct List {}

impl List {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let api = context.api().await?;
        let invites = pages::all(|page| api.call::<InviteList>(page)).await?;
        context.out.show(&invites, |words| {
            let rows = invites.items.iter().map(|invite| {
                let approval = match invite.approval {
                    Approval::Given => "",
                    Approval::Ask => "asks first",
                };
                vec![
                    invite.invite_id.clone(),
                    word(invite.state),
                    words.when(invite.expires_at),
                    approval.to_owned(),
                    invite.note.clone().unwrap_or_default(),
                ]
            });
            let headings = &["invite", "state", "expires", "approval", "note"];
            View::Table(Table::new(headings, "no invites yet").rows(rows))
        })
    }
}
