//! What the network and the clock bring.

use std::net::SocketAddr;

use hermes_wire::{
    Wire as _,
    channel::ErrorCode,
    ids::{MailboxId, NodeKey, PresenceKey, Slot},
    packet::SessionMessage,
};

use super::{
    Now, Underworld,
    contacts::{Contact, FailReason, Stage},
    delivery::{self, Due, IncomingKnock, KnockResult, Purpose, Verdict},
    effect::{Effect, Reading},
    event::Via,
    home::SlotUse,
    ids::{ContactId, DepositOp, IncomingKnockId, KnockOp, LinkId, LinkToken},
    inbox, invites, rekey,
    timers::{ContactTimer, Timer},
};

/// Our presence at sky, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceState {
    /// We are registered under the current keys.
    Registered,
    /// We are not.
    Absent,
}

/// Keepers that must say that an invite was used before we believe it.
const REVOKED_MIN: usize = 2;

impl Underworld {
    /// Notes the time; every call and input starts with it.
    pub(crate) fn begin(&mut self, now: Now) {
        self.core.now = now;
        if self.core.clock.jumped(now) {
            self.core.wishes_stale = true;
            self.edge();
        }
    }

    /// Our own addresses at which friends can dial us.
    pub fn handle_candidates(&mut self, addrs: &[SocketAddr], now: Now) {
        self.begin(now);
        self.core.set_candidates(addrs);
    }

    /// Our presence at sky stands, or does not any more. When it comes to stand, friends are knocked at, so that both
    /// sides of a pair that starts at the same time find each other.
    pub fn handle_presence(&mut self, state: PresenceState, now: Now) {
        self.begin(now);
        if state == PresenceState::Registered {
            self.greet_all();
        }
    }

    /// The network came back, or went.
    pub fn handle_network(&mut self, online: bool, now: Now) {
        self.begin(now);
        if !online {
            self.core.greeted = false;
            return;
        }
        for contact in self.contacts.values_mut() {
            contact.reach.next_knock = None;
            contact.reach.failures = 0;
            self.core.touch(contact.id);
        }
        let ops: Vec<DepositOp> = self.core.deposits.keys().copied().collect();
        for op in ops {
            if delivery::due(op, &self.core) == Due::Retry {
                delivery::order_again(op, &mut self.core);
            }
        }
    }

    /// Deposits that a keeper gave out of one of our mailboxes, fetched or pushed. What is done with is deleted by
    /// [`Effect::Delete`] once the cycle is committed.
    pub fn handle_deposits(&mut self, mailbox: MailboxId, records: &[Vec<u8>], now: Now) {
        self.begin(now);
        self.read_deposits(mailbox, records);
    }

    /// A pass over the keepers of a mailbox is done; `complete` says whether so many answered that no deposit with
    /// enough receipts can have been missed, and `reading` for which wish the pass was started.
    pub fn handle_fetched(
        &mut self,
        mailbox: MailboxId,
        reading: Reading,
        complete: bool,
        now: Now,
    ) {
        self.begin(now);
        self.fetched(mailbox, reading, complete);
    }

    /// A keeper's receipt for a deposit of ours, as it came.
    pub fn handle_receipt(&mut self, op: DepositOp, receipt: &[u8], now: Now) {
        self.begin(now);
        if let Some(contact) = self.core.deposits.get(&op).map(|kept| kept.contact)
            && let Some(contact) = self.contacts.get_mut(&contact)
        {
            delivery::receipt(contact, op, receipt, &mut self.core);
        }
    }

    /// A keeper refuses a deposit of ours.
    pub fn handle_deposit_refused(
        &mut self,
        op: DepositOp,
        keeper: NodeKey,
        code: ErrorCode,
        now: Now,
    ) {
        self.begin(now);
        let Some(kept) = self.core.deposits.get_mut(&op) else {
            return;
        };
        if code != ErrorCode::REVOKED || kept.revoked.len() >= usize::from(u8::MAX) {
            return;
        }
        kept.revoked.insert(keeper);
        if kept.revoked.len() >= REVOKED_MIN {
            self.closed_to_us(op);
        }
    }

    /// The driver is done with a deposit: all candidates were asked, or none is left.
    pub fn handle_deposit_ended(&mut self, op: DepositOp, now: Now) {
        self.begin(now);
        let Some(kept) = self.core.deposits.get(&op) else {
            return;
        };
        if kept.receipts.is_empty() && !kept.revoked.is_empty() {
            self.closed_to_us(op);
        }
        if let Some(contact) = self.core.deposits.get(&op).map(|kept| kept.contact)
            && let Some(contact) = self.contacts.get_mut(&contact)
        {
            delivery::ended(contact, op, &mut self.core);
            self.core.touch(contact.id);
        }
    }

    /// Keepers say that a mailbox takes nothing from us. For an invite that means that it was used or withdrawn.
    fn closed_to_us(&mut self, op: DepositOp) {
        let Some(kept) = self.core.deposits.get(&op) else {
            return;
        };
        if kept.purpose == Purpose::Handshake1
            && let Some(contact) = self.contacts.get_mut(&kept.contact)
            && matches!(contact.card.stage, Stage::Requested(_))
        {
            invites::fail(contact, FailReason::InviteUsed, &mut self.core);
        }
    }

    /// What became of a knock of ours.
    pub fn handle_knock_result(&mut self, op: KnockOp, result: &KnockResult, now: Now) {
        self.begin(now);
        if let Some(contact) = self.core.knocks.remove(&op)
            && let Some(contact) = self.contacts.get_mut(&contact)
        {
            delivery::knock_result(contact, op, result, &mut self.core);
        }
    }

    /// Somebody knocks at one of our presence keys. Always answered by one [`Effect::AnswerKnock`].
    pub fn handle_incoming_knock(
        &mut self,
        id: IncomingKnockId,
        presence: PresenceKey,
        slot: u8,
        nonce: [u8; 16],
        sealed: &[u8],
        now: Now,
    ) {
        self.begin(now);
        let answer = self.answer_knock(presence, slot, nonce, sealed);
        self.core.out.effect(Effect::AnswerKnock { id, answer });
    }

    fn answer_knock(
        &mut self,
        presence: PresenceKey,
        slot: u8,
        nonce: [u8; 16],
        sealed: &[u8],
    ) -> Option<Vec<u8>> {
        let slot = Slot::new(slot)?;
        let home = self
            .core
            .homes
            .values()
            .find(|home| home.part_of(&presence).is_some())?;
        let part = home.part_of(&presence)?;
        let SlotUse::Used(contact) = home.slot(slot) else {
            return None;
        };
        let contact = self.contacts.get_mut(&contact)?;
        let knock = IncomingKnock {
            presence,
            part,
            nonce,
            sealed,
        };
        delivery::answer(contact, &knock, &mut self.core)
    }

    /// A link that was dialled or expected stands.
    pub fn handle_link_up(&mut self, token: LinkToken, link: LinkId, now: Now) {
        self.begin(now);
        self.core.timers.cancel(Timer::Meeting(token));
        let meeting = self.core.meetings.remove(&token);
        let contact = meeting
            .as_ref()
            .and_then(|meeting| self.contacts.get_mut(&meeting.contact));
        match (meeting, contact) {
            (Some(meeting), Some(contact)) if contact.card.is_live() && !contact.card.blocked => {
                delivery::link_up(contact, link, &meeting, &mut self.core);
            }
            _ => self.core.out.effect(Effect::CloseLink { link }),
        }
    }

    /// A packet came over a link.
    pub fn handle_link_packet(&mut self, link: LinkId, packet: &[u8], now: Now) {
        self.begin(now);
        let contact = self
            .core
            .links
            .get(&link)
            .and_then(|id| self.contacts.get_mut(id));
        let (Some(contact), Ok(message)) = (contact, SessionMessage::decode(packet)) else {
            return;
        };
        if !contact.card.is_live() || contact.card.blocked {
            return;
        }
        let read = inbox::decrypt(contact, &message, None, Via::Link, &mut self.core);
        if let Some(link) = &mut contact.reach.link {
            link.heard |= read.is_ok();
        }
        self.core.touch(contact.id);
    }

    /// A link is gone.
    pub fn handle_link_down(&mut self, link: LinkId, now: Now) {
        self.begin(now);
        if let Some(contact) = self.core.links.remove(&link)
            && let Some(contact) = self.contacts.get_mut(&contact)
        {
            delivery::link_down(contact, link, &mut self.core);
        }
    }

    /// A friend could not be dialled.
    pub fn handle_dial_failed(&mut self, token: LinkToken, now: Now) {
        self.begin(now);
        self.meeting_over(token);
    }

    /// Does what is due. Early calls are harmless.
    pub fn handle_timeout(&mut self, now: Now) {
        self.begin(now);
        while let Some(timer) = self.core.timers.pop_due(now.mono) {
            match timer {
                Timer::Edge => {
                    self.edge();
                    self.core.wishes_stale = true;
                }
                Timer::Retention => self.retention(),
                Timer::Greeting => self.greet_all(),
                Timer::Deposit(op) => self.deposit_due(op),
                Timer::Meeting(token) => self.meeting_over(token),
                Timer::Contact(contact, timer) => self.contact_due(contact, timer),
            }
        }
    }

    fn meeting_over(&mut self, token: LinkToken) {
        self.core.timers.cancel(Timer::Meeting(token));
        if let Some(meeting) = self.core.meetings.remove(&token)
            && let Some(contact) = self.contacts.get_mut(&meeting.contact)
        {
            delivery::meeting_failed(contact, token, &mut self.core);
        }
    }

    fn deposit_due(&mut self, op: DepositOp) {
        match delivery::due(op, &self.core) {
            Due::Nothing => {}
            Due::Retry => delivery::order_again(op, &mut self.core),
            Due::Anew => {
                if let Some(contact) = self.core.deposits.get(&op).map(|kept| kept.contact)
                    && let Some(contact) = self.contacts.get_mut(&contact)
                {
                    delivery::anew(contact, op, &mut self.core);
                }
            }
        }
    }

    fn contact_due(&mut self, id: ContactId, timer: ContactTimer) {
        let Some(contact) = self.contacts.get_mut(&id) else {
            return;
        };
        let core = &mut self.core;
        core.touch(id);
        match timer {
            ContactTimer::Offer => {}
            ContactTimer::Knock => delivery::knock_timeout(contact, core),
            ContactTimer::Retransmit => {
                if let Verdict::GiveUp(link) = delivery::silent(contact, core) {
                    core.links.remove(&link);
                    core.out.effect(Effect::CloseLink { link });
                    delivery::link_down(contact, link, core);
                }
            }
            ContactTimer::Acknowledge => contact.reach.ack_due = contact.flow.owes_ack,
            ContactTimer::Gap => inbox::show(contact, core),
            ContactTimer::Pool => read_all(contact, core),
            ContactTimer::Expire => delivery::expire(contact, core),
            ContactTimer::Rekey => rekey::consider(contact, core),
            ContactTimer::Recover => {}
        }
    }

    /// Reads what waits for deposits before it.
    pub(crate) fn read_what_waits(&mut self, id: ContactId) {
        if let Some(contact) = self.contacts.get_mut(&id)
            && contact.pool.has_gap()
        {
            read_all(contact, &mut self.core);
        }
    }
}

fn read_all(contact: &mut Contact, core: &mut super::core::Core) {
    inbox::read_messages(contact, Vec::new(), inbox::Patience::Over, core);
}
