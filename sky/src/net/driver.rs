//! The task that owns the machine.
//!
//! It feeds the machine one input after the other and carries out what comes out. Nothing in it waits for a peer: what must wait is
//! done by small tasks that report back as inputs.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hermes_link::{
    Alpn, Answer, Channel, CloseReason, Connection, DialError, Endpoint, Identity, Inbound,
    PeerKey, Responder,
};
use hermes_wire::{
    Network, Wire as _,
    channel::{ANSWER, ERROR, ErrorAnswer, ErrorCode},
    ids::{Binding, NodeKey},
    node::{Addr, NodeRecord},
    sky::{OBSERVED, Request, SPREAD},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep_until, timeout},
};

use super::{Folder, HANDSHAKE_TIMEOUT, Status, close};
use crate::{
    client::unix_now,
    proto::{
        CallFailure, CallId, Close, Closed, ConnId, DialFailure, Event, Opened, Output, RequestId,
        Side, Sky,
    },
};

/// How long one address is dialled.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the other sides have to hear that the node stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Requests of ours are given up at the latest after this. The machine does so earlier; this only clears away the task.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest request that is not SPREAD; the longest of them, ANNOUNCE, has about 1 100 bytes.
const REQUEST_LEN_MAX: usize = 2_048;

/// Inputs that are handled before outputs and timers are looked at again.
const BUDGET: usize = 64;

/// What happens to a node.
#[derive(Debug)]
pub(super) enum Input {
    /// A connection stands, with its channel.
    Opened {
        side: Side,
        connection: Connection,
        channel: Channel,
    },
    /// A dial has failed.
    DialFailed { node: NodeKey, why: DialFailure },
    /// The other side of a connection asks.
    Asked {
        conn: ConnId,
        kind: u8,
        body: Bytes,
        responder: Responder,
    },
    /// A request of ours has its answer, or none.
    Answered {
        call: CallId,
        answer: Result<Bytes, CallFailure>,
    },
    /// A connection has ended.
    Closed { conn: ConnId, how: Closed },
    /// The node is to stop.
    Leave,
}

/// A connection, as far as the driver needs it.
struct Line {
    connection: Connection,
    channel: Channel,
    remote: SocketAddr,
}

pub(super) struct Driver {
    sky: Sky,
    endpoint: Endpoint,
    identity: Identity,
    inputs: mpsc::Sender<Input>,
    queue: mpsc::Receiver<Input>,
    status: watch::Sender<Status>,
    lines: BTreeMap<ConnId, Line>,
    /// Requests that are not yet answered, each with its type.
    asked: BTreeMap<RequestId, (u8, Responder)>,
    last_id: u64,
    store: watch::Sender<Option<Vec<NodeRecord>>>,
    writer: JoinHandle<()>,
}

impl Driver {
    #[allow(
        clippy::too_many_arguments,
        reason = "called once, with what the parts are made of"
    )]
    pub(super) fn new(
        sky: Sky,
        endpoint: Endpoint,
        identity: Identity,
        network: Network,
        folder: Arc<Folder>,
        inputs: mpsc::Sender<Input>,
        queue: mpsc::Receiver<Input>,
        status: watch::Sender<Status>,
    ) -> Self {
        let (store, stored) = watch::channel(None);
        let writer = tokio::spawn(write_lists(folder, network, stored));
        Self {
            sky,
            endpoint,
            identity,
            inputs,
            queue,
            status,
            lines: BTreeMap::new(),
            asked: BTreeMap::new(),
            last_id: 0,
            store,
            writer,
        }
    }

    pub(super) async fn run(mut self) {
        let porter = tokio::spawn(accept(self.endpoint.clone(), self.inputs.clone()));
        while *self.status.borrow() != Status::Left {
            self.drain();
            let Some((deadline, why)) = self.sky.poll_timeout() else {
                break;
            };
            tokio::select! {
                input = self.queue.recv() => {
                    // The driver holds a sender itself, so the queue never ends.
                    let Some(input) = input else { break };
                    self.handle(input);
                    for _ in 1..BUDGET {
                        let Ok(input) = self.queue.try_recv() else { break };
                        self.handle(input);
                    }
                }
                () = sleep_until(deadline.into()) => tracing::trace!(why, "woke"),
            }
            let now = Instant::now();
            if deadline <= now {
                self.sky.handle_clock(unix_now(), now);
                self.sky.handle_timeout(now);
            }
        }
        porter.abort();
        self.endpoint
            .shutdown(close::LEAVING, SHUTDOWN_TIMEOUT)
            .await;
        let Self { store, writer, .. } = self;
        drop(store);
        if let Err(error) = writer.await {
            tracing::error!(%error, "the list of known sky nodes was not written");
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    fn handle(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Opened {
                side,
                connection,
                channel,
            } => self.opened(side, connection, channel, now),
            Input::DialFailed { node, why } => self.sky.handle_dial_failed(node, why, now),
            Input::Asked {
                conn,
                kind,
                body,
                responder,
            } => {
                self.look_where(conn);
                let request = RequestId(self.next_id());
                self.asked.insert(request, (kind, responder));
                self.sky.handle_request(conn, request, kind, &body, now);
            }
            Input::Answered { call, answer } => {
                self.sky.handle_answer(call, answer.map(Vec::from), now)
            }
            Input::Closed { conn, how } => {
                self.lines.remove(&conn);
                self.sky.handle_closed(conn, how, now);
            }
            Input::Leave => self.sky.handle_leave(now),
        }
        self.drain();
    }

    fn opened(&mut self, side: Side, connection: Connection, channel: Channel, now: Instant) {
        let conn = ConnId(self.next_id());
        let remote = connection.remote_address();
        let opened = Opened {
            conn,
            side,
            remote,
            node: connection.peer_key().map(NodeKey),
            binding: Binding(connection.binding()),
        };
        tokio::spawn(read(
            conn,
            connection.clone(),
            channel.clone(),
            self.inputs.clone(),
        ));
        self.lines.insert(
            conn,
            Line {
                connection,
                channel,
                remote,
            },
        );
        self.sky.handle_opened(&opened, now);
    }

    /// Notices when the other side comes from another address than before.
    fn look_where(&mut self, conn: ConnId) {
        let Some(line) = self.lines.get_mut(&conn) else {
            return;
        };
        let remote = line.connection.remote_address();
        if std::mem::replace(&mut line.remote, remote) != remote {
            self.sky.handle_moved(conn, remote);
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.sky.poll_output() {
            match output {
                Output::Dial { node, addrs } => self.dial(node, addrs),
                Output::Call {
                    conn,
                    call,
                    request,
                } => self.call(conn, call, &request),
                Output::Answer { request, answer } => self.answer(request, answer),
                Output::Observed { conn, addr } => {
                    if let Some(line) = self.lines.get(&conn) {
                        // Who does not read does not learn it.
                        let _ = line.channel.try_push(OBSERVED, Addr::new(addr).to_bytes());
                    }
                }
                Output::Close { conn, why } => {
                    if let Some(line) = self.lines.remove(&conn) {
                        let (code, reason) = close_code(why);
                        line.connection.close(code, reason);
                    }
                }
                Output::Store { records } => {
                    self.store.send_replace(Some(records));
                }
                Output::Event(event) => self.tell(event),
            }
        }
    }

    fn tell(&self, event: Event) {
        match event {
            Event::Joined => {
                tracing::info!(
                    sky_nodes = self.sky.sky_count(),
                    keepers = self.sky.keeper_count(),
                    "joined"
                );
                self.status.send_replace(Status::Joined);
            }
            Event::NobodyAnswers => {
                tracing::warn!("none of the known sky nodes answers; serving alone and trying on");
                self.status.send_replace(Status::Alone);
            }
            Event::PlaceTaken => {
                tracing::warn!(
                    "two sky nodes of this address block are on the ring already; this one serves without a place"
                );
            }
            Event::Left => {
                self.status.send_replace(Status::Left);
            }
        }
    }

    fn dial(&self, node: NodeKey, addrs: Vec<SocketAddr>) {
        let (endpoint, identity, inputs) = (
            self.endpoint.clone(),
            self.identity.clone(),
            self.inputs.clone(),
        );
        tokio::spawn(async move {
            let input = match dial(&endpoint, &identity, node, &addrs).await {
                Ok((connection, channel)) => Input::Opened {
                    side: Side::Dialled,
                    connection,
                    channel,
                },
                Err(why) => Input::DialFailed { node, why },
            };
            let _ = inputs.send(input).await;
        });
    }

    fn call(&self, conn: ConnId, call: CallId, request: &Request) {
        let Some(line) = self.lines.get(&conn) else {
            return;
        };
        let (channel, inputs, kind) = (line.channel.clone(), self.inputs.clone(), request.kind());
        let mut body = Vec::new();
        request.encode(&mut body);
        tokio::spawn(async move {
            let Ok(answer) = timeout(CALL_TIMEOUT, channel.request(kind, body)).await else {
                return;
            };
            let _ = inputs
                .send(Input::Answered {
                    call,
                    answer: outcome(answer),
                })
                .await;
        });
    }

    fn answer(&mut self, request: RequestId, answer: Result<Vec<u8>, ErrorAnswer>) {
        let Some((kind, responder)) = self.asked.remove(&request) else {
            return;
        };
        let (kind, body) = match answer {
            Ok(body) => (kind | ANSWER, body),
            Err(error) => (ERROR, error.to_bytes()),
        };
        if let Err((responder, hermes_link::SendError::Full)) = responder.try_answer(kind, &body) {
            // The other side reads slowly. It has at most 256 requests open, so no more of these tasks.
            tokio::spawn(async move { responder.answer(kind, body).await });
        }
    }
}

const fn close_code(why: Close) -> (u32, &'static str) {
    match why {
        Close::Limit => (close::LIMIT, "too many connections"),
        Close::Silent => (close::SILENT, "no answer"),
        Close::Unused => (close::UNUSED, "not used"),
        Close::AnnounceAnew => (close::ANNOUNCE_ANEW, "announce anew"),
    }
}

fn outcome(answer: Result<Answer, hermes_link::RequestError>) -> Result<Bytes, CallFailure> {
    match answer {
        Ok(answer) if answer.is_error() => match ErrorAnswer::decode(&answer.body) {
            Ok(error) => Err(CallFailure::Refused(error)),
            Err(_) => Err(CallFailure::Lost),
        },
        Ok(answer) => Ok(answer.body),
        Err(_) => Err(CallFailure::Lost),
    }
}

/// Takes connections in, until the endpoint is shut down.
async fn accept(endpoint: Endpoint, inputs: mpsc::Sender<Input>) {
    while let Some(incoming) = endpoint.accept().await {
        let inputs = inputs.clone();
        tokio::spawn(async move {
            let Ok(connection) = incoming.accept().await else {
                return;
            };
            match timeout(HANDSHAKE_TIMEOUT, connection.accept_channel()).await {
                Ok(Ok(channel)) => {
                    let _ = inputs
                        .send(Input::Opened {
                            side: Side::Accepted,
                            connection,
                            channel,
                        })
                        .await;
                }
                _ => connection.close(close::SILENT, "no channel"),
            }
        });
    }
}

/// Dials the addresses of a node one after the other.
async fn dial(
    endpoint: &Endpoint,
    identity: &Identity,
    node: NodeKey,
    addrs: &[SocketAddr],
) -> Result<(Connection, Channel), DialFailure> {
    let mut why = DialFailure::Unreachable;
    for addr in addrs {
        let dialled = endpoint
            .dial(
                *addr,
                Alpn::Sky,
                PeerKey::Exact(node.0),
                Some(identity),
                DIAL_TIMEOUT,
            )
            .await;
        match dialled {
            Ok(connection) => match connection.open_channel().await {
                Ok(channel) => return Ok((connection, channel)),
                Err(error) => tracing::debug!(%error, "a dialled connection ended at once"),
            },
            Err(DialError::WrongKey) => why = DialFailure::WrongKey,
            Err(error) => tracing::debug!(%error, "a dial failed"),
        }
    }
    Err(why)
}

/// Reads from a connection until it ends.
async fn read(conn: ConnId, connection: Connection, channel: Channel, inputs: mpsc::Sender<Input>) {
    let is_node = connection.peer_key().is_some();
    while let Some(inbound) = channel.next().await {
        let Inbound::Request {
            kind,
            body,
            responder,
        } = inbound
        else {
            continue;
        };
        // Long requests are between nodes only; those of others do not get to the machine.
        if body.len() > REQUEST_LEN_MAX && !(is_node && kind == SPREAD) {
            let error = ErrorAnswer::new(ErrorCode::MALFORMED).to_bytes();
            if responder.answer(ERROR, error).await.is_err() {
                break;
            }
            continue;
        }
        if inputs
            .send(Input::Asked {
                conn,
                kind,
                body,
                responder,
            })
            .await
            .is_err()
        {
            return;
        }
    }
    let how = match connection.close_reason() {
        Some(CloseReason::TimedOut | CloseReason::Reset | CloseReason::Transport { .. }) => {
            Closed::Broken
        }
        // The other side has closed the connection, or the channel alone, which comes to the same.
        _ => Closed::ByPeer,
    };
    connection.close(hermes_link::CLOSE_DONE, "");
    let _ = inputs.send(Input::Closed { conn, how }).await;
}

/// Writes the latest list of sky nodes whenever there is one, and the last one before it ends.
async fn write_lists(
    folder: Arc<Folder>,
    network: Network,
    mut lists: watch::Receiver<Option<Vec<NodeRecord>>>,
) {
    loop {
        let is_over = lists.changed().await.is_err();
        let list = lists.borrow_and_update().clone();
        if is_over {
            return;
        }
        let Some(records) = list else { continue };
        let (folder, network) = (folder.clone(), network.clone());
        let written = tokio::task::spawn_blocking(move || folder.store(&network, &records)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the list of known sky nodes was not written"),
            Err(error) => tracing::error!(%error, "the list of known sky nodes was not written"),
        }
    }
}
