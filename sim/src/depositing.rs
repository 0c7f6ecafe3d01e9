//! Bringing deposits to keepers, as the network side of hermesd does it.
//!
//! As many keepers as the network wants copies are asked at once; when one refuses or fails, the next of the position takes its turn,
//! until there are enough or none is left. One that cannot be reached fails after the time for dialling, one that does not answer after
//! the time for answers; a receipt that comes later than that is not heard any more.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use hermes_underworld::proto::DepositOp;
use hermes_wire::{
    channel::ErrorCode,
    ids::{NodeKey, Position},
};

use crate::{directory::Target, event::Event, handle::PersonId, world::Sim};

/// How long a keeper may take to be reached: hermesd's time for dialling.
pub(crate) const DIAL_MS: u64 = 4_000;

/// How long an answer may take: the one of earth's client.
pub(crate) const ANSWER_MS: u64 = 15_000;

/// One deposit on its way.
pub(crate) struct Job {
    who: PersonId,
    op: DepositOp,
    record: Bytes,
    queue: VecDeque<Target>,
    running: BTreeMap<u64, NodeKey>,
    held: usize,
}

/// What became of one keeper.
pub(crate) enum PutOutcome {
    Held(Vec<u8>),
    /// It says no, and would say so again.
    Refused(NodeKey, ErrorCode),
    Failed,
}

impl PutOutcome {
    pub(crate) const fn code(&self) -> u64 {
        match self {
            Self::Held(_) => 0,
            Self::Refused(_, code) => 1 + code.0 as u64,
            Self::Failed => 1_000,
        }
    }
}

impl Sim {
    /// Begins to bring a deposit to the keepers of a position; an earlier order of the same operation is over.
    pub(crate) fn deposit(
        &mut self,
        who: PersonId,
        op: DepositOp,
        position: &Position,
        record: Vec<u8>,
    ) {
        self.cancel_deposit(who, op);
        self.figures.deposits += 1;
        let id = self.new_id();
        let job = Job {
            who,
            op,
            record: record.into(),
            queue: self.holders(position).into(),
            running: BTreeMap::new(),
            held: 0,
        };
        self.jobs.insert(id, job);
        if let Some(person) = self.people.get_mut(who.slot) {
            person.jobs.insert(op, id);
        }
        self.put_more(id);
    }

    pub(crate) fn cancel_deposit(&mut self, who: PersonId, op: DepositOp) {
        if let Some(id) = self
            .people
            .get_mut(who.slot)
            .and_then(|person| person.jobs.remove(&op))
        {
            self.jobs.remove(&id);
        }
    }

    /// Asks as many keepers as are missing.
    fn put_more(&mut self, id: u64) {
        let copies = usize::from(self.network.params().copies);
        loop {
            let attempt = self.new_id();
            let Some(job) = self.jobs.get_mut(&id) else {
                return;
            };
            if job.held + job.running.len() >= copies {
                break;
            }
            let Some((slot, node)) = job.queue.pop_front() else {
                break;
            };
            job.running.insert(attempt, node);
            let (source, record) = (job.who.slot, job.record.clone());
            let failed = |after: u64| {
                (
                    after,
                    Event::PutDone {
                        job: id,
                        attempt,
                        outcome: PutOutcome::Failed,
                    },
                )
            };
            let (after, event) = match self.keeper_at(slot, node) {
                Some(keeper) if self.arrives(slot, source) => {
                    let event = Event::PutAt {
                        keeper,
                        job: id,
                        attempt,
                        source,
                        record,
                    };
                    let on_its_way = self.latency();
                    self.later(on_its_way, event);
                    failed(ANSWER_MS)
                }
                _ => failed(DIAL_MS),
            };
            self.later(after, event);
        }
        if self.jobs.get(&id).is_some_and(|job| job.running.is_empty()) {
            // Never within the call that asked for it.
            self.later(1, Event::PutsOver(id));
        }
    }

    /// An answer came, or the time for it is over.
    pub(crate) fn put_done(&mut self, id: u64, attempt: u64, outcome: PutOutcome) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.running.remove(&attempt).is_none() {
            return;
        }
        let (who, op) = (job.who, job.op);
        job.held += usize::from(matches!(outcome, PutOutcome::Held(_)));
        self.put_more(id);
        match outcome {
            PutOutcome::Held(receipt) => {
                self.feed(who, |core, now| core.handle_receipt(op, &receipt, now))
            }
            PutOutcome::Refused(keeper, code) => {
                self.feed(who, |core, now| {
                    core.handle_deposit_refused(op, keeper, code, now)
                });
            }
            PutOutcome::Failed => {}
        }
    }

    /// Nobody is asked any more.
    pub(crate) fn puts_over(&mut self, id: u64) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.running.is_empty()) else {
            return;
        };
        let (who, op) = (job.who, job.op);
        self.jobs.remove(&id);
        if let Some(person) = self.people.get_mut(who.slot) {
            person.jobs.remove(&op);
        }
        self.feed(who, |core, now| core.handle_deposit_ended(op, now));
    }
}
