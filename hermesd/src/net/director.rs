//! The task that turns effects into tasks of their own, and wishes into the right set of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hermes_underworld::proto::DepositOp;
use hermes_underworld::proto::effect::{Effect, MailboxWish, OwnerRequest};
use hermes_wire::earth::{DELETE, REVOKE};
use hermes_wire::ids::MailboxId;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::keepers::Keepers;
use super::presence::Presences;
use super::reading::{Ask, Reader};
use super::{NetInput, Order, Shared, depositing, reading};

/// How often things without use are looked at.
const PRUNE: Duration = Duration::from_secs(15);

pub(super) struct Director {
    shared: Arc<Shared>,
    open: bool,
    presences: Presences,
    readers: HashMap<MailboxId, Reader>,
    deposits: HashMap<DepositOp, AbortHandle>,
    /// Connections to the keepers of friends' mailboxes.
    writers: HashMap<MailboxId, Arc<Keepers>>,
}

impl Director {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            presences: Presences::new(shared.clone()),
            shared,
            open: false,
            readers: HashMap::new(),
            deposits: HashMap::new(),
            writers: HashMap::new(),
        }
    }

    pub(super) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut prune = tokio::time::interval(PRUNE);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(Order::Begin) => self.begin(),
                    Some(Order::End) => self.end().await,
                    Some(Order::Effect(effect)) if self.open => self.carry_out(*effect),
                    Some(Order::Effect(_)) => {}
                },
                _ = prune.tick(), if self.open => self.prune().await,
            }
        }
    }

    fn begin(&mut self) {
        self.open = true;
        self.shared.directory.begin(&self.shared);
    }

    async fn end(&mut self) {
        self.open = false;
        self.readers.clear();
        for (_, task) in self.deposits.drain() {
            task.abort();
        }
        for (_, keepers) in self.writers.drain() {
            keepers.close().await;
        }
        self.presences.clear().await;
        self.shared.links.close_all();
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Presence(wishes) => self.presences.wish(wishes),
            Effect::Mailboxes(wishes) => self.read(wishes),
            Effect::Deposit {
                op,
                mailbox,
                position,
                record,
            } => self.deposit(op, mailbox, position, record),
            Effect::CancelDeposit { op } => {
                if let Some(task) = self.deposits.remove(&op) {
                    task.abort();
                }
            }
            Effect::Delete(request) => self.forward(DELETE, request),
            Effect::Revoke(request) => self.forward(REVOKE, request),
            Effect::Knock {
                op,
                presence,
                position,
                knock,
            } => self.presences.knock(op, presence, position, knock),
            Effect::AnswerKnock { id, answer } => self.presences.answer(id, answer),
            Effect::Expect {
                link,
                tag,
                our_seed,
                their_key,
                ttl,
            } => self.presences.expect(link, tag, our_seed, their_key, ttl),
            Effect::Dial {
                link,
                addrs,
                tag,
                our_seed,
                their_key,
            } => self.presences.dial(link, addrs, tag, our_seed, their_key),
            Effect::SendLink { link, packet } => self.shared.links.send(link, packet),
            Effect::CloseLink { link } => self.shared.links.close(link),
        }
    }

    fn read(&mut self, wishes: Vec<MailboxWish>) {
        self.readers
            .retain(|mailbox, _| wishes.iter().any(|wish| wish.mailbox == *mailbox));
        for wish in wishes {
            match self.readers.get(&wish.mailbox) {
                Some(reader) => {
                    let _ = reader.asks.send(Ask::Reading(wish.reading));
                }
                None => {
                    self.readers
                        .insert(wish.mailbox, Reader::start(self.shared.clone(), wish));
                }
            }
        }
    }

    fn deposit(
        &mut self,
        op: DepositOp,
        mailbox: MailboxId,
        position: hermes_wire::ids::Position,
        record: Vec<u8>,
    ) {
        let keepers = match self.writers.get(&mailbox) {
            Some(keepers) => keepers.clone(),
            None => match Keepers::new(&self.shared.network, self.shared.listen) {
                Ok(keepers) => {
                    let keepers = Arc::new(keepers);
                    self.writers.insert(mailbox, keepers.clone());
                    keepers
                }
                Err(error) => {
                    tracing::error!(%error, "no socket for a deposit");
                    let shared = self.shared.clone();
                    tokio::spawn(async move { shared.tell(NetInput::DepositEnded { op }).await });
                    return;
                }
            },
        };
        let task = tokio::spawn(depositing::deposit(
            self.shared.clone(),
            keepers,
            op,
            position,
            record,
        ));
        if let Some(before) = self.deposits.insert(op, task.abort_handle()) {
            before.abort();
        }
    }

    fn forward(&self, kind: u8, request: OwnerRequest) {
        match self.readers.get(&request.mailbox) {
            Some(reader) => {
                let _ = reader.asks.send(Ask::Forward(kind, request.request));
            }
            None => {
                tokio::spawn(reading::forward_once(self.shared.clone(), kind, request));
            }
        }
    }

    async fn prune(&mut self) {
        self.deposits.retain(|_, task| !task.is_finished());
        let mut idle = Vec::new();
        for (mailbox, keepers) in &self.writers {
            // Whoever works with it holds a second reference.
            if !keepers.prune(&[]).await && Arc::strong_count(keepers) == 1 {
                idle.push(*mailbox);
            }
        }
        for mailbox in idle {
            if let Some(keepers) = self.writers.remove(&mailbox) {
                keepers.close().await;
            }
        }
    }
}
