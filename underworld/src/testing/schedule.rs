//! What happens when: the queue of the virtual clock, and carrying out what is due.

use std::collections::BTreeMap;

use hermes_wire::ids::{MailboxId, PresenceKey};

use super::{World, node::NodeId};
use crate::proto::{
    DepositOp, IncomingKnockId, KnockOp, KnockResult, LinkId, LinkToken, Now,
    effect::{PresenceWish, Reading},
};

/// Something that will happen.
pub(crate) enum Happening {
    /// Presence is registered.
    Register(NodeId, u64, Vec<PresenceWish>),
    /// A knock reaches the friend.
    Knock {
        from: NodeId,
        life: u64,
        op: KnockOp,
        presence: PresenceKey,
        knock: Vec<u8>,
    },
    /// A knock's result reaches the knocker.
    KnockResult(NodeId, u64, KnockOp, KnockResult),
    /// A deposit reaches a keeper.
    Put {
        from: NodeId,
        life: u64,
        op: DepositOp,
        keeper: usize,
        record: Vec<u8>,
    },
    /// A keeper's receipt, or its refusal, reaches the depositor.
    Receipt(NodeId, u64, DepositOp, Vec<u8>),
    Refused(NodeId, u64, DepositOp, usize),
    /// All keepers were asked.
    Ended(NodeId, u64, DepositOp),
    /// An owner's request reaches a keeper.
    Delete {
        keeper: usize,
        request: Vec<u8>,
    },
    Revoke {
        keeper: usize,
        request: Vec<u8>,
    },
    /// A keeper's deposits reach their owner.
    Deposits(NodeId, u64, MailboxId, Vec<Vec<u8>>),
    /// A pass over the keepers is done.
    Fetched(NodeId, u64, MailboxId, Reading, bool),
    /// A dialled link stands, or does not.
    Dialled {
        from: NodeId,
        life: u64,
        link: LinkToken,
        tag: [u8; 16],
        our_key: [u8; 32],
        their_key: [u8; 32],
    },
    /// A packet reaches the other end of a link.
    Packet {
        to: NodeId,
        life: u64,
        link: LinkId,
        packet: Vec<u8>,
    },
    /// The other end of a link learns that it is gone.
    Down {
        to: NodeId,
        life: u64,
        link: LinkId,
    },
    /// An answer to a knock was not given in time.
    KnockTimeout(IncomingKnockId),
}

/// Happenings by time, and in the order of their making within a millisecond.
#[derive(Default)]
pub(crate) struct Schedule {
    queue: BTreeMap<(u64, u64), Happening>,
    made: u64,
}

impl Schedule {
    pub(crate) fn add(&mut self, at_ms: u64, what: Happening) {
        self.made += 1;
        self.queue.insert((at_ms, self.made), what);
    }

    fn next_at(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }
}

impl World {
    /// Plans something after a time on the way.
    pub(crate) fn later(&mut self, what: Happening) {
        let at = self.now_ms + self.latency();
        self.schedule.add(at, what);
    }

    /// Lets the next thing happen that happens up to `end_ms`; gives whether there was one.
    pub(crate) fn step(&mut self, end_ms: u64) -> bool {
        self.restart_crashed();
        let timer = self.next_timer();
        let happening = self.schedule.next_at();
        let at = [timer.map(|(at, _)| at), happening]
            .into_iter()
            .flatten()
            .min();
        // No time passes while a cycle is open.
        if at.is_none_or(|at| at > self.now_ms) && self.finish_open_cycles() {
            return true;
        }
        let Some(at) = at.filter(|at| *at <= end_ms) else {
            return false;
        };
        self.now_ms = self.now_ms.max(at);
        match timer {
            Some((timer, node)) if happening.is_none_or(|happening| timer <= happening) => {
                self.feed(node, |core, now| core.handle_timeout(now));
            }
            _ => {
                if let Some((_, what)) = self.schedule.queue.pop_first() {
                    self.happen(what);
                }
            }
        }
        true
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Register(node, life, wishes) => self.register(node, life, wishes),
            Happening::Knock {
                from,
                life,
                op,
                presence,
                knock,
            } => self.knock(from, life, op, presence, &knock),
            Happening::KnockResult(node, life, op, result) => {
                self.feed_life(node, life, |core, now: Now| {
                    core.handle_knock_result(op, &result, now)
                });
            }
            Happening::Put {
                from,
                life,
                op,
                keeper,
                record,
            } => self.put(from, life, op, keeper, &record),
            Happening::Receipt(node, life, op, receipt) => {
                self.feed_life(node, life, |core, now| {
                    core.handle_receipt(op, &receipt, now)
                });
            }
            Happening::Refused(node, life, op, keeper) => self.refused(node, life, op, keeper),
            Happening::Ended(node, life, op) => {
                self.feed_life(node, life, |core, now| core.handle_deposit_ended(op, now));
            }
            Happening::Delete { keeper, request } => self.delete(keeper, &request),
            Happening::Revoke { keeper, request } => self.revoke(keeper, &request),
            Happening::Deposits(node, life, mailbox, records) => {
                self.feed_life(node, life, |core, now| {
                    core.handle_deposits(mailbox, &records, now)
                });
            }
            Happening::Fetched(node, life, mailbox, reading, complete) => {
                self.feed_life(node, life, |core, now| {
                    core.handle_fetched(mailbox, reading, complete, now)
                });
            }
            Happening::Dialled {
                from,
                life,
                link,
                tag,
                our_key,
                their_key,
            } => {
                self.dialled(from, life, link, tag, our_key, their_key);
            }
            Happening::Packet {
                to,
                life,
                link,
                packet,
            } => self.deliver_packet(to, life, link, &packet),
            Happening::Down { to, life, link } => self.deliver_down(to, life, link),
            Happening::KnockTimeout(id) => self.knock_timeout(id),
        }
    }
}
