//! Addresses change with time; friends keep finding each other.

use std::collections::BTreeSet;

use super::{Pair, accepted, shown};
use crate::testing::World;

fn short(seed: u64, epoch_s: u32) -> World {
    World::with_params(seed, 6, |params| {
        params.epoch_s = epoch_s;
        params.expiry_unit_s = 1;
        params.expiry_default_s = 600;
        params.expiry_max_s = 900;
        params.grace_s = 60;
        params.redeposit_s = 120;
    })
}

#[test]
fn friends_keep_finding_each_other_while_epochs_roll_over() {
    for (seed, epoch_s) in [(400, 1), (401, 2), (402, 5), (403, 20)] {
        let mut pair = Pair::in_world(short(seed, epoch_s)).linked();
        for n in 0..40 {
            pair.world.say(pair.alice, pair.to_bob, &format!("a{n}"));
            if pair.world.node(pair.bob).core().is_some() {
                pair.world.say(pair.bob, pair.to_alice, &format!("b{n}"));
            }
            match n % 10 {
                2 => pair.world.break_links(pair.alice),
                4 => pair.world.crash(pair.bob),
                7 => pair.world.start(pair.bob),
                _ => {}
            }
            pair.world.run(u64::from(epoch_s) * 700);
        }
        pair.settle(300_000);
        assert_eq!(
            shown(&pair.world, pair.bob, pair.to_alice),
            accepted(&pair.world, pair.alice, pair.to_bob)
        );
        assert_eq!(
            shown(&pair.world, pair.alice, pair.to_bob),
            accepted(&pair.world, pair.bob, pair.to_alice)
        );
        // They find each other directly again after all that.
        let sides = pair.both();
        let up = pair
            .world
            .run_until(120_000, |w| sides.iter().all(|(n, c)| w.is_linked(*n, *c)));
        assert!(up, "{epoch_s} s epochs");
    }
}

#[test]
fn a_mailbox_of_an_epoch_long_past_is_still_read() {
    let mut pair = Pair::new(410).linked();
    pair.world.crash(pair.bob);
    pair.world.run(3_000);
    for day in 0..10 {
        pair.world
            .say(pair.alice, pair.to_bob, &format!("day {day}"));
        pair.world.run(86_400_000);
    }
    pair.world.crash(pair.alice);
    pair.world.start(pair.bob);
    pair.world.run(10_000);
    let texts = pair.world.node(pair.bob).texts(pair.to_alice);
    let expected: Vec<_> = (0..10).map(|day| format!("day {day}")).collect();
    assert_eq!(texts, expected);
    // What was read to the end leaves the wish.
    pair.world.run(10_000);
    assert!(
        pair.world.wished_mailboxes(pair.bob) <= 3,
        "{}",
        pair.world.wished_mailboxes(pair.bob)
    );
}

#[test]
fn friends_who_are_away_for_longer_than_addresses_live_find_each_other() {
    let mut pair = Pair::new(411).linked();
    pair.world.crash(pair.alice);
    pair.world.crash(pair.bob);
    pair.world.run(90 * 86_400_000);
    pair.world.start(pair.alice);
    pair.world.say(pair.alice, pair.to_bob, "long time no see");
    pair.world.run(5_000);
    pair.world.start(pair.bob);
    pair.settle(60_000);
    assert_eq!(
        pair.world.node(pair.bob).texts(pair.to_alice),
        ["long time no see"]
    );
}

#[test]
fn no_name_that_keepers_and_sky_see_recurs_in_a_later_epoch() {
    let mut world = World::new(412, 6);
    world.weather.direct = false;
    let mut pair = Pair::in_world(world);
    let mut seen: Vec<BTreeSet<[u8; 32]>> = Vec::new();
    for day in 0..4 {
        pair.world.say(pair.alice, pair.to_bob, &format!("{day}"));
        pair.world.say(pair.bob, pair.to_alice, &format!("{day}"));
        pair.world.run(30_000);
        seen.push(pair.world.take_names_seen());
        pair.world.run(86_400_000 - 30_000);
        pair.world.take_names_seen();
    }
    for (day, names) in seen.iter().enumerate() {
        assert!(names.len() > 6, "something was seen");
        for later in &seen[day + 1..] {
            assert!(names.is_disjoint(later), "day {day}");
        }
    }
}

#[test]
fn a_clock_that_jumps_costs_nothing_but_time() {
    for jump_ms in [
        400 * 86_400_000_i64,
        -300 * 86_400_000,
        3_000_000,
        -3_000_000,
    ] {
        let mut pair = Pair::new(413).linked();
        pair.world.say(pair.alice, pair.to_bob, "before");
        pair.settle(5_000);
        pair.world.shift_wall_clock(jump_ms);
        pair.world.run(600_000);
        pair.world.say(pair.alice, pair.to_bob, "elsewhen");
        pair.world.run(600_000);
        pair.world.shift_wall_clock(-jump_ms);
        pair.world.run(600_000);
        pair.world.crash(pair.bob);
        pair.world.run(5_000);
        pair.world.say(pair.alice, pair.to_bob, "after");
        pair.world.run(5_000);
        pair.world.start(pair.bob);
        pair.settle(120_000);
        let texts = pair.world.node(pair.bob).texts(pair.to_alice);
        assert_eq!(
            texts,
            ["before", "elsewhen", "after"],
            "jump of {jump_ms} ms"
        );
    }
}

#[test]
fn friends_whose_clocks_differ_find_each_other_around_an_edge() {
    for skew_ms in [-1_800_000, -60_000, 60_000, 1_800_000] {
        let mut world = World::new(414, 6);
        // Half an hour before the next epoch.
        let to_edge = 86_400_000 - 40_000_000 - 1_800_000;
        world.run(to_edge);
        let mut pair = Pair::in_world(world).linked();
        pair.world.skew(pair.bob, skew_ms);
        pair.world.break_links(pair.alice);
        for n in 0..30 {
            pair.world.say(pair.alice, pair.to_bob, &format!("{n}"));
            pair.world.say(pair.bob, pair.to_alice, &format!("{n}"));
            pair.world.break_links(pair.alice);
            pair.world.run(120_000);
        }
        pair.settle(600_000);
        assert_eq!(
            pair.world.node(pair.bob).texts(pair.to_alice).len(),
            30,
            "skew {skew_ms}"
        );
        assert_eq!(
            pair.world.node(pair.alice).texts(pair.to_bob).len(),
            30,
            "skew {skew_ms}"
        );
    }
}
