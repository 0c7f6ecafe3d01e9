//! Caps on strangers: what somebody without a name can take up at most.

use std::sync::{Arc, Mutex};

use hermes_link::{
    Admission, AdmissionHook, Alpn, DialError, Endpoint, EndpointConfig, Limits, Profile,
    SourceProof,
};

use crate::support::*;

fn guarded(limits: Limits, admission: Option<AdmissionHook>) -> Endpoint {
    Endpoint::bind(EndpointConfig {
        alpns: vec![Alpn::Sky],
        identity: Some(identity(1)),
        limits,
        admission,
        ..config(Profile::Sky)
    })
    .unwrap()
}

async fn dial(endpoint: &Endpoint, timeout: std::time::Duration) -> Result<(), DialError> {
    let addr = endpoint.local_addr().unwrap();
    dialler()
        .dial(addr, Alpn::Sky, node_key(), None, timeout)
        .await
        .map(drop)
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let node = guarded(
        Limits {
            connections_max: 2,
            ..Limits::default()
        },
        None,
    );
    let addr = node.local_addr().unwrap();
    let caller = dialler();
    let mut held = Vec::new();
    for _ in 0..2 {
        let (ours, theirs) = tokio::join!(
            caller.dial(addr, Alpn::Sky, node_key(), None, AGES),
            accept(&node)
        );
        held.push((ours.unwrap(), theirs));
    }
    assert!(matches!(
        dial(&node, A_WHILE).await,
        Err(DialError::Timeout)
    ));
    let (ours, theirs) = held.pop().unwrap();
    ours.close(0, "");
    theirs.closed().await;
    drop((ours, theirs));
    while node.open_connections() > 1 {
        tokio::task::yield_now().await;
    }
    let (dialled, _) = tokio::join!(dial(&node, AGES), accept(&node));
    dialled.unwrap();
}

#[tokio::test]
async fn no_more_handshakes_than_allowed() {
    let node = guarded(
        Limits {
            handshakes_max: 1,
            ..Limits::default()
        },
        None,
    );
    let caller = dialler();
    let addr = node.local_addr().unwrap();
    let first = tokio::spawn(async move {
        caller
            .dial(addr, Alpn::Sky, node_key(), None, AGES)
            .await
            .map(|link| (caller, link))
    });
    // The attempt is taken but not yet accepted: the one place is taken too.
    let attempt = node.accept().await.unwrap();
    assert_eq!(attempt.remote_address().ip(), LOOPBACK.ip());
    assert!(matches!(
        dial(&node, A_WHILE).await,
        Err(DialError::Timeout)
    ));
    attempt.accept().await.unwrap();
    first.await.unwrap().unwrap();
    let (dialled, _) = tokio::join!(dial(&node, AGES), accept(&node));
    dialled.unwrap();
}

#[tokio::test]
async fn a_dropped_attempt_is_left_without_an_answer() {
    let node = guarded(Limits::default(), None);
    let tap = Tap::to(node.local_addr().unwrap()).await;
    let caller = dialler();
    let dial = caller.dial(tap.addr, Alpn::Sky, node_key(), None, A_WHILE);
    let drop_all = async {
        loop {
            drop(node.accept().await.unwrap());
        }
    };
    tokio::select! {
        dialled = dial => assert!(matches!(dialled, Err(DialError::Timeout))),
        () = drop_all => {}
    }
    assert!(!tap.up().is_empty());
    assert_eq!(tap.down(), Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn the_hook_is_asked_first_and_obeyed() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let hook: AdmissionHook = Arc::new({
        let asked = asked.clone();
        move |source, proof| {
            asked.lock().unwrap().push((source, proof));
            Admission::Ignore
        }
    });
    let node = guarded(Limits::default(), Some(hook));
    assert!(matches!(
        dial(&node, A_WHILE).await,
        Err(DialError::Timeout)
    ));
    assert_eq!(
        asked.lock().unwrap()[0],
        (LOOPBACK.ip(), SourceProof::Claimed)
    );
}

#[tokio::test]
async fn the_hook_sees_plain_addresses_on_a_socket_of_both_families() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let hook: AdmissionHook = Arc::new({
        let asked = asked.clone();
        move |source, _| {
            asked.lock().unwrap().push(source);
            Admission::Admit
        }
    });
    let config = EndpointConfig {
        local: "[::]:0".parse().unwrap(),
        alpns: vec![Alpn::Sky],
        identity: Some(identity(1)),
        admission: Some(hook),
        ..config(Profile::Sky)
    };
    // Machines without IPv6 have nothing to test here.
    let Ok(node) = Endpoint::bind(config) else {
        return;
    };
    let addr = (LOOPBACK.ip(), node.local_addr().unwrap().port()).into();
    let caller = dialler();
    let dial = caller.dial(addr, Alpn::Sky, node_key(), None, AGES);
    let (dialled, accepted) = tokio::join!(dial, accept(&node));
    dialled.unwrap();
    assert_eq!(accepted.remote_address().ip(), LOOPBACK.ip());
    assert_eq!(*asked.lock().unwrap(), [LOOPBACK.ip()]);
}

#[tokio::test]
async fn sources_can_be_made_to_prove_their_address() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let hook: AdmissionHook = Arc::new({
        let asked = asked.clone();
        move |_, proof| {
            asked.lock().unwrap().push(proof);
            Admission::Prove
        }
    });
    let node = guarded(Limits::default(), Some(hook));
    let (dialled, _) = tokio::join!(dial(&node, AGES), accept(&node));
    dialled.unwrap();
    let asked = asked.lock().unwrap();
    assert_eq!(asked.first(), Some(&SourceProof::Claimed));
    assert_eq!(asked.last(), Some(&SourceProof::Proved));
}

#[tokio::test]
async fn a_friend_can_prove_its_address_too() {
    let hook: AdmissionHook = Arc::new(|_, _| Admission::Prove);
    let config = EndpointConfig {
        alpns: vec![Alpn::Peer],
        admission: Some(hook),
        ..config(Profile::Peer)
    };
    let home = Endpoint::bind(config).unwrap();
    let (theirs, ours) = (identity(10), identity(20));
    let _guard = home
        .expect_peer(theirs.public_key(), ours.clone(), AGES)
        .unwrap();
    let caller = dialler();
    let key = hermes_link::PeerKey::Exact(ours.public_key());
    let addr = home.local_addr().unwrap();
    let (dialled, accepted) = tokio::join!(
        caller.dial(addr, Alpn::Peer, key, Some(&theirs), AGES),
        accept(&home)
    );
    dialled.unwrap();
    assert_eq!(accepted.peer_key(), Some(theirs.public_key()));
}

/// Whether the first answer that passed a tap is a Retry (RFC 9000 §17.2.5).
fn is_retry(tap: &Tap) -> bool {
    tap.down()[0][0] & 0xf0 == 0xf0
}

#[tokio::test]
async fn sources_must_prove_their_address_when_it_gets_crowded() {
    let node = guarded(
        Limits {
            handshakes_max: 2,
            ..Limits::default()
        },
        None,
    );
    let addr = node.local_addr().unwrap();
    let taps = [Tap::to(addr).await, Tap::to(addr).await];
    let callers = [dialler(), dialler()];
    let first = callers[0].dial(taps[0].addr, Alpn::Sky, node_key(), None, AGES);
    let second = callers[1].dial(taps[1].addr, Alpn::Sky, node_key(), None, AGES);
    let accept_both = async {
        let one = node.accept().await.unwrap();
        // Half of the places are taken now.
        let other = node.accept().await.unwrap();
        tokio::join!(one.accept(), other.accept())
    };
    let (first, second, accepted) = tokio::join!(first, second, accept_both);
    first.unwrap();
    second.unwrap();
    accepted.0.unwrap();
    accepted.1.unwrap();
    let mut retries = taps.map(|tap| is_retry(&tap));
    retries.sort_unstable();
    assert_eq!(retries, [false, true]);
}
