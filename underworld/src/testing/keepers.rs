//! Modelled keepers: they check what real ones check, sign real receipts, and can be down, or lose everything.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use hermes_wire::{
    Wire as _,
    channel::ErrorCode,
    deposit::DepositRef,
    earth::{Delete, Revoke},
    ids::{DepositId, MailboxId, NodeKey, Position},
    kdf::h,
    receipt::{ReceiptBatch, Receipted},
};
use rand_core::Rng;

use super::{NodeId, World, schedule::Happening};
use crate::proto::{
    DepositOp,
    effect::{MailboxWish, Reading},
};

/// Bytes of records in one hand-out.
const PAGE_BYTES: usize = 262_000;

/// One keeper.
pub(crate) struct Keeper {
    key: SigningKey,
    up: bool,
    boxes: BTreeMap<MailboxId, Box_>,
}

/// A mailbox at a keeper.
#[derive(Default)]
struct Box_ {
    /// In order of arrival.
    deposits: Vec<(DepositId, u16, Vec<u8>)>,
    deleted: BTreeSet<DepositId>,
    revoked: BTreeSet<u16>,
    watchers: BTreeSet<(NodeId, u64)>,
}

impl Keeper {
    pub(crate) fn new(random: &mut impl Rng) -> Self {
        let mut seed = [0; 32];
        random.fill_bytes(&mut seed);
        Self {
            key: SigningKey::from_bytes(&seed),
            up: true,
            boxes: BTreeMap::new(),
        }
    }

    fn node_key(&self) -> NodeKey {
        NodeKey(self.key.verifying_key().to_bytes())
    }
}

impl World {
    /// Stops a keeper; what it keeps it still has when it comes back.
    pub fn stop_keeper(&mut self, keeper: usize) {
        if let Some(keeper) = self.keepers.get_mut(keeper) {
            keeper.up = false;
            for mailbox in keeper.boxes.values_mut() {
                mailbox.watchers.clear();
            }
        }
    }

    /// Starts a keeper; owners watch and fetch there again.
    pub fn start_keeper(&mut self, keeper: usize) {
        if let Some(keeper) = self.keepers.get_mut(keeper) {
            keeper.up = true;
        }
        for node in 0..self.nodes().len() {
            let wishes: Vec<MailboxWish> = self.node(node).mailboxes.values().cloned().collect();
            for wish in wishes {
                self.fetch(node, &wish);
            }
        }
    }

    /// How many deposits all keepers hold.
    #[must_use]
    pub fn kept_deposits(&self) -> usize {
        self.keepers
            .iter()
            .flat_map(|keeper| keeper.boxes.values())
            .map(|b| b.deposits.len())
            .sum()
    }

    /// All byte strings by which keepers and sky knew somebody since this was asked last: owners, mailboxes, write keys,
    /// presence keys, knock keys and roots.
    pub fn take_names_seen(&mut self) -> BTreeSet<[u8; 32]> {
        std::mem::take(&mut self.names)
    }

    /// One of the mailboxes that a node wants to be read.
    ///
    /// # Panics
    ///
    /// If it wants none.
    #[must_use]
    pub fn any_mailbox(&self, node: NodeId) -> MailboxId {
        *self.node(node).mailboxes.keys().next().expect("a mailbox")
    }

    /// A valid receipt of some keeper for something that it keeps.
    ///
    /// # Panics
    ///
    /// If nothing is kept.
    #[must_use]
    pub fn any_receipt(&self) -> Vec<u8> {
        let (net, now) = (&self.network, self.now());
        let held = self.keepers.iter().find_map(|keeper| {
            let (_, _, record) = keeper.boxes.values().flat_map(|b| &b.deposits).next()?;
            Some((keeper, record))
        });
        let (keeper, record) = held.expect("something is kept");
        let deposit = DepositRef::parse(record).expect("well formed").locate(net);
        let receipts =
            ReceiptBatch::sign(net, &keeper.key, now.unix_s(), &[Receipted::from(&deposit)]);
        receipts.first().expect("one").to_bytes()
    }

    /// How many mailboxes a node wants to be read.
    #[must_use]
    pub fn wished_mailboxes(&self, node: NodeId) -> usize {
        self.node(node).mailboxes.len()
    }

    /// The keepers of a position, nearest first.
    fn keepers_of(&self, position: &Position) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.keepers.len()).collect();
        all.sort_by_key(|keeper| {
            let key = self.keepers.get(*keeper).map(Keeper::node_key);
            h(&[position.as_bytes(), &key.map_or([0; 32], |key| key.0)])
        });
        all
    }

    /// Brings a deposit to the keepers of a position.
    pub(crate) fn spread(
        &mut self,
        node: NodeId,
        op: DepositOp,
        position: &Position,
        record: &[u8],
    ) {
        self.node_mut(node)
            .canceled
            .retain(|canceled| *canceled != op);
        let life = self.node(node).life;
        let copies = usize::from(self.network.params().copies);
        let lost = self.weather.loss_percent;
        let candidates: Vec<usize> = self
            .keepers_of(position)
            .into_iter()
            .take(2 * copies)
            .collect();
        let mut asked = 0;
        for keeper in candidates {
            let up = self.keepers.get(keeper).is_some_and(|keeper| keeper.up);
            if asked < copies && up && !self.chance(lost) {
                asked += 1;
                let record = record.to_vec();
                self.later(Happening::Put {
                    from: node,
                    life,
                    op,
                    keeper,
                    record,
                });
            }
        }
        // After the slowest answer.
        let (_, most) = self.weather.latency_ms;
        let at = self.now_ms + 2 * most + 1;
        self.schedule.add(at, Happening::Ended(node, life, op));
    }

    pub(crate) fn put(&mut self, from: NodeId, life: u64, op: DepositOp, at: usize, record: &[u8]) {
        let (net, now) = (self.network.clone(), self.now());
        let seed = self.seed();
        let Some(keeper) = self.keepers.get_mut(at).filter(|keeper| keeper.up) else {
            return;
        };
        let deposit = match DepositRef::parse(record).map(|deposit| deposit.verify(&net)) {
            Ok(Ok(deposit)) => deposit,
            _ => panic!("a core sent a deposit that does not hold (seed {seed})"),
        };
        assert!(
            net.expiry_is_acceptable(deposit.expiry, now.unix_s()),
            "expiry (seed {seed})"
        );
        self.names.extend([
            deposit.mailbox.0,
            deposit.descriptor.owner.0,
            deposit.descriptor.root,
        ]);
        let place = keeper.boxes.entry(deposit.mailbox).or_default();
        if place.revoked.contains(&deposit.leaf) {
            return self.later(Happening::Refused(from, life, op, at));
        }
        let mut push = Vec::new();
        let known = place.deposits.iter().any(|(id, ..)| *id == deposit.id);
        if !known && !place.deleted.contains(&deposit.id) {
            place
                .deposits
                .push((deposit.id, deposit.leaf, record.to_vec()));
            push = place.watchers.iter().copied().collect();
        }
        let about = Receipted::from(&*deposit);
        let receipts = ReceiptBatch::sign(&net, &keeper.key, now.unix_s(), &[about]);
        for receipt in receipts {
            self.later(Happening::Receipt(from, life, op, receipt.to_bytes()));
        }
        for (node, life) in push {
            self.later(Happening::Deposits(
                node,
                life,
                deposit.mailbox,
                vec![record.to_vec()],
            ));
        }
    }

    pub(crate) fn refused(&mut self, node: NodeId, life: u64, op: DepositOp, keeper: usize) {
        if let Some(key) = self.keepers.get(keeper).map(Keeper::node_key) {
            self.feed_life(node, life, |core, now| {
                core.handle_deposit_refused(op, key, ErrorCode::REVOKED, now)
            });
        }
    }

    pub(crate) fn delete(&mut self, at: usize, request: &[u8]) {
        let net = self.network.clone();
        let Some(keeper) = self.keepers.get_mut(at).filter(|keeper| keeper.up) else {
            return;
        };
        let Some((mailbox, request)) = Delete::decode(request)
            .ok()
            .and_then(|r| r.verify(&net).ok().map(|mailbox| (mailbox, r)))
        else {
            panic!(
                "a core sent a deletion that does not hold (seed {})",
                self.seed()
            );
        };
        let place = keeper.boxes.entry(mailbox).or_default();
        place
            .deposits
            .retain(|(id, ..)| !request.ids().contains(id));
        place.deleted.extend(request.ids());
    }

    pub(crate) fn revoke(&mut self, at: usize, request: &[u8]) {
        let net = self.network.clone();
        let Some(keeper) = self.keepers.get_mut(at).filter(|keeper| keeper.up) else {
            return;
        };
        let Some((mailbox, request)) = Revoke::decode(request)
            .ok()
            .and_then(|r| r.verify(&net).ok().map(|mailbox| (mailbox, r)))
        else {
            panic!(
                "a core sent a revocation that does not hold (seed {})",
                self.seed()
            );
        };
        let place = keeper.boxes.entry(mailbox).or_default();
        place.revoked.extend(request.leaves());
        place
            .deposits
            .retain(|(_, leaf, _)| !request.leaves().contains(leaf));
    }

    /// Takes a node's new wish: reads what is new in it or is read otherwise now.
    pub(crate) fn want_mailboxes(&mut self, node: NodeId, wishes: Vec<MailboxWish>) {
        let before = std::mem::take(&mut self.node_mut(node).mailboxes);
        for wish in wishes {
            let known = before
                .get(&wish.mailbox)
                .is_some_and(|old| old.reading == wish.reading);
            self.node_mut(node)
                .mailboxes
                .insert(wish.mailbox, wish.clone());
            if !known {
                self.fetch(node, &wish);
            }
        }
    }

    /// Watches and fetches a mailbox at its keepers of both positions.
    fn fetch(&mut self, node: NodeId, wish: &MailboxWish) {
        let (life, mailbox) = (self.node(node).life, wish.mailbox);
        self.names.extend([mailbox.0, wish.descriptor.owner.0]);
        let params = self.network.params();
        let (copies, acks) = (usize::from(params.copies), usize::from(params.acks));
        let mut of: BTreeSet<usize> = BTreeSet::new();
        for position in &wish.positions {
            of.extend(self.keepers_of(position).into_iter().take(2 * copies));
        }
        let mut answered = 0;
        for at in of.iter().copied() {
            let Some(keeper) = self.keepers.get_mut(at).filter(|keeper| keeper.up) else {
                continue;
            };
            answered += 1;
            let place = keeper.boxes.entry(mailbox).or_default();
            if wish.reading == Reading::Watch {
                place.watchers.insert((node, life));
            }
            for page in pages(&place.deposits) {
                self.later(Happening::Deposits(node, life, mailbox, page));
            }
        }
        let complete = answered + acks > copies.min(of.len());
        let (_, most) = self.weather.latency_ms;
        let at = self.now_ms + most + 1;
        self.schedule.add(
            at,
            Happening::Fetched(node, life, mailbox, wish.reading, complete),
        );
    }
}

fn pages(deposits: &[(DepositId, u16, Vec<u8>)]) -> Vec<Vec<Vec<u8>>> {
    let mut pages: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut size = PAGE_BYTES;
    for (_, _, record) in deposits {
        if size + record.len() > PAGE_BYTES {
            pages.push(Vec::new());
            size = 0;
        }
        size += record.len();
        if let Some(page) = pages.last_mut() {
            page.push(record.clone());
        }
    }
    pages
}
