//! A daemon that is a script: it answers `hello` and whatever else it was told about.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Answers a call with lines; none of them is an answer by itself.
type Answer = dyn Fn(&str, &Value) -> Option<Reply> + Send + Sync;

/// What the script says to a call.
pub(crate) enum Reply {
    /// The result.
    Result(Value),
    /// The error.
    Error(Value),
    /// The result, then these notifications.
    Stream(Value, Vec<Value>),
    /// Nothing; the connection is closed instead.
    HangUp,
}

/// A script that is being played; it ends with the test's process.
pub(crate) struct Daemon {
    calls: Receiver<(String, Value)>,
}

impl Daemon {
    /// Listens where a daemon of this home would.
    pub(crate) fn start(
        home: &TempDir,
        answer: impl Fn(&str, &Value) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(home.path().join("rpc.sock")).expect("a socket");
        let (sender, calls) = mpsc::channel();
        let answer: Arc<Answer> = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, sender) = (Arc::clone(&answer), sender.clone());
                thread::spawn(move || serve(stream, &answer, &sender));
            }
        });
        Self { calls }
    }

    /// Waits for the next call and tells its method and parameters; `hello` is not told.
    pub(crate) fn call(&self) -> (String, Value) {
        self.calls.recv().expect("a call")
    }
}

fn serve(stream: UnixStream, answer: &Arc<Answer>, calls: &Sender<(String, Value)>) {
    let mut writer = stream.try_clone().expect("a writer");
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let request: Value = serde_json::from_str(&line).expect("a request");
        let method = request["method"].as_str().expect("a method").to_owned();
        let params = request["params"].clone();
        let reply = if method == "hello" {
            Some(Reply::Result(hello()))
        } else {
            // A test that does not look at the calls may have ended.
            let _ = calls.send((method.clone(), params.clone()));
            answer(&method, &params)
        };
        let unknown = json!({ "code": -32601, "message": format!("there is no method {method}") });
        let id = &request["id"];
        let lines = match reply.unwrap_or(Reply::Error(unknown)) {
            Reply::Result(result) => vec![json!({ "jsonrpc": "2.0", "id": id, "result": result })],
            Reply::Error(error) => vec![json!({ "jsonrpc": "2.0", "id": id, "error": error })],
            Reply::Stream(result, events) => {
                let first = json!({ "jsonrpc": "2.0", "id": id, "result": result });
                let notification = |event| {
                    let params = json!({ "subscription": "s1", "result": event });
                    json!({ "jsonrpc": "2.0", "method": "event", "params": params })
                };
                std::iter::once(first)
                    .chain(events.into_iter().map(notification))
                    .collect()
            }
            Reply::HangUp => return,
        };
        for line in lines {
            if writeln!(writer, "{line}").is_err() {
                return;
            }
        }
    }
}

fn hello() -> Value {
    json!({
        "server_version": env!("CARGO_PKG_VERSION"),
        "api": { "major": 1, "minor": 0 },
        "capabilities": [],
        "store": { "epoch": "e", "locked": false },
        "cursor": "e:0",
    })
}

/// An event as the daemon tells it.
pub(crate) fn event(seq: u64, kind: &str, data: Value) -> Value {
    json!({
        "cursor": format!("e:{seq}"),
        "time": "2026-03-02T10:41:07.250Z",
        "kind": kind,
        "data": data,
    })
}

/// A message of bob's as the daemon tells it.
pub(crate) fn message(seq: u64, body: &str) -> Value {
    json!({
        "message_id": format!("m{seq}"),
        "chat": "c1",
        "seq": seq,
        "sender": "bob",
        "direction": "in",
        "body": body,
        "state": "delivered",
        "sent_at": "2026-03-02T10:41:07.250Z",
        "received_at": "2026-03-02T10:41:07.250Z",
        "kept": null,
        "why": null,
    })
}
