//! HTTP and WebSocket on the same socket.

use serde_json::{Value, json};
use soketto::handshake::{Client as Handshake, ServerResponse};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use crate::support::{Daemon, kind, request};

/// Sends a request as `curl` would and reads to the end.
async fn http(daemon: &Daemon, head: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(daemon.paths.socket())
        .await
        .expect("connected");
    let request = format!(
        "{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // A request that is refused by its head alone may find nobody reading its body.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).expect("text")
}

const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";

fn body(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("json")
}

#[tokio::test]
async fn a_request_of_curl_is_answered() {
    let daemon = Daemon::start();
    let answer = http(&daemon, POST, &request(1, "hello", json!({}))).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("hermes-version: 0.0.0-test\r\n"),
        "{answer}"
    );
    assert_eq!(body(&answer)["result"]["server_version"], "0.0.0-test");
}

#[tokio::test]
async fn errors_and_notifications_are_those_of_lines() {
    let daemon = Daemon::start();
    let answer = http(&daemon, POST, &request(1, "message.sned", json!({}))).await;
    assert_eq!(kind(&body(&answer)), "method_not_found");
    let answer = http(
        &daemon,
        POST,
        &request(1, "message.send", json!({ "x": 1 })),
    )
    .await;
    assert_eq!(kind(&body(&answer)), "invalid_params");
    let answer = http(&daemon, POST, &request(1, "events.subscribe", json!({}))).await;
    assert_eq!(kind(&body(&answer)), "unsupported");
    let notification =
        r#"{"jsonrpc":"2.0","method":"message.send","params":{"to":"bob","body":"by post"}}"#;
    http(&daemon, POST, notification).await;
    let batch = format!("[{notification},{}]", request(7, "hello", json!({})));
    assert_eq!(body(&http(&daemon, POST, &batch).await)[0]["id"], 7);
    assert_eq!(
        kind(&body(&http(&daemon, POST, "[]").await)),
        "invalid_request"
    );
    assert_eq!(
        *daemon.state.sent.lock().expect("lock"),
        ["by post", "by post"]
    );
}

#[tokio::test]
async fn web_pages_and_foreign_names_are_refused() {
    let daemon = Daemon::start();
    let send = request(1, "message.send", json!({ "to": "bob", "body": "forged" }));
    for head in [
        format!("{POST}\r\nOrigin: http://localhost"),
        format!("{POST}\r\nReferer: http://localhost/"),
        POST.replace("localhost", "evil.example"),
        POST.replace("localhost", "localhost.evil.example:80"),
        POST.replace("POST / ", "POST http://evil.example/ "),
    ] {
        let answer = http(&daemon, &head, &send).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{head}: {answer}");
    }
    assert!(daemon.state.sent.lock().expect("lock").is_empty());
    let answer = http(&daemon, &POST.replace("localhost", "localhost:80"), &send).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn only_posts_of_json_of_a_fair_size_are_taken() {
    let daemon = Daemon::start();
    assert!(
        http(&daemon, "GET / HTTP/1.1\r\nHost: localhost", "")
            .await
            .starts_with("HTTP/1.1 405")
    );
    let plain = POST.replace("application/json", "text/plain");
    assert!(
        http(&daemon, &plain, "{}")
            .await
            .starts_with("HTTP/1.1 415")
    );
    let long = request(1, "hello", json!({ "x": "x".repeat(1024 * 1024) }));
    assert!(http(&daemon, POST, &long).await.starts_with("HTTP/1.1 413"));
}

/// A WebSocket, in as few words as a library allows.
struct Socket {
    sender: soketto::Sender<Compat<UnixStream>>,
    receiver: soketto::Receiver<Compat<UnixStream>>,
}

impl Socket {
    async fn connect(daemon: &Daemon) -> Self {
        let stream = UnixStream::connect(daemon.paths.socket())
            .await
            .expect("connected");
        let mut handshake = Handshake::new(stream.compat(), "localhost", "/");
        let answer = handshake.handshake().await.expect("shaken");
        assert!(
            matches!(answer, ServerResponse::Accepted { .. }),
            "{answer:?}"
        );
        let (sender, receiver) = handshake.into_builder().finish();
        Self { sender, receiver }
    }

    async fn send(&mut self, text: &str) {
        self.sender.send_text(text).await.expect("sent");
        self.sender.flush().await.expect("flushed");
    }

    async fn json(&mut self) -> Value {
        let mut data = Vec::new();
        self.receiver
            .receive_data(&mut data)
            .await
            .expect("received");
        serde_json::from_slice(&data).expect("json")
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(&request(1, method, params)).await;
        self.json().await
    }
}

#[tokio::test]
async fn a_web_socket_calls_and_subscribes() {
    let daemon = Daemon::start();
    daemon.state.append(1);
    let mut socket = Socket::connect(&daemon).await;
    assert_eq!(
        socket.call("hello", json!({})).await["result"]["server_version"],
        "0.0.0-test"
    );
    let id = socket
        .call("events.subscribe", json!({ "after": "start" }))
        .await["result"]
        .clone();
    let first = socket.json().await;
    assert_eq!(
        (
            &first["params"]["subscription"],
            &first["params"]["result"]["cursor"]
        ),
        (&id, &json!("t:1"))
    );
    assert_eq!(socket.json().await["params"]["result"]["kind"], "caught_up");
    let answer = socket
        .call("events.unsubscribe", json!({ "subscription": id }))
        .await;
    assert_eq!(answer["result"]["unsubscribed"], true);
}

#[tokio::test]
async fn a_call_is_carried_out_though_its_web_socket_is_gone() {
    let daemon = Daemon::start();
    let mut socket = Socket::connect(&daemon).await;
    let ping = request(1, "net.ping", json!({ "contact": "bob" }));
    socket.send(&ping).await;
    daemon.state.pings_begun(1).await;
    drop(socket);
    daemon.stop().await;
    daemon.state.gate.add_permits(1);
    // The call's task takes the permit although nobody waits for it any more.
    let mut next = Daemon::start_again(&daemon).connect().await;
    while daemon.state.gate.available_permits() > 0 {
        next.call("hello", json!({})).await;
    }
}

#[tokio::test]
async fn calls_beyond_the_cap_are_told_to_come_back() {
    let daemon = Daemon::start_with(|options| options.limits.calls_max = 1);
    let mut socket = Socket::connect(&daemon).await;
    socket
        .send(&request(1, "net.ping", json!({ "contact": "bob" })))
        .await;
    daemon.state.pings_begun(1).await;
    assert_eq!(kind(&socket.call("hello", json!({})).await), "busy");
    daemon.state.gate.add_permits(1);
    assert_eq!(socket.json().await["id"], 1);
}

#[tokio::test]
async fn claims_and_slots_last_as_long_as_the_web_socket() {
    let daemon = Daemon::start();
    let mut claims = daemon.state.claims.subscribe();
    let mut socket = Socket::connect(&daemon).await;
    socket
        .call("ui.presence", json!({ "focused": true, "chat": "c1" }))
        .await;
    assert_eq!(claims.borrow_and_update().len(), 1);
    assert_eq!(daemon.handle.connections(), 1);
    drop(socket);
    claims.wait_for(Vec::is_empty).await.expect("state lives");
}

#[tokio::test]
async fn stopping_ends_web_sockets_too() {
    let daemon = Daemon::start();
    let mut socket = Socket::connect(&daemon).await;
    socket.call("hello", json!({})).await;
    daemon.stop().await;
    assert_eq!(daemon.handle.connections(), 0);
}
