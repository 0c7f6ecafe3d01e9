//! What only a dialler that breaks the rules can try.

use std::net::Ipv4Addr;

use super::*;

const AGES: Duration = Duration::from_secs(60);

fn bind(alpns: Vec<Alpn>) -> Endpoint {
    let local = (Ipv4Addr::LOCALHOST, 0).into();
    Endpoint::bind(EndpointConfig {
        alpns,
        ..EndpointConfig::new(local, Profile::Peer)
    })
    .unwrap()
}

/// Dials with the hint of the link between `claimed` and `theirs`, but shows `shown`.
async fn dial_with_hint(
    from: &Endpoint,
    to: &Endpoint,
    claimed: &Identity,
    theirs: &Identity,
    shown: Option<&Identity>,
) -> Result<(), ConnectionError> {
    let pin = Arc::new(Pin::new(PeerKey::Exact(theirs.public_key())));
    let tls = tls::client(Alpn::Peer, pin, shown).unwrap();
    let transport = profile::dialling(Profile::Peer, Alpn::Peer);
    let mut config = tls::quic_client(tls, transport).unwrap();
    let id = Hint::new(&claimed.public_key(), &theirs.public_key()).connection_id([1; 8]);
    config.initial_dst_cid_provider(Arc::new(move || id));
    let addr = to.local_addr().unwrap();
    let quinn = from
        .0
        .quinn
        .connect_with(config, addr, tls::NO_NAME)
        .unwrap()
        .await?;
    connection::confirmed(&quinn).await
}

/// The TLS alert that a connection failed with.
fn alert(error: ConnectionError) -> u64 {
    match error {
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code) - 0x100,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whoever_has_the_hint_must_still_prove_the_key() {
    let [expected, other, home] = [1, 2, 3].map(|seed| Identity::from_seed([seed; 32]));
    // TLS alerts: 116 certificate_required; rustls reports a key that its verifier refused as 49, access_denied.
    for (shown, expected_alert) in [(Some(&other), 49), (None, 116)] {
        let [at_home, caller] = [bind(vec![Alpn::Peer]), bind(vec![])];
        let _guard = at_home
            .expect_peer(expected.public_key(), home.clone(), AGES)
            .unwrap();
        let (dialled, accepted) = tokio::join!(
            dial_with_hint(&caller, &at_home, &expected, &home, shown),
            async { at_home.accept().await.unwrap().accept().await }
        );
        assert_eq!(alert(dialled.unwrap_err()), expected_alert);
        assert!(accepted.is_err());
    }
}

#[tokio::test]
async fn no_address_tokens_are_handed_out() {
    let identity = Identity::from_seed([1; 32]);
    let local = (Ipv4Addr::LOCALHOST, 0).into();
    let node = Endpoint::bind(EndpointConfig {
        alpns: vec![Alpn::Sky],
        identity: Some(identity.clone()),
        ..EndpointConfig::new(local, Profile::Sky)
    })
    .unwrap();
    let caller = bind(vec![]);
    let addr = node.local_addr().unwrap();
    let key = PeerKey::Exact(identity.public_key());
    for _ in 0..2 {
        let (ours, theirs) = tokio::join!(caller.dial(addr, Alpn::Sky, key, None, AGES), async {
            node.accept().await.unwrap().accept().await.unwrap()
        });
        let ours = ours.unwrap();
        // A round trip after the handshake: what the node hands out at its end has come by then.
        let (one, other) = tokio::join!(ours.open_channel(), theirs.accept_channel());
        let (one, other) = (one.unwrap(), other.unwrap());
        let (answer, _) = tokio::join!(one.request(1, b""), async { drop(other.next().await) });
        answer.unwrap();
        let received = ours.raw().stats().frame_rx;
        assert_eq!((received.handshake_done, received.new_token), (1, 0));
        assert!(ours.raw().max_datagram_size().is_none());
    }
}

#[tokio::test]
async fn a_dial_that_shows_a_key_waits_for_its_confirmation() {
    // A node that closes after the TLS handshake, in which a client is done before the server has looked at its key.
    let [ours, theirs] = [1, 2].map(|seed| Identity::from_seed([seed; 32]));
    let config = node_config(&[Alpn::Sky], &theirs, Profile::Sky).unwrap();
    let local = (Ipv4Addr::LOCALHOST, 0).into();
    let node = quinn::Endpoint::server(config, local).unwrap();
    let addr = node.local_addr().unwrap();
    let caller = bind(vec![]);
    let key = PeerKey::Exact(theirs.public_key());
    let (dialled, ()) = tokio::join!(
        caller.dial(addr, Alpn::Sky, key, Some(&ours), AGES),
        async {
            let accepted = node
                .accept()
                .await
                .unwrap()
                .accept()
                .unwrap()
                .await
                .unwrap();
            accepted.close(21_u32.into(), b"not you");
        }
    );
    let expected = CloseReason::Peer {
        code: 21,
        reason: "not you".to_owned(),
    };
    assert!(matches!(&dialled, Err(DialError::Refused(reason)) if *reason == expected));
}
