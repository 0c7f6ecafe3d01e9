//! Programs that come and go, and what goes wrong by the scenario's plan.
//!
//! Each keeper and each person has sessions of its own by its model (see [`churn`](crate::churn)). Faults begin and end at their times;
//! whom they meet is drawn from the seed when they begin, and remembered until they end. When the healing phase begins all of it ends at
//! once, and everybody who is away comes back.

use crate::{
    churn::{Sessions, hour_of_day},
    clock::HOUR_MS,
    directory::IDLE_MS,
    event::Event,
    person::Doom,
    scenario::{DiskFate, Fault, When},
    world::{Leaving, Sim},
};

/// Sessions of one program.
pub(crate) struct Turns {
    pub(crate) sessions: Sessions,
    /// The number of the turn that is due; others are not meant any more.
    pub(crate) due: u64,
}

/// Whom a fault that runs has met.
#[derive(Debug, Default, Clone)]
pub(crate) struct Met {
    pub(crate) people: Vec<usize>,
    pub(crate) keepers: Vec<usize>,
}

impl Sim {
    /// Plans the faults of the scenario from now on.
    pub(crate) fn plan_faults(&mut self) {
        for number in 0..self.scenario.fault.len() {
            let Some(When { at_h, for_h }) = self.scenario.fault.get(number).map(Fault::when)
            else {
                continue;
            };
            let ms = |hours: f64| (hours * HOUR_MS as f64) as u64;
            self.later(ms(at_h), Event::Fault(number, true));
            self.later(ms(at_h + for_h), Event::Fault(number, false));
        }
    }

    /// A fault begins or ends.
    pub(crate) fn fault(&mut self, number: usize, begins: bool) {
        let Some(fault) = self.scenario.fault.get(number).copied() else {
            return;
        };
        if !begins {
            if let Some(met) = self.met.remove(&number) {
                self.end_fault(&fault, &met);
            }
        } else if !self.is_healing {
            let met = self.begin_fault(&fault);
            self.met.insert(number, met);
        }
    }

    fn share_of(&mut self, all: usize, share: f64) -> Vec<usize> {
        let count = (all as f64 * share) as usize;
        self.acts.choose(all, count)
    }

    fn begin_fault(&mut self, fault: &Fault) -> Met {
        let (people, keepers) = (self.people.len(), self.keepers.len());
        let mut met = Met::default();
        match *fault {
            Fault::Crash { share, disk, .. } => {
                let up: Vec<usize> = (0..keepers)
                    .filter(|slot| self.is_keeper_up(*slot))
                    .collect();
                let chosen = self.share_of(up.len(), share);
                met.keepers = chosen
                    .into_iter()
                    .filter_map(|n| up.get(n).copied())
                    .collect();
                for slot in &met.keepers {
                    self.crash_keeper(*slot, disk);
                }
            }
            Fault::Partition { share, .. } => {
                met.people = self.share_of(people, share);
                met.keepers = self.share_of(keepers, share);
                self.beyond = met.clone();
                self.part();
            }
            Fault::Loss { percent, .. } => self.loss_percent = percent,
            Fault::Skew { share, by_s, .. } => {
                met.people = self.share_of(people, share);
                for (n, slot) in met.people.iter().enumerate() {
                    let by_ms = i64::from(by_s) * 1_000;
                    self.skew(*slot, if n % 2 == 0 { by_ms } else { -by_ms });
                }
            }
            Fault::Byzantine { share, conduct, .. } => {
                met.keepers = self.share_of(keepers, share);
                self.each_keeper(&met, |host| host.conduct = Some(conduct));
            }
            Fault::SlowDisk {
                share, commit_ms, ..
            } => {
                met.keepers = self.share_of(keepers, share);
                self.each_keeper(&met, |host| host.slow_ms = Some(commit_ms));
            }
            Fault::FailingDisk { share, percent, .. } => {
                met.keepers = self.share_of(keepers, share);
                self.each_keeper(&met, |host| host.failing_percent = percent);
            }
            Fault::Kill { share, .. } => {
                let up: Vec<usize> = (0..people)
                    .filter(|slot| self.person_now(*slot).is_some())
                    .collect();
                for n in self.share_of(up.len(), share) {
                    if let Some(slot) = up.get(n) {
                        self.doom(*slot);
                    }
                }
            }
        }
        met
    }

    fn end_fault(&mut self, fault: &Fault, met: &Met) {
        match fault {
            Fault::Crash { .. } => {
                for slot in &met.keepers {
                    if let Some(host) = self.keepers.get_mut(*slot) {
                        host.held_down = false;
                    }
                    self.begin_keeper(*slot);
                }
            }
            Fault::Partition { .. } => self.beyond = Met::default(),
            Fault::Loss { .. } => self.loss_percent = 0.0,
            Fault::Skew { .. } => {
                for slot in &met.people {
                    self.skew(*slot, 0);
                }
            }
            Fault::Byzantine { .. } => self.each_keeper(met, |host| host.conduct = None),
            Fault::SlowDisk { .. } => self.each_keeper(met, |host| host.slow_ms = None),
            Fault::FailingDisk { .. } => self.each_keeper(met, |host| host.failing_percent = 0.0),
            Fault::Kill { .. } => {}
        }
    }

    /// Ends all faults that run.
    pub(crate) fn end_faults(&mut self) {
        for (number, met) in std::mem::take(&mut self.met) {
            if let Some(fault) = self.scenario.fault.get(number).copied() {
                self.end_fault(&fault, &met);
            }
        }
    }

    fn each_keeper(&mut self, met: &Met, change: impl Fn(&mut crate::keeper::Host)) {
        for slot in &met.keepers {
            if let Some(host) = self.keepers.get_mut(*slot) {
                change(host);
            }
        }
    }

    fn is_keeper_up(&self, slot: usize) -> bool {
        self.keepers
            .get(slot)
            .is_some_and(crate::keeper::Host::is_up)
    }

    fn crash_keeper(&mut self, slot: usize, disk: DiskFate) {
        self.stop_keeper(slot, Leaving::Crash);
        if let Some(host) = self.keepers.get_mut(slot) {
            host.held_down = true;
            if disk == DiskFate::Lost {
                host.lose_disk(&mut self.seeds);
                self.figures.disks_lost += 1;
            }
        }
    }

    fn skew(&mut self, slot: usize, by_ms: i64) {
        if let Some(person) = self.people.get_mut(slot) {
            person.skew_ms = by_ms;
        }
    }

    /// Kills a program in its next cycle.
    fn doom(&mut self, slot: usize) {
        let doom = match self.acts.below(3) {
            0 => Doom::BeforeCommit,
            1 => Doom::BeforeEffects,
            _ => Doom::AmidEffects,
        };
        if let Some(person) = self.people.get_mut(slot).filter(|person| person.is_up()) {
            person.doom = Some(doom);
        }
    }

    /// What crossed the new border is over; both sides notice after a while.
    fn part(&mut self) {
        self.part_links();
        let mut lost = Vec::new();
        for (slot, host) in self.keepers.iter().enumerate() {
            for (conn, held) in &host.conns {
                if !self.same_side(slot, held.person) {
                    lost.push((slot, host.node, *conn, held.reader));
                }
            }
        }
        for (slot, node, conn, reader) in lost {
            self.later(IDLE_MS, Event::WatchLost { reader, node, conn });
            if let Some(at) = self.keeper_at(slot, node) {
                self.later(IDLE_MS, Event::ConnGone(at, conn));
            }
        }
    }

    /// Plans a keeper's next turn.
    pub(crate) fn later_keeper_turn(&mut self, slot: usize, after_ms: u64) {
        if let Some(turns) = self.keeper_turns.get_mut(slot) {
            turns.due += 1;
            let due = turns.due;
            self.later(after_ms, Event::KeeperTurn(slot, due));
        }
    }

    /// A keeper that is there leaves, and one that is away comes.
    pub(crate) fn keeper_turn(&mut self, slot: usize, turn: u64) {
        if self.is_healing
            || self
                .keeper_turns
                .get(slot)
                .is_none_or(|turns| turns.due != turn)
        {
            return;
        }
        let Some(host) = self.keepers.get(slot).filter(|host| !host.held_down) else {
            return;
        };
        if !host.is_up() {
            return self.begin_keeper(slot);
        }
        let leaving = self.leaving(self.scenario.keepers.goodbye_percent);
        self.stop_keeper(slot, leaving);
        let hour = hour_of_day(self.clock.unix_s());
        if let Some(turns) = self.keeper_turns.get_mut(slot) {
            let away = turns.sessions.off_ms(hour, &mut self.acts);
            self.later_keeper_turn(slot, away);
        }
    }

    /// A keeper's session begins; it ends as its model says.
    pub(crate) fn begin_keeper(&mut self, slot: usize) {
        self.start_keeper(slot);
        if let Some(turns) = self.keeper_turns.get_mut(slot)
            && let Some(stays) = turns.sessions.on_ms(&mut self.acts)
        {
            self.later_keeper_turn(slot, stays);
        }
    }

    /// Plans a person's next turn.
    fn later_person_turn(&mut self, slot: usize, after_ms: u64) {
        if let Some(turns) = self.person_turns.get_mut(slot) {
            turns.due += 1;
            let due = turns.due;
            self.later(after_ms, Event::PersonTurn(slot, due));
        }
    }

    /// The same for a person.
    pub(crate) fn person_turn(&mut self, slot: usize, turn: u64) {
        if self.is_healing
            || self
                .person_turns
                .get(slot)
                .is_none_or(|turns| turns.due != turn)
        {
            return;
        }
        if self.person_now(slot).is_none() {
            return self.begin_person(slot);
        }
        let leaving = self.leaving(self.scenario.people.goodbye_percent);
        self.stop_person(slot, leaving);
        let hour = hour_of_day(self.clock.unix_s());
        if let Some(turns) = self.person_turns.get_mut(slot) {
            let away = turns.sessions.off_ms(hour, &mut self.acts);
            self.later_person_turn(slot, away);
        }
    }

    fn begin_person(&mut self, slot: usize) {
        self.start_person(slot);
        if let Some(turns) = self.person_turns.get_mut(slot)
            && let Some(stays) = turns.sessions.on_ms(&mut self.acts)
        {
            self.later_person_turn(slot, stays);
        }
    }

    /// Sessions begin: everybody is there, and those who would not be leave at once.
    pub(crate) fn plan_turns(&mut self) {
        for slot in 0..self.people.len() {
            let Some(turns) = self.person_turns.get_mut(slot) else {
                continue;
            };
            match turns.sessions.begins_on(&mut self.acts) {
                true => self.begin_person(slot),
                false => self.later_person_turn(slot, 0),
            }
        }
        for slot in 0..self.keepers.len() {
            let Some(turns) = self.keeper_turns.get_mut(slot) else {
                continue;
            };
            match turns.sessions.begins_on(&mut self.acts) {
                true => self.begin_keeper(slot),
                false => self.later_keeper_turn(slot, 0),
            }
        }
    }

    /// A killed program starts again, unless something else brought it back.
    pub(crate) fn restart(&mut self, slot: usize) {
        self.start_person(slot);
    }

    fn leaving(&mut self, goodbye_percent: f64) -> Leaving {
        if self.acts.chance(goodbye_percent) {
            Leaving::Goodbye
        } else {
            Leaving::Crash
        }
    }
}
