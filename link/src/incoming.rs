//! A connection attempt that passed the screening and waits to be accepted.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use quinn::ConnectionError;
use thiserror::Error;
use tokio::{sync::OwnedSemaphorePermit, time};

use crate::{
    connection::{self, CloseReason, Connection, canonical},
    profile::Profile,
};

/// A connection attempt that passed the screening. Dropping it leaves the dialler without an answer.
///
/// It holds one of [`Limits::handshakes_max`](crate::Limits::handshakes_max) places, so accept or drop it soon, and accept in a task
/// of its own: a handshake waits for the other side.
#[must_use = "an attempt that is dropped is left without an answer"]
pub struct Incoming {
    attempt: Option<quinn::Incoming>,
    remote: SocketAddr,
    config: Arc<quinn::ServerConfig>,
    profile: Profile,
    timeout: Duration,
    place: Option<OwnedSemaphorePermit>,
}

/// Why an accepted attempt did not become a connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The handshake took longer than [`Limits::handshake_timeout`](crate::Limits::handshake_timeout).
    #[error("the handshake took too long")]
    Timeout,
    /// The handshake failed or was given up; a wrong or unproved key is among the causes.
    #[error("the handshake failed: {0}")]
    Failed(CloseReason),
}

impl Incoming {
    pub(crate) fn new(
        attempt: quinn::Incoming,
        config: Arc<quinn::ServerConfig>,
        profile: Profile,
        timeout: Duration,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let remote = canonical(attempt.remote_address());
        Self {
            attempt: Some(attempt),
            remote,
            config,
            profile,
            timeout,
            place: Some(place),
        }
    }

    /// Where the attempt claims to come from, in canonical form. Unless the admission hook asked for proof, it may be forged.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.remote
    }

    /// Performs the handshake. Dropping the future gives the attempt up.
    ///
    /// # Errors
    ///
    /// When it fails or takes too long. There is nothing to do about it but to count it.
    pub async fn accept(mut self) -> Result<Connection, AcceptError> {
        let Some(attempt) = self.attempt.take() else {
            return Err(AcceptError::Failed(CloseReason::Local));
        };
        let place = self.place.take();
        let outcome = time::timeout(
            self.timeout,
            handshake(attempt, self.config.clone(), self.profile),
        )
        .await;
        drop(place);
        match outcome {
            Ok(connection) => connection.map_err(|error| AcceptError::Failed(error.into())),
            Err(time::error::Elapsed { .. }) => Err(AcceptError::Timeout),
        }
    }

    /// Leaves the dialler without an answer, as dropping does.
    pub fn ignore(self) {
        drop(self);
    }
}

async fn handshake(
    attempt: quinn::Incoming,
    config: Arc<quinn::ServerConfig>,
    profile: Profile,
) -> Result<Connection, ConnectionError> {
    let quinn = attempt.accept_with(config)?.await?;
    let connection =
        Connection::new(quinn.clone(), profile).ok_or(ConnectionError::LocallyClosed)?;
    if connection.peer_key().is_some() {
        connection::confirm(&quinn).await?;
    }
    Ok(connection)
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // quinn would answer a dropped attempt with a refusal.
        if let Some(attempt) = self.attempt.take() {
            attempt.ignore();
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Incoming").finish_non_exhaustive()
    }
}
