//! The main network: delays that keep observers from linking events, and nothing lost by them.

use hermes_wire::Network;

use super::{Pair, accepted, shown};
use crate::{
    proto::{
        ContactState,
        event::{Event, SendState},
    },
    testing::World,
};

fn pair(seed: u64, direct: bool) -> Pair {
    let mut world = World::with_network(seed, 12, Network::main());
    world.weather.direct = direct;
    let (alice, bob) = (world.add("alice"), world.add("bob"));
    let link = world.invite(alice, false);
    let to_alice = world.accept(bob, &link);
    let done = world.run_until(3_600_000, |w| {
        let alices = w.core(alice).contacts().next();
        alices.is_some_and(|c| c.state == ContactState::Established)
            && w.is_established(bob, to_alice)
    });
    assert!(done, "not established within an hour");
    let to_bob = world.core(alice).contacts().next().expect("one").id;
    Pair {
        world,
        alice,
        bob,
        to_bob,
        to_alice,
    }
}

#[test]
fn messages_through_keepers_wait_a_random_while_and_share_deposits() {
    let mut pair = pair(900, false);
    pair.settle(6 * 3_600_000);
    pair.world.crash(pair.bob);
    pair.world.run(60_000);
    let before = pair.world.kept_deposits();
    let start = pair.world.now_ms();
    let mut first_kept = None;
    for n in 0..100 {
        pair.world.say(pair.alice, pair.to_bob, &format!("{n}"));
        pair.world.run(1_000);
        let is_kept = |e: &Event| {
            matches!(
                e,
                Event::Sent {
                    state: SendState::Kept { .. },
                    ..
                }
            )
        };
        if first_kept.is_none() && pair.world.node(pair.alice).events.iter().any(is_kept) {
            first_kept = Some(pair.world.now_ms() - start);
        }
    }
    pair.world.run(60_000);
    let deposits = (pair.world.kept_deposits() - before) / 5;
    assert!(
        (3..40).contains(&deposits),
        "{deposits} deposits for 100 messages"
    );
    assert!(first_kept.is_some_and(|ms| ms <= 33_000), "{first_kept:?}");
    pair.world.start(pair.bob);
    pair.settle(12 * 3_600_000);
    assert_eq!(
        shown(&pair.world, pair.bob, pair.to_alice),
        accepted(&pair.world, pair.alice, pair.to_bob)
    );
}

#[test]
fn acknowledgements_through_keepers_are_delayed_and_over_links_are_not() {
    let mut by_keepers = pair(901, false);
    by_keepers.settle(6 * 3_600_000);
    let sent = by_keepers
        .world
        .say(by_keepers.alice, by_keepers.to_bob, "slowly");
    let shown_after = time_until(&mut by_keepers, |pair| {
        pair.world.node(pair.bob).texts(pair.to_alice) == ["slowly"]
    });
    let confirmed_after = shown_after
        + time_until(&mut by_keepers, |pair| {
            pair.world
                .node(pair.alice)
                .state_of(pair.to_bob, sent.conv_seq)
                == Some(SendState::Delivered)
        });
    assert!(shown_after < 120_000, "{shown_after} ms");
    assert!(
        confirmed_after > shown_after + 1_000,
        "{confirmed_after} ms"
    );

    let mut direct = pair(902, true).linked();
    direct.settle(60_000);
    direct.world.say(direct.alice, direct.to_bob, "at once");
    direct.settle(100);
}

fn time_until(pair: &mut Pair, is_so: impl Fn(&Pair) -> bool) -> u64 {
    let start = pair.world.now_ms();
    while !is_so(pair) {
        pair.world.run(500);
        assert!(pair.world.now_ms() - start < 12 * 3_600_000, "never");
    }
    pair.world.now_ms() - start
}

#[test]
fn friends_find_each_other_at_every_time_of_the_day() {
    let mut pair = pair(903, true);
    for quarter in 0..100 {
        pair.world.run(900_000);
        pair.world.break_links(pair.alice);
        pair.world.run(1_000);
        let sides = pair.both();
        let up = pair
            .world
            .run_until(30_000, |w| sides.iter().all(|(n, c)| w.is_linked(*n, *c)));
        assert!(up, "quarter of an hour {quarter}");
    }
}
