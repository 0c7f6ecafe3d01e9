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
use tokio::sync::mpsc;
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
pub(super) enum Ask {
    /// Send an owner's request to all keepers.
    Forward(u8, Vec<u8>),
    /// A keeper's watch is over.
    WatchLost,
    /// The wish has changed.
    Reading(Reading),
}

/// The task that reads one mailbox; it ends when this is dropped.
pub(super) struct Reader {
    pub(super) asks: mpsc::UnboundedSender<Ask>,
    task: AbortHandle,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reader {
    pub(super) fn start(shared: Arc<Shared>, wish: MailboxWish) -> Self {
        let (asks, queue) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(shared, wish, queue, asks.clone())).abort_handle();
        Self { asks, task }
    }
}

async fn run(
    shared: Arc<Shared>,
    wish: MailboxWish,
    mut queue: mpsc::UnboundedReceiver<Ask>,
    asks: mpsc::UnboundedSender<Ask>,
) {
    let keepers = match Keepers::new(&shared.network, shared.listen) {
        Ok(keepers) => Arc::new(keepers),
        Err(error) => {
            tracing::error!(%error, "no socket for a mailbox");
            return;
        }
    };
    let reading = wish.reading;
    let mut task = Task {
        shared,
        keepers,
        wish,
        reading,
        asks,
        after: HashMap::new(),
        watches: HashMap::new(),
        revokes: Vec::new(),
        revoked: BTreeSet::new(),
    };
    task.run(&mut queue).await;
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
    /// Revocations, for keepers that come later too.
    revokes: Vec<Vec<u8>>,
    revoked: BTreeSet<(usize, NodeKey)>,
}

struct Watch {
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
            if !self.rest(queue, rest).await {
                return;
            }
        }
    }

    /// Serves until the next pass is due; false when nobody is left to serve.
    async fn rest(&mut self, queue: &mut mpsc::UnboundedReceiver<Ask>, rest: Duration) -> bool {
        let due = tokio::time::sleep(rest);
        tokio::pin!(due);
        let mut prune = tokio::time::interval(PRUNE);
        loop {
            tokio::select! {
                () = &mut due => return true,
                _ = prune.tick() => {
                    let watched: Vec<NodeKey> = self.watches.keys().copied().collect();
                    self.keepers.prune(&watched).await;
                }
                ask = queue.recv() => match ask {
                    None => return false,
                    Some(Ask::Forward(kind, body)) => self.forward(kind, body).await,
                    Some(Ask::WatchLost) => {
                        self.watches.retain(|_, watch| !watch.task.is_finished());
                        tokio::time::sleep(RETRY).await;
                        return true;
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
        let wanted = copies.saturating_sub(acks) + 1;
        let mut running = JoinSet::new();
        for record in &all {
            let watch = self.reading == Reading::Watch
                && first
                    .iter()
                    .take(copies)
                    .any(|near| near.node == record.node);
            let after = self.after.get(&record.node).copied().unwrap_or(0);
            running.spawn(read(
                self.shared.clone(),
                self.keepers.clone(),
                self.wish.clone(),
                record.clone(),
                after,
                watch,
            ));
        }
        let mut answered = BTreeSet::new();
        while let Some(done) = running.join_next().await {
            let Ok(Some(given)) = done else { continue };
            answered.insert(given.node);
            self.after.insert(given.node, given.after);
            if let Some((client, handle)) = given.watched
                && self.watches.len() < wanted
                && !self.watches.contains_key(&given.node)
            {
                self.watch(client, handle);
            }
        }
        for (n, body) in self.revokes.clone().into_iter().enumerate() {
            self.send(&all, REVOKE, &body, Some(n)).await;
        }
        let silent = first
            .iter()
            .take(copies)
            .filter(|record| !answered.contains(&record.node))
            .count();
        !answered.is_empty() && silent < acks
    }

    fn watch(&mut self, client: EarthClient, handle: u16) {
        let (shared, wish, asks, node) = (
            self.shared.clone(),
            self.wish.clone(),
            self.asks.clone(),
            client.node(),
        );
        *shared.gauges().watching.entry(node).or_default() += 1;
        let from = self.after.get(&node).copied().unwrap_or(0);
        let task = tokio::spawn(async move {
            watch(&shared, &wish, &client, handle, from).await;
            let _ = asks.send(Ask::WatchLost);
        });
        let watch = Watch {
            task: task.abort_handle(),
            shared: self.shared.clone(),
            node,
        };
        self.watches.insert(node, watch);
    }

    async fn forward(&mut self, kind: u8, body: Vec<u8>) {
        let (_, all) = self.shared.directory.readers(&self.wish.positions).await;
        let number = (kind == REVOKE).then_some(self.revokes.len());
        self.send(&all, kind, &body, number).await;
        if kind == REVOKE {
            self.revokes.push(body);
        }
    }

    async fn send(&mut self, all: &[NodeRecord], kind: u8, body: &[u8], number: Option<usize>) {
        let mut running = JoinSet::new();
        for record in all {
            if number.is_some_and(|n| self.revoked.contains(&(n, record.node))) {
                continue;
            }
            let (keepers, record, body) = (self.keepers.clone(), record.clone(), body.to_vec());
            running.spawn(async move {
                forward(&keepers, &record, kind, &body)
                    .await
                    .then_some(record.node)
            });
        }
        while let Some(done) = running.join_next().await {
            if let (Ok(Some(node)), Some(n)) = (done, number) {
                self.revoked.insert((n, node));
            }
        }
    }
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
    let mut running = JoinSet::new();
    for record in all {
        let (keepers, body) = (keepers.clone(), request.request.clone());
        running.spawn(async move { forward(&keepers, &record, kind, &body).await });
    }
    running.join_all().await;
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
        if watch {
            client.watch(opened.handle).await?;
        }
        let after = fetch(&shared, &wish, &client, opened.handle, after).await?;
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

async fn watch(
    shared: &Shared,
    wish: &MailboxWish,
    client: &EarthClient,
    handle: u16,
    mut after: u64,
) {
    while let Some(pushed) = client.next().await {
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
            }
            Pushed::Missed { handle: from } if from == handle => {
                match fetch(shared, wish, client, handle, after).await {
                    Ok(read) => after = read,
                    Err(_) => return,
                }
            }
            _ => {}
        }
    }
}
