//! Messages for somebody who is away.

use super::{Pair, accepted, shown};
use crate::{
    proto::event::{Event, Order, SendState, Waiting},
    testing::World,
};

/// Alice sends 200 messages to Bob, who is off, one after the other; then she goes as well.
fn send_to_absent(pair: &mut Pair, between: impl Fn(&mut World, usize)) -> Vec<String> {
    pair.world.crash(pair.bob);
    pair.world.run(3_000);
    let texts: Vec<String> = (0..200).map(|n| format!("message {n}")).collect();
    for (n, text) in texts.iter().enumerate() {
        between(&mut pair.world, n);
        pair.world.say(pair.alice, pair.to_bob, text);
        pair.world.run(40);
    }
    pair.world.run(20_000);
    pair.world.crash(pair.alice);
    texts
}

#[test]
fn two_hundred_messages_survive_two_lost_keepers() {
    let mut pair = Pair::new(10).linked();
    let texts = send_to_absent(&mut pair, |world, n| {
        if n == 120 {
            world.stop_keeper(0);
            world.stop_keeper(1);
        }
    });
    assert!(pair.world.kept_deposits() > 200);
    pair.world.start(pair.bob);
    pair.world.run(10_000);
    assert_eq!(pair.world.node(pair.bob).texts(pair.to_alice), texts);
}

#[test]
fn keepers_that_missed_the_first_half_do_not_make_the_rest_unreadable() {
    // Keepers that come back hold only later messages, and hand them out first.
    for seed in 11..16 {
        let mut pair = Pair::new(seed).linked();
        let texts = send_to_absent(&mut pair, |world, n| match n {
            0 => (0..3).for_each(|keeper| world.stop_keeper(keeper)),
            100 => (0..3).for_each(|keeper| world.start_keeper(keeper)),
            _ => {}
        });
        pair.world.weather.latency_ms = (1, 400);
        pair.world.start(pair.bob);
        pair.world.run(30_000);
        assert_eq!(
            pair.world.node(pair.bob).texts(pair.to_alice),
            texts,
            "seed {seed}"
        );
    }
}

#[test]
fn all_arrive_when_sender_and_receiver_return_together() {
    for seed in 20..24 {
        let mut pair = Pair::new(seed).linked();
        let texts = send_to_absent(&mut pair, |_, _| {});
        pair.world.weather.latency_ms = (1, 60);
        pair.world.start(pair.alice);
        pair.world.start(pair.bob);
        pair.settle(30_000);
        assert_eq!(
            pair.world.node(pair.bob).texts(pair.to_alice),
            texts,
            "seed {seed}"
        );
        assert_eq!(
            accepted(&pair.world, pair.alice, pair.to_bob),
            shown(&pair.world, pair.bob, pair.to_alice)
        );
    }
}

#[test]
fn with_too_few_keepers_a_message_waits_and_says_why() {
    let mut pair = Pair::in_world(World::new(30, 6)).linked();
    pair.world.crash(pair.bob);
    (0..4).for_each(|keeper| pair.world.stop_keeper(keeper));
    pair.world.run(3_000);
    let sent = pair.world.say(pair.alice, pair.to_bob, "two keepers only");
    pair.world.run(3_000);
    let held = Some(Waiting::Keepers {
        held_by: 2,
        wanted: 3,
    });
    assert_eq!(
        pair.world
            .node(pair.alice)
            .states_of(pair.to_bob, sent.conv_seq),
        [
            SendState::Queued { why: None },
            SendState::Queued { why: held }
        ]
    );
    // It is delivered all the same when the friend comes.
    (0..4).for_each(|keeper| pair.world.start_keeper(keeper));
    pair.world.run(60_000);
    let state = pair
        .world
        .node(pair.alice)
        .state_of(pair.to_bob, sent.conv_seq);
    assert!(
        matches!(
            state,
            Some(SendState::Kept {
                receipts: 5,
                of: 5,
                ..
            })
        ),
        "{state:?}"
    );
}

#[test]
fn deposits_are_deleted_after_they_were_read() {
    let mut pair = Pair::new(31).linked();
    send_to_absent(&mut pair, |_, _| {});
    pair.world.start(pair.bob);
    pair.world.run(5_000);
    pair.world.start(pair.alice);
    pair.settle(10_000);
    pair.world.run(5_000);
    assert_eq!(pair.world.kept_deposits(), 0);
    // Nothing is left in the sender's tables either.
    let rows = pair.world.node(pair.alice).rows();
    let left: Vec<_> = rows
        .keys()
        .filter(|(table, _)| table.name().starts_with("deposit"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_is_not_acknowledged_is_deposited_anew() {
    let mut pair = Pair::new(32).linked();
    pair.world.crash(pair.bob);
    pair.world.run(3_000);
    let sent = pair.world.say(pair.alice, pair.to_bob, "patience");
    pair.world.run(10_000);
    let before = pair.world.kept_deposits();
    assert!(before >= 5);
    pair.world.run(86_400_000);
    assert!(
        pair.world.kept_deposits() >= before + 5,
        "deposited again after a day"
    );
    let again = pair.world.kept_deposits();
    pair.world.run(3 * 86_400_000);
    assert_eq!(
        pair.world.kept_deposits(),
        again,
        "and then not while receipts live"
    );
    pair.world.run(14 * 86_400_000);
    assert!(
        pair.world.kept_deposits() > again,
        "but when they have run out"
    );
    pair.world.start(pair.bob);
    pair.settle(60_000);
    assert_eq!(pair.world.node(pair.bob).texts(pair.to_alice), ["patience"]);
    assert_eq!(
        pair.world
            .node(pair.alice)
            .state_of(pair.to_bob, sent.conv_seq),
        Some(SendState::Delivered)
    );
}

#[test]
fn a_message_expires_when_its_time_is_over() {
    let mut pair = Pair::new(33).linked();
    pair.world.crash(pair.bob);
    pair.world.run(3_000);
    let brief = crate::chat::text("brief", None, Some(600)).expect("a text");
    let (alice, to_bob) = (pair.alice, pair.to_bob);
    let sent = pair
        .world
        .call(alice, |core, now| core.send(to_bob, brief, now))
        .expect("accepted");
    pair.world.run(590_000);
    let state = pair.world.node(alice).state_of(to_bob, sent.conv_seq);
    assert!(matches!(state, Some(SendState::Kept { .. })), "{state:?}");
    pair.world.run(20_000);
    assert_eq!(
        pair.world.node(alice).state_of(to_bob, sent.conv_seq),
        Some(SendState::Expired)
    );
    pair.world.say(alice, to_bob, "lasting");
    pair.world.run(10_000);
    pair.world.start(pair.bob);
    pair.settle(60_000);
    let texts = pair.world.node(pair.bob).texts(pair.to_alice);
    assert!(texts.ends_with(&["lasting".to_owned()]), "{texts:?}");
}

#[test]
fn what_was_pushed_into_a_dying_link_is_deposited() {
    let mut pair = Pair::new(34).linked();
    pair.world.crash(pair.bob);
    // Alice does not know yet.
    let sent = pair.world.say(pair.alice, pair.to_bob, "into the void");
    pair.world.run(10_000);
    let state = pair
        .world
        .node(pair.alice)
        .state_of(pair.to_bob, sent.conv_seq);
    assert!(matches!(state, Some(SendState::Kept { .. })), "{state:?}");
}

/// Two messages for Bob, who is off: the first lies with three keepers, the second with the three others.
fn parted(seed: u64) -> Pair {
    let mut pair = Pair::new(seed).linked();
    pair.world.weather.direct = false;
    pair.world.crash(pair.bob);
    pair.world.run(3_000);
    (3..6).for_each(|keeper| pair.world.stop_keeper(keeper));
    pair.world.say(pair.alice, pair.to_bob, "first");
    pair.world.run(2_000);
    (3..6).for_each(|keeper| pair.world.start_keeper(keeper));
    (0..3).for_each(|keeper| pair.world.stop_keeper(keeper));
    pair.world.say(pair.alice, pair.to_bob, "second");
    pair.world.run(2_000);
    pair.world.crash(pair.alice);
    pair.world.start(pair.bob);
    pair.world.run(10_000);
    assert!(pair.world.node(pair.bob).texts(pair.to_alice).is_empty());
    pair
}

#[test]
fn a_message_beyond_a_gap_waits_for_the_gap_also_over_a_restart() {
    let mut pair = parted(35);
    pair.world.crash(pair.bob);
    pair.world.start(pair.bob);
    pair.world.run(10_000);
    assert!(pair.world.node(pair.bob).texts(pair.to_alice).is_empty());
    (0..3).for_each(|keeper| pair.world.start_keeper(keeper));
    pair.world.run(10_000);
    assert_eq!(
        pair.world.node(pair.bob).texts(pair.to_alice),
        ["first", "second"]
    );
}

#[test]
fn a_gap_is_told_after_a_while_and_what_was_missing_is_late() {
    let mut pair = parted(36);
    pair.world.crash(pair.bob);
    pair.world.start(pair.bob);
    pair.world.run(620_000);
    assert_eq!(pair.world.node(pair.bob).texts(pair.to_alice), ["second"]);
    let gaps: Vec<_> = pair
        .world
        .node(pair.bob)
        .events
        .iter()
        .filter(|event| matches!(event, Event::Gap { missing: 1, .. }))
        .collect();
    assert_eq!(gaps.len(), 1);
    (0..3).for_each(|keeper| pair.world.start_keeper(keeper));
    pair.world.run(10_000);
    let orders: Vec<_> = pair
        .world
        .node(pair.bob)
        .received()
        .map(|r| r.order)
        .collect();
    assert_eq!(orders, [Order::InOrder, Order::Late]);
}

#[test]
fn a_link_that_brings_no_acknowledgements_is_helped_by_keepers_and_then_given_up() {
    let mut pair = Pair::new(37).linked();
    // Bob's machine loses power: nobody tells Alice.
    pair.world.vanish(pair.bob);
    let sent = pair.world.say(pair.alice, pair.to_bob, "anybody?");
    pair.world.run(2_500);
    let state = pair
        .world
        .node(pair.alice)
        .state_of(pair.to_bob, sent.conv_seq);
    assert!(matches!(state, Some(SendState::Kept { .. })), "{state:?}");
    assert!(pair.world.is_linked(pair.alice, pair.to_bob));
    let later = pair.world.say(pair.alice, pair.to_bob, "well then");
    pair.world.run(100);
    let state = pair
        .world
        .node(pair.alice)
        .state_of(pair.to_bob, later.conv_seq);
    assert!(matches!(state, Some(SendState::Kept { .. })), "{state:?}");
    pair.world.run(40_000);
    assert!(!pair.world.is_linked(pair.alice, pair.to_bob));
    pair.world.start(pair.bob);
    pair.settle(5_000);
    assert_eq!(
        pair.world.node(pair.bob).texts(pair.to_alice),
        ["anybody?", "well then"]
    );
}
