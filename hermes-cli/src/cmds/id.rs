//! `id show`: who you are to others.

use clap::{Args, Subcommand};
use hermes_api::client::Api as _;
use hermes_api::table::IdentityShow;
use hermes_api::types::{Identity, NoParams, Protection};

use super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Fields, View, Words};

/// Show your own identity
#[derive(Debug, Subcommand)]
pub(crate) enum Id {
    Show(Show),
}

/// Show your name and identity
#[derive(Args, Debug)]
pub(crate) struct Show {}

impl Id {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let Self::Show(Show {}) = self;
        let identity = context
            .api()
            .await?
            .call::<IdentityShow>(NoParams {})
            .await?;
        context.out.show(&identity, |words| view(&identity, words))
    }
}

/// How people see an identity.
pub(super) fn view(identity: &Identity, words: &Words<'_>) -> View {
    let protection = match identity.protection {
        Protection::Passphrase => "a passphrase",
        Protection::Keyring => "the keyring of this system",
        Protection::None => "nothing: who reads the disk reads the messages",
    };
    View::Fields(
        Fields::new()
            .field("name", &identity.name)
            .field("identity", &identity.identity)
            .field("network", &identity.network)
            .field("protected by", protection)
            .field("made", words.when(identity.created_at)),
    )
}
