//! Presence, and knocks on their way to the owner.

use std::time::Duration;

use hermes_wire::{
    Network, Wire as _,
    channel::ErrorCode,
    ids::{PresenceKey, Slot},
    knock::{Knock, SEALED_LEN},
    sky::{FORWARD, Incoming, Knocked, Registered, Request},
};

use super::{
    people::Owner,
    world::{ClientId, NodeId, Policy, World, code},
};
use crate::proto::NONCES_KEPT;

const SECOND: Duration = Duration::from_secs(1);
const HALF: [u8; SEALED_LEN] = [0xaa; SEALED_LEN];

/// One node with an owner who answers, and a friend.
fn one_node() -> (World, Owner, ClientId, ClientId) {
    let mut world = World::lab_of(1);
    let owner = Owner::new(&world.network, 1);
    let owners = world.client(NodeId(0));
    world.register(owners, &owner);
    world.at(owners).policy = Policy::Answer(HALF.to_vec());
    let friends = world.client(NodeId(0));
    (world, owner, owners, friends)
}

fn refused(world: &mut World, client: ClientId, knock: Knock) -> ErrorCode {
    let answer = world.request(client, &Request::Knock(Box::new(knock)));
    code(answer)
}

#[test]
fn a_knock_is_answered_by_the_owner() {
    let (mut world, owner, owners, friends) = one_node();
    let knock = owner.knock(5, 1);
    assert_eq!(
        world.knock(friends, knock.clone()),
        Knocked::Answered(Box::new(HALF))
    );
    assert_eq!(
        world.at(owners).incoming,
        [Request::Incoming(Incoming::from(&knock))]
    );
}

#[test]
fn nobody_is_there() {
    let (mut world, _, _, friends) = one_node();
    let other = Owner::new(&world.network, 2);
    assert_eq!(world.knock(friends, other.knock(5, 1)), Knocked::Absent);
    assert_eq!(
        world.knock(friends, other.knock_with(5, 2, None)),
        Knocked::Absent
    );
}

#[test]
fn a_probe_disturbs_nobody() {
    let (mut world, owner, owners, friends) = one_node();
    assert_eq!(
        world.knock(friends, owner.knock_with(5, 1, None)),
        Knocked::Online
    );
    assert!(world.at(owners).incoming.is_empty());
}

#[test]
fn an_owner_has_eight_seconds() {
    let (mut world, owner, owners, friends) = one_node();
    world.at(owners).policy = Policy::Silent;
    let start = world.now;
    assert_eq!(world.knock(friends, owner.knock(5, 1)), Knocked::NoAnswer);
    let took = world.now - start;
    assert!(took >= 8 * SECOND && took < 9 * SECOND, "{took:?}");
}

#[test]
fn an_owner_may_decline_or_talk_nonsense() {
    let (mut world, owner, owners, friends) = one_node();
    for (nonce, policy) in [
        (1, Policy::Refuse),
        (2, Policy::Answer(vec![1; 511])),
        (3, Policy::Answer(Vec::new())),
    ] {
        world.at(owners).policy = policy;
        assert_eq!(
            world.knock(friends, owner.knock(5, nonce)),
            Knocked::NoAnswer
        );
    }
}

#[test]
fn an_owner_who_vanishes_meanwhile_is_absent() {
    let (mut world, owner, owners, friends) = one_node();
    world.at(owners).policy = Policy::Silent;
    let ticket = world.send_request(friends, &Request::Knock(Box::new(owner.knock(5, 1))));
    world.run_for(SECOND);
    world.hang_up(owners);
    let start = world.now;
    let answer = world.wait_for(ticket).unwrap();
    assert_eq!(Knocked::decode(&answer).unwrap(), Knocked::Absent);
    assert!(world.now - start < SECOND);
}

#[test]
fn a_refused_slot_stays_outside() {
    let (mut world, owner, owners, friends) = one_node();
    let refusing = owner.registration(&world, owners, 1 << 5, 600);
    world.request(owners, &refusing).unwrap();
    assert_eq!(world.knock(friends, owner.knock(5, 1)), Knocked::Refused);
    assert_eq!(
        world.knock(friends, owner.knock_with(5, 2, None)),
        Knocked::Refused,
        "nor learns whether anybody is there"
    );
    assert_eq!(
        world.knock(friends, owner.knock(6, 3)),
        Knocked::Answered(Box::new(HALF))
    );
    assert_eq!(world.at(owners).incoming.len(), 1);
}

#[test]
fn a_knock_passes_once() {
    let (mut world, owner, owners, friends) = one_node();
    let knock = owner.knock(5, 1);
    world.knock(friends, knock.clone());
    assert_eq!(
        refused(&mut world, friends, knock.clone()),
        ErrorCode::REFUSED
    );
    let again = world.client(NodeId(0));
    assert_eq!(
        refused(&mut world, again, knock.clone()),
        ErrorCode::REFUSED,
        "whoever brings it"
    );
    // Not even when the owner registers anew on another connection.
    let back = world.client(NodeId(0));
    world.register(back, &owner);
    assert_eq!(
        refused(&mut world, friends, knock.clone()),
        ErrorCode::REFUSED
    );
    assert_eq!(world.at(owners).incoming.len(), 1);
    world.run_for(NONCES_KEPT - 30 * SECOND);
    world.register(back, &owner);
    assert_eq!(
        refused(&mut world, friends, knock.clone()),
        ErrorCode::REFUSED
    );
    world.run_for(60 * SECOND);
    world.register(back, &owner);
    assert_eq!(world.knock(friends, knock), Knocked::NoAnswer);
}

#[test]
fn only_friends_get_through() {
    let (mut world, owner, owners, friends) = one_node();
    // A stranger with keys of his own knocks at the owner's door.
    let stranger = Owner::new(&world.network, 77);
    let mut bytes = stranger.knock(5, 1).to_bytes();
    bytes[1..33].copy_from_slice(owner.presence.presence.as_bytes());
    let forged = Knock::decode(&bytes).unwrap();
    assert_eq!(refused(&mut world, friends, forged), ErrorCode::PATH);
    // A friend's knock under another slot's number.
    let mut other_slot = owner.knock(5, 2);
    other_slot.slot = Slot::new(6).unwrap();
    assert_eq!(refused(&mut world, friends, other_slot), ErrorCode::PATH);
    // A friend's knock that was changed on its way: half, nonce, probe.
    let mut changed = owner.knock(5, 3);
    changed.sealed[0] ^= 1;
    assert_eq!(refused(&mut world, friends, changed), ErrorCode::SIGNATURE);
    let mut changed = owner.knock(5, 4);
    changed.nonce = [9; 16];
    assert_eq!(refused(&mut world, friends, changed), ErrorCode::SIGNATURE);
    let mut changed = owner.knock_with(5, 5, None);
    changed.probe = false;
    assert_eq!(refused(&mut world, friends, changed), ErrorCode::SIGNATURE);
    // Every byte of the path and of the signature counts.
    let good = owner.knock(5, 6).to_bytes();
    for at in [66, 97, 98, 257, Knock::LEN - 64, Knock::LEN - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        let expected = if at < 258 {
            ErrorCode::PATH
        } else {
            ErrorCode::SIGNATURE
        };
        assert_eq!(
            refused(&mut world, friends, Knock::decode(&bytes).unwrap()),
            expected,
            "byte {at}"
        );
    }
    assert!(world.at(owners).incoming.is_empty());
    // None of this used up the nonce.
    assert_eq!(
        world.knock(friends, Knock::decode(&good).unwrap()),
        Knocked::Answered(Box::new(HALF))
    );
}

#[test]
fn a_lease_ends_with_its_time_its_word_and_its_connection() {
    let (mut world, owner, owners, friends) = one_node();
    let nonce = std::cell::Cell::new(10);
    let probe = |world: &mut World| {
        nonce.set(nonce.get() + 1);
        world.knock(friends, owner.knock_with(5, nonce.get(), None))
    };
    let short = owner.registration(&world, owners, 0, 30);
    let answer = world.request(owners, &short).unwrap();
    assert_eq!(Registered::decode(&answer).unwrap().lease_s, 30);
    world.run_for(29 * SECOND);
    assert_eq!(probe(&mut world), Knocked::Online);
    world.run_for(2 * SECOND);
    assert_eq!(probe(&mut world), Knocked::Absent);

    // Renewing prolongs it.
    world.request(owners, &short).unwrap();
    world.run_for(20 * SECOND);
    world.request(owners, &short).unwrap();
    world.run_for(20 * SECOND);
    assert_eq!(probe(&mut world), Knocked::Online);

    world
        .request(owners, &Request::Unregister(owner.presence.presence))
        .unwrap();
    assert_eq!(probe(&mut world), Knocked::Absent);

    world.register(owners, &owner);
    assert_eq!(probe(&mut world), Knocked::Online);
    world.hang_up(owners);
    world.run_for(SECOND);
    assert_eq!(probe(&mut world), Knocked::Absent);
}

#[test]
fn a_lease_is_as_long_as_the_network_allows() {
    let (mut world, owner, owners, _) = one_node();
    let long = owner.registration(&world, owners, 0, 1_000_000);
    let answer = world.request(owners, &long).unwrap();
    assert_eq!(
        Registered::decode(&answer).unwrap().lease_s,
        world.network.params().lease_s
    );
    let none = owner.registration(&world, owners, 0, 0);
    let answer = world.request(owners, &none);
    assert_eq!(code(answer), ErrorCode::MALFORMED);
}

#[test]
fn a_registration_holds_on_its_own_connection_only() {
    let (mut world, owner, owners, friends) = one_node();
    let stolen = owner.registration(&world, owners, 0, 600);
    let answer = world.request(friends, &stolen);
    assert_eq!(code(answer), ErrorCode::SIGNATURE);
    // Nobody ends another one's lease.
    world
        .request(friends, &Request::Unregister(owner.presence.presence))
        .unwrap();
    assert_eq!(
        world.knock(friends, owner.knock(5, 1)),
        Knocked::Answered(Box::new(HALF))
    );
}

#[test]
fn whoever_registers_last_is_asked() {
    let (mut world, owner, owners, friends) = one_node();
    let back = world.client(NodeId(0));
    world.register(back, &owner);
    world.at(back).policy = Policy::Answer(vec![0xbb; SEALED_LEN]);
    assert_eq!(
        world.knock(friends, owner.knock(5, 1)),
        Knocked::Answered(Box::new([0xbb; SEALED_LEN]))
    );
    // The end of the old connection does not take the new lease with it.
    world.hang_up(owners);
    world.run_for(SECOND);
    assert_eq!(
        world.knock(friends, owner.knock(5, 2)),
        Knocked::Answered(Box::new([0xbb; SEALED_LEN]))
    );
}

#[test]
fn eight_keys_on_a_connection() {
    let mut world = World::lab_of(1);
    let owners = world.client(NodeId(0));
    for n in 0..8 {
        let owner = Owner::new(&world.network, n);
        world.register(owners, &owner);
    }
    let ninth = Owner::new(&world.network, 8);
    let request = ninth.registration(&world, owners, 0, 600);
    let answer = world.request(owners, &request);
    assert_eq!(code(answer), ErrorCode::QUOTA);
    // Renewing is no new key, and one given up makes room.
    let first = Owner::new(&world.network, 0);
    world.register(owners, &first);
    world
        .request(owners, &Request::Unregister(first.presence.presence))
        .unwrap();
    world.register(owners, &ninth);
}

#[test]
fn only_the_first_three_presence_nodes_hold_a_key() {
    let mut world = World::lab_of(6);
    let owner = Owner::new(&world.network, 3);
    let nodes = owner.nodes(&world, 6);
    for (rank, node) in nodes.into_iter().enumerate() {
        let client = world.client(node);
        let request = owner.registration(&world, client, 0, 600);
        let answer = world.request(client, &request);
        if rank < 3 {
            answer.unwrap();
        } else {
            assert_eq!(code(answer), ErrorCode::NOT_MINE, "rank {rank}");
        }
    }
}

/// An owner at his first presence node, and a friend at a node that is none of the first two.
fn apart(count: usize) -> (World, Owner, Vec<NodeId>, ClientId, ClientId) {
    let mut world = World::lab_of(count);
    world.run_for(12 * SECOND);
    let owner = Owner::new(&world.network, 4);
    let nodes = owner.nodes(&world, count);
    let owners = world.client(nodes[0]);
    world.register(owners, &owner);
    world.at(owners).policy = Policy::Answer(HALF.to_vec());
    let friends = world.client(nodes[count - 1]);
    (world, owner, nodes, owners, friends)
}

#[test]
fn a_knock_is_forwarded_to_the_presence_node() {
    let (mut world, owner, _, owners, friends) = apart(4);
    let before = world.traffic.get(&FORWARD).copied();
    assert_eq!(before, None);
    let start = world.now;
    assert_eq!(
        world.knock(friends, owner.knock(5, 1)),
        Knocked::Answered(Box::new(HALF))
    );
    assert!(world.now - start < SECOND);
    assert_eq!(world.traffic.get(&FORWARD), Some(&1));
    assert_eq!(world.at(owners).incoming.len(), 1);
    // What the presence node refuses is refused.
    assert_eq!(
        refused(&mut world, friends, owner.knock(5, 1)),
        ErrorCode::REFUSED
    );
    let mut changed = owner.knock(5, 2);
    changed.sealed[3] ^= 1;
    assert_eq!(refused(&mut world, friends, changed), ErrorCode::SIGNATURE);
    assert_eq!(
        world.traffic.get(&FORWARD),
        Some(&2),
        "a signature that does not hold is not passed on"
    );
    world.at(owners).policy = Policy::Silent;
    assert_eq!(world.knock(friends, owner.knock(5, 3)), Knocked::NoAnswer);
}

#[test]
fn a_wrong_path_is_noticed_at_the_presence_node() {
    let (mut world, owner, _, _, friends) = apart(3);
    let mut bytes = owner.knock(5, 1).to_bytes();
    bytes[70] ^= 1;
    assert_eq!(
        refused(&mut world, friends, Knock::decode(&bytes).unwrap()),
        ErrorCode::PATH
    );
}

#[test]
fn the_second_node_is_asked_when_the_first_is_gone() {
    let (mut world, owner, nodes, _, friends) = apart(4);
    // The owner has moved to the second already; the friend's node still believes in the first.
    world.kill(nodes[0]);
    let owners = world.client(nodes[1]);
    world.register(owners, &owner);
    world.at(owners).policy = Policy::Answer(HALF.to_vec());
    let start = world.now;
    assert_eq!(
        world.knock(friends, owner.knock(5, 1)),
        Knocked::Answered(Box::new(HALF))
    );
    let took = world.now - start;
    assert!(took < 8 * SECOND, "{took:?}");
}

#[test]
fn a_presence_node_that_vanishes_in_the_middle_of_a_knock() {
    let (mut world, owner, nodes, owners, friends) = apart(4);
    world.at(owners).policy = Policy::Silent;
    let ticket = world.send_request(friends, &Request::Knock(Box::new(owner.knock(5, 1))));
    world.run_until("the owner hears it", |world| {
        !world.at(owners).incoming.is_empty()
    });
    world.kill(nodes[0]);
    // The owner finds his next presence node by himself.
    let owners = world.client(nodes[1]);
    world.register(owners, &owner);
    world.at(owners).policy = Policy::Answer(HALF.to_vec());
    let start = world.now;
    let answer = world.wait_for(ticket).unwrap();
    let took = world.now - start;
    assert!(took <= 11 * SECOND, "{took:?}");
    // Whether it reached the owner by the second node depends on who noticed first; it ended, and the next one gets through.
    assert!(matches!(
        Knocked::decode(&answer).unwrap(),
        Knocked::Answered(_) | Knocked::NoAnswer
    ));
    let start = world.now;
    assert_eq!(
        world.knock(friends, owner.knock(5, 2)),
        Knocked::Answered(Box::new(HALF))
    );
    assert!(world.now - start < 5 * SECOND);
}

#[test]
fn a_quiet_connection_to_a_dead_node_costs_a_knock_three_seconds() {
    let (mut world, owner, nodes, _, friends) = apart(4);
    let owners = world.client(nodes[1]);
    world.register(owners, &owner);
    world.at(owners).policy = Policy::Answer(HALF.to_vec());
    // The connection has been quiet for a moment, so a sign of life is asked for along with the knock.
    world.run_until("a quiet moment", |world| {
        let (first, last) = (world.key(nodes[0]), nodes[3]);
        let heard = world
            .node(last)
            .conns
            .of_node(&first)
            .map(|conn| conn.heard);
        heard.is_none_or(|heard| world.now - heard > 4 * SECOND)
    });
    world.kill(nodes[0]);
    let start = world.now;
    assert_eq!(
        world.knock(friends, owner.knock(5, 1)),
        Knocked::Answered(Box::new(HALF))
    );
    let took = world.now - start;
    assert!(took < 4 * SECOND, "{took:?}");
}

#[test]
fn when_all_presence_nodes_are_gone_nobody_is_there() {
    let (mut world, owner, nodes, _, friends) = apart(4);
    world.kill(nodes[0]);
    world.kill(nodes[1]);
    let start = world.now;
    assert_eq!(world.knock(friends, owner.knock(5, 1)), Knocked::Absent);
    let took = world.now - start;
    assert!(took < 12 * SECOND, "{took:?}");
}

#[test]
fn a_leaving_presence_node_passes_the_knock_to_the_second() {
    let (mut world, owner, nodes, _, friends) = apart(4);
    let owners = world.client(nodes[1]);
    world.register(owners, &owner);
    world.at(owners).policy = Policy::Answer(HALF.to_vec());
    world.leave(nodes[0]);
    assert_eq!(
        world.knock(friends, owner.knock(5, 1)),
        Knocked::Answered(Box::new(HALF))
    );
}

#[test]
fn a_presence_node_that_begins_to_leave_meanwhile() {
    let (mut world, owner, nodes, _, friends) = apart(4);
    let owners = world.client(nodes[1]);
    world.register(owners, &owner);
    world.at(owners).policy = Policy::Answer(HALF.to_vec());
    let ticket = world.send_request(friends, &Request::Knock(Box::new(owner.knock(5, 1))));
    world.run_until("the knock is on its way", |world| {
        world.traffic.contains_key(&FORWARD)
    });
    world.leave(nodes[0]);
    let answer = world.wait_for(ticket).unwrap();
    assert_eq!(
        Knocked::decode(&answer).unwrap(),
        Knocked::Answered(Box::new(HALF))
    );
}

#[test]
fn forwards_go_one_hop_between_nodes_only() {
    let (mut world, owner, nodes, _, friends) = apart(3);
    let forward = |hops| Request::Forward {
        hops,
        knock: Box::new(owner.knock(5, 40 ^ hops)),
    };
    let answer = world.request(friends, &forward(1));
    assert_eq!(code(answer), ErrorCode::REFUSED, "users knock");
    let key = world.key(nodes[1]);
    let node = world.client_from(nodes[0], World::addr(7), Some(key));
    for hops in [0, 2, 255] {
        let answer = world.request(node, &forward(hops));
        assert_eq!(code(answer), ErrorCode::REFUSED, "{hops} hops");
    }
    let answer = world.request(node, &forward(1)).unwrap();
    assert_eq!(
        Knocked::decode(&answer).unwrap(),
        Knocked::Answered(Box::new(HALF))
    );
    // A node that does not hold the key does not pass it on.
    let node = world.client_from(nodes[2], World::addr(8), Some(key));
    let answer = world.request(node, &forward(1)).unwrap();
    assert_eq!(Knocked::decode(&answer).unwrap(), Knocked::Absent);
}

#[test]
fn another_networks_knock_means_nothing_here() {
    let (mut world, owner, owners, friends) = one_node();
    let foreign = Owner::new(&Network::main(), 1);
    assert_eq!(
        refused(&mut world, friends, foreign.knock(5, 1)),
        ErrorCode::SIGNATURE,
        "absent, but the signature says more"
    );
    let mut bytes = foreign.knock(5, 1).to_bytes();
    bytes[1..33].copy_from_slice(owner.presence.presence.as_bytes());
    assert_eq!(
        refused(&mut world, friends, Knock::decode(&bytes).unwrap()),
        ErrorCode::PATH
    );
    let request = foreign.registration(&world, owners, 0, 600);
    let answer = world.request(owners, &request);
    assert_eq!(code(answer), ErrorCode::SIGNATURE);
    let answer = world.request(owners, &Request::Unregister(PresenceKey([1; 32])));
    assert_eq!(answer, Ok(Vec::new()));
}
