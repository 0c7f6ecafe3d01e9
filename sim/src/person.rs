//! A person's program: the real core of underworld, its committed rows, and what it tells.
//!
//! One cycle is what hermesd does: all outputs are drained, the writes are committed, the events are published, and only then are the
//! effects carried out. A kill meets a cycle before its commit, before its effects or amid them, and what was not committed never
//! happened. Some cycles stay open for a moment, as under load, so that more inputs join them.

mod telling;

use std::collections::BTreeMap;

use hermes_underworld::{
    ContactId, InviteId, Now, Output, Table, Underworld, Write,
    proto::{DepositOp, OUTBOX_BYTES_MAX, OUTBOX_FRAMES_MAX},
    testing::Rows,
};
use hermes_wire::ids::MailboxId;

use crate::{
    directory::IDLE_MS,
    event::Event,
    handle::PersonId,
    links::Expected,
    scenario::Bug,
    world::{Leaving, Sim, address},
};

/// The longest that a cycle stays open.
const OPEN_MS: u64 = 200;

/// Until a killed program runs again.
const RESTART_MS: u64 = 2_000;

/// How many cycles in a hundred lose their commit where that bug is planted.
const FORGOTTEN_PERCENT: f64 = 1.0;

/// Bytes of an outbox row beside the frame's body: its name, number, times and kind.
const ROW_OVERHEAD: usize = 256;

/// Where in a cycle a program is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doom {
    BeforeCommit,
    BeforeEffects,
    AmidEffects,
}

/// One person's program.
pub(crate) struct Person {
    core: Option<Underworld>,
    rows: Rows,
    pub(crate) life: u32,
    pub(crate) skew_ms: i64,
    /// Whether friends can dial it.
    pub(crate) open: bool,
    /// Who is behind each contact.
    pub(crate) friends: BTreeMap<ContactId, usize>,
    pub(crate) invites: BTreeMap<InviteId, usize>,
    /// Contacts that are established.
    pub(crate) established: u64,
    pub(crate) readers: BTreeMap<MailboxId, u64>,
    pub(crate) jobs: BTreeMap<DepositOp, u64>,
    pub(crate) expected: Vec<Expected>,
    pub(crate) doom: Option<Doom>,
    is_cycle_open: bool,
    wake_ms: Option<u64>,
    /// Bytes of the rows of the outbox, all contacts together.
    outbox_bytes: usize,
    /// Texts written, for their words.
    pub(crate) written: u64,
}

impl Person {
    pub(crate) const fn new(open: bool) -> Self {
        Self {
            core: None,
            rows: Rows::new(),
            life: 0,
            skew_ms: 0,
            open,
            friends: BTreeMap::new(),
            invites: BTreeMap::new(),
            established: 0,
            readers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            expected: Vec::new(),
            doom: None,
            is_cycle_open: false,
            wake_ms: None,
            outbox_bytes: 0,
            written: 0,
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.core.is_some()
    }

    fn commit(&mut self, writes: Vec<Write>) {
        for Write { table, key, value } in writes {
            let new = value.as_ref().map_or(0, |value| value.len());
            let old = match value {
                Some(value) => self.rows.insert((table, key), value.to_vec()),
                None => self.rows.remove(&(table, key)),
            };
            if table == Table::Outbox {
                self.outbox_bytes += new;
                self.outbox_bytes = self
                    .outbox_bytes
                    .saturating_sub(old.map_or(0, |row| row.len()));
            }
        }
    }

    /// Whether the committed rows have a frame of a friend that waits for earlier ones.
    fn holds(&self, from: usize, conv_seq: u64) -> bool {
        let contact = self.friends.iter().find(|(_, friend)| **friend == from);
        contact.is_some_and(|(contact, _)| {
            let key = [contact.0.to_be_bytes().as_slice(), &conv_seq.to_be_bytes()].concat();
            self.rows.contains_key(&(Table::Held, key))
        })
    }

    /// Whether the outbox keeps within its caps.
    fn outbox_fits(&self) -> bool {
        let Some(core) = &self.core else { return true };
        let frames = core
            .contacts()
            .all(|contact| contact.waiting <= OUTBOX_FRAMES_MAX);
        let most = self.friends.len() * OUTBOX_BYTES_MAX + core.outbox_len() * ROW_OVERHEAD;
        frames && self.outbox_bytes <= most
    }
}

/// The person of a handle, unless the handle is of an earlier life.
pub(crate) fn of_this_life(people: &mut [Person], who: PersonId) -> Option<&mut Person> {
    let person = people.get_mut(who.slot);
    person.filter(|person| person.life == who.life)
}

impl Sim {
    pub(crate) fn is_alive(&self, who: PersonId) -> bool {
        self.people
            .get(who.slot)
            .is_some_and(|person| person.is_up() && person.life == who.life)
    }

    pub(crate) fn person_now(&self, slot: usize) -> Option<PersonId> {
        let person = self.people.get(slot).filter(|person| person.is_up())?;
        Some(PersonId {
            slot,
            life: person.life,
        })
    }

    /// Starts a person's program: with a new identity at the very first, and from its rows ever after.
    pub(crate) fn start_person(&mut self, slot: usize) {
        let seed = self.seeds.seed();
        let network = self.network.clone();
        let Some(person) = self.people.get_mut(slot).filter(|person| !person.is_up()) else {
            return;
        };
        let now = self.clock.now(person.skew_ms);
        let core = if person.rows.is_empty() {
            Underworld::create(network, &format!("person {slot}"), seed, now)
                .map_err(|error| error.to_string())
        } else {
            let rows = person
                .rows
                .iter()
                .map(|((table, key), value)| (*table, key.clone(), value.clone()));
            Underworld::load(network, rows, seed, now).map_err(|error| error.to_string())
        };
        match core {
            Ok(core) => person.core = Some(core),
            Err(error) => {
                return self
                    .ledger
                    .violate(format!("person {slot} does not start: {error}"));
            }
        }
        person.life += 1;
        person.doom = None;
        let who = PersonId {
            slot,
            life: person.life,
        };
        let addrs = [(address(slot), 4_000).into()];
        self.feed(who, |core, now| core.handle_candidates(&addrs, now));
    }

    /// Stops a person's program; an orderly stop ends the open cycle first.
    pub(crate) fn stop_person(&mut self, slot: usize, leaving: Leaving) {
        let Some(who) = self.person_now(slot) else {
            return;
        };
        let notice_ms = match leaving {
            Leaving::Goodbye => {
                self.drain(who);
                self.latency()
            }
            Leaving::Crash => IDLE_MS,
        };
        self.end_life(who, notice_ms);
    }

    fn end_life(&mut self, who: PersonId, notice_ms: u64) {
        let Some(person) = self.people.get_mut(who.slot) else {
            return;
        };
        person.core = None;
        person.is_cycle_open = false;
        person.wake_ms = None;
        person.expected.clear();
        let (readers, jobs) = (
            std::mem::take(&mut person.readers),
            std::mem::take(&mut person.jobs),
        );
        for id in jobs.into_values() {
            self.jobs.remove(&id);
        }
        for id in readers.into_values() {
            self.end_reader(id, notice_ms);
        }
        self.leave_links(who, notice_ms);
        self.later(notice_ms, Event::Unregister(who));
    }

    /// Feeds a person's core, if it still lives the life that the input is for, and carries out what follows.
    pub(crate) fn feed(&mut self, who: PersonId, input: impl FnOnce(&mut Underworld, Now)) {
        self.call(who, input);
    }

    /// The same, with what the core says.
    pub(crate) fn call<T>(
        &mut self,
        who: PersonId,
        input: impl FnOnce(&mut Underworld, Now) -> T,
    ) -> Option<T> {
        let person = of_this_life(&mut self.people, who)?;
        let now = self.clock.now(person.skew_ms);
        let said = input(person.core.as_mut()?, now);
        if person.is_cycle_open {
            return Some(said);
        }
        if self.chance.chance(self.scenario.batching_percent) {
            person.is_cycle_open = true;
            let open_ms = 1 + self.chance.below(OPEN_MS);
            self.later(open_ms, Event::Drain(who));
        } else {
            self.drain(who);
        }
        Some(said)
    }

    /// A timer of the core may be due.
    pub(crate) fn wake(&mut self, who: PersonId) {
        let now_ms = self.clock.ms();
        let Some(person) = of_this_life(&mut self.people, who) else {
            return;
        };
        // One that was planned for an earlier moment than the core asks for now is harmless, and dropped to save the work.
        if person.wake_ms.is_some_and(|at| at <= now_ms) {
            person.wake_ms = None;
            self.feed(who, |core, now| core.handle_timeout(now));
            self.plan_wake(who);
        }
    }

    fn plan_wake(&mut self, who: PersonId) {
        let now_ms = self.clock.ms();
        let Some(person) = of_this_life(&mut self.people, who) else {
            return;
        };
        let Some((at, _)) = person.core.as_ref().and_then(Underworld::poll_timeout) else {
            return;
        };
        // An open cycle would find the same timer due again and again within one moment.
        let at_ms = self.clock.ms_of(at).max(now_ms + 1);
        if person
            .wake_ms
            .is_none_or(|planned| at_ms < planned || planned <= now_ms)
        {
            person.wake_ms = Some(at_ms);
            self.later(at_ms - now_ms, Event::Wake(who));
        }
    }

    /// One cycle: commits, then publishes, then carries out.
    pub(crate) fn drain(&mut self, who: PersonId) {
        let Some(person) = of_this_life(&mut self.people, who) else {
            return;
        };
        person.is_cycle_open = false;
        let Some(core) = person.core.as_mut() else {
            return;
        };
        let (mut writes, mut events, mut effects) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(output) = core.poll_output() {
            match output {
                Output::Write(write) => writes.push(write),
                Output::Event(event) => events.push(event),
                Output::Effect(effect) => effects.push(effect),
            }
        }
        self.plan_wake(who);
        if writes.is_empty() && events.is_empty() && effects.is_empty() {
            return;
        }
        self.figures.cycles += 1;
        self.trace.add(
            self.clock.ms(),
            "cycle",
            [who.slot as u64, events.len() as u64, effects.len() as u64],
        );
        let Some(person) = self.people.get_mut(who.slot) else {
            return;
        };
        let doom = person.doom.take();
        let forgets = self.forgetful && self.chance.chance(FORGOTTEN_PERCENT);
        if doom == Some(Doom::BeforeCommit) {
            return self.killed(who);
        }
        if !forgets {
            person.commit(writes);
            let fits = person.outbox_fits();
            if !fits {
                self.ledger
                    .violate(format!("the outbox of {who} is beyond its caps"));
            }
            self.publish(who, events);
        }
        match doom {
            Some(Doom::BeforeEffects) => effects.clear(),
            Some(Doom::AmidEffects) => effects.truncate(effects.len() / 2),
            _ => {}
        }
        for effect in effects {
            self.do_effect(who, effect);
        }
        if doom.is_some() || forgets {
            self.killed(who);
        }
    }

    fn killed(&mut self, who: PersonId) {
        self.figures.kills += 1;
        self.end_life(who, IDLE_MS);
        self.later(RESTART_MS, Event::Restart(who.slot));
    }
}

/// The bug of the scenario, while faults run.
pub(crate) const fn is_forgetful(bug: Option<Bug>) -> bool {
    matches!(bug, Some(Bug::ForgetCommit))
}
