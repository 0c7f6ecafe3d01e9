//! A run: everybody in it, time, and the phases.
//!
//! First everybody is there and makes friends over a good network. Then people write while programs come and go and faults happen. Then
//! everything heals: faults end, everybody comes back, nobody writes any more, and what was accepted has to arrive within the time that
//! the scenario gives. An hour more shows whether anything comes twice.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use hermes_underworld::{InviteOptions, testing};
use hermes_wire::Network;

use crate::{
    churn::Sessions,
    clock::{Clock, HOUR_MS, MINUTE_MS, Schedule},
    depositing::Job,
    directory::Directory,
    draw::Draw,
    event::Event,
    faults::{Met, Turns},
    keeper::Host,
    ledger::{Ledger, Violation},
    links::Links,
    outcome::{Figures, Outcome},
    person::{Person, is_forgetful},
    reading::Reader,
    scenario::{Scenario, ScenarioError},
    trace::Trace,
};

/// How often keepers look for what has expired.
pub(crate) const SWEEP_MS: u64 = 600_000;

/// How long making friends may take, on the virtual clock.
const MEET_MS: u64 = 12 * HOUR_MS;

/// How long a run goes on after all has arrived.
const AFTER_MS: u64 = HOUR_MS;

/// How a program stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    Goodbye,
    Crash,
}

/// A run.
pub(crate) struct Sim {
    pub(crate) scenario: Scenario,
    pub(crate) network: Network,
    pub(crate) clock: Clock,
    schedule: Schedule<Event>,
    pub(crate) trace: Trace,
    /// What the network does.
    pub(crate) chance: Draw,
    /// What people do, who comes and goes, and whom faults meet.
    pub(crate) acts: Draw,
    /// Seeds of machines.
    pub(crate) seeds: Draw,
    pub(crate) people: Vec<Person>,
    pub(crate) person_turns: Vec<Turns>,
    pub(crate) keepers: Vec<Host>,
    pub(crate) keeper_turns: Vec<Turns>,
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) readers: BTreeMap<u64, Reader>,
    pub(crate) links: Links,
    pub(crate) directory: Directory,
    pub(crate) ledger: Ledger,
    pub(crate) figures: Figures,
    pub(crate) is_healing: bool,
    pub(crate) forgetful: bool,
    pub(crate) loss_percent: f64,
    /// Who is beyond the border while the network is parted.
    pub(crate) beyond: Met,
    pub(crate) met: BTreeMap<usize, Met>,
    next_id: u64,
    stop_at: Option<u64>,
}

/// Runs a scenario from a seed, up to a step if one is given; `report` is told of progress now and then.
///
/// # Errors
/// If the scenario's models cannot be had.
pub fn run(
    scenario: Scenario,
    seed: u64,
    stop_at: Option<u64>,
    report: &mut dyn FnMut(&str),
) -> Result<Outcome, ScenarioError> {
    let mut sim = Sim::new(scenario, seed, stop_at)?;
    for phase in [Sim::meet, Sim::live, Sim::heal] {
        // A run that ends at a step must not go on doing things outside of steps.
        if !sim.is_over() {
            phase(&mut sim, report);
        }
    }
    Ok(sim.finish())
}

/// Where somebody is: everybody in an address block of his own.
pub(crate) fn address(person: usize) -> IpAddr {
    let [.., high, low] = person.to_be_bytes();
    Ipv4Addr::new(5, high, low, 1).into()
}

/// Where a keeper is: every eighth shares the block of the one before.
fn keeper_address(slot: usize) -> IpAddr {
    let shared = slot % 8 == 7;
    let [.., high, low] = (slot - usize::from(shared)).to_be_bytes();
    Ipv4Addr::new(81, high, low, 1 + u8::from(shared)).into()
}

impl Sim {
    fn new(scenario: Scenario, seed: u64, stop_at: Option<u64>) -> Result<Self, ScenarioError> {
        let (of_people, of_keepers) = scenario.models()?;
        let (mut acts, mut seeds) = (Draw::new(seed, 2), Draw::new(seed, 3));
        let (people, keepers) = (&scenario.people, &scenario.keepers);
        let closed = people.closed_percent;
        let turns = |sessions: Sessions| Turns { sessions, due: 0 };
        let person_turns = (0..people.count)
            .map(|n| turns(of_people.member(n, people.diurnal, &mut acts)))
            .collect();
        let keeper_turns = (0..keepers.count)
            .map(|n| turns(of_keepers.member(n, keepers.diurnal, &mut acts)))
            .collect();
        Ok(Self {
            network: Network::named(&scenario.network).unwrap_or_else(Network::main),
            clock: Clock::new(),
            schedule: Schedule::new(),
            trace: Trace::new(),
            chance: Draw::new(seed, 1),
            people: (0..people.count)
                .map(|_| Person::new(!acts.chance(closed)))
                .collect(),
            keepers: (0..keepers.count)
                .map(|slot| Host::new(keeper_address(slot), &mut seeds))
                .collect(),
            acts,
            seeds,
            person_turns,
            keeper_turns,
            jobs: BTreeMap::new(),
            readers: BTreeMap::new(),
            links: Links::default(),
            directory: Directory::default(),
            ledger: Ledger::default(),
            figures: Figures::default(),
            is_healing: false,
            forgetful: false,
            loss_percent: 0.0,
            beyond: Met::default(),
            met: BTreeMap::new(),
            next_id: 1,
            stop_at,
            scenario,
        })
    }

    /// Everybody starts and makes friends.
    fn meet(&mut self, report: &mut dyn FnMut(&str)) {
        for slot in 0..self.keepers.len() {
            self.start_keeper(slot);
        }
        self.later(SWEEP_MS, Event::Sweep);
        let listed = self.scenario.keepers.announce_s * 1_000 + MINUTE_MS;
        self.pass(listed, |_| false);
        if self.is_over() {
            return;
        }
        for slot in 0..self.people.len() {
            self.start_person(slot);
        }
        self.pass(MINUTE_MS, |_| false);
        let pairs = circle(self.people.len(), self.scenario.people.friends);
        for (inviter, invitee) in &pairs {
            if self.is_over() {
                return;
            }
            self.befriend(*inviter, *invitee);
            self.pass(1_000, |_| false);
        }
        let wanted = 2 * pairs.len() as u64;
        let met = |sim: &Self| {
            sim.people
                .iter()
                .map(|person| person.established)
                .sum::<u64>()
        };
        self.pass(MEET_MS, |sim| met(sim) >= wanted);
        if met(self) < wanted && !self.is_over() {
            let missing = wanted - met(self);
            self.ledger.violate(format!(
                "{missing} friendships were not made in good weather"
            ));
        }
        report(&format!(
            "{} people made {} friendships after {} simulated minutes",
            self.people.len(),
            pairs.len(),
            self.clock.ms() / MINUTE_MS
        ));
    }

    fn befriend(&mut self, inviter: usize, invitee: usize) {
        let (Some(from), Some(to)) = (self.person_now(inviter), self.person_now(invitee)) else {
            return;
        };
        let options = InviteOptions {
            ask: false,
            expires_in_s: None,
            nodes: vec![testing::entry()],
        };
        let invite = self
            .call(from, |core, now| core.create_invite(options, now).ok())
            .flatten();
        let Some(invite) = invite else {
            return self.ledger.violate(format!("{from} cannot make an invite"));
        };
        if let Some(person) = self.people.get_mut(inviter) {
            person.invites.insert(invite.id, invitee);
        }
        let contact = self
            .call(to, |core, now| {
                core.accept_invite(&invite.link, None, now).ok()
            })
            .flatten();
        match (contact, self.people.get_mut(invitee)) {
            (Some(contact), Some(person)) => {
                person.friends.insert(contact, inviter);
            }
            _ => self.ledger.violate(format!("{to} cannot accept an invite")),
        }
    }

    /// People write, programs come and go, faults happen.
    fn live(&mut self, report: &mut dyn FnMut(&str)) {
        self.plan_turns();
        self.plan_faults();
        self.forgetful = is_forgetful(self.scenario.bug);
        for slot in 0..self.people.len() {
            self.plan_write(slot);
        }
        let hours = (self.scenario.days * 24.0) as u64;
        let minutes = (self.scenario.days * 24.0 * 60.0) as u64;
        for hour in 0..hours {
            self.pass(HOUR_MS, |_| false);
            if hour % 6 == 5 {
                report(&self.progress(hour + 1));
            }
        }
        self.pass((minutes - hours * 60) * MINUTE_MS, |_| false);
    }

    fn progress(&self, hour: u64) -> String {
        let counts = self.ledger.counts();
        format!(
            "hour {hour}: accepted {}, shown {}, keepers listed {}, violations {}",
            counts.accepted,
            counts.delivered,
            self.directory.len(),
            self.ledger.violated()
        )
    }

    /// Everything is well again.
    fn heal(&mut self, report: &mut dyn FnMut(&str)) {
        self.forgetful = false;
        self.end_faults();
        self.is_healing = true;
        for slot in 0..self.keepers.len() {
            if let Some(host) = self.keepers.get_mut(slot) {
                host.held_down = false;
            }
            self.start_keeper(slot);
        }
        for slot in 0..self.people.len() {
            self.start_person(slot);
        }
        let began = self.clock.ms();
        let limit = (self.scenario.heal_days * 24.0 * HOUR_MS as f64) as u64;
        self.pass(limit, |sim| sim.ledger.is_settled());
        self.figures.heal_ms = self.clock.ms() - began;
        report(&format!(
            "all arrived, or the time is over, {} simulated minutes after healing began",
            self.figures.heal_ms / MINUTE_MS
        ));
        self.pass(AFTER_MS, |_| false);
    }

    fn finish(mut self) -> Outcome {
        if !self.is_over() {
            self.ledger.close();
            self.file();
        }
        Outcome {
            nodes: self.scenario.nodes(),
            simulated_ms: self.clock.ms(),
            hash: self.trace.hash(),
            steps: self.trace.steps(),
            tail: self.trace.tail(),
            counts: self.ledger.counts(),
            violated: self.ledger.violated(),
            violations: self.ledger.violations().to_vec(),
            figures: self.figures,
            latencies_ms: self.ledger.latencies_ms(),
        }
    }

    /// Lets time pass, up to so long or until something is the case.
    fn pass(&mut self, ms: u64, done: impl Fn(&Self) -> bool) {
        let end = self.clock.ms() + ms;
        while !self.is_over() && !done(self) {
            let Some((at, event)) = self.schedule.pop(end) else {
                return self.clock.advance(end);
            };
            self.clock.advance(at);
            let (kind, about) = event.trace();
            self.trace.add(at, kind, about);
            self.happen(event);
            self.file();
        }
    }

    /// Whether the step has come up to which the run goes.
    fn is_over(&self) -> bool {
        self.stop_at.is_some_and(|step| self.trace.steps() >= step)
    }

    /// Files what was found wrong.
    fn file(&mut self) {
        while let Some(what) = self.ledger.next_found() {
            let violation = Violation {
                at_ms: self.clock.ms(),
                step: self.trace.steps(),
                hash: self.trace.hash(),
                what,
            };
            self.ledger.file(violation);
        }
    }

    /// Plans something after so many milliseconds.
    pub(crate) fn later(&mut self, after_ms: u64, what: Event) {
        self.schedule
            .add(self.clock.ms().saturating_add(after_ms), what);
    }

    pub(crate) fn plan_write(&mut self, slot: usize) {
        let per_day = self.scenario.people.messages_per_day;
        if per_day > 0.0 {
            let after = self.acts.exponential(24.0 * HOUR_MS as f64 / per_day) as u64;
            self.later(after.max(1), Event::Write(slot));
        }
    }

    /// A time on the way.
    pub(crate) fn latency(&mut self) -> u64 {
        self.chance.between(self.scenario.latency_ms).max(1)
    }

    pub(crate) fn is_lost(&mut self) -> bool {
        self.chance.chance(self.loss_percent)
    }

    /// Whether a keeper and a person are on the same side of the border.
    pub(crate) fn same_side(&self, keeper: usize, person: usize) -> bool {
        self.beyond.keepers.contains(&keeper) == self.beyond.people.contains(&person)
    }

    pub(crate) fn people_meet(&self, one: usize, other: usize) -> bool {
        self.beyond.people.contains(&one) == self.beyond.people.contains(&other)
    }

    /// Whether a request, or the answer to it, gets from one to the other.
    pub(crate) fn arrives(&mut self, keeper: usize, person: usize) -> bool {
        self.same_side(keeper, person) && !self.is_lost()
    }

    pub(crate) const fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

/// Who befriends whom: each the next ones in a circle, nobody twice.
fn circle(people: usize, friends: usize) -> Vec<(usize, usize)> {
    let mut pairs = std::collections::BTreeSet::new();
    for here in 0..people {
        for step in 1..=friends / 2 {
            let there = (here + step) % people;
            if here != there {
                pairs.insert((here.min(there), here.max(there)));
            }
        }
    }
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_circle_everybody_has_as_many_friends() {
        let pairs = circle(7, 4);
        for person in 0..7 {
            let friends = pairs.iter().filter(|(a, b)| *a == person || *b == person);
            assert_eq!(friends.count(), 4);
        }
        assert_eq!(circle(2, 2), [(0, 1)]);
    }
}
