//! Accepting connections, reading requests, checking signatures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hermes_link::{Channel, Connection, ERROR_ANSWER, Endpoint, Inbound, Responder, SendError};
use hermes_wire::Network;
use hermes_wire::channel::{ANSWER, ErrorAnswer, ErrorCode};
use hermes_wire::codec::Wire;
use hermes_wire::deposit::DepositRef;
use hermes_wire::earth::{self, Arrived, Request, StampSubject};
use hermes_wire::ids::{Binding, NodeKey};
use hermes_wire::node::NodeRecord;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};

use super::owner::Job;
use super::unix_s;
use crate::proto::admission::Prefix;
use crate::proto::{ConnId, Entry, Put, Revocation};

/// Pages of one connection that may be in memory at once; each has up to 256 KiB.
const PAGES_MAX: usize = 4;

/// What all connections share.
pub(super) struct Shared {
    pub(super) network: Network,
    pub(super) node: NodeKey,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) record: watch::Receiver<NodeRecord>,
}

/// Accepts until the endpoint is shut down.
pub(super) async fn accept(endpoint: Endpoint, shared: Arc<Shared>) {
    let mut next = 0;
    while let Some(incoming) = endpoint.accept().await {
        next += 1;
        let (conn, shared) = (ConnId(next), shared.clone());
        tokio::spawn(async move {
            match incoming.accept().await {
                Ok(connection) => serve(conn, &connection, &shared).await,
                Err(error) => tracing::debug!(%error, "a connection did not come about"),
            }
        });
    }
}

async fn serve(conn: ConnId, connection: &Connection, shared: &Shared) {
    let Ok(channel) = connection.accept_channel().await else {
        return;
    };
    if shared
        .jobs
        .send(Job::Connected(conn, channel.clone()))
        .await
        .is_err()
    {
        return;
    }
    let session = Session {
        conn,
        source: Prefix::of(connection.remote_address().ip()),
        binding: Binding(connection.binding()),
        pages: Arc::new(Semaphore::new(PAGES_MAX)),
        shared,
    };
    while let Some(inbound) = channel.next().await {
        let Inbound::Request {
            kind,
            body,
            responder,
        } = inbound
        else {
            continue; // owners and depositors have nothing to push
        };
        if session.request(kind, body, responder).await.is_none() {
            break; // the keeper is leaving
        }
    }
    let _ = shared.jobs.send(Job::Closed(conn)).await;
}

struct Session<'a> {
    conn: ConnId,
    source: Prefix,
    binding: Binding,
    pages: Arc<Semaphore>,
    shared: &'a Shared,
}

impl Session<'_> {
    /// Checks a request and passes it on; `None` if there is nobody to pass it to.
    async fn request(&self, kind: u8, body: Bytes, responder: Responder) -> Option<()> {
        let job = match Request::decode(kind, &body) {
            Err(error) => Err(ErrorAnswer::new(error.code())),
            Ok(Request::Info) => {
                let record = self.shared.record.borrow().to_bytes();
                let _ = responder.answer(kind | ANSWER, record).await;
                return Some(());
            }
            Ok(Request::Fetch(ask)) => {
                let permit = self.pages.clone().acquire_owned().await.ok()?;
                let job = Job::Fetch(self.conn, ask, responder, permit);
                return self.shared.jobs.send(job).await.ok();
            }
            Ok(request) => self.checked(request, &body),
        };
        match job {
            Ok(job) => self.shared.jobs.send(job(responder)).await.ok(),
            Err(error) => {
                let _ = responder.answer(ERROR_ANSWER, error.to_bytes()).await;
                Some(())
            }
        }
    }

    /// The job that a request with a right signature becomes.
    fn checked(
        &self,
        request: Request<'_>,
        body: &Bytes,
    ) -> Result<Box<dyn FnOnce(Responder) -> Job + Send>, ErrorAnswer> {
        let net = &self.shared.network;
        let signature = |_| ErrorAnswer::new(ErrorCode::SIGNATURE);
        let conn = self.conn;
        Ok(match request {
            Request::Put { stamp, deposit } => {
                let put = self.put(&stamp, deposit, body)?;
                Box::new(move |responder| Job::Put(put, responder))
            }
            Request::Open(open) => {
                let mailbox = open
                    .verify(net, &self.binding, &self.shared.node)
                    .map_err(signature)?;
                Box::new(move |responder| Job::Open(conn, mailbox, responder))
            }
            Request::Watch { handle } => {
                Box::new(move |responder| Job::Watch(conn, handle, responder))
            }
            Request::Delete(delete) => {
                let mailbox = delete.verify(net).map_err(signature)?;
                let ids = delete.ids().to_vec();
                Box::new(move |responder| Job::Delete(mailbox, ids, responder))
            }
            Request::Revoke(revoke) => {
                let mailbox = revoke.verify(net).map_err(signature)?;
                let leaves = revoke.leaves();
                let revocation = Revocation {
                    source: self.source,
                    descriptor: revoke.descriptor,
                    mailbox,
                    first: leaves.start,
                    end: leaves.end,
                };
                Box::new(move |responder| Job::Revoke(revocation, responder))
            }
            Request::Fetch(_) | Request::Info => {
                return Err(ErrorAnswer::new(ErrorCode::UNSUPPORTED));
            }
        })
    }

    fn put(&self, stamp: &earth::Stamp, deposit: &[u8], body: &Bytes) -> Result<Put, ErrorAnswer> {
        let parsed =
            DepositRef::parse(deposit).map_err(|_| ErrorAnswer::new(ErrorCode::MALFORMED))?;
        let checked = parsed
            .verify(&self.shared.network)
            .map_err(|_| ErrorAnswer::new(ErrorCode::SIGNATURE))?;
        let entry = Entry {
            id: checked.id,
            expiry: checked.expiry,
            leaf: checked.leaf,
            size: u32::try_from(checked.record_len).unwrap_or(u32::MAX),
        };
        let now = earth::stamp_hour(unix_s());
        let bits = |hour| {
            let subject = StampSubject {
                mailbox: checked.mailbox,
                deposit: checked.id,
                node: self.shared.node,
                hour,
            };
            subject.bits(stamp)
        };
        let stamped = if *stamp == [0; 16] {
            0
        } else {
            bits(now).max(bits(now.saturating_sub(1)))
        };
        Ok(Put {
            source: self.source,
            descriptor: checked.descriptor,
            mailbox: checked.mailbox,
            entry,
            record: body.slice_ref(deposit),
            stamped: u8::try_from(stamped).unwrap_or(u8::MAX),
        })
    }
}

/// Connections to which deposits may be pushed.
pub(super) type Watchers = BTreeMap<ConnId, Watcher>;

/// One such connection.
pub(super) struct Watcher {
    channel: Channel,
    /// Handles whose reader stalled and still has to be told that he missed something.
    missed: Arc<Mutex<BTreeMap<u16, u64>>>,
}

impl Watcher {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            missed: Arc::default(),
        }
    }

    /// Pushes a deposit. A reader who has stalled gets, once he reads again, one push without a deposit instead of all that he missed.
    pub(super) fn push(&self, runtime: &Handle, handle: u16, seq: u64, record: &[u8]) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = missed.get_mut(&handle) {
            *last = seq;
            return;
        }
        let mut body = Vec::with_capacity(10 + record.len());
        Arrived {
            handle,
            seq,
            deposit: record,
        }
        .encode(&mut body);
        if let Err(SendError::Full) = self.channel.try_push(earth::ARRIVED, &body) {
            missed.insert(handle, seq);
            runtime.spawn(tell_missed(
                self.channel.clone(),
                self.missed.clone(),
                handle,
            ));
        }
    }

    /// Ends the connection's channel.
    pub(super) fn end(self, runtime: &Handle) {
        runtime.spawn(async move { self.channel.finish().await });
    }
}

async fn tell_missed(channel: Channel, missed: Arc<Mutex<BTreeMap<u16, u64>>>, handle: u16) {
    let mut body = Vec::new();
    Arrived {
        handle,
        seq: 0,
        deposit: &[],
    }
    .encode(&mut body);
    let last = |missed: &BTreeMap<u16, u64>| missed.get(&handle).copied();
    loop {
        let before = last(&missed.lock().unwrap_or_else(PoisonError::into_inner));
        let told = channel.push(earth::ARRIVED, &body).await;
        let mut missed = missed.lock().unwrap_or_else(PoisonError::into_inner);
        // What was not pushed after the word went out may come after the fetch that it leads to.
        if told.is_ok() && last(&missed) != before {
            continue;
        }
        missed.remove(&handle);
        if let Err(error) = told {
            tracing::debug!(%error, "a watcher is gone");
        }
        return;
    }
}
