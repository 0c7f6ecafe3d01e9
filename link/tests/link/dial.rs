//! Dialling nodes: pinning, binding, closing.

use hermes_link::{
    Alpn, BindError, CloseReason, DialError, Endpoint, EndpointConfig, PeerKey, Profile,
};
use sha2::{Digest, Sha256};

use crate::support::*;

#[tokio::test]
async fn the_right_key_is_dialled() {
    let node = node(Alpn::Sky, Profile::Sky);
    let addr = node.local_addr().unwrap();
    let dialler = dialler();
    let (ours, theirs) = tokio::join!(
        dialler.dial(addr, Alpn::Sky, node_key(), None, AGES),
        accept(&node)
    );
    let ours = ours.unwrap();
    assert_eq!(ours.peer_key(), Some(identity(1).public_key()));
    assert_eq!(theirs.peer_key(), None, "a user shows nothing");
    assert_eq!((ours.alpn(), theirs.alpn()), (Alpn::Sky, Alpn::Sky));
    assert_eq!(ours.remote_address(), addr);
    assert_eq!(theirs.remote_address(), dialler.local_addr().unwrap());
    assert_eq!(ours.max_message(), 262_144);
}

#[tokio::test]
async fn another_key_is_told_apart_from_silence() {
    let node = node(Alpn::Sky, Profile::Sky);
    let addr = node.local_addr().unwrap();
    let wrong = PeerKey::Exact(identity(2).public_key());
    let dialler = dialler();
    let (dialled, accepted) =
        tokio::join!(dialler.dial(addr, Alpn::Sky, wrong, None, AGES), async {
            node.accept().await.unwrap().accept().await
        });
    assert!(matches!(dialled, Err(DialError::WrongKey)), "{dialled:?}");
    assert!(accepted.is_err());

    // Nobody is there: a socket that is bound and never read.
    let deaf = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let dialled = dialler
        .dial(
            deaf.local_addr().unwrap(),
            Alpn::Sky,
            node_key(),
            None,
            A_WHILE,
        )
        .await;
    assert!(matches!(dialled, Err(DialError::Timeout)), "{dialled:?}");
}

#[tokio::test]
async fn a_hash_prefix_is_enough_for_an_invite() {
    let node = node(Alpn::Sky, Profile::Sky);
    let addr = node.local_addr().unwrap();
    let prefix: [u8; 8] = Sha256::digest(identity(1).public_key())[..8]
        .try_into()
        .unwrap();
    let dialler = dialler();
    let right = PeerKey::HashPrefix(prefix);
    let (ours, _theirs) = tokio::join!(
        dialler.dial(addr, Alpn::Sky, right, None, AGES),
        accept(&node)
    );
    assert_eq!(ours.unwrap().peer_key(), Some(identity(1).public_key()));

    let mut bent = prefix;
    bent[7] ^= 1;
    let wrong = PeerKey::HashPrefix(bent);
    let (dialled, _) = tokio::join!(dialler.dial(addr, Alpn::Sky, wrong, None, AGES), async {
        node.accept().await.unwrap().accept().await
    });
    assert!(matches!(dialled, Err(DialError::WrongKey)), "{dialled:?}");
}

#[tokio::test]
async fn a_node_may_show_its_key_to_a_node() {
    let node = node(Alpn::Earth, Profile::Earth);
    let addr = node.local_addr().unwrap();
    let dialler = dialler();
    let other = identity(3);
    let (ours, theirs) = tokio::join!(
        dialler.dial(addr, Alpn::Earth, node_key(), Some(&other), AGES),
        accept(&node)
    );
    ours.unwrap();
    assert_eq!(theirs.peer_key(), Some(other.public_key()));
}

#[tokio::test]
async fn bindings_are_equal_on_both_ends_and_nowhere_else() {
    let mut all = Vec::new();
    for _ in 0..3 {
        let (ours, theirs) = pair(Alpn::Earth, Profile::Earth).await;
        assert_eq!(ours.binding(), theirs.binding());
        all.push(ours.binding());
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn another_protocol_is_refused() {
    let node = node(Alpn::Earth, Profile::Earth);
    let addr = node.local_addr().unwrap();
    let dialler = dialler();
    let (dialled, accepted) = tokio::join!(
        dialler.dial(addr, Alpn::Sky, node_key(), None, AGES),
        async { node.accept().await.unwrap().accept().await }
    );
    // TLS alert 120, no_application_protocol, as a QUIC error (RFC 9001 §4.8).
    let expected = CloseReason::Transport { code: 0x100 + 120 };
    assert!(matches!(dialled, Err(DialError::Refused(reason)) if reason == expected));
    assert!(accepted.is_err());
}

#[tokio::test]
async fn the_reason_of_a_close_arrives() {
    let (ours, theirs) = pair(Alpn::Sky, Profile::Sky).await;
    theirs.close(17, "moving house");
    let expected = CloseReason::Peer {
        code: 17,
        reason: "moving house".to_owned(),
    };
    assert_eq!(ours.closed().await, expected);
    assert_eq!(ours.close_reason(), Some(expected));
    assert_eq!(theirs.closed().await, CloseReason::Local);
}

#[tokio::test]
async fn shutting_down_tells_everybody_and_ends_accepting() {
    let node = node(Alpn::Sky, Profile::Sky);
    let addr = node.local_addr().unwrap();
    let dialler = dialler();
    let (ours, theirs) = tokio::join!(
        dialler.dial(addr, Alpn::Sky, node_key(), None, AGES),
        accept(&node)
    );
    node.shutdown(12, AGES).await;
    assert!(matches!(
        ours.unwrap().closed().await,
        CloseReason::Peer { code: 12, .. }
    ));
    assert_eq!(theirs.closed().await, CloseReason::Local);
    assert_eq!(node.open_connections(), 0);
    assert!(node.accept().await.is_none());
    let dialled = node.dial(addr, Alpn::Sky, node_key(), None, AGES).await;
    assert!(matches!(dialled, Err(DialError::Closed)), "{dialled:?}");
}

#[tokio::test]
async fn one_socket_dials_and_accepts_in_both_directions_at_once() {
    let [one, two] = [1, 2].map(|seed| {
        let identity = Some(identity(seed));
        let config = EndpointConfig {
            alpns: vec![Alpn::Sky],
            identity,
            ..config(Profile::Sky)
        };
        Endpoint::bind(config).unwrap()
    });
    let [to_one, to_two] = [&one, &two].map(|endpoint| endpoint.local_addr().unwrap());
    let [key_one, key_two] = [1, 2].map(|seed| PeerKey::Exact(identity(seed).public_key()));
    let (there, back, at_two, at_one) = tokio::join!(
        one.dial(to_two, Alpn::Sky, key_two, None, AGES),
        two.dial(to_one, Alpn::Sky, key_one, None, AGES),
        accept(&two),
        accept(&one)
    );
    let (there, back) = (there.unwrap(), back.unwrap());
    assert_eq!(there.binding(), at_two.binding());
    assert_eq!(back.binding(), at_one.binding());
    assert_ne!(there.binding(), back.binding());
    // Each side sees the other's one socket, whoever dialled.
    assert_eq!(
        (there.remote_address(), at_one.remote_address()),
        (to_two, to_two)
    );
    assert_eq!(
        (back.remote_address(), at_two.remote_address()),
        (to_one, to_one)
    );
}

#[tokio::test]
async fn a_socket_of_both_families_shows_plain_addresses() {
    let local = "[::]:0".parse().unwrap();
    let config = EndpointConfig {
        alpns: vec![Alpn::Sky],
        identity: Some(identity(1)),
        ..EndpointConfig::new(local, Profile::Sky)
    };
    // Machines without IPv6 have nothing to test here.
    let Ok(node) = Endpoint::bind(config) else {
        return;
    };
    let addr = (LOOPBACK.ip(), node.local_addr().unwrap().port()).into();
    let dialler = dialler();
    let dial = dialler.dial(addr, Alpn::Sky, node_key(), None, AGES);
    let (ours, theirs) = tokio::join!(dial, accept(&node));
    ours.unwrap();
    assert_eq!(theirs.remote_address(), dialler.local_addr().unwrap());
}

#[tokio::test]
async fn addresses_that_cannot_be_dialled_are_told_at_once() {
    let dialler = dialler();
    for addr in ["127.0.0.1:0", "[::1]:4433"] {
        let dialled = dialler
            .dial(addr.parse().unwrap(), Alpn::Sky, node_key(), None, AGES)
            .await;
        assert!(
            matches!(dialled, Err(DialError::Address)),
            "{addr}: {dialled:?}"
        );
    }
}

#[tokio::test]
async fn contradictions_are_refused_when_binding() {
    let no_key = EndpointConfig {
        alpns: vec![Alpn::Sky],
        ..config(Profile::Sky)
    };
    assert!(matches!(
        Endpoint::bind(no_key),
        Err(BindError::NoIdentity(Alpn::Sky))
    ));
    let first = dialler();
    let taken = EndpointConfig::new(first.local_addr().unwrap(), Profile::Peer);
    assert!(matches!(
        Endpoint::bind(taken),
        Err(BindError::Socket { .. })
    ));
}

#[tokio::test]
async fn the_port_is_free_again_after_the_last_handle() {
    let node = node(Alpn::Sky, Profile::Sky);
    let addr = node.local_addr().unwrap();
    let other_handle = node.clone();
    drop(node);
    assert!(std::net::UdpSocket::bind(addr).is_err());
    drop(other_handle);
    let rebound = async {
        while std::net::UdpSocket::bind(addr).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(AGES, rebound).await.unwrap();
}

/// One socket for both families: dialled by IPv4 and, where the machine has it, by IPv6.
#[tokio::test]
async fn an_endpoint_that_listens_everywhere_serves_both_families() {
    let both = std::net::SocketAddr::new(hermes_link::everywhere(), 0);
    let node = Endpoint::bind(EndpointConfig {
        identity: Some(identity(1)),
        alpns: vec![Alpn::Sky],
        ..EndpointConfig::new(both, Profile::Sky)
    })
    .unwrap();
    let port = node.local_addr().unwrap().port();
    let v4 = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let v6 = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    let has_v6 = both.is_ipv6();
    let dialler = Endpoint::bind(EndpointConfig::new(both, Profile::Peer)).unwrap();
    assert!(dialler.reaches(v4));
    assert_eq!(dialler.reaches(v6), has_v6);
    for addr in [Some(v4), has_v6.then_some(v6)].into_iter().flatten() {
        let (ours, theirs) = tokio::join!(
            dialler.dial(addr, Alpn::Sky, node_key(), None, AGES),
            accept(&node)
        );
        assert_eq!(ours.unwrap().remote_address(), addr);
        assert_eq!(theirs.remote_address().ip(), addr.ip());
    }
    // One that listens at one address of one family keeps to it.
    let narrow = Endpoint::bind(EndpointConfig::new(LOOPBACK, Profile::Peer)).unwrap();
    assert!(narrow.reaches(v4) && !narrow.reaches(v6));
}
