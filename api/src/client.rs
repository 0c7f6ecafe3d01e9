//! How programs talk to the daemon: typed calls, events that survive restarts, and starting a
//! daemon where none runs.
//!
//! ```no_run
//! # async fn example() -> Result<(), hermes_api::client::ClientError> {
//! use hermes_api::client::Client;
//! use hermes_api::paths::{Paths, Sources};
//! use hermes_api::table::MessageSend;
//! use hermes_api::types::MessageSendParams;
//!
//! let paths = Paths::resolve(&Sources::from_env(None, None))?;
//! let client = Client::connect(paths).await?;
//! let sent = client
//!     .call::<MessageSend>(MessageSendParams {
//!         to: "bob".to_owned(),
//!         body: "hi".to_owned(),
//!         ..MessageSendParams::default()
//!     })
//!     .await?;
//! println!("{} is {}", sent.message_id, sent.state);
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] connects again by itself when the daemon was restarted. A call that was under way
//! then fails with [`ClientError::Lost`]: the daemon may have done it or not, so repeat it only if
//! that does no harm (`message.send` with the same `idempotency_key` does none).

#![allow(
    clippy::disallowed_methods,
    reason = "this is a shell: it waits for sockets and owns its clock"
)]

mod connection;
mod double;
mod error;
mod events;
mod launch;
mod stream;

use std::future::Future;
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::Mutex;

pub use double::Double;
pub use error::ClientError;
pub use events::{Events, Feed};
pub use launch::{StartOptions, connect_or_start};

use crate::paths::Paths;
use crate::table::{Hello, Method};
use crate::types::{
    API_MAJOR, ApiRange, ClientInfo, EventsSubscribeParams, HelloParams, HelloResponse,
};
use connection::Connection;

/// Longest line that the daemon sends, a little more than its limit for answers.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024 + 4 * 1024;

/// Longest line that the daemon reads.
pub(crate) const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// What user interfaces need of a daemon; [`Client`] has it for real, [`Double`] in memory.
pub trait Api: Clone + Send + Sync + 'static {
    /// Calls a method and waits for its answer.
    fn call<M: Method>(
        &self,
        params: M::Params,
    ) -> impl Future<Output = Result<M::Response, ClientError>> + Send;

    /// Begins to read events; reconnects and resumes by itself.
    fn events(&self, params: EventsSubscribeParams) -> Events;
}

/// A connection to the daemon, made when it is first needed and made again when it broke.
///
/// Clones share it. Calls from several tasks run side by side.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    paths: Paths,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl Client {
    /// A client that connects with its first call.
    #[must_use]
    pub fn new(paths: Paths) -> Self {
        Self {
            shared: Arc::new(Shared {
                paths,
                connection: Mutex::new(None),
            }),
        }
    }

    /// A client that is connected.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotRunning`] if no daemon listens.
    pub async fn connect(paths: Paths) -> Result<Self, ClientError> {
        let client = Self::new(paths);
        client.connection().await?;
        Ok(client)
    }

    /// Where this client looks for the daemon.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.shared.paths
    }

    /// Calls a method and waits for its answer, however long it takes.
    ///
    /// # Errors
    ///
    /// [`ClientError::Api`] if the daemon answers an error; otherwise it could not be asked.
    pub async fn call<M: Method>(&self, params: M::Params) -> Result<M::Response, ClientError> {
        let result = self.connection().await?.call(M::NAME, &params).await?;
        serde_json::from_str(result.get()).map_err(|error| ClientError::Garbled(error.to_string()))
    }

    /// Calls a method by name, with parameters and result as they stand in JSON.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn call_raw(
        &self,
        method: &str,
        params: &RawValue,
    ) -> Result<Box<RawValue>, ClientError> {
        self.connection().await?.call(method, params).await
    }

    /// Introduces this program, and learns about the daemon.
    ///
    /// # Errors
    ///
    /// As [`Client::call`]; in particular `unsupported` if the versions do not fit.
    pub async fn hello(&self, name: &str, version: &str) -> Result<HelloResponse, ClientError> {
        let client = ClientInfo {
            name: name.to_owned(),
            version: version.to_owned(),
        };
        let api = ApiRange {
            min: API_MAJOR,
            max: API_MAJOR,
        };
        self.call::<Hello>(HelloParams {
            client: Some(client),
            api: Some(api),
        })
        .await
    }

    /// Begins to read events, on a connection of its own; must be called within a tokio runtime.
    ///
    /// The stream reconnects by itself and goes on where it was, so nothing is missed and an event
    /// may come twice only if the daemon sent it twice.
    #[must_use]
    pub fn events(&self, params: EventsSubscribeParams) -> Events {
        Events::start(self.shared.paths.clone(), params)
    }

    async fn connection(&self) -> Result<Arc<Connection>, ClientError> {
        let mut slot = self.shared.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(Connection::open(&self.shared.paths).await?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }
}

impl Api for Client {
    fn call<M: Method>(
        &self,
        params: M::Params,
    ) -> impl Future<Output = Result<M::Response, ClientError>> + Send {
        Self::call::<M>(self, params)
    }

    fn events(&self, params: EventsSubscribeParams) -> Events {
        Self::events(self, params)
    }
}
