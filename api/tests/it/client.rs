//! The typed client against a real socket.

use hermes_api::client::{Client, ClientError, Events, Feed};
use hermes_api::error::Exit;
use hermes_api::paths::{Paths, Sources};
use hermes_api::table::{ContactGet, MessageSend, NetPing, StoreUnlock};
use hermes_api::types::*;
use hermes_api::{ApiError, ErrorCode};
use serde_json::value::RawValue;

use crate::support::{Daemon, number, paths_in};

fn message(body: &str) -> MessageSendParams {
    MessageSendParams {
        to: "bob".to_owned(),
        body: body.to_owned(),
        ..MessageSendParams::default()
    }
}

fn code(error: &ClientError) -> Option<ErrorCode> {
    match error {
        ClientError::Api(error) => error.code(),
        _ => None,
    }
}

#[tokio::test]
async fn calls_are_typed() {
    let daemon = Daemon::start();
    let client = Client::connect(daemon.paths.clone())
        .await
        .expect("connected");
    let hello = client.hello("test", "1").await.expect("hello");
    assert_eq!(hello.server_version, "0.0.0-test");
    let sent = client
        .call::<MessageSend>(message("hi"))
        .await
        .expect("sent");
    assert_eq!(
        (sent.message_id.as_str(), sent.state),
        ("m1", MessageState::Queued)
    );
    let wrong = StoreUnlockParams {
        passphrase: Passphrase::new("x".to_owned()),
    };
    let error = client
        .call::<StoreUnlock>(wrong)
        .await
        .expect_err("refused");
    let ClientError::Api(error) = error else {
        panic!("{error}")
    };
    assert_eq!(
        error,
        ApiError::new(ErrorCode::WrongPassphrase, "wrong passphrase").retry_after_ms(2_000)
    );
    let raw = RawValue::from_string(r#"{"contact":"bob"}"#.to_owned()).expect("json");
    let contact = client.call_raw("contact.get", &raw).await.expect("shown");
    assert!(contact.get().contains(r#""name":"bob""#));
}

#[tokio::test]
async fn many_calls_run_side_by_side_on_one_connection() {
    let daemon = Daemon::start();
    let client = Client::connect(daemon.paths.clone())
        .await
        .expect("connected");
    let ping = tokio::spawn({
        let client = client.clone();
        async move {
            client
                .call::<NetPing>(NetPingParams {
                    contact: "bob".to_owned(),
                    timeout_ms: None,
                })
                .await
        }
    });
    daemon.state.pings_begun(1).await;
    let calls = (0..200).map(|number| {
        let client = client.clone();
        async move {
            client
                .call::<ContactGet>(ContactParams {
                    contact: format!("n{number}"),
                })
                .await
        }
    });
    for (number, answer) in futures_util::future::join_all(calls)
        .await
        .into_iter()
        .enumerate()
    {
        assert_eq!(answer.expect("shown").name, format!("n{number}"));
    }
    daemon.state.gate.add_permits(1);
    assert_eq!(ping.await.expect("ran").expect("pinged").name, "bob");
    assert_eq!(daemon.handle.connections(), 1);
}

#[tokio::test]
async fn nobody_there_is_told_as_such() {
    let dir = tempfile::tempdir().expect("scratch");
    for home in [dir.path().to_owned(), dir.path().join("missing")] {
        let error = Client::connect(paths_in(&home)).await.expect_err("nobody");
        assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
        assert_eq!(error.exit(), Exit::Unreachable);
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("daemon start"))
        );
    }
    // A socket that a killed daemon left behind is nobody too.
    let paths = paths_in(dir.path());
    drop(std::os::unix::net::UnixListener::bind(paths.socket()).expect("bound"));
    let error = Client::connect(paths).await.expect_err("nobody");
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
}

#[tokio::test]
async fn a_restart_is_survived_and_a_call_under_way_is_told_lost() {
    let daemon =
        Daemon::start_with(|options| options.limits.drain_wait = std::time::Duration::ZERO);
    let client = Client::connect(daemon.paths.clone())
        .await
        .expect("connected");
    let ping = tokio::spawn({
        let client = client.clone();
        async move {
            client
                .call::<NetPing>(NetPingParams {
                    contact: "bob".to_owned(),
                    timeout_ms: None,
                })
                .await
        }
    });
    daemon.state.pings_begun(1).await;
    daemon.stop().await;
    assert!(matches!(ping.await.expect("ran"), Err(ClientError::Lost)));
    let _second = daemon.start_again();
    client
        .call::<MessageSend>(message("after the restart"))
        .await
        .expect("sent");
}

#[tokio::test]
async fn a_request_that_the_daemon_would_not_read_is_not_sent() {
    let daemon = Daemon::start();
    let client = Client::connect(daemon.paths.clone())
        .await
        .expect("connected");
    let error = client
        .call::<MessageSend>(message(&"x".repeat(1024 * 1024)))
        .await
        .expect_err("refused");
    assert_eq!(code(&error), Some(ErrorCode::RequestTooBig));
    client
        .call::<MessageSend>(message("short"))
        .await
        .expect("sent");
}

#[tokio::test]
async fn why_the_daemon_hangs_up_is_told() {
    let daemon = Daemon::start_with(|options| options.limits.connections_max = 0);
    let client = Client::connect(daemon.paths.clone())
        .await
        .expect("connected");
    let error = client.hello("test", "1").await.expect_err("refused");
    assert_eq!(code(&error), Some(ErrorCode::Busy), "{error}");
}

#[tokio::test]
async fn a_call_given_up_leaves_the_connection_whole() {
    let daemon = Daemon::start();
    let client = Client::connect(daemon.paths.clone())
        .await
        .expect("connected");
    let ping = client.call::<NetPing>(NetPingParams {
        contact: "bob".to_owned(),
        timeout_ms: None,
    });
    tokio::select! {
        biased;
        _ = ping => panic!("the gate is closed"),
        () = daemon.state.pings_begun(1) => {}
    }
    daemon.state.gate.add_permits(1);
    client
        .call::<MessageSend>(message("hi"))
        .await
        .expect("sent");
    assert_eq!(daemon.handle.connections(), 1);
}

async fn next_number(events: &mut Events) -> u64 {
    loop {
        match events.next().await.expect("goes on") {
            Feed::Event(Event {
                data: EventData::CaughtUp(_),
                ..
            })
            | Feed::Connected
            | Feed::Lost(_) => {}
            Feed::Event(event) => return number(&event),
            Feed::Ended(error) => panic!("ended: {error}"),
        }
    }
}

#[tokio::test]
async fn events_go_on_where_they_were_after_a_restart() {
    let daemon = Daemon::start();
    daemon.state.append(2);
    let client = Client::new(daemon.paths.clone());
    let mut events = client.events(EventsSubscribeParams {
        after: Some(After::Start),
        ..Default::default()
    });
    assert!(matches!(events.next().await, Some(Feed::Connected)));
    assert_eq!(next_number(&mut events).await, 1);
    assert_eq!(next_number(&mut events).await, 2);
    assert!(matches!(
        events.next().await,
        Some(Feed::Event(Event {
            data: EventData::CaughtUp(_),
            ..
        }))
    ));
    daemon.stop().await;
    assert!(matches!(events.next().await, Some(Feed::Lost(_))));
    daemon.state.append(3);
    let second = daemon.start_again();
    assert!(matches!(events.next().await, Some(Feed::Connected)));
    for expected in 3..=5 {
        assert_eq!(next_number(&mut events).await, expected);
    }
    second.state.append(1);
    assert_eq!(next_number(&mut events).await, 6);
}

#[tokio::test]
async fn a_reader_that_pauses_gets_every_event() {
    const EVENTS: u64 = 5_000;
    let daemon = Daemon::start();
    let client = Client::new(daemon.paths.clone());
    let mut events = client.events(EventsSubscribeParams::default());
    assert!(matches!(events.next().await, Some(Feed::Connected)));
    daemon.state.append(EVENTS);
    client
        .call::<MessageSend>(message("meanwhile"))
        .await
        .expect("sent");
    for expected in 1..=EVENTS {
        assert_eq!(next_number(&mut events).await, expected);
    }
}

#[tokio::test]
async fn a_cursor_of_another_store_ends_the_stream() {
    let daemon = Daemon::start();
    let after = Some(After::Cursor(Cursor::new("other", 3)));
    let mut events = Client::new(daemon.paths.clone()).events(EventsSubscribeParams {
        after,
        ..Default::default()
    });
    let Some(Feed::Ended(ClientError::Api(error))) = events.next().await else {
        panic!("not ended")
    };
    assert!(error.is(ErrorCode::CursorExpired));
    assert_eq!(error.data().head.as_deref(), Some("t:9"));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn events_wait_for_a_daemon_that_is_not_there_yet() {
    let daemon = Daemon::start();
    daemon.stop().await;
    let mut events = Client::new(daemon.paths.clone()).events(EventsSubscribeParams::default());
    assert!(matches!(
        events.next().await,
        Some(Feed::Lost(ClientError::NotRunning { .. }))
    ));
    let _second = daemon.start_again();
    assert!(matches!(events.next().await, Some(Feed::Connected)));
}

#[tokio::test]
async fn dropping_the_stream_ends_the_subscription() {
    let daemon = Daemon::start();
    let mut events = Client::new(daemon.paths.clone()).events(EventsSubscribeParams::default());
    assert!(matches!(events.next().await, Some(Feed::Connected)));
    assert!(matches!(events.next().await, Some(Feed::Event(_))));
    assert_eq!(daemon.state.head.receiver_count(), 1);
    drop(events);
    daemon.state.head.closed().await;
}

#[test]
fn a_socket_named_alone_is_not_overridden_by_the_environment() {
    let sources = Sources::from_env(Some("/h".into()), None);
    assert_eq!(
        sources,
        Sources {
            home: Some("/h".into()),
            socket: None
        }
    );
    assert!(!Paths::resolve(&sources).expect("paths").is_socket_named());
}
