//! Whatever peers send, the worst that follows is nothing.

use hermes_wire::{
    ids::{MailboxId, MessageId, PresenceKey},
    packet::{AckRanges, FIRST_DEVICE, Frame, FrameKind, Packet},
};
use proptest::{prelude::*, test_runner::Config};

use super::Pair;
use crate::{
    Effect, KnockResult, Output,
    proto::{
        DepositOp, IncomingKnockId, KnockOp, LinkId, LinkToken, effect::Reading, event::Event,
    },
    testing::World,
};

fn frame(kind: u8, conv_seq: u64, body: Vec<u8>) -> Frame {
    Frame {
        kind: FrameKind::from(kind),
        critical: false,
        conv_seq,
        msg_id: MessageId([1; 16]),
        sent_at: u64::MAX,
        body,
    }
}

fn ranges(first: u64, last: u64) -> AckRanges {
    let mut set = AckRanges::new();
    set.insert(first);
    if last > first {
        set.insert(last);
    }
    set
}

/// Bob forges a packet, and Alice gets it.
fn forge(pair: &mut Pair, packet: &Packet) {
    let (bob, to_alice, alice) = (pair.bob, pair.to_alice, pair.alice);
    let link = pair.world.link_of(alice, pair.to_bob);
    let bytes = pair.world.call(bob, |core, _| core.forge(to_alice, packet));
    pair.world.call(alice, |core, now| {
        core.handle_link_packet(link, &bytes, now)
    });
}

#[test]
fn a_friend_who_sends_nonsense_harms_only_himself() {
    let mut pair = Pair::new(800).linked();
    let extremes = [
        0,
        1,
        2,
        3,
        1 << 20,
        (1 << 62) - 1,
        1 << 62,
        u64::MAX - 1,
        u64::MAX,
    ];
    for conv_seq in extremes {
        for floor in extremes {
            let packet = Packet {
                device: FIRST_DEVICE,
                floor,
                acks: ranges(conv_seq, floor),
                frames: (0..0x41)
                    // A farewell would end it too early.
                    .filter(|kind| *kind != 5)
                    .map(|kind| frame(kind, conv_seq.saturating_add(kind.into()), vec![kind; 40]))
                    .collect(),
            };
            forge(&mut pair, &packet);
            pair.world.run(10);
        }
    }
    pair.world.run(700_000);
    // Alice still runs, loads, and talks with others.
    let (alice, carol) = (pair.alice, pair.world.add("carol"));
    pair.world.crash(alice);
    pair.world.start(alice);
    let (to_carol, from_carol) = pair.world.befriend(alice, carol);
    pair.world.say(alice, to_carol, "fine");
    pair.world.run(3_000);
    assert_eq!(pair.world.node(carol).texts(from_carol), ["fine"]);
}

#[test]
fn a_packet_of_another_device_is_passed_over() {
    let mut pair = Pair::new(801).linked();
    let packet = Packet {
        device: 2,
        floor: 1,
        acks: AckRanges::new(),
        frames: vec![frame(0x20, 5, b"hello".to_vec())],
    };
    forge(&mut pair, &packet);
    assert!(pair.world.node(pair.alice).texts(pair.to_bob).is_empty());
}

#[test]
fn unnumbered_frames_are_shown_and_never_acknowledged() {
    let mut pair = Pair::new(802).linked();
    pair.settle(1_000);
    let packet = Packet {
        device: FIRST_DEVICE,
        floor: 1,
        acks: AckRanges::new(),
        frames: vec![frame(0x26, 0, Vec::new()), frame(0x26, 0, Vec::new())],
    };
    forge(&mut pair, &packet);
    let shown = pair
        .world
        .node(pair.alice)
        .received()
        .filter(|r| r.conv_seq == 0)
        .count();
    assert_eq!(shown, 2);
}

#[test]
fn a_friend_who_knocks_all_the_time_is_answered_a_few_times() {
    let mut pair = Pair::new(803).linked();
    let (alice, bob, to_alice) = (pair.alice, pair.bob, pair.to_alice);
    // Bob's knocks are taken from a program that is started again and again.
    let mut expected = 0;
    for _ in 0..12 {
        pair.world.crash(bob);
        pair.world.start(bob);
        pair.world.weather.direct = false;
        pair.world.run(300);
        expected = expected.max(pair.world.expected_links(alice));
    }
    assert!((1..=4).contains(&expected), "{expected} at once");
    pair.world.weather.direct = true;
    pair.world.run(120_000);
    pair.world.say(bob, to_alice, "patience pays");
    pair.settle(60_000);
}

#[test]
fn receipts_that_do_not_hold_do_not_count() {
    let mut pair = Pair::new(804).linked();
    let (alice, to_bob) = (pair.alice, pair.to_bob);
    pair.world.crash(pair.bob);
    (0..6).for_each(|keeper| pair.world.stop_keeper(keeper));
    pair.world.run(3_000);
    pair.world.say(alice, to_bob, "to nobody");
    pair.world.run(3_000);
    // A keeper that is real keeps something else, and its receipt is offered for ours.
    let (other, receipt) = {
        let mut elsewhere = Pair::new(805).linked();
        elsewhere.world.crash(elsewhere.bob);
        elsewhere.world.run(3_000);
        elsewhere
            .world
            .say(elsewhere.alice, elsewhere.to_bob, "kept");
        elsewhere.world.run(3_000);
        (
            elsewhere.world.network().clone(),
            elsewhere.world.any_receipt(),
        )
    };
    assert_eq!(&other, pair.world.network());
    for op in 0..50 {
        for bytes in [&receipt[..], &receipt[..40], &[]] {
            pair.world.call(alice, |core, now| {
                core.handle_receipt(DepositOp(op), bytes, now)
            });
        }
    }
    let kept = pair.world.node(alice).events.iter().any(|event| {
        matches!(
            event,
            Event::Sent {
                state: crate::proto::event::SendState::Kept { .. },
                ..
            }
        )
    });
    assert!(!kept);
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn garbage_at_every_input_changes_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        number in 0..20_u64,
        id in any::<[u8; 32]>(),
    ) {
        let mut pair = Pair::new(810).linked();
        let (alice, to_bob) = (pair.alice, pair.to_bob);
        let link = pair.world.link_of(alice, to_bob);
        let wished = pair.world.any_mailbox(alice);
        pair.world.call(alice, |core, now| {
            while core.poll_output().is_some() {}
            for link in [link, LinkId(number)] {
                core.handle_link_packet(link, &bytes, now);
            }
            for mailbox in [wished, MailboxId(id)] {
                core.handle_deposits(mailbox, &[bytes.clone(), Vec::new()], now);
                core.handle_fetched(mailbox, Reading::Once, true, now);
            }
            core.handle_receipt(DepositOp(number), &bytes, now);
            core.handle_knock_result(KnockOp(number), &KnockResult::Answered(Box::new([7; 512])), now);
            core.handle_link_up(LinkToken(number + 1_000), LinkId(number + 1_000), now);
            core.handle_dial_failed(LinkToken(number + 1_000), now);
            core.handle_deposit_ended(DepositOp(number), now);
            core.handle_link_down(LinkId(number + 1_000), now);
            let slot = bytes.first().copied().unwrap_or_default();
            core.handle_incoming_knock(IncomingKnockId(1), PresenceKey(id), slot, [0; 16], &bytes, now);
            let mut answered = 0;
            while let Some(output) = core.poll_output() {
                match output {
                    Output::Effect(Effect::AnswerKnock { answer: None, .. }) => answered += 1,
                    Output::Effect(Effect::CloseLink { link }) => assert_eq!(link, LinkId(number + 1_000)),
                    Output::Write(_) => {}
                    other => panic!("unexpected: {other:?}"),
                }
            }
            assert_eq!(answered, 1);
        });
        pair.world.say(alice, to_bob, "unimpressed");
        pair.settle(5_000);
    }
}

#[test]
fn a_garbled_presence_answer_is_a_failed_knock() {
    let mut world = World::new(820, 6);
    world.weather.direct = false;
    let mut pair = Pair::in_world(world);
    pair.world.say(pair.alice, pair.to_bob, "x");
    let (alice, to_bob) = (pair.alice, pair.to_bob);
    for op in 0..200 {
        let garbled = KnockResult::Answered(Box::new([op as u8; 512]));
        pair.world.call(alice, |core, now| {
            core.handle_knock_result(KnockOp(op), &garbled, now)
        });
    }
    pair.settle(10_000);
    assert!(!pair.world.is_linked(alice, to_bob));
}
