//! Direct links to friends: packets out, packets in, pings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hermes_link::{CLOSE_DONE, Channel, Connection, Inbound};
use hermes_underworld::proto::{LinkId, LinkToken};
use hermes_wire::channel::ANSWER;
use hermes_wire::link::{BYE, PACKET, PING};
use tokio::sync::{mpsc, watch};

use super::NetInput;
use crate::core::Input;

/// Links at once. Underworld keeps one or two a contact.
const LINKS_MAX: usize = 512;

/// How long a link that is closed may take to send what waits.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// All links that stand.
pub(super) struct Links {
    inputs: mpsc::Sender<Input>,
    next: AtomicU64,
    open: Arc<Mutex<BTreeMap<LinkId, Link>>>,
    changes: watch::Sender<u64>,
}

#[derive(Clone)]
struct Link {
    channel: Channel,
    connection: Connection,
    /// Packets in their order; underworld's window bounds how many wait.
    out: mpsc::UnboundedSender<Out>,
}

impl Link {
    /// Ends it after what was sent; a friend who does not read cannot hold it open.
    fn close(&self) {
        let _ = self.out.send(Out::Close);
        let connection = self.connection.clone();
        tokio::spawn(async move {
            let over = tokio::time::timeout(CLOSE_PATIENCE, connection.closed());
            if over.await.is_err() {
                connection.close(CLOSE_DONE, "");
            }
        });
    }
}

enum Out {
    Packet(Vec<u8>),
    Close,
}

impl Links {
    pub(super) fn new(inputs: mpsc::Sender<Input>) -> Self {
        let (changes, _) = watch::channel(0);
        Self {
            inputs,
            next: AtomicU64::new(1),
            open: Arc::default(),
            changes,
        }
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes up a connection whose keys are right; reports it to the owner.
    pub(super) async fn take(&self, token: LinkToken, connection: Connection, channel: Channel) {
        let link = LinkId(self.next.fetch_add(1, Ordering::Relaxed));
        let (out, queue) = mpsc::unbounded_channel();
        if !self.insert(
            link,
            Link {
                channel: channel.clone(),
                connection: connection.clone(),
                out,
            },
        ) {
            connection.close(CLOSE_DONE, "");
            let _ = self
                .inputs
                .send(Input::Net(NetInput::DialFailed { token }))
                .await;
            return;
        }
        let _ = self
            .inputs
            .send(Input::Net(NetInput::LinkUp { token, link }))
            .await;
        self.changes.send_modify(|n| *n += 1);
        tokio::spawn(write(queue, channel.clone(), connection.clone()));
        let (inputs, open, changes) =
            (self.inputs.clone(), self.open.clone(), self.changes.clone());
        tokio::spawn(async move {
            read(link, &channel, &inputs).await;
            open.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&link);
            changes.send_modify(|n| *n += 1);
            connection.close(CLOSE_DONE, "");
            let _ = inputs.send(Input::Net(NetInput::LinkDown { link })).await;
        });
    }

    fn insert(&self, name: LinkId, link: Link) -> bool {
        let mut open = self.lock();
        if open.len() >= LINKS_MAX {
            return false;
        }
        open.insert(name, link);
        true
    }

    pub(super) fn send(&self, link: LinkId, packet: Vec<u8>) {
        if let Some(link) = self.lock().get(&link) {
            let _ = link.out.send(Out::Packet(packet));
        }
    }

    pub(super) fn close(&self, link: LinkId) {
        if let Some(link) = self.lock().get(&link) {
            link.close();
        }
    }

    pub(super) fn close_all(&self) {
        for link in self.lock().values() {
            link.close();
        }
    }

    /// Waits until no link is left.
    pub(super) async fn all_closed(&self) {
        let mut changes = self.changes();
        while !self.lock().is_empty() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) async fn ping(&self, link: LinkId, wait: Duration) -> Option<Duration> {
        let channel = self.lock().get(&link)?.channel.clone();
        let started = Instant::now();
        let answer = tokio::time::timeout(wait, channel.request(PING, []))
            .await
            .ok()?
            .ok()?;
        (!answer.is_error()).then(|| started.elapsed())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<LinkId, Link>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(mut queue: mpsc::UnboundedReceiver<Out>, channel: Channel, connection: Connection) {
    while let Some(out) = queue.recv().await {
        let sent = match out {
            Out::Packet(packet) => channel.push(PACKET, packet).await,
            Out::Close => {
                let _ = channel.push(BYE, []).await;
                let _ = tokio::time::timeout(Duration::from_secs(1), channel.finish()).await;
                break;
            }
        };
        if sent.is_err() {
            break;
        }
    }
    connection.close(CLOSE_DONE, "");
}

async fn read(link: LinkId, channel: &Channel, inputs: &mpsc::Sender<Input>) {
    while let Some(inbound) = channel.next().await {
        match inbound {
            Inbound::Push { kind: PACKET, body } => {
                let packet = NetInput::LinkPacket {
                    link,
                    packet: body.to_vec(),
                };
                if inputs.send(Input::Net(packet)).await.is_err() {
                    return;
                }
            }
            Inbound::Push { kind: BYE, .. } => return,
            Inbound::Push { .. } => {}
            Inbound::Request {
                kind: PING,
                responder,
                ..
            } => {
                let _ = responder.answer(PING | ANSWER, []).await;
            }
            // Reserved requests: dropping the responder refuses them.
            Inbound::Request { .. } => {}
        }
    }
}
