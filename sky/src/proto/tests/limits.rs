//! Caps and rates.

use std::{net::SocketAddr, time::Duration};

use hermes_wire::{
    Network,
    channel::ErrorCode,
    ids::{NodeKey, Position},
    knock::Knock,
    node::Role,
    sky::{List, Request},
};

use super::{
    people::{Keeper, Owner},
    world::{ClientId, NodeId, Policy, World, code},
};
use crate::proto::{Close, Limits, Rate};

const SECOND: Duration = Duration::from_secs(1);

/// One public node with these limits.
fn world(change: impl FnOnce(&mut Limits)) -> World {
    let mut world = World::new(Network::main());
    change(&mut world.limits);
    world.start_node_at("203.0.113.1:4433".parse().unwrap(), Vec::new());
    world
}

fn from(block: u8, host: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, block, host], 1_000))
}

fn user(world: &mut World, block: u8, host: u8) -> ClientId {
    let id = world.client_from(NodeId(0), from(block, host), None);
    world.run_for(Duration::from_millis(50));
    id
}

fn knock(world: &mut World, client: ClientId, knock: Knock) -> Result<Vec<u8>, ErrorCode> {
    world
        .request(client, &Request::Knock(Box::new(knock)))
        .map_err(|error| error.code)
}

#[test]
fn each_kind_of_request_has_a_rate_per_block() {
    let mut world = world(|limits| {
        let few = Rate {
            per_second: 1,
            burst: 2,
        };
        (
            limits.register,
            limits.knock,
            limits.list,
            limits.keepers,
            limits.announce,
        ) = (few, few, few, few, few);
    });
    let owner = Owner::new(&world.network, 1);
    let keeper = Keeper::new(1);
    let (one, neighbour, other) = (
        user(&mut world, 1, 1),
        user(&mut world, 1, 2),
        user(&mut world, 2, 1),
    );
    let list = Request::List(List {
        role: Role::Sky,
        after: NodeKey([0; 32]),
        max: 10,
    });
    let keepers = Request::Keepers {
        position: Position([0; 32]),
        n: 10,
    };
    let announce = hermes_wire::sky::Announce::sign(
        &world.network,
        &keeper.key,
        keeper.record(&world),
        &world.binding(one),
        &world.key(NodeId(0)),
    );
    let register = owner.registration(&world, one, 0, 600);
    let knock = Request::Knock(Box::new(owner.knock(1, 1)));
    for request in [
        list,
        keepers,
        register,
        knock,
        Request::Announce(Box::new(announce)),
    ] {
        let rate = |world: &mut World, client| {
            world
                .request(client, &request)
                .err()
                .filter(|error| error.code == ErrorCode::RATE)
        };
        assert_eq!(rate(&mut world, one), None);
        assert_eq!(rate(&mut world, neighbour), None);
        let error = rate(&mut world, one).expect("the block has used up its share");
        assert_eq!(error.retry_after_s, 1);
        assert!(rate(&mut world, neighbour).is_some());
        assert_eq!(rate(&mut world, other), None, "others are not held up");
        world.run_for(SECOND);
        assert_eq!(rate(&mut world, neighbour), None, "it comes back with time");
        world.run_for(5 * SECOND);
    }
}

#[test]
fn connections_are_capped_per_block() {
    let mut world = world(|limits| limits.connections_per_block = 3);
    let users: Vec<ClientId> = (0..5).map(|host| user(&mut world, 1, host)).collect();
    let closed: Vec<bool> = users.iter().map(|id| world.at(*id).is_closed).collect();
    assert_eq!(closed, [false, false, false, true, true]);
    let other = user(&mut world, 2, 1);
    assert!(!world.at(other).is_closed);
    world.hang_up(users[0]);
    world.run_for(SECOND);
    let again = user(&mut world, 1, 9);
    assert!(!world.at(again).is_closed);
    assert_eq!(world.node(NodeId(0)).connection_count(), 4);
}

#[test]
fn new_connections_have_a_rate_per_block() {
    let mut world = world(|limits| {
        limits.connect = Rate {
            per_second: 1,
            burst: 2,
        }
    });
    let users: Vec<ClientId> = (0..3)
        .map(|host| world.client_from(NodeId(0), from(1, host), None))
        .collect();
    world.run_for(Duration::from_millis(100));
    let closed: Vec<bool> = users.iter().map(|id| world.at(*id).is_closed).collect();
    assert_eq!(closed, [false, false, true]);
}

#[test]
fn a_full_house_lets_go_of_idle_visitors_only() {
    let mut world = world(|limits| limits.connections_max = 3);
    let owner = Owner::new(&world.network, 1);
    let owners = user(&mut world, 1, 1);
    world.register(owners, &owner);
    let idle = user(&mut world, 2, 1);
    let busy = user(&mut world, 3, 1);
    world.run_for(5 * SECOND);
    world.list(busy, Role::Sky, 10);
    let newcomer = user(&mut world, 4, 1);
    let closed =
        |world: &mut World| [owners, idle, busy, newcomer].map(|id| world.at(id).is_closed);
    assert_eq!(closed(&mut world), [false, true, false, false]);
    assert_eq!(world.nodes[0].closes, [Close::Limit]);

    // With duties on all connections the next is turned away.
    let (second, third) = (Owner::new(&world.network, 2), Owner::new(&world.network, 3));
    world.register(busy, &second);
    world.register(newcomer, &third);
    world.run_for(5 * SECOND);
    let last = user(&mut world, 5, 1);
    assert!(world.at(last).is_closed);
    assert_eq!(closed(&mut world), [false, true, false, false]);
}

#[test]
fn presence_keys_are_capped() {
    let mut world = world(|limits| limits.leases_max = 2);
    let owners: Vec<Owner> = (0..3).map(|n| Owner::new(&world.network, n)).collect();
    let client = user(&mut world, 1, 1);
    world.register(client, &owners[0]);
    world.register(client, &owners[1]);
    let third = owners[2].registration(&world, client, 0, 600);
    let answer = world.request(client, &third);
    assert_eq!(code(answer), ErrorCode::FULL);
    world.register(client, &owners[0]);
    world.run_for(601 * SECOND);
    world.register(client, &owners[2]);
}

#[test]
fn knocks_that_wait_are_capped_per_owner_and_in_all() {
    let mut world = world(|limits| (limits.knocks_per_owner, limits.knocks_max) = (2, 3));
    let (one, two) = (Owner::new(&world.network, 1), Owner::new(&world.network, 2));
    let owners = user(&mut world, 1, 1);
    world.register(owners, &one);
    world.register(owners, &two);
    world.at(owners).policy = Policy::Silent;
    let friends = user(&mut world, 2, 1);
    let mut waiting = Vec::new();
    for nonce in 0..2 {
        waiting.push(world.send_request(friends, &Request::Knock(Box::new(one.knock(5, nonce)))));
    }
    assert_eq!(
        knock(&mut world, friends, one.knock(5, 2)),
        Err(ErrorCode::RATE)
    );
    waiting.push(world.send_request(friends, &Request::Knock(Box::new(two.knock(5, 3)))));
    assert_eq!(
        knock(&mut world, friends, two.knock(5, 4)),
        Err(ErrorCode::FULL)
    );
    for ticket in waiting {
        assert_eq!(world.wait_for(ticket).unwrap(), [2], "no answer");
    }
    assert_eq!(
        knock(&mut world, friends, one.knock(5, 5)),
        Ok(vec![2]),
        "there is room again"
    );
}

#[test]
fn a_friend_cannot_knock_for_others() {
    let mut world = world(|limits| limits.knocks_per_slot = 3);
    let owner = Owner::new(&world.network, 1);
    let owners = user(&mut world, 1, 1);
    world.register(owners, &owner);
    let friends = user(&mut world, 2, 1);
    for nonce in 0..3 {
        assert_eq!(
            knock(&mut world, friends, owner.knock(5, nonce)),
            Ok(vec![2])
        );
    }
    assert_eq!(
        knock(&mut world, friends, owner.knock(5, 3)),
        Err(ErrorCode::RATE)
    );
    assert_eq!(knock(&mut world, friends, owner.knock(6, 4)), Ok(vec![2]));
}

#[test]
fn keepers_are_capped() {
    let mut world = World::lab();
    world.limits.keepers_max = 2;
    world.start_node(Vec::new());
    let keepers: Vec<Keeper> = (0..3).map(Keeper::new).collect();
    let first = keepers[0].join(&mut world, NodeId(0));
    keepers[1].join(&mut world, NodeId(0));
    let third = world.client_from(
        NodeId(0),
        keepers[2].addr.socket(),
        Some(keepers[2].node_key()),
    );
    let record = keepers[2].record(&world);
    let answer = keepers[2].announce(&mut world, third, record);
    assert_eq!(code(answer), ErrorCode::FULL);
    // Those who are listed are renewed.
    let record = keepers[0].record(&world);
    keepers[0].announce(&mut world, first, record).unwrap();
}

#[test]
fn sky_nodes_are_capped() {
    let mut world = World::lab();
    world.limits.sky_max = 3;
    world.start_node(Vec::new());
    for _ in 0..5 {
        let seed = world.uri(NodeId(0));
        world.start_node(vec![seed]);
        world.run_for(2 * SECOND);
    }
    assert!(
        world
            .alive()
            .into_iter()
            .all(|id| world.node(id).sky_count() <= 3)
    );
    assert_eq!(world.node(NodeId(0)).sky_count(), 3);
}

#[test]
fn news_and_departures_of_one_node_are_limited() {
    let mut world = World::lab();
    world.limits.spread = Rate {
        per_second: 1,
        burst: 4,
    };
    world.limits.departures = Rate {
        per_second: 1,
        burst: 2,
    };
    world.start_node(Vec::new());
    let seed = world.uri(NodeId(0));
    let liar = world.start_node(vec![seed]);
    for n in 0..4 {
        Keeper::new(n).join(&mut world, NodeId(1));
        world.run_for(2 * SECOND);
    }
    world.run_until("all agree", World::agree);
    let key = world.nodes[liar.0].key.clone();
    let departures: Vec<_> = (0..4)
        .map(|n| {
            let keeper = Keeper::new(n).node_key();
            let seq = world.node(NodeId(0)).earth.get(&keeper).unwrap().body.seq;
            let departure =
                hermes_wire::sky::Departure::sign(&world.network, &key, Role::Earth, keeper, seq);
            hermes_wire::sky::SpreadItem::Departure(departure)
        })
        .collect();
    let at = world.client_from(NodeId(0), World::addr(1), Some(world.key(liar)));
    world.run_for(10 * SECOND);
    let ticket = world.send_request(at, &Request::Spread(departures.clone()));
    world.run_for(Duration::from_millis(30));
    assert_eq!(world.answer_to(ticket), Some(&Ok(Vec::new())));
    assert_eq!(world.node(NodeId(0)).keeper_count(), 2, "two were believed");
    let answer = world.request(at, &Request::Spread(departures));
    assert_eq!(code(answer), ErrorCode::RATE);
}
