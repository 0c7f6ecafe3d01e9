//! The thread that owns machine and disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use hermes_link::{Channel, ERROR_ANSWER, Responder};
use hermes_wire::Network;
use hermes_wire::channel::{ANSWER, ErrorAnswer, ErrorCode};
use hermes_wire::codec::Wire;
use hermes_wire::earth::{self, Opened};
use hermes_wire::ids::{DepositId, MailboxId};
use hermes_wire::receipt::{ReceiptBatch, Receipted};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::serve::{Watcher, Watchers};
use super::unix_s;
use crate::proto::{Config, ConnId, Keeper, Output, Put, Refusal, Reply, ReqId, Revocation};
use crate::store::{Store, StoreError};

/// What a connection asks of the owner; already decoded and checked.
pub(super) enum Job {
    Put(Put, Responder),
    Open(ConnId, MailboxId, Responder),
    /// The permit bounds how many pages one connection has in memory.
    Fetch(ConnId, earth::Fetch, Responder, OwnedSemaphorePermit),
    Watch(ConnId, u16, Responder),
    Delete(MailboxId, Vec<DepositId>, Responder),
    Revoke(Revocation, Responder),
    Connected(ConnId, Channel),
    Closed(ConnId),
    Sweep,
    Stop,
}

/// Jobs that wait at most; more make the connections wait.
pub(super) const JOBS_MAX: usize = 4_096;

/// Jobs of one cycle at most, and so receipts under one signature.
const CYCLE_JOBS_MAX: usize = 4_096;

/// Bytes of deposits after which a cycle is closed, so that a commit stays short.
const CYCLE_BYTES_MAX: usize = 16 << 20;

/// How long to wait before a failed store is opened again.
const REOPEN_PAUSE: Duration = Duration::from_secs(2);

/// What others may know of the keeper at any time.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) bytes: AtomicU64,
    pub(super) deposits: AtomicU64,
    pub(super) mailboxes: AtomicU64,
}

pub(super) struct Owner {
    pub(super) network: Network,
    pub(super) config: Config,
    pub(super) data: PathBuf,
    pub(super) key: SigningKey,
    pub(super) gauges: Arc<Gauges>,
    pub(super) runtime: Handle,
    keeper: Keeper,
    store: Option<Store>,
    watchers: Watchers,
    waiting: Waiting,
    reopen_at: Instant,
}

/// Requests of this cycle, by number.
#[derive(Default)]
struct Waiting {
    next: u64,
    first: u64,
    requests: Vec<Option<Asked>>,
}

/// A request: where the answer goes, its type, and for a page the permit and the most bytes.
type Asked = (Responder, u8, Option<OwnedSemaphorePermit>, u32);

impl Waiting {
    fn add(&mut self, responder: Responder, kind: u8) -> ReqId {
        self.add_page(responder, kind, None, 0)
    }

    fn add_page(
        &mut self,
        responder: Responder,
        kind: u8,
        permit: Option<OwnedSemaphorePermit>,
        max: u32,
    ) -> ReqId {
        let id = self.next;
        self.next += 1;
        self.requests.push(Some((responder, kind, permit, max)));
        ReqId(id)
    }

    fn take(&mut self, req: ReqId) -> Option<Asked> {
        let index = usize::try_from(req.0.checked_sub(self.first)?).ok()?;
        self.requests.get_mut(index)?.take()
    }

    fn clear(&mut self) {
        self.requests.clear();
        self.first = self.next;
    }
}

impl Owner {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, with the fields of the struct"
    )]
    pub(super) fn new(
        network: Network,
        config: Config,
        data: PathBuf,
        key: SigningKey,
        gauges: Arc<Gauges>,
        runtime: Handle,
        keeper: Keeper,
        store: Store,
    ) -> Self {
        Self {
            network,
            config,
            data,
            key,
            gauges,
            runtime,
            keeper,
            store: Some(store),
            watchers: Watchers::default(),
            waiting: Waiting::default(),
            reopen_at: Instant::now(),
        }
    }

    /// Runs until told to stop or until nobody can ask any more.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            let mut bytes = 0;
            let mut taken = 1;
            let mut going_on = self.feed(job, &mut bytes);
            while going_on && taken < CYCLE_JOBS_MAX && bytes < CYCLE_BYTES_MAX {
                let Ok(job) = jobs.try_recv() else { break };
                going_on = self.feed(job, &mut bytes);
                taken += 1;
            }
            self.finish_cycle();
            if !going_on {
                return;
            }
        }
    }

    /// Feeds one job; false if it was the last.
    fn feed(&mut self, job: Job, bytes: &mut usize) -> bool {
        match job {
            Job::Put(put, responder) => {
                *bytes += put.record.len();
                let req = self.waiting.add(responder, earth::PUT);
                self.keeper.handle_put(req, put, unix_s());
            }
            Job::Open(conn, mailbox, responder) => {
                let req = self.waiting.add(responder, earth::OPEN);
                self.keeper.handle_open(req, conn, mailbox);
            }
            Job::Fetch(conn, ask, responder, permit) => {
                let max = ask.max_bytes.min(earth::MAX_FETCH_BYTES as u32);
                let req = self
                    .waiting
                    .add_page(responder, earth::FETCH, Some(permit), max);
                self.keeper
                    .handle_fetch(req, conn, ask.handle, ask.after, max, unix_s());
            }
            Job::Watch(conn, handle, responder) => {
                let req = self.waiting.add(responder, earth::WATCH);
                self.keeper.handle_watch(req, conn, handle);
            }
            Job::Delete(mailbox, ids, responder) => {
                let req = self.waiting.add(responder, earth::DELETE);
                self.keeper.handle_delete(req, mailbox, &ids);
            }
            Job::Revoke(revocation, responder) => {
                let req = self.waiting.add(responder, earth::REVOKE);
                self.keeper.handle_revoke(req, revocation, unix_s());
            }
            Job::Connected(conn, channel) => {
                self.watchers.insert(conn, Watcher::new(channel));
            }
            Job::Closed(conn) => {
                self.keeper.handle_closed(conn);
                self.watchers.remove(&conn);
            }
            Job::Sweep => self.keeper.handle_timeout(Instant::now(), unix_s()),
            Job::Stop => return false,
        }
        true
    }

    fn finish_cycle(&mut self) {
        let (mut writes, mut replies, mut pushes) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(output) = self.keeper.poll_output() {
            match output {
                Output::Write(write) => writes.push(write),
                Output::Reply(req, reply) => replies.push((req, reply)),
                Output::Push {
                    conn,
                    handle,
                    seq,
                    record,
                } => pushes.push((conn, handle, seq, record)),
            }
        }
        if self.commit(writes) {
            self.answer(replies);
            for (conn, handle, seq, record) in pushes {
                if let Some(watcher) = self.watchers.get(&conn) {
                    watcher.push(&self.runtime, handle, seq, &record);
                }
            }
        } else {
            for (req, _) in replies {
                if let Some((responder, ..)) = self.waiting.take(req) {
                    self.refuse(
                        responder,
                        &ErrorAnswer::new(ErrorCode::FULL).retry_after(30),
                    );
                }
            }
        }
        self.waiting.clear();
        self.gauges
            .bytes
            .store(self.keeper.bytes(), Ordering::Relaxed);
        self.gauges
            .deposits
            .store(self.keeper.deposits(), Ordering::Relaxed);
        self.gauges
            .mailboxes
            .store(self.keeper.mailboxes() as u64, Ordering::Relaxed);
    }

    /// Commits; on failure nothing of the cycle counts and the index is rebuilt from what the disk has.
    fn commit(&mut self, writes: Vec<crate::proto::Write>) -> bool {
        let Some(store) = &self.store else {
            // These writes are of an index that is given up: the one that is rebuilt does not know them, so none of them may count.
            self.reopen();
            return false;
        };
        match store.commit(writes) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "the store failed; it will be opened anew");
                self.store = None;
                self.reopen_at = Instant::now();
                self.reopen();
                false
            }
        }
    }

    fn reopen(&mut self) -> bool {
        if Instant::now() < self.reopen_at {
            return false;
        }
        let opened = Store::open(&self.data, &self.network).and_then(|store| {
            let (keeper, damage) =
                store.restore(self.network.clone(), self.config, Instant::now())?;
            Ok::<_, StoreError>((store, keeper, damage))
        });
        match opened {
            Ok((store, keeper, damage)) => {
                tracing::warn!(left_out = damage.entries, "the store is open again");
                self.store = Some(store);
                self.keeper = keeper;
                // Handles were part of the old index: owners open their mailboxes again on a new connection.
                for (_, watcher) in std::mem::take(&mut self.watchers) {
                    watcher.end(&self.runtime);
                }
                true
            }
            Err(error) => {
                tracing::error!(%error, "the store does not open");
                self.reopen_at = Instant::now() + REOPEN_PAUSE;
                false
            }
        }
    }

    fn answer(&mut self, replies: Vec<(ReqId, Reply)>) {
        let mut held = Vec::new();
        for (req, reply) in replies {
            let Some((responder, kind, permit, max)) = self.waiting.take(req) else {
                continue;
            };
            match reply {
                Reply::Held {
                    id,
                    mailbox,
                    expiry,
                } => {
                    let receipted = Receipted {
                        deposit: id,
                        mailbox,
                        expiry,
                    };
                    held.push((receipted, responder));
                }
                Reply::Page {
                    mailbox,
                    items,
                    more,
                } => self.read_page(responder, permit, max, mailbox, items, more),
                Reply::Opened { handle, head } => {
                    self.send(responder, kind | ANSWER, Opened { handle, head }.to_bytes())
                }
                Reply::Watching | Reply::Revoked => self.send(responder, kind | ANSWER, Vec::new()),
                Reply::Deleted(n) => self.send(responder, kind | ANSWER, n.to_le_bytes().to_vec()),
                Reply::Refused(refusal) => self.refuse(responder, &error_answer(refusal)),
            }
        }
        let (about, responders): (Vec<_>, Vec<_>) = held.into_iter().unzip();
        let receipts = ReceiptBatch::sign(&self.network, &self.key, unix_s(), &about);
        for (receipt, responder) in receipts.into_iter().zip(responders) {
            self.send(responder, earth::PUT | ANSWER, receipt.to_bytes());
        }
    }

    fn read_page(
        &self,
        responder: Responder,
        permit: Option<OwnedSemaphorePermit>,
        max: u32,
        mailbox: MailboxId,
        items: Vec<(u64, crate::proto::bucket::Bucket)>,
        more: bool,
    ) {
        let Some(store) = self.store.clone() else {
            return;
        };
        let runtime = self.runtime.clone();
        self.runtime.spawn_blocking(move || {
            let body = store.read_page(&mailbox, &items).map(|records| {
                let mut writer = earth::FetchedWriter::new(max);
                let fits = records
                    .iter()
                    .all(|(seq, record)| writer.push(*seq, record));
                writer.finish(more || !fits)
            });
            match body {
                Ok(body) => send(&runtime, responder, earth::FETCH | ANSWER, body, permit),
                Err(error) => {
                    tracing::error!(%error, "a page could not be read");
                    let body = ErrorAnswer::new(ErrorCode::FULL).retry_after(30).to_bytes();
                    send(&runtime, responder, ERROR_ANSWER, body, permit);
                }
            }
        });
    }

    fn refuse(&self, responder: Responder, error: &ErrorAnswer) {
        self.send(responder, ERROR_ANSWER, error.to_bytes());
    }

    fn send(&self, responder: Responder, kind: u8, body: Vec<u8>) {
        send(&self.runtime, responder, kind, body, None);
    }
}

/// Answers at once if there is room, else from a task that waits for it. The requests a channel may have open bound these tasks.
fn send(
    runtime: &Handle,
    responder: Responder,
    kind: u8,
    body: Vec<u8>,
    permit: Option<OwnedSemaphorePermit>,
) {
    if let Err((responder, hermes_link::SendError::Full)) = responder.try_answer(kind, &body) {
        runtime.spawn(async move {
            let _ = responder.answer(kind, &body).await;
            drop(permit);
        });
    }
}

fn error_answer(refusal: Refusal) -> ErrorAnswer {
    match refusal {
        Refusal::Expiry => ErrorAnswer::new(ErrorCode::EXPIRY),
        Refusal::Quota => ErrorAnswer::new(ErrorCode::QUOTA),
        Refusal::Revoked => ErrorAnswer::new(ErrorCode::REVOKED),
        Refusal::Full => ErrorAnswer::new(ErrorCode::FULL),
        Refusal::Stamp { bits } => {
            ErrorAnswer::new(ErrorCode::STAMP_NEEDED).with_text(&bits.to_string())
        }
        Refusal::Rate { retry_after_s } => {
            ErrorAnswer::new(ErrorCode::RATE).retry_after(retry_after_s)
        }
        Refusal::Handle => ErrorAnswer::new(ErrorCode::UNKNOWN),
        Refusal::Deleted => ErrorAnswer::new(ErrorCode::DELETED),
    }
}
