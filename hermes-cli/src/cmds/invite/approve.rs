//! `invite approve`: lets in somebody who answered an invite that asks first.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::InviteApprove;
use hermes_api::types::InviteApproveParams;

use super::super::Context;
use super::accept;
use crate::door::Door;
use crate::fault::Fault;

/// Let in somebody who used a link that asks first
///
/// To refuse somebody, use `contact remove` or `contact block`.
#[derive(Args, Debug)]
pub(crate) struct Approve {
    /// Contact in state `asked`, by name or id
    contact: String,
    /// What to call it here; the name that it gave itself if not given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Approve {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let params = InviteApproveParams {
            contact: self.contact,
            name: self.name,
        };
        let approved = context.api().await?.call::<InviteApprove>(params).await?;
        context.out.show(&approved, |_| accept::view(&approved))
    }
}
