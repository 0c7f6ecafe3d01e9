//! The way to the daemon, opened when a command first needs it.

use std::ffi::OsString;
use std::time::Duration;

use hermes_api::client::{Api, Client, ClientError, StartOptions, connect_or_start};
use hermes_api::paths::{Paths, Sources};
use hermes_api::types::HelloResponse;
use tokio::time::timeout;

use crate::args::Global;
use crate::fault::Fault;
use crate::output::Out;

/// The name by which this program introduces itself.
pub(crate) const NAME: &str = "hermes-cli";

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a daemon that is only looked at may take to answer.
const LOOK_WAIT: Duration = Duration::from_secs(5);

/// What leads to a daemon; tests have one that leads to a daemon in memory.
pub(crate) trait Door {
    /// What answers behind it.
    type Api: Api;

    /// Reaches the daemon, starting it if need be; later calls answer the same.
    async fn open(&mut self, out: &mut Out) -> Result<Self::Api, Fault>;

    /// Reaches the daemon anew after it went away, starting it if need be.
    async fn reopen(&mut self, out: &mut Out) -> Result<Self::Api, Fault>;

    /// Adds arguments for a daemon that has to be started.
    fn start_with(&mut self, args: Vec<OsString>);
}

/// The door to the real daemon.
pub(crate) struct Launcher {
    sources: Sources,
    options: StartOptions,
    client: Option<Client>,
}

impl Launcher {
    /// A door that nobody has opened yet.
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            sources: Sources::from_env(global.home.clone(), global.socket.clone()),
            options: StartOptions::new(NAME, VERSION),
            client: None,
        }
    }

    /// Where everything lies.
    pub(crate) fn paths(&self) -> Result<Paths, Fault> {
        Ok(Paths::resolve(&self.sources)?)
    }

    /// Reaches the daemon if one runs, without starting one; none if nobody listens.
    pub(crate) async fn look(&mut self) -> Result<Option<(Client, HelloResponse)>, Fault> {
        let paths = self.paths()?;
        let client = match Client::connect(paths.clone()).await {
            Ok(client) => client,
            Err(ClientError::NotRunning { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let answer = timeout(LOOK_WAIT, client.hello(NAME, VERSION)).await;
        let silent = ClientError::Silent {
            socket: paths.socket().to_owned(),
        };
        let hello = answer.map_err(|_| silent)??;
        Ok(Some((client, hello)))
    }
}

impl Door for Launcher {
    type Api = Client;

    async fn open(&mut self, out: &mut Out) -> Result<Client, Fault> {
        match &self.client {
            Some(client) => Ok(client.clone()),
            None => self.reopen(out).await,
        }
    }

    async fn reopen(&mut self, out: &mut Out) -> Result<Client, Fault> {
        let paths = self.paths()?;
        out.detail(&format!("the socket is {}", paths.socket().display()));
        let (client, hello) = connect_or_start(&paths, &self.options).await?;
        out.detail(&format!(
            "hermesd {} answers, interface {}.{}",
            hello.server_version, hello.api.major, hello.api.minor
        ));
        warn_of_skew(&hello, out);
        self.client = Some(client.clone());
        Ok(client)
    }

    fn start_with(&mut self, args: Vec<OsString>) {
        self.options.args = args;
    }
}

/// Says once that program and daemon are not of the same version.
pub(crate) fn warn_of_skew(hello: &HelloResponse, out: &mut Out) {
    if hello.server_version != VERSION {
        out.warn(&format!(
            "hermesd is version {}, this program is {VERSION}; \
             restart the daemon with: hermes-cli daemon restart",
            hello.server_version
        ));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use hermes_api::client::Double;

    use super::*;

    impl Door for Double {
        type Api = Self;

        async fn open(&mut self, _: &mut Out) -> Result<Self, Fault> {
            Ok(self.clone())
        }

        async fn reopen(&mut self, _: &mut Out) -> Result<Self, Fault> {
            Ok(self.clone())
        }

        fn start_with(&mut self, _: Vec<OsString>) {}
    }
}
