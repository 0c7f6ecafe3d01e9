//! What an observer of the wire sees of two connections, and what does not link them.

use std::collections::BTreeSet;

use hermes_link::{Alpn, Endpoint, PeerKey, Profile};

use crate::support::*;

/// The connection ids in a datagram with a long header: destination, source.
fn ids(datagram: &[u8]) -> (Vec<u8>, Vec<u8>) {
    assert_eq!(datagram[0] & 0x80, 0x80, "not a long header");
    let dst_len = usize::from(datagram[5]);
    let src_at = 6 + dst_len;
    let src_len = usize::from(datagram[src_at]);
    (
        datagram[6..src_at].to_vec(),
        datagram[src_at + 1..][..src_len].to_vec(),
    )
}

/// Every run of 8 bytes in the datagrams, but for padding.
fn runs(datagrams: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let windows = datagrams.iter().flat_map(|datagram| datagram.windows(8));
    windows
        .filter(|run| run.iter().any(|byte| *byte != run[0]))
        .map(<[u8]>::to_vec)
        .collect()
}

/// Calls a friend through a tap, from new endpoints, and exchanges something; returns what passed up and down.
async fn observed(caller: u8, callee: u8) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let home = friend();
    let tap = Tap::to(home.local_addr().unwrap()).await;
    let (ours, theirs) = (identity(caller), identity(callee));
    let _guard = home
        .expect_peer(ours.public_key(), theirs.clone(), AGES)
        .unwrap();
    let from = Endpoint::bind(config(Profile::Peer)).unwrap();
    let key = PeerKey::Exact(theirs.public_key());
    let (link, end) = tokio::join!(
        from.dial(tap.addr, Alpn::Peer, key, Some(&ours), AGES),
        accept(&home)
    );
    let link = link.unwrap();
    let (one, other) = tokio::join!(link.open_channel(), end.accept_channel());
    let _echo = echo(other.unwrap());
    one.unwrap().request(1, [0xee; 64]).await.unwrap();
    (tap.up(), tap.down())
}

#[tokio::test]
async fn the_hint_looks_like_any_connection_id() {
    let (up, _) = observed(10, 20).await;
    let hint = ids(&up[0]).0;

    // A user's dial to a node, where quinn chooses the id.
    let node = node(Alpn::Sky, Profile::Sky);
    let tap = Tap::to(node.local_addr().unwrap()).await;
    let from = dialler();
    let (link, _end) = tokio::join!(
        from.dial(tap.addr, Alpn::Sky, node_key(), None, AGES),
        accept(&node)
    );
    link.unwrap();
    let plain = ids(&tap.up()[0]).0;
    assert_eq!(hint.len(), plain.len());
}

#[tokio::test]
async fn nothing_recurs_between_two_links_of_the_same_friends_keys() {
    let (up_one, down_one) = observed(10, 20).await;
    let (up_two, down_two) = observed(10, 20).await;
    assert_ne!(
        ids(&up_one[0]).0,
        ids(&up_two[0]).0,
        "the hint is used once"
    );
    for (one, two) in [(&up_one, &up_two), (&down_one, &down_two)] {
        let common: Vec<_> = runs(one).intersection(&runs(two)).cloned().collect();
        assert_eq!(common, Vec::<Vec<u8>>::new());
    }
    // The keys themselves are never in clear.
    for datagram in [up_one, down_one].concat() {
        for seed in [10, 20] {
            let key = identity(seed).public_key();
            assert!(!datagram.windows(32).any(|run| run == key));
        }
    }
}
