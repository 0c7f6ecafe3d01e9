//! What came of a run: what was accepted against what was shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use hermes_underworld::{
    ContactId, Event,
    event::{Order, Received, SendState},
    testing::{NodeId, World},
};
use hermes_wire::{ids::MessageId, packet::FrameKind};

/// One direction of one friendship.
pub(crate) struct Way {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    /// What the friend is to the one who writes.
    pub(crate) contact: ContactId,
    /// What the one who writes is to the friend.
    pub(crate) seen_as: ContactId,
}

impl Way {
    /// Whether the friend has acknowledged everything.
    pub(crate) fn is_settled(&self, world: &World) -> bool {
        world
            .node(self.from)
            .core()
            .and_then(|core| core.contact(self.contact))
            .is_some_and(|info| info.waiting == 0)
    }

    /// What was accepted by committed cycles.
    fn accepted(&self, world: &World) -> BTreeSet<MessageId> {
        world
            .node(self.from)
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Sent {
                    contact,
                    msg_id,
                    kind: FrameKind::Text,
                    state: SendState::Queued { .. },
                    ..
                } if *contact == self.contact => Some(*msg_id),
                _ => None,
            })
            .collect()
    }

    /// What was shown, in order.
    fn shown<'a>(&self, world: &'a World) -> Vec<&'a Received> {
        world
            .node(self.to)
            .received()
            .filter(|received| received.contact == self.seen_as && received.kind == FrameKind::Text)
            .collect()
    }
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Messages that a core accepted.
    pub accepted: u64,
    /// Those of them that were shown to the friend.
    pub delivered: u64,
    /// Messages shown again.
    pub doubled: u64,
    /// Messages shown as if in order, after a later one.
    pub misordered: u64,
    /// Messages shown after later ones and marked so, which is allowed when a gap stayed open for long.
    pub late: u64,
    /// Messages shown that nobody wrote.
    pub invented: u64,
    /// Messages that a core did not accept, and said so.
    pub refused: u64,
    /// Whether every acknowledgement came back in time.
    pub settled: bool,
    /// How long that took after everybody was back, in milliseconds of the virtual clock.
    pub settle_ms: u64,
    /// Cycles of all cores. It differs as soon as two runs differ anywhere.
    pub cycles: u64,
}

impl Outcome {
    /// Messages that were accepted and never shown.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.accepted - self.delivered
    }

    /// Whether what Hermes promises was held.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.settled
            && self.lost() == 0
            && self.doubled == 0
            && self.misordered == 0
            && self.invented == 0
    }

    /// One line for programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "ok": self.is_good(), "accepted": self.accepted, "delivered": self.delivered, "lost": self.lost(),
            "doubled": self.doubled, "misordered": self.misordered, "late": self.late, "invented": self.invented,
            "refused": self.refused, "settled": self.settled, "settle_ms": self.settle_ms, "cycles": self.cycles,
        })
    }

    pub(crate) fn count(&mut self, world: &World, way: &Way) {
        let accepted = way.accepted(world);
        let mut times: BTreeMap<MessageId, u64> = BTreeMap::new();
        let mut last = 0;
        for received in way.shown(world) {
            *times.entry(received.msg_id).or_default() += 1;
            if received.order != Order::InOrder {
                self.late += 1;
            } else if received.conv_seq < last {
                self.misordered += 1;
            } else {
                last = received.conv_seq;
            }
        }
        self.accepted += accepted.len() as u64;
        for (id, times) in times {
            self.doubled += times - 1;
            if accepted.contains(&id) {
                self.delivered += 1;
            } else {
                self.invented += 1;
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("accepted", self.accepted),
            ("delivered", self.delivered),
            ("lost", self.lost()),
            ("doubled", self.doubled),
            ("misordered", self.misordered),
            ("late", self.late),
            ("invented", self.invented),
            ("refused", self.refused),
        ];
        for (name, number) in rows {
            writeln!(f, "{name:<12}{number:>10}")?;
        }
        Ok(())
    }
}
