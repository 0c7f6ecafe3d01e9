//! Sky nodes: joining, knowing everybody, noticing who is gone, finding together again.

use std::time::Duration;

use hermes_wire::{
    Network,
    node::{Flags, NodeRecord, RecordBody, Role},
    sky::{DIGEST, Departure, LIST, Request, SPREAD, SpreadItem},
};

use super::world::{NodeId, World, code};
use crate::proto::{Close, Event};
use hermes_wire::channel::ErrorCode;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_node_is_ready_at_once() {
    let mut world = World::lab();
    let first = world.start_node(Vec::new());
    assert_eq!(world.nodes[first.0].events, [Event::Joined]);
    let user = world.client(first);
    assert_eq!(world.list(user, Role::Sky, 10), [world.key(first)]);
}

#[test]
fn a_joining_node_knows_everybody_and_everybody_knows_it() {
    let mut world = World::lab_of(5);
    let last = world.start_node(vec![world.uri(NodeId(2))]);
    let took = world.run_until("it has joined", |world| {
        world.nodes[last.0].events.contains(&Event::Joined)
    });
    assert!(took < SECOND, "{took:?}");
    assert_eq!(world.node(last).sky_count(), 6);
    assert!(world.agree(), "when it says so, everybody knows it");
}

#[test]
fn a_joining_node_does_not_wait_for_the_dead() {
    let mut world = World::lab_of(5);
    world.kill(NodeId(3));
    let last = world.start_node(vec![world.uri(NodeId(2))]);
    let took = world.run_until("it has joined", |world| {
        world.nodes[last.0].events.contains(&Event::Joined)
    });
    assert!(took < 3 * SECOND, "{took:?}");
}

#[test]
fn everybody_can_be_learned_from_any_node() {
    let mut world = World::lab_of(25);
    let mut expected: Vec<_> = world.alive().into_iter().map(|id| world.key(id)).collect();
    expected.sort();
    for id in world.alive() {
        let user = world.client(id);
        for page in [1, 7, 1_000] {
            assert_eq!(world.list(user, Role::Sky, page), expected);
        }
    }
}

#[test]
fn many_that_join_at_once_by_different_nodes_agree() {
    let mut world = World::lab_of(3);
    for n in 0..20 {
        let seed = world.uri(NodeId(n % 3));
        world.start_node(vec![seed]);
    }
    let took = world.run_until("all agree", World::agree);
    assert!(took < 15 * SECOND, "{took:?}");
    assert_eq!(world.node(NodeId(0)).sky_count(), 23);
}

#[test]
fn a_node_whose_seed_is_down_tells_so_and_joins_later() {
    let mut world = World::lab();
    let seed = world.start_node(Vec::new());
    let uri = world.uri(seed);
    world.kill(seed);
    let late = world.start_node(vec![uri]);
    world.run_until("it tells", |world| {
        world.nodes[late.0].events == [Event::NobodyAnswers]
    });
    world.run_for(100 * SECOND);
    assert_eq!(world.nodes[late.0].events, [Event::NobodyAnswers], "once");
    world.boot(seed, Vec::new());
    let took = world.run_until("it joins", |world| {
        world.nodes[late.0].events.contains(&Event::Joined)
    });
    assert!(took < 70 * SECOND, "{took:?}");
    world.run_until("both agree", World::agree);
}

#[test]
fn a_node_of_another_network_is_nobody() {
    let mut world = World::lab();
    let first = world.start_node(Vec::new());
    let seed = world.uri(first);
    let params = hermes_wire::network::Params {
        name: "elsewhere".to_owned(),
        ..Network::lab().params().clone()
    };
    world.network = Network::new(params).unwrap();
    let other = world.start_node(vec![seed]);
    world.run_until("it tells", |world| {
        world.nodes[other.0].events == [Event::NobodyAnswers]
    });
    world.run_for(60 * SECOND);
    assert_eq!([first, other].map(|id| world.node(id).sky_count()), [1, 1]);
}

#[test]
fn a_dead_node_is_noticed_and_forgotten_by_all() {
    let mut world = World::lab_of(8);
    world.kill(NodeId(3));
    let took = world.run_until("it is gone from all lists", World::agree);
    assert!(took < 30 * SECOND, "{took:?}");
    assert_eq!(world.node(NodeId(0)).sky_count(), 7);
}

#[test]
fn half_of_the_network_dies_at_once() {
    let mut world = World::lab_of(16);
    for n in (0..16).step_by(2) {
        world.kill(NodeId(n));
    }
    let took = world.run_until("the rest agree", World::agree);
    assert!(took < 180 * SECOND, "{took:?}");
    assert_eq!(world.node(NodeId(1)).sky_count(), 8);
}

#[test]
fn a_node_that_hears_nobody_gives_nobody_up() {
    let mut world = World::lab_of(4);
    for n in 1..4 {
        world.kill(NodeId(n));
    }
    world.run_for(300 * SECOND);
    assert_eq!(
        world.node(NodeId(0)).sky_count(),
        4,
        "it may be cut off itself"
    );
    // As soon as anybody can talk to it, it knows better.
    let user = world.client(NodeId(0));
    let took = world.run_until("the others are given up", |world| {
        world.list(user, Role::Sky, 10);
        world.agree()
    });
    assert!(took < 60 * SECOND, "{took:?}");
}

#[test]
fn a_node_that_leaves_is_forgotten_at_once() {
    let mut world = World::lab_of(6);
    let leaver = NodeId(4);
    let took = world.leave(leaver);
    assert!(took < SECOND, "{took:?}");
    world.kill(leaver);
    let took = world.run_until("it is gone from all lists", World::agree);
    assert!(took < SECOND, "{took:?}");
    world.run_for(20 * SECOND);
    assert!(world.agree(), "it does not come back by itself");
}

#[test]
fn a_leaving_node_does_not_wait_for_the_dead() {
    let mut world = World::lab_of(3);
    world.kill(NodeId(1));
    let took = world.leave(NodeId(2));
    assert!(took < 3 * SECOND, "{took:?}");
    let user = world.client(NodeId(2));
    let answer = world.request(user, &Request::Unregister([0; 32].into()));
    assert_eq!(code(answer), ErrorCode::LEAVING);
}

#[test]
fn a_node_comes_back_with_what_it_stored() {
    let mut world = World::lab_of(5);
    world.run_for(61 * SECOND + 10 * SECOND);
    let node = NodeId(2);
    assert_eq!(world.nodes[2].stored.len(), 4, "all others");
    world.kill(node);
    world.run_until("it is gone", World::agree);
    // No seeds: it finds the others by what it stored.
    world.boot(node, Vec::new());
    let took = world.run_until("it has joined", |world| {
        world.nodes[2].events.contains(&Event::Joined)
    });
    assert!(took < SECOND, "{took:?}");
    let took = world.run_until("all agree", World::agree);
    assert!(took < 15 * SECOND, "{took:?}");
}

#[test]
fn a_quick_restart_is_no_departure() {
    let mut world = World::lab_of(5);
    world.run_for(80 * SECOND);
    world.kill(NodeId(2));
    world.run_for(2 * SECOND);
    world.boot(NodeId(2), Vec::new());
    world.run_until("all agree", World::agree);
    let least = (0..40).map(|_| {
        world.run_for(SECOND);
        world
            .alive()
            .into_iter()
            .map(|id| world.node(id).sky_count())
            .min()
    });
    assert_eq!(least.min().flatten(), Some(5));
}

#[test]
fn somebody_else_at_the_address_is_let_in_soon() {
    let mut world = World::lab_of(4);
    let addr = world.nodes[3].addr;
    world.kill(NodeId(3));
    // The same port, another key: the data folder was lost.
    let seed = world.uri(NodeId(0));
    let heir = world.start_node_at(addr, vec![seed]);
    let took = world.run_until("all agree", World::agree);
    assert!(took < 15 * SECOND, "{took:?}");
    assert_eq!(world.node(heir).sky_count(), 4);
}

#[test]
fn whoever_is_declared_gone_wrongly_comes_back() {
    let mut world = World::lab_of(4);
    // Node 1 says falsely that node 2 is gone.
    let seq = world
        .node(NodeId(1))
        .sky
        .get(&world.key(NodeId(2)))
        .unwrap()
        .body
        .seq;
    let liar = world.nodes[1].key.clone();
    let departure = Departure::sign(&world.network, &liar, Role::Sky, world.key(NodeId(2)), seq);
    let at = world.client_from(NodeId(0), World::addr(1), Some(world.key(NodeId(1))));
    world
        .request(at, &Request::Spread(vec![SpreadItem::Departure(departure)]))
        .unwrap();
    assert!(
        !world.node(NodeId(0)).sky.contains(&world.key(NodeId(2))),
        "it was believed"
    );
    let took = world.run_until("all agree", World::agree);
    assert!(took < 15 * SECOND, "{took:?}");
    let renewed = world
        .node(NodeId(3))
        .sky
        .get(&world.key(NodeId(2)))
        .unwrap()
        .body
        .seq;
    assert!(renewed > seq);
}

#[test]
fn departures_by_strangers_are_not_believed() {
    let mut world = World::lab_of(3);
    let victim = world.key(NodeId(2));
    let seq = world.node(NodeId(0)).sky.get(&victim).unwrap().body.seq;
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[99; 32]);
    let departure = Departure::sign(&world.network, &stranger, Role::Sky, victim, seq);
    // A member passes it on.
    let at = world.client_from(NodeId(0), World::addr(1), Some(world.key(NodeId(1))));
    world
        .request(at, &Request::Spread(vec![SpreadItem::Departure(departure)]))
        .unwrap();
    // A signature that does not hold.
    let mut forged = Departure::sign(&world.network, &stranger, Role::Sky, victim, seq);
    forged.by = world.key(NodeId(1));
    world
        .request(at, &Request::Spread(vec![SpreadItem::Departure(forged)]))
        .unwrap();
    assert!(world.node(NodeId(0)).sky.contains(&victim));
}

#[test]
fn a_network_that_fell_apart_finds_together_again() {
    let mut world = World::lab_of(4);
    world.run_for(80 * SECOND);
    // Two nodes go, and come back when everybody has given them up; they know each other and old records only.
    world.kill(NodeId(2));
    world.kill(NodeId(3));
    world.run_until("they are given up", World::agree);
    world.boot(NodeId(2), Vec::new());
    world.boot(NodeId(3), Vec::new());
    let took = world.run_until("all agree", World::agree);
    assert!(took < 70 * SECOND, "{took:?}");
    assert_eq!(world.node(NodeId(0)).sky_count(), 4);
}

#[test]
fn a_broken_connection_alone_ends_nobody() {
    let mut world = World::lab_of(3);
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        world.break_between(NodeId(a), NodeId(b));
    }
    let mut least = 3;
    for _ in 0..60 {
        world.run_for(SECOND);
        least = world
            .alive()
            .into_iter()
            .map(|id| world.node(id).sky_count())
            .min()
            .unwrap()
            .min(least);
    }
    assert_eq!(least, 3);
    assert!(world.agree());
}

#[test]
fn records_are_renewed_before_they_end() {
    let mut world = World::lab_of(3);
    let old = world
        .node(NodeId(0))
        .sky
        .get(&world.key(NodeId(1)))
        .unwrap()
        .body
        .seq;
    world.run_for(Duration::from_secs(13 * 3_600));
    assert!(world.agree());
    assert!(
        world
            .node(NodeId(0))
            .sky
            .get(&world.key(NodeId(1)))
            .unwrap()
            .body
            .seq
            > old
    );
    world.run_for(Duration::from_secs(60 * 3_600));
    assert!(world.agree());
}

#[test]
fn upkeep_is_light_and_does_not_grow_with_the_network() {
    let mut per_minute = Vec::new();
    for count in [3, 24] {
        let mut world = World::lab_of(count);
        world.run_for(60 * SECOND);
        world.traffic.clear();
        world.run_for(600 * SECOND);
        assert_eq!(world.traffic.get(&LIST), None, "nothing differs");
        assert_eq!(world.traffic.get(&SPREAD), None, "nothing is new");
        let digests = world.traffic[&DIGEST];
        per_minute.push(digests / 10 / count);
    }
    // Three neighbours, six times a minute; with three nodes there are only two others.
    assert_eq!(per_minute, [12, 18]);
}

#[test]
fn news_cross_each_link_at_most_twice() {
    let mut world = World::lab_of(24);
    world.run_for(30 * SECOND);
    world.traffic.clear();
    let last = world.start_node(vec![world.uri(NodeId(0))]);
    world.run_until("all agree", World::agree);
    world.run_for(2 * SECOND);
    assert_eq!(world.node(last).sky_count(), 25);
    // Each of 25 nodes has 16 neighbours and one link beyond, and passes each item on once; the newcomer greets whom it dials.
    let spread = world.traffic[&SPREAD];
    assert!(spread < 25 * 20, "{spread}");
}

#[test]
fn strangers_tell_no_news() {
    let mut world = World::lab_of(2);
    let record = |seed: u8, port: u16| {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let seq = u64::try_from(world.unix().as_millis()).unwrap();
        let addrs = vec![std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()];
        let body = RecordBody {
            role: Role::Sky,
            flags: Flags::DIRECT,
            hpke_key: [0; 32],
            seq,
            expires: seq / 1_000 + 3_600,
            slot: 0,
            addrs,
        };
        NodeRecord::sign(&world.network, &key, body).unwrap()
    };
    let (own, other) = (record(70, 9_000), record(71, 9_001));
    let item = |record: &NodeRecord| SpreadItem::Record(Box::new(record.clone()));

    let user = world.client(NodeId(0));
    let answer = world.request(user, &Request::Spread(vec![item(&own)]));
    assert_eq!(code(answer), ErrorCode::REFUSED, "users have no part in it");
    assert_eq!(
        code(world.request(user, &Request::Digest)),
        ErrorCode::REFUSED
    );

    let stranger = world.client_from(NodeId(0), World::addr(9), Some(own.node));
    let answer = world.request(stranger, &Request::Spread(vec![item(&other)]));
    assert_eq!(code(answer), ErrorCode::REFUSED);
    assert!(!world.node(NodeId(0)).sky.contains(&other.node));

    world
        .request(stranger, &Request::Spread(vec![item(&other), item(&own)]))
        .unwrap();
    assert!(world.node(NodeId(0)).sky.contains(&own.node), "introduced");
    assert!(world.node(NodeId(0)).sky.contains(&other.node));
}

#[test]
fn two_nodes_of_a_block_take_its_two_places() {
    let mut world = World::new(Network::main());
    let at = |host: u8, port: u16| std::net::SocketAddr::from(([203, 0, 113, host], port));
    let first = world.start_node_at(at(1, 4_433), Vec::new());
    let uri = world.uri(first);
    let second = world.start_node_at(at(2, 4_433), vec![uri]);
    world.run_until("both agree", World::agree);
    let slot =
        |world: &World, id: NodeId| world.node(first).sky.get(&world.key(id)).unwrap().body.slot;
    assert_eq!((slot(&world, first), slot(&world, second)), (0, 1));

    let third = world.start_node_at(at(3, 4_433), vec![uri]);
    world.run_until("it tells", |world| {
        world.nodes[third.0].events.contains(&Event::PlaceTaken)
    });
    world.run_for(30 * SECOND);
    assert_eq!(world.node(first).sky_count(), 2);
    // When a place becomes free it takes it.
    world.kill(second);
    let took = world.run_until("the third is in", World::agree);
    assert!(took < 60 * SECOND, "{took:?}");
    assert_eq!(world.node(first).sky_count(), 2);
}

#[test]
fn a_claim_to_the_place_of_a_living_node_comes_to_nothing() {
    let mut world = World::new(Network::main());
    let at = |block: u8| std::net::SocketAddr::from(([203, 0, block, 1], 4_433));
    let first = world.start_node_at(at(1), Vec::new());
    let uri = world.uri(first);
    let second = world.start_node_at(at(2), vec![uri]);
    world.run_until("both agree", World::agree);
    // A stranger with a lower key claims the second's place, at both.
    let key = (0..=255).map(|n| ed25519_dalek::SigningKey::from_bytes(&[n; 32]));
    let key = key
        .min_by_key(|key| key.verifying_key().to_bytes())
        .unwrap();
    let seq = u64::try_from(world.unix().as_millis()).unwrap() + 60_000;
    let addrs = vec![std::net::SocketAddr::from(([203, 0, 2, 77], 1)).into()];
    let body = RecordBody {
        role: Role::Sky,
        flags: Flags::DIRECT,
        hpke_key: [0; 32],
        seq,
        expires: seq / 1_000 + 3_600,
        slot: 0,
        addrs,
    };
    let record = NodeRecord::sign(&world.network, &key, body).unwrap();
    for node in [first, second] {
        let stranger = world.client_from(
            node,
            std::net::SocketAddr::from(([198, 51, 100, 1], 1)),
            Some(record.node),
        );
        world
            .request(
                stranger,
                &Request::Spread(vec![SpreadItem::Record(Box::new(record.clone()))]),
            )
            .unwrap();
    }
    world.run_for(60 * SECOND);
    assert!(world.agree());
    assert!(world.node(first).sky.contains(&world.key(second)));
    assert!(!world.node(first).sky.contains(&record.node));
}

#[test]
fn a_silent_connection_is_closed() {
    let mut world = World::lab_of(2);
    world.break_between(NodeId(0), NodeId(1));
    world.run_for(30 * SECOND);
    assert!(
        world
            .nodes
            .iter()
            .any(|node| node.closes.contains(&Close::Silent))
    );
    assert!(world.agree());
}

#[test]
fn addresses_that_nobody_can_reach_are_refused_on_a_public_network() {
    let config = crate::proto::Config {
        network: Network::main(),
        key: ed25519_dalek::SigningKey::from_bytes(&[1; 32]),
        addrs: vec![World::addr(0).into()],
        seeds: Vec::new(),
        known: Vec::new(),
        limits: crate::proto::Limits::public(),
    };
    let now = std::time::Instant::now();
    assert!(
        crate::proto::Sky::new(config, now, Duration::from_secs(super::world::START_S)).is_err()
    );
}
