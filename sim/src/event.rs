//! What can happen, and carrying it out.
//!
//! Everything that takes time is one of these: a request on its way, a time that runs out, a program that starts. Whatever is meant for
//! a machine names the life it is meant for.

use std::rc::Rc;

use bytes::Bytes;
use hermes_earth::proto::ConnId;
use hermes_underworld::{
    effect::{OwnerRequest, PresenceWish},
    proto::{IncomingKnockId, KnockOp, KnockResult, LinkId, LinkToken},
};
use hermes_wire::ids::{NodeKey, PresenceKey};

use crate::{
    depositing::PutOutcome,
    handle::{KeeperId, PersonId},
    links::Dialled,
    reading::{FetchAsk, PageGiven},
    world::Sim,
};

/// What an owner orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Delete,
    Revoke,
}

/// Something that will happen.
pub(crate) enum Event {
    /// A person's machine has a timer due.
    Wake(PersonId),
    /// A cycle that was left open ends.
    Drain(PersonId),
    /// A person's program starts or stops by itself; the number tells whether that is still meant.
    PersonTurn(usize, u64),
    /// A killed person's program starts again.
    Restart(usize),
    /// A person may write.
    Write(usize),
    /// A keeper's program starts or stops by itself.
    KeeperTurn(usize, u64),
    /// A keeper's commit is on its disk, or failed.
    Commit(KeeperId),
    /// A keeper comes onto the list, or leaves it.
    Listed(KeeperId),
    Delisted(usize, NodeKey),
    /// All keepers look for what has expired.
    Sweep,
    /// A fault begins or ends.
    Fault(usize, bool),
    /// A deposit reaches a keeper.
    PutAt {
        keeper: KeeperId,
        job: u64,
        attempt: u64,
        source: usize,
        record: Bytes,
    },
    /// Its answer reaches the depositor, or does not in time.
    PutDone {
        job: u64,
        attempt: u64,
        outcome: PutOutcome,
    },
    /// A deposit has nowhere to go.
    PutsOver(u64),
    /// A reader's request reaches a keeper.
    FetchAt(KeeperId, FetchAsk),
    /// A page reaches the reader.
    PageAt(PageGiven),
    /// No answer came.
    ReadFailed {
        reader: u64,
        attempt: u64,
    },
    /// A pass over the keepers is due; the number tells whether it still is.
    PassDue {
        reader: u64,
        number: u64,
    },
    /// A pass that asks nobody is over.
    PassOver(u64),
    /// A deposit is pushed.
    PushAt {
        reader: u64,
        record: Bytes,
    },
    /// A reader learns that a watch is over.
    WatchLost {
        reader: u64,
        node: NodeKey,
        conn: ConnId,
    },
    /// A keeper learns that a connection is over.
    ConnGone(KeeperId, ConnId),
    /// An owner's order reaches a keeper.
    OrderAt {
        keeper: KeeperId,
        order: Order,
        request: Rc<OwnerRequest>,
        from: Option<(u64, usize)>,
        source: usize,
    },
    /// The reader learns that a keeper has heard it.
    Heard {
        reader: u64,
        number: usize,
        node: NodeKey,
    },
    /// Presence is registered; or whoever is gone is forgotten.
    Register(PersonId, Vec<PresenceWish>),
    Unregister(PersonId),
    /// A knock reaches the presence node of a friend.
    Knock {
        from: PersonId,
        op: KnockOp,
        presence: PresenceKey,
        knock: Vec<u8>,
    },
    /// What became of it reaches the knocker.
    KnockResult(PersonId, KnockOp, KnockResult),
    /// An answer to a knock was not given in time.
    KnockTimeout(IncomingKnockId),
    /// A link stands or does not.
    Dialled(Dialled),
    /// A packet reaches the other end of a link.
    Packet {
        to: PersonId,
        link: LinkId,
        packet: Vec<u8>,
    },
    /// An end of a link learns that it is gone.
    Down {
        to: PersonId,
        link: LinkId,
    },
    /// A friend did not come.
    ExpectOver(PersonId, LinkToken),
}

impl Event {
    /// What stands for it in the trace.
    pub(crate) fn trace(&self) -> (&'static str, [u64; 3]) {
        let person = |who: &PersonId| [who.slot as u64, who.life.into(), 0];
        let keeper = |at: &KeeperId, third: u64| [at.slot as u64, at.life.into(), third];
        match self {
            Self::Wake(who) => ("wake", person(who)),
            Self::Drain(who) => ("drain", person(who)),
            Self::PersonTurn(slot, turn) => ("person turn", [*slot as u64, *turn, 0]),
            Self::Restart(slot) => ("restart", [*slot as u64, 0, 0]),
            Self::Write(slot) => ("write", [*slot as u64, 0, 0]),
            Self::KeeperTurn(slot, turn) => ("keeper turn", [*slot as u64, *turn, 0]),
            Self::Commit(at) => ("commit", keeper(at, 0)),
            Self::Listed(at) => ("listed", keeper(at, 0)),
            Self::Delisted(slot, _) => ("delisted", [*slot as u64, 0, 0]),
            Self::Sweep => ("sweep", [0; 3]),
            Self::Fault(number, begins) => ("fault", [*number as u64, u64::from(*begins), 0]),
            Self::PutAt {
                keeper: at, job, ..
            } => ("put", keeper(at, *job)),
            Self::PutDone {
                job,
                attempt,
                outcome,
            } => ("put done", [*job, *attempt, outcome.code()]),
            Self::PutsOver(job) => ("puts over", [*job, 0, 0]),
            Self::FetchAt(at, ask) => ("fetch", keeper(at, ask.attempt)),
            Self::PageAt(page) => (
                "page",
                [page.reader, page.attempt, page.records.len() as u64],
            ),
            Self::ReadFailed { reader, attempt } => ("read failed", [*reader, *attempt, 0]),
            Self::PassDue { reader, number } => ("pass due", [*reader, *number, 0]),
            Self::PassOver(reader) => ("pass over", [*reader, 0, 0]),
            Self::PushAt { reader, .. } => ("push", [*reader, 0, 0]),
            Self::WatchLost { reader, conn, .. } => ("watch lost", [*reader, conn.0, 0]),
            Self::ConnGone(at, conn) => ("conn gone", keeper(at, conn.0)),
            Self::OrderAt {
                keeper: at, order, ..
            } => ("order", keeper(at, u64::from(*order == Order::Delete))),
            Self::Heard { reader, number, .. } => ("heard", [*reader, *number as u64, 0]),
            Self::Register(who, wishes) => (
                "register",
                [who.slot as u64, who.life.into(), wishes.len() as u64],
            ),
            Self::Unregister(who) => ("unregister", person(who)),
            Self::Knock { from, op, .. } => ("knock", [from.slot as u64, from.life.into(), op.0]),
            Self::KnockResult(who, op, _) => {
                ("knock result", [who.slot as u64, who.life.into(), op.0])
            }
            Self::KnockTimeout(id) => ("knock timeout", [id.0, 0, 0]),
            Self::Dialled(dialled) => (
                "dialled",
                [
                    dialled.from.slot as u64,
                    dialled.from.life.into(),
                    dialled.link.0,
                ],
            ),
            Self::Packet { to, link, .. } => ("packet", [to.slot as u64, to.life.into(), link.0]),
            Self::Down { to, link } => ("down", [to.slot as u64, to.life.into(), link.0]),
            Self::ExpectOver(who, link) => {
                ("expect over", [who.slot as u64, who.life.into(), link.0])
            }
        }
    }
}

impl Sim {
    /// Carries out what happens now.
    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(who) => self.wake(who),
            Event::Drain(who) => self.drain(who),
            Event::PersonTurn(slot, turn) => self.person_turn(slot, turn),
            Event::Restart(slot) => self.restart(slot),
            Event::Write(slot) => self.write(slot),
            Event::KeeperTurn(slot, turn) => self.keeper_turn(slot, turn),
            Event::Commit(at) => self.committed(at),
            Event::Listed(at) => self.listed(at),
            Event::Delisted(slot, node) => self.delisted(slot, node),
            Event::Sweep => self.sweep(),
            Event::Fault(number, begins) => self.fault(number, begins),
            Event::PutAt {
                keeper,
                job,
                attempt,
                source,
                record,
            } => self.put_at(keeper, job, attempt, source, record),
            Event::PutDone {
                job,
                attempt,
                outcome,
            } => self.put_done(job, attempt, outcome),
            Event::PutsOver(job) => self.puts_over(job),
            Event::FetchAt(at, ask) => self.fetch_at(at, ask),
            Event::PageAt(page) => self.page_at(page),
            Event::ReadFailed { reader, attempt } => self.read_failed(reader, attempt),
            Event::PassDue { reader, number } => self.pass_due(reader, number),
            Event::PassOver(reader) => self.pass_over(reader),
            Event::PushAt { reader, record } => self.push_at(reader, &record),
            Event::WatchLost { reader, node, conn } => self.watch_lost(reader, node, conn),
            Event::ConnGone(at, conn) => self.conn_gone(at, conn),
            Event::OrderAt {
                keeper,
                order,
                request,
                from,
                source,
            } => self.order_at(keeper, order, &request, from, source),
            Event::Heard {
                reader,
                number,
                node,
            } => self.heard(reader, number, node),
            Event::Register(who, wishes) => self.register(who, &wishes),
            Event::Unregister(who) => self.unregister(who),
            Event::Knock {
                from,
                op,
                presence,
                knock,
            } => self.knock(from, op, presence, &knock),
            Event::KnockResult(who, op, result) => {
                self.feed(who, |core, now| core.handle_knock_result(op, &result, now));
            }
            Event::KnockTimeout(id) => self.knock_timeout(id),
            Event::Dialled(dialled) => self.dialled(&dialled),
            Event::Packet { to, link, packet } => self.packet(to, link, &packet),
            Event::Down { to, link } => self.down(to, link),
            Event::ExpectOver(who, link) => self.expect_over(who, link),
        }
    }
}
