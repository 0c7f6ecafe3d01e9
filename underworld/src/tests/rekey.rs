//! Sessions are replaced by fresh ones, regularly and unnoticed.

use super::{Pair, accepted, shown};
use crate::{
    proto::event::{Event, Renewal},
    testing::{CrashPoint, NodeId, World},
};

fn world(seed: u64) -> World {
    World::with_params(seed, 6, |params| {
        params.rekey_s = 600;
        params.rekey_min_s = 30;
        params.rekey_messages = 20;
    })
}

fn renewals(world: &World, node: NodeId, reason: Renewal) -> usize {
    let is =
        |event: &&Event| matches!(event, Event::SessionRenewed { reason: r, .. } if *r == reason);
    world.node(node).events.iter().filter(is).count()
}

fn check(pair: &Pair) {
    assert_eq!(
        shown(&pair.world, pair.bob, pair.to_alice),
        accepted(&pair.world, pair.alice, pair.to_bob)
    );
    assert_eq!(
        shown(&pair.world, pair.alice, pair.to_bob),
        accepted(&pair.world, pair.bob, pair.to_alice)
    );
}

fn chat(pair: &mut Pair, messages: usize, pause_ms: u64) {
    for n in 0..messages {
        for (node, contact) in pair.both() {
            if pair.world.node(node).core().is_some() {
                pair.world.say(node, contact, &format!("{n}"));
            }
        }
        pair.world.run(pause_ms);
    }
}

#[test]
fn a_session_is_renewed_by_use_and_by_age() {
    for seed in [500, 501] {
        let mut pair = Pair::in_world(world(seed)).linked();
        pair.world.run(31_000);
        chat(&mut pair, 30, 100);
        pair.settle(5_000);
        for node in [pair.alice, pair.bob] {
            assert_eq!(renewals(&pair.world, node, Renewal::Rekey), 1, "by use");
        }
        pair.world.run(620_000);
        pair.settle(5_000);
        for node in [pair.alice, pair.bob] {
            assert_eq!(renewals(&pair.world, node, Renewal::Rekey), 2, "by age");
        }
        chat(&mut pair, 5, 100);
        pair.settle(5_000);
        check(&pair);
    }
}

#[test]
fn a_session_is_renewed_through_keepers() {
    for seed in [510, 511] {
        let mut calm = world(seed);
        calm.weather.direct = false;
        let mut pair = Pair::in_world(calm);
        pair.world.run(31_000);
        chat(&mut pair, 40, 500);
        pair.settle(60_000);
        chat(&mut pair, 10, 500);
        pair.settle(60_000);
        for node in [pair.alice, pair.bob] {
            assert!(renewals(&pair.world, node, Renewal::Rekey) >= 1);
        }
        check(&pair);
    }
}

#[test]
fn renewals_go_on_while_one_side_comes_and_goes() {
    for seed in 520..526 {
        let mut pair = Pair::in_world(world(seed));
        for round in 0..12 {
            let (away, _) = pair.both()[round % 2];
            pair.world.crash(away);
            chat(&mut pair, 12, 3_000);
            pair.world.start(away);
            chat(&mut pair, 3, 3_000);
        }
        pair.settle(120_000);
        check(&pair);
        for node in [pair.alice, pair.bob] {
            assert!(
                renewals(&pair.world, node, Renewal::Rekey) >= 3,
                "seed {seed}"
            );
            assert_eq!(
                renewals(&pair.world, node, Renewal::Recovery),
                0,
                "seed {seed}"
            );
        }
    }
}

#[test]
fn a_crash_at_any_cycle_of_a_renewal_loses_nothing() {
    let converse = |crash: Option<(NodeId, u64, CrashPoint)>| {
        let mut pair = Pair::in_world(world(530)).linked();
        pair.world.run(31_000);
        chat(&mut pair, 18, 50);
        let first = [0, 1].map(|node| pair.world.node(node).cycles);
        if let Some((node, cycle, point)) = crash {
            pair.world.crash_at(node, first[node] + cycle, point);
        }
        chat(&mut pair, 6, 50);
        pair.world.run(3_000);
        chat(&mut pair, 2, 50);
        pair.settle(60_000);
        // What was said in a cycle that was lost was never accepted; all the rest arrived.
        check(&pair);
        for node in [pair.alice, pair.bob] {
            assert_eq!(renewals(&pair.world, node, Renewal::Rekey), 1, "{crash:?}");
        }
        [0, 1].map(|node| pair.world.node(node).cycles - first[node])
    };
    let cycles = converse(None);
    for node in [0, 1] {
        for cycle in 0..cycles[node] {
            for point in [CrashPoint::BeforeCommit, CrashPoint::BeforeEffects] {
                converse(Some((node, cycle, point)));
            }
        }
    }
}

#[test]
fn old_sessions_are_limited_in_number() {
    let mut pair = Pair::in_world(world(540)).linked();
    for _ in 0..14 {
        pair.world.run(601_000);
        pair.settle(5_000);
    }
    for node in [pair.alice, pair.bob] {
        assert!(renewals(&pair.world, node, Renewal::Rekey) >= 12);
        let sessions = pair.world.node(node).rows().keys();
        let sessions = sessions
            .filter(|(table, _)| *table == crate::Table::Session)
            .count();
        assert!(sessions <= 10, "{sessions} sessions");
    }
    pair.world.say(pair.alice, pair.to_bob, "fresh");
    pair.settle(5_000);
    check(&pair);
}
