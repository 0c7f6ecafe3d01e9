//! A daemon with an event log in memory, and raw clients to try it with.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hermes_api::paths::{Paths, Sources};
use hermes_api::server::{
    Caller, EventSink, Handle, Listener, Options, PendingEvents, Registry, serve,
};
use hermes_api::table::*;
use hermes_api::types::*;
use hermes_api::{ApiError, ErrorCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, watch};

/// What the handlers of a test daemon know.
pub(crate) struct State {
    /// Bodies of the messages that were sent.
    pub(crate) sent: Mutex<Vec<String>>,
    /// Calls of `net.ping` that began; each then waits for a permit of `gate`.
    pub(crate) pings: watch::Sender<usize>,
    pub(crate) gate: Semaphore,
    /// Connections that claimed a conversation and have not left.
    pub(crate) claims: watch::Sender<Vec<u32>>,
    pub(crate) log: Mutex<Vec<Event>>,
    pub(crate) head: watch::Sender<u64>,
    pub(crate) stop_asked: watch::Sender<bool>,
    ids: AtomicUsize,
}

/// A daemon on a socket of its own.
pub(crate) struct Daemon {
    pub(crate) paths: Paths,
    pub(crate) state: Arc<State>,
    pub(crate) handle: Handle,
    home: Arc<TempDir>,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(adjust: impl FnOnce(&mut Options)) -> Self {
        let home = Arc::new(tempfile::tempdir().expect("scratch"));
        Self::start_in(home, Arc::new(State::new()), adjust)
    }

    /// Another daemon on the same home, with the same log.
    pub(crate) fn start_again(&self) -> Self {
        Self::start_in(Arc::clone(&self.home), Arc::clone(&self.state), |_| {})
    }

    fn start_in(home: Arc<TempDir>, state: Arc<State>, adjust: impl FnOnce(&mut Options)) -> Self {
        let paths = paths_in(home.path());
        let listener = Listener::bind(&paths).expect("bound");
        let mut options = Options::new("0.0.0-test");
        adjust(&mut options);
        let methods = registry(&state).finish().expect("complete");
        let handle = serve(listener, methods, options);
        Self {
            paths,
            state,
            handle,
            home,
        }
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw::new(
            UnixStream::connect(self.paths.socket())
                .await
                .expect("connected"),
        )
    }

    /// Stops and waits until every connection has ended.
    pub(crate) async fn stop(&self) {
        self.handle.stop();
        self.handle.stopped().await;
    }
}

pub(crate) fn paths_in(home: &std::path::Path) -> Paths {
    Paths::resolve(&Sources {
        home: Some(home.to_owned()),
        socket: None,
    })
    .expect("paths")
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            sent: Mutex::default(),
            pings: watch::Sender::new(0),
            gate: Semaphore::new(0),
            claims: watch::Sender::new(Vec::new()),
            log: Mutex::default(),
            head: watch::Sender::new(0),
            stop_asked: watch::Sender::new(false),
            ids: AtomicUsize::new(0),
        }
    }

    /// Appends events that say nothing but their number.
    pub(crate) fn append(&self, count: u64) {
        let mut log = self.log.lock().expect("lock");
        for _ in 0..count {
            let seq = log.len() as u64 + 1;
            log.push(event(seq));
        }
        self.head.send_replace(log.len() as u64);
    }

    pub(crate) async fn pings_begun(&self, count: usize) {
        self.pings
            .subscribe()
            .wait_for(|begun| *begun >= count)
            .await
            .expect("state lives");
    }
}

pub(crate) fn event(seq: u64) -> Event {
    let data = ChatRead {
        chat: "c1".to_owned(),
        read_seq: seq,
        unread: 0,
    };
    Event {
        cursor: Cursor::new("t", seq),
        time: Time::from_unix_ms(0),
        data: EventData::ChatRead(data),
    }
}

/// The number of an event that [`State::append`] made.
pub(crate) fn number(event: &Event) -> u64 {
    match &event.data {
        EventData::ChatRead(read) => read.read_seq,
        other => panic!("unexpected {other:?}"),
    }
}

/// Registers methods that a test daemon has no use for.
macro_rules! unsupported {
    ($registry:ident: $($method:ident)*) => {
        $($registry.answer::<$method>(|_, _| Err(ApiError::new(ErrorCode::Unsupported, "not here")));)*
    };
}

pub(crate) fn registry(state: &Arc<State>) -> Registry {
    let mut registry = Registry::new();
    registry
        .answer::<Hello>(|params, _| hello(&params))
        .answer::<ContactGet>(|params, _| Ok(contact(params.contact)))
        .answer::<StoreUnlock>(|_, _| {
            Err(ApiError::new(ErrorCode::WrongPassphrase, "wrong passphrase").retry_after_ms(2_000))
        })
        .handle::<StoreLock, _>(|_, _| async { panic!("on purpose") });
    let shared = Arc::clone(state);
    registry.handle::<MessageSend, _>(move |params, _| send(Arc::clone(&shared), params));
    let shared = Arc::clone(state);
    registry.handle::<NetPing, _>(move |_, _| ping(Arc::clone(&shared)));
    let shared = Arc::clone(state);
    registry.answer::<UiPresence>(move |_, caller| {
        claim(&shared, caller);
        Ok(Done {})
    });
    let shared = Arc::clone(state);
    registry.answer::<DaemonShutdown>(move |_, _| {
        shared.stop_asked.send_replace(true);
        Ok(Done {})
    });
    let shared = Arc::clone(state);
    registry.events(move |params, pending, _| follow(Arc::clone(&shared), params, pending));
    unsupported!(registry:
        Status StoreChangePassphrase IdentityInit IdentityShow InviteCreate InviteInspect InviteAccept InviteApprove
        InviteList InviteRevoke ContactList ContactRename ContactVerify ContactBlock ContactUnblock ContactRemove
        ChatList ChatGet ChatHistory ChatMarkRead MessageGet EventsList EventsCommit NetSky NetEarth Doctor
    );
    registry
}

fn hello(params: &HelloParams) -> Result<HelloResponse, ApiError> {
    if params.api.is_some_and(|range| range.min > API_MAJOR) {
        return Err(ApiError::new(ErrorCode::Unsupported, "too new"));
    }
    Ok(HelloResponse {
        server_version: "0.0.0-test".to_owned(),
        api: ApiVersion {
            major: API_MAJOR,
            minor: 0,
        },
        capabilities: Vec::new(),
        store: StoreInfo {
            epoch: Some("t".to_owned()),
            locked: false,
        },
        cursor: None,
    })
}

/// A contact whose name is as long as asked for: `x*1000` makes a thousand.
fn contact(wanted: String) -> Contact {
    let name = match wanted.split_once('*') {
        Some((letter, count)) => letter.repeat(count.parse().expect("a count")),
        None => wanted,
    };
    Contact {
        contact_id: "c1".to_owned(),
        name,
        state: ContactState::Established,
        verified: false,
        safety_number: None,
        link: LinkState::None,
        last_seen: None,
        created_at: Time::from_unix_ms(0),
    }
}

async fn send(
    state: Arc<State>,
    params: MessageSendParams,
) -> Result<MessageSendResponse, ApiError> {
    let number = state.ids.fetch_add(1, Ordering::Relaxed) + 1;
    state.sent.lock().expect("lock").push(params.body);
    Ok(MessageSendResponse {
        message_id: format!("m{number}"),
        chat: "c1".to_owned(),
        state: MessageState::Queued,
        duplicate: false,
    })
}

async fn ping(state: Arc<State>) -> Result<NetPingResponse, ApiError> {
    state.pings.send_modify(|begun| *begun += 1);
    state.gate.acquire().await.expect("never closed").forget();
    Ok(NetPingResponse {
        contact_id: "c1".to_owned(),
        name: "bob".to_owned(),
        rtt_us: 1,
        route: PingRoute::Direct,
    })
}

fn claim(state: &Arc<State>, caller: &Caller) {
    let connection = caller.connection();
    state.claims.send_modify(|claims| claims.push(connection));
    let (state, caller) = (Arc::clone(state), caller.clone());
    tokio::spawn(async move {
        caller.closed().await;
        state
            .claims
            .send_modify(|claims| claims.retain(|claim| *claim != connection));
    });
}

/// Serves a subscription from the log, as a real daemon would.
async fn follow(state: Arc<State>, params: EventsSubscribeParams, pending: PendingEvents) {
    let start = match &params.after {
        Some(After::Cursor(cursor)) => match cursor.parts() {
            Ok(("t", seq)) => seq,
            _ => {
                let error = ApiError::new(ErrorCode::CursorExpired, "another store")
                    .positions("t:0", "t:9");
                return pending.reject(error).await;
            }
        },
        Some(After::Start) => 0,
        _ => *state.head.borrow(),
    };
    let Ok(sink) = pending.accept().await else {
        return;
    };
    tokio::select! {
        () = tell(&state, start, &sink) => {}
        () = sink.closed() => {}
    }
}

async fn tell(state: &State, start: u64, sink: &EventSink) {
    let mut head = state.head.subscribe();
    let mut seq = start;
    let mut caught_up = false;
    loop {
        let next = state.log.lock().expect("lock").get(seq as usize).cloned();
        let sent = match next {
            Some(event) => {
                seq += 1;
                sink.send(&event).await
            }
            None if !caught_up => {
                caught_up = true;
                let data = EventData::CaughtUp(CaughtUp {});
                sink.send(&Event {
                    cursor: Cursor::new("t", seq),
                    time: Time::from_unix_ms(0),
                    data,
                })
                .await
            }
            None => {
                let _ = head.wait_for(|head| *head > seq).await;
                Ok(())
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// A client that writes and reads bytes.
pub(crate) struct Raw {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Raw {
    pub(crate) fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            reader: BufReader::new(reader),
            writer,
        }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer
            .write_all(bytes.as_ref())
            .await
            .expect("written");
    }

    pub(crate) async fn line(&mut self, line: &str) {
        self.write(format!("{line}\n")).await;
    }

    /// The next line, or nothing at the end.
    pub(crate) async fn read(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.read().await.expect("a line")).expect("json")
    }

    /// Calls and waits for the answer; only while nothing else is expected.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.line(&request(1, method, params)).await;
        self.json().await
    }

    /// Ends our side; what comes from the other can still be read.
    pub(crate) async fn finish(&mut self) {
        self.writer.shutdown().await.expect("shut down");
    }

    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.try_write(bytes)
    }
}

pub(crate) fn request(id: u64, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

pub(crate) fn kind(answer: &Value) -> &str {
    answer["error"]["data"]["kind"].as_str().unwrap_or("none")
}
