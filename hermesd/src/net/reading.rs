//! Reading the mailboxes of ours: fetch everything once, then watch.
//!
//! A deposit counts as kept when `acks` of `copies` keepers have signed for it. So whoever watches `copies − acks + 1` of the keepers of
//! a mailbox hears of every kept deposit from at least one of them, and a pass in which fewer than `acks` of them stayed silent has seen
//! everything that was kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hermes_earth::client::{EarthClient, EarthError, Pushed};
use hermes_underworld::proto::effect::{MailboxWish, OwnerRequest, Reading};
use hermes_wire::earth::REVOKE;
use hermes_wire::ids::NodeKey;
use hermes_wire::node::NodeRecord;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::keepers::Keepers;
use super::{NetInput, Shared};

/// How often all keepers are asked although nothing is pushed: what a watch cannot show is found then.
const AGAIN: Duration = Duration::from_secs(600);

/// The pause before a pass is repeated that was not complete or lost a watch; it doubles up to the maximum.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How often connections without use are looked at.
const PRUNE: Duration = Duration::from_secs(10);

/// What a reader is told.
enum Ask {
    /// A revocation was sent to these; keepers that come later have to hear of it too.
    Revoked(Vec<u8>, Vec<NodeKey>),
    /// A keeper's watch, the one with this number, is over.
    WatchLost(NodeKey, u64),
    /// The wish has changed.
    Reading(Reading),
}

/// The task that reads one mailbox; it ends when this is dropped. What is on its way to the keepers by then still gets there.
pub(super) struct Reader {
    shared: Arc<Shared>,
    keepers: Arc<Keepers>,
    asks: mpsc::UnboundedSender<Ask>,
    task: AbortHandle,
    /// Requests go to the keepers one after the other.
    turn: Arc<Mutex<()>>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
        let (keepers, turn) = (self.keepers.clone(), self.turn.clone());
        // At the very end there is no runtime any more, and nothing to close in good order.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _turn = turn.lock().await;
                keepers.close().await;
            });
        }
    }
}

impl Reader {
    pub(super) fn start(
        shared: Arc<Shared>,
        wish: MailboxWish,
    ) -> Result<Self, hermes_link::BindError> {
        let keepers = Arc::new(Keepers::new(&shared.network, shared.listen)?);
        let (asks, mut queue) = mpsc::unbounded_channel();
        let reading = wish.reading;
        let mut task = Task {
            shared: shared.clone(),
            keepers: keepers.clone(),
            wish,
            reading,
            asks: asks.clone(),
            after: HashMap::new(),
            watches: HashMap::new(),
            watched: 0,
            blind: false,
            revokes: Vec::new(),
            revoked: BTreeSet::new(),
        };
        let task = tokio::spawn(async move { task.run(&mut queue).await }).abort_handle();
        Ok(Self {
            shared,
            keepers,
            asks,
            task,
            turn: Arc::default(),
        })
    }

    /// Reads otherwise from now on.
    pub(super) fn wish(&self, reading: Reading) {
        let _ = self.asks.send(Ask::Reading(reading));
    }

    /// Sends an owner's request to all keepers, whatever the reader does meanwhile.
    pub(super) fn forward(&self, kind: u8, request: OwnerRequest) {
        let (shared, keepers) = (self.shared.clone(), self.keepers.clone());
        let (asks, turn) = (self.asks.clone(), self.turn.clone());
        tokio::spawn(async move {
            let _turn = turn.lock().await;
            let (_, all) = shared.directory.readers(&request.positions).await;
            let heard = forward_to(&keepers, &all, kind, &request.request).await;
            if kind == REVOKE {
                let _ = asks.send(Ask::Revoked(request.request, heard));
            }
        });
    }
}

struct Task {
    shared: Arc<Shared>,
    keepers: Arc<Keepers>,
    wish: MailboxWish,
    reading: Reading,
    asks: mpsc::UnboundedSender<Ask>,
    /// How far each keeper was read.
    after: HashMap<NodeKey, u64>,
    watches: HashMap<NodeKey, Watch>,
    /// Watches begun, for their numbers.
    watched: u64,
    /// The last pass found no keeper to ask.
    blind: bool,
    /// Revocations, for keepers that come later too.
    revokes: Vec<Vec<u8>>,
    revoked: BTreeSet<(usize, NodeKey)>,
}

struct Watch {
    number: u64,
    task: AbortHandle,
    shared: Arc<Shared>,
    node: NodeKey,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
        let mut gauges = self.shared.gauges();
        if let Some(count) = gauges.watching.get_mut(&self.node) {
            *count -= 1;
            if *count == 0 {
                gauges.watching.remove(&self.node);
            }
        }
    }
}

/// Waits for new lists, if somebody waits for them.
async fn changed(news: &mut Option<watch::Receiver<u64>>) {
    let over = match news {
        Some(news) => news.changed().await.is_err(),
        None => true,
    };
    if over {
        std::future::pending::<()>().await;
    }
}

/// What one keeper gave.
struct Given {
    node: NodeKey,
    after: u64,
    /// The connection and handle, if it is to be watched.
    watched: Option<(EarthClient, u16)>,
}

impl Task {
    async fn run(&mut self, queue: &mut mpsc::UnboundedReceiver<Ask>) {
        let mut pause = RETRY;
        loop {
            let complete = self.pass().await;
            let mailbox = self.wish.mailbox;
            self.shared
                .tell(NetInput::Fetched {
                    mailbox,
                    reading: self.reading,
                    complete,
                })
                .await;
            let rest = if complete {
                pause = RETRY;
                AGAIN
            } else {
                self.shared.directory.doubt();
                pause = (pause * 2).min(RETRY_MAX);
                pause / 2
            };
            // Without any keeper there is nothing to be done until some are known.
            let news = self.blind.then(|| self.shared.directory.news());
            if !self.rest(queue, rest, news).await {
                return;
            }
        }
    }

    /// Serves until the next pass is due; false when nobody is left to serve.
    async fn rest(
        &mut self,
        queue: &mut mpsc::UnboundedReceiver<Ask>,
        rest: Duration,
        mut news: Option<watch::Receiver<u64>>,
    ) -> bool {
        let due = tokio::time::sleep(rest);
        tokio::pin!(due);
        let mut prune = tokio::time::interval(PRUNE);
        loop {
            tokio::select! {
                () = &mut due => return true,
                () = changed(&mut news) => return true,
                _ = prune.tick() => {
                    let watched: Vec<NodeKey> = self.watches.keys().copied().collect();
                    self.keepers.prune(&watched).await;
                }
                ask = queue.recv() => match ask {
                    None => return false,
                    Some(Ask::Revoked(body, heard)) => {
                        let number = self.revokes.len();
                        self.revokes.push(body);
                        self.revoked.extend(heard.into_iter().map(|node| (number, node)));
                    }
                    Some(Ask::WatchLost(node, number)) => {
                        if self.watches.get(&node).is_some_and(|watch| watch.number == number) {
                            self.watches.remove(&node);
                            tokio::time::sleep(RETRY).await;
                            return true;
                        }
                    }
                    Some(Ask::Reading(reading)) => {
                        let changed = self.reading != reading;
                        self.reading = reading;
                        if changed {
                            return true;
                        }
                    }
                },
            }
        }
    }

    /// Asks all keepers once; true if nothing with enough receipts can have been missed.
    async fn pass(&mut self) -> bool {
        let params = self.shared.network.params();
        let (copies, acks) = (usize::from(params.copies), usize::from(params.acks));
        let (first, all) = self.shared.directory.readers(&self.wish.positions).await;
        self.blind = all.is_empty();
        let wanted = match self.reading {
            Reading::Watch => copies.saturating_sub(acks) + 1,
            _ => 0,
        };
        let near = || first.iter().take(copies).map(|record| record.node);
        // A keeper that pushes has to be listened to, so no more are asked to than are wanted.
        let missing = wanted.saturating_sub(self.watches.len());
        let asked: BTreeSet<NodeKey> = near()
            .filter(|node| !self.watches.contains_key(node))
            .take(missing)
            .collect();
        let mut answered = self.read_from(&all, &asked).await;
        let mut tried = asked;
        while self.watches.len() < wanted {
            // One that was asked to watch did not: another one takes its place.
            let next = near().find(|node| answered.contains(node) && !tried.contains(node));
            let Some(record) = all.iter().find(|record| Some(record.node) == next) else {
                break;
            };
            tried.insert(record.node);
            if !self.watches.contains_key(&record.node) {
                let one = [record.clone()];
                answered.extend(self.read_from(&one, &BTreeSet::from([record.node])).await);
            }
        }
        for (n, body) in self.revokes.clone().into_iter().enumerate() {
            let late: Vec<NodeRecord> = all
                .iter()
                .filter(|record| !self.revoked.contains(&(n, record.node)))
                .cloned()
                .collect();
            let heard = forward_to(&self.keepers, &late, REVOKE, &body).await;
            self.revoked.extend(heard.into_iter().map(|node| (n, node)));
        }
        let silent = near().filter(|node| !answered.contains(node)).count();
        !answered.is_empty() && silent < acks
    }

    /// Reads these keepers, and begins to watch those in `watch`; gives who answered.
    async fn read_from(
        &mut self,
        records: &[NodeRecord],
        watch: &BTreeSet<NodeKey>,
    ) -> BTreeSet<NodeKey> {
        let mut running = JoinSet::new();
        for record in records {
            running.spawn(read(
                self.shared.clone(),
                self.keepers.clone(),
                self.wish.clone(),
                record.clone(),
                self.after.get(&record.node).copied().unwrap_or(0),
                watch.contains(&record.node),
            ));
        }
        let mut answered = BTreeSet::new();
        while let Some(done) = running.join_next().await {
            let Ok(Some(given)) = done else { continue };
            answered.insert(given.node);
            self.after.insert(given.node, given.after);
            if let Some((client, handle)) = given.watched {
                self.watch(client, handle);
            }
        }
        answered
    }

    fn watch(&mut self, client: EarthClient, handle: u16) {
        let (shared, wish, asks, node) = (
            self.shared.clone(),
            self.wish.clone(),
            self.asks.clone(),
            client.node(),
        );
        self.watched += 1;
        let number = self.watched;
        *shared.gauges().watching.entry(node).or_default() += 1;
        let from = self.after.get(&node).copied().unwrap_or(0);
        let task = tokio::spawn(async move {
            listen(&shared, &wish, &client, handle, from).await;
            let _ = asks.send(Ask::WatchLost(node, number));
        });
        let watch = Watch {
            number,
            task: task.abort_handle(),
            shared: self.shared.clone(),
            node,
        };
        self.watches.insert(node, watch);
    }
}

/// Sends a request to keepers at once; gives those that heard it.
async fn forward_to(
    keepers: &Arc<Keepers>,
    records: &[NodeRecord],
    kind: u8,
    body: &[u8],
) -> Vec<NodeKey> {
    let mut running = JoinSet::new();
    for record in records {
        let (keepers, record, body) = (keepers.clone(), record.clone(), body.to_vec());
        running.spawn(async move {
            forward(&keepers, &record, kind, &body)
                .await
                .then_some(record.node)
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

async fn forward(keepers: &Keepers, record: &NodeRecord, kind: u8, body: &[u8]) -> bool {
    match keepers.client(record).await {
        Ok(client) => match client.forward(kind, body).await {
            Ok(()) => true,
            // It heard us, and asking again would change nothing.
            Err(EarthError::Refused { .. }) => true,
            Err(_) => false,
        },
        Err(_) => false,
    }
}

/// Sends a request to the keepers of a mailbox that is not read any more.
pub(super) async fn forward_once(shared: Arc<Shared>, kind: u8, request: OwnerRequest) {
    let Ok(keepers) = Keepers::new(&shared.network, shared.listen) else {
        return;
    };
    let (_, all) = shared.directory.readers(&request.positions).await;
    let keepers = Arc::new(keepers);
    forward_to(&keepers, &all, kind, &request.request).await;
    keepers.close().await;
}

async fn read(
    shared: Arc<Shared>,
    keepers: Arc<Keepers>,
    wish: MailboxWish,
    record: NodeRecord,
    after: u64,
    watch: bool,
) -> Option<Given> {
    let outcome = async {
        let client = keepers.client(&record).await?;
        let opened = client.open(&wish.owner, wish.descriptor).await?;
        let after = if watch {
            client.watch(opened.handle).await?;
            fetch_beside(&shared, &wish, &client, opened.handle, after).await?
        } else {
            fetch(&shared, &wish, &client, opened.handle, after).await?
        };
        Ok::<_, EarthError>(Given {
            node: record.node,
            after,
            watched: watch.then_some((client, opened.handle)),
        })
    };
    match outcome.await {
        Ok(given) => Some(given),
        Err(error) => {
            tracing::debug!(%error, "a keeper was not read");
            None
        }
    }
}

async fn fetch(
    shared: &Shared,
    wish: &MailboxWish,
    client: &EarthClient,
    handle: u16,
    mut after: u64,
) -> Result<u64, EarthError> {
    loop {
        let page = client.fetch(handle, after).await?;
        // A keeper that claims more without giving any would hold us for ever.
        let Some((last, _)) = page.items.last() else {
            return Ok(after);
        };
        after = after.max(*last);
        let records = page
            .items
            .iter()
            .map(|(_, record)| record.to_vec())
            .collect();
        shared
            .tell(NetInput::Deposits {
                mailbox: wish.mailbox,
                records,
            })
            .await;
        if !page.more {
            return Ok(after);
        }
    }
}

/// Fetches from a keeper that pushes already: pushes that nobody takes would hold up the answers behind them.
async fn fetch_beside(
    shared: &Shared,
    wish: &MailboxWish,
    client: &EarthClient,
    handle: u16,
    mut after: u64,
) -> Result<u64, EarthError> {
    loop {
        let mut missed = false;
        let fetching = fetch(shared, wish, client, handle, after);
        tokio::pin!(fetching);
        after = loop {
            tokio::select! {
                read = &mut fetching => break read?,
                Some(pushed) = client.next() => {
                    missed |= take(shared, wish, handle, pushed).await;
                }
            }
        };
        if !missed {
            return Ok(after);
        }
    }
}

async fn listen(
    shared: &Shared,
    wish: &MailboxWish,
    client: &EarthClient,
    handle: u16,
    mut after: u64,
) {
    while let Some(pushed) = client.next().await {
        if take(shared, wish, handle, pushed).await {
            match fetch_beside(shared, wish, client, handle, after).await {
                Ok(read) => after = read,
                Err(_) => return,
            }
        }
    }
}

/// Hands on what was pushed; true if something was missed and has to be fetched.
async fn take(shared: &Shared, wish: &MailboxWish, handle: u16, pushed: Pushed) -> bool {
    match pushed {
        Pushed::Deposit {
            handle: from,
            record,
            ..
        } if from == handle => {
            shared
                .tell(NetInput::Deposits {
                    mailbox: wish.mailbox,
                    records: vec![record.to_vec()],
                })
                .await;
            false
        }
        Pushed::Missed { handle: from } => from == handle,
        Pushed::Deposit { .. } => false,
    }
}
