//! What was promised and what came of it: the invariants, checked as things happen.
//!
//! The ledger knows what no node knows: what everybody was told. It is written by commits only, never by what a machine meant to do.
//!
//! - A message is shown at most once, only to whom it was written, word for word, and after those that its sender wrote before, unless
//!   it is marked as late.
//! - Whoever is told `delivered` of a message has a friend who was shown it, or who holds it on his disk because an earlier one is
//!   missing. A message that was accepted is shown before the healing
//!   phase ends, or its sender was told that it expired or failed.
//! - An honest keeper does not hand out what its owner deleted there while its disk was kept.
//! - What a keeper's disk holds stays within its budget and within each slot's quota, after every commit.
//! - A name by which a keeper or sky knew somebody belongs to one epoch: an owner key, a root and a write key to one mailbox, and a
//!   mailbox, presence key, knock key and knock root to one epoch.
//! - No outbox grows beyond underworld's caps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hermes_underworld::event::{Order, Received, SendState};
use hermes_wire::ids::{DepositId, MailboxId, MessageId};

/// Violations that are kept word for word; the others are counted.
const KEPT_MAX: usize = 50;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When, in milliseconds of the run.
    pub at_ms: u64,
    /// The number of the step.
    pub step: u64,
    /// The trace's hash at that step.
    pub hash: String,
    /// What is wrong.
    pub what: String,
}

/// How far a message came, as its sender was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Accepted,
    Kept,
    Delivered,
    /// Expired or failed.
    GivenUp,
}

#[derive(Debug)]
struct Message {
    to: usize,
    text: String,
    accepted_ms: u64,
    told: Told,
    shown: u64,
}

/// Counts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages accepted by a committed cycle.
    pub accepted: u64,
    /// Those of them that were shown.
    pub delivered: u64,
    /// Showings beyond the first.
    pub doubled: u64,
    /// Messages shown after later ones without being marked so.
    pub misordered: u64,
    /// Messages marked as late.
    pub late: u64,
    /// Messages that were not shown and whose sender was told so.
    pub expired_told: u64,
    /// Messages that were accepted, neither shown nor given up.
    pub lost: u64,
}

/// Where a name belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Mailbox(MailboxId),
    Epoch(u32),
}

/// The ledger.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    messages: BTreeMap<(usize, MessageId), Message>,
    /// The last number that was shown in order, by sender and friend.
    last: BTreeMap<(usize, usize), u64>,
    /// Texts that were handed to a core and are not accepted by a commit yet, by sender and name.
    written: BTreeMap<(usize, MessageId), (usize, String)>,
    /// Messages neither shown nor given up.
    open: usize,
    latencies_ms: Vec<u64>,
    counts: Counts,
    /// What owners deleted, by keeper and by how often its disk was lost.
    deleted: BTreeSet<(usize, u32, MailboxId, DepositId)>,
    names: BTreeMap<[u8; 32], Scope>,
    /// Found since they were taken last.
    found: VecDeque<String>,
    violations: Vec<Violation>,
    violated: u64,
}

impl Ledger {
    /// Notes a broken invariant.
    pub(crate) fn violate(&mut self, what: String) {
        self.found.push_back(what);
    }

    /// What was found wrong and not yet filed.
    pub(crate) fn next_found(&mut self) -> Option<String> {
        self.found.pop_front()
    }

    pub(crate) fn file(&mut self, violation: Violation) {
        self.violated += 1;
        if self.violations.len() < KEPT_MAX {
            self.violations.push(violation);
        }
    }

    pub(crate) const fn violated(&self) -> u64 {
        self.violated
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// A text was handed to a core; it counts once the core says so in a committed cycle.
    pub(crate) fn wrote(&mut self, from: usize, to: usize, id: MessageId, text: String) {
        self.written.insert((from, id), (to, text));
    }

    /// What a cycle was committed with says of a text of ours.
    /// `is_held` says whether the friend's disk holds it behind a gap.
    pub(crate) fn told(
        &mut self,
        from: usize,
        id: MessageId,
        state: &SendState,
        now_ms: u64,
        is_held: impl FnOnce() -> bool,
    ) {
        if let Some((to, text)) = self.written.remove(&(from, id)) {
            let message = Message {
                to,
                text,
                accepted_ms: now_ms,
                told: Told::Accepted,
                shown: 0,
            };
            self.messages.insert((from, id), message);
            self.counts.accepted += 1;
            self.open += 1;
        }
        let Some(message) = self.messages.get_mut(&(from, id)) else {
            return self.violate(format!(
                "person {from} is told of a message that he never wrote"
            ));
        };
        let before = (message.told, message.shown);
        match state {
            SendState::Queued { .. } => {}
            SendState::Kept { .. } if message.told == Told::Accepted => message.told = Told::Kept,
            SendState::Kept { .. } => {}
            SendState::Delivered => message.told = Told::Delivered,
            SendState::Expired | SendState::Failed => message.told = Told::GivenUp,
        }
        let (to, told, shown) = (message.to, message.told, message.shown);
        if told == Told::Delivered && shown == 0 && !is_held() {
            self.violate(format!(
                "person {from} is told `delivered` of a message that person {to} does not have"
            ));
        }
        if told == Told::GivenUp && before == (before.0, 0) && before.0 != Told::GivenUp {
            self.open = self.open.saturating_sub(1);
        }
    }

    /// A committed cycle showed a text.
    pub(crate) fn shown(&mut self, to: usize, from: usize, received: &Received, now_ms: u64) {
        let Some(message) = self.messages.get_mut(&(from, received.msg_id)) else {
            return self.violate(format!(
                "person {to} is shown a message of person {from} that nobody wrote"
            ));
        };
        message.shown += 1;
        let first = message.shown == 1;
        let was_open = first && message.told != Told::GivenUp;
        let since = now_ms.saturating_sub(message.accepted_ms);
        let wrong = if message.to != to {
            Some(format!(
                "person {to} is shown a message for person {}",
                message.to
            ))
        } else if message.text.as_bytes() != received.body {
            Some(format!(
                "person {to} is shown other words than person {from} wrote"
            ))
        } else if !first {
            self.counts.doubled += 1;
            Some(format!(
                "person {to} is shown a message of person {from} again"
            ))
        } else {
            None
        };
        if first {
            self.counts.delivered += 1;
            self.latencies_ms.push(since);
        }
        self.open -= usize::from(was_open && self.open > 0);
        if let Some(wrong) = wrong {
            self.violate(wrong);
        }
        self.check_order(to, from, received);
    }

    fn check_order(&mut self, to: usize, from: usize, received: &Received) {
        let last = self.last.entry((from, to)).or_default();
        if received.order != Order::InOrder {
            self.counts.late += 1;
        } else if received.conv_seq <= *last {
            self.counts.misordered += 1;
            self.violate(format!(
                "person {to} is shown a message of person {from} after a later one"
            ));
        } else {
            *last = received.conv_seq;
        }
    }

    /// Whether nothing is under way any more.
    pub(crate) const fn is_settled(&self) -> bool {
        self.open == 0
    }

    /// The healing phase is over: what is still open is lost.
    pub(crate) fn close(&mut self) {
        let mut wrong = Vec::new();
        for ((from, _), message) in &self.messages {
            if message.shown > 0 {
                continue;
            }
            match message.told {
                Told::GivenUp => self.counts.expired_told += 1,
                told => {
                    self.counts.lost += 1;
                    let word = match told {
                        Told::Accepted => "accepted",
                        Told::Kept => "kept",
                        _ => "delivered",
                    };
                    wrong.push(format!(
                        "a message of person {from} to person {} was {word} and is lost",
                        message.to
                    ));
                }
            }
        }
        self.found.extend(wrong);
    }

    pub(crate) const fn counts(&self) -> Counts {
        self.counts
    }

    /// The times from accepted to shown, shortest first.
    pub(crate) fn latencies_ms(&self) -> Vec<u64> {
        let mut sorted = self.latencies_ms.clone();
        sorted.sort_unstable();
        sorted
    }

    /// A keeper committed a deletion that its owner asked for.
    pub(crate) fn deleted(&mut self, keeper: usize, disk: u32, mailbox: MailboxId, id: DepositId) {
        self.deleted.insert((keeper, disk, mailbox, id));
    }

    /// A keeper that says it is honest hands out a deposit.
    pub(crate) fn handed_out(
        &mut self,
        keeper: usize,
        disk: u32,
        mailbox: MailboxId,
        id: DepositId,
    ) {
        if self.deleted.contains(&(keeper, disk, mailbox, id)) {
            self.violate(format!(
                "keeper {keeper} hands out what its owner deleted there"
            ));
        }
    }

    /// A keeper or sky learned a name.
    pub(crate) fn seen(&mut self, name: [u8; 32], scope: Scope) {
        let known = *self.names.entry(name).or_insert(scope);
        if known != scope {
            self.violate(format!(
                "a name that was seen before belongs to another epoch: {}",
                match scope {
                    Scope::Mailbox(_) => "an owner key, root or write key",
                    Scope::Epoch(_) => "a mailbox, presence key, knock key or knock root",
                }
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use hermes_underworld::{ContactId, event::Via};
    use hermes_wire::packet::FrameKind;

    use super::*;

    const ID: MessageId = MessageId([1; 16]);

    fn received(id: MessageId, number: u64, text: &str) -> Received {
        Received {
            contact: ContactId(1),
            device: 0,
            conv_seq: number,
            msg_id: id,
            kind: FrameKind::Text,
            critical: true,
            sent_at_ms: 0,
            body: text.as_bytes().to_vec(),
            order: Order::InOrder,
            via: Via::Keepers,
        }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.wrote(0, 1, ID, "words".to_owned());
        ledger.told(0, ID, &SendState::Queued { why: None }, 10, || false);
        ledger
    }

    fn found(ledger: &mut Ledger) -> String {
        std::iter::from_fn(|| ledger.next_found())
            .collect::<Vec<_>>()
            .join("; ")
    }

    #[test]
    fn a_message_that_arrives_settles_the_ledger() {
        let mut ledger = ledger();
        assert!(!ledger.is_settled());
        ledger.shown(1, 0, &received(ID, 1, "words"), 30);
        ledger.told(0, ID, &SendState::Delivered, 40, || false);
        ledger.close();
        assert!(ledger.is_settled());
        assert_eq!(found(&mut ledger), "");
        assert_eq!(ledger.latencies_ms(), [20]);
        let wanted = Counts {
            accepted: 1,
            delivered: 1,
            ..Counts::default()
        };
        assert_eq!(ledger.counts(), wanted);
    }

    #[test]
    fn each_way_of_going_wrong_is_found() {
        let mut twice = ledger();
        twice.shown(1, 0, &received(ID, 1, "words"), 30);
        twice.shown(1, 0, &received(ID, 1, "words"), 31);
        assert!(found(&mut twice).contains("again"));
        let mut astray = ledger();
        astray.shown(2, 0, &received(ID, 1, "words"), 30);
        assert!(found(&mut astray).contains("for person 1"));
        let mut garbled = ledger();
        garbled.shown(1, 0, &received(ID, 1, "swords"), 30);
        assert!(found(&mut garbled).contains("other words"));
        let mut early = ledger();
        early.told(0, ID, &SendState::Delivered, 20, || true);
        assert_eq!(found(&mut early), "");
        early.told(0, ID, &SendState::Delivered, 20, || false);
        assert!(found(&mut early).contains("does not have"));
        let mut lost = ledger();
        lost.close();
        assert!(found(&mut lost).contains("accepted and is lost"));
        let mut invented = ledger();
        invented.shown(1, 0, &received(MessageId([9; 16]), 1, "words"), 30);
        assert!(found(&mut invented).contains("nobody wrote"));
    }

    #[test]
    fn order_counts_only_where_it_is_claimed() {
        let mut ledger = ledger();
        let second = MessageId([2; 16]);
        ledger.wrote(0, 1, second, "more".to_owned());
        ledger.told(0, second, &SendState::Queued { why: None }, 11, || false);
        ledger.shown(1, 0, &received(second, 2, "more"), 20);
        let mut late = received(ID, 1, "words");
        late.order = Order::Late;
        ledger.shown(1, 0, &late, 21);
        assert_eq!(found(&mut ledger), "");
        ledger.shown(1, 0, &received(ID, 1, "words"), 22);
        assert!(found(&mut ledger).contains("after a later one"));
    }

    #[test]
    fn a_message_that_its_sender_gave_up_is_not_lost() {
        let mut ledger = ledger();
        ledger.told(0, ID, &SendState::Expired, 50, || false);
        assert!(ledger.is_settled());
        ledger.close();
        assert_eq!(found(&mut ledger), "");
        assert_eq!(ledger.counts().expired_told, 1);
    }

    #[test]
    fn names_may_not_return_and_deletions_stay() {
        let mut ledger = Ledger::default();
        ledger.seen([1; 32], Scope::Epoch(4));
        ledger.seen([1; 32], Scope::Epoch(4));
        assert_eq!(found(&mut ledger), "");
        ledger.seen([1; 32], Scope::Epoch(5));
        assert!(found(&mut ledger).contains("another epoch"));
        let (mailbox, id) = (MailboxId([1; 32]), DepositId([2; 32]));
        ledger.deleted(3, 0, mailbox, id);
        ledger.handed_out(3, 1, mailbox, id);
        assert_eq!(found(&mut ledger), "");
        ledger.handed_out(3, 0, mailbox, id);
        assert!(found(&mut ledger).contains("deleted"));
    }
}
