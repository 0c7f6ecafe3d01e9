//! Arbitrary sequences of use and misfortune against the simplest model: what was accepted is shown exactly once, in
//! order but for what is marked as late.

use proptest::{prelude::*, test_runner::Config};

use super::{Pair, accepted};
use crate::{
    proto::event::{Order, Received},
    testing::{CrashPoint, NodeId, World},
};

/// Something that people do, or that happens to them.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// One of them says something.
    Say(NodeId),
    /// One of them says many things at once.
    Burst(NodeId, u8),
    /// Time passes, in milliseconds.
    Wait(u32),
    /// Links break.
    Break,
    /// A program is killed now, and started after a while.
    Kill(NodeId, u16),
    /// A program is killed a few cycles later, somewhere in a cycle.
    KillIn(NodeId, u8, u8),
    /// A keeper stops, or comes back.
    Stop(u8),
    Wake(u8),
    /// Direct links become possible or impossible.
    Direct(bool),
    /// Requests are lost, in percent.
    Loss(u8),
    /// Things take up to so many milliseconds.
    Slow(u16),
    /// One of them says that he has read everything.
    Read(NodeId),
    /// One of them loses all sessions.
    Lose(NodeId),
}

fn op() -> impl Strategy<Value = Op> {
    let node = 0..2_usize;
    prop_oneof![
        6 => node.clone().prop_map(Op::Say),
        1 => (node.clone(), 1..60_u8).prop_map(|(node, n)| Op::Burst(node, n)),
        4 => (0..5_000_u32).prop_map(Op::Wait),
        1 => (60_000..100_000_000_u32).prop_map(Op::Wait),
        2 => Just(Op::Break),
        2 => (node.clone(), 0..30_000_u16).prop_map(|(node, ms)| Op::Kill(node, ms)),
        2 => (node.clone(), 0..20_u8, 0..3_u8).prop_map(|(node, n, point)| Op::KillIn(node, n, point)),
        1 => (0..6_u8).prop_map(Op::Stop),
        1 => (0..6_u8).prop_map(Op::Wake),
        1 => any::<bool>().prop_map(Op::Direct),
        1 => (0..40_u8).prop_map(Op::Loss),
        1 => (1..900_u16).prop_map(Op::Slow),
        1 => node.clone().prop_map(Op::Read),
        1 => node.prop_map(Op::Lose),
    ]
}

struct Run {
    pair: Pair,
    said: usize,
    stopped: Vec<u8>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut world = World::with_params(seed, 6, |params| {
            params.rekey_messages = 30;
            params.rekey_min_s = 60;
        });
        world.weather.batching_percent = 20;
        Self {
            pair: Pair::in_world(world),
            said: 0,
            stopped: Vec::new(),
        }
    }

    fn apply(&mut self, op: Op) {
        let world = &mut self.pair.world;
        match op {
            Op::Say(node) => self.say(node),
            Op::Burst(node, n) => (0..n).for_each(|_| self.say(node)),
            Op::Wait(ms) => world.run(ms.into()),
            Op::Break => world.break_links(0),
            Op::Kill(node, ms) => {
                world.crash(node);
                world.run(ms.into());
                if world.node(node).core().is_none() {
                    world.start(node);
                }
            }
            Op::KillIn(node, n, point) => {
                let at = world.node(node).cycles + u64::from(n);
                let points = [
                    CrashPoint::BeforeCommit,
                    CrashPoint::BeforeEffects,
                    CrashPoint::AmidEffects,
                ];
                world.crash_at(node, at, points[usize::from(point)]);
            }
            // Two may be gone at a time; then three receipts are still possible.
            Op::Stop(keeper) if self.stopped.len() < 2 && !self.stopped.contains(&keeper) => {
                self.stopped.push(keeper);
                world.stop_keeper(keeper.into());
            }
            Op::Stop(_) => {}
            Op::Wake(keeper) => {
                self.stopped.retain(|stopped| *stopped != keeper);
                world.start_keeper(keeper.into());
            }
            Op::Direct(direct) => world.weather.direct = direct,
            Op::Loss(percent) => world.weather.loss_percent = percent.into(),
            Op::Slow(ms) => world.weather.latency_ms = (1, ms.into()),
            Op::Read(node) => self.read(node),
            Op::Lose(node) => {
                world.crash(node);
                let mut rows = world.node(node).rows().clone();
                rows.retain(|(table, _), _| *table != crate::Table::Session);
                world.start_from(node, rows);
            }
        }
    }

    fn say(&mut self, node: NodeId) {
        let (_, contact) = self.pair.both()[node];
        if self.pair.world.node(node).core().is_some() {
            self.pair
                .world
                .say(node, contact, &format!("message {}", self.said));
            self.said += 1;
        }
    }

    fn read(&mut self, node: NodeId) {
        let (_, contact) = self.pair.both()[node];
        let last = self
            .pair
            .world
            .node(node)
            .received()
            .map(|r| r.conv_seq)
            .max();
        if let (Some(last), Some(_)) = (last, self.pair.world.node(node).core()) {
            let mark = crate::chat::read_up_to(last);
            self.pair
                .world
                .call(node, |core, now| core.send(contact, mark, now))
                .expect("accepted");
        }
    }

    /// Everything comes back; then everything that was accepted is shown.
    fn heal_and_check(mut self) -> Result<(), TestCaseError> {
        let world = &mut self.pair.world;
        world.weather.loss_percent = 0;
        world.weather.direct = true;
        world.weather.latency_ms = (1, 20);
        (0..6).for_each(|keeper| world.start_keeper(keeper));
        world.run(5_000);
        for node in [0, 1] {
            if world.node(node).core().is_none() {
                world.start(node);
            }
        }
        let sides = self.pair.both();
        let settled = self
            .pair
            .world
            .run_until(3 * 86_400_000, |w| Pair::is_settled(w, sides));
        prop_assert!(settled, "frames wait for ever");
        for (from, to) in [(0, 1), (1, 0)] {
            let sent = accepted(&self.pair.world, from, sides[from].1);
            let seen: Vec<&Received> = self
                .pair
                .world
                .node(to)
                .received()
                .filter(|r| r.kind == hermes_wire::packet::FrameKind::Text)
                .collect();
            let mut names: Vec<_> = seen.iter().map(|r| r.msg_id).collect();
            names.sort();
            let mut expected = sent.clone();
            expected.sort();
            prop_assert_eq!(names, expected, "lost or doubled");
            let in_order: Vec<u64> = seen
                .iter()
                .filter(|r| r.order == Order::InOrder)
                .map(|r| r.conv_seq)
                .collect();
            prop_assert!(in_order.is_sorted(), "misordered: {:?}", in_order);
        }
        Ok(())
    }
}

fn replay(seed: u64, ops: &[Op]) {
    let mut run = Run::new(seed);
    for op in ops {
        run.apply(*op);
    }
    run.heal_and_check().expect("healed");
}

#[test]
fn regression_an_offer_from_before_a_recovery_is_not_answered_after_it() {
    use Op::{Burst, Lose, Say, Stop, Wait};
    let ops = [
        Say(0),
        Wait(60_000),
        Say(0),
        Wait(0),
        Stop(0),
        Say(0),
        Say(0),
        Say(0),
        Burst(0, 23),
        Lose(1),
        Wait(3_882),
        Say(0),
    ];
    replay(9_324_533_930_798_074_675, &ops);
}

#[test]
fn regression_a_session_lost_before_the_first_packet_is_replaced() {
    replay(3_811_037_462_195_530_512, &[Op::Lose(0)]);
}

#[test]
fn regression_a_start_that_was_dropped_is_void_when_it_arrives_late() {
    use Op::{Kill, Lose, Say, Slow, Wait};
    let ops = [Say(0), Wait(0), Slow(29), Lose(0), Kill(1, 978), Lose(1)];
    replay(15_645_187_890_284_915_559, &ops);
}

/// Few cases unless more are asked for (`PROPTEST_CASES`).
fn config() -> Config {
    let asked = std::env::var_os("PROPTEST_CASES").map(|_| Config::default().cases);
    Config {
        cases: asked.unwrap_or(32),
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_accepted_is_shown_once_and_in_order(seed in any::<u64>(), ops in prop::collection::vec(op(), 1..60)) {
        let mut run = Run::new(seed);
        for op in ops {
            run.apply(op);
        }
        run.heal_and_check()?;
    }
}
