//! Handshakes in memory, to look at what rustls would say and offer.

use std::sync::Mutex;

use rustls::{
    CertificateError, HandshakeKind, NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
    quic::{ClientConnection, ServerConnection, Version},
    server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache},
};

use super::*;
use crate::verify::PeerKey;

fn server_identity() -> Identity {
    Identity::from_seed([1; 32])
}

fn client_config(present: Option<&Identity>) -> rustls::ClientConfig {
    let pin = Arc::new(Pin::new(PeerKey::Exact(server_identity().public_key())));
    client(Alpn::Sky, pin, present).unwrap()
}

fn server_config() -> rustls::ServerConfig {
    server(&[Alpn::Sky], &server_identity(), Callers::Any).unwrap()
}

/// Runs a handshake to its end and returns what the server had to say after that.
fn handshake(
    client: &Arc<rustls::ClientConfig>,
    server: &Arc<rustls::ServerConfig>,
) -> (ClientConnection, ServerConnection, Vec<u8>) {
    try_handshake(client, server).unwrap()
}

/// The same, or why one side refused.
fn try_handshake(
    client: &Arc<rustls::ClientConfig>,
    server: &Arc<rustls::ServerConfig>,
) -> Result<(ClientConnection, ServerConnection, Vec<u8>), Error> {
    let name = ServerName::try_from(NO_NAME).unwrap();
    let mut client = ClientConnection::new(client.clone(), Version::V1, name, Vec::new())?;
    let mut server = ServerConnection::new(server.clone(), Version::V1, Vec::new())?;
    let mut after = Vec::new();
    loop {
        let mut is_quiet = true;
        while let Some(flight) = flight(|out| client.write_hs(out).is_some()) {
            server.read_hs(&flight)?;
            is_quiet = false;
        }
        let was_done = !server.is_handshaking();
        while let Some(flight) = flight(|out| server.write_hs(out).is_some()) {
            if was_done {
                after.extend(&flight);
            }
            client.read_hs(&flight)?;
            is_quiet = false;
        }
        if is_quiet {
            assert!(!client.is_handshaking() && !server.is_handshaking());
            return Ok((client, server, after));
        }
    }
}

/// The next bytes of one encryption level, which QUIC hands over one by one; `None` if there is nothing to send and no new level.
fn flight(mut write: impl FnMut(&mut Vec<u8>) -> bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let has_new_keys = write(&mut out);
    (has_new_keys || !out.is_empty()).then_some(out)
}

/// A client's session store that counts what a server would have it remember.
#[derive(Debug, Default)]
struct Spy {
    tickets: Mutex<Vec<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for Spy {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.tickets.lock().unwrap().push(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tickets.lock().unwrap().pop()
    }
}

#[test]
fn no_second_handshake_builds_on_the_first() {
    let spy = Arc::new(Spy::default());
    let mut client = client_config(None);
    client.resumption = Resumption::store(spy.clone());
    let (client, server) = (Arc::new(client), Arc::new(server_config()));
    for _ in 0..2 {
        let (client, server, after) = handshake(&client, &server);
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
        assert!(after.is_empty(), "the server offers a ticket");
        assert!(spy.tickets.lock().unwrap().is_empty());
    }
}

#[test]
fn a_client_of_ours_takes_no_ticket_even_if_offered() {
    let mut server = server_config();
    server.send_tls13_tickets = 2;
    server.session_storage = ServerSessionMemoryCache::new(8);
    let server = Arc::new(server);
    let ours = Arc::new(client_config(None));
    for _ in 0..2 {
        let (client, _, after) = handshake(&ours, &server);
        assert!(!after.is_empty(), "this server offers tickets");
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
    }

    // The same server and a client that does take them: this is what the tests above would see if something were amiss.
    let spy = Arc::new(Spy::default());
    let mut client = client_config(None);
    client.resumption = Resumption::store(spy.clone());
    let client = Arc::new(client);
    handshake(&client, &server);
    assert_eq!(spy.tickets.lock().unwrap().len(), 2);
    assert_eq!(
        handshake(&client, &server).0.handshake_kind(),
        Some(HandshakeKind::Resumed)
    );
}

/// What a server sees of a first packet.
#[derive(Debug)]
struct Witness {
    answer: Arc<CertifiedKey>,
    seen: Mutex<Vec<Hello>>,
}

#[derive(Debug, PartialEq)]
struct Hello {
    name: Option<String>,
    schemes: Vec<SignatureScheme>,
    suites: usize,
    alpns: Vec<Vec<u8>>,
}

impl ResolvesServerCert for Witness {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.seen.lock().unwrap().push(Hello {
            name: hello.server_name().map(str::to_owned),
            schemes: hello.signature_schemes().to_vec(),
            suites: hello.cipher_suites().len(),
            alpns: hello
                .alpn()
                .into_iter()
                .flatten()
                .map(<[u8]>::to_vec)
                .collect(),
        });
        Some(self.answer.clone())
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

#[test]
fn first_packets_name_nobody_and_look_alike() {
    let witness = Arc::new(Witness {
        answer: server_identity().certified(),
        seen: Mutex::default(),
    });
    let mut server = server_config();
    server.cert_resolver = witness.clone();
    let server = Arc::new(server);
    let node = Identity::from_seed([2; 32]);
    handshake(&Arc::new(client_config(None)), &server);
    handshake(&Arc::new(client_config(Some(&node))), &server);
    let seen = witness.seen.lock().unwrap();
    let expected = Hello {
        name: None,
        schemes: vec![SignatureScheme::ED25519],
        suites: 3,
        alpns: vec![b"hermes-sky/1".to_vec()],
    };
    assert_eq!(seen[0], expected);
    assert_eq!(
        seen[0], seen[1],
        "a node and a user differ before anything is encrypted"
    );

    let first_flight = |present| {
        let name = ServerName::try_from(NO_NAME).unwrap();
        let config = Arc::new(client_config(present));
        let mut client = ClientConnection::new(config, Version::V1, name, Vec::new()).unwrap();
        let mut out = Vec::new();
        client.write_hs(&mut out);
        out.len()
    };
    assert_eq!(first_flight(None), first_flight(Some(&node)));
}

#[test]
fn keys_are_shown_and_proved_both_ways() {
    let node = Identity::from_seed([2; 32]);
    let (client, server, _) = handshake(
        &Arc::new(client_config(Some(&node))),
        &Arc::new(server_config()),
    );
    let key = |certs: Option<&[rustls::pki_types::CertificateDer<'_>]>| {
        certs.and_then(|certs| crate::identity::key_of_spki(certs.first()?))
    };
    assert_eq!(
        key(client.peer_certificates()),
        Some(server_identity().public_key())
    );
    assert_eq!(key(server.peer_certificates()), Some(node.public_key()));
    let (_, server, _) = handshake(&Arc::new(client_config(None)), &Arc::new(server_config()));
    assert_eq!(key(server.peer_certificates()), None);
}

#[test]
fn showing_a_key_is_not_enough_on_either_side() {
    let impostor = Identity::from_seed([9; 32]);
    let bad_signature = Error::InvalidCertificate(CertificateError::BadSignature);

    let shown = impostor.certified_as(&server_identity().public_key());
    let mut server = server_config();
    server.cert_resolver = Arc::new(AlwaysResolvesServerRawPublicKeys::new(shown));
    let refused = try_handshake(&Arc::new(client_config(None)), &Arc::new(server));
    assert_eq!(refused.err(), Some(bad_signature.clone()));

    let node = Identity::from_seed([2; 32]);
    let shown = impostor.certified_as(&node.public_key());
    let mut client = client_config(Some(&node));
    client.client_auth_cert_resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(shown));
    let refused = try_handshake(&Arc::new(client), &Arc::new(server_config()));
    assert_eq!(refused.err(), Some(bad_signature));
}
