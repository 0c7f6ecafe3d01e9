//! What people do: a day in the life of some friends, minute by minute.
//!
//! Everybody is a friend of the next two in a circle. In each minute of the virtual clock everybody has a turn, at a moment of his
//! own: whoever is away may come back, whoever is there may leave or write to one of his friends. Chances are drawn from the seed.

use hermes_underworld::{
    ContactId, chat,
    testing::{NodeId, World},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::{Outcome, Settings, outcome::Way};

/// Keepers of the modelled network: more than the five that hold one deposit, so that positions matter.
const KEEPERS: usize = 12;

const MINUTE_MS: u64 = 60_000;

/// Chances for each turn, in percent. People write every ten minutes, stay for an hour and are away for one.
const WRITES: u64 = 10;
const LEAVES: u64 = 2;
const RETURNS: u64 = 2;

/// The share of cycles that are left open for more inputs, in percent, so that crashes meet states that were not committed.
const BATCHING: u64 = 10;

/// What anything takes on its way, in milliseconds: from a neighbour to the far side of the world.
const LATENCY_MS: (u64, u64) = (5, 400);

/// How long everything may take to arrive after everybody is back: a week, many times what deposits anew need under heavy loss.
const SETTLE_MS: u64 = 7 * 24 * 60 * MINUTE_MS;

struct Run {
    world: World,
    random: ChaCha20Rng,
    people: Vec<NodeId>,
    ways: Vec<Way>,
    refused: u64,
}

/// Runs a simulation.
///
/// # Panics
///
/// If a core breaks its contract with whoever drives it; the message has the seed.
#[must_use]
pub fn run(settings: Settings) -> Outcome {
    let mut run = Run::new(settings);
    for minute in 0..settings.hours * 60 {
        run.minute(minute);
    }
    run.finish()
}

impl Run {
    fn new(settings: Settings) -> Self {
        let mut world = World::new(settings.seed, KEEPERS);
        let people: Vec<NodeId> = (0..settings.users.max(2))
            .map(|n| world.add(&format!("person {n}")))
            .collect();
        let mut ways = Vec::new();
        for (here, ahead) in circle(people.len()) {
            let (Some(a), Some(b)) = (people.get(here), people.get(ahead)) else {
                continue;
            };
            let (to_b, to_a) = world.befriend(*a, *b);
            ways.push(Way {
                from: *a,
                to: *b,
                contact: to_b,
                seen_as: to_a,
            });
            ways.push(Way {
                from: *b,
                to: *a,
                contact: to_a,
                seen_as: to_b,
            });
        }
        world.weather.latency_ms = LATENCY_MS;
        world.weather.loss_percent = settings.loss_percent;
        world.weather.batching_percent = BATCHING;
        Self {
            world,
            // Another stream than the world's, so that what people do does not hang on what the network does.
            random: ChaCha20Rng::seed_from_u64(!settings.seed),
            people,
            ways,
            refused: 0,
        }
    }

    fn minute(&mut self, minute: u64) {
        let turns = self.people.len() as u64;
        for (turn, person) in self.people.clone().into_iter().enumerate() {
            let at = (minute * MINUTE_MS) + MINUTE_MS * turn as u64 / turns;
            let next = at + MINUTE_MS / turns;
            self.turn(person, minute);
            self.world.run(next - at);
        }
    }

    fn turn(&mut self, person: NodeId, minute: u64) {
        let here = self.world.node(person).core().is_some();
        if !here && self.chance(RETURNS) {
            self.world.start(person);
        } else if here && self.chance(LEAVES) {
            self.world.crash(person);
        } else if here && self.chance(WRITES) {
            let friends: Vec<ContactId> = self
                .ways
                .iter()
                .filter(|way| way.from == person)
                .map(|way| way.contact)
                .collect();
            let which = usize::try_from(self.below(friends.len() as u64)).unwrap_or_default();
            if let Some(friend) = friends.get(which) {
                self.write(person, *friend, &format!("minute {minute}"));
            }
        }
    }

    fn write(&mut self, person: NodeId, to: ContactId, text: &str) {
        let Ok(frame) = chat::text(text, None, None) else {
            return;
        };
        let sent = self
            .world
            .call(person, |core, now| core.send(to, frame, now).is_ok());
        self.refused += u64::from(!sent);
    }

    /// Everybody comes back; the weather stays as it is.
    fn finish(mut self) -> Outcome {
        for person in &self.people {
            if self.world.node(*person).core().is_none() {
                self.world.start(*person);
            }
        }
        let back_ms = self.world.now_ms();
        let ways = &self.ways;
        let settled = self.world.run_until(SETTLE_MS, |world| {
            ways.iter().all(|way| way.is_settled(world))
        });
        let mut outcome = Outcome {
            settled,
            settle_ms: self.world.now_ms() - back_ms,
            refused: self.refused,
            cycles: self.world.nodes().iter().map(|node| node.cycles).sum(),
            ..Outcome::default()
        };
        for way in &self.ways {
            outcome.count(&self.world, way);
        }
        outcome
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random.next_u64() % n.max(1)
    }
}

/// Who befriends whom: each the next two, nobody twice.
fn circle(people: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for here in 0..people {
        for ahead in [(here + 1) % people, (here + 2) % people] {
            let known =
                here == ahead || pairs.contains(&(here, ahead)) || pairs.contains(&(ahead, here));
            if !known {
                pairs.push((here, ahead));
            }
        }
    }
    pairs
}
