//! `store unlock`: opens the store with its passphrase.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::{Status, StoreUnlock};
use hermes_api::types::{NoParams, StoreLockResponse, StoreUnlockParams};

use super::super::Context;
use super::show;
use crate::door::Door;
use crate::fault::Fault;
use crate::passphrase::{PassphraseSource, ask};

/// Open the store with its passphrase
///
/// After wrong passphrases the daemon refuses further tries for a while that grows.
#[derive(Args, Debug)]
pub(crate) struct Unlock {
    #[command(flatten)]
    passphrase: PassphraseSource,
}

impl Unlock {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let given = self.passphrase.given(&context.input).await?;
        let api = context.api().await?;
        let passphrase = match given {
            Some(passphrase) => passphrase,
            None => {
                // Nobody is asked for what is not needed.
                let status = api.call::<Status>(NoParams {}).await?;
                if status.initialized && !status.locked {
                    return show(StoreLockResponse { locked: false }, &mut context.out);
                }
                ask(&context.input, "Passphrase: ").await?
            }
        };
        let store = api
            .call::<StoreUnlock>(StoreUnlockParams { passphrase })
            .await?;
        show(store, &mut context.out)
    }
}
