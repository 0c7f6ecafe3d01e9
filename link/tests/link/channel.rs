//! Channels: requests, answers, pushes, and what happens when somebody does not play along.

use std::sync::Arc;

use bytes::Bytes;
use hermes_link::{
    ChannelError, CloseReason, ERROR_ANSWER, HEADER_LEN, Inbound, OPEN_REQUESTS_MAX, Profile,
    SendError,
};
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test]
async fn requests_are_answered_and_pushes_arrive() {
    let ((_a, ours), (_b, theirs)) = channels(Profile::Peer).await;
    ours.push(1, b"hello").await.unwrap();
    let Some(Inbound::Push { kind: 1, body }) = theirs.next().await else {
        panic!()
    };
    assert_eq!(&body[..], b"hello");

    let (answer, ()) = tokio::join!(ours.request(0x21, b"question"), async {
        let Some(Inbound::Request {
            kind: 0x21,
            body,
            responder,
        }) = theirs.next().await
        else {
            panic!()
        };
        assert_eq!(&body[..], b"question");
        responder.answer(0xa1, b"answer").await.unwrap();
    });
    let answer = answer.unwrap();
    assert_eq!(
        (answer.kind, &answer.body[..], answer.is_error()),
        (0xa1, &b"answer"[..], false)
    );
}

#[tokio::test]
async fn the_acceptor_may_speak_first() {
    let ((_a, ours), (_b, theirs)) = channels(Profile::Sky).await;
    theirs.push(0x40, b"observed").await.unwrap();
    let Some(Inbound::Push { kind: 0x40, body }) = ours.next().await else {
        panic!()
    };
    assert_eq!(&body[..], b"observed");
    let _echo = echo(ours);
    assert_eq!(
        theirs.request(0x10, b"?").await.unwrap().body,
        Bytes::from_static(b"?")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_in_flight_both_ways() {
    const COUNT: u32 = 10_000;
    for profile in [Profile::Sky, Profile::Earth] {
        let ((_a, ours), (_b, theirs)) = channels(profile).await;
        let _echoes = [echo(ours.clone()), echo(theirs.clone())];
        let mut tasks = JoinSet::new();
        for channel in [ours, theirs] {
            for number in 0..COUNT {
                let channel = channel.clone();
                tasks.spawn(async move {
                    let mut body = vec![0; 1024];
                    body[..4].copy_from_slice(&number.to_le_bytes());
                    let answer = channel.request(0x01, &body).await.unwrap();
                    assert_eq!((answer.kind, &answer.body[..]), (0x81, &body[..]));
                });
            }
        }
        let mut done = 0;
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
            done += 1;
        }
        assert_eq!(done, 2 * COUNT);
    }
}

#[tokio::test]
async fn answers_may_come_in_any_order() {
    let ((_a, ours), (_b, theirs)) = channels(Profile::Peer).await;
    let mut waiting = Vec::new();
    let mut responders = Vec::new();
    for number in 0..10_u8 {
        let ours = ours.clone();
        waiting.push(tokio::spawn(async move {
            ours.request(1, [number]).await.unwrap().body
        }));
        let Some(Inbound::Request {
            body, responder, ..
        }) = theirs.next().await
        else {
            panic!()
        };
        responders.push((responder, body));
    }
    for (responder, body) in responders.into_iter().rev() {
        responder.answer(0x81, body).await.unwrap();
    }
    for (number, answer) in (0..10_u8).zip(waiting) {
        assert_eq!(answer.await.unwrap()[..], [number]);
    }
}

#[tokio::test]
async fn the_largest_body_passes_and_no_larger() {
    for profile in [Profile::Sky, Profile::Peer] {
        let ((a, ours), (_b, theirs)) = channels(profile).await;
        let _echo = echo(theirs);
        let body = vec![0x5a; a.max_message()];
        assert_eq!(ours.request(1, &body).await.unwrap().body, body);
        let too_long = vec![0; a.max_message() + 1];
        let expected = Err(SendError::TooLong {
            len: too_long.len(),
        });
        assert_eq!(ours.request(1, &too_long).await, expected);
        assert_eq!(
            ours.push(1, &too_long).await.map(|()| unreachable!()),
            expected
        );
    }
}

#[tokio::test]
async fn types_that_do_not_belong_are_not_sent() {
    let ((_a, ours), (_b, theirs)) = channels(Profile::Peer).await;
    assert_eq!(
        ours.request(0x80, b"").await,
        Err(SendError::WrongType { kind: 0x80 })
    );
    assert_eq!(
        ours.push(0, b"").await,
        Err(SendError::WrongType { kind: 0 })
    );
    let (answer, ()) = tokio::join!(ours.request(1, b""), async {
        let Some(Inbound::Request { responder, .. }) = theirs.next().await else {
            panic!()
        };
        let wrong = responder.answer(0x82, b"").await;
        assert_eq!(wrong, Err(SendError::WrongType { kind: 0x82 }));
    });
    assert!(answer.unwrap().is_error());
}

#[tokio::test]
async fn a_dropped_responder_answers_with_an_error() {
    let ((_a, ours), (_b, theirs)) = channels(Profile::Peer).await;
    let (answer, ()) = tokio::join!(ours.request(1, b""), async {
        drop(theirs.next().await);
    });
    let answer = answer.unwrap();
    assert_eq!(
        (answer.kind, &answer.body[..]),
        (ERROR_ANSWER, &[15, 0, 0, 0, 0, 0][..])
    );
}

#[tokio::test]
async fn giving_up_on_an_answer_frees_nothing_until_it_is_here() {
    let ((_a, ours), (_b, theirs)) = channels(Profile::Peer).await;
    // As many requests as may be open, all given up.
    let mut responders = Vec::new();
    for _ in 0..OPEN_REQUESTS_MAX {
        let mut request = Box::pin(ours.request(1, b"first"));
        tokio::select! {
            biased;
            _ = &mut request => panic!("nobody answers"),
            inbound = theirs.next() => responders.extend(inbound),
        }
    }
    assert_eq!(responders.len(), OPEN_REQUESTS_MAX);
    // One more must wait until the other side is done with one of them.
    let mut next = Box::pin(ours.request(1, b"next"));
    tokio::select! {
        biased;
        _ = &mut next => panic!("there is no place"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(theirs.unread_bytes(), 0);
    let Some(Inbound::Request { responder, .. }) = responders.pop() else {
        panic!()
    };
    responder.answer(0x81, b"late").await.unwrap();
    let (answer, ()) = tokio::join!(next, async {
        let Some(Inbound::Request {
            body, responder, ..
        }) = theirs.next().await
        else {
            panic!()
        };
        assert_eq!(&body[..], b"next");
        responder.answer(0x81, b"to the right one").await.unwrap();
    });
    assert_eq!(&answer.unwrap().body[..], b"to the right one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stops_reading_makes_us_wait_and_nothing_grow() {
    for profile in [Profile::Sky, Profile::Earth] {
        let ((_a, ours), (_b, theirs)) = channels(profile).await;
        let cap = ours.queue_cap();
        let body = vec![7; 4096];
        let mut sent = 0_usize;
        // Whatever the queues and windows can hold is far less than this.
        let endless = 16 * cap / body.len() + 4096;
        loop {
            let is_full = match ours.try_push(1, &body) {
                Ok(()) => false,
                Err(SendError::Full) => true,
                Err(error) => panic!("{error}"),
            };
            sent += usize::from(!is_full);
            assert!(sent < endless, "nothing made the sender wait");
            assert!(ours.queued_bytes() <= cap);
            assert!(theirs.unread_bytes() <= cap);
            if is_full && theirs.unread_bytes() + HEADER_LEN + body.len() > cap {
                break;
            }
            tokio::task::yield_now().await;
        }
        // All of it was kept, and it flows again once it is read.
        let reader = tokio::spawn(async move {
            for _ in 0..sent + 1 {
                assert!(
                    matches!(theirs.next().await, Some(Inbound::Push { body, .. }) if body.len() == 4096)
                );
            }
            theirs
        });
        ours.push(1, &body).await.unwrap();
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn many_tiny_frames_are_capped_too() {
    let ((_a, ours), (_b, theirs)) = channels(Profile::Peer).await;
    let mut sent = 0_usize;
    // 1024 wait on the other side, and here one for every 256 bytes; the rest is in QUIC's windows.
    loop {
        let is_full = ours.try_push(1, b"").is_err();
        sent += usize::from(!is_full);
        assert!(sent < 1_000_000, "nothing made the sender wait");
        assert!(ours.queued_bytes() <= ours.queue_cap());
        assert!(theirs.unread_bytes() <= 1024 * HEADER_LEN);
        if is_full && theirs.unread_bytes() == 1024 * HEADER_LEN {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn finishing_delivers_everything_first() {
    let ((a, ours), (_b, theirs)) = channels(Profile::Sky).await;
    let reader = tokio::spawn(async move {
        let mut bytes = 0;
        while let Some(Inbound::Push { body, .. }) = theirs.next().await {
            bytes += body.len();
        }
        (bytes, theirs.closed().await)
    });
    for _ in 0..4 {
        ours.push(1, vec![1; 200_000]).await.unwrap();
    }
    ours.finish().await.unwrap();
    assert_eq!(reader.await.unwrap(), (800_000, ChannelError::ClosedByPeer));
    assert_eq!(
        ours.push(1, b"").await,
        Err(SendError::Ended(ChannelError::Closed))
    );
    assert_eq!(a.close_reason(), None, "the connection stays");
}

#[tokio::test]
async fn both_may_finish_at_once() {
    let ((_a, ours), (_b, theirs)) = channels(Profile::Peer).await;
    ours.push(1, b"bye").await.unwrap();
    theirs.push(1, b"bye").await.unwrap();
    let read = |channel: hermes_link::Channel| async move {
        let mut count = 0;
        while channel.next().await.is_some() {
            count += 1;
        }
        count
    };
    let (one, two, three, four) = tokio::join!(
        ours.finish(),
        theirs.finish(),
        read(ours.clone()),
        read(theirs.clone())
    );
    assert_eq!((one, two, three, four), (Ok(()), Ok(()), 1, 1));
}

#[tokio::test]
async fn dropping_a_channel_ends_it_on_both_sides() {
    let ((a, ours), (_b, theirs)) = channels(Profile::Peer).await;
    let waiting = tokio::spawn({
        let theirs = theirs.clone();
        async move { theirs.request(1, b"").await }
    });
    let Some(Inbound::Request { responder, .. }) = ours.next().await else {
        panic!()
    };
    drop(ours);
    assert!(theirs.next().await.is_none());
    assert_eq!(
        waiting.await.unwrap(),
        Err(SendError::Ended(ChannelError::ClosedByPeer))
    );
    assert_eq!(theirs.closed().await, ChannelError::ClosedByPeer);
    assert_eq!(a.close_reason(), None);
    let late = responder.answer(0x81, b"").await;
    assert_eq!(late, Err(SendError::Ended(ChannelError::Closed)));
}

#[tokio::test]
async fn the_end_of_the_connection_is_told_to_all_who_wait() {
    let ((a, ours), (b, theirs)) = channels(Profile::Peer).await;
    let waiting = tokio::spawn({
        let ours = ours.clone();
        async move { ours.request(1, b"").await }
    });
    let _asked = theirs.next().await.unwrap();
    b.close(33, "enough");
    let reason = CloseReason::Peer {
        code: 33,
        reason: "enough".to_owned(),
    };
    let error = ChannelError::Connection(reason.clone());
    assert_eq!(waiting.await.unwrap(), Err(SendError::Ended(error.clone())));
    assert!(ours.next().await.is_none());
    assert_eq!(ours.closed().await, error);
    assert_eq!(a.closed().await, reason);
}

#[tokio::test]
async fn several_tasks_share_what_comes_in() {
    let ((_a, ours), (_b, theirs)) = channels(Profile::Peer).await;
    let barrier = Arc::new(tokio::sync::Barrier::new(4));
    let mut takers = JoinSet::new();
    for _ in 0..4 {
        let (theirs, barrier) = (theirs.clone(), barrier.clone());
        takers.spawn(async move {
            let inbound = theirs.next().await;
            // Each holds on to its frame until all have one.
            barrier.wait().await;
            assert!(inbound.is_some());
        });
    }
    for _ in 0..4 {
        ours.push(1, b"").await.unwrap();
    }
    while let Some(taker) = takers.join_next().await {
        taker.unwrap();
    }
}
