//! Starting up, keeping house, and ending invites.

use hermes_wire::ids::Epoch;

use super::{
    Underworld,
    event::{Event, InviteState},
    ids::InviteId,
    invites::Use,
    output::Table,
    rekey,
    timers::{ContactTimer, Timer},
    wishes::{epochs_open, first_part},
};
use crate::records;

/// How long the first knocks wait for our own presence to stand.
const GREETING_MS: u64 = 2_000;

/// How often old keys are looked for; each epoch where that is shorter.
const RETENTION_MS: u64 = 3_600_000;

impl Underworld {
    /// What follows on creation and on loading.
    pub(crate) fn start(&mut self) {
        let core = &mut self.core;
        core.timers
            .set(Timer::Greeting, core.now.after_ms(GREETING_MS));
        self.plan_retention();
        self.edge();
        self.core.wishes_stale = true;
    }

    /// Knocks at all friends, once after each start and each return to the network.
    pub(crate) fn greet_all(&mut self) {
        let core = &mut self.core;
        core.timers.cancel(Timer::Greeting);
        if std::mem::replace(&mut core.greeted, true) {
            return;
        }
        let jitter_ms = u64::from(core.net.params().register_jitter_s) * 1_000;
        for contact in self
            .contacts
            .values_mut()
            .filter(|contact| contact.is_established())
        {
            if contact.reach.link.is_none() {
                let wait = core.random.up_to(jitter_ms);
                contact.reach.greet = true;
                contact.reach.next_knock = (wait > 0).then(|| core.now.after_ms(wait));
                core.touch(contact.id);
            }
        }
    }

    fn plan_retention(&mut self) {
        let core = &mut self.core;
        let epoch_ms = u64::from(core.net.params().epoch_s) * 1_000;
        let at = core.now.after_ms(RETENTION_MS.min(epoch_ms));
        core.timers.set(Timer::Retention, at);
    }

    /// Deletes what is past its retention.
    pub(crate) fn retention(&mut self) {
        self.plan_retention();
        let core = &mut self.core;
        let Some(time_s) = core.clock.for_deletion_s(&core.net, core.now) else {
            return;
        };
        let net = core.net.clone();
        let oldest = net.oldest_kept_epoch(time_s);
        let (open_from, ..) = epochs_open(&net, time_s);
        let parts_from = first_part(&net, time_s);
        for home in core.homes.values_mut() {
            home.forget_before(&net, oldest);
            home.drop_caches(open_from.min(home.unread_from), parts_from, &mut core.out);
            home.store(&mut core.out);
        }
        let unread = core.homes.values().map(|home| home.unread_from).min();
        let seen_from = unread.unwrap_or_default().min(open_from);
        core.seen.forget_before(seen_from, &mut core.out);
        let reachable = Epoch(open_from.0.saturating_sub(1));
        let sessions_before = time_s.saturating_sub(2 * u64::from(net.params().expiry_max_s));
        for contact in self.contacts.values_mut() {
            if let Some(secrets) = &mut contact.card.secrets {
                secrets.forget_before(&net, oldest);
                contact.changed.card = true;
            }
            if let Some(peer) = &mut contact.card.peer
                && peer.address.epoch() < reachable
            {
                // An epoch beyond every reasonable clock is not reached, and then nothing is forgotten.
                contact.changed.card |= peer.address.forget_before(&net, reachable).is_ok();
            }
            contact
                .sessions
                .prune(contact.id, Some(sessions_before), &mut core.out);
            core.touch(contact.id);
        }
    }

    /// The contact of an invite is established: nobody needs the invite any more.
    pub(crate) fn finish_invite(&mut self, id: InviteId) {
        let Some(own) = self.invites.get_mut(&id) else {
            return;
        };
        if let Use::By { done, .. } = &mut own.used {
            *done = true;
            own.store(&mut self.core);
            self.core.wishes_stale = true;
        }
    }

    /// Forgets an invite whose time is over.
    pub(crate) fn forget_invite(&mut self, id: InviteId) {
        let Some(own) = self.invites.remove(&id) else {
            return;
        };
        let core = &mut self.core;
        core.out.delete(Table::Invite, records::invite::key(id));
        core.wishes_stale = true;
        if own.used == Use::Open {
            core.out.event(Event::Invite {
                invite: id,
                state: InviteState::Expired,
            });
        }
    }

    /// Takes up again what was under way when the store was written.
    pub(crate) fn resume(&mut self) {
        let core = &mut self.core;
        for contact in self.contacts.values_mut() {
            let id = contact.id;
            contact.reach.fresh = contact
                .outbox
                .from(0)
                .filter(|(_, frame)| frame.deposit.is_none())
                .map(|(seq, _)| seq)
                .collect();
            if let Some(at) = contact.outbox.next_expiry_ms() {
                let timer = Timer::Contact(id, ContactTimer::Expire);
                core.timers.set(timer, core.now.at_unix_ms(at));
            }
            if contact.is_established() {
                if contact.flow.owes_ack {
                    super::inbox::schedule_ack(contact, core);
                }
                rekey::schedule(contact, core);
                super::inbox::show(contact, core);
            }
            if contact.is_paired() && contact.sessions.is_empty() {
                super::recovery::want(contact, core);
            }
            core.touch(id);
        }
        let ops: Vec<_> = core.deposits.keys().copied().collect();
        for op in ops {
            super::delivery::resume(op, core);
        }
    }
}
