//! Crashes between and inside cycles: nothing is lost, doubled or misordered.

use super::{Pair, accepted, shown};
use crate::{
    proto::AcceptError,
    testing::{CrashPoint, NodeId, World},
};

const POINTS: [CrashPoint; 3] = [
    CrashPoint::BeforeCommit,
    CrashPoint::BeforeEffects,
    CrashPoint::AmidEffects,
];

/// Messages flow both ways, over links and through keepers; whatever was not accepted is said again.
fn converse(pair: &mut Pair, messages: usize) {
    for n in 0..messages {
        for (node, contact) in pair.both() {
            say_until_accepted(&mut pair.world, node, contact, &format!("{node} says {n}"));
            let pause = pair.world.below(30);
            pair.world.run(pause);
        }
        if n == messages / 2 {
            let node = pair.alice;
            pair.world.break_links(node);
        }
    }
    pair.settle(600_000);
}

fn say_until_accepted(world: &mut World, node: NodeId, contact: crate::ContactId, text: &str) {
    let before = accepted(world, node, contact).len();
    while accepted(world, node, contact).len() == before {
        if world.node(node).core().is_some() {
            world.say(node, contact, text);
        } else {
            world.run(100);
        }
    }
}

/// Both sides were shown exactly what the other side's program accepted, in its order.
fn check(pair: &Pair, what: &str) {
    for ((from, to_other), (to, to_first)) in [
        (pair.both()[0], pair.both()[1]),
        (pair.both()[1], pair.both()[0]),
    ] {
        let (sent, seen) = (
            accepted(&pair.world, from, to_other),
            shown(&pair.world, to, to_first),
        );
        assert_eq!(sent, seen, "{what} (seed {})", pair.world.seed());
    }
}

#[test]
fn a_crash_at_every_cycle_of_either_side_while_messages_flow() {
    let rows = Pair::new(40).rows();
    let mut reference = Pair::from_rows(40, &rows);
    converse(&mut reference, 4);
    check(&reference, "no crash");
    let cycles = [0, 1].map(|node| reference.world.node(node).cycles);
    for node in [0, 1] {
        for cycle in 0..cycles[node] {
            for point in POINTS {
                let mut pair = Pair::from_rows(40, &rows);
                pair.world.crash_at(node, cycle, point);
                converse(&mut pair, 4);
                check(
                    &pair,
                    &format!("node {node} crashes in cycle {cycle} {point:?}"),
                );
            }
        }
    }
}

#[test]
fn a_crash_at_every_cycle_of_an_invitation() {
    let befriend = |crash: Option<(NodeId, u64, CrashPoint)>| {
        let mut world = World::new(41, 6);
        let (alice, bob) = (world.add("alice"), world.add("bob"));
        let link = world.invite(alice, false);
        if let Some((node, cycle, point)) = crash {
            world.crash_at(node, cycle, point);
        }
        let to_alice = loop {
            if world.node(bob).core().is_none() {
                world.run(100);
                continue;
            }
            let accepted = world.call(bob, |core, now| core.accept_invite(&link, None, now));
            let known = world
                .node(bob)
                .core()
                .is_some_and(|core| core.contacts().count() == 1);
            match accepted {
                Ok(contact) if known => break contact,
                Err(AcceptError::Already { contact }) => break contact,
                _ => world.run(100),
            }
        };
        let done = world.run_until(60_000, |w| {
            let established = |node, contact| w.is_established(node, contact);
            let alices = w.node(alice).core().and_then(|core| core.contacts().next());
            alices.is_some_and(|c| established(alice, c.id)) && established(bob, to_alice)
        });
        assert!(done, "{crash:?}");
        let to_bob = world.core(alice).contacts().next().expect("one contact").id;
        assert_eq!(world.core(alice).contacts().count(), 1, "{crash:?}");
        let mut pair = Pair {
            world,
            alice,
            bob,
            to_bob,
            to_alice,
        };
        pair.world.say(alice, to_bob, "welcome");
        pair.settle(60_000);
        check(&pair, &format!("{crash:?}"));
        [0, 1].map(|node| pair.world.node(node).cycles)
    };
    let cycles = befriend(None);
    for node in [0, 1] {
        for cycle in 1..cycles[node].min(30) {
            for point in POINTS {
                befriend(Some((node, cycle, point)));
            }
        }
    }
}

#[test]
fn crashes_at_random_moments_while_messages_flow() {
    for seed in 100..130 {
        let mut world = World::new(seed, 6);
        world.weather.batching_percent = 30;
        world.weather.latency_ms = (1, 50);
        let mut pair = Pair::in_world(world);
        for _ in 0..6 {
            let (node, _) = pair.both()[usize::try_from(pair.world.below(2)).expect("small")];
            let soon = pair.world.node(node).cycles + pair.world.below(12);
            let point = POINTS[usize::try_from(pair.world.below(3)).expect("small")];
            pair.world.crash_at(node, soon, point);
            converse(&mut pair, 4);
        }
        check(&pair, "random crashes");
    }
}
