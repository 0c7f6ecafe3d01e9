//! Keepers: announced at a home, known everywhere, gone when the home says so.

use std::time::Duration;

use hermes_ring::{Ring, Rules, Seat};
use hermes_wire::{
    Wire as _,
    channel::ErrorCode,
    ids::{NodeKey, Position},
    node::Role,
    sky::{DIGEST, Departure, KeepersFound, Request, SpreadItem},
};

use super::{
    people::Keeper,
    world::{ClientId, NodeId, World, code},
};
use crate::proto::Close;

const SECOND: Duration = Duration::from_secs(1);

fn knows(world: &World, node: NodeId, keeper: &Keeper) -> bool {
    world.node(node).earth.contains(&keeper.node_key())
}

fn everybody_knows(world: &World, keeper: &Keeper) -> bool {
    world.alive().into_iter().all(|id| knows(world, id, keeper))
}

fn nobody_knows(world: &World, keeper: &Keeper) -> bool {
    world
        .alive()
        .into_iter()
        .all(|id| !knows(world, id, keeper))
}

fn keepers_near(world: &mut World, client: ClientId, position: Position, n: u8) -> Vec<NodeKey> {
    let answer = world
        .request(client, &Request::Keepers { position, n })
        .unwrap();
    KeepersFound::decode(&answer)
        .unwrap()
        .records
        .iter()
        .map(|record| record.node)
        .collect()
}

#[test]
fn an_announced_keeper_is_known_everywhere() {
    let mut world = World::lab_of(5);
    let keeper = Keeper::new(1);
    keeper.join(&mut world, NodeId(2));
    let took = world.run_until("everybody knows", |world| everybody_knows(world, &keeper));
    assert!(took < SECOND, "{took:?}");
    world.run_for(120 * SECOND);
    assert!(everybody_knows(&world, &keeper));
}

#[test]
fn news_are_not_told_to_those_they_came_from() {
    let mut world = World::lab_of(2);
    world.run_for(SECOND);
    world.traffic.clear();
    let keeper = Keeper::new(1);
    keeper.join(&mut world, NodeId(0));
    world.run_until("everybody knows", |world| everybody_knows(world, &keeper));
    world.run_for(SECOND);
    assert_eq!(world.traffic.get(&hermes_wire::sky::SPREAD), Some(&1));
}

#[test]
fn a_joining_node_learns_all_keepers() {
    let mut world = World::lab_of(2);
    let keepers: Vec<Keeper> = (0..30).map(Keeper::new).collect();
    for keeper in &keepers {
        keeper.join(&mut world, NodeId(1));
    }
    let seed = world.uri(NodeId(0));
    let late = world.start_node(vec![seed]);
    world.run_until("it has joined", |world| {
        world.nodes[late.0]
            .events
            .contains(&crate::proto::Event::Joined)
    });
    assert_eq!(
        world.node(late).keeper_count(),
        30,
        "when it says so it is so"
    );
    let user = world.client(late);
    let mut expected: Vec<_> = keepers.iter().map(Keeper::node_key).collect();
    expected.sort();
    assert_eq!(world.list(user, Role::Earth, 7), expected);
}

#[test]
fn keepers_near_a_position_are_those_of_the_ring() {
    let mut world = World::lab_of(3);
    let keepers: Vec<Keeper> = (0..20).map(Keeper::new).collect();
    for (n, keeper) in keepers.iter().enumerate() {
        keeper.join(&mut world, NodeId(n % 3));
    }
    world.run_until("all agree", World::agree);
    let records = keepers.iter().map(|keeper| keeper.record(&world));
    let ring =
        Ring::collect(records.map(|record| (Seat::of(&world.network, &record).unwrap(), ())));
    let users = [world.client(NodeId(0)), world.client(NodeId(1))];
    for n in 0..=255_u8 {
        let position = Position([n; 32]);
        let holders = ring.holders(&position, &Rules::of(&world.network), 10);
        let expected: Vec<_> = holders.candidates().map(|member| member.seat.key).collect();
        for user in users {
            assert_eq!(keepers_near(&mut world, user, position, 10), expected);
        }
        assert_eq!(
            keepers_near(&mut world, users[0], position, 3),
            expected[..3]
        );
        assert!(keepers_near(&mut world, users[0], position, 0).is_empty());
    }
}

#[test]
fn a_keeper_that_hangs_up_is_gone_at_once() {
    let mut world = World::lab_of(4);
    let keeper = Keeper::new(1);
    let home = keeper.join(&mut world, NodeId(0));
    world.run_until("everybody knows", |world| everybody_knows(world, &keeper));
    world.hang_up(home);
    let took = world.run_until("nobody knows", |world| nobody_knows(world, &keeper));
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn a_keeper_that_dies_is_given_up_soon() {
    let mut world = World::lab_of(4);
    let keeper = Keeper::new(1);
    let home = keeper.join(&mut world, NodeId(0));
    world.run_until("everybody knows", |world| everybody_knows(world, &keeper));
    let conn = world.conn_of(home);
    world.break_conn(conn);
    let took = world.run_until("nobody knows", |world| nobody_knows(world, &keeper));
    // Noticed by its silence (up to 30 s and 3 s for an answer), then 20 s to come back.
    assert!(took > 20 * SECOND && took < 60 * SECOND, "{took:?}");
}

#[test]
fn a_keeper_that_comes_back_in_time_was_never_gone() {
    let mut world = World::lab_of(3);
    let keeper = Keeper::new(1);
    let home = keeper.join(&mut world, NodeId(0));
    world.run_until("everybody knows", |world| everybody_knows(world, &keeper));
    let conn = world.conn_of(home);
    world.break_conn(conn);
    world.run_for(10 * SECOND);
    keeper.join(&mut world, NodeId(0));
    for _ in 0..120 {
        world.run_for(SECOND);
        assert!(everybody_knows(&world, &keeper));
    }
}

#[test]
fn a_keeper_may_change_its_home() {
    let mut world = World::lab_of(3);
    let keeper = Keeper::new(1);
    let first = keeper.join(&mut world, NodeId(0));
    world.run_until("everybody knows", |world| everybody_knows(world, &keeper));
    world.run_for(SECOND);
    keeper.join(&mut world, NodeId(1));
    world.run_for(SECOND);
    world.hang_up(first);
    for _ in 0..60 {
        world.run_for(SECOND);
        assert!(everybody_knows(&world, &keeper));
    }
}

#[test]
fn the_death_of_a_home_is_not_the_death_of_its_keepers() {
    let mut world = World::lab_of(3);
    let keeper = Keeper::new(1);
    keeper.join(&mut world, NodeId(0));
    world.run_until("everybody knows", |world| everybody_knows(world, &keeper));
    world.kill(NodeId(0));
    world.run_for(120 * SECOND);
    assert!(
        everybody_knows(&world, &keeper),
        "until its record ends, or it tells otherwise"
    );
    keeper.join(&mut world, NodeId(1));
    world.run_for(SECOND);
    assert!(world.agree());
}

#[test]
fn a_keeper_that_another_node_believes_gone_is_asked_to_announce_itself_anew() {
    let mut world = World::lab_of(3);
    let keeper = Keeper::new(1);
    let home = keeper.join(&mut world, NodeId(0));
    world.run_until("everybody knows", |world| everybody_knows(world, &keeper));
    let seq = world
        .node(NodeId(0))
        .earth
        .get(&keeper.node_key())
        .unwrap()
        .body
        .seq;
    let liar = world.nodes[2].key.clone();
    let departure = Departure::sign(&world.network, &liar, Role::Earth, keeper.node_key(), seq);
    for node in [NodeId(0), NodeId(1)] {
        let at = world.client_from(node, World::addr(2), Some(world.key(NodeId(2))));
        world
            .request(
                at,
                &Request::Spread(vec![SpreadItem::Departure(departure.clone())]),
            )
            .unwrap();
    }
    world.run_for(SECOND);
    assert!(knows(&world, NodeId(0), &keeper), "it is connected there");
    assert!(!knows(&world, NodeId(1), &keeper));
    assert!(world.at(home).is_closed);
    assert_eq!(world.nodes[0].closes, [Close::AnnounceAnew]);
    // The old record is refused where the departure is known; a new one helps.
    let back = world.client_from(NodeId(1), keeper.addr.socket(), Some(keeper.node_key()));
    let old = keeper.record_at(&world, seq, Role::Earth);
    let answer = keeper.announce(&mut world, back, old);
    assert_eq!(code(answer), ErrorCode::EXPIRY);
    keeper.join(&mut world, NodeId(1));
    world.run_until("everybody knows", |world| everybody_knows(world, &keeper));
}

#[test]
fn an_announcement_holds_on_its_own_connection_only() {
    let mut world = World::lab_of(2);
    let keeper = Keeper::new(1);
    let one = world.client_from(NodeId(0), keeper.addr.socket(), Some(keeper.node_key()));
    let other = world.client_from(NodeId(0), keeper.addr.socket(), Some(keeper.node_key()));
    let (binding, sky) = (world.binding(one), world.key(NodeId(0)));
    let record = keeper.record(&world);
    let announce =
        hermes_wire::sky::Announce::sign(&world.network, &keeper.key, record, &binding, &sky);
    let answer = world.request(other, &Request::Announce(Box::new(announce)));
    assert_eq!(code(answer), ErrorCode::SIGNATURE);
    assert!(!knows(&world, NodeId(0), &keeper));

    let record = keeper.record_at(&world, 1, Role::Earth);
    let answer = keeper.announce(&mut world, one, record);
    assert_eq!(code(answer), ErrorCode::EXPIRY, "it ended long ago");
    let ahead = u64::try_from(world.unix().as_millis()).unwrap() + 2 * 3_600_000;
    let record = keeper.record_at(&world, ahead, Role::Earth);
    let answer = keeper.announce(&mut world, one, record);
    assert_eq!(code(answer), ErrorCode::EXPIRY, "it comes from the future");
    let now = u64::try_from(world.unix().as_millis()).unwrap();
    let record = keeper.record_at(&world, now, Role::Sky);
    let answer = keeper.announce(&mut world, one, record);
    assert_eq!(
        code(answer),
        ErrorCode::MALFORMED,
        "sky nodes introduce themselves otherwise"
    );

    let record = keeper.record(&world);
    keeper.announce(&mut world, one, record).unwrap();
    let second = Keeper::new(2);
    let record = second.record(&world);
    let answer = second.announce(&mut world, one, record);
    assert_eq!(
        code(answer),
        ErrorCode::REFUSED,
        "one keeper on a connection"
    );
}

#[test]
fn quiet_keepers_are_asked_for_a_sign_of_life_now_and_then() {
    let mut world = World::lab_of(1);
    let keeper = Keeper::new(1);
    keeper.join(&mut world, NodeId(0));
    world.run_for(600 * SECOND);
    assert!(knows(&world, NodeId(0), &keeper));
    let asked = world.traffic[&DIGEST];
    assert!((15..=31).contains(&asked), "{asked} times in ten minutes");
}

#[test]
fn records_of_keepers_end() {
    let mut world = World::lab_of(2);
    let keeper = Keeper::new(1);
    keeper.join(&mut world, NodeId(0));
    world.run_until("everybody knows", |world| everybody_knows(world, &keeper));
    world.run_for(Duration::from_secs(86_400 + 60));
    assert!(nobody_knows(&world, &keeper), "it was not renewed");
    assert!(world.agree());
}
