//! Sessions that were lost are replaced.

use super::Pair;
use crate::{
    proto::{
        event::{Alarm, Event, Renewal},
        output::Table,
    },
    testing::{CrashPoint, NodeId, World},
};

fn recoveries(world: &World, node: NodeId) -> usize {
    let is = |event: &&Event| {
        matches!(
            event,
            Event::SessionRenewed {
                reason: Renewal::Recovery,
                ..
            }
        )
    };
    world.node(node).events.iter().filter(is).count()
}

fn alarms(world: &World, node: NodeId) -> Vec<Alarm> {
    let events = world.node(node).events.iter();
    events
        .filter_map(|event| match event {
            Event::Alarm(alarm) => Some(*alarm),
            _ => None,
        })
        .collect()
}

fn without(rows: &crate::testing::Rows, lost: Table) -> crate::testing::Rows {
    let kept = rows.iter().filter(|((table, _), _)| *table != lost);
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Both can talk, and what they say from now on arrives once and in order.
fn talk(pair: &mut Pair) {
    for n in 0..5 {
        pair.world
            .say(pair.alice, pair.to_bob, &format!("again a{n}"));
        pair.world
            .say(pair.bob, pair.to_alice, &format!("again b{n}"));
        pair.world.run(200);
    }
    pair.settle(120_000);
    for (node, contact, who) in [
        (pair.bob, pair.to_alice, 'a'),
        (pair.alice, pair.to_bob, 'b'),
    ] {
        let texts = pair.world.node(node).texts(contact);
        let again: Vec<_> = texts
            .into_iter()
            .filter(|text| text.starts_with("again"))
            .collect();
        let expected: Vec<_> = (0..5).map(|n| format!("again {who}{n}")).collect();
        assert_eq!(again, expected, "seed {}", pair.world.seed());
    }
}

#[test]
fn a_lost_session_is_replaced_at_once() {
    for (seed, direct) in [(600, true), (601, false), (602, true), (603, false)] {
        let mut world = World::new(seed, 6);
        world.weather.direct = direct;
        let mut pair = Pair::in_world(world);
        pair.world.run(3_000);
        pair.world.crash(pair.bob);
        pair.world
            .say(pair.alice, pair.to_bob, "in the old session");
        pair.world.run(3_000);
        let rows = without(pair.world.node(pair.bob).rows(), Table::Session);
        pair.world.start_from(pair.bob, rows);
        talk(&mut pair);
        assert_eq!(recoveries(&pair.world, pair.bob), 1);
        assert_eq!(recoveries(&pair.world, pair.alice), 1);
        let texts = pair.world.node(pair.bob).texts(pair.to_alice);
        assert_eq!(
            texts.first().map(String::as_str),
            Some("in the old session")
        );
        assert_eq!(texts.len(), 6, "{texts:?}");
    }
}

#[test]
fn a_store_that_was_set_back_recovers() {
    for (seed, direct) in [
        (610, true),
        (611, false),
        (612, true),
        (613, false),
        (614, true),
    ] {
        let mut world = World::new(seed, 6);
        world.weather.direct = direct;
        let mut pair = Pair::in_world(world);
        pair.world.run(3_000);
        let old = pair.world.node(pair.bob).rows().clone();
        for n in 0..20 {
            pair.world.say(pair.alice, pair.to_bob, &format!("a{n}"));
            pair.world.say(pair.bob, pair.to_alice, &format!("b{n}"));
            pair.world.run(500);
        }
        pair.settle(60_000);
        pair.world.crash(pair.bob);
        pair.world.run(3_000);
        pair.world.start_from(pair.bob, old);
        // What he says before anybody notices bears numbers that Alice knows already.
        pair.world.say(pair.bob, pair.to_alice, "from the past");
        for n in 0..8 {
            pair.world
                .say(pair.alice, pair.to_bob, &format!("to the past {n}"));
            pair.world.run(40_000);
        }
        pair.settle(600_000);
        assert!(recoveries(&pair.world, pair.alice) >= 1, "seed {seed}");
        let texts = pair.world.node(pair.alice).texts(pair.to_bob);
        assert_eq!(
            texts.iter().filter(|text| *text == "from the past").count(),
            1,
            "seed {seed}: {texts:?}"
        );
        talk(&mut pair);
        let told = pair.world.node(pair.bob).texts(pair.to_alice);
        for n in 0..8 {
            assert_eq!(
                told.iter()
                    .filter(|text| **text == format!("to the past {n}"))
                    .count(),
                1,
                "seed {seed}"
            );
        }
    }
}

#[test]
fn both_may_lose_their_sessions() {
    for seed in 620..624 {
        let mut pair = Pair::new(seed).linked();
        for node in [pair.alice, pair.bob] {
            pair.world.crash(node);
        }
        pair.world.run(3_000);
        for node in [pair.alice, pair.bob] {
            let rows = without(pair.world.node(node).rows(), Table::Session);
            pair.world.start_from(node, rows);
        }
        talk(&mut pair);
    }
}

#[test]
fn recoveries_are_limited_to_three_a_day() {
    let mut pair = Pair::new(630).linked();
    for _ in 0..4 {
        pair.world.crash(pair.bob);
        pair.world.run(3_000);
        let rows = without(pair.world.node(pair.bob).rows(), Table::Session);
        pair.world.start_from(pair.bob, rows);
        pair.world.run(20_000);
    }
    assert_eq!(recoveries(&pair.world, pair.bob), 3);
    assert_eq!(
        alarms(&pair.world, pair.bob),
        [Alarm::RecoveryLimit {
            contact: pair.to_alice
        }]
    );
    // The next day it goes on by itself.
    pair.world.run(86_400_000);
    assert_eq!(recoveries(&pair.world, pair.bob), 4);
    talk(&mut pair);
}

#[test]
fn a_recovery_by_a_copy_of_the_keys_raises_an_alarm() {
    let mut pair = Pair::new(640).linked();
    // Somebody has a copy of Bob's store, without the sessions, as a backup would be.
    let copy = without(pair.world.node(pair.bob).rows(), Table::Session);
    pair.world.crash(pair.bob);
    pair.world.run(3_000);
    let thief = pair.world.add_stopped(copy.clone());
    pair.world.start_from(thief, copy);
    pair.world.run(5_000);
    pair.world.crash(thief);
    assert_eq!(recoveries(&pair.world, pair.alice), 1);
    // Bob comes back with his own session; that he still has it gives the thief away.
    pair.world.run(2 * 3_600_000);
    pair.world.start(pair.bob);
    pair.world.say(pair.bob, pair.to_alice, "it was not me");
    pair.world.run(10_000);
    let alarm = Alarm::RecoveryWhileAlive {
        contact: pair.to_bob,
    };
    assert!(
        alarms(&pair.world, pair.alice).contains(&alarm),
        "{:?}",
        alarms(&pair.world, pair.alice)
    );
    // And he gets through again.
    for n in 0..8 {
        pair.world.say(pair.alice, pair.to_bob, &format!("{n}"));
        pair.world.run(20_000);
    }
    talk(&mut pair);
}

#[test]
fn a_friend_hears_that_somebody_recovered_in_his_name() {
    let mut pair = Pair::new(641).linked();
    let copy = without(pair.world.node(pair.bob).rows(), Table::Session);
    let old = pair.world.node(pair.bob).rows().clone();
    pair.world.crash(pair.bob);
    pair.world.run(3_000);
    let thief = pair.world.add_stopped(copy.clone());
    pair.world.start_from(thief, copy);
    assert!(
        pair.world
            .run_until(5_000, |w| recoveries(w, pair.alice) == 1)
    );
    // The thief goes before he could delete what he cannot read.
    pair.world.crash(thief);
    pair.world.start_from(pair.bob, old);
    pair.world.run(10_000);
    let alarm = Alarm::RecoveryWhileAlive {
        contact: pair.to_alice,
    };
    assert!(
        alarms(&pair.world, pair.bob).contains(&alarm),
        "{:?}",
        alarms(&pair.world, pair.bob)
    );
}

#[test]
fn a_store_from_before_a_renewal_recovers_once() {
    let mut world = World::with_params(650, 6, |params| {
        params.rekey_messages = 10;
        params.rekey_min_s = 10;
    });
    world.weather.direct = false;
    let mut pair = Pair::in_world(world);
    pair.world.run(3_000);
    let old = pair.world.node(pair.bob).rows().clone();
    pair.world.run(20_000);
    for n in 0..30 {
        pair.world.say(pair.alice, pair.to_bob, &format!("a{n}"));
        pair.world.say(pair.bob, pair.to_alice, &format!("b{n}"));
        pair.world.run(1_000);
    }
    pair.settle(60_000);
    pair.world.crash(pair.bob);
    for n in 0..10 {
        pair.world
            .say(pair.alice, pair.to_bob, &format!("meanwhile {n}"));
        pair.world.run(1_000);
    }
    // Bob does not even have the keys of what waits for him.
    pair.world.start_from(pair.bob, old);
    pair.settle(600_000);
    let told = pair.world.node(pair.bob).texts(pair.to_alice);
    for n in 0..10 {
        let text = format!("meanwhile {n}");
        assert_eq!(told.iter().filter(|t| **t == text).count(), 1, "{text}");
    }
    talk(&mut pair);
    assert_eq!(recoveries(&pair.world, pair.bob), 1);
    // What cannot be read is not counted again after every start.
    for _ in 0..3 {
        pair.world.crash(pair.bob);
        pair.world.run(2_000);
        pair.world.start(pair.bob);
        pair.world.run(10_000);
    }
    assert_eq!(recoveries(&pair.world, pair.bob), 1);
    // Of all that he could not read, at most what was said in the lost session about its end is left to expire.
    assert!(pair.world.kept_deposits() <= 5);
}

#[test]
fn a_crash_at_any_cycle_of_a_recovery_loses_nothing() {
    let recover = |crash: Option<(NodeId, u64, CrashPoint)>| {
        let mut pair = Pair::new(660).linked();
        pair.world.crash(pair.bob);
        pair.world.say(pair.alice, pair.to_bob, "before");
        pair.world.run(3_000);
        let first = [0, 1].map(|node| pair.world.node(node).cycles);
        if let Some((node, cycle, point)) = crash {
            pair.world.crash_at(node, first[node] + cycle, point);
        }
        let rows = without(pair.world.node(pair.bob).rows(), Table::Session);
        pair.world.start_from(pair.bob, rows);
        pair.world.run(3_000);
        let last = [0, 1].map(|node| pair.world.node(node).cycles);
        talk(&mut pair);
        let texts = pair.world.node(pair.bob).texts(pair.to_alice);
        assert_eq!(
            texts.first().map(String::as_str),
            Some("before"),
            "{crash:?}: {texts:?}"
        );
        assert_eq!(texts.len(), 6, "{crash:?}: {texts:?}");
        [last[0] - first[0], last[1] - first[1]]
    };
    let cycles = recover(None);
    for node in [0, 1] {
        for cycle in 0..cycles[node] {
            for point in [CrashPoint::BeforeCommit, CrashPoint::BeforeEffects] {
                recover(Some((node, cycle, point)));
            }
        }
    }
}
