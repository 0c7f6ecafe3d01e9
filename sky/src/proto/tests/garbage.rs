//! Whatever comes in: no panic, an error, and the node goes on.

use std::time::Duration;

use hermes_wire::{
    Network, Wire as _,
    channel::ErrorCode,
    ids::NodeKey,
    node::{NodeRecord, Role},
    sky::{
        ANNOUNCE, Announce, DIGEST, FORWARD, INCOMING, KEEPERS, KNOCK, LIST, List, Listed,
        REGISTER, Request, SPREAD, SpreadItem, UNREGISTER,
    },
};

use super::{
    people::{Keeper, Owner},
    world::{ClientId, NodeId, Policy, START_S, World, code},
};

const KINDS: [u8; 10] = [
    REGISTER, UNREGISTER, KNOCK, LIST, KEEPERS, ANNOUNCE, SPREAD, DIGEST, INCOMING, FORWARD,
];

/// A stream of numbers that is the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len)
            .map(|_| u8::try_from(self.roll(256)).unwrap())
            .collect()
    }
}

/// Well-formed requests of all kinds.
fn good(world: &World, client: ClientId) -> Vec<Request> {
    let owner = Owner::new(&world.network, 1);
    let keeper = Keeper::new(1);
    let record = keeper.record(world);
    let announce = Announce::sign(
        &world.network,
        &keeper.key,
        record.clone(),
        &world.binding(client),
        &world.clients_node_key(client),
    );
    let knock = Box::new(owner.knock(5, 1));
    vec![
        owner.registration(world, client, 0, 600),
        Request::Unregister(owner.presence.presence),
        Request::Knock(knock.clone()),
        Request::List(List {
            role: Role::Sky,
            after: NodeKey([0; 32]),
            max: 10,
        }),
        Request::Keepers {
            position: owner.position(),
            n: 10,
        },
        Request::Announce(Box::new(announce)),
        Request::Spread(vec![SpreadItem::Record(Box::new(record))]),
        Request::Digest,
        Request::Forward { hops: 1, knock },
    ]
}

fn is_well(world: &mut World) {
    let user = world.client(NodeId(0));
    assert_eq!(world.list(user, Role::Sky, 10).len(), 2);
    world.run_for(Duration::from_secs(30));
    assert!(world.agree());
}

#[test]
fn random_bytes_are_malformed() {
    let mut world = World::lab_of(2);
    let member = world.key(NodeId(1));
    let mut dice = Dice(1);
    for presented in [None, Some(member), Some(NodeKey([1; 32]))] {
        let client = world.client_from(NodeId(0), World::addr(50), presented);
        for round in 0..600 {
            let kind = KINDS[round % KINDS.len()];
            let len = [0, 1, 16, 31, 33, 200, 900, 5_000][dice.roll(8)];
            let body = dice.bytes(len);
            if Request::decode(kind, &body).is_ok() {
                continue;
            }
            let ticket = world.send_raw(client, kind, body);
            assert_eq!(
                code(world.wait_for(ticket)),
                ErrorCode::MALFORMED,
                "type {kind:#04x}"
            );
        }
    }
    is_well(&mut world);
}

#[test]
fn unknown_types_are_unsupported() {
    let mut world = World::lab_of(2);
    let client = world.client(NodeId(0));
    for kind in (0..0x80).filter(|kind| !KINDS.contains(kind)) {
        let ticket = world.send_raw(client, kind, vec![1; 40]);
        assert_eq!(
            code(world.wait_for(ticket)),
            ErrorCode::UNSUPPORTED,
            "type {kind:#04x}"
        );
    }
    let owner = Owner::new(&world.network, 1);
    let incoming = Request::Incoming(hermes_wire::sky::Incoming::from(&owner.knock(5, 1)));
    assert_eq!(
        code(world.request(client, &incoming)),
        ErrorCode::UNSUPPORTED,
        "that is for owners"
    );
    is_well(&mut world);
}

#[test]
fn cut_off_and_overlong_requests_are_malformed() {
    let mut world = World::lab_of(2);
    let client = world.client_from(NodeId(0), World::addr(50), Some(world.key(NodeId(1))));
    for request in good(&world, client) {
        let mut body = Vec::new();
        request.encode(&mut body);
        let step = (body.len() / 40).max(1);
        for len in (0..body.len()).step_by(step) {
            let ticket = world.send_raw(client, request.kind(), body[..len].to_vec());
            assert_eq!(
                code(world.wait_for(ticket)),
                ErrorCode::MALFORMED,
                "type {:#04x} cut to {len}",
                request.kind()
            );
        }
        body.push(0);
        let ticket = world.send_raw(client, request.kind(), body);
        assert_eq!(code(world.wait_for(ticket)), ErrorCode::MALFORMED);
    }
    is_well(&mut world);
}

#[test]
fn flipped_bits_do_no_harm() {
    let mut world = World::lab_of(2);
    let mut dice = Dice(2);
    let client = world.client_from(NodeId(0), World::addr(50), Some(world.key(NodeId(1))));
    for request in good(&world, client) {
        let mut body = Vec::new();
        request.encode(&mut body);
        if body.is_empty() {
            continue;
        }
        for _ in 0..60 {
            let mut bent = body.clone();
            bent[dice.roll(body.len())] ^= 1 << dice.roll(8);
            let ticket = world.send_raw(client, request.kind(), bent);
            // Some bits only change the question. Nothing signed survives.
            let answer = world.wait_for(ticket);
            let is_signed = matches!(request, Request::Register(_) | Request::Announce(_));
            assert!(
                !(is_signed && answer.is_ok()),
                "type {:#04x}",
                request.kind()
            );
        }
    }
    assert_eq!(world.node(NodeId(0)).keeper_count(), 0);
    is_well(&mut world);
}

#[test]
fn records_of_another_network_are_nothing() {
    let mut world = World::lab_of(2);
    let mut elsewhere = World::new(
        Network::new(hermes_wire::network::Params {
            name: "elsewhere".to_owned(),
            ..Network::lab().params().clone()
        })
        .unwrap(),
    );
    elsewhere.now = world.now;
    let foreign = Keeper::new(3).record(&world).to_bytes();
    let record = Keeper::new(3).record(&elsewhere);
    assert_ne!(foreign, record.to_bytes());
    let client = world.client_from(NodeId(0), World::addr(50), Some(world.key(NodeId(1))));
    world
        .request(
            client,
            &Request::Spread(vec![SpreadItem::Record(Box::new(record))]),
        )
        .unwrap();
    assert_eq!(world.node(NodeId(0)).keeper_count(), 0);
}

/// A network of a few nodes and one more that answers the first as this policy says.
fn member(count: usize, policy: Policy) -> (World, ClientId) {
    let mut world = World::lab_of(count);
    let key = ed25519_dalek::SigningKey::from_bytes(&[123; 32]);
    let node = NodeKey(key.verifying_key().to_bytes());
    let client = world.client_from(NodeId(0), World::addr(70), Some(node));
    world.at(client).policy = policy;
    let member = Keeper {
        key,
        addr: World::addr(70).into(),
    };
    let record = member.record_at(
        &world,
        u64::try_from(world.unix().as_millis()).unwrap(),
        Role::Sky,
    );
    world
        .request(
            client,
            &Request::Spread(vec![SpreadItem::Record(Box::new(record))]),
        )
        .unwrap();
    assert!(world.node(NodeId(0)).sky.contains(&node));
    (world, client)
}

/// Answers with a digest that agrees with nobody's, and with this list to the first page asked for of this role.
fn digest_and(kind: u8, body: &[u8], role: Role, records: Vec<NodeRecord>) -> Option<Vec<u8>> {
    match kind {
        DIGEST => Some(vec![1; 64]),
        LIST => {
            let is_it = List::decode(body).unwrap().role == role;
            let records = if is_it { records } else { Vec::new() };
            Some(
                Listed {
                    more: false,
                    records,
                }
                .to_bytes(),
            )
        }
        SPREAD => Some(Vec::new()),
        _ => None,
    }
}

fn record(n: u8, role: Role) -> NodeRecord {
    Keeper::new(n).record_at(&World::lab(), START_S * 1_000, role)
}

fn was_told(world: &mut World, client: ClientId, what: impl Fn(&SpreadItem) -> bool) -> bool {
    let is_it =
        |request: &Request| matches!(request, Request::Spread(items) if items.iter().any(&what));
    world.at(client).incoming.iter().any(is_it)
}

#[test]
fn who_lacks_records_is_told_them() {
    let (mut world, client) = member(
        1,
        Policy::ByKind(|kind, body| digest_and(kind, body, Role::Sky, Vec::new())),
    );
    let node = world.key(NodeId(0));
    world.run_until("it is told", |world| {
        was_told(
            world,
            client,
            |item| matches!(item, SpreadItem::Record(record) if record.node == node),
        )
    });
}

#[test]
fn who_lists_the_departed_is_told() {
    let (mut world, client) = member(
        1,
        Policy::ByKind(|kind, body| {
            digest_and(kind, body, Role::Earth, vec![record(0, Role::Earth)])
        }),
    );
    let is_it = |item: &SpreadItem| matches!(item, SpreadItem::Departure(gone) if gone.node == record(0, Role::Earth).node);
    // While nobody has heard of its departure the record is news.
    world.run_until("the list was read", |world| {
        world.node(NodeId(0)).keeper_count() == 1
    });
    let home = Keeper::new(0).join(&mut world, NodeId(0));
    world.hang_up(home);
    world.run_until("the keeper is gone", |world| {
        world.node(NodeId(0)).keeper_count() == 0
    });
    world.run_for(Duration::from_secs(1));
    world.at(client).incoming.clear();
    world.run_until("it is told by the exchange", |world| {
        was_told(world, client, is_it)
    });

    // Whoever spreads it is told as well.
    world.at(client).incoming.clear();
    let items = vec![SpreadItem::Record(Box::new(record(0, Role::Earth)))];
    world.request(client, &Request::Spread(items)).unwrap();
    world.run_for(Duration::from_millis(50));
    assert!(was_told(&mut world, client, is_it));
    assert_eq!(world.node(NodeId(0)).keeper_count(), 0);
}

#[test]
fn a_list_out_of_order_or_of_another_role_ends_the_connection() {
    let disordered: fn(u8, &[u8]) -> Option<Vec<u8>> = |kind, body| {
        let mut records: Vec<_> = (0..3).map(|n| record(n, Role::Sky)).collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.node));
        digest_and(kind, body, Role::Sky, records)
    };
    let foreign: fn(u8, &[u8]) -> Option<Vec<u8>> =
        |kind, body| digest_and(kind, body, Role::Sky, vec![record(0, Role::Earth)]);
    for policy in [disordered, foreign] {
        let (mut world, client) = member(1, Policy::ByKind(policy));
        world.run_until("it is closed", |world| world.at(client).is_closed);
        assert_eq!(world.node(NodeId(0)).keeper_count(), 0);
    }
}

#[test]
fn lists_that_keep_differing_are_not_read_all_the_time() {
    let (mut world, client) = member(
        1,
        Policy::ByKind(|kind, body| digest_and(kind, body, Role::Sky, Vec::new())),
    );
    let keepers: Vec<ClientId> = (0..100)
        .map(|n| Keeper::new(n).join(&mut world, NodeId(0)))
        .collect();
    world.at(client).incoming.clear();
    // Our lists change all the time: a keeper goes every five seconds.
    for keeper in keepers.into_iter().take(24) {
        world.hang_up(keeper);
        world.run_for(Duration::from_secs(5));
    }
    let count = |world: &mut World, kind| {
        world
            .at(client)
            .incoming
            .iter()
            .filter(|request| request.kind() == kind)
            .count()
    };
    assert!(
        count(&mut world, DIGEST) >= 11,
        "compared every ten seconds"
    );
    let lists = count(&mut world, LIST);
    assert!(
        (2..=4).contains(&lists),
        "both lists, once in 80 seconds or so: {lists}"
    );
}

#[test]
fn nonsense_in_answers_does_no_harm() {
    let mut dice = Dice(3);
    let empty_but_more = Listed {
        more: true,
        records: Vec::new(),
    }
    .to_bytes();
    for body in [
        Vec::new(),
        vec![0; 64],
        vec![0xff; 64],
        dice.bytes(64),
        dice.bytes(3_000),
        empty_but_more,
    ] {
        let (mut world, _) = member(2, Policy::Answer(body));
        world.run_for(Duration::from_secs(60));
        assert!(world.node(NodeId(0)).sky.contains(&world.key(NodeId(1))));
        let user = world.client(NodeId(0));
        assert!(
            world
                .list(user, Role::Sky, 10)
                .contains(&world.key(NodeId(1)))
        );
    }
}

#[test]
fn what_comes_for_unknown_connections_and_calls_is_ignored() {
    use crate::proto::{CallFailure, CallId, Closed, ConnId, DialFailure, RequestId};
    let mut world = World::lab_of(2);
    let (now, other) = (world.now, world.key(NodeId(1)));
    let sky = world.nodes[0].sky.as_mut().unwrap();
    sky.handle_request(ConnId(9_999), RequestId(1), LIST, &[], now);
    sky.handle_closed(ConnId(9_999), Closed::Broken, now);
    sky.handle_moved(ConnId(9_999), World::addr(1));
    sky.handle_answer(CallId(9_999), Ok(vec![1]), now);
    sky.handle_answer(CallId(9_999), Err(CallFailure::Lost), now);
    sky.handle_dial_failed(NodeKey([9; 32]), DialFailure::WrongKey, now);
    sky.handle_timeout(now);
    assert!(sky.poll_output().is_none());
    assert!(sky.sky.contains(&other));
    is_well(&mut world);
}
