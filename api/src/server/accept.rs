//! Accepts connections, checks who is there, and decides how to talk to them.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jsonrpsee::core::traits::IdProvider;
use jsonrpsee::types::{Id, SubscriptionId};
use jsonrpsee::{BoundedSubscriptions, ConnectionId, Extensions, MethodSink, Methods};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Limits;
use super::caller::{Caller, Peer};
use super::connection::{Connection, Parts};
use super::dispatch::Dispatcher;
use super::listen::Listener;
use super::registry::fail;
use super::web::Web;
use crate::error::{ApiError, ErrorCode};

/// How long a client that is turned away may take to read why.
const REFUSAL_WAIT: Duration = Duration::from_secs(1);

/// Clients being turned away at once; further ones are told nothing.
const REFUSALS_MAX: usize = 64;

/// After an error of the system, such as too many open files, before accepting again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How to serve.
#[derive(Clone)]
pub struct Options {
    /// The daemon's version, told to HTTP clients in every answer.
    pub version: &'static str,
    /// What clients may use.
    pub limits: Limits,
    /// Who may connect at all, decided before anything is read.
    pub may_connect: Arc<dyn Fn(&Peer) -> bool + Send + Sync>,
}

impl Options {
    /// The usual limits, for the user that this process acts as and for root.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        Self {
            version,
            limits: Limits::default(),
            may_connect: Arc::new(is_us),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("version", &self.version)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(unix)]
fn is_us(peer: &Peer) -> bool {
    peer.uid
        .is_some_and(|uid| uid == crate::paths::own_uid() || uid == 0)
}

/// On Windows the pipe's security descriptor lets nobody else in.
#[cfg(windows)]
fn is_us(_: &Peer) -> bool {
    true
}

/// A running server; dropping the handle leaves it running.
#[derive(Clone, Debug)]
pub struct Handle {
    stop: CancellationToken,
    tasks: TaskTracker,
    slots: Arc<Semaphore>,
    connections_max: usize,
}

impl Handle {
    /// Accepts nobody any more and reads no further requests; calls under way are finished.
    ///
    /// Subscriptions end once what was sent to them is written, so send `server.shutdown` first.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until all connections have ended, after [`Handle::stop`].
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }

    /// Connections at this moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections_max
            .saturating_sub(self.slots.available_permits())
    }
}

/// Begins to serve; must be called within a tokio runtime.
#[must_use = "the handle stops the server"]
pub fn serve(listener: Listener, methods: Methods, options: Options) -> Handle {
    let connections_max = options.limits.connections_max;
    let handle = Handle {
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        slots: Arc::new(Semaphore::new(connections_max)),
        connections_max,
    };
    let stop = handle.stop.clone();
    let ids = Ids::default();
    let door = Door {
        web: Web::new(&methods, &options, ids.clone(), stop.clone()),
        methods,
        ids: Arc::new(ids),
        slots: Arc::clone(&handle.slots),
        refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
        tasks: handle.tasks.clone(),
        stop,
        options,
    };
    handle.tasks.spawn(door.run(listener));
    handle.tasks.close();
    handle
}

/// Numbers for subscriptions: they need not be guessed, since each connection knows its own only.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    last: Arc<AtomicU64>,
}

impl IdProvider for Ids {
    fn next_id(&self) -> SubscriptionId<'static> {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        SubscriptionId::Str(format!("s{number}").into())
    }
}

struct Door {
    methods: Methods,
    web: Web,
    options: Options,
    ids: Arc<Ids>,
    slots: Arc<Semaphore>,
    /// One permit for each client that may be in the course of being turned away.
    refusals: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Door {
    async fn run(self, mut listener: Listener) {
        let mut last_connection = 0_u32;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    last_connection = last_connection.wrapping_add(1);
                    self.admit(stream, peer, last_connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a client");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        peer: Peer,
        connection: u32,
    ) {
        if !(self.options.may_connect)(&peer) {
            tracing::warn!("a client of another user was turned away");
            return self.refuse(
                stream,
                ApiError::new(
                    ErrorCode::Permission,
                    "this daemon serves its own user only",
                ),
            );
        }
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            tracing::warn!("a client was turned away: too many connections");
            let message = format!(
                "there are {} connections already",
                self.options.limits.connections_max
            );
            return self.refuse(stream, ApiError::new(ErrorCode::Busy, message));
        };
        let closed = CancellationToken::new();
        let mut extensions = Extensions::new();
        extensions.insert(Caller::new(connection, peer, closed.clone()));
        let visit = Visit {
            methods: self.methods.clone(),
            web: self.web.clone(),
            limits: self.options.limits,
            ids: Arc::clone(&self.ids),
            extensions,
            connection,
            stop: self.stop.clone(),
            slot,
        };
        let closed = closed.drop_guard();
        self.tasks.spawn(async move {
            if let Err(error) = visit.serve(stream).await {
                tracing::debug!(connection, %error, "a connection ended");
            }
            drop(closed);
        });
    }

    /// Tells somebody why he is not served, without reading what he has to say.
    fn refuse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        mut stream: S,
        error: ApiError,
    ) {
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else {
            return;
        };
        let mut line = fail(Id::Null, error).to_json().get().to_owned();
        line.push('\n');
        self.tasks.spawn(async move {
            let tell = async {
                stream.write_all(line.as_bytes()).await?;
                stream.shutdown().await?;
                // Hanging up with unread bytes would take the answer away from the client again,
                // so what he sent meanwhile is thrown away until he hangs up.
                let mut ignored = [0; 1024];
                while stream.read(&mut ignored).await? > 0 {}
                io::Result::Ok(())
            };
            let _ = timeout(REFUSAL_WAIT, tell).await;
            drop(permit);
        });
    }
}

/// One client, from the first byte to the last.
struct Visit {
    methods: Methods,
    web: Web,
    limits: Limits,
    ids: Arc<Ids>,
    extensions: Extensions,
    connection: u32,
    stop: CancellationToken,
    /// Given back when the visit is over.
    slot: OwnedSemaphorePermit,
}

impl Visit {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
    ) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let first = tokio::select! {
            first = timeout(self.limits.first_byte_wait, stream.fill_buf()) => first,
            () = self.stop.cancelled() => return Ok(()),
        };
        let Ok(first) = first else {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no first byte"));
        };
        match first?.first() {
            None => Ok(()),
            Some(b'A'..=b'Z') => {
                self.web
                    .serve(stream, self.connection, self.extensions, self.slot)
                    .await
            }
            Some(_) => self.serve_lines(stream).await,
        }
    }

    async fn serve_lines<S: AsyncRead + AsyncWrite + Unpin + Send>(
        self,
        stream: BufReader<S>,
    ) -> io::Result<()> {
        let (sender, notifications) = mpsc::channel(self.limits.notifications_max);
        let response_bytes_max = self.limits.response_bytes_max;
        let sink_limit = u32::try_from(response_bytes_max).unwrap_or(u32::MAX);
        let dispatcher = Dispatcher {
            methods: self.methods,
            connection: ConnectionId::from(self.connection),
            response_bytes_max,
            batch_calls_max: self.limits.batch_calls_max,
            notifications: MethodSink::new_with_limit(sender, sink_limit),
            subscriptions: BoundedSubscriptions::new(self.limits.subscriptions_max),
            ids: self.ids,
            extensions: self.extensions,
        };
        let parts = Parts {
            dispatcher,
            notifications,
            calls_max: self.limits.calls_max,
            request_bytes_max: self.limits.request_bytes_max,
            line_wait: self.limits.line_wait,
            stop: self.stop.clone().cancelled_owned(),
        };
        let first_bytes = stream.buffer().to_vec();
        let connection = Connection::new(stream.into_inner(), &first_bytes, parts);
        tokio::select! {
            ended = connection => ended,
            () = drained(&self.stop, self.limits.drain_wait) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not read its answers"))
            }
        }
    }
}

/// Waits until a connection had its time to end.
pub(super) async fn drained(stop: &CancellationToken, drain_wait: Duration) {
    stop.cancelled().await;
    sleep(drain_wait).await;
}
