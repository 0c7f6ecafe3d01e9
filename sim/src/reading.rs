//! Reading mailboxes, as the network side of hermesd does it.
//!
//! A deposit counts as kept when `acks` of `copies` keepers have signed for it. So a reader asks all candidates of both positions once,
//! watches `copies − acks + 1` of those nearest to the first, and calls a pass complete in which fewer than `acks` of these stayed
//! silent. An incomplete pass is repeated after half a second and then ever later, a complete one after ten minutes; the end of a watch
//! brings the next pass at once. How far each keeper was read is remembered for as long as the program lives.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use bytes::Bytes;
use hermes_earth::proto::ConnId;
use hermes_underworld::effect::{MailboxWish, OwnerRequest, Reading};
use hermes_wire::ids::{MailboxId, NodeKey, OwnerKey};

use crate::{
    depositing::{ANSWER_MS, DIAL_MS},
    directory::Target,
    event::{Event, Order},
    handle::{KeeperId, PersonId},
    world::Sim,
};

/// How often all keepers are asked although nothing is pushed.
const AGAIN_MS: u64 = 600_000;

/// The pause before a pass is repeated; it doubles up to the maximum.
const RETRY_MS: u64 = 500;
const RETRY_MAX_MS: u64 = 30_000;

/// A reader of one mailbox.
pub(crate) struct Reader {
    who: PersonId,
    wish: MailboxWish,
    after: BTreeMap<NodeKey, u64>,
    pub(crate) watches: BTreeMap<NodeKey, (ConnId, KeeperId)>,
    pass: Option<Pass>,
    /// The wish changed while a pass was under way.
    changed: bool,
    pause_ms: u64,
    /// The number of the pass that is due next.
    due: u64,
    revokes: Vec<Rc<OwnerRequest>>,
    revoked: BTreeSet<(usize, NodeKey)>,
}

/// One pass over the keepers.
struct Pass {
    reading: Reading,
    near: Vec<Target>,
    all: Vec<Target>,
    running: BTreeMap<u64, Asking>,
    answered: BTreeSet<NodeKey>,
    tried: BTreeSet<NodeKey>,
}

/// A keeper that is being read.
#[derive(Clone, Copy)]
struct Asking {
    target: Target,
    keeper: Option<KeeperId>,
    conn: ConnId,
    watch: bool,
}

/// What a reader asks of a keeper.
pub(crate) struct FetchAsk {
    pub(crate) reader: u64,
    pub(crate) attempt: u64,
    pub(crate) person: PersonId,
    pub(crate) conn: ConnId,
    pub(crate) mailbox: MailboxId,
    pub(crate) owner: OwnerKey,
    pub(crate) epoch: u32,
    pub(crate) after: u64,
    pub(crate) watch: bool,
}

/// What the keeper gives.
pub(crate) struct PageGiven {
    pub(crate) reader: u64,
    pub(crate) attempt: u64,
    pub(crate) records: Vec<Bytes>,
    pub(crate) last: u64,
    pub(crate) more: bool,
}

impl Sim {
    /// Reads exactly these mailboxes from now on.
    pub(crate) fn want_mailboxes(&mut self, who: PersonId, wishes: Vec<MailboxWish>) {
        let Some(person) = self.people.get_mut(who.slot) else {
            return;
        };
        let mut before = std::mem::take(&mut person.readers);
        let mut now = BTreeMap::new();
        for wish in wishes {
            let id = match before.remove(&wish.mailbox) {
                Some(id) => {
                    self.change_reading(id, wish.reading);
                    now.insert(wish.mailbox, id);
                    continue;
                }
                None => self.new_id(),
            };
            now.insert(wish.mailbox, id);
            let reader = Reader {
                who,
                wish,
                after: BTreeMap::new(),
                watches: BTreeMap::new(),
                pass: None,
                changed: false,
                pause_ms: RETRY_MS,
                due: 0,
                revokes: Vec::new(),
                revoked: BTreeSet::new(),
            };
            self.readers.insert(id, reader);
            self.plan_pass(id, 1);
        }
        if let Some(person) = self.people.get_mut(who.slot) {
            person.readers = now;
        }
        for id in before.into_values() {
            let after = self.latency();
            self.end_reader(id, after);
        }
    }

    /// Ends a reader; keepers learn of it after this time.
    pub(crate) fn end_reader(&mut self, id: u64, notice_ms: u64) {
        let Some(reader) = self.readers.remove(&id) else {
            return;
        };
        for (conn, keeper) in reader.watches.into_values() {
            self.later(notice_ms, Event::ConnGone(keeper, conn));
        }
        for asking in reader
            .pass
            .into_iter()
            .flat_map(|pass| pass.running.into_values())
        {
            if let Some(keeper) = asking.keeper {
                self.later(
                    notice_ms.max(ANSWER_MS),
                    Event::ConnGone(keeper, asking.conn),
                );
            }
        }
    }

    fn change_reading(&mut self, id: u64, reading: Reading) {
        let Some(reader) = self.readers.get_mut(&id) else {
            return;
        };
        if reader.wish.reading == reading {
            return;
        }
        reader.wish.reading = reading;
        if reader.pass.is_some() {
            reader.changed = true;
        } else {
            self.plan_pass(id, 1);
        }
    }

    fn plan_pass(&mut self, id: u64, after_ms: u64) {
        let Some(reader) = self.readers.get_mut(&id) else {
            return;
        };
        reader.due += 1;
        let number = reader.due;
        self.later(after_ms, Event::PassDue { reader: id, number });
    }

    pub(crate) fn pass_due(&mut self, id: u64, number: u64) {
        let Some(reader) = self
            .readers
            .get(&id)
            .filter(|reader| reader.due == number && reader.pass.is_none())
        else {
            return;
        };
        let (near, all) = self.readers_of(&reader.wish.positions);
        let copies = usize::from(self.network.params().copies);
        let wanted = self.wanted(reader.wish.reading);
        let near: Vec<Target> = near.into_iter().take(copies).collect();
        let missing = wanted.saturating_sub(reader.watches.len());
        let unwatched = near
            .iter()
            .filter(|(_, node)| !reader.watches.contains_key(node));
        let tried: BTreeSet<NodeKey> = unwatched.take(missing).map(|(_, node)| *node).collect();
        let pass = Pass {
            reading: reader.wish.reading,
            near,
            all: all.clone(),
            running: BTreeMap::new(),
            answered: BTreeSet::new(),
            tried: tried.clone(),
        };
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.pass = Some(pass);
            reader.changed = false;
        }
        for target in &all {
            self.read(id, *target, tried.contains(&target.1));
        }
        if all.is_empty() {
            self.later(1, Event::PassOver(id));
        }
    }

    fn wanted(&self, reading: Reading) -> usize {
        let params = self.network.params();
        match reading {
            Reading::Watch => usize::from(params.copies.saturating_sub(params.acks)) + 1,
            Reading::Once => 0,
        }
    }

    /// Reads one keeper from where it was left, and begins to watch it if that is wanted.
    fn read(&mut self, id: u64, target: Target, watch: bool) {
        let conn = ConnId(self.new_id());
        let keeper = self.keeper_at(target.0, target.1);
        self.fetch(
            id,
            Asking {
                target,
                keeper,
                conn,
                watch,
            },
        );
    }

    fn fetch(&mut self, id: u64, mut asking: Asking) {
        let attempt = self.new_id();
        let Some(person) = self.readers.get(&id).map(|reader| reader.who) else {
            return;
        };
        let reaches = self.arrives(asking.target.0, person.slot);
        asking.keeper = asking.keeper.filter(|_| reaches);
        let Some(reader) = self.readers.get_mut(&id) else {
            return;
        };
        let Some(pass) = reader.pass.as_mut() else {
            return;
        };
        pass.running.insert(attempt, asking);
        let ask = FetchAsk {
            reader: id,
            attempt,
            person,
            conn: asking.conn,
            mailbox: reader.wish.mailbox,
            owner: reader.wish.descriptor.owner,
            epoch: reader.wish.epoch.0,
            after: reader.after.get(&asking.target.1).copied().unwrap_or(0),
            watch: asking.watch,
        };
        let fails_ms = match asking.keeper {
            Some(keeper) => {
                let on_its_way = self.latency();
                self.later(on_its_way, Event::FetchAt(keeper, ask));
                ANSWER_MS
            }
            None => DIAL_MS,
        };
        self.later(
            fails_ms,
            Event::ReadFailed {
                reader: id,
                attempt,
            },
        );
    }

    pub(crate) fn page_at(&mut self, page: PageGiven) {
        let Some(reader) = self.readers.get_mut(&page.reader) else {
            return;
        };
        let Some(pass) = reader.pass.as_mut() else {
            return;
        };
        let Some(asking) = pass.running.remove(&page.attempt) else {
            return;
        };
        let node = asking.target.1;
        let after = reader.after.entry(node).or_default();
        *after = page.last.max(*after);
        let more = page.more && !page.records.is_empty();
        if !more {
            pass.answered.insert(node);
            if let (true, Some(keeper)) = (asking.watch, asking.keeper) {
                reader.watches.insert(node, (asking.conn, keeper));
            }
        }
        let (who, mailbox) = (reader.who, reader.wish.mailbox);
        if more {
            self.fetch(page.reader, asking);
        } else {
            self.go_on(page.reader);
        }
        if !page.records.is_empty() {
            let records: Vec<Vec<u8>> = page.records.iter().map(|record| record.to_vec()).collect();
            self.feed(who, |core, now| {
                core.handle_deposits(mailbox, &records, now)
            });
        }
    }

    pub(crate) fn read_failed(&mut self, id: u64, attempt: u64) {
        let pass = self
            .readers
            .get_mut(&id)
            .and_then(|reader| reader.pass.as_mut());
        let Some(asking) = pass.and_then(|pass| pass.running.remove(&attempt)) else {
            return;
        };
        if let Some(keeper) = asking.keeper {
            // It may have opened what nobody listens to.
            self.later(DIAL_MS, Event::ConnGone(keeper, asking.conn));
        }
        self.go_on(id);
    }

    /// Goes on with a pass in which something was answered or failed.
    fn go_on(&mut self, id: u64) {
        let Some(reader) = self.readers.get(&id) else {
            return;
        };
        let Some(pass) = reader.pass.as_ref().filter(|pass| pass.running.is_empty()) else {
            return;
        };
        let mut next = None;
        if reader.watches.len() < self.wanted(pass.reading) {
            // One that was asked to watch did not: another one takes its place.
            next = pass.near.iter().copied().find(|(_, node)| {
                pass.answered.contains(node)
                    && !pass.tried.contains(node)
                    && !reader.watches.contains_key(node)
            });
        }
        match next {
            Some(target) => {
                if let Some(pass) = self
                    .readers
                    .get_mut(&id)
                    .and_then(|reader| reader.pass.as_mut())
                {
                    pass.tried.insert(target.1);
                }
                self.read(id, target, true);
            }
            // Never within the call that brought the last answer, whose records come first.
            None => self.later(1, Event::PassOver(id)),
        }
    }

    pub(crate) fn pass_over(&mut self, id: u64) {
        let acks = usize::from(self.network.params().acks);
        let Some(reader) = self.readers.get_mut(&id) else {
            return;
        };
        if reader
            .pass
            .as_ref()
            .is_none_or(|pass| !pass.running.is_empty())
        {
            return;
        }
        let Some(pass) = reader.pass.take() else {
            return;
        };
        let silent = pass
            .near
            .iter()
            .filter(|(_, node)| !pass.answered.contains(node))
            .count();
        let complete = !pass.answered.is_empty() && silent < acks;
        let (who, mailbox, changed) = (reader.who, reader.wish.mailbox, reader.changed);
        let rest_ms = if changed {
            1
        } else if complete {
            reader.pause_ms = RETRY_MS;
            AGAIN_MS
        } else {
            let rest = reader.pause_ms;
            reader.pause_ms = (rest * 2).min(RETRY_MAX_MS);
            rest
        };
        self.figures.passes += 1;
        self.repeat_revokes(id, &pass.all);
        self.plan_pass(id, rest_ms);
        self.feed(who, |core, now| {
            core.handle_fetched(mailbox, pass.reading, complete, now)
        });
    }

    pub(crate) fn push_at(&mut self, id: u64, record: &Bytes) {
        if let Some(reader) = self.readers.get(&id) {
            let (who, mailbox) = (reader.who, reader.wish.mailbox);
            self.feed(who, |core, now| {
                core.handle_deposits(mailbox, &[record.to_vec()], now)
            });
        }
    }

    pub(crate) fn watch_lost(&mut self, id: u64, node: NodeKey, conn: ConnId) {
        let Some(reader) = self.readers.get_mut(&id) else {
            return;
        };
        if reader
            .watches
            .get(&node)
            .is_some_and(|(watched, _)| *watched == conn)
        {
            reader.watches.remove(&node);
            if reader.pass.is_none() {
                self.plan_pass(id, RETRY_MS);
            }
        }
    }

    /// Sends an owner's order to all keepers of a mailbox; revocations are repeated to those that did not hear.
    pub(crate) fn order(&mut self, who: PersonId, order: Order, request: OwnerRequest) {
        let (_, all) = self.readers_of(&request.positions);
        let request = Rc::new(request);
        let mut from = None;
        if order == Order::Revoke
            && let Some(id) = self
                .people
                .get(who.slot)
                .and_then(|person| person.readers.get(&request.mailbox))
            && let Some(reader) = self.readers.get_mut(id)
        {
            from = Some((*id, reader.revokes.len()));
            reader.revokes.push(request.clone());
        }
        for target in all {
            self.send_order(who, target, order, &request, from);
        }
    }

    fn send_order(
        &mut self,
        who: PersonId,
        (slot, node): Target,
        order: Order,
        request: &Rc<OwnerRequest>,
        from: Option<(u64, usize)>,
    ) {
        if let Some(keeper) = self.keeper_at(slot, node)
            && self.arrives(slot, who.slot)
        {
            let after = self.latency();
            let event = Event::OrderAt {
                keeper,
                order,
                request: request.clone(),
                from,
                source: who.slot,
            };
            self.later(after, event);
        }
    }

    fn repeat_revokes(&mut self, id: u64, all: &[Target]) {
        let Some(reader) = self.readers.get(&id) else {
            return;
        };
        let who = reader.who;
        for (number, request) in reader.revokes.clone().iter().enumerate() {
            for target in all {
                let heard = |reader: &Reader| reader.revoked.contains(&(number, target.1));
                if !self.readers.get(&id).is_some_and(heard) {
                    self.send_order(who, *target, Order::Revoke, request, Some((id, number)));
                }
            }
        }
    }

    pub(crate) fn heard(&mut self, id: u64, number: usize, node: NodeKey) {
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.revoked.insert((number, node));
        }
    }
}
