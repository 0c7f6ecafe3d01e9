//! Tests of whole cores against each other, named after what Hermes promises.

mod contacts;
mod crashes;
mod delays;
mod epochs;
mod exchange;
mod hostile;
mod invites;
mod kept;
mod model;
mod recovery;
mod rekey;

use crate::{
    proto::{
        ContactId,
        event::{Event, SendState},
    },
    testing::{NodeId, Rows, World},
};

/// Two friends.
struct Pair {
    world: World,
    alice: NodeId,
    bob: NodeId,
    /// Alice's contact for Bob.
    to_bob: ContactId,
    /// Bob's contact for Alice.
    to_alice: ContactId,
}

impl Pair {
    fn new(seed: u64) -> Self {
        Self::in_world(World::new(seed, 6))
    }

    fn in_world(mut world: World) -> Self {
        let (alice, bob) = (world.add("alice"), world.add("bob"));
        let (to_bob, to_alice) = world.befriend(alice, bob);
        Self {
            world,
            alice,
            bob,
            to_bob,
            to_alice,
        }
    }

    /// What both have stored.
    fn rows(&self) -> [Rows; 2] {
        [self.alice, self.bob].map(|node| self.world.node(node).rows().clone())
    }

    /// Two friends in a new world, with what they stored in another.
    fn from_rows(seed: u64, rows: &[Rows; 2]) -> Self {
        let mut world = World::new(seed, 6);
        let [alice, bob] = rows.each_ref().map(|rows| world.add_stopped(rows.clone()));
        world.start(alice);
        world.start(bob);
        let contact = |node| world.core(node).contacts().next().expect("one contact").id;
        let (to_bob, to_alice) = (contact(alice), contact(bob));
        Self {
            world,
            alice,
            bob,
            to_bob,
            to_alice,
        }
    }

    /// Waits until both have a direct link.
    fn linked(mut self) -> Self {
        let (alice, bob, to_bob, to_alice) = (self.alice, self.bob, self.to_bob, self.to_alice);
        let up = self.world.run_until(10_000, |w| {
            w.is_linked(alice, to_bob) && w.is_linked(bob, to_alice)
        });
        assert!(up, "no link (seed {})", self.world.seed());
        self
    }

    fn both(&self) -> [(NodeId, ContactId); 2] {
        [(self.alice, self.to_bob), (self.bob, self.to_alice)]
    }

    /// Whether nothing waits for acknowledgement on either side.
    fn is_settled(world: &World, sides: [(NodeId, ContactId); 2]) -> bool {
        sides.into_iter().all(|(node, contact)| {
            let info = world
                .node(node)
                .core()
                .and_then(|core| core.contact(contact));
            info.is_some_and(|info| info.waiting == 0)
        })
    }

    /// Waits until both sides have acknowledged everything.
    fn settle(&mut self, limit_ms: u64) {
        let sides = self.both();
        let settled = self
            .world
            .run_until(limit_ms, |w| Self::is_settled(w, sides));
        assert!(settled, "frames wait for ever (seed {})", self.world.seed());
    }
}

/// The names of texts that were accepted by committed cycles, in order.
fn accepted(world: &World, node: NodeId, contact: ContactId) -> Vec<hermes_wire::ids::MessageId> {
    let mut names = Vec::new();
    for event in &world.node(node).events {
        if let Event::Sent {
            contact: c,
            msg_id,
            kind,
            state: SendState::Queued { .. },
            ..
        } = event
            && *c == contact
            && *kind == hermes_wire::packet::FrameKind::Text
            && !names.contains(msg_id)
        {
            names.push(*msg_id);
        }
    }
    names
}

/// The names of texts that were shown, in order.
fn shown(world: &World, node: NodeId, contact: ContactId) -> Vec<hermes_wire::ids::MessageId> {
    world
        .node(node)
        .received()
        .filter(|r| r.contact == contact && r.kind == hermes_wire::packet::FrameKind::Text)
        .map(|r| r.msg_id)
        .collect()
}
