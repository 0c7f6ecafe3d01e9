//! `store lock`: closes the store until the passphrase is given again.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::StoreLock;
use hermes_api::types::NoParams;

use super::super::Context;
use super::show;
use crate::door::Door;
use crate::fault::Fault;

/// Close the store until the passphrase is given again
#[derive(Args, Debug)]
pub(crate) struct Lock {}

impl Lock {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let store = context.api().await?.call::<StoreLock>(NoParams {}).await?;
        show(store, &mut context.out)
    }
}
