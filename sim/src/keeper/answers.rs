//! What a keeper sends after a commit: receipts, pages, pushes.

use bytes::Bytes;
use hermes_earth::proto::{ConnId, Output, Refusal, Reply, ReqId, bucket::Bucket};
use hermes_wire::{
    Wire as _,
    channel::ErrorCode,
    deposit::DepositRef,
    ids::{DepositId, MailboxId},
    receipt::{ReceiptBatch, Receipted},
};

use super::{Asked, Conn};
use crate::{
    depositing::PutOutcome,
    event::Event,
    reading::{FetchAsk, PageGiven},
    scenario::Conduct,
    world::Sim,
};

/// Deleted deposits that a keeper which replays adds to a page.
const REPLAYED_MAX: usize = 8;

/// A receipt that is due: for what, and the depositor's job, attempt and slot.
type Held = (Receipted, (u64, u64, usize));

impl Sim {
    /// Answers and pushes, after the commit.
    pub(super) fn carry_out(&mut self, slot: usize, rest: Vec<Output>) {
        let mut held = Vec::new();
        for output in rest {
            match output {
                Output::Write(_) => {}
                Output::Push { conn, record, .. } => self.push(slot, conn, &record),
                Output::Reply(req, reply) => held.extend(self.answer(slot, req, reply)),
            }
        }
        self.give_receipts(slot, held);
    }

    /// Answers a request, unless it is a receipt that it gets: one signature serves all of a cycle.
    fn answer(&mut self, slot: usize, req: ReqId, reply: Reply) -> Option<Held> {
        let host = self.keepers.get_mut(slot)?;
        let node = host.node;
        match (host.asked.remove(&req)?, reply) {
            (
                Asked::Put {
                    job,
                    attempt,
                    source,
                },
                Reply::Held {
                    id,
                    mailbox,
                    expiry,
                },
            ) => {
                let about = Receipted {
                    deposit: id,
                    mailbox,
                    expiry,
                };
                return Some((about, (job, attempt, source)));
            }
            (
                Asked::Put {
                    job,
                    attempt,
                    source,
                },
                Reply::Refused(refusal),
            ) => {
                self.figures.refusals += 1;
                let outcome = PutOutcome::Refused(node, code_of(refusal));
                self.answer_put(slot, source, job, attempt, outcome);
            }
            (
                Asked::Fetch(ask),
                Reply::Page {
                    mailbox,
                    items,
                    more,
                },
            ) => {
                self.give_page(slot, ask, mailbox, &items, more);
            }
            (
                Asked::Order {
                    from: Some((reader, number)),
                },
                _,
            ) => {
                let after = self.latency();
                self.later(
                    after,
                    Event::Heard {
                        reader,
                        number,
                        node,
                    },
                );
            }
            _ => {}
        }
        None
    }

    fn give_receipts(&mut self, slot: usize, held: Vec<Held>) {
        let unix_s = self.clock.unix_s();
        let Some(host) = self.keepers.get(slot).filter(|_| !held.is_empty()) else {
            return;
        };
        let (about, whose): (Vec<_>, Vec<_>) = held.into_iter().unzip();
        let receipts = ReceiptBatch::sign(&self.network, &host.key, unix_s, &about);
        for (receipt, (job, attempt, source)) in receipts.into_iter().zip(whose) {
            self.figures.receipts += 1;
            self.answer_put(
                slot,
                source,
                job,
                attempt,
                PutOutcome::Held(receipt.to_bytes()),
            );
        }
    }

    pub(super) fn answer_put(
        &mut self,
        slot: usize,
        source: usize,
        job: u64,
        attempt: u64,
        outcome: PutOutcome,
    ) {
        if self.arrives(slot, source) {
            let after = self.latency();
            self.later(
                after,
                Event::PutDone {
                    job,
                    attempt,
                    outcome,
                },
            );
        }
    }

    fn give_page(
        &mut self,
        slot: usize,
        ask: FetchAsk,
        mailbox: MailboxId,
        items: &[(u64, Bucket)],
        more: bool,
    ) {
        let Some(host) = self.keepers.get_mut(slot) else {
            return;
        };
        let last = items.last().map_or(ask.after, |(seq, _)| *seq);
        let read: Vec<(DepositId, Bytes)> = items
            .iter()
            .filter_map(|(seq, bucket)| host.disk.named(*bucket, mailbox, *seq))
            .collect();
        if host.conduct.is_none() {
            for (id, _) in &read {
                self.ledger.handed_out(slot, host.disk_life, mailbox, *id);
            }
        }
        let mut records: Vec<Bytes> = read.into_iter().map(|(_, record)| record).collect();
        if host.conduct == Some(Conduct::Replay) {
            let hoard = host
                .hoard
                .get(&mailbox)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let again = hoard.iter().rev().take(REPLAYED_MAX);
            self.figures.replayed += again.len() as u64;
            records.extend(again.cloned());
        }
        if !more && !ask.watch {
            // The reader closes what he does not watch.
            host.conns.remove(&ask.conn);
            if let Some(machine) = host.machine.as_mut() {
                machine.handle_closed(ask.conn);
            }
        }
        if self.arrives(slot, ask.person.slot) {
            let after = self.latency();
            let FetchAsk {
                reader, attempt, ..
            } = ask;
            self.later(
                after,
                Event::PageAt(PageGiven {
                    reader,
                    attempt,
                    records,
                    last,
                    more,
                }),
            );
        }
    }

    fn push(&mut self, slot: usize, conn: ConnId, record: &Bytes) {
        let Some(host) = self.keepers.get(slot) else {
            return;
        };
        let Some(Conn {
            reader,
            person,
            mailbox,
        }) = host.conns.get(&conn)
        else {
            return;
        };
        let (reader, person, mailbox) = (*reader, *person, *mailbox);
        if host.conduct.is_none()
            && let Ok(deposit) = DepositRef::parse(record)
        {
            let id = deposit.locate(&self.network).id;
            self.ledger.handed_out(slot, host.disk_life, mailbox, id);
        }
        if self.same_side(slot, person) {
            let after = self.latency();
            self.later(
                after,
                Event::PushAt {
                    reader,
                    record: record.clone(),
                },
            );
        }
    }
}

/// The code on the wire that a refusal has.
fn code_of(refusal: Refusal) -> ErrorCode {
    match refusal {
        Refusal::Expiry => ErrorCode::EXPIRY,
        Refusal::Quota => ErrorCode::QUOTA,
        Refusal::Revoked => ErrorCode::REVOKED,
        Refusal::Full => ErrorCode::FULL,
        Refusal::Stamp { .. } => ErrorCode::STAMP_NEEDED,
        Refusal::Rate { .. } => ErrorCode::RATE,
        Refusal::Handle => ErrorCode::UNKNOWN,
        Refusal::Deleted => ErrorCode::DELETED,
    }
}
