//! `init`: makes the identity and the store of a home, once.
//!
//! What protects the store is decided here and never by accident: by a flag; or by what the daemon
//! was started with; or, if neither says anything and somebody sits at the terminal, by a
//! passphrase that is asked for.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use hermes_api::ErrorCode;
use hermes_api::client::Api;
use hermes_api::table::{IdentityInit, Status};
use hermes_api::types::{Identity, IdentityInitParams, NoParams, Passphrase, Protection};

use super::{Context, id};
use crate::door::Door;
use crate::fault::Fault;
use crate::passphrase::{PassphraseSource, ask_new};

/// Make your identity and store
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// Name to go by; friends see it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Network to belong to, by name or as a file that describes it; `main` if none is given
    #[arg(long, value_name = "NAME|FILE")]
    network: Option<String>,
    /// Sky node to begin with; may be given several times
    #[arg(long, value_name = "URI")]
    sky: Vec<String>,
    #[command(flatten)]
    passphrase: PassphraseSource,
    /// Keep the store's key in the keyring of this system
    #[arg(long, conflicts_with = "given_passphrase")]
    keyring: bool,
    /// Protect the store by nothing: who reads the disk reads the messages
    #[arg(long, conflicts_with_all = ["given_passphrase", "keyring"])]
    insecure_no_passphrase: bool,
}

impl Init {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        if self.name.trim().is_empty() {
            return Err(Fault::usage("the name is empty"));
        }
        let passphrase = self.passphrase.given(&context.input).await?;
        let network = self.network.as_deref().map(absolute_if_file).transpose()?;
        context
            .door
            .start_with(daemon_args(network.as_deref(), &self.sky));
        let api = context.api().await?;
        if api.call::<Status>(NoParams {}).await?.initialized {
            let code = ErrorCode::AlreadyInitialized;
            return Err(Fault::refused(code, "this home has an identity already"));
        }
        let protection = self.protection(passphrase.is_some());
        let params = IdentityInitParams {
            name: self.name,
            protection,
            passphrase,
            network,
            sky: self.sky,
        };
        let identity = make(&api, params, context).await?;
        context
            .out
            .show(&identity, |words| id::view(&identity, words))?;
        context
            .out
            .remark("next, make an invite for a friend: hermes-cli invite create");
        Ok(())
    }

    fn protection(&self, has_passphrase: bool) -> Option<Protection> {
        if self.insecure_no_passphrase {
            Some(Protection::None)
        } else if self.keyring {
            Some(Protection::Keyring)
        } else {
            has_passphrase.then_some(Protection::Passphrase)
        }
    }
}

/// Makes the identity; if nothing says what shall protect it, asks for a passphrase.
async fn make<D: Door>(
    api: &D::Api,
    params: IdentityInitParams,
    context: &mut Context<D>,
) -> Result<Identity, Fault> {
    let unprotected = params.protection.is_none();
    let answer = api.call::<IdentityInit>(params.clone()).await;
    let fault = match answer {
        Ok(identity) => return Ok(identity),
        Err(error) => Fault::from(error),
    };
    if !unprotected || !fault.is(ErrorCode::InvalidParams) {
        return Err(fault);
    }
    if !context.input.is_interactive() {
        return Err(fault.hint(
            "a store is protected by --passphrase-file FILE, --keyring or --insecure-no-passphrase",
        ));
    }
    context.out.remark(
        "Choose a passphrase. It protects your messages on this disk; nobody can reset it.",
    );
    let passphrase: Passphrase = ask_new(&context.input).await?;
    let params = IdentityInitParams {
        protection: Some(Protection::Passphrase),
        passphrase: Some(passphrase),
        ..params
    };
    Ok(api.call::<IdentityInit>(params).await?)
}

/// The daemon may run in another folder, so a file is named by its full path. A plain word is the
/// name of a network unless it ends like a network file.
pub(super) fn absolute_if_file(network: &str) -> Result<String, Fault> {
    let is_file = network.contains(std::path::is_separator) || network.ends_with(".toml");
    if !is_file {
        return Ok(network.to_owned());
    }
    let describe = |error| Fault::file(format!("cannot use the network file {network}"), &error);
    // Following it now finds a misspelt name before anything is made.
    let path = Path::new(network).canonicalize().map_err(describe)?;
    path.into_os_string()
        .into_string()
        .map_err(|_| Fault::usage("the path of the network file is not UTF-8"))
}

/// What a daemon is told that has to be started for this home.
pub(super) fn daemon_args(network: Option<&str>, sky: &[String]) -> Vec<OsString> {
    let mut args = Vec::new();
    for (flag, value) in network
        .iter()
        .map(|network| ("--network", *network))
        .chain(sky.iter().map(|uri| ("--sky", uri.as_str())))
    {
        args.extend([OsString::from(flag), OsString::from(value)]);
    }
    args
}
