//! Random comings and goings: when they end, all who live agree, and nobody else is listed.

use std::time::Duration;

use super::{
    people::Keeper,
    world::{ClientId, NodeId, World},
};

/// A stream of numbers that follows from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len())])
    }
}

struct Keepers {
    all: Vec<Keeper>,
    homes: Vec<Option<(ClientId, NodeId)>>,
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Kill(NodeId),
    Leave(NodeId),
    Boot(NodeId),
    Join,
    Break(NodeId, NodeId),
    KeeperJoins(usize, NodeId),
    KeeperHangsUp(usize),
    KeeperBreaks(usize),
    Wait(Duration),
}

fn next_op(dice: &mut Dice, world: &World) -> Option<Op> {
    let alive = world.alive();
    let dead: Vec<NodeId> = (0..world.nodes.len())
        .map(NodeId)
        .filter(|id| !alive.contains(id))
        .collect();
    // The first node stays: it is everybody's seed. And somebody stays with it: who is alone cannot know that the others are gone.
    let mut others: Vec<NodeId> = alive
        .iter()
        .copied()
        .filter(|id| *id != NodeId(0))
        .collect();
    if others.len() == 1 {
        others.clear();
    }
    match dice.roll(12) {
        0 => dice.pick(&others).map(Op::Kill),
        1 => dice.pick(&others).map(Op::Leave),
        2 | 3 => dice.pick(&dead).map(Op::Boot),
        4 => (world.nodes.len() < 14).then_some(Op::Join),
        5 => Some(Op::Break(dice.pick(&alive)?, dice.pick(&alive)?)),
        6 | 7 => Some(Op::KeeperJoins(dice.roll(6), dice.pick(&alive)?)),
        8 => Some(Op::KeeperHangsUp(dice.roll(6))),
        9 => Some(Op::KeeperBreaks(dice.roll(6))),
        _ => Some(Op::Wait(Duration::from_millis(
            u64::try_from(dice.roll(20_000)).unwrap(),
        ))),
    }
}

fn apply(op: Op, world: &mut World, keepers: &mut Keepers) {
    match op {
        Op::Kill(id) => world.kill(id),
        Op::Leave(id) => {
            world.leave(id);
            world.kill(id);
        }
        Op::Boot(id) => {
            let seed = world.uri(NodeId(0));
            world.boot(id, vec![seed]);
        }
        Op::Join => {
            let seed = world.uri(NodeId(0));
            world.start_node(vec![seed]);
        }
        Op::Break(a, b) => world.break_between(a, b),
        Op::KeeperJoins(n, node) => {
            let client = keepers.all[n].join(world, node);
            if let Some((old, _)) = keepers.homes[n].replace((client, node)) {
                world.hang_up(old);
            }
        }
        Op::KeeperHangsUp(n) => {
            if let Some((old, _)) = keepers.homes[n].take() {
                world.hang_up(old);
            }
        }
        Op::KeeperBreaks(n) => {
            if let Some((old, _)) = keepers.homes[n].take() {
                let conn = world.conn_of(old);
                world.break_conn(conn);
            }
        }
        Op::Wait(time) => world.run_for(time),
    }
    world.run_for(Duration::from_millis(
        u64::try_from(keepers.all.len()).unwrap(),
    ));
}

fn run(seed: u64) {
    let mut dice = Dice(seed);
    let mut world = World::lab_of(6);
    let mut keepers = Keepers {
        all: (0..6).map(Keeper::new).collect(),
        homes: vec![None; 6],
    };
    let mut ops = Vec::new();
    for _ in 0..60 {
        if let Some(op) = next_op(&mut dice, &world) {
            ops.push(op);
            apply(op, &mut world, &mut keepers);
        }
    }
    world.run_for(Duration::from_secs(120));
    assert!(world.agree(), "seed {seed}: {ops:?}");

    // A keeper on a connection that stands, to a node that lives, is known everywhere.
    for (keeper, home) in keepers.all.iter().zip(&keepers.homes) {
        let Some((client, node)) = home else { continue };
        let stands = world.alive().contains(node) && world.stands(*client);
        if stands {
            for id in world.alive() {
                assert!(
                    world.node(id).earth.contains(&keeper.node_key()),
                    "seed {seed}: {ops:?}"
                );
            }
        }
    }
}

#[test]
fn all_agree_after_any_churn() {
    for seed in 0..24 {
        run(seed);
    }
}
