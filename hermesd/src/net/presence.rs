//! Being present at sky, knocking, and meeting friends.
//!
//! Each presence key has an endpoint of its own, so that nothing but time ties it to the next: through it goes the connection to its
//! presence node, and through it friends are dialled and expected. A key that is no longer wished for stays registered until another
//! stands, and its endpoint until its links are over.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hermes_link::{Alpn, Endpoint, ExpectGuard, Identity, PeerKey};
use hermes_sky::client::{IncomingKnock, IncomingKnocks, SkyClient, SkyError};
use hermes_underworld::proto::effect::PresenceWish;
use hermes_underworld::proto::{IncomingKnockId, KnockOp, KnockResult, LinkToken, PresenceState};
use hermes_wire::Wire as _;
use hermes_wire::address::OwnerPresence;
use hermes_wire::ids::{Position, PresenceKey};
use hermes_wire::knock::Knock;
use hermes_wire::node::NodeRecord;
use hermes_wire::sky::Knocked;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use zeroize::Zeroizing;

mod addresses;

use super::{NetInput, Shared};
use addresses::{bind, candidates};

/// How long a sky node may take to be reached.
const SKY_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a friend may take to be reached.
const FRIEND_TIMEOUT: Duration = Duration::from_secs(6);

/// Presence nodes that are tried in order.
const NODES_TRIED: usize = 3;

/// The pause after none of them answered; it doubles up to the maximum.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long a presence stays before it looks whether another node is nearer by now.
const LOOK: Duration = Duration::from_secs(30);

/// How long a knock waits for a connection to sky.
const KNOCK_PATIENCE: Duration = Duration::from_secs(3);

/// Knocks that wait for the owner's word.
const ANSWERS_MAX: usize = 256;

/// All presences, and the meetings that go through them.
pub(super) struct Presences {
    shared: Arc<Shared>,
    open: BTreeMap<PresenceKey, Presence>,
    /// The presence through which friends are dialled and expected now.
    current: watch::Sender<Option<Station>>,
    answers: Arc<Mutex<HashMap<IncomingKnockId, IncomingKnock>>>,
    next: Arc<AtomicU64>,
    expected: Arc<Expected>,
    /// Told when a presence begins or ceases to stand.
    news: Arc<Notify>,
    /// What the owner is told, in this order: who knocks may be answered only by somebody who knows his own addresses.
    told: mpsc::UnboundedSender<NetInput>,
}

/// What a presence has come to: an endpoint and its connection to sky.
#[derive(Clone)]
struct Station {
    /// Rises with each that stands, so that the newest is known.
    number: u64,
    endpoint: Endpoint,
    sky: SkyClient,
    candidates: Vec<SocketAddr>,
}

struct Presence {
    wish: watch::Sender<PresenceWish>,
    task: AbortHandle,
    /// Not wished for any more; ends when another one stands.
    leaving: bool,
    stands: watch::Receiver<Option<Station>>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Friends who were told to come, by the key that they will show.
#[derive(Default)]
struct Expected(Mutex<HashMap<[u8; 32], (LinkToken, ExpectGuard)>>);

impl Expected {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], (LinkToken, ExpectGuard)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Presences {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (current, _) = watch::channel(None);
        let (told, mut telling) = mpsc::unbounded_channel();
        let owner = shared.clone();
        // Neither orders nor presences wait for the owner. Few things wait here: knocks are bounded by `ANSWERS_MAX`.
        tokio::spawn(async move {
            while let Some(input) = telling.recv().await {
                owner.tell(input).await;
            }
        });
        Self {
            told,
            shared,
            open: BTreeMap::new(),
            current,
            answers: Arc::default(),
            next: Arc::new(AtomicU64::new(1)),
            expected: Arc::default(),
            news: Arc::default(),
        }
    }

    /// Waits until a presence begins or ceases to stand.
    pub(super) async fn changed(&self) {
        self.news.notified().await;
    }

    /// Makes the presences those that are wished for.
    pub(super) fn wish(&mut self, wishes: Vec<PresenceWish>) {
        for presence in self.open.values_mut() {
            presence.leaving = true;
        }
        for wish in wishes {
            match self.open.get_mut(&wish.presence) {
                Some(presence) => {
                    presence.leaving = false;
                    presence.wish.send_if_modified(|known| {
                        let changed = *known != wish;
                        *known = wish;
                        changed
                    });
                }
                None => self.start(wish),
            }
        }
        self.settle();
    }

    /// A presence began or ceased to stand. One that stood for a moment may have told its addresses and be gone again: the owner is
    /// told those of the one that stands.
    pub(super) fn moved(&mut self) {
        let before = number(&self.current.borrow());
        self.settle();
        let current = self.current.borrow().clone();
        if let Some(station) = current.filter(|station| Some(station.number) == before) {
            let _ = self.told.send(NetInput::Candidates(station.candidates));
        }
    }

    /// Ends those that are not wished for, if another one stands or none is wished for, and meets friends through the newest that
    /// stands.
    pub(super) fn settle(&mut self) {
        let mut wished = self.open.values().filter(|presence| !presence.leaving);
        let none_is_wished = wished.clone().next().is_none();
        if none_is_wished || wished.any(|presence| presence.stands.borrow().is_some()) {
            self.open.retain(|_, presence| !presence.leaving);
        }
        let newest = self
            .open
            .values()
            .filter_map(|presence| presence.stands.borrow().clone())
            .max_by_key(|station| station.number);
        if number(&newest) == number(&self.current.borrow()) {
            return;
        }
        self.shared.gauges().registered_at = newest.as_ref().map(|station| station.sky.node());
        let mut news = Vec::new();
        match &newest {
            Some(station) => {
                news.push(NetInput::Candidates(station.candidates.clone()));
                news.push(NetInput::Presence(PresenceState::Registered));
            }
            None => news.push(NetInput::Presence(PresenceState::Absent)),
        }
        self.current.send_replace(newest);
        for input in news {
            let _ = self.told.send(input);
        }
    }

    fn start(&mut self, wish: PresenceWish) {
        let presence = wish.presence;
        let (wish, wishes) = watch::channel(wish);
        let (stand, stands) = watch::channel(None);
        let task = Task {
            shared: self.shared.clone(),
            wishes,
            stand,
            news: self.news.clone(),
            answers: self.answers.clone(),
            next: self.next.clone(),
            expected: self.expected.clone(),
            told: self.told.clone(),
        };
        let task = tokio::spawn(task.run()).abort_handle();
        self.open.insert(
            presence,
            Presence {
                wish,
                task,
                leaving: false,
                stands,
            },
        );
    }

    /// Ends everything.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.expected.lock().clear();
        self.answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        if let Some(station) = self.current.send_replace(None) {
            station.sky.close();
        }
        self.shared.gauges().registered_at = None;
    }

    /// Knocks at a friend, over the connection that stands.
    pub(super) fn knock(
        &mut self,
        op: KnockOp,
        _presence: PresenceKey,
        _position: Position,
        knock: Vec<u8>,
    ) {
        self.settle();
        let (shared, mut current) = (self.shared.clone(), self.current.subscribe());
        tokio::spawn(async move {
            let sky = tokio::time::timeout(KNOCK_PATIENCE, standing(&mut current))
                .await
                .ok()
                .flatten();
            let result = match sky {
                Some(sky) => knock_at(&sky, &knock).await,
                None => KnockResult::Failed,
            };
            shared.tell(NetInput::KnockResult { op, result }).await;
        });
    }

    /// Answers a knock, or stays silent.
    pub(super) fn answer(&self, id: IncomingKnockId, answer: Option<Vec<u8>>) {
        let Some(knock) = self
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id)
        else {
            return;
        };
        match answer.and_then(|answer| answer.try_into().ok()) {
            Some(sealed) => {
                tokio::spawn(async move {
                    if let Err(error) = knock.answer(&sealed).await {
                        tracing::debug!(%error, "a knock was not answered");
                    }
                });
            }
            None => knock.decline(),
        }
    }

    /// Lets a friend in who comes with this key.
    pub(super) fn expect(
        &mut self,
        token: LinkToken,
        _tag: [u8; 16],
        seed: Zeroizing<[u8; 32]>,
        their_key: [u8; 32],
        ttl: Duration,
    ) {
        self.settle();
        let Some(station) = self.current.borrow().clone() else {
            return;
        };
        match station
            .endpoint
            .expect_peer(their_key, Identity::from_seed(*seed), ttl)
        {
            Ok(guard) => {
                self.expected.lock().insert(their_key, (token, guard));
                let expected = self.expected.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(ttl).await;
                    let mut expected = expected.lock();
                    if expected
                        .get(&their_key)
                        .is_some_and(|(known, _)| *known == token)
                    {
                        expected.remove(&their_key);
                    }
                });
            }
            Err(error) => tracing::debug!(%error, "a friend cannot be expected"),
        }
    }

    /// Dials a friend at all of his addresses; the first that works counts.
    pub(super) fn dial(
        &self,
        token: LinkToken,
        addrs: Vec<SocketAddr>,
        _tag: [u8; 16],
        seed: Zeroizing<[u8; 32]>,
        their_key: [u8; 32],
    ) {
        let (shared, station) = (self.shared.clone(), self.current.borrow().clone());
        tokio::spawn(async move {
            let connected = match station {
                Some(station) => first_of(&station.endpoint, addrs, &seed, their_key).await,
                None => None,
            };
            let opened = match connected {
                Some(connection) => connection
                    .open_channel()
                    .await
                    .ok()
                    .map(|channel| (connection, channel)),
                None => None,
            };
            match opened {
                Some((connection, channel)) => shared.links.take(token, connection, channel).await,
                None => shared.tell(NetInput::DialFailed { token }).await,
            }
        });
    }
}

fn number(station: &Option<Station>) -> Option<u64> {
    station.as_ref().map(|station| station.number)
}

/// The connection to sky, once one stands.
async fn standing(current: &mut watch::Receiver<Option<Station>>) -> Option<SkyClient> {
    let station = current.wait_for(Option::is_some).await.ok()?;
    station.as_ref().map(|station| station.sky.clone())
}

async fn knock_at(sky: &SkyClient, knock: &[u8]) -> KnockResult {
    let Ok(knock) = Knock::decode(knock) else {
        return KnockResult::Failed;
    };
    match sky.knock(&knock).await {
        Ok(Knocked::Answered(sealed)) => KnockResult::Answered(sealed),
        Ok(Knocked::Absent) => KnockResult::Absent,
        Ok(Knocked::NoAnswer) => KnockResult::NoAnswer,
        Ok(Knocked::Refused) => KnockResult::Refused,
        Ok(_) => KnockResult::Failed,
        Err(error) => {
            tracing::debug!(%error, "a knock did not go through");
            KnockResult::Failed
        }
    }
}

async fn first_of(
    endpoint: &Endpoint,
    addrs: Vec<SocketAddr>,
    seed: &[u8; 32],
    their_key: [u8; 32],
) -> Option<hermes_link::Connection> {
    let mut running = JoinSet::new();
    for addr in addrs.into_iter().filter(|addr| endpoint.reaches(*addr)) {
        let (endpoint, identity) = (endpoint.clone(), Identity::from_seed(*seed));
        running.spawn(async move {
            endpoint
                .dial(
                    addr,
                    Alpn::Peer,
                    PeerKey::Exact(their_key),
                    Some(&identity),
                    FRIEND_TIMEOUT,
                )
                .await
        });
    }
    while let Some(done) = running.join_next().await {
        match done {
            Ok(Ok(connection)) => return Some(connection),
            Ok(Err(error)) => tracing::debug!(%error, "a friend was not reached"),
            Err(_) => {}
        }
    }
    None
}

/// Keeps one presence standing.
struct Task {
    shared: Arc<Shared>,
    wishes: watch::Receiver<PresenceWish>,
    stand: watch::Sender<Option<Station>>,
    news: Arc<Notify>,
    answers: Arc<Mutex<HashMap<IncomingKnockId, IncomingKnock>>>,
    next: Arc<AtomicU64>,
    expected: Arc<Expected>,
    told: mpsc::UnboundedSender<NetInput>,
}

impl Task {
    async fn run(mut self) {
        let Some(endpoint) = bind(&self.shared) else {
            return;
        };
        let acceptor = tokio::spawn(accept(
            self.shared.clone(),
            endpoint.clone(),
            self.expected.clone(),
        ));
        let _acceptor = AbortOnDrop(acceptor.abort_handle());
        let mut pause = PAUSE;
        loop {
            let position = self.wishes.borrow().position;
            let nodes = self
                .shared
                .directory
                .presence_nodes(&position, NODES_TRIED)
                .await;
            let mut stood = false;
            for node in nodes {
                match self.hold(&endpoint, &node).await {
                    Ok(()) => {
                        stood = true;
                        break;
                    }
                    Err(error) => tracing::debug!(%error, "a presence node does not take us"),
                }
            }
            self.shared.directory.doubt();
            pause = if stood {
                PAUSE
            } else {
                (pause * 2).min(PAUSE_MAX)
            };
            let mut news = self.shared.directory.news();
            let _ = tokio::time::timeout(pause, news.changed()).await;
        }
    }

    /// Registers at one node and stays until the connection ends; an error means that it never stood.
    async fn hold(&mut self, endpoint: &Endpoint, node: &NodeRecord) -> Result<(), SkyError> {
        let (sky, knocks) =
            SkyClient::connect_to(endpoint, &self.shared.network, node, None, SKY_TIMEOUT).await?;
        let lease = self.register(&sky).await?;
        let candidates = candidates(endpoint, &sky);
        self.stand.send_replace(Some(Station {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            endpoint: endpoint.clone(),
            sky: sky.clone(),
            candidates: candidates.clone(),
        }));
        // Before the first knock.
        let _ = self.told.send(NetInput::Candidates(candidates));
        self.news.notify_one();
        self.stay(endpoint, &sky, knocks, lease).await;
        self.stand.send_replace(None);
        self.news.notify_one();
        Ok(())
    }

    async fn stay(
        &mut self,
        endpoint: &Endpoint,
        sky: &SkyClient,
        mut knocks: IncomingKnocks,
        mut lease: Duration,
    ) {
        let mut news = self.shared.directory.news();
        let mut looked = Instant::now();
        loop {
            tokio::select! {
                _ = sky.closed() => return,
                knock = knocks.next() => match knock {
                    Some(knock) => self.knocked(knock),
                    None => return,
                },
                Ok(()) = news.changed(), if looked.elapsed() >= LOOK => {
                    news.mark_unchanged();
                    looked = Instant::now();
                    if self.nearer(endpoint, sky).await {
                        return sky.close();
                    }
                }
                changed = self.wishes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    match self.register(sky).await {
                        Ok(granted) => lease = granted,
                        Err(_) => return sky.close(),
                    }
                }
                () = tokio::time::sleep(lease / 2) => match self.register(sky).await {
                    Ok(granted) => lease = granted,
                    Err(error) => {
                        tracing::debug!(%error, "presence was not renewed");
                        return sky.close();
                    }
                }
            }
        }
    }

    /// Whether a node answers that is nearer to the key than this one: knocks are led to it, so we have to be there.
    async fn nearer(&self, endpoint: &Endpoint, sky: &SkyClient) -> bool {
        let position = self.wishes.borrow().position;
        let nearest = self.shared.directory.presence_nodes(&position, 1).await;
        let Some(nearest) = nearest.first().filter(|node| node.node != sky.node()) else {
            return false;
        };
        SkyClient::connect_to(endpoint, &self.shared.network, nearest, None, SKY_TIMEOUT)
            .await
            .is_ok()
    }

    async fn register(&mut self, sky: &SkyClient) -> Result<Duration, SkyError> {
        let wish = self.wishes.borrow_and_update().clone();
        let lease = Duration::from_secs(self.shared.network.params().lease_s.into());
        let presence = OwnerPresence {
            epoch: wish.epoch,
            part: wish.part,
            presence: wish.presence,
            knock_root: wish.knock_root,
            key: wish.owner,
        };
        sky.register(&presence, wish.refused, lease).await
    }

    fn knocked(&self, knock: IncomingKnock) {
        let id = IncomingKnockId(self.next.fetch_add(1, Ordering::Relaxed));
        let news = NetInput::IncomingKnock {
            id,
            presence: knock.presence,
            slot: knock.slot.get(),
            nonce: knock.nonce,
            sealed: knock.sealed.to_vec(),
        };
        {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.len() >= ANSWERS_MAX {
                return; // declined by dropping it
            }
            answers.insert(id, knock);
        }
        let _ = self.told.send(news);
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets in those who are expected.
async fn accept(shared: Arc<Shared>, endpoint: Endpoint, expected: Arc<Expected>) {
    while let Some(incoming) = endpoint.accept().await {
        let (shared, expected) = (shared.clone(), expected.clone());
        tokio::spawn(async move {
            let Ok(connection) = incoming.accept().await else {
                return;
            };
            let Some(key) = connection.peer_key() else {
                return;
            };
            let found = expected.lock().remove(&key);
            let Some((token, _guard)) = found else { return };
            let accepted = tokio::time::timeout(FRIEND_TIMEOUT, connection.accept_channel()).await;
            match accepted {
                Ok(Ok(channel)) => shared.links.take(token, connection, channel).await,
                _ => shared.tell(NetInput::DialFailed { token }).await,
            }
        });
    }
}
