//! What a committed cycle tells and asks for, and what a person writes.

use hermes_underworld::{
    ContactState, Effect, Event as Told, chat,
    event::{InviteState, Received},
};
use hermes_wire::packet::FrameKind;

use crate::{
    event::{Event, Order},
    handle::PersonId,
    world::Sim,
};

impl Sim {
    /// What a committed cycle tells.
    pub(super) fn publish(&mut self, who: PersonId, events: Vec<Told>) {
        let now_ms = self.clock.ms();
        for event in events {
            match event {
                Told::Sent {
                    contact,
                    conv_seq,
                    msg_id,
                    kind: FrameKind::Text,
                    state,
                } => {
                    let friend = self
                        .people
                        .get(who.slot)
                        .and_then(|person| person.friends.get(&contact))
                        .copied();
                    let friend = friend.and_then(|slot| self.people.get(slot));
                    let is_held = || friend.is_some_and(|friend| friend.holds(who.slot, conv_seq));
                    self.ledger.told(who.slot, msg_id, &state, now_ms, is_held);
                }
                Told::Received(received) if received.kind == FrameKind::Text => {
                    self.show(who, &received)
                }
                Told::Contact {
                    state: ContactState::Established,
                    ..
                } => {
                    if let Some(person) = self.people.get_mut(who.slot) {
                        person.established += 1;
                    }
                }
                Told::Invite {
                    invite,
                    state: InviteState::Used(contact),
                } => {
                    if let Some(person) = self.people.get_mut(who.slot)
                        && let Some(friend) = person.invites.get(&invite)
                    {
                        person.friends.insert(contact, *friend);
                    }
                }
                Told::Alarm(_) => self.figures.alarms += 1,
                Told::SessionRenewed { .. } => self.figures.renewals += 1,
                _ => {}
            }
        }
    }

    fn show(&mut self, who: PersonId, received: &Received) {
        let from = self
            .people
            .get(who.slot)
            .and_then(|person| person.friends.get(&received.contact))
            .copied();
        match from {
            Some(from) => self.ledger.shown(who.slot, from, received, self.clock.ms()),
            None => self.ledger.violate(format!(
                "{who} is shown a message of somebody he has not met"
            )),
        }
    }

    /// Carries out an effect, after the commit.
    pub(super) fn do_effect(&mut self, who: PersonId, effect: Effect) {
        match effect {
            Effect::Presence(wishes) => {
                let after = self.latency();
                self.later(after, Event::Register(who, wishes));
            }
            Effect::Mailboxes(wishes) => self.want_mailboxes(who, wishes),
            Effect::Deposit {
                op,
                position,
                record,
                ..
            } => self.deposit(who, op, &position, record),
            Effect::CancelDeposit { op } => self.cancel_deposit(who, op),
            Effect::Delete(request) => self.order(who, Order::Delete, request),
            Effect::Revoke(request) => self.order(who, Order::Revoke, request),
            Effect::Knock {
                op,
                presence,
                knock,
                ..
            } => self.send_knock(who, op, presence, knock),
            Effect::AnswerKnock { id, answer } => self.answer_knock(id, answer),
            Effect::Expect {
                link,
                tag,
                our_seed,
                their_key,
                ttl,
            } => self.expect(who, link, tag, &our_seed, their_key, ttl),
            Effect::Dial {
                link,
                tag,
                our_seed,
                their_key,
                ..
            } => self.dial(who, link, tag, &our_seed, their_key),
            Effect::SendLink { link, packet } => self.send_packet(who, link, packet),
            Effect::CloseLink { link } => self.close_link(who, link),
        }
    }

    /// A person who is there writes to one of his friends, and will write again.
    pub(crate) fn write(&mut self, slot: usize) {
        if !self.is_healing {
            self.plan_write(slot);
        }
        let Some(who) = self.person_now(slot).filter(|_| !self.is_healing) else {
            return;
        };
        let Some(person) = self.people.get_mut(slot) else {
            return;
        };
        let which = usize::try_from(self.acts.below(person.friends.len() as u64)).unwrap_or(0);
        let Some((contact, friend)) = person.friends.iter().nth(which).map(|(c, f)| (*c, *f))
        else {
            return;
        };
        person.written += 1;
        let text = format!("{slot} to {friend}, number {}", person.written);
        let people = &self.scenario.people;
        let expires = self.acts.chance(people.expiring_percent);
        let expires_in_s = expires.then_some((people.expires_h * 3_600.0) as u64);
        let Ok(frame) = chat::text(&text, None, expires_in_s) else {
            return;
        };
        let mut name = None;
        // The ledger has to know of the text before the cycle that accepts it is committed.
        let Some(person) = self.people.get_mut(slot) else {
            return;
        };
        let now = self.clock.now(person.skew_ms);
        if let Some(core) = person.core.as_mut() {
            name = core
                .send(contact, frame, now)
                .ok()
                .map(|accepted| accepted.msg_id);
        }
        match name {
            Some(id) => self.ledger.wrote(slot, friend, id, text),
            None => self.figures.refused += 1,
        }
        self.call(who, |_, _| ());
    }
}
