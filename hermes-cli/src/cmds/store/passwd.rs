//! `store passwd`: changes the passphrase of the store.

use std::path::PathBuf;

use clap::Args;
use hermes_api::client::Api;
use hermes_api::table::{IdentityShow, StoreChangePassphrase};
use hermes_api::types::{NoParams, Passphrase, Protection, StoreChangePassphraseParams};

use super::super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::input::Input;
use crate::output::View;
use crate::passphrase::{self, PassphraseSource, ask, ask_new};

/// Change the passphrase, or what protects the store
///
/// --passphrase-file and --passphrase-fd give the new passphrase.
#[derive(Args, Debug)]
pub(crate) struct Passwd {
    /// Read the present passphrase from the first line of this file; `-` for stdin
    #[arg(long, value_name = "FILE", group = "given_old")]
    old_passphrase_file: Option<PathBuf>,
    /// Read the present passphrase from this open file descriptor
    #[arg(long, value_name = "N", group = "given_old")]
    old_passphrase_fd: Option<u32>,
    #[command(flatten)]
    new: PassphraseSource,
    /// Keep the store's key in the keyring of this system from now on
    #[arg(long, conflicts_with = "given_passphrase")]
    keyring: bool,
    /// Protect the store by nothing from now on
    #[arg(long, conflicts_with_all = ["given_passphrase", "keyring"])]
    insecure_no_passphrase: bool,
}

impl Passwd {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        self.check_stdin()?;
        let given_old = self.given_old(&context.input).await?;
        let given_new = self.new.given(&context.input).await?;
        let api = context.api().await?;
        let old = match given_old {
            Some(old) => Some(old),
            None => ask_old(&api, &context.input).await?,
        };
        let protection = if self.insecure_no_passphrase {
            Protection::None
        } else if self.keyring {
            Protection::Keyring
        } else {
            Protection::Passphrase
        };
        let new = match (given_new, protection) {
            (Some(new), _) => Some(new),
            (None, Protection::Passphrase) => Some(ask_new(&context.input).await?),
            (None, Protection::Keyring | Protection::None) => None,
        };
        let params = StoreChangePassphraseParams {
            old,
            new,
            protection: Some(protection),
        };
        let done = api.call::<StoreChangePassphrase>(params).await?;
        context.out.show(&done, |_| {
            let what = match protection {
                Protection::Passphrase => "by the new passphrase",
                Protection::Keyring => "by the keyring of this system",
                Protection::None => "by nothing",
            };
            View::Said {
                sentence: format!("the store is protected {what} now"),
                record: vec![crate::output::word(protection)],
            }
        })
    }

    /// Both passphrases cannot be the whole of one stream.
    fn check_stdin(&self) -> Result<(), Fault> {
        let is_stdin = |file: &Option<PathBuf>, descriptor: Option<u32>| {
            file.as_ref().is_some_and(|file| file.as_os_str() == "-") || descriptor == Some(0)
        };
        let old = is_stdin(&self.old_passphrase_file, self.old_passphrase_fd);
        let new = is_stdin(&self.new.passphrase_file, self.new.passphrase_fd);
        if old && new {
            return Err(
                Fault::usage("both passphrases cannot come from standard input")
                    .hint("give one of them by a file or another descriptor"),
            );
        }
        Ok(())
    }

    async fn given_old(&self, input: &Input) -> Result<Option<Passphrase>, Fault> {
        if let Some(path) = &self.old_passphrase_file {
            return passphrase::read_file(path, input).await.map(Some);
        }
        if let Some(number) = self.old_passphrase_fd {
            return passphrase::read_descriptor(number, input).await.map(Some);
        }
        Ok(None)
    }
}

/// Asks for the present passphrase, if there is one.
async fn ask_old<A: Api>(api: &A, input: &Input) -> Result<Option<Passphrase>, Fault> {
    let identity = api.call::<IdentityShow>(NoParams {}).await?;
    if identity.protection != Protection::Passphrase {
        return Ok(None);
    }
    ask(input, "Present passphrase: ").await.map(Some)
}
