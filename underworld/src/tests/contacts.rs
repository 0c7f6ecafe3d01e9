//! Blocking, removing and renaming.

use super::Pair;
use crate::{
    chat,
    proto::{
        ContactError, ContactState, NameError, RenameError, SendError,
        event::{Event, SendState},
        output::Table,
    },
    testing::World,
};

#[test]
fn a_removed_friend_learns_it_and_reaches_nobody() {
    let mut pair = Pair::new(300).linked();
    let (alice, to_bob) = (pair.alice, pair.to_bob);
    pair.world
        .call(alice, |core, now| core.remove(to_bob, now))
        .expect("removed");
    pair.world.run(5_000);
    assert_eq!(pair.world.state(alice, to_bob), Some(ContactState::Removed));
    assert_eq!(
        pair.world.state(pair.bob, pair.to_alice),
        Some(ContactState::Removed)
    );
    let refused = pair.world.call(alice, |core, now| {
        core.send(to_bob, chat::text("x", None, None).expect("a text"), now)
    });
    assert_eq!(
        refused,
        Err(SendError::NotNow {
            state: ContactState::Removed
        })
    );
    // Neither keeps keys or frames of the other.
    for node in [alice, pair.bob] {
        let tables: Vec<_> = pair
            .world
            .node(node)
            .rows()
            .keys()
            .map(|(table, _)| *table)
            .collect();
        for table in [Table::Session, Table::Outbox, Table::Held, Table::Flow] {
            assert!(!tables.contains(&table), "{table:?} of node {node}");
        }
    }
    // And both load again.
    for node in [alice, pair.bob] {
        pair.world.crash(node);
        pair.world.start(node);
    }
    pair.world.run(5_000);
    assert_eq!(pair.world.state(alice, to_bob), Some(ContactState::Removed));
}

#[test]
fn a_removed_friend_who_was_away_learns_it_from_keepers() {
    let mut pair = Pair::new(301).linked();
    pair.world.crash(pair.bob);
    pair.world.run(3_000);
    let (alice, to_bob) = (pair.alice, pair.to_bob);
    pair.world.say(alice, to_bob, "kept");
    pair.world.run(3_000);
    let waiting = pair.world.say(alice, to_bob, "not even sent");
    pair.world
        .call(alice, |core, now| core.remove(to_bob, now))
        .expect("removed");
    assert_eq!(
        pair.world.node(alice).state_of(to_bob, waiting.conv_seq),
        Some(SendState::Failed)
    );
    pair.world.run(3_000);
    pair.world.start(pair.bob);
    pair.world.run(5_000);
    assert_eq!(
        pair.world.state(pair.bob, pair.to_alice),
        Some(ContactState::Removed)
    );
}

#[test]
fn a_blocked_friend_reaches_nobody_until_he_is_unblocked() {
    let mut pair = Pair::new(302).linked();
    let (alice, to_bob, bob, to_alice) = (pair.alice, pair.to_bob, pair.bob, pair.to_alice);
    pair.world
        .call(alice, |core, now| core.block(to_bob, now))
        .expect("blocked");
    pair.world.run(1_000);
    assert!(!pair.world.is_linked(bob, to_alice));
    pair.world.say(bob, to_alice, "hello?");
    pair.world.run(60_000);
    assert!(pair.world.node(alice).texts(to_bob).is_empty());
    assert!(
        !pair.world.is_linked(bob, to_alice),
        "his knocks are refused"
    );
    assert_eq!(pair.world.kept_deposits(), 0, "and so are his deposits");
    assert_eq!(pair.world.state(alice, to_bob), Some(ContactState::Blocked));
    // A restart does not change that.
    pair.world.crash(alice);
    pair.world.start(alice);
    pair.world.run(60_000);
    assert!(pair.world.node(alice).texts(to_bob).is_empty());
    pair.world
        .call(alice, |core, now| core.unblock(to_bob, now))
        .expect("unblocked");
    pair.settle(1_200_000);
    assert_eq!(pair.world.node(alice).texts(to_bob), ["hello?"]);
}

#[test]
fn a_block_holds_in_later_epochs() {
    let mut pair = Pair::new(303).linked();
    let (alice, to_bob, bob, to_alice) = (pair.alice, pair.to_bob, pair.bob, pair.to_alice);
    pair.world
        .call(alice, |core, now| core.block(to_bob, now))
        .expect("blocked");
    pair.world.run(2 * 86_400_000);
    pair.world.say(bob, to_alice, "two days later");
    pair.world.run(60_000);
    assert_eq!(pair.world.kept_deposits(), 0);
    assert!(pair.world.node(alice).texts(to_bob).is_empty());
}

#[test]
fn names_are_unique_and_visible() {
    let mut pair = Pair::new(304);
    let (alice, to_bob) = (pair.alice, pair.to_bob);
    let carol = pair.world.add("carol");
    let (to_carol, _) = pair.world.befriend(alice, carol);
    let mut rename = |contact, name: &str| {
        pair.world
            .call(alice, |core, now| core.rename(contact, name, now))
    };
    assert_eq!(
        rename(to_bob, "carol"),
        Err(RenameError::Name(NameError::Taken))
    );
    assert_eq!(
        rename(to_bob, " "),
        Err(RenameError::Name(NameError::Invisible))
    );
    assert_eq!(
        rename(to_bob, "a\u{7}"),
        Err(RenameError::Name(NameError::Invisible))
    );
    let (len, max) = (65, 64);
    assert_eq!(
        rename(to_bob, &"x".repeat(65)),
        Err(RenameError::Name(NameError::TooLong { len, max }))
    );
    assert_eq!(
        rename(crate::ContactId(99), "dora"),
        Err(RenameError::Unknown)
    );
    assert_eq!(rename(to_bob, "dora"), Ok(()));
    assert_eq!(rename(to_carol, "bob"), Ok(()));
    pair.world.crash(alice);
    pair.world.start(alice);
    let names: Vec<_> = pair.world.core(alice).contacts().map(|c| c.name).collect();
    assert_eq!(names, ["dora", "bob"]);
}

#[test]
fn a_new_name_reaches_friends() {
    let mut pair = Pair::new(305).linked();
    let alice = pair.alice;
    pair.world
        .call(alice, |core, now| core.set_name("alice the second", now))
        .expect("a name");
    pair.settle(1_000);
    let told =
        pair.world.node(pair.bob).events.iter().any(
            |event| matches!(event, Event::Profile { name, .. } if name == "alice the second"),
        );
    assert!(told);
    let info = pair
        .world
        .core(pair.bob)
        .contact(pair.to_alice)
        .expect("there");
    assert_eq!(info.their_name, "alice the second");
}

#[test]
fn verifying_is_remembered() {
    let mut pair = Pair::new(306);
    let (alice, to_bob) = (pair.alice, pair.to_bob);
    pair.world
        .call(alice, |core, now| core.set_verified(to_bob, true, now))
        .expect("known");
    pair.world.crash(alice);
    pair.world.start(alice);
    assert!(
        pair.world
            .core(alice)
            .contact(to_bob)
            .expect("there")
            .verified
    );
    let unknown = pair.world.call(alice, |core, now| {
        core.set_verified(crate::ContactId(9), true, now)
    });
    assert_eq!(unknown, Err(ContactError::Unknown));
}

#[test]
fn names_that_cannot_be_seen_or_mean_something_else_are_refused() {
    let mut pair = Pair::new(880);
    let to_bob = pair.to_bob;
    let rename = |pair: &mut Pair, name: &str| {
        pair.world
            .call(pair.alice, |core, now| core.rename(to_bob, name, now))
    };
    for name in [
        "",
        " ",
        "a\u{202e}b",
        "bob\u{200b}",
        "\u{200d}",
        "me",
        "c2",
        "\n",
    ] {
        assert!(rename(&mut pair, name).is_err(), "{name:?}");
    }
    for name in ["Bob", "c", "c2po", "mea", "نامه‌ای", "👩‍🚀"] {
        assert!(rename(&mut pair, name).is_ok(), "{name:?}");
    }
}

#[test]
fn a_friend_who_hides_in_his_name_is_called_by_what_is_seen() {
    let mut world = World::new(881, 6);
    let alice = world.add("alice");
    // What a core of ours would refuse, another program may say.
    let core = world.core(alice);
    assert_eq!(core.unique_name("ev\u{202e}il"), "evil");
    assert_eq!(core.unique_name("\u{200d}"), "friend");
    assert_eq!(core.unique_name("me"), "me 2");
    assert_eq!(core.unique_name("c7"), "c7 2");
}
