//! Knocks through sky and direct links, modelled.
//!
//! The presence node checks a knock as a real one does and passes it on. A link comes about when the friend expects the one who dials,
//! under the keys that both drew for it, and can be dialled at all: some people are behind a router that lets nobody in (there are
//! neither relays nor hole punching yet). A link carries packets in order and without loss until it breaks; who stops in good order is
//! missed at once, who is killed only after the time without a sign of life.

use std::{collections::BTreeMap, time::Duration};

use hermes_underworld::proto::{IncomingKnockId, KnockOp, KnockResult, LinkId, LinkToken};
use hermes_wire::{Wire as _, blind::BlindedKey, ids::PresenceKey, knock::Knock};

use crate::{
    directory::IDLE_MS, event::Event, handle::PersonId, ledger::Scope, person::of_this_life,
    world::Sim,
};

/// How long sky waits for an answer to a knock.
const KNOCK_MS: u64 = 8_000;

/// A friend who is let in if he comes.
pub(crate) struct Expected {
    link: LinkToken,
    tag: [u8; 16],
    our_key: [u8; 32],
    their_key: [u8; 32],
}

/// A dial that is about to end.
pub(crate) struct Dialled {
    pub(crate) from: PersonId,
    pub(crate) link: LinkToken,
    tag: [u8; 16],
    our_key: [u8; 32],
    their_key: [u8; 32],
}

/// All links, and knocks that are not answered.
#[derive(Default)]
pub(crate) struct Links {
    ends: BTreeMap<LinkId, End>,
    knocks: BTreeMap<IncomingKnockId, (PersonId, KnockOp)>,
}

/// One end of a link.
struct End {
    who: PersonId,
    other: LinkId,
    /// When the last thing that was sent from here arrives, so that nothing overtakes.
    arrives_ms: u64,
}

impl Sim {
    pub(crate) fn send_knock(
        &mut self,
        from: PersonId,
        op: KnockOp,
        presence: PresenceKey,
        knock: Vec<u8>,
    ) {
        let after = self.latency();
        let event = if self.is_lost() {
            Event::KnockResult(from, op, KnockResult::Failed)
        } else {
            Event::Knock {
                from,
                op,
                presence,
                knock,
            }
        };
        self.later(after, event);
    }

    pub(crate) fn knock(
        &mut self,
        from: PersonId,
        op: KnockOp,
        presence: PresenceKey,
        knock: &[u8],
    ) {
        let after = self.latency();
        let Ok(knock) = Knock::decode(knock) else {
            return self
                .ledger
                .violate(format!("{from} sent a malformed knock"));
        };
        let Some(registration) = self.directory.registration(&presence) else {
            return self.later(after, Event::KnockResult(from, op, KnockResult::Absent));
        };
        let (owner, epoch) = (registration.owner, registration.epoch);
        let refused = registration.refused & (1 << knock.slot.get()) != 0
            || knock
                .verify(&self.network, &registration.knock_root)
                .is_err();
        self.ledger.seen(knock.key.0, Scope::Epoch(epoch));
        if refused {
            return self.later(after, Event::KnockResult(from, op, KnockResult::Refused));
        }
        let id = IncomingKnockId(self.new_id());
        self.links.knocks.insert(id, (from, op));
        self.later(KNOCK_MS, Event::KnockTimeout(id));
        if self.people_meet(from.slot, owner.slot) {
            self.feed(owner, |core, now| {
                let (slot, nonce) = (knock.slot.get(), knock.nonce);
                core.handle_incoming_knock(id, presence, slot, nonce, knock.sealed.as_slice(), now);
            });
        }
    }

    pub(crate) fn answer_knock(&mut self, id: IncomingKnockId, answer: Option<Vec<u8>>) {
        let result = match answer.and_then(|answer| answer.try_into().ok()) {
            Some(answer) => KnockResult::Answered(Box::new(answer)),
            // Whoever stays silent says so to his node, and it need not wait.
            None => KnockResult::NoAnswer,
        };
        if let Some((from, op)) = self.links.knocks.remove(&id) {
            let after = self.latency();
            self.later(after, Event::KnockResult(from, op, result));
        }
    }

    pub(crate) fn knock_timeout(&mut self, id: IncomingKnockId) {
        self.answer_knock(id, None);
    }

    pub(crate) fn expect(
        &mut self,
        who: PersonId,
        link: LinkToken,
        tag: [u8; 16],
        our_seed: &[u8; 32],
        their_key: [u8; 32],
        ttl: Duration,
    ) {
        let our_key = BlindedKey::from_seed(our_seed).public();
        if let Some(person) = self.people.get_mut(who.slot) {
            person.expected.push(Expected {
                link,
                tag,
                our_key,
                their_key,
            });
            let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            self.later(ttl_ms, Event::ExpectOver(who, link));
        }
    }

    pub(crate) fn expect_over(&mut self, who: PersonId, link: LinkToken) {
        if let Some(person) = of_this_life(&mut self.people, who) {
            person.expected.retain(|expected| expected.link != link);
        }
    }

    pub(crate) fn dial(
        &mut self,
        from: PersonId,
        link: LinkToken,
        tag: [u8; 16],
        our_seed: &[u8; 32],
        their_key: [u8; 32],
    ) {
        let our_key = BlindedKey::from_seed(our_seed).public();
        let after = self.latency();
        self.later(
            after,
            Event::Dialled(Dialled {
                from,
                link,
                tag,
                our_key,
                their_key,
            }),
        );
    }

    pub(crate) fn dialled(&mut self, dialled: &Dialled) {
        let from = dialled.from;
        if !self.is_alive(from) {
            return;
        }
        let expects = |e: &Expected| {
            e.tag == dialled.tag && e.our_key == dialled.their_key && e.their_key == dialled.our_key
        };
        let callee = self.people.iter().enumerate().find_map(|(slot, person)| {
            let at = person.expected.iter().position(expects)?;
            (person.is_up() && person.open).then_some((slot, person.life, at))
        });
        let Some((slot, life, at)) = callee.filter(|(slot, ..)| self.people_meet(from.slot, *slot))
        else {
            return self.feed(from, |core, now| core.handle_dial_failed(dialled.link, now));
        };
        let to = PersonId { slot, life };
        let (here, there) = (LinkId(self.new_id()), LinkId(self.new_id()));
        let arrives_ms = self.clock.ms();
        self.links.ends.insert(
            here,
            End {
                who: from,
                other: there,
                arrives_ms,
            },
        );
        self.links.ends.insert(
            there,
            End {
                who: to,
                other: here,
                arrives_ms,
            },
        );
        self.figures.links += 1;
        let Some(expected) = self
            .people
            .get_mut(slot)
            .map(|person| person.expected.remove(at))
        else {
            return;
        };
        self.feed(to, |core, now| {
            core.handle_link_up(expected.link, there, now)
        });
        self.feed(from, |core, now| {
            core.handle_link_up(dialled.link, here, now)
        });
    }

    /// Sends something over a link after all that was sent before.
    fn send_over(
        &mut self,
        from: PersonId,
        link: LinkId,
        what: impl FnOnce(PersonId, LinkId) -> Event,
    ) {
        let at = self.clock.ms() + self.latency();
        let Some(end) = self.links.ends.get_mut(&link).filter(|end| end.who == from) else {
            return;
        };
        end.arrives_ms = end.arrives_ms.max(at);
        let (at, other) = (end.arrives_ms, end.other);
        if let Some(end) = self.links.ends.get(&other) {
            let after = at - self.clock.ms();
            let event = what(end.who, other);
            self.later(after, event);
        }
    }

    pub(crate) fn send_packet(&mut self, from: PersonId, link: LinkId, packet: Vec<u8>) {
        self.send_over(from, link, |to, link| Event::Packet { to, link, packet });
    }

    pub(crate) fn close_link(&mut self, from: PersonId, link: LinkId) {
        self.send_over(from, link, |to, link| Event::Down { to, link });
        self.links.ends.remove(&link);
    }

    pub(crate) fn packet(&mut self, to: PersonId, link: LinkId, packet: &[u8]) {
        let Some(end) = self.links.ends.get(&link) else {
            return;
        };
        let from = self.links.ends.get(&end.other).map(|end| end.who.slot);
        if from.is_none_or(|from| self.people_meet(from, to.slot)) {
            self.feed(to, |core, now| core.handle_link_packet(link, packet, now));
        }
    }

    pub(crate) fn down(&mut self, to: PersonId, link: LinkId) {
        if self.links.ends.remove(&link).is_some() {
            self.feed(to, |core, now| core.handle_link_down(link, now));
        }
    }

    /// Breaks the links of somebody whose program stops.
    pub(crate) fn leave_links(&mut self, who: PersonId, notice_ms: u64) {
        let own: Vec<(LinkId, LinkId)> = self
            .links
            .ends
            .iter()
            .filter(|(_, end)| end.who == who)
            .map(|(link, end)| (*link, end.other))
            .collect();
        for (link, other) in own {
            self.links.ends.remove(&link);
            if let Some(end) = self.links.ends.get(&other) {
                let to = end.who;
                self.later(notice_ms, Event::Down { to, link: other });
            }
        }
    }

    /// Breaks the links between people who do not reach each other any more; both ends notice after a while.
    pub(crate) fn part_links(&mut self) {
        let parted: Vec<(PersonId, LinkId)> = self
            .links
            .ends
            .iter()
            .filter(|(_, end)| {
                let other = self.links.ends.get(&end.other);
                other.is_some_and(|other| !self.people_meet(end.who.slot, other.who.slot))
            })
            .map(|(link, end)| (end.who, *link))
            .collect();
        for (to, link) in parted {
            self.later(IDLE_MS, Event::Down { to, link });
        }
    }
}
