//! Deposits from our mailboxes: finding who wrote them, opening them, and reading their messages in the ratchet's order.

use std::collections::BTreeMap;

use hermes_wire::{
    content::Content,
    deposit::DepositRef,
    ids::{DepositId, Epoch, MailboxId},
    kdf::Secret,
    outer::OuterError,
    packet::SessionMessage,
    recovery::outer_key,
};

use super::{
    super::{
        Underworld,
        contacts::{Contact, Place, SessionError, Stage},
        core::{Core, MailboxOf},
        event::Via,
        home::SlotUse,
        ids::ContactId,
        invites, recovery, rekey,
        timers::{ContactTimer, Timer},
    },
    Patience,
    packet::read_packet,
    pool::Locked,
};
use crate::session::{DecryptError, SKIPPED_KEYS_MAX};

/// Messages of a chain that may be missing before one that is read at once. Fewer than the ratchet keeps keys for.
const GAP_AT_ONCE: u64 = SKIPPED_KEYS_MAX as u64 * 3 / 4;

/// How long a message beyond a larger gap waits, unless all keepers have answered before.
const POOL_WAIT_MS: u64 = 10_000;

/// A session message from a deposit.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) mailbox: MailboxId,
    pub(crate) epoch: Epoch,
    pub(crate) id: DepositId,
    pub(crate) message: SessionMessage,
    pub(crate) place: Place,
}

impl Entry {
    pub(crate) const fn len(&self) -> usize {
        self.message.olm.len()
    }
}

/// What was opened for one contact in one go.
#[derive(Default)]
struct Batch {
    keys: Option<Vec<Secret>>,
    openings: Vec<Opening>,
    messages: Vec<Entry>,
}

/// An opened content that is no session message.
struct Opening {
    mailbox: MailboxId,
    epoch: Epoch,
    id: DepositId,
    content: Vec<u8>,
}

/// Where a record was found.
#[derive(Clone, Copy)]
struct Source {
    mailbox: MailboxId,
    home: u16,
    epoch: Epoch,
}

impl Underworld {
    /// Reads deposits of one of our mailboxes.
    pub(crate) fn read_deposits(&mut self, mailbox: MailboxId, records: &[Vec<u8>]) {
        match self.core.mailboxes.get(&mailbox).copied() {
            Some(MailboxOf::Home { home, epoch }) => {
                let source = Source {
                    mailbox,
                    home,
                    epoch,
                };
                self.read_home(source, records);
            }
            Some(MailboxOf::Invite { invite, epoch }) => {
                for record in records {
                    self.read_invite_deposit(invite, mailbox, epoch, record);
                }
            }
            None => {}
        }
    }

    fn read_home(&mut self, source: Source, records: &[Vec<u8>]) {
        let mut batches: BTreeMap<ContactId, Batch> = BTreeMap::new();
        for record in records {
            self.sort_record(source, record, &mut batches);
        }
        for (id, batch) in batches {
            let Some(contact) = self.contacts.get_mut(&id) else {
                continue;
            };
            for opening in batch.openings {
                read_opening(contact, opening, &mut self.core);
            }
            read_messages(contact, batch.messages, Patience::Waiting, &mut self.core);
            retry_pool(contact, &mut self.core);
        }
    }

    /// Finds the contact that wrote a record and opens it.
    fn sort_record(
        &mut self,
        source: Source,
        record: &[u8],
        batches: &mut BTreeMap<ContactId, Batch>,
    ) {
        let core = &mut self.core;
        let Ok(deposit) = DepositRef::parse(record) else {
            return;
        };
        let located = deposit.locate(&core.net);
        let Source { mailbox, epoch, .. } = source;
        if located.mailbox != mailbox || core.seen.contains(mailbox, epoch, located.id, core.now) {
            return;
        }
        let writer = located
            .slot
            .and_then(|slot| core.homes.get(&source.home).map(|home| home.slot(slot)));
        let contact = match writer {
            Some(SlotUse::Used(id)) => self.contacts.get(&id),
            _ => None,
        };
        let Some(contact) =
            contact.filter(|contact| contact.card.is_live() && !contact.card.blocked)
        else {
            done(core, mailbox, epoch, located.id);
            return;
        };
        let writer = contact.id;
        let batch = batches.entry(writer).or_default();
        let keys = batch
            .keys
            .get_or_insert_with(|| candidates(contact, epoch, core));
        let refs: Vec<&[u8; 32]> = keys.iter().map(|key| &**key).collect();
        match deposit.open(&core.net, &refs) {
            Ok((_, content)) => sort_content(source, located.id, &content, batch, core),
            // Only who holds the slot's key may make us wait, and count towards a recovery.
            Err(OuterError::NoKey) if deposit.verify(&core.net).is_err() => {}
            Err(OuterError::NoKey) if is_stale(contact, located.expiry, core) => {
                done(core, mailbox, epoch, located.id);
            }
            Err(OuterError::NoKey) => {
                let locked = Locked {
                    mailbox,
                    epoch,
                    id: located.id,
                    record: record.to_vec(),
                };
                if let Some(contact) = self.contacts.get_mut(&writer) {
                    contact.pool.keep_locked(locked);
                }
            }
            Err(_) => done(core, mailbox, epoch, located.id),
        }
    }
}

/// Whether a deposit is older than the current session, as far as its expiry tells. Its keys will not come any more, and
/// what was in it has been, or will be, offered again.
fn is_stale(contact: &Contact, expiry: u32, core: &Core) -> bool {
    let since = contact.card.rekey.last_s;
    let usual = u64::from(core.net.params().expiry_default_s);
    contact.is_established()
        && contact.card.recovery.open.is_none()
        && expiry < core.net.expiry_stamp(since.saturating_add(usual))
}

/// The outer keys that a contact's deposits of an epoch may have, in the order of section 7.
fn candidates(contact: &Contact, epoch: Epoch, core: &Core) -> Vec<Secret> {
    if let Stage::Requested(invitee) = &contact.card.stage {
        let invite = invitee.invite();
        return invite
            .iter()
            .map(|invite| invite.answer_outer_key(&core.net))
            .collect();
    }
    let (Some(peer), Some(secrets)) = (&contact.card.peer, &contact.card.secrets) else {
        return Vec::new();
    };
    let mut keys = secrets.incoming_keys(&core.net, epoch);
    let theirs = recovery::rank(&core.me.ik(), &peer.ik).other();
    keys.push(outer_key(&core.net, &secrets.s_rec, theirs, epoch));
    keys
}

/// Tells session messages from the rest.
fn sort_content(source: Source, id: DepositId, content: &[u8], batch: &mut Batch, core: &mut Core) {
    let Source { mailbox, epoch, .. } = source;
    match Content::parse(content) {
        Ok(Content::Session(message)) => match Place::of(&message) {
            Some(place) => batch.messages.push(Entry {
                mailbox,
                epoch,
                id,
                message,
                place,
            }),
            None => done(core, mailbox, epoch, id),
        },
        Ok(Content::Handshake2(_) | Content::Recovery1(_) | Content::Recovery2(_)) => {
            batch.openings.push(Opening {
                mailbox,
                epoch,
                id,
                content: content.to_vec(),
            });
        }
        Ok(_) | Err(_) => done(core, mailbox, epoch, id),
    }
}

/// Reads the message of a handshake or of a recovery.
fn read_opening(contact: &mut Contact, opening: Opening, core: &mut Core) {
    match Content::parse(&opening.content) {
        Ok(Content::Handshake2(content)) => invites::take_answer(contact, content, core),
        Ok(Content::Recovery1(content)) => recovery::take_request(contact, content, core),
        Ok(Content::Recovery2(content)) => recovery::take_answer(contact, content, core),
        _ => {}
    }
    done(core, opening.mailbox, opening.epoch, opening.id);
}

/// Reads session messages in the order of the ratchet, together with those that wait.
pub(crate) fn read_messages(
    contact: &mut Contact,
    new: Vec<Entry>,
    patience: Patience,
    core: &mut Core,
) {
    let mut entries = contact.pool.take_beyond_gap();
    entries.extend(new);
    if entries.is_empty() {
        return;
    }
    sort_by_place(&mut entries);
    for entry in entries {
        let place = entry.place;
        let gap = contact
            .flow
            .chains
            .gap_before(place.session, &place.ratchet_key, place.index);
        if gap > GAP_AT_ONCE && patience == Patience::Waiting {
            if let Some(entry) = contact.pool.keep_beyond_gap(entry) {
                read_message(contact, entry, core);
            }
        } else {
            read_message(contact, entry, core);
        }
    }
    let timer = Timer::Contact(contact.id, ContactTimer::Pool);
    if contact.pool.has_gap() {
        let at = core.now.after_ms(POOL_WAIT_MS);
        core.timers.set_earlier(timer, at);
    } else {
        core.timers.cancel(timer);
    }
    recovery::consider(contact, core);
}

/// Sorts by session, then by chain in the order in which chains first came, then by the place in the chain. The chains' keys are
/// random and say nothing about which was first.
fn sort_by_place(entries: &mut [Entry]) {
    let mut came: BTreeMap<(u16, [u8; 32]), usize> = BTreeMap::new();
    for (n, entry) in entries.iter().enumerate() {
        came.entry((entry.place.session, entry.place.ratchet_key))
            .or_insert(n);
    }
    entries.sort_by_key(|entry| {
        let Place {
            session,
            ratchet_key,
            index,
        } = entry.place;
        (session, came.get(&(session, ratchet_key)).copied(), index)
    });
}

fn read_message(contact: &mut Contact, entry: Entry, core: &mut Core) {
    let Entry {
        mailbox, epoch, id, ..
    } = entry;
    // Another keeper's copy of the same deposit may have been read before in this batch.
    if core.seen.contains(mailbox, epoch, id, core.now) {
        return;
    }
    match decrypt(
        contact,
        &entry.message,
        Some(entry.place),
        Via::Keepers,
        core,
    ) {
        Err(SessionError::NotYet) => contact.pool.keep_without_session(entry),
        Ok(()) | Err(_) => done(core, mailbox, epoch, id),
    }
}

/// Decrypts a session message and takes its packet.
pub(crate) fn decrypt(
    contact: &mut Contact,
    message: &SessionMessage,
    place: Option<Place>,
    via: Via,
    core: &mut Core,
) -> Result<(), SessionError> {
    let plain = match contact.sessions.decrypt(message) {
        Ok(plain) => plain,
        Err(error) => {
            note_failure(contact, error, core);
            return Err(error);
        }
    };
    if let Some(place) = place.or_else(|| Place::of(message)) {
        contact
            .flow
            .chains
            .passed(place.session, place.ratchet_key, place.index);
    }
    contact.changed.flow = true;
    contact.pool.note_success();
    core.touch(contact.id);
    rekey::heard(contact, message.generation, core);
    invites::heard(contact, core);
    read_packet(contact, message.generation, &plain, via, core);
    Ok(())
}

/// Counts what cannot be read, and asks for a recovery when it can never be.
fn note_failure(contact: &mut Contact, error: SessionError, core: &mut Core) {
    match error {
        SessionError::Decrypt(
            DecryptError::BadMac | DecryptError::WeakKey | DecryptError::OtherSession,
        ) => {
            contact.pool.note_failure();
        }
        SessionError::Decrypt(DecryptError::GapTooLarge { .. }) => recovery::want(contact, core),
        // The other side has gone on to a session that we never saw.
        SessionError::NotYet => contact.pool.note_failure(),
        // A key that is gone belongs to a copy of something that was offered again.
        SessionError::Decrypt(DecryptError::KeyGone { .. } | DecryptError::Malformed)
        | SessionError::Gone => {}
    }
}

/// Tries again what waited for a session or an outer key.
pub(crate) fn retry_pool(contact: &mut Contact, core: &mut Core) {
    if !std::mem::take(&mut contact.renewed) {
        return;
    }
    // What a recovery's keys do not open was sealed under keys that are lost.
    let recovered = std::mem::take(&mut contact.recovered);
    let mut messages = contact.pool.take_without_session();
    for locked in contact.pool.take_locked() {
        let Ok(deposit) = DepositRef::parse(&locked.record) else {
            continue;
        };
        let keys = candidates(contact, locked.epoch, core);
        let refs: Vec<&[u8; 32]> = keys.iter().map(|key| &**key).collect();
        let Ok((_, content)) = deposit.open(&core.net, &refs) else {
            if recovered {
                done(core, locked.mailbox, locked.epoch, locked.id);
            } else {
                contact.pool.keep_locked(locked);
            }
            continue;
        };
        let source = Source {
            mailbox: locked.mailbox,
            home: contact.card.home,
            epoch: locked.epoch,
        };
        let mut batch = Batch::default();
        sort_content(source, locked.id, &content, &mut batch, core);
        for opening in batch.openings {
            read_opening(contact, opening, core);
        }
        messages.append(&mut batch.messages);
    }
    read_messages(contact, messages, Patience::Waiting, core);
}

/// A deposit is done with.
pub(crate) fn done(core: &mut Core, mailbox: MailboxId, epoch: Epoch, id: DepositId) {
    core.seen
        .insert(mailbox, epoch, id, core.now, &mut core.out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_read_in_the_order_in_which_they_came_and_each_from_its_beginning() {
        let entry = |session: u16, key: u8, index: u64| Entry {
            mailbox: MailboxId([0; 32]),
            epoch: Epoch(1),
            id: DepositId([0; 32]),
            message: SessionMessage {
                generation: session,
                olm_type: 1,
                olm: Vec::new(),
            },
            place: Place {
                session,
                ratchet_key: [key; 32],
                index,
            },
        };
        let mut entries = vec![
            entry(1, 2, 0),
            entry(0, 9, 3),
            entry(0, 4, 1),
            entry(0, 9, 2),
            entry(0, 4, 0),
        ];
        sort_by_place(&mut entries);
        let order: Vec<_> = entries
            .iter()
            .map(|e| (e.place.session, e.place.ratchet_key[0], e.place.index))
            .collect();
        assert_eq!(
            order,
            [(0, 9, 2), (0, 9, 3), (0, 4, 0), (0, 4, 1), (1, 2, 0)]
        );
    }
}
