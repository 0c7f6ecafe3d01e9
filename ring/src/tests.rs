//! Properties of the ring, checked against plain lists.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use hermes_wire::{
    Network,
    ids::{NodeKey, Position},
    node::{Flags, NodeRecord, Prefix, RecordBody, Role},
};
use proptest::prelude::*;

use crate::{Inserted, LEAVES, Links, Member, Ring, Rules, Seat};

const RULES: Rules = Rules {
    copies: 5,
    direct_min: 2,
    diverse: true,
};

fn key(n: u16) -> NodeKey {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    NodeKey(bytes)
}

fn point(n: u16) -> Position {
    Position(key(n).0)
}

/// A seat at point `at`, in one of 256 blocks.
fn seat(at: u16, block: u8, direct: bool) -> Seat {
    Seat {
        point: point(at),
        key: key(at),
        prefix: Prefix::V4([10, 0, block]),
        direct,
    }
}

fn ring(seats: &[Seat]) -> Ring<()> {
    Ring::collect(seats.iter().map(|seat| (*seat, ())))
}

fn keys<'a>(members: impl IntoIterator<Item = &'a Member<()>>) -> Vec<NodeKey> {
    members.into_iter().map(|member| member.seat.key).collect()
}

/// The clockwise order by definition: sort by distance from the position modulo 2^16 (points differ in their first two bytes only).
fn clockwise(seats: &[Seat], from: u16) -> Vec<Seat> {
    let number = |seat: &Seat| u16::from_be_bytes([seat.point.0[0], seat.point.0[1]]);
    let mut sorted = seats.to_vec();
    sorted.sort_by_key(|seat| number(seat).wrapping_sub(from));
    sorted
}

prop_compose! {
    /// Up to 60 members at different points.
    fn members()(points in prop::collection::btree_set(any::<u16>(), 0..60))
                (seats in points.into_iter().map(|at| (Just(at), 0..12_u8, any::<bool>())).collect::<Vec<_>>())
                -> Vec<Seat> {
        seats.into_iter().map(|(at, block, direct)| seat(at, block, direct)).collect()
    }
}

proptest! {
    #[test]
    fn walks_go_clockwise_and_wrap(seats in members(), from: u16) {
        let expected: Vec<_> = clockwise(&seats, from).iter().map(|seat| seat.key).collect();
        let ring = ring(&seats);
        prop_assert_eq!(keys(ring.clockwise(&point(from))), expected.clone());
        let mut backwards = keys(ring.counter_clockwise(&point(from)));
        backwards.reverse();
        prop_assert_eq!(backwards, expected.clone());
        prop_assert_eq!(keys(ring.successors(&point(from), 3)), &expected[..expected.len().min(3)]);
    }

    #[test]
    fn any_order_of_joining_gives_the_same_holders(seats in members(), order in any::<prop::sample::Index>(), from: u16) {
        let forwards = ring(&seats);
        let mut shuffled = seats.clone();
        if !shuffled.is_empty() {
            let middle = order.index(shuffled.len());
            shuffled.rotate_left(middle);
            shuffled.reverse();
        }
        let mut other = Ring::new();
        for seat in shuffled {
            prop_assert_eq!(other.insert(seat, ()), Inserted::New);
        }
        let a = forwards.holders(&point(from), &RULES, 10);
        let b = other.holders(&point(from), &RULES, 10);
        prop_assert_eq!(keys(a.candidates()), keys(b.candidates()));
        prop_assert_eq!(keys(forwards.leaf_set(&point(from)).after), keys(other.leaf_set(&point(from)).after));
        prop_assert_eq!(forwards.links(&point(from), Links::Fingers), other.links(&point(from), Links::Fingers));
    }

    #[test]
    fn holders_obey_the_rules(seats in members(), from: u16, copies in 1..8_usize, direct_min in 0..8_usize, diverse: bool) {
        let rules = Rules { copies, direct_min: direct_min.min(copies), diverse };
        let ring = ring(&seats);
        let holders = ring.holders(&point(from), &rules, rules.candidates());

        // The walk by definition.
        let mut blocks = BTreeSet::new();
        let walk: Vec<Seat> = clockwise(&seats, from).into_iter().filter(|seat| !diverse || blocks.insert(seat.prefix)).collect();
        let plain = &walk[..walk.len().min(copies)];

        prop_assert_eq!(holders.chosen.len(), plain.len());
        let candidates: Vec<Seat> = holders.candidates().map(|member| member.seat).collect();
        prop_assert!(candidates.len() <= rules.candidates().max(copies));
        let distinct: BTreeSet<_> = candidates.iter().map(|seat| seat.key).collect();
        prop_assert_eq!(distinct.len(), candidates.len());
        if diverse {
            let blocks: BTreeSet<_> = candidates.iter().map(|seat| seat.prefix).collect();
            prop_assert_eq!(blocks.len(), candidates.len());
        }

        // As many direct ones as asked for, or all that there are.
        let direct = holders.chosen.iter().filter(|member| member.seat.direct).count();
        let there_are = walk.iter().filter(|seat| seat.direct).count();
        prop_assert!(direct >= rules.direct_min.min(there_are).min(plain.len()));

        // No more than necessary was changed, and only at the end.
        let kept: Vec<_> = plain.iter().filter(|seat| holders.chosen.iter().any(|member| member.seat.key == seat.key)).collect();
        let missing = rules.direct_min.saturating_sub(plain.iter().filter(|seat| seat.direct).count()).min(plain.len());
        prop_assert!(plain.len() - kept.len() <= missing);
        if let Some(first_gone) = plain.iter().position(|seat| !kept.contains(&seat)) {
            prop_assert!(plain[first_gone..].iter().all(|seat| seat.direct || !kept.contains(&seat)));
        }
        // Both parts are in the order of the walk.
        let rank = |member: &&Member<()>| walk.iter().position(|seat| seat.key == member.seat.key);
        prop_assert!(holders.chosen.is_sorted_by_key(rank));
        prop_assert!(holders.spare.is_sorted_by_key(rank));
    }

    #[test]
    fn two_answers_together_give_the_holders_of_both_views(
        seats in members(),
        known in prop::collection::vec(0..3_u8, 60),
        from: u16,
        direct_min in 0..3_usize,
    ) {
        let rules = Rules { direct_min, ..RULES };
        let view = |who: u8| -> Vec<Seat> {
            seats.iter().zip(&known).filter(|(_, knows)| **knows != who).map(|(seat, _)| *seat).collect()
        };
        let walk = |seats: &[Seat], rules: &Rules| -> Vec<Seat> {
            ring(seats).holders(&point(from), rules, 10).candidates().map(|member| member.seat).collect()
        };
        // Direct ones may lie so far ahead that answers of ten do not show who keeps them apart.
        let near = walk(&seats, &Rules { direct_min: 0, ..RULES });
        prop_assume!(near.iter().take(10 - direct_min).filter(|seat| seat.direct).count() >= direct_min);

        let union = [walk(&view(0), &rules), walk(&view(1), &rules)].concat();
        prop_assert_eq!(
            keys(ring(&union).holders(&point(from), &rules, 5).chosen),
            keys(ring(&seats).holders(&point(from), &rules, 5).chosen)
        );
    }

    #[test]
    fn leaf_sets_are_the_nearest_others(seats in members(), which: prop::sample::Index) {
        prop_assume!(!seats.is_empty());
        let me = seats[which.index(seats.len())];
        let ring = ring(&seats);
        let leaves = ring.leaf_set(&me.point);
        let from = u16::from_be_bytes([me.point.0[0], me.point.0[1]]);
        let others: Vec<_> = clockwise(&seats, from)[1..].iter().map(|seat| seat.key).collect();
        prop_assert_eq!(keys(leaves.after.iter().copied()), &others[..others.len().min(LEAVES)]);
        let rest: Vec<_> = others.iter().skip(LEAVES).rev().take(LEAVES).copied().collect();
        prop_assert_eq!(keys(leaves.before.iter().copied()), rest);
    }

    #[test]
    fn news_over_the_links_reach_everybody_in_few_steps(seats in members()) {
        prop_assume!(!seats.is_empty());
        let ring = ring(&seats);
        let mut reached = BTreeSet::from([seats[0].key]);
        let mut edge = vec![seats[0]];
        let mut steps = 0;
        while reached.len() < seats.len() {
            steps += 1;
            prop_assert!(steps <= 6, "60 members are within 6 steps");
            let told: Vec<_> = edge.iter().flat_map(|seat| ring.links(&seat.point, Links::Fingers)).collect();
            edge = told.into_iter().filter(|key| reached.insert(*key)).map(|key| ring.get(&key).unwrap().seat).collect();
        }
    }
}

#[test]
fn the_first_at_or_above_a_position_holds_it() {
    let ring = ring(&[seat(100, 0, true), seat(200, 1, true), seat(300, 2, true)]);
    let first = |from| keys(ring.successors(&point(from), 1));
    assert_eq!(first(100), [key(100)]);
    assert_eq!(first(101), [key(200)]);
    assert_eq!(first(301), [key(100)], "wraps");
    assert!(keys(Ring::<()>::new().successors(&point(1), 1)).is_empty());
}

#[test]
fn a_small_ring_gives_all_it_has() {
    let ring = ring(&[seat(100, 0, true), seat(200, 0, true), seat(300, 2, false)]);
    let holders = ring.holders(&point(0), &RULES, 10);
    assert_eq!(
        keys(holders.candidates()),
        [key(100), key(300)],
        "two of the three share a block"
    );
    let lab = Rules {
        diverse: false,
        ..RULES
    };
    assert_eq!(
        keys(ring.holders(&point(0), &lab, 10).candidates()),
        [key(100), key(200), key(300)]
    );
}

#[test]
fn the_last_that_cannot_be_dialled_give_way() {
    let seats: Vec<Seat> = (1..=9)
        .map(|n| seat(n * 100, u8::try_from(n).unwrap(), matches!(n, 2 | 7 | 9)))
        .collect();
    let ring = ring(&seats);
    let holders = ring.holders(&point(0), &RULES, 10);
    assert_eq!(keys(holders.chosen), [100, 200, 300, 400, 700].map(key));
    assert_eq!(keys(holders.spare), [500, 600, 800, 900].map(key));
    let strict = Rules {
        direct_min: 5,
        ..RULES
    };
    let holders = ring.holders(&point(0), &strict, 7);
    assert_eq!(
        keys(holders.chosen),
        [100, 200, 300, 700, 900].map(key),
        "all direct ones there are"
    );
    assert_eq!(keys(holders.spare), [400, 500].map(key));
}

#[test]
fn a_point_belongs_to_one_key() {
    let mut ring = Ring::new();
    assert_eq!(ring.insert(seat(100, 0, true), 'a'), Inserted::New);
    let other = Seat {
        key: key(7),
        ..seat(100, 0, true)
    };
    assert_eq!(
        ring.insert(other, 'b'),
        Inserted::Taken {
            by: key(100),
            rejected: 'b'
        }
    );
    assert!(!ring.contains(&key(7)));

    let moved = Seat {
        point: point(500),
        ..seat(100, 0, true)
    };
    let former = Member {
        seat: seat(100, 0, true),
        value: 'a',
    };
    assert_eq!(ring.insert(moved, 'c'), Inserted::Replaced(former));
    assert_eq!(ring.at(&point(100)), None);
    assert_eq!(ring.len(), 1);
    assert_eq!(ring.insert(other, 'b'), Inserted::New);
    assert_eq!(ring.remove(&key(100)).map(|member| member.value), Some('c'));
    assert_eq!(
        ring.by_key(&NodeKey([0; 32]))
            .map(|member| member.value)
            .collect::<Vec<_>>(),
        ['b']
    );
}

#[test]
fn claims_to_one_point_do_not_depend_on_their_order() {
    let low = Seat {
        key: key(1),
        ..seat(100, 0, true)
    };
    let high = Seat {
        key: key(2),
        ..seat(100, 0, true)
    };
    for claims in [[low, high], [high, low]] {
        assert_eq!(keys(ring(&claims).iter()), [key(1)]);
    }
}

#[test]
fn records_give_seats() {
    let record = |role, address: &str, slot| {
        let body = RecordBody {
            role,
            flags: Flags::DIRECT,
            hpke_key: [0; 32],
            seq: 1,
            expires: 2,
            slot,
            addrs: vec![address.parse::<std::net::SocketAddr>().unwrap().into()],
        };
        NodeRecord::sign(&Network::main(), &SigningKey::from_bytes(&[7; 32]), body).unwrap()
    };
    let seat = |network: &Network, role, address, slot| {
        Seat::of(network, &record(role, address, slot)).unwrap()
    };
    let main = Network::main();
    let sky = seat(&main, Role::Sky, "192.0.2.1:4433", 0);
    assert_eq!(sky.prefix, Prefix::V4([192, 0, 2]));
    assert!(sky.direct);
    let point = |network, address, slot| seat(network, Role::Sky, address, slot).point;
    assert_eq!(
        point(&main, "192.0.2.99:1", 0),
        sky.point,
        "one place for a block"
    );
    assert_ne!(
        point(&main, "192.0.2.1:4433", 1),
        sky.point,
        "and a second one"
    );
    assert_ne!(
        point(&Network::lab(), "192.0.2.1:4433", 0),
        point(&Network::lab(), "192.0.2.1:4434", 0)
    );
    let keeper = |address| seat(&main, Role::Earth, address, 0).point;
    assert_eq!(
        keeper("192.0.2.1:4433"),
        keeper("198.51.100.1:1"),
        "keepers stay where they are when they move"
    );
}

#[test]
fn links_of_a_large_ring_are_neighbours_and_powers_of_two() {
    let seats: Vec<Seat> = (0..1_000).map(|n| seat(n * 60, 0, true)).collect();
    let ring = ring(&seats);
    let links = ring.links(&point(0), Links::Fingers);
    let ranks: Vec<u16> = (1..=8)
        .chain([16, 32, 64, 128, 256, 512])
        .chain(992..=999)
        .collect();
    assert_eq!(
        links,
        ranks.iter().map(|rank| key(rank * 60)).collect::<Vec<_>>()
    );
    assert_eq!(ring.links(&point(0), Links::Full).len(), 999);
    assert_eq!(
        ring.links(&point(1), Links::Full).len(),
        1_000,
        "a point that nobody holds"
    );
}
