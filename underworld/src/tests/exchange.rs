//! Two people talk while both are there.

use super::Pair;
use crate::{
    chat,
    proto::{
        effect::Effect,
        event::{LinkState, SendState, Via},
        output::Output,
    },
    testing::World,
};

#[test]
fn an_invite_makes_two_contacts_within_two_seconds() {
    for seed in 1..5 {
        let pair = Pair::new(seed);
        let world = &pair.world;
        assert!(world.now_ms() < 2_000);
        assert_eq!(
            world
                .core(pair.alice)
                .contact(pair.to_bob)
                .expect("there")
                .name,
            "bob"
        );
        assert_eq!(
            world
                .core(pair.bob)
                .contact(pair.to_alice)
                .expect("there")
                .name,
            "alice"
        );
        let numbers = [
            world
                .core(pair.alice)
                .safety_number(pair.to_bob)
                .expect("known"),
            world
                .core(pair.bob)
                .safety_number(pair.to_alice)
                .expect("known"),
        ];
        assert_eq!(numbers[0], numbers[1]);
    }
}

#[test]
fn a_direct_exchange() {
    let mut pair = Pair::new(2).linked();
    let sent = pair.world.say(pair.alice, pair.to_bob, "hello");
    pair.world.run(20);
    let received = pair
        .world
        .node(pair.bob)
        .received()
        .last()
        .expect("one")
        .clone();
    assert_eq!((received.msg_id, received.via), (sent.msg_id, Via::Link));
    assert_eq!(
        pair.world
            .node(pair.alice)
            .states_of(pair.to_bob, sent.conv_seq),
        [SendState::Queued { why: None }, SendState::Delivered]
    );
    pair.world.say(pair.bob, pair.to_alice, "hello yourself");
    pair.world.run(20);
    assert_eq!(
        pair.world.node(pair.alice).texts(pair.to_bob),
        ["hello yourself"]
    );
    assert_eq!(pair.world.kept_deposits(), 0);
}

#[test]
fn many_messages_of_one_cycle_share_packets() {
    let mut pair = Pair::new(3).linked();
    let (alice, to_bob) = (pair.alice, pair.to_bob);
    let (packets, writes) = pair.world.call(alice, |core, now| {
        while core.poll_output().is_some() {}
        for n in 0..1_000 {
            core.send(
                to_bob,
                chat::text(&format!("{n}"), None, None).expect("a text"),
                now,
            )
            .expect("accepted");
        }
        let (mut packets, mut writes) = (0, 0);
        while let Some(output) = core.poll_output() {
            match output {
                Output::Effect(Effect::SendLink { .. }) => packets += 1,
                Output::Write(_) => writes += 1,
                _ => {}
            }
        }
        (packets, writes)
    });
    assert_eq!(packets, 2, "512 and 488 frames");
    assert!(
        writes <= 1_000 + 5,
        "one row a message and a few for the contact, not {writes}"
    );
}

#[test]
fn thousands_of_messages_one_way_are_acknowledged_within_the_window() {
    let mut pair = Pair::new(4).linked();
    let (alice, to_bob) = (pair.alice, pair.to_bob);
    for burst in 0..20 {
        pair.world.call(alice, |core, now| {
            for n in 0..500 {
                let text = format!("{burst}/{n}");
                core.send(to_bob, chat::text(&text, None, None).expect("a text"), now)
                    .expect("accepted");
            }
        });
        pair.world.run(1);
    }
    pair.settle(5_000);
    let texts = pair.world.node(pair.bob).texts(pair.to_alice);
    let expected: Vec<_> = (0..10_000)
        .map(|n| format!("{}/{}", n / 500, n % 500))
        .collect();
    assert_eq!(texts, expected);
}

#[test]
fn a_broken_link_is_made_again_and_nothing_is_lost() {
    let mut pair = Pair::new(5).linked();
    for n in 0..20 {
        pair.world.say(pair.alice, pair.to_bob, &format!("a{n}"));
        pair.world.say(pair.bob, pair.to_alice, &format!("b{n}"));
        if n % 4 == 0 {
            pair.world.break_links(pair.alice);
        }
        pair.world.run(300);
    }
    pair.settle(30_000);
    let expected = |who: char| (0..20).map(|n| format!("{who}{n}")).collect::<Vec<_>>();
    assert_eq!(
        pair.world.node(pair.bob).texts(pair.to_alice),
        expected('a')
    );
    assert_eq!(
        pair.world.node(pair.alice).texts(pair.to_bob),
        expected('b')
    );
    pair.linked();
}

#[test]
fn friends_who_start_at_the_same_time_find_each_other() {
    for seed in 50..60 {
        let mut pair = Pair::new(seed).linked();
        pair.world.crash(pair.alice);
        pair.world.crash(pair.bob);
        pair.world.run(60_000);
        pair.world.start(pair.alice);
        pair.world.start(pair.bob);
        let sides = pair.both();
        let up = pair.world.run_until(200, |w| {
            sides
                .iter()
                .all(|(node, contact)| w.is_linked(*node, *contact))
        });
        assert!(up, "seed {seed}");
        // Whatever links they made, one stays, the same for both.
        pair.world.run(3_000);
        for (node, contact) in sides {
            assert!(pair.world.is_linked(node, contact), "seed {seed}");
        }
        pair.world.say(pair.alice, pair.to_bob, "one");
        pair.world.run(50);
        assert_eq!(
            pair.world.node(pair.bob).texts(pair.to_alice),
            ["one"],
            "seed {seed}"
        );
    }
}

#[test]
fn without_direct_links_messages_go_through_keepers_both_ways() {
    let mut world = World::new(6, 6);
    world.weather.direct = false;
    let mut pair = Pair::in_world(world);
    for n in 0..10 {
        pair.world.say(pair.alice, pair.to_bob, &format!("a{n}"));
        pair.world.say(pair.bob, pair.to_alice, &format!("b{n}"));
        pair.world.run(500);
    }
    pair.settle(30_000);
    assert_eq!(pair.world.node(pair.bob).texts(pair.to_alice).len(), 10);
    assert_eq!(pair.world.node(pair.alice).texts(pair.to_bob).len(), 10);
    assert_eq!(
        pair.world
            .core(pair.alice)
            .contact(pair.to_bob)
            .expect("there")
            .link,
        LinkState::Down
    );
}

#[test]
fn read_marks_coalesce_while_they_wait() {
    let mut pair = Pair::new(7).linked();
    pair.world.crash(pair.bob);
    pair.world.run(3_000);
    let (alice, to_bob) = (pair.alice, pair.to_bob);
    let marks = pair.world.call(alice, |core, now| {
        [3, 5, 9].map(|n| {
            core.send(to_bob, chat::read_up_to(n), now)
                .expect("accepted")
                .conv_seq
        })
    });
    assert!(marks.iter().all(|seq| *seq == marks[0]), "{marks:?}");
    pair.world.run(3_000);
    let later = pair.world.call(alice, |core, now| {
        core.send(to_bob, chat::read_up_to(12), now)
            .expect("accepted")
    });
    assert_ne!(
        later.conv_seq, marks[0],
        "a mark that was encrypted stays as it is"
    );
    pair.world.start(pair.bob);
    pair.settle(30_000);
    let read: Vec<_> = pair
        .world
        .node(pair.bob)
        .received()
        .map(chat::read)
        .collect();
    assert_eq!(
        read,
        [
            chat::Message::Read { up_to: 9 },
            chat::Message::Read { up_to: 12 }
        ]
    );
}

#[test]
fn two_who_know_no_address_do_not_knock_without_end() {
    let mut pair = Pair::new(178).linked();
    // Refusals arrive before the knocks that follow from them.
    pair.world.weather.latency_ms = (1, 1);
    for node in [pair.alice, pair.bob] {
        pair.world
            .call(node, |core, now| core.handle_candidates(&[], now));
    }
    pair.world.break_links(0);
    pair.world.stop_keeper(0);
    pair.world.weather.loss_percent = 0;
    (0..6).for_each(|keeper| pair.world.stop_keeper(keeper));
    // Both have something that waits.
    pair.world.say(pair.alice, pair.to_bob, "through keepers");
    pair.world.say(pair.bob, pair.to_alice, "through keepers");
    pair.world.run(60_000);
    (0..6).for_each(|keeper| pair.world.start_keeper(keeper));
    let before = pair.world.node(pair.bob).cycles;
    pair.settle(60_000);
    pair.world.run(60_000);
    let cycles = pair.world.node(pair.bob).cycles - before;
    assert!(cycles < 200, "{cycles} cycles in two minutes");
    assert_eq!(pair.world.node(pair.bob).texts(pair.to_alice).len(), 1);
}

#[test]
fn who_knows_no_address_of_his_own_dials_the_friend_who_knocks() {
    for seed in 170..178 {
        let mut pair = Pair::new(seed).linked();
        let (alice, bob, to_bob) = (pair.alice, pair.bob, pair.to_bob);
        // Both have knocked in vain and have nothing to say.
        pair.world.weather.direct = false;
        pair.world.break_links(0);
        pair.world.run(60_000);
        assert!(!pair.world.is_linked(alice, to_bob));
        pair.world.weather.direct = true;
        pair.world
            .call(bob, |core, now| core.handle_candidates(&[], now));
        // Alice starts anew and greets.
        pair.world.crash(alice);
        pair.world.run(1_000);
        pair.world.start(alice);
        let up = pair.world.run_until(5_000, |w| w.is_linked(alice, to_bob));
        assert!(up, "no link (seed {seed})");
    }
}
