//! The task that turns effects into tasks of their own, and wishes into the right set of them.

use std::collections::BTreeMap;
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
use super::reading::Reader;
use super::{NetInput, Order, Shared, depositing, reading};

/// How often things without use are looked at.
const PRUNE: Duration = Duration::from_secs(15);

/// How long links may take to end when everything does.
const LINKS_PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct Director {
    shared: Arc<Shared>,
    open: bool,
    presences: Presences,
    readers: BTreeMap<MailboxId, Reader>,
    /// Mailboxes for which there was no socket; they are tried again.
    unread: Vec<MailboxWish>,
    deposits: BTreeMap<DepositOp, AbortHandle>,
    /// Connections to the keepers of friends' mailboxes.
    writers: BTreeMap<MailboxId, Arc<Keepers>>,
}

impl Director {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            presences: Presences::new(shared.clone()),
            shared,
            open: false,
            readers: BTreeMap::new(),
            unread: Vec::new(),
            deposits: BTreeMap::new(),
            writers: BTreeMap::new(),
        }
    }

    pub(super) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut prune = tokio::time::interval(PRUNE);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(Order::Begin) => self.begin(),
                    Some(Order::End(done)) => {
                        self.end().await;
                        if let Some(done) = done {
                            let _ = done.send(());
                        }
                    }
                    Some(Order::Effect(effect)) if self.open => self.carry_out(*effect),
                    Some(Order::Effect(_)) => {}
                },
                () = self.presences.changed() => self.presences.moved(),
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
        self.unread.clear();
        for task in std::mem::take(&mut self.deposits).into_values() {
            task.abort();
        }
        let closing: tokio::task::JoinSet<()> = std::mem::take(&mut self.writers)
            .into_values()
            .map(|keepers| async move { keepers.close().await })
            .collect();
        closing.join_all().await;
        // Links go through the endpoints of the presences, so they end first.
        self.shared.links.close_all();
        let _ = tokio::time::timeout(LINKS_PATIENCE, self.shared.links.all_closed()).await;
        self.presences.clear();
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
        self.unread.clear();
        self.readers
            .retain(|mailbox, _| wishes.iter().any(|wish| wish.mailbox == *mailbox));
        for wish in wishes {
            match self.readers.get(&wish.mailbox) {
                Some(reader) => reader.wish(wish.reading),
                None => {
                    let mailbox = wish.mailbox;
                    match Reader::start(self.shared.clone(), wish.clone()) {
                        Ok(reader) => {
                            self.readers.insert(mailbox, reader);
                        }
                        Err(error) => {
                            tracing::error!(%error, "no socket for a mailbox");
                            self.unread.push(wish);
                        }
                    }
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
            Some(reader) => reader.forward(kind, request),
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
                // Beside the orders, which must not wait for it.
                tokio::spawn(async move { keepers.close().await });
            }
        }
        for wish in std::mem::take(&mut self.unread) {
            match Reader::start(self.shared.clone(), wish.clone()) {
                Ok(reader) => {
                    self.readers.insert(wish.mailbox, reader);
                }
                Err(_) => self.unread.push(wish),
            }
        }
    }
}
