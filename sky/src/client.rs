//! Talking to one sky node: for people, and for keepers that announce themselves.
//!
//! A [`SkyClient`] is one connection. What somebody asks of us on it (a friend knocks) comes out of its [`IncomingKnocks`]; everything
//! else is a call. When the connection ends all calls fail, leases and announcements are gone with it, and the caller connects anew,
//! here or elsewhere.
//!
//! Which node to talk to is the caller's business: the presence nodes of a key are the first of
//! `hermes_ring::Ring::successors(presence_position(key))` over the list of sky nodes, which [`SkyClient::list`] gives from any node.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use hermes_link::{
    Alpn, Channel, CloseReason, Connection, DialError, Endpoint, Identity, Inbound, PeerKey,
    Responder, SendError,
};
use hermes_wire::{
    Network, Wire,
    address::OwnerPresence,
    channel::{ANSWER, ERROR, ErrorAnswer, ErrorCode},
    codec::DecodeError,
    ids::{Binding, NodeKey, Position, PresenceKey, Slot},
    knock::{Knock, Sealed},
    node::{Addr, NodeRecord, NodeUri, Role},
    sky::{
        self, Announce, Incoming, KeepersFound, Knocked, List, Listed, Register, Registered,
        Request,
    },
};
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// How long a node may take for an answer that it can give by itself.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a sign of life may take.
pub const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a knock may take: the owner's eight seconds at each of two presence nodes, and the way.
pub const KNOCK_TIMEOUT: Duration = Duration::from_secs(25);

/// Knocks that wait to be taken. More are declined: the knocker is told that there is no answer.
const KNOCKS_WAITING_MAX: usize = 64;

/// Records asked for in one page.
const PAGE: u16 = 1_024;

/// Records that one list may have; more than any node holds.
const LIST_MAX: usize = 262_144;

/// Why a sky node did not do what it was asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SkyError {
    /// It cannot be reached.
    #[error("the sky node cannot be reached: {0}")]
    Dial(#[from] DialError),
    /// None of its addresses is of the endpoint's family.
    #[error("the sky node has no address that can be dialled from here")]
    NoAddress,
    /// The connection ended.
    #[error("the connection to the sky node ended: {0}")]
    Ended(#[from] SendError),
    /// It did not answer in time.
    #[error("the sky node does not answer")]
    Timeout,
    /// It refused.
    #[error("the sky node refused: code {}", code.0)]
    Refused {
        /// Why, as a number of the protocol.
        code: ErrorCode,
        /// When to try again, 0 if that does not matter.
        retry_after_s: u32,
    },
    /// Its answer does not decode, or makes no sense.
    #[error("the sky node's answer is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// Its list does not end.
    #[error("the sky node's list is out of order or too long")]
    BadList,
}

impl SkyError {
    /// The error code that the node answered with, if it did.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// A connection to one sky node. Clones are handles to the same one; it closes when the last one goes.
#[derive(Clone, Debug)]
pub struct SkyClient(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    network: Network,
    node: NodeKey,
    connection: Connection,
    channel: Channel,
    observed: watch::Receiver<SocketAddr>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.connection.close(hermes_link::CLOSE_DONE, "");
    }
}

/// Knocks at our door, in order of arrival. Dropping it declines all that come.
#[derive(Debug)]
pub struct IncomingKnocks(mpsc::Receiver<IncomingKnock>);

/// A knock at our door.
///
/// The owner has eight seconds from its arrival at the node. Dropping it declines: the knocker learns that there is no answer.
#[derive(Debug)]
pub struct IncomingKnock {
    /// At which of our keys.
    pub presence: PresenceKey,
    /// Whose slot.
    pub slot: Slot,
    /// What seals answer and knock together.
    pub nonce: [u8; 16],
    /// The knocker's sealed half.
    pub sealed: Box<Sealed>,
    responder: Responder,
}

impl IncomingKnock {
    /// Answers with our sealed half.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub async fn answer(self, sealed: &Sealed) -> Result<(), SkyError> {
        Ok(self
            .responder
            .answer(sky::INCOMING | ANSWER, sealed)
            .await?)
    }

    /// Does not answer.
    pub fn decline(self) {
        drop(self);
    }
}

impl IncomingKnocks {
    /// Waits for the next knock; `None` once the connection has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<IncomingKnock> {
        self.0.recv().await
    }
}

impl SkyClient {
    /// Connects to the node of a URI. Keepers and nodes `present` their node key; people present nothing.
    ///
    /// Returns when the node has told at which address it sees us, so the connection is known to work; `limit` bounds it all.
    ///
    /// # Errors
    ///
    /// When the node cannot be reached, is another one, or does not want us.
    pub async fn connect(
        endpoint: &Endpoint,
        network: &Network,
        uri: &NodeUri,
        present: Option<&Identity>,
        limit: Duration,
    ) -> Result<(Self, IncomingKnocks), SkyError> {
        let key = PeerKey::Exact(*uri.node.as_bytes());
        Self::connect_pinned(endpoint, network, uri.addr.socket(), key, present, limit).await
    }

    /// Connects to the node of a record, at the first of its addresses that answers; `limit` holds for each of them.
    ///
    /// # Errors
    ///
    /// As [`SkyClient::connect`].
    pub async fn connect_to(
        endpoint: &Endpoint,
        network: &Network,
        record: &NodeRecord,
        present: Option<&Identity>,
        limit: Duration,
    ) -> Result<(Self, IncomingKnocks), SkyError> {
        let mut last = SkyError::NoAddress;
        let key = PeerKey::Exact(*record.node.as_bytes());
        for addr in record
            .body
            .addrs
            .iter()
            .map(Addr::socket)
            .filter(|addr| endpoint.reaches(*addr))
        {
            match Self::connect_pinned(endpoint, network, addr, key, present, limit).await {
                Ok(connected) => return Ok(connected),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects to an address, pinning what is known of the key: an invite has room for a part of its hash only.
    ///
    /// # Errors
    ///
    /// As [`SkyClient::connect`].
    pub async fn connect_pinned(
        endpoint: &Endpoint,
        network: &Network,
        addr: SocketAddr,
        key: PeerKey,
        present: Option<&Identity>,
        limit: Duration,
    ) -> Result<(Self, IncomingKnocks), SkyError> {
        let connecting = async {
            let connection = endpoint.dial(addr, Alpn::Sky, key, present, limit).await?;
            Self::over(connection, network).await
        };
        timeout(limit, connecting)
            .await
            .map_err(|_| SkyError::Timeout)?
    }

    async fn over(
        connection: Connection,
        network: &Network,
    ) -> Result<(Self, IncomingKnocks), SkyError> {
        let node = connection
            .peer_key()
            .map(NodeKey)
            .ok_or(DialError::WrongKey)?;
        let channel = connection.open_channel().await.map_err(SendError::from)?;
        let observed = loop {
            match channel.next().await {
                Some(Inbound::Push {
                    kind: sky::OBSERVED,
                    body,
                }) => break Addr::decode(&body)?.socket(),
                Some(inbound) => turn_down(inbound),
                None => return Err(SendError::from(channel.closed().await).into()),
            }
        };
        let (observe, observed) = watch::channel(observed);
        let (knock, knocks) = mpsc::channel(KNOCKS_WAITING_MAX);
        tokio::spawn(take_in(channel.clone(), observe, knock));
        let handle = Handle {
            network: network.clone(),
            node,
            connection,
            channel,
            observed,
        };
        Ok((Self(Arc::new(handle)), IncomingKnocks(knocks)))
    }

    /// Whom we talk to.
    #[must_use]
    pub fn node(&self) -> NodeKey {
        self.0.node
    }

    /// Our address as the node sees it. Only its word: ask a second node before relying on it.
    #[must_use]
    pub fn observed(&self) -> SocketAddr {
        *self.0.observed.borrow()
    }

    /// The same, for waiting until it changes.
    #[must_use]
    pub fn watch_observed(&self) -> watch::Receiver<SocketAddr> {
        self.0.observed.clone()
    }

    /// Registers a presence key, or renews it, for `lease` or less. Bit i of `refused` refuses slot i. Returns for how long it holds.
    ///
    /// # Errors
    ///
    /// When the node refuses: [`ErrorCode::NOT_MINE`] if others are nearer to the key.
    pub async fn register(
        &self,
        presence: &OwnerPresence,
        refused: u64,
        lease: Duration,
    ) -> Result<Duration, SkyError> {
        let lease_s = u32::try_from(lease.as_secs()).unwrap_or(u32::MAX);
        let binding = Binding(self.0.connection.binding());
        let register = Register::sign(
            &self.0.network,
            presence,
            refused,
            lease_s,
            &binding,
            &self.0.node,
        );
        let Registered { lease_s } = self.ask(&Request::Register(register)).await?;
        Ok(Duration::from_secs(lease_s.into()))
    }

    /// Ends a registration.
    ///
    /// # Errors
    ///
    /// When the node refuses.
    pub async fn unregister(&self, presence: PresenceKey) -> Result<(), SkyError> {
        self.call(&Request::Unregister(presence), ANSWER_TIMEOUT)
            .await
            .map(drop)
    }

    /// Knocks, or probes. The answer may take [`KNOCK_TIMEOUT`].
    ///
    /// # Errors
    ///
    /// When the node refuses to pass it on.
    pub async fn knock(&self, knock: &Knock) -> Result<Knocked, SkyError> {
        let request = Request::Knock(Box::new(knock.clone()));
        Ok(Knocked::decode(&self.call(&request, KNOCK_TIMEOUT).await?)?)
    }

    /// All records of a role that the node lists and that hold, in order of keys.
    ///
    /// # Errors
    ///
    /// When the node refuses or gives nonsense.
    pub async fn list(&self, role: Role) -> Result<Vec<NodeRecord>, SkyError> {
        let mut records: Vec<NodeRecord> = Vec::new();
        let mut after = NodeKey([0; 32]);
        loop {
            let page: Listed = self
                .ask(&Request::List(List {
                    role,
                    after,
                    max: PAGE,
                }))
                .await?;
            let is_rising = page.records.first().is_none_or(|first| first.node > after)
                && page.records.is_sorted_by(|a, b| a.node < b.node);
            let last = page.records.last().map(|record| record.node);
            if !is_rising || (page.more && last.is_none()) || records.len() > LIST_MAX {
                return Err(SkyError::BadList);
            }
            records.extend(self.sound(page.records, role).await);
            match last {
                Some(last) if page.more => after = last,
                _ => return Ok(records),
            }
        }
    }

    /// Records of up to `n` keepers (at most 32) for a position: those to write to first, then those to take when one of them fails.
    /// Ask two nodes, put the records of both on a `hermes_ring::Ring` and let it choose.
    ///
    /// # Errors
    ///
    /// When the node refuses or gives nonsense.
    pub async fn keepers(&self, position: Position, n: u8) -> Result<Vec<NodeRecord>, SkyError> {
        let found: KeepersFound = self.ask(&Request::Keepers { position, n }).await?;
        Ok(self.sound(found.records, Role::Earth).await)
    }

    /// Announces a keeper, which presented its node key when it connected. It stays listed while this connection stands.
    ///
    /// Sign a new record (a higher sequence number) for each connection: after a loss, other nodes may hold the old one for departed.
    ///
    /// # Errors
    ///
    /// When the node refuses: [`ErrorCode::EXPIRY`] if it holds the record for departed.
    pub async fn announce(&self, key: &SigningKey, record: NodeRecord) -> Result<(), SkyError> {
        let binding = Binding(self.0.connection.binding());
        let announce = Announce::sign(&self.0.network, key, record, &binding, &self.0.node);
        self.call(&Request::Announce(Box::new(announce)), ANSWER_TIMEOUT)
            .await
            .map(drop)
    }

    /// Asks for a sign of life, and waits [`PING_TIMEOUT`] for it. A connection to a node that has died stands for another 90 s; who
    /// needs to know earlier asks. It costs the node next to nothing.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn ping(&self) -> Result<(), SkyError> {
        let nothing = Request::Keepers {
            position: Position([0; 32]),
            n: 0,
        };
        match self.call(&nothing, PING_TIMEOUT).await {
            // An error is a sign of life too.
            Ok(_) | Err(SkyError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits for the end of the connection.
    pub async fn closed(&self) -> CloseReason {
        self.0.connection.closed().await
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.connection.close_reason().is_some()
    }

    /// Ends the connection: leases end at once, and an announced keeper is gone at once.
    pub fn close(&self) {
        self.0.connection.close(hermes_link::CLOSE_DONE, "");
    }

    async fn ask<T: Wire>(&self, request: &Request) -> Result<T, SkyError> {
        Ok(T::decode(&self.call(request, ANSWER_TIMEOUT).await?)?)
    }

    async fn call(&self, request: &Request, limit: Duration) -> Result<Bytes, SkyError> {
        let mut body = Vec::new();
        request.encode(&mut body);
        let answer = timeout(limit, self.0.channel.request(request.kind(), body))
            .await
            .map_err(|_| SkyError::Timeout)??;
        if !answer.is_error() {
            return Ok(answer.body);
        }
        let ErrorAnswer {
            code,
            retry_after_s,
            ..
        } = ErrorAnswer::decode(&answer.body)?;
        Err(SkyError::Refused {
            code,
            retry_after_s,
        })
    }

    /// Those records whose signature, times and addresses hold. Checking thousands of them takes a while, so it is done aside.
    async fn sound(&self, records: Vec<NodeRecord>, role: Role) -> Vec<NodeRecord> {
        let network = self.0.network.clone();
        let check = move || {
            let now_s = unix_now().as_secs();
            let is_sound = |record: &NodeRecord| {
                record.body.role == role && record.verify(&network, now_s).is_ok()
            };
            records.into_iter().filter(is_sound).collect()
        };
        tokio::task::spawn_blocking(check).await.unwrap_or_default()
    }
}

/// Takes what the node sends unasked, until the connection ends.
async fn take_in(
    channel: Channel,
    observed: watch::Sender<SocketAddr>,
    knocks: mpsc::Sender<IncomingKnock>,
) {
    while let Some(inbound) = channel.next().await {
        match inbound {
            Inbound::Push {
                kind: sky::OBSERVED,
                body,
            } => {
                if let Ok(addr) = Addr::decode(&body) {
                    observed.send_replace(addr.socket());
                }
            }
            Inbound::Request {
                kind: sky::INCOMING,
                body,
                responder,
            } => {
                let Ok(Incoming {
                    presence,
                    slot,
                    nonce,
                    sealed,
                }) = Incoming::decode(&body)
                else {
                    continue;
                };
                // Dropped if nobody takes them: that declines.
                let _ = knocks.try_send(IncomingKnock {
                    presence,
                    slot,
                    nonce,
                    sealed,
                    responder,
                });
            }
            other => turn_down(other),
        }
    }
}

/// Answers a request that means nothing to us; the node asks some only to see whether we are there.
fn turn_down(inbound: Inbound) {
    if let Inbound::Request { responder, .. } = inbound {
        let error = ErrorAnswer::new(ErrorCode::UNSUPPORTED).to_bytes();
        // Without room the answer that a dropped responder gives does as well.
        let _ = responder.try_answer(ERROR, error);
    }
}

pub(crate) fn unix_now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
