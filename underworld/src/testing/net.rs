//! What the modelled network does with effects: presence, knocks, and handing the rest to keepers and links.

use std::net::{Ipv4Addr, SocketAddr};

use hermes_wire::{
    Wire as _,
    addr::Addr,
    ids::{NodeKey, PresenceKey},
    invite::Entry,
    knock::Knock,
    slots::Hash,
};

use super::{NodeId, World, schedule::Happening};
use crate::proto::{
    IncomingKnockId, KnockOp, KnockResult, LinkToken, PresenceState,
    effect::{Effect, OwnerRequest, PresenceWish},
};

/// How long sky waits for an answer to a knock.
const ANSWER_MS: u64 = 8_000;

/// Somebody's presence.
pub(crate) struct Registration {
    pub(crate) owner: NodeId,
    knock_root: Hash,
    refused: u64,
}

/// A friend who is let in if he comes.
pub(crate) struct Expected {
    pub(crate) link: LinkToken,
    pub(crate) tag: [u8; 16],
    pub(crate) our_key: [u8; 32],
    pub(crate) their_key: [u8; 32],
}

/// A knock that was passed on and not answered yet.
pub(crate) struct OpenKnock {
    from: NodeId,
    life: u64,
    op: KnockOp,
}

/// The sky node that the world's invites name.
#[must_use]
pub fn entry() -> Entry {
    Entry::new(Addr::new(address(99)), &NodeKey([9; 32]))
}

/// Where a node can be dialled.
pub(crate) fn address(node: NodeId) -> SocketAddr {
    let port = u16::try_from(node)
        .unwrap_or_default()
        .saturating_add(4_000);
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl World {
    /// Carries out an effect.
    pub(crate) fn do_effect(&mut self, node: NodeId, effect: Effect) {
        let life = self.node(node).life;
        match effect {
            Effect::Presence(wishes) => self.later(Happening::Register(node, life, wishes)),
            Effect::Mailboxes(wishes) => self.want_mailboxes(node, wishes),
            Effect::Deposit {
                op,
                position,
                record,
                ..
            } => self.spread(node, op, &position, &record),
            Effect::CancelDeposit { op } => self.node_mut(node).canceled.push(op),
            Effect::Delete(order) => self.tell_keepers(&order, |keeper, request| {
                Happening::Delete { keeper, request }
            }),
            Effect::Revoke(order) => self.tell_keepers(&order, |keeper, request| {
                Happening::Revoke { keeper, request }
            }),
            Effect::Knock {
                op,
                presence,
                knock,
                ..
            } => self.send_knock(node, op, presence, knock),
            Effect::AnswerKnock { id, answer } => self.answer_knock(id, answer),
            Effect::Expect {
                link,
                tag,
                our_seed,
                their_key,
                ..
            } => {
                let our_key = hermes_wire::blind::BlindedKey::from_seed(&our_seed).public();
                let expected = Expected {
                    link,
                    tag,
                    our_key,
                    their_key,
                };
                self.node_mut(node).expected.push(expected);
            }
            Effect::Dial {
                link,
                tag,
                our_seed,
                their_key,
                ..
            } => {
                let our_key = hermes_wire::blind::BlindedKey::from_seed(&our_seed).public();
                self.later(Happening::Dialled {
                    from: node,
                    life,
                    link,
                    tag,
                    our_key,
                    their_key,
                });
            }
            Effect::SendLink { link, packet } => self.send_packet(node, link, packet),
            Effect::CloseLink { link } => self.close_link(node, link),
        }
    }

    fn tell_keepers(&mut self, order: &OwnerRequest, what: impl Fn(usize, Vec<u8>) -> Happening) {
        for keeper in 0..self.keepers.len() {
            self.later(what(keeper, order.request.clone()));
        }
    }

    fn send_knock(&mut self, from: NodeId, op: KnockOp, presence: PresenceKey, knock: Vec<u8>) {
        let life = self.node(from).life;
        let lost = self.weather.loss_percent;
        if self.chance(lost) {
            self.later(Happening::KnockResult(from, life, op, KnockResult::Failed));
        } else {
            self.later(Happening::Knock {
                from,
                life,
                op,
                presence,
                knock,
            });
        }
    }

    pub(crate) fn register(&mut self, node: NodeId, life: u64, wishes: Vec<PresenceWish>) {
        if self.node(node).life != life || self.node(node).core().is_none() {
            return;
        }
        self.sky
            .retain(|_, registration| registration.owner != node);
        for wish in &wishes {
            self.names.insert(wish.presence.0);
            self.names.insert(wish.knock_root);
            self.sky.insert(
                wish.presence,
                Registration {
                    owner: node,
                    knock_root: wish.knock_root,
                    refused: wish.refused,
                },
            );
        }
        self.node_mut(node).presence = wishes;
        self.feed(node, |core, now| {
            core.handle_presence(PresenceState::Registered, now)
        });
    }

    /// A knock arrives at the presence node, which checks it as a real one does.
    pub(crate) fn knock(
        &mut self,
        from: NodeId,
        life: u64,
        op: KnockOp,
        presence: PresenceKey,
        knock: &[u8],
    ) {
        let Ok(knock) = Knock::decode(knock) else {
            panic!("a core sent a malformed knock (seed {})", self.seed());
        };
        self.names.insert(knock.key.0);
        let Some(registration) = self.sky.get(&presence) else {
            return self.later(Happening::KnockResult(from, life, op, KnockResult::Absent));
        };
        let owner = registration.owner;
        let refused = registration.refused & (1 << knock.slot.get()) != 0;
        if refused
            || knock
                .verify(&self.network, &registration.knock_root)
                .is_err()
        {
            return self.later(Happening::KnockResult(from, life, op, KnockResult::Refused));
        }
        let id = self.new_id();
        self.links.knocks.insert(id, OpenKnock { from, life, op });
        self.schedule.add(
            self.now_ms + ANSWER_MS,
            Happening::KnockTimeout(IncomingKnockId(id)),
        );
        self.feed(owner, |core, now| {
            let (slot, nonce) = (knock.slot.get(), knock.nonce);
            core.handle_incoming_knock(
                IncomingKnockId(id),
                presence,
                slot,
                nonce,
                knock.sealed.as_slice(),
                now,
            );
        });
    }

    fn answer_knock(&mut self, id: IncomingKnockId, answer: Option<Vec<u8>>) {
        let Some(answer) = answer.and_then(|answer| answer.try_into().ok()) else {
            // Whoever stays silent says so to his node, and it need not wait.
            return self.knock_timeout(id);
        };
        if let Some(OpenKnock { from, life, op }) = self.links.knocks.remove(&id.0) {
            let result = KnockResult::Answered(Box::new(answer));
            self.later(Happening::KnockResult(from, life, op, result));
        }
    }

    pub(crate) fn knock_timeout(&mut self, id: IncomingKnockId) {
        if let Some(OpenKnock { from, life, op }) = self.links.knocks.remove(&id.0) {
            self.later(Happening::KnockResult(
                from,
                life,
                op,
                KnockResult::NoAnswer,
            ));
        }
    }
}
