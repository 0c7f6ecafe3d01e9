//! Two people talk: directly, and through keepers.

use crate::{
    proto::event::SendState,
    testing::{CrashPoint, World},
};

#[test]
fn an_invite_makes_two_contacts() {
    let mut world = World::new(1, 6);
    let (alice, bob) = (world.add("alice"), world.add("bob"));
    let (to_bob, to_alice) = world.befriend(alice, bob);
    assert_eq!(
        world.core(alice).contact(to_bob).expect("there").name,
        "bob"
    );
    assert_eq!(
        world.core(bob).contact(to_alice).expect("there").their_name,
        "alice"
    );
    assert_eq!(
        world.core(alice).safety_number(to_bob),
        world.core(bob).safety_number(to_alice)
    );
}

#[test]
fn a_direct_exchange() {
    let mut world = World::new(2, 6);
    let (alice, bob) = (world.add("alice"), world.add("bob"));
    let (to_bob, to_alice) = world.befriend(alice, bob);
    assert!(world.run_until(5_000, |w| w.is_linked(alice, to_bob)
        && w.is_linked(bob, to_alice)));
    let sent = world.say(alice, to_bob, "hello");
    world.run(100);
    assert_eq!(world.node(bob).texts(to_alice), ["hello"]);
    assert_eq!(
        world.node(alice).states_of(to_bob, sent.conv_seq),
        [SendState::Queued { why: None }, SendState::Delivered]
    );
    world.say(bob, to_alice, "hello yourself");
    world.run(100);
    assert_eq!(world.node(alice).texts(to_bob), ["hello yourself"]);
}

#[test]
fn messages_for_an_absent_friend_are_kept() {
    let mut world = World::new(3, 6);
    let (alice, bob) = (world.add("alice"), world.add("bob"));
    let (to_bob, to_alice) = world.befriend(alice, bob);
    world.run(5_000);
    world.crash(bob);
    world.run(5_000);
    let sent = world.say(alice, to_bob, "are you there?");
    world.run(5_000);
    let state = world.node(alice).state_of(to_bob, sent.conv_seq);
    assert!(
        matches!(
            state,
            Some(SendState::Kept {
                receipts: 3..=5,
                of: 5,
                ..
            })
        ),
        "{state:?}"
    );
    world.crash(alice);
    world.start(bob);
    world.run(5_000);
    assert_eq!(world.node(bob).texts(to_alice), ["are you there?"]);
    world.start(alice);
    assert!(
        world.run_until(5_000, |w| w.node(alice).state_of(to_bob, sent.conv_seq)
            == Some(SendState::Delivered))
    );
    let _ = CrashPoint::BeforeCommit;
}
