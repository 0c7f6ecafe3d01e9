//! One UDP socket that dials and accepts.
//!
//! A small task, the porter, takes every first packet from quinn and decides at once whether it may go on: caps, the admission hook,
//! then whether it is for a friend's link or for the node. What passes waits in a short queue for [`Endpoint::accept`].

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use quinn::{ConnectError, ConnectionError, TokioRuntime, VarInt};
use thiserror::Error;
use tokio::{
    sync::{Mutex, Semaphore, mpsc},
    task::AbortHandle,
    time,
};

use crate::{
    admission::{Admission, AdmissionHook, Limits, SourceProof},
    config::{Alpn, EndpointConfig},
    connection::{self, CloseReason, Connection, canonical},
    expect::{ExpectError, ExpectGuard, Expectations},
    hint::{Hint, NONCE_LEN},
    identity::Identity,
    incoming::Incoming,
    profile::{self, Profile},
    socket::{self, Families, Receiving},
    tls,
    verify::{Callers, PeerKey, Pin},
};

/// Why an endpoint cannot be bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The socket could not be had: the port is taken, the address is not ours, or the like.
    #[error("cannot listen on {local}")]
    Socket {
        /// The address asked for.
        local: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// `Sky` or `Earth` is to be accepted without a node key.
    #[error("accepting {0:?} needs a node key")]
    NoIdentity(Alpn),
    /// The system has no randomness to give.
    #[error("no randomness to be had")]
    Randomness(#[from] getrandom::Error),
    /// The keys were refused by TLS.
    #[error("TLS refused the settings")]
    Tls(#[from] rustls::Error),
}

/// Why a dial failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DialError {
    /// Somebody answered who does not hold the wanted key: an old address, or a lie.
    #[error("another key answers at this address")]
    WrongKey,
    /// Nobody answered in time. Whoever does not expect us stays silent, so this may mean that too.
    #[error("no answer in time")]
    Timeout,
    /// The other side, or what stands in its place, refused: another protocol, our key not wanted, shutting down.
    #[error("refused: {0}")]
    Refused(CloseReason),
    /// The address cannot be reached from this endpoint: port 0, or the other IP family.
    #[error("the address cannot be dialled from here")]
    Address,
    /// A link between friends needs the exact key of the other side and a key to show.
    #[error("a link between friends needs both keys")]
    KeysMissing,
    /// This endpoint is shut down.
    #[error("the endpoint is shut down")]
    Closed,
    /// The system has no randomness to give.
    #[error("no randomness to be had")]
    Randomness(#[from] getrandom::Error),
    /// The keys were refused by TLS.
    #[error("TLS refused the settings")]
    Tls(#[from] rustls::Error),
}

/// One UDP socket that dials and accepts. Clones are handles to the same one; the socket goes with the last handle and the last
/// connection.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    quinn: quinn::Endpoint,
    profile: Profile,
    families: Families,
    accepts_peers: bool,
    expectations: Arc<Expectations>,
    admitted: Mutex<mpsc::Receiver<Incoming>>,
    porter: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.porter.abort();
    }
}

impl Endpoint {
    /// Binds the socket. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the socket cannot be had or the settings contradict themselves.
    pub fn bind(config: EndpointConfig) -> Result<Self, BindError> {
        let EndpointConfig {
            local,
            profile,
            identity,
            alpns,
            limits,
            admission,
        } = config;
        let node_alpns: Vec<Alpn> = alpns
            .iter()
            .copied()
            .filter(|alpn| *alpn != Alpn::Peer)
            .collect();
        let node = match (node_alpns.first(), identity) {
            (None, _) => None,
            (Some(alpn), None) => return Err(BindError::NoIdentity(*alpn)),
            (Some(_), Some(identity)) => {
                Some(Arc::new(node_config(&node_alpns, &identity, profile)?))
            }
        };
        // quinn answers first packets with a reset as long as it has no server settings, so it always gets some.
        let fallback = match &node {
            Some(node) => quinn::ServerConfig::clone(node),
            None => node_config(&[], &Identity::generate()?, profile)?,
        };
        let mut quinn_config = quinn::EndpointConfig::default();
        quinn_config.supported_versions(vec![socket::VERSION]);
        let receiving = if node.is_some() || profile.is_for_bulk() {
            Receiving::InBulk
        } else {
            Receiving::OneByOne
        };
        let runtime = Arc::new(TokioRuntime);
        let bound = socket::bind(local, receiving, &*runtime).and_then(|socket| {
            quinn::Endpoint::new_with_abstract_socket(quinn_config, Some(fallback), socket, runtime)
        });
        let quinn = bound.map_err(|source| BindError::Socket { local, source })?;

        let expectations = Arc::new(Expectations::default());
        let (admit, admitted) = mpsc::channel(limits.handshakes_max.max(1));
        let places = Arc::new(Semaphore::new(limits.handshakes_max));
        let porter = Porter {
            quinn: quinn.clone(),
            profile,
            limits,
            admission,
            node,
            expectations: expectations.clone(),
            places,
            admit,
        };
        let porter = tokio::spawn(porter.run()).abort_handle();
        let accepts_peers = alpns.contains(&Alpn::Peer);
        Ok(Self(Arc::new(Inner {
            quinn,
            profile,
            families: Families::of(local.ip()),
            accepts_peers,
            expectations,
            admitted: Mutex::new(admitted),
            porter,
        })))
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.quinn.local_addr()
    }

    /// Whether an address can be dialled from here: it is of the IP family of the local address, or of either if that is `::` and the
    /// system lets it serve both, and the system knows a way there. A machine may speak IPv6 and have no line for it.
    #[must_use]
    pub fn reaches(&self, addr: SocketAddr) -> bool {
        self.0.families.contain(addr) && socket::has_way_to(addr)
    }

    /// Connections that are open, handshakes included.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.0.quinn.open_connections()
    }

    /// Dials `addr`, pins the key found there, and shows `present` if given.
    ///
    /// `Ok` means that the other side has verified our key too, if one was shown. A friend ([`Alpn::Peer`]) is dialled by its exact key
    /// and with a key to show. Dropping the future gives the dial up.
    ///
    /// # Errors
    ///
    /// See [`DialError`]; `timeout` bounds it all.
    pub async fn dial(
        &self,
        addr: SocketAddr,
        alpn: Alpn,
        expect: PeerKey,
        present: Option<&Identity>,
        timeout: Duration,
    ) -> Result<Connection, DialError> {
        let pin = Arc::new(Pin::new(expect));
        let transport = profile::dialling(self.0.profile, alpn);
        let mut config = tls::quic_client(tls::client(alpn, pin.clone(), present)?, transport)?;
        if alpn == Alpn::Peer {
            let (PeerKey::Exact(theirs), Some(ours)) = (expect, present) else {
                return Err(DialError::KeysMissing);
            };
            let mut nonce = [0; NONCE_LEN];
            getrandom::fill(&mut nonce)?;
            let id = Hint::new(&ours.public_key(), &theirs).connection_id(nonce);
            config.initial_dst_cid_provider(Arc::new(move || id));
        }
        let connecting = self
            .0
            .quinn
            .connect_with(config, addr, tls::NO_NAME)
            .map_err(|error| match error {
                ConnectError::EndpointStopping | ConnectError::CidsExhausted => DialError::Closed,
                _ => DialError::Address,
            })?;
        let handshake = async {
            let quinn = connecting.await?;
            if present.is_some() {
                connection::confirmed(&quinn).await?;
            }
            Ok(quinn)
        };
        let quinn = match time::timeout(timeout, handshake).await {
            Ok(outcome) => outcome.map_err(|error| dial_error(error, &pin))?,
            Err(time::error::Elapsed { .. }) => return Err(DialError::Timeout),
        };
        Connection::new(quinn, self.0.profile).ok_or(DialError::Refused(CloseReason::Local))
    }

    /// Expects a friend with `their_key` to dial within `ttl`, and to find `our_identity` here.
    ///
    /// Both keys are fresh, made for this one link and exchanged in the knock; together they make the hint by which the friend's first
    /// packet is recognised, so each pair of keys must be used for one link only. Everybody who is not expected gets no answer at all.
    ///
    /// # Errors
    ///
    /// When the endpoint does not accept [`Alpn::Peer`], or expects [`EXPECTATIONS_MAX`](crate::EXPECTATIONS_MAX) calls already.
    pub fn expect_peer(
        &self,
        their_key: [u8; 32],
        our_identity: Identity,
        ttl: Duration,
    ) -> Result<ExpectGuard, ExpectError> {
        if !self.0.accepts_peers {
            return Err(ExpectError::NotAccepting);
        }
        self.0
            .expectations
            .add(their_key, &our_identity, ttl, self.0.profile)
    }

    /// Waits for the next connection attempt that may go on; `None` once the endpoint is shut down. Cancel-safe.
    pub async fn accept(&self) -> Option<Incoming> {
        self.0.admitted.lock().await.recv().await
    }

    /// Closes all connections with `code`, accepts and dials no more, and waits up to `timeout` until the other sides have been told.
    pub async fn shutdown(&self, code: u32, timeout: Duration) {
        self.0.quinn.close(VarInt::from_u32(code), b"shutting down");
        if time::timeout(timeout, self.0.quinn.wait_idle())
            .await
            .is_err()
        {
            tracing::debug!("connections were still open at the end of the shutdown");
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("profile", &self.0.profile)
            .finish_non_exhaustive()
    }
}

/// Settings for those who dial the node. The slowest pace among its protocols holds for all of them.
fn node_config(
    alpns: &[Alpn],
    identity: &Identity,
    profile: Profile,
) -> Result<quinn::ServerConfig, rustls::Error> {
    let pace = alpns.iter().copied().min().unwrap_or(Alpn::Peer);
    tls::quic_server(
        tls::server(alpns, identity, Callers::Any)?,
        profile::accepting(profile, pace),
    )
}

fn dial_error(error: ConnectionError, pin: &Pin) -> DialError {
    match error {
        _ if pin.missed() => DialError::WrongKey,
        ConnectionError::TimedOut => DialError::Timeout,
        ConnectionError::LocallyClosed => DialError::Closed,
        other => DialError::Refused(other.into()),
    }
}

/// Screens first packets.
struct Porter {
    quinn: quinn::Endpoint,
    profile: Profile,
    limits: Limits,
    admission: Option<AdmissionHook>,
    node: Option<Arc<quinn::ServerConfig>>,
    expectations: Arc<Expectations>,
    places: Arc<Semaphore>,
    admit: mpsc::Sender<Incoming>,
}

impl Porter {
    async fn run(self) {
        while let Some(attempt) = self.quinn.accept().await {
            match self.screen(&attempt) {
                Admission::Admit => self.let_in(attempt),
                Admission::Prove => drop(attempt.retry()),
                Admission::Ignore => attempt.ignore(),
            }
        }
    }

    fn screen(&self, attempt: &quinn::Incoming) -> Admission {
        let is_wanted = self.node.is_some() || self.expectations.knows(&attempt.orig_dst_cid());
        if !is_wanted
            || self.quinn.open_connections() >= self.limits.connections_max
            || self.places.available_permits() == 0
        {
            return Admission::Ignore;
        }
        let proof = if attempt.remote_address_validated() {
            SourceProof::Proved
        } else {
            SourceProof::Claimed
        };
        let source = canonical(attempt.remote_address()).ip();
        let answer = self
            .admission
            .as_ref()
            .map_or(Admission::Admit, |hook| hook(source, proof));
        let is_crowded = self.places.available_permits() * 2 <= self.limits.handshakes_max;
        match (answer, proof) {
            (Admission::Ignore, _) => Admission::Ignore,
            (Admission::Prove, SourceProof::Claimed) => Admission::Prove,
            (Admission::Admit, SourceProof::Claimed) if is_crowded => Admission::Prove,
            (Admission::Admit | Admission::Prove, _) => Admission::Admit,
        }
    }

    fn let_in(&self, attempt: quinn::Incoming) {
        let config = self
            .expectations
            .admit(&attempt.orig_dst_cid())
            .or_else(|| self.node.clone());
        let (Some(config), Ok(place)) = (config, self.places.clone().try_acquire_owned()) else {
            attempt.ignore();
            return;
        };
        let incoming = Incoming::new(
            attempt,
            config,
            self.profile,
            self.limits.handshake_timeout,
            place,
        );
        if let Err(
            mpsc::error::TrySendError::Full(incoming) | mpsc::error::TrySendError::Closed(incoming),
        ) = self.admit.try_send(incoming)
        {
            incoming.ignore();
        }
    }
}

#[cfg(test)]
mod tests;
