//! Links between friends: expectations, and silence for everybody else.

use std::{collections::BTreeSet, net::UdpSocket, time::Duration};

use hermes_link::{Alpn, DialError, Endpoint, EndpointConfig, ExpectError, PeerKey, Profile};

use crate::support::*;

fn key(seed: u8) -> [u8; 32] {
    identity(seed).public_key()
}

/// Dials as `ours` and expects to find `theirs`.
async fn call(
    from: &Endpoint,
    to: std::net::SocketAddr,
    ours: u8,
    theirs: u8,
    timeout: Duration,
) -> Result<hermes_link::Connection, DialError> {
    from.dial(
        to,
        Alpn::Peer,
        PeerKey::Exact(key(theirs)),
        Some(&identity(ours)),
        timeout,
    )
    .await
}

#[tokio::test]
async fn two_friends_find_each_the_key_made_for_them() {
    let home = friend();
    let addr = home.local_addr().unwrap();
    let _first = home.expect_peer(key(10), identity(20), AGES).unwrap();
    let _second = home.expect_peer(key(11), identity(21), AGES).unwrap();
    let callers = dialler();
    let (ten, eleven, one, other) = tokio::join!(
        call(&callers, addr, 10, 20, AGES),
        call(&callers, addr, 11, 21, AGES),
        accept(&home),
        accept(&home)
    );
    assert_eq!(ten.unwrap().peer_key(), Some(key(20)));
    assert_eq!(eleven.unwrap().peer_key(), Some(key(21)));
    let seen: BTreeSet<_> = [one.peer_key(), other.peer_key()].into();
    assert_eq!(seen, [Some(key(10)), Some(key(11))].into());
    assert_eq!((one.alpn(), other.alpn()), (Alpn::Peer, Alpn::Peer));
}

#[tokio::test]
async fn strangers_hear_nothing() {
    let home = friend();
    let addr = home.local_addr().unwrap();
    let _guard = home.expect_peer(key(10), identity(20), AGES).unwrap();

    // Each of these knows something, but not both keys.
    let callers = dialler();
    let taps = [
        Tap::to(addr).await,
        Tap::to(addr).await,
        Tap::to(addr).await,
    ];
    let quiet = async {
        let unknown = call(&callers, taps[0].addr, 12, 20, AGES);
        let misled = call(&callers, taps[1].addr, 10, 22, AGES);
        let as_node = callers.dial(taps[2].addr, Alpn::Sky, node_key(), None, AGES);
        let _ = tokio::join!(unknown, misled, as_node);
    };
    let expected = async {
        for tap in &taps {
            tap.passed(1).await;
        }
        // The friend calls after them; when he is through, they have been dealt with.
        let friend = dialler();
        let (friend, _) = tokio::join!(call(&friend, addr, 10, 20, AGES), accept(&home));
        friend.unwrap()
    };
    tokio::select! {
        () = quiet => panic!("a stranger's dial ended"),
        friend = expected => assert_eq!(friend.peer_key(), Some(key(20))),
    }
    for tap in &taps {
        assert_eq!(tap.down(), Vec::<Vec<u8>>::new());
    }
}

#[tokio::test]
async fn a_stranger_learns_a_timeout() {
    let home = friend();
    let dialled = call(&dialler(), home.local_addr().unwrap(), 10, 20, A_WHILE).await;
    assert!(matches!(dialled, Err(DialError::Timeout)), "{dialled:?}");
}

#[tokio::test]
async fn scanners_hear_nothing() {
    let home = friend();
    let addr = home.local_addr().unwrap();
    let _guard = home.expect_peer(key(10), identity(20), AGES).unwrap();
    let scanner = UdpSocket::bind(LOOPBACK).unwrap();
    scanner.set_nonblocking(true).unwrap();
    let long = |version: u32, id_len: u8| {
        let mut probe = vec![0xc3];
        probe.extend(version.to_be_bytes());
        probe.push(id_len);
        probe.resize(1200, 0x55);
        probe
    };
    for probe in [
        long(0x1a2a_3a4a, 8),
        long(0, 8),
        long(1, 0),
        long(1, 7),
        long(1, 8),
        long(1, 20),
        vec![0x40; 1200],
        vec![0x40; 40],
        vec![0; 1],
    ] {
        scanner.send_to(&probe, addr).unwrap();
    }
    let friend = dialler();
    let (friend, _) = tokio::join!(call(&friend, addr, 10, 20, AGES), accept(&home));
    friend.unwrap();
    let heard = scanner.recv(&mut [0; 2000]).map_err(|error| error.kind());
    assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn a_repeated_first_packet_is_not_answered() {
    let home = friend();
    let addr = home.local_addr().unwrap();
    let _guard = home.expect_peer(key(10), identity(20), AGES).unwrap();
    let tap = Tap::to(addr).await;
    let caller = dialler();
    let (ours, theirs) = tokio::join!(call(&caller, tap.addr, 10, 20, AGES), accept(&home));
    let (ours, theirs) = (ours.unwrap(), theirs);
    let first = tap.up()[0].clone();
    // Once the link is gone, nothing but the table of expectations remembers it.
    ours.close(0, "");
    theirs.closed().await;
    drop((ours, theirs));
    while home.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
    let replayer = UdpSocket::bind(LOOPBACK).unwrap();
    replayer.set_nonblocking(true).unwrap();
    replayer.send_to(&first, addr).unwrap();
    let again = dialler();
    let (again, _) = tokio::join!(call(&again, addr, 10, 20, AGES), accept(&home));
    again.unwrap();
    let heard = replayer.recv(&mut [0; 2000]).map_err(|error| error.kind());
    assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn an_expectation_ends_with_its_guard() {
    let home = friend();
    let addr = home.local_addr().unwrap();
    let guard = home.expect_peer(key(10), identity(20), AGES).unwrap();
    let caller = dialler();
    let (ours, theirs) = tokio::join!(call(&caller, addr, 10, 20, AGES), accept(&home));
    let ours = ours.unwrap();
    drop(guard);
    let dialled = call(&caller, addr, 10, 20, A_WHILE).await;
    assert!(matches!(dialled, Err(DialError::Timeout)), "{dialled:?}");
    // What stands stays.
    let (one, other) = tokio::join!(ours.open_channel(), theirs.accept_channel());
    one.unwrap();
    other.unwrap();
}

#[tokio::test]
async fn several_addresses_of_one_friend_can_be_dialled_at_once() {
    let home = friend();
    let addr = home.local_addr().unwrap();
    let _guard = home.expect_peer(key(10), identity(20), AGES).unwrap();
    let caller = dialler();
    let (a, b, c, _, _, _) = tokio::join!(
        call(&caller, addr, 10, 20, AGES),
        call(&caller, addr, 10, 20, AGES),
        call(&caller, addr, 10, 20, AGES),
        accept(&home),
        accept(&home),
        accept(&home)
    );
    let bindings: BTreeSet<_> = [a, b, c].map(|link| link.unwrap().binding()).into();
    assert_eq!(bindings.len(), 3);
}

#[tokio::test]
async fn friends_may_call_each_other_at_the_same_time() {
    let [one, two] = [friend(), friend()];
    let [to_one, to_two] = [&one, &two].map(|endpoint| endpoint.local_addr().unwrap());
    let _at_one = one.expect_peer(key(2), identity(1), AGES).unwrap();
    let _at_two = two.expect_peer(key(1), identity(2), AGES).unwrap();
    let (there, back, at_two, at_one) = tokio::join!(
        call(&one, to_two, 1, 2, AGES),
        call(&two, to_one, 2, 1, AGES),
        accept(&two),
        accept(&one)
    );
    assert_eq!(there.unwrap().binding(), at_two.binding());
    assert_eq!(back.unwrap().binding(), at_one.binding());
    assert_eq!(
        (at_one.peer_key(), at_two.peer_key()),
        (Some(key(2)), Some(key(1)))
    );
}

#[tokio::test]
async fn a_node_can_expect_friends_beside_its_own_callers() {
    let config = EndpointConfig {
        alpns: vec![Alpn::Earth, Alpn::Peer],
        identity: Some(identity(1)),
        ..config(Profile::Peer)
    };
    let both = Endpoint::bind(config).unwrap();
    let addr = both.local_addr().unwrap();
    let _guard = both.expect_peer(key(10), identity(20), AGES).unwrap();
    let caller = dialler();
    let (as_friend, accepted) = tokio::join!(call(&caller, addr, 10, 20, AGES), accept(&both));
    as_friend.unwrap();
    assert_eq!(accepted.alpn(), Alpn::Peer);
    let (as_user, accepted) = tokio::join!(
        caller.dial(addr, Alpn::Earth, node_key(), None, AGES),
        accept(&both)
    );
    as_user.unwrap();
    assert_eq!((accepted.alpn(), accepted.peer_key()), (Alpn::Earth, None));
}

#[tokio::test]
async fn links_between_friends_need_both_keys() {
    let caller = dialler();
    let addr = "127.0.0.1:9".parse().unwrap();
    let exact = PeerKey::Exact(key(20));
    let prefix = PeerKey::HashPrefix([0; 8]);
    let nameless = caller.dial(addr, Alpn::Peer, exact, None, AGES).await;
    assert!(matches!(nameless, Err(DialError::KeysMissing)));
    let vague = caller
        .dial(addr, Alpn::Peer, prefix, Some(&identity(10)), AGES)
        .await;
    assert!(matches!(vague, Err(DialError::KeysMissing)));
    let unprepared = caller.expect_peer(key(10), identity(20), AGES);
    assert!(matches!(unprepared, Err(ExpectError::NotAccepting)));
}
