//! The owner's cycle against a disk that loses what was not synced, struck at every step.
//!
//! Two people talk through modelled keepers: cores, stores, history, event log and cycles are the real ones. In every run one of the
//! two disks crashes before one of its steps, with one kind of loss; that side starts again from what is left, and the talk goes on. A
//! caller whose message was not answered sends it again under the same key, as callers do.

mod epochs;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use hermes_api::types::{Direction, MessageSendParams, MessageState, WaitFor};
use hermes_underworld::proto::effect::{Effect, MailboxWish};
use hermes_underworld::proto::{ContactId, ContactState, InviteOptions, KnockResult, Now};
use hermes_wire::Wire as _;
use hermes_wire::addr::Addr;
use hermes_wire::deposit::DepositRef;
use hermes_wire::earth::Delete;
use hermes_wire::ids::{DepositId, MailboxId, NodeKey};
use hermes_wire::invite::Entry;
use hermes_wire::receipt::{ReceiptBatch, Receipted};
use hermes_wire::{Network, network::T0};

use super::history::{MessageRow, page};
use super::{Answer, Open};
use crate::net::NetInput;
use crate::notify::{Notices, Show};
use crate::rpc::messages::accept;
use crate::store::{Cost, Disk, Loss, MemoryDisk, NoVault, Options, OsEntropy, Store, Unlock};

const ALICE: usize = 0;
const BOB: usize = 1;

/// Messages of each side.
const TEXTS: usize = 3;

/// More steps than any talk takes; one that needs more hangs.
const STEPS_MAX: usize = 5_000;

fn options() -> Options {
    Options {
        cost: Cost::CHEAP,
        vault: Arc::new(NoVault),
        program: "hermesd test".to_owned(),
    }
}

fn unlock(disk: &MemoryDisk) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let locked = Store::open_on(disk, options()).expect("a store");
    match locked.unlock(&Unlock::Insecure, 0, Box::new(OsEntropy::new())) {
        Ok(store) => store,
        Err(refused) => panic!("{}", refused.error),
    }
}

/// One person: a disk, and the state in memory unless it has just crashed.
struct Side {
    disk: MemoryDisk,
    open: Option<Open>,
    wishes: Vec<MailboxWish>,
    /// What the network brings next; gone with the process.
    inputs: VecDeque<NetInput>,
    /// The ids that callers were told, by the number of the message.
    told: Arc<Mutex<BTreeMap<usize, String>>>,
    lives: u8,
}

/// Both sides, and what the keepers hold.
struct Talk {
    network: Network,
    began: Instant,
    passed: Duration,
    sides: [Side; 2],
    boxes: BTreeMap<MailboxId, Vec<(DepositId, Vec<u8>)>>,
    deleted: BTreeSet<DepositId>,
    loss: Loss,
    crashes: usize,
    /// What keepers and sky nodes were told, if that is wanted.
    heard: Option<epochs::Heard>,
}

impl Talk {
    fn now(&self) -> Now {
        Now {
            mono: self.began + self.passed,
            unix_ms: (T0 + 20 * 86_400 + 40_000) * 1_000
                + u64::try_from(self.passed.as_millis()).expect("short"),
        }
    }

    /// Two people who do not know each other.
    fn new() -> Self {
        Self::on(Network::lab())
    }

    fn on(network: Network) -> Self {
        let side = || Side {
            disk: MemoryDisk::new(),
            open: None,
            wishes: Vec::new(),
            inputs: VecDeque::new(),
            told: Arc::default(),
            lives: 0,
        };
        let mut talk = Self {
            network,
            began: Instant::now(),
            passed: Duration::ZERO,
            sides: [side(), side()],
            boxes: BTreeMap::new(),
            deleted: BTreeSet::new(),
            loss: Loss::All,
            crashes: 0,
            heard: None,
        };
        for (who, name) in ["alice", "bob"].into_iter().enumerate() {
            let disk: Arc<dyn Disk> = Arc::new(talk.sides[who].disk.clone());
            let entropy = Box::new(OsEntropy::new());
            let store = Store::create_on(disk, options(), &Unlock::Insecure, entropy);
            let (store, now) = (store.expect("a store"), talk.now());
            let notices = Notices::new(Show::Nothing);
            let seed = [who as u8 + 1; 32];
            let open = Open::create(store, talk.network.clone(), name, seed, notices, now);
            talk.sides[who].open = Some(open.expect("an identity"));
        }
        talk
    }

    /// The same talk on copies of its disks and keepers, both sides started anew.
    fn copy(&self) -> Self {
        let side = |side: &Side| Side {
            disk: side.disk.reboot(Loss::All),
            open: None,
            wishes: Vec::new(),
            inputs: VecDeque::new(),
            told: Arc::default(),
            lives: side.lives + 1,
        };
        let mut talk = Self {
            network: self.network.clone(),
            sides: self.sides.each_ref().map(side),
            boxes: self.boxes.clone(),
            deleted: self.deleted.clone(),
            heard: None,
            ..*self
        };
        talk.start(ALICE);
        talk.start(BOB);
        talk
    }

    fn start(&mut self, who: usize) {
        let (network, now) = (self.network.clone(), self.now());
        let side = &mut self.sides[who];
        side.lives += 1;
        let seed = [16 * (who as u8 + 1) + side.lives % 16; 32];
        let notices = Notices::new(Show::Nothing);
        let open = Open::load(unlock(&side.disk), network, seed, notices, now);
        side.open = Some(open.expect("it loads"));
    }

    /// Ends a cycle; if the disk crashed, checks that nothing got out, and starts the side again.
    fn finish(&mut self, who: usize, answers: Vec<Answer>) {
        let now = self.now();
        let side = &mut self.sides[who];
        let mut effects = Vec::new();
        let told = side.told.lock().expect("whole").len();
        let open = side.open.as_mut().expect("it runs");
        let head = *open.head.borrow();
        if open.finish_cycle(now, answers, |effect| effects.push(effect)) {
            effects
                .into_iter()
                .for_each(|effect| self.carry_out(who, effect));
            return;
        }
        assert!(side.disk.has_crashed(), "the disk failed by itself");
        assert!(effects.is_empty(), "sent and not on the disk: {effects:?}");
        assert_eq!(
            side.told.lock().expect("whole").len(),
            told,
            "answered and not on the disk"
        );
        assert_eq!(*open.head.borrow(), head, "announced and not on the disk");
        side.open = None;
        side.inputs.clear();
        side.wishes.clear();
        side.disk = side.disk.reboot(self.loss);
        self.crashes += 1;
        self.start(who);
    }

    fn carry_out(&mut self, who: usize, effect: Effect) {
        if self.overhear(who, &effect) {
            return;
        }
        match effect {
            Effect::Mailboxes(wishes) => {
                for wish in &wishes {
                    let held = self.boxes.get(&wish.mailbox).into_iter().flatten();
                    let records = held.map(|(_, record)| record.clone()).collect();
                    let (mailbox, reading) = (wish.mailbox, wish.reading);
                    self.sides[who].inputs.extend([
                        NetInput::Deposits { mailbox, records },
                        NetInput::Fetched {
                            mailbox,
                            reading,
                            complete: true,
                        },
                    ]);
                }
                self.sides[who].wishes = wishes;
            }
            Effect::Deposit { op, record, .. } => {
                let deposit = DepositRef::parse(&record).expect("a deposit");
                let deposit = deposit.verify(&self.network).expect("signed");
                let about = Receipted::from(&*deposit);
                let time = self.now().unix_s();
                for keeper in 1..=3 {
                    let key = SigningKey::from_bytes(&[keeper; 32]);
                    for receipt in ReceiptBatch::sign(&self.network, &key, time, &[about]) {
                        let receipt = receipt.to_bytes();
                        self.sides[who]
                            .inputs
                            .push_back(NetInput::Receipt { op, receipt });
                    }
                }
                self.sides[who]
                    .inputs
                    .push_back(NetInput::DepositEnded { op });
                let (mailbox, id) = (deposit.mailbox, deposit.id);
                let held = self.boxes.entry(mailbox).or_default();
                if self.deleted.contains(&id) || held.iter().any(|(known, _)| *known == id) {
                    return;
                }
                held.push((id, record.clone()));
                for side in &mut self.sides {
                    if side.wishes.iter().any(|wish| wish.mailbox == mailbox) {
                        let records = vec![record.clone()];
                        side.inputs
                            .push_back(NetInput::Deposits { mailbox, records });
                    }
                }
            }
            Effect::Delete(order) => {
                let request = Delete::decode(&order.request).expect("a deletion");
                let mailbox = request.verify(&self.network).expect("signed");
                self.deleted.extend(request.ids());
                let held = self.boxes.entry(mailbox).or_default();
                held.retain(|(id, _)| !self.deleted.contains(id));
            }
            Effect::Knock { op, .. } => {
                let result = KnockResult::Absent;
                self.sides[who]
                    .inputs
                    .push_back(NetInput::KnockResult { op, result });
            }
            _ => {}
        }
    }

    /// Brings one thing to one side, or lets time pass until the next is due.
    fn step(&mut self) {
        let now = self.now();
        for who in [ALICE, BOB] {
            if let Some(input) = self.sides[who].inputs.pop_front() {
                self.sides[who]
                    .open
                    .as_mut()
                    .expect("it runs")
                    .net_input(input, now);
                return self.finish(who, Vec::new());
            }
        }
        let due = |side: &Side| Some(side.open.as_ref()?.underworld.poll_timeout()?.0);
        let next = self.sides.iter().filter_map(due).min().expect("a timer");
        let next = next.saturating_duration_since(self.began);
        self.passed = self.passed.max(next) + Duration::from_millis(1);
        self.finish(ALICE, Vec::new());
        self.finish(BOB, Vec::new());
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..STEPS_MAX {
            if is_so(self) {
                return;
            }
            self.step();
        }
        panic!("{what}: it does not come to that");
    }

    fn befriend(&mut self) {
        let now = self.now();
        let entry = Entry::new(Addr::new(([127, 0, 0, 1], 9).into()), &NodeKey([9; 32]));
        let options = InviteOptions {
            ask: false,
            expires_in_s: None,
            nodes: vec![entry],
        };
        let alice = self.sides[ALICE].open.as_mut().expect("it runs");
        let invite = alice
            .underworld()
            .create_invite(options, now)
            .expect("an invite");
        self.finish(ALICE, Vec::new());
        let bob = self.sides[BOB].open.as_mut().expect("it runs");
        bob.underworld()
            .accept_invite(&invite.link, None, now)
            .expect("accepted");
        self.finish(BOB, Vec::new());
        self.until("friends", |talk| {
            let established = |who: usize| talk.friend(who).is_some();
            established(ALICE) && established(BOB)
        });
    }

    fn friend(&self, who: usize) -> Option<ContactId> {
        let mut contacts = self.sides[who].open.as_ref()?.people().contacts();
        contacts
            .find(|contact| contact.state == ContactState::Established)
            .map(|contact| contact.id)
    }

    /// Sends a message until its caller is told that it was taken.
    fn say(&mut self, who: usize, n: usize) {
        while !self.sides[who].told.lock().expect("whole").contains_key(&n) {
            let (now, contact) = (self.now(), self.friend(who).expect("a friend"));
            let params = MessageSendParams {
                to: super::contact_id(contact),
                body: body(who, n),
                idempotency_key: Some(format!("key {n}")),
                wait: WaitFor::Queued,
                timeout_ms: None,
                expires_in_s: None,
            };
            let side = &mut self.sides[who];
            let open = side.open.as_mut().expect("it runs");
            let accepted = accept(open, params, now).expect("taken");
            let told = side.told.clone();
            let answer: Answer = Box::new(move |committed| {
                if committed.is_ok() {
                    let id = accepted.response.message_id;
                    told.lock().expect("whole").insert(n, id);
                }
            });
            self.finish(who, vec![answer]);
        }
    }

    fn history(&self, who: usize) -> Vec<MessageRow> {
        let open = self.sides[who].open.as_ref().expect("it runs");
        let contact = self.friend(who).expect("a friend");
        let (rows, more) = page(open.reader(), contact, None, Some(0), 100).expect("a history");
        assert!(!more);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn of(&self, who: usize, direction: Direction) -> Vec<MessageRow> {
        let mut rows = self.history(who);
        rows.retain(|row| row.direction == direction);
        rows
    }

    /// Both say what they have to say, and all of it is confirmed.
    fn talk(&mut self) {
        for n in 0..TEXTS {
            for who in [ALICE, BOB] {
                self.say(who, n);
                (0..4).for_each(|_| self.step());
            }
        }
        self.until("all delivered", |talk| {
            [ALICE, BOB].into_iter().all(|who| {
                let ours = talk.of(who, Direction::Out);
                ours.iter().all(|row| row.state == MessageState::Delivered)
            })
        });
    }

    fn check(&self, what: &str) {
        for (from, to) in [(ALICE, BOB), (BOB, ALICE)] {
            let told: Vec<String> = self.sides[from]
                .told
                .lock()
                .expect("whole")
                .values()
                .cloned()
                .collect();
            let expected: Vec<_> = (0..TEXTS).map(|n| body(from, n)).zip(told).collect();
            for (who, direction) in [(from, Direction::Out), (to, Direction::In)] {
                let rows = self.of(who, direction).into_iter();
                let rows: Vec<_> = rows.map(|row| (row.body, row.id)).collect();
                assert_eq!(
                    rows, expected,
                    "{what}: from {from}, in the history of {who}"
                );
            }
        }
    }
}

fn body(who: usize, n: usize) -> String {
    format!("{who} says {n}")
}

#[test]
fn a_disk_that_loses_unsynced_writes_is_struck_before_every_step_of_a_conversation() {
    let mut friends = Talk::new();
    friends.befriend();
    let mut calm = friends.copy();
    let before = calm.sides.each_ref().map(|side| side.disk.steps().len());
    calm.talk();
    calm.check("no crash");
    let mut crashes = 0;
    for who in [ALICE, BOB] {
        let steps = calm.sides[who].disk.steps().len() - before[who];
        assert!(steps > 4 * TEXTS, "{steps} steps");
        for at in 0..steps {
            for loss in Loss::ALL {
                let mut talk = friends.copy();
                talk.loss = loss;
                talk.sides[who].disk.crash_after(at);
                talk.talk();
                talk.check(&format!("{who} crashes before step {at}, loss {loss:?}"));
                crashes += talk.crashes;
            }
        }
        assert!(crashes > 2 * steps, "{crashes} crashes at {steps} steps");
    }
}
