//! What the tests share: endpoints, pairs, and a tap between them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use hermes_link::{
    Alpn, Channel, Connection, Endpoint, EndpointConfig, Identity, Incoming, PeerKey, Profile,
};
use tokio::{net::UdpSocket, sync::watch};

/// Long enough for anything that happens at all, on the slowest machine.
pub(crate) const AGES: Duration = Duration::from_secs(60);

/// Long enough for an answer on loopback; used where the test is that none comes.
pub(crate) const A_WHILE: Duration = Duration::from_millis(400);

pub(crate) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(crate) fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32])
}

pub(crate) fn config(profile: Profile) -> EndpointConfig {
    EndpointConfig::new(LOOPBACK, profile)
}

/// An endpoint that only dials.
pub(crate) fn dialler() -> Endpoint {
    Endpoint::bind(config(Profile::Peer)).unwrap()
}

/// A node that shows the key of `identity(1)`.
pub(crate) fn node(alpn: Alpn, profile: Profile) -> Endpoint {
    let config = EndpointConfig {
        alpns: vec![alpn],
        identity: Some(identity(1)),
        ..config(profile)
    };
    Endpoint::bind(config).unwrap()
}

/// The key that [`node`] shows.
pub(crate) fn node_key() -> PeerKey {
    PeerKey::Exact(identity(1).public_key())
}

/// An endpoint that accepts friends alone.
pub(crate) fn friend() -> Endpoint {
    Endpoint::bind(EndpointConfig {
        alpns: vec![Alpn::Peer],
        ..config(Profile::Peer)
    })
    .unwrap()
}

/// Takes the next attempt and completes it.
pub(crate) async fn accept(endpoint: &Endpoint) -> Connection {
    let incoming: Incoming = endpoint.accept().await.unwrap();
    incoming.accept().await.unwrap()
}

/// Two ends of one connection, dialler first. The endpoints' handles go; their sockets stay with the connections.
pub(crate) async fn pair(alpn: Alpn, profile: Profile) -> (Connection, Connection) {
    let node = node(alpn, profile);
    let addr = node.local_addr().unwrap();
    let dialler = Endpoint::bind(config(profile)).unwrap();
    let (ours, theirs) = tokio::join!(
        dialler.dial(addr, alpn, node_key(), None, AGES),
        accept(&node)
    );
    (ours.unwrap(), theirs)
}

/// Two ends of one channel, opener first, with their connections.
pub(crate) async fn channels(profile: Profile) -> ((Connection, Channel), (Connection, Channel)) {
    let (ours, theirs) = pair(Alpn::Earth, profile).await;
    let (one, other) = tokio::join!(ours.open_channel(), theirs.accept_channel());
    ((ours, one.unwrap()), (theirs, other.unwrap()))
}

/// Answers every request with its own body, until the channel ends.
pub(crate) fn echo(channel: Channel) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(inbound) = channel.next().await {
            if let hermes_link::Inbound::Request {
                kind,
                body,
                responder,
            } = inbound
            {
                let _ = responder.answer(kind | 0x80, body).await;
            }
        }
    })
}

/// A UDP relay that counts and keeps what passes.
pub(crate) struct Tap {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    count: watch::Receiver<usize>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    up: Vec<Vec<u8>>,
    down: Vec<Vec<u8>>,
}

impl Tap {
    /// Relays between whoever sends here first and `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let front = UdpSocket::bind(LOOPBACK).await.unwrap();
        let back = UdpSocket::bind(LOOPBACK).await.unwrap();
        back.connect(target).await.unwrap();
        let addr = front.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (counter, count) = watch::channel(0);
        let task = tokio::spawn({
            let seen = seen.clone();
            async move {
                let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
                let mut client = None;
                loop {
                    tokio::select! {
                        Ok((len, from)) = front.recv_from(&mut up) => {
                            client = Some(from);
                            let datagram = up[..len].to_vec();
                            let _ = back.send(&datagram).await;
                            seen.lock().unwrap().up.push(datagram);
                            counter.send_modify(|count| *count += 1);
                        }
                        Ok(len) = back.recv(&mut down) => {
                            let datagram = down[..len].to_vec();
                            if let Some(client) = client {
                                let _ = front.send_to(&datagram, client).await;
                            }
                            seen.lock().unwrap().down.push(datagram);
                        }
                    }
                }
            }
        });
        Self {
            addr,
            seen,
            count,
            task,
        }
    }

    /// Waits until the target has been sent `count` datagrams.
    pub(crate) async fn passed(&self, count: usize) {
        let mut passed = self.count.clone();
        passed.wait_for(|passed| *passed >= count).await.unwrap();
    }

    pub(crate) fn up(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().up.clone()
    }

    pub(crate) fn down(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().down.clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}
