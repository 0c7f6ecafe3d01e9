//! Under which keys we are present and which mailboxes we read, at every moment.
//!
//! Around the edges of epochs and of their parts both sides are served, since friends' clocks differ. A mailbox is
//! watched as long as somebody may still write into it; afterwards it is read once more to the end, and then never
//! again. What was not read because we were away stays in the wish until it was, or until its keys are past their
//! retention.

use std::collections::BTreeMap;

use hermes_wire::{
    Network, Wire as _,
    address::SUB_SLOTS,
    blind::BlindedKey,
    earth::Revoke,
    ids::{Epoch, MailboxId},
    mailbox::{Descriptor, mailbox_position, presence_position},
};

use super::{
    Underworld,
    clock::{Calendar as _, Part, parts_served},
    contacts::{FailReason, Stage},
    core::MailboxOf,
    delivery::{self, Purpose},
    effect::{Effect, MailboxWish, OwnerRequest, PresenceWish, Reading},
    ids::ContactId,
    invites::{self, Closed, OwnInvite},
    timers::Timer,
};

/// The clock is looked at again at least this often, in case it was set.
const LOOK_MS_MAX: u64 = 60_000;

/// Mailboxes that are read up at a time after a long absence, oldest first; each costs a tree of keys and an opening at
/// every keeper.
const LATE_MAX: usize = 16;

/// Mailboxes that are remembered as closed; to close one again does no harm.
const CLOSED_MAX: usize = 4_096;

/// Epochs ahead whose invite mailboxes are closed at once when an invite is over.
const CLOSE_AHEAD: u32 = 8;

/// A mailbox and the key that rules it.
pub(crate) struct Owned {
    pub(crate) key: BlindedKey,
    pub(crate) descriptor: Descriptor,
}

/// What was wished last, and what was closed, since the store was loaded.
#[derive(Default)]
pub(crate) struct Wished {
    presence: Vec<PresenceWish>,
    mailboxes: Vec<MailboxWish>,
    /// Mailboxes whose leaves were revoked, with the leaves.
    closed: BTreeMap<MailboxId, u64>,
}

impl Underworld {
    /// Brings the wishes up to date and plans the next look.
    pub(crate) fn refresh_wishes(&mut self) {
        self.core.wishes_stale = false;
        let now_s = self.core.now.unix_s();
        let mut next = now_s.saturating_add(LOOK_MS_MAX / 1_000);
        let presence = self.presence_wishes(now_s, &mut next);
        let mailboxes = self.mailbox_wishes(now_s, &mut next);
        self.close_mailboxes(now_s);
        let core = &mut self.core;
        if presence != self.wished.presence {
            self.wished.presence.clone_from(&presence);
            core.out.effect(Effect::Presence(presence));
        }
        if mailboxes != self.wished.mailboxes {
            self.wished.mailboxes.clone_from(&mailboxes);
            core.out.effect(Effect::Mailboxes(mailboxes));
        }
        for home in core.homes.values_mut() {
            home.store(&mut core.out);
        }
        core.timers
            .set(Timer::Edge, core.now.at_unix_ms(next.saturating_mul(1_000)));
    }

    fn presence_wishes(&mut self, now_s: u64, next: &mut u64) -> Vec<PresenceWish> {
        let core = &mut self.core;
        let jitter_s = u64::from(core.net.params().register_jitter_s);
        let mut wishes = Vec::new();
        for home in core.homes.values_mut() {
            let (mut parts, change) =
                parts_served(&core.net, now_s, |edge| home.spread(edge, jitter_s));
            *next = (*next).min(change);
            parts.sort();
            let refused = home.refused;
            for part in parts {
                if let Some(made) = home.presence(&core.net, part, &mut core.out) {
                    wishes.push(PresenceWish {
                        presence: made.presence,
                        owner: made.key.clone(),
                        knock_root: made.knock_root,
                        refused,
                        epoch: part.epoch,
                        part: part.part,
                        position: presence_position(&made.presence),
                    });
                }
            }
        }
        wishes
    }

    fn mailbox_wishes(&mut self, now_s: u64, next: &mut u64) -> Vec<MailboxWish> {
        let core = &mut self.core;
        let net = core.net.clone();
        let (first, last, change) = epochs_open(&net, now_s);
        *next = (*next).min(change);
        core.mailboxes.clear();
        let mut wishes = Vec::new();
        for home in core.homes.values_mut() {
            let number = home.number();
            let oldest = home
                .unread_from
                .max(net.oldest_kept_epoch(now_s))
                .min(first);
            let late = (oldest.0..first.0).map(|epoch| (Epoch(epoch), Reading::Once));
            let open = (first.0..=last.0).map(|epoch| (Epoch(epoch), Reading::Watch));
            let late: Vec<_> = late
                .filter(|(epoch, _)| !home.is_read(*epoch))
                .take(LATE_MAX)
                .collect();
            for (epoch, reading) in late.into_iter().chain(open) {
                let Some(made) = home.epoch(&net, epoch, &mut core.out) else {
                    continue;
                };
                let of = MailboxOf::Home {
                    home: number,
                    epoch,
                };
                core.mailboxes.insert(made.mailbox, of);
                wishes.push(wish(
                    made.mailbox,
                    made.descriptor,
                    made.key.clone(),
                    epoch,
                    reading,
                ));
            }
        }
        for own in self.invites.values().filter(|own| own.is_read()) {
            for epoch in (first.0..=last.0).map(Epoch) {
                if let Some((mailbox, owned)) = invite_mailbox(&net, own, epoch) {
                    let of = MailboxOf::Invite {
                        invite: own.id,
                        epoch,
                    };
                    core.mailboxes.insert(mailbox, of);
                    wishes.push(wish(
                        mailbox,
                        owned.descriptor,
                        owned.key,
                        epoch,
                        Reading::Watch,
                    ));
                }
            }
        }
        wishes
    }

    /// The key of a mailbox of ours that is, or lately was, in the wish.
    pub(crate) fn owned(&self, mailbox: &MailboxId) -> Option<Owned> {
        match self.core.mailboxes.get(mailbox)? {
            MailboxOf::Home { home, .. } => {
                let made = self.core.homes.get(home)?.mailbox(mailbox)?;
                Some(Owned {
                    key: made.key.clone(),
                    descriptor: made.descriptor,
                })
            }
            MailboxOf::Invite { invite, epoch } => {
                let own = self.invites.get(invite)?;
                invite_mailbox(&self.core.net, own, *epoch).map(|(_, owned)| owned)
            }
        }
    }

    /// Revokes the leaves of refused friends and of invites that are over, in every mailbox that is or becomes open.
    fn close_mailboxes(&mut self, now_s: u64) {
        let net = self.core.net.clone();
        let (first, last, _) = epochs_open(&net, now_s);
        let mut orders: Vec<(MailboxId, Owned, std::ops::Range<u16>)> = Vec::new();
        if self.wished.closed.len() > CLOSED_MAX {
            self.wished.closed.clear();
        }
        let core = &mut self.core;
        for home in core.homes.values_mut() {
            let refused: Vec<_> = home.refused_slots().collect();
            for epoch in (first.0..=last.0)
                .map(Epoch)
                .filter(|_| !refused.is_empty())
            {
                let Some(made) = home.epoch(&net, epoch, &mut core.out).cloned() else {
                    continue;
                };
                let closed = self.wished.closed.entry(made.mailbox).or_default();
                for slot in refused
                    .iter()
                    .filter(|slot| *closed & (1 << slot.get()) == 0)
                {
                    let owned = Owned {
                        key: made.key.clone(),
                        descriptor: made.descriptor,
                    };
                    let leaf = slot.leaf(0);
                    orders.push((made.mailbox, owned, leaf..leaf + u16::from(SUB_SLOTS)));
                }
                *closed |= refused.iter().fold(0, |mask, slot| mask | 1 << slot.get());
            }
        }
        let ahead = Epoch(last.0.saturating_add(CLOSE_AHEAD));
        for own in self.invites.values_mut().filter(|own| own.is_closed()) {
            let from = own.to_close_from(core.now).unwrap_or(first).max(first);
            let epochs = (from.0..=ahead.0).map(Epoch);
            let mailboxes = epochs.filter_map(|epoch| invite_mailbox(&net, own, epoch));
            let before = orders.len();
            for (mailbox, owned) in mailboxes {
                if self.wished.closed.insert(mailbox, 1).is_none() {
                    orders.push((mailbox, owned, 0..1));
                }
            }
            if orders.len() > before {
                own.closed = Some(Closed {
                    at_ms: core.now.unix_ms,
                    through: ahead,
                });
                own.store(core);
            }
        }
        for (mailbox, owned, leaves) in orders {
            let random = core.random.bytes();
            if let Some(request) = Revoke::sign(&net, &owned.key, owned.descriptor, random, leaves)
            {
                core.out.effect(Effect::Revoke(OwnerRequest {
                    mailbox,
                    positions: positions(&mailbox),
                    request: request.to_bytes(),
                }));
            }
        }
    }

    /// Forgets which leaves were revoked, after a slot was accepted again.
    pub(crate) fn forget_closed(&mut self) {
        self.wished.closed.clear();
    }

    /// A pass over all keepers of a mailbox is done.
    pub(crate) fn fetched(&mut self, mailbox: MailboxId, reading: Reading, complete: bool) {
        if let Some(MailboxOf::Home { home, epoch }) = self.core.mailboxes.get(&mailbox).copied() {
            let ids: Vec<ContactId> = self.contacts.keys().copied().collect();
            for id in ids {
                self.read_what_waits(id);
            }
            let (first, ..) = epochs_open(&self.core.net, self.core.now.unix_s());
            if complete
                && reading == Reading::Once
                && epoch < first
                && let Some(home) = self.core.homes.get_mut(&home)
                && home.mark_read(epoch)
            {
                self.core.wishes_stale = true;
            }
        }
    }

    /// Does what a new epoch or a new part brings: repeats requests, gives up those that are over.
    pub(crate) fn edge(&mut self) {
        let now_s = self.core.now.unix_s();
        let epoch = self.core.epoch();
        let read_to = self.core.homes.values().map(|home| home.unread_from).min();
        for contact in self.contacts.values_mut() {
            let Stage::Requested(invitee) = &contact.card.stage else {
                continue;
            };
            let Ok(invite) = invitee.invite() else {
                continue;
            };
            let over = invite.expires_at(&self.core.net) <= now_s;
            // The answer may wait in a mailbox that we have not read yet.
            if over && read_to > Some(invite.last_epoch(&self.core.net)) {
                invites::fail(contact, FailReason::InviteExpired, &mut self.core);
            } else if !over && !asked_in(contact.id, epoch, &self.core) {
                delivery::deposit_opening(contact, Purpose::Handshake1, &mut self.core);
            }
        }
        self.drop_invites(now_s);
    }

    /// Forgets invites whose time is over, and whose last mailbox nobody writes into any more.
    fn drop_invites(&mut self, now_s: u64) {
        let net = &self.core.net;
        let asked: Vec<_> = self
            .contacts
            .values()
            .filter_map(|contact| match &contact.card.stage {
                Stage::Asked { invite, .. } => Some(*invite),
                _ => None,
            })
            .collect();
        let over: Vec<_> = self
            .invites
            .values()
            .filter(|own| {
                own.invite.expires_at(net) + net.margin_s() <= now_s && !asked.contains(&own.id)
            })
            .map(|own| own.id)
            .collect();
        for id in over {
            self.forget_invite(id);
        }
    }
}

/// Whether message 1 was deposited for an epoch.
fn asked_in(contact: ContactId, epoch: Epoch, core: &super::core::Core) -> bool {
    core.deposits.values().any(|kept| {
        kept.contact == contact && kept.purpose == Purpose::Handshake1 && kept.epoch == epoch
    })
}

/// The first and last epoch into whose mailboxes somebody may write, and when that changes.
pub(crate) fn epochs_open(net: &Network, now_s: u64) -> (Epoch, Epoch, u64) {
    let margin = net.margin_s();
    let first = net.epoch(now_s.saturating_sub(margin));
    let last = net.epoch(now_s.saturating_add(margin));
    let leave = net.epoch_end(first).saturating_add(margin);
    let enter = net.epoch_end(last).saturating_sub(margin);
    let change = leave.min(enter).max(now_s + 1);
    (first, last, change)
}

/// The earliest part that is still served.
pub(crate) fn first_part(net: &Network, now_s: u64) -> Part {
    let jitter = u64::from(net.params().register_jitter_s);
    let back = net.part_margin_s().saturating_add(jitter);
    net.part_at(now_s.saturating_sub(back).max(hermes_wire::network::T0))
}

fn invite_mailbox(net: &Network, own: &OwnInvite, epoch: Epoch) -> Option<(MailboxId, Owned)> {
    if !own.covers(net, epoch) {
        return None;
    }
    let at = own.invite.mailbox(net, epoch)?;
    let key = own.secrets.owner_key(net, &own.invite, epoch)?;
    let owned = Owned {
        key,
        descriptor: at.descriptor,
    };
    Some((at.mailbox, owned))
}

fn positions(mailbox: &MailboxId) -> [hermes_wire::ids::Position; 2] {
    [0, 1].map(|k| mailbox_position(mailbox, k))
}

fn wish(
    mailbox: MailboxId,
    descriptor: Descriptor,
    owner: BlindedKey,
    epoch: Epoch,
    reading: Reading,
) -> MailboxWish {
    MailboxWish {
        positions: positions(&mailbox),
        mailbox,
        descriptor,
        owner,
        epoch,
        reading,
    }
}
