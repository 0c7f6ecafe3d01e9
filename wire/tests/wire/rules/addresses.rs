//! Owner and friend see the same mailbox; epochs do not see one another.

use std::collections::HashSet;

use hermes_wire::address::{AddressError, FriendAddress, Generation, MAX_CHAIN_STEPS, SUB_SLOTS};
use hermes_wire::codec::{DecodeError, Wire};
use hermes_wire::ids::{Epoch, Slot};
use hermes_wire::slots::{leaf, root_of_path};
use proptest::prelude::*;

use super::samples::*;

#[test]
fn every_friend_sees_the_owners_mailbox() {
    for n in [0, 1, 31, 63] {
        let friend = GENERATION.bundle(&net(), slot(n), EPOCH, &chain());
        let view = FriendAddress::decode(&friend.to_bytes())
            .unwrap()
            .view(&net(), EPOCH)
            .unwrap();
        assert_eq!(
            (view.descriptor, view.mailbox),
            (OWNER.descriptor, OWNER.mailbox)
        );
        assert_eq!(view.writers().len(), usize::from(SUB_SLOTS));
        for (j, writer) in (0..).zip(view.writers()) {
            assert_eq!(writer.leaf, slot(n).leaf(j));
            assert_eq!(Slot::of_leaf(writer.leaf), Some(slot(n)));
            let root = root_of_path(leaf(&writer.key.public()), writer.leaf.into(), &writer.path);
            assert_eq!(root, OWNER.descriptor.root);
        }
        let door = friend.presence(&net(), EPOCH, 2).unwrap();
        assert_eq!(
            (door.presence, door.knock_root),
            (PRESENCE.presence, PRESENCE.knock_root)
        );
        assert_eq!(
            friend.presence_key(&net(), EPOCH, 2).unwrap(),
            door.presence
        );
    }
}

#[test]
fn the_owners_tree_holds_the_friends_keys() {
    let tree = GENERATION.tree(&net(), &chain());
    assert_eq!(*tree.root(), OWNER.descriptor.root);
    for writer in VIEW.writers() {
        assert_eq!(tree.key(writer.leaf), Some(writer.write_key()));
        assert_eq!(tree.path(writer.leaf).as_ref(), Some(&writer.path));
    }
    assert_eq!((tree.key(256), tree.path(256)), (None, None));
}

#[test]
fn known_roots_and_caches_save_the_tree() {
    let again = GENERATION.epoch(&net(), EPOCH, &chain(), Some(OWNER.descriptor.root));
    assert_eq!(again, *OWNER);
    let again = GENERATION.presence(&net(), EPOCH, 2, &chain(), Some(PRESENCE.knock_root));
    assert_eq!(again, *PRESENCE);

    let cache = VIEW.cache();
    assert_eq!(
        FRIEND.view_cached(&net(), EPOCH, &cache).as_ref(),
        Some(&*VIEW)
    );
    assert_eq!(FRIEND.view_cached(&net(), EPOCH.next(), &cache), None);
    for at in 0..cache.len() {
        let mut damaged = cache.clone();
        damaged[at] ^= 1;
        assert_eq!(
            FRIEND.view_cached(&net(), EPOCH, &damaged),
            None,
            "byte {at}"
        );
    }
    assert_eq!(FRIEND.view_cached(&net(), EPOCH, &cache[1..]), None);
}

#[test]
fn friends_go_forward_only() {
    let mut address = FRIEND.clone();
    let later = Epoch(EPOCH.0 + 3);
    let view = address.view(&net(), later).unwrap();
    address.forget_before(&net(), later).unwrap();
    assert_eq!(address.view(&net(), later).unwrap(), view);
    assert_eq!(
        address.view(&net(), EPOCH),
        Err(AddressError::Past {
            from: later,
            asked: EPOCH
        }),
    );
    address.forget_before(&net(), EPOCH).unwrap();
    assert_eq!(address.epoch(), later, "going back changes nothing");
    let owner_chain = (0..3).fold(chain(), |c, _| c.next(&net()));
    assert_eq!(
        GENERATION.epoch(&net(), later, &owner_chain, None).mailbox,
        view.mailbox
    );
    assert_eq!(FriendAddress::reload(&address.to_bytes()).unwrap(), address);
}

#[test]
fn absurd_epochs_cost_nothing() {
    let asked = Epoch(EPOCH.0 + MAX_CHAIN_STEPS + 1);
    let too_far = AddressError::TooFar { from: EPOCH, asked };
    assert_eq!(FRIEND.view(&net(), asked), Err(too_far));
    assert_eq!(FRIEND.clone().forget_before(&net(), asked), Err(too_far));
    assert!(FRIEND.presence(&net(), Epoch(u32::MAX), 0).is_err());
}

/// All that nodes get to see of an address in one part of an epoch.
fn visible(
    generation: &Generation,
    epoch: Epoch,
    chain: &hermes_wire::address::Chain,
    part: u8,
) -> Vec<[u8; 32]> {
    let friend = generation.bundle(&net(), slot(5), epoch, chain);
    let view = friend.view(&net(), epoch).unwrap();
    let door = friend.presence(&net(), epoch, part).unwrap();
    let mut seen = vec![
        view.mailbox.0,
        view.descriptor.owner.0,
        view.descriptor.root,
    ];
    for writer in view.writers() {
        seen.push(writer.key.public());
        seen.extend(&writer.path);
    }
    seen.extend([door.presence.0, door.knock_root, door.key.public()]);
    seen.extend(&door.path);
    seen
}

#[test]
fn nothing_that_nodes_see_recurs_in_the_next_epoch() {
    let today: HashSet<_> = visible(&GENERATION, EPOCH, &chain(), 1)
        .into_iter()
        .collect();
    let tomorrow = visible(&GENERATION, EPOCH.next(), &chain().next(&net()), 1);
    assert!(tomorrow.iter().all(|seen| !today.contains(seen)));
    assert!(today.len() > 20);
}

#[test]
fn presence_changes_with_every_part() {
    let doors: HashSet<_> = (0..4)
        .map(|q| FRIEND.presence_key(&net(), EPOCH, q).unwrap())
        .collect();
    assert_eq!(doors.len(), 4);
}

fn with(at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = FRIEND.to_bytes();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn bad_keys_are_not_imported() {
    let torsion = curve25519_dalek::constants::EIGHT_TORSION[1];
    let bad = |bytes: &[u8]| {
        let point =
            curve25519_dalek::edwards::CompressedEdwardsY(bytes.try_into().unwrap()).decompress();
        (point.unwrap() + torsion).compress().0
    };
    let good = FRIEND.to_bytes();
    let mut identity = [0; 32];
    identity[0] = 1;
    let root = 6;
    for (at, field) in [
        (root, "address root"),
        (103, "slot key"),
        (103 + 32 * 63, "slot key"),
    ] {
        let refused = Err(DecodeError::Key { field });
        for key in [bad(&good[at..at + 32]), identity, [0xff; 32]] {
            assert_eq!(FriendAddress::decode(&with(at, &key)), refused);
        }
    }
    assert_eq!(
        FriendAddress::decode(&with(70, &[64])).unwrap_err(),
        DecodeError::Value {
            field: "slot",
            value: 64
        }
    );
    let foreign = Err(DecodeError::Key { field: "slot seed" });
    assert_eq!(
        FriendAddress::decode(&with(70, &[6])),
        foreign,
        "the seed is another slot's"
    );
    assert_eq!(FriendAddress::decode(&with(71, &[0; 32])), foreign);
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?} {:?} {:?} {:?}", *FRIEND, *VIEW, *OWNER, invite());
    let hex = data_encoding::HEXLOWER;
    assert!(!shown.contains(&hex.encode(&[0x22; 4])), "the chain");
    assert!(
        !shown.contains(&hex.encode(&[0x84; 4])),
        "the invite's secret"
    );
    assert!(!shown.contains("34, 34"), "the chain as numbers");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn any_generation(secret: [u8; 32], start: [u8; 32], number: u16, n in 0..64_u8, steps in 0..3_u32, part in 0..4_u8) {
        let generation = Generation::new(&net(), number, secret);
        let first = hermes_wire::address::Chain::new(start);
        let epoch = Epoch(1_000 + steps);
        let chain = (0..steps).fold(first.clone(), |c, _| c.next(&net()));
        let bundle = generation.bundle(&net(), slot(n), Epoch(1_000), &first);
        let friend = FriendAddress::decode(&bundle.to_bytes()).unwrap();
        prop_assert_eq!(friend.view(&net(), epoch).unwrap().descriptor, generation.epoch(&net(), epoch, &chain, None).descriptor);
        let (ours, theirs) = (generation.presence(&net(), epoch, part, &chain, None), friend.presence(&net(), epoch, part).unwrap());
        prop_assert_eq!((ours.presence, ours.knock_root), (theirs.presence, theirs.knock_root));
    }
}
