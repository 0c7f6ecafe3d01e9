//! Invites: who may use them, and how often.

use super::Pair;
use crate::{
    proto::{
        AcceptError, ApproveError, ContactState, CreateInviteError, FailReason, InviteOptions,
        RevokeInviteError,
        event::{Alarm, Event, InviteState},
    },
    testing::{NodeId, World},
};
use hermes_wire::{Network, invite::InviteError};

fn try_accept(
    world: &mut World,
    node: NodeId,
    link: &str,
) -> Result<crate::ContactId, AcceptError> {
    world.call(node, |core, now| core.accept_invite(link, None, now))
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

#[test]
fn an_invite_that_asks_waits_for_approval() {
    let mut world = World::new(200, 6);
    let (alice, bob) = (world.add("alice"), world.add("bob"));
    let link = world.invite(alice, true);
    let to_alice = world.accept(bob, &link);
    world.run(5_000);
    let asked = world.core(alice).contacts().next().expect("a contact");
    assert_eq!(
        (asked.state, asked.name.as_str()),
        (ContactState::Asked, "bob")
    );
    assert_eq!(world.state(bob, to_alice), Some(ContactState::Requested));
    world.crash(alice);
    world.start(alice);
    world
        .call(alice, |core, now| {
            core.approve(asked.id, Some("bobby"), now)
        })
        .expect("approved");
    assert!(world.run_until(2_000, |w| w.is_established(alice, asked.id)
        && w.is_established(bob, to_alice)));
    assert_eq!(
        world.core(alice).contact(asked.id).expect("there").name,
        "bobby"
    );
    let again = world.call(alice, |core, now| core.approve(asked.id, None, now));
    assert_eq!(
        again,
        Err(ApproveError::NotAsked {
            state: ContactState::Established
        })
    );
}

#[test]
fn a_used_invite_is_refused_to_the_next() {
    let mut world = World::new(201, 6);
    let (alice, bob, eve) = (world.add("alice"), world.add("bob"), world.add("eve"));
    let link = world.invite(alice, false);
    let to_alice = world.accept(bob, &link);
    assert!(world.run_until(2_000, |w| w.is_established(bob, to_alice)));
    world.run(2_000);
    let invite = world.core(alice).invites().next().expect("one invite");
    assert!(matches!(invite.state, InviteState::Used(_)));
    let eves = world.accept(eve, &link);
    world.run(2_000);
    assert_eq!(
        world.state(eve, eves),
        Some(ContactState::Failed(FailReason::InviteUsed))
    );
    assert_eq!(world.core(alice).contacts().count(), 1);
}

#[test]
fn a_second_user_before_the_first_is_done_raises_an_alarm() {
    let mut world = World::new(202, 6);
    let (alice, bob, eve) = (world.add("alice"), world.add("bob"), world.add("eve"));
    let link = world.invite(alice, true);
    world.accept(bob, &link);
    world.run(1_000);
    let eves = world.accept(eve, &link);
    world.run(1_000);
    assert!(matches!(
        alarms(&world, alice)[..],
        [Alarm::InviteUsedTwice { .. }]
    ));
    assert_eq!(world.core(alice).contacts().count(), 1);
    assert_eq!(
        world.state(eve, eves),
        Some(ContactState::Requested),
        "not answered"
    );
    // When the invite is over, Eve learns that nothing came of it.
    let over = world.run_until(5 * 86_400_000, |w| {
        w.state(eve, eves) == Some(ContactState::Failed(FailReason::InviteExpired))
    });
    assert!(over);
}

#[test]
fn a_withdrawn_invite_is_refused() {
    let mut world = World::new(203, 6);
    let (alice, bob) = (world.add("alice"), world.add("bob"));
    let link = world.invite(alice, false);
    let id = world.core(alice).invites().next().expect("one").id;
    world
        .call(alice, |core, now| core.revoke_invite(id, now))
        .expect("open");
    let again = world.call(alice, |core, now| core.revoke_invite(id, now));
    assert_eq!(
        again,
        Err(RevokeInviteError::NotOpen {
            state: InviteState::Revoked
        })
    );
    world.run(100);
    let to_alice = world.accept(bob, &link);
    world.run(2_000);
    assert_eq!(
        world.state(bob, to_alice),
        Some(ContactState::Failed(FailReason::InviteUsed))
    );
    assert_eq!(world.core(alice).contacts().count(), 0);
}

#[test]
fn invites_that_cannot_be_accepted_say_why() {
    let mut world = World::new(204, 6);
    let (alice, bob) = (world.add("alice"), world.add("bob"));
    let link = world.invite(alice, false);
    assert_eq!(try_accept(&mut world, alice, &link), Err(AcceptError::Own));
    let garbage = try_accept(&mut world, bob, "hello");
    assert_eq!(garbage, Err(AcceptError::Invite(InviteError::NotAnInvite)));
    let cut = try_accept(&mut world, bob, &link[..link.len() - 8]);
    assert_eq!(cut, Err(AcceptError::Invite(InviteError::Truncated)));
    let mut elsewhere = World::with_network(205, 1, Network::main());
    let stranger = elsewhere.add("stranger");
    let foreign = elsewhere.invite(stranger, false);
    let refused = try_accept(&mut world, bob, &foreign);
    assert!(matches!(
        refused,
        Err(AcceptError::Invite(InviteError::ForeignNetwork { .. }))
    ));
    let contact = try_accept(&mut world, bob, &link.to_uppercase()).expect("case does not matter");
    assert_eq!(
        try_accept(&mut world, bob, &link),
        Err(AcceptError::Already { contact })
    );
    world.run(3 * 86_400_000);
    let carol = world.add("carol");
    let late = try_accept(&mut world, carol, &link);
    assert!(matches!(
        late,
        Err(AcceptError::Invite(InviteError::Expired { .. }))
    ));
    assert_eq!(world.core(carol).contacts().count(), 0);
}

#[test]
fn an_invitee_asks_again_in_each_epoch_until_the_inviter_comes() {
    let mut world = World::new(206, 6);
    let (alice, bob) = (world.add("alice"), world.add("bob"));
    let link = world.invite(alice, false);
    world.crash(alice);
    // All keepers of the first day forget: only what is deposited anew on the second can arrive.
    let to_alice = world.accept(bob, &link);
    world.run(2_000);
    let first_day = world.kept_deposits();
    world.run(86_400_000);
    assert!(
        world.kept_deposits() > first_day,
        "deposited again in the new epoch"
    );
    world.start(alice);
    assert!(world.run_until(5_000, |w| w.is_established(bob, to_alice)));
    assert_eq!(world.core(alice).contacts().count(), 1);
}

#[test]
fn an_inviter_who_was_away_answers_when_he_returns_and_the_invitee_is_away() {
    let mut world = World::new(207, 6);
    let (alice, bob) = (world.add("alice"), world.add("bob"));
    let link = world.invite(alice, false);
    world.crash(alice);
    let to_alice = world.accept(bob, &link);
    let queued = world.say(bob, to_alice, "written before you knew me");
    world.run(3_000);
    world.crash(bob);
    world.start(alice);
    world.run(20_000);
    let to_bob = world.core(alice).contacts().next().expect("made").id;
    assert_eq!(world.state(alice, to_bob), Some(ContactState::Accepted));
    world.crash(alice);
    world.start(bob);
    world.run(20_000);
    assert!(world.is_established(bob, to_alice));
    world.start(alice);
    world.run(20_000);
    assert!(world.is_established(alice, to_bob));
    assert_eq!(
        world.node(alice).texts(to_bob),
        ["written before you knew me"]
    );
    assert_eq!(queued.conv_seq, 1);
}

#[test]
fn a_full_circle_opens_a_second_one() {
    let mut world = World::new(208, 6);
    let alice = world.add("alice");
    let mut friends = Vec::new();
    for n in 0..66 {
        let friend = world.add(&format!("friend {n}"));
        friends.push((friend, world.befriend(alice, friend)));
        world.run(50);
        world.crash(friend);
    }
    for (friend, (to_friend, to_alice)) in [friends[0], friends[65]] {
        world.start(friend);
        assert!(world.run_until(5_000, |w| w.is_linked(friend, to_alice)));
        world.say(alice, to_friend, "for you alone");
        world.run(100);
        assert_eq!(world.node(friend).texts(to_alice), ["for you alone"]);
    }
    assert_eq!(world.core(alice).contacts().count(), 66);
}

#[test]
fn contacts_that_call_themselves_alike_get_different_names() {
    let mut world = World::new(209, 6);
    let (alice, bob, other) = (world.add("alice"), world.add("bob"), world.add("bob"));
    world.befriend(alice, bob);
    world.befriend(alice, other);
    let names: Vec<_> = world.core(alice).contacts().map(|c| c.name).collect();
    assert_eq!(names, ["bob", "bob 2"]);
}

#[test]
fn invites_have_limits() {
    let mut world = World::new(210, 6);
    let alice = world.add("alice");
    let options = |nodes, expires_in_s| InviteOptions {
        ask: false,
        expires_in_s,
        nodes,
    };
    let make = |world: &mut World, options| {
        world
            .call(alice, |core, now| core.create_invite(options, now))
            .err()
    };
    let none = make(&mut world, options(Vec::new(), None));
    assert_eq!(none, Some(CreateInviteError::Nodes { got: 0, max: 4 }));
    let long = make(
        &mut world,
        options(vec![crate::testing::entry()], Some(172_801)),
    );
    assert_eq!(
        long,
        Some(CreateInviteError::Expiry {
            got_s: 172_801,
            max_s: 172_800
        })
    );
    for _ in 0..crate::proto::INVITES_MAX {
        assert_eq!(
            make(&mut world, options(vec![crate::testing::entry()], Some(60))),
            None
        );
    }
    let many = make(&mut world, options(vec![crate::testing::entry()], Some(60)));
    assert_eq!(
        many,
        Some(CreateInviteError::TooMany {
            max: crate::proto::INVITES_MAX
        })
    );
    // Those that are over make room, in time.
    world.run(3 * 3_600_000);
    assert_eq!(
        make(&mut world, options(vec![crate::testing::entry()], Some(60))),
        None
    );
}

#[test]
fn an_established_pair_survives_the_end_of_its_invite() {
    let mut pair = Pair::new(211);
    pair.world.run(5 * 86_400_000);
    assert_eq!(pair.world.core(pair.alice).invites().count(), 0);
    pair.world.say(pair.alice, pair.to_bob, "still here");
    pair.settle(60_000);
    assert_eq!(
        pair.world.node(pair.bob).texts(pair.to_alice),
        ["still here"]
    );
}
