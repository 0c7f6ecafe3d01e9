//! Peers that do not keep to the rules, written on bare streams.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::BytesMut;
use quinn::{RecvStream, SendStream};

use super::*;
use crate::{Alpn, Connection, Endpoint, EndpointConfig, Identity, PeerKey, Profile};

const AGES: Duration = Duration::from_secs(60);

/// A bare stream on the dialler's side and the channel at its other end.
struct Setup {
    dialler: Connection,
    send: SendStream,
    receive: RecvStream,
    acceptor: Connection,
    channel: Channel,
    _endpoints: [Endpoint; 2],
}

async fn setup() -> Setup {
    let identity = Identity::from_seed([1; 32]);
    let local = (Ipv4Addr::LOCALHOST, 0).into();
    let node = Endpoint::bind(EndpointConfig {
        alpns: vec![Alpn::Earth],
        identity: Some(identity.clone()),
        ..EndpointConfig::new(local, Profile::Earth)
    })
    .unwrap();
    let from = Endpoint::bind(EndpointConfig::new(local, Profile::Earth)).unwrap();
    let addr = node.local_addr().unwrap();
    let key = PeerKey::Exact(identity.public_key());
    let (dialler, acceptor) = tokio::join!(from.dial(addr, Alpn::Earth, key, None, AGES), async {
        node.accept().await.unwrap().accept().await.unwrap()
    });
    let dialler = dialler.unwrap();
    let (mut send, receive) = dialler.raw().open_bi().await.unwrap();
    send.write_all(&[5, 0, 0, 0, OPENED, 0, 0, 0, 0])
        .await
        .unwrap();
    let channel = acceptor.accept_channel().await.unwrap();
    Setup {
        dialler,
        send,
        receive,
        acceptor,
        channel,
        _endpoints: [from, node],
    }
}

fn frames(list: &[(u8, u32, &[u8])]) -> BytesMut {
    let mut out = BytesMut::new();
    for (kind, id, body) in list {
        codec::encode(&mut out, *kind, *id, body);
    }
    out
}

/// Sends `bytes` and expects the other side to end the channel and the connection for `violation`, telling why.
async fn is_refused(bytes: &[u8], violation: Violation) {
    let Setup {
        dialler,
        mut send,
        acceptor,
        channel,
        ..
    } = setup().await;
    send.write_all(bytes).await.unwrap();
    assert_eq!(channel.closed().await, ChannelError::Violation(violation));
    let reason = violation.to_string();
    assert_eq!(
        dialler.closed().await,
        CloseReason::Peer { code: 1, reason }
    );
    assert_eq!(acceptor.closed().await, CloseReason::Local);
    let late = channel.push(1, b"").await;
    assert_eq!(
        late,
        Err(SendError::Ended(ChannelError::Violation(violation)))
    );
    assert!(channel.next().await.is_none());
}

#[tokio::test]
async fn frames_without_room_for_a_header_are_refused() {
    for len in [0, 4] {
        let bytes = [&u32::to_le_bytes(len)[..], &[0; 5]].concat();
        is_refused(&bytes, Violation::Frame(FrameError::TooShort { len })).await;
    }
}

#[tokio::test]
async fn oversized_frames_are_refused_by_their_header() {
    for len in [262_150, u32::MAX] {
        let bytes = [&u32::to_le_bytes(len)[..], &[1, 1, 0, 0, 0]].concat();
        is_refused(&bytes, Violation::Frame(FrameError::TooLong { len })).await;
    }
}

#[tokio::test]
async fn text_of_another_protocol_is_refused() {
    let len = u32::from_le_bytes(*b"GET ");
    is_refused(
        b"GET / HTTP/1.1\r\n\r\n",
        Violation::Frame(FrameError::TooLong { len }),
    )
    .await;
}

#[tokio::test]
async fn answers_to_nothing_are_refused() {
    let bytes = frames(&[(0x81, 77, b"here you are")]);
    is_refused(&bytes, Violation::UnknownAnswer { id: 77 }).await;
}

#[tokio::test]
async fn more_requests_than_may_be_open_are_refused() {
    let list: Vec<_> = (1..=257).map(|id| (1, id, &b""[..])).collect();
    is_refused_after_draining(&frames(&list)).await;
}

async fn is_refused_after_draining(bytes: &[u8]) {
    let Setup {
        dialler,
        mut send,
        channel,
        ..
    } = setup().await;
    send.write_all(bytes).await.unwrap();
    assert_eq!(
        channel.closed().await,
        ChannelError::Violation(Violation::TooManyRequests)
    );
    let reason = "more than 256 requests are open".to_owned();
    assert_eq!(
        dialler.closed().await,
        CloseReason::Peer { code: 1, reason }
    );
    // What was within the rules can still be taken.
    let mut count = 0;
    while channel.next().await.is_some() {
        count += 1;
    }
    assert_eq!(count, OPEN_REQUESTS_MAX);
}

#[tokio::test]
async fn a_stream_that_ends_within_a_frame_is_refused() {
    let Setup {
        dialler,
        mut send,
        channel,
        ..
    } = setup().await;
    let bytes = frames(&[(1, 0, b"whole"), (1, 0, b"cut")]);
    send.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    send.finish().unwrap();
    assert!(matches!(channel.next().await, Some(Inbound::Push { .. })));
    assert!(channel.next().await.is_none());
    assert_eq!(
        channel.closed().await,
        ChannelError::Violation(Violation::Truncated)
    );
    let reason = "the stream ended within a frame".to_owned();
    assert_eq!(
        dialler.closed().await,
        CloseReason::Peer { code: 1, reason }
    );
}

#[tokio::test]
async fn an_answer_of_the_wrong_type_is_refused() {
    let Setup {
        mut send,
        mut receive,
        channel,
        ..
    } = setup().await;
    let (answer, ()) = tokio::join!(channel.request(0x05, b""), async {
        let mut request = [0; codec::HEADER_LEN];
        receive.read_exact(&mut request).await.unwrap();
        let id = u32::from_le_bytes([request[5], request[6], request[7], request[8]]);
        send.write_all(&frames(&[(0x86, id, b"")])).await.unwrap();
    });
    let violation = Violation::WrongAnswer {
        request: 0x05,
        answer: 0x86,
    };
    assert_eq!(
        answer,
        Err(SendError::Ended(ChannelError::Violation(violation)))
    );
}

#[tokio::test]
async fn a_reset_stream_ends_the_channel_and_not_the_connection() {
    let Setup {
        dialler,
        mut send,
        channel,
        ..
    } = setup().await;
    send.reset(9_u32.into()).unwrap();
    assert_eq!(channel.closed().await, ChannelError::ClosedByPeer);
    assert_eq!(dialler.close_reason(), None);
}

#[tokio::test]
async fn dropped_responders_do_not_pile_up_while_the_peer_does_not_read() {
    let Setup {
        mut send,
        channel,
        receive,
        ..
    } = setup().await;
    // The peer asks and asks, and reads no answer. Each answer is an error that needs no room in the queue.
    let dropped = Arc::new(AtomicUsize::new(0));
    let dropping = tokio::spawn({
        let (channel, dropped) = (channel.clone(), dropped.clone());
        async move {
            while channel.next().await.is_some() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let batch: Vec<_> = (1..=256).map(|id| (1, id, &b""[..])).collect();
    let batch = frames(&batch);
    let open = || channel.shared().open_requests.load(Ordering::Relaxed);
    let mut asked = 0_usize;
    loop {
        send.write_all(&batch).await.unwrap();
        asked += 256;
        assert!(asked < 1_000_000, "answers pile up");
        let all_answered = async {
            while dropped.load(Ordering::Relaxed) < asked || open() > 0 {
                tokio::task::yield_now().await;
            }
        };
        // Once QUIC takes no more answers, the requests count as open.
        if tokio::time::timeout(Duration::from_millis(400), all_answered)
            .await
            .is_err()
        {
            break;
        }
    }
    // 15 bytes for each answer that is not read: the window is full.
    assert!(asked * 15 > Profile::Earth.stream_window() as usize);
    // Asking on is against the rules now, and no more than the open ones wait for room.
    let _ = send.write_all(&batch).await;
    assert_eq!(
        channel.closed().await,
        ChannelError::Violation(Violation::TooManyRequests)
    );
    dropping.await.unwrap();
    drop(receive);
}
