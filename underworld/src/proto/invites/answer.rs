//! The inviter's side: reading message 1, approving, and answering.

use hermes_wire::{
    Wire as _,
    content::Content,
    deposit::DepositRef,
    handshake::{AnswererSeeds, Approval, Inviter, Request},
    ids::{Epoch, MailboxId},
    packet::{AckRanges, FIRST_DEVICE, Packet, SessionMessage},
};

use super::{
    accept::established,
    create::hash_of,
    own::{OwnInvite, Use},
};
use crate::{
    proto::{
        Now, Underworld,
        contacts::{Card, Contact, ContactState, Peer, Secrets, Stage},
        core::Core,
        delivery::{self, Purpose},
        event::{Alarm, Event, InviteState},
        identity::{NameError, check_name},
        ids::{ContactId, InviteId},
        inbox::done,
        recovery::Recovery,
        rekey::Rekey,
    },
    session::Session,
};

/// A contact cannot be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApproveError {
    /// There is no such contact.
    #[error("no such contact")]
    UnknownContact,
    /// It does not wait for approval.
    #[error("the contact is {state} and waits for no approval")]
    NotAsked {
        /// What it is.
        state: ContactState,
    },
    /// The name for it cannot be taken.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The invite is gone, or its message is no longer valid.
    #[error("the invite of this contact is gone")]
    InviteGone,
}

impl Underworld {
    /// Approves a contact that used an invite which asks. `name` is what it will be called here; if absent, what it calls
    /// itself.
    ///
    /// # Errors
    /// If there is no such contact or it does not wait for this.
    pub fn approve(
        &mut self,
        id: ContactId,
        name: Option<&str>,
        now: Now,
    ) -> Result<(), ApproveError> {
        self.begin(now);
        if let Some(name) = name {
            check_name(name)?;
            self.check_free(name, Some(id))?;
        }
        let contact = self
            .contacts
            .get_mut(&id)
            .ok_or(ApproveError::UnknownContact)?;
        let state = contact.state();
        let Stage::Asked { invite, msg1 } = &contact.card.stage else {
            return Err(ApproveError::NotAsked { state });
        };
        if state != ContactState::Asked {
            return Err(ApproveError::NotAsked { state });
        }
        let (invite, msg1) = (*invite, msg1.clone());
        let own = self.invites.get(&invite).ok_or(ApproveError::InviteGone)?;
        if let Some(name) = name {
            name.clone_into(&mut contact.card.name);
            contact.card.named_here = true;
        }
        answer(contact, own, &msg1, &mut self.core).ok_or(ApproveError::InviteGone)
    }

    /// Reads a deposit from an invite's mailbox.
    pub(crate) fn read_invite_deposit(
        &mut self,
        invite: InviteId,
        mailbox: MailboxId,
        epoch: Epoch,
        record: &[u8],
    ) {
        let core = &mut self.core;
        let (Some(own), Ok(deposit)) = (self.invites.get(&invite), DepositRef::parse(record))
        else {
            return;
        };
        let located = deposit.locate(&core.net);
        if located.mailbox != mailbox || core.seen.contains(mailbox, epoch, located.id, core.now) {
            return;
        }
        done(core, mailbox, epoch, located.id);
        let key = own.invite.outer_key(&core.net);
        let Ok((_, content)) = deposit.open(&core.net, &[&key]) else {
            return;
        };
        if let Ok(Content::Handshake1(msg1)) = Content::parse(&content) {
            self.take_request(invite, msg1);
        }
    }

    /// Takes a message 1 of whoever holds the invite.
    fn take_request(&mut self, invite: InviteId, msg1: &[u8]) {
        let Some(own) = self.invites.get_mut(&invite) else {
            return;
        };
        let core = &mut self.core;
        let expired = own.invite.expires_at(&core.net) <= core.now.unix_s();
        let Some(request) = read_request(own, msg1, core) else {
            return;
        };
        match own.used {
            Use::By {
                msg1_hash, contact, ..
            } if msg1_hash == hash_of(msg1) => {
                if let Some(contact) = self.contacts.get_mut(&contact) {
                    repeat_answer(contact, core);
                }
            }
            Use::By { ik, contact, .. } => {
                if ik != request.peer.ik && !own.alarmed {
                    own.alarmed = true;
                    own.store(core);
                    core.out
                        .event(Event::Alarm(Alarm::InviteUsedTwice { invite, contact }));
                }
            }
            Use::Open if !expired => self.make_contact(invite, request, msg1),
            Use::Open | Use::Revoked => {}
        }
    }

    /// Somebody came with an open invite.
    fn make_contact(&mut self, invite: InviteId, request: Request, msg1: &[u8]) {
        let peer = request.peer;
        let id = self.core.me.new_contact(&mut self.core.out);
        let Some((home, slot)) = self.allocate_slot(id) else {
            return;
        };
        let name = self.unique_name(&peer.name);
        let Some(own) = self.invites.get_mut(&invite) else {
            return;
        };
        let core = &mut self.core;
        own.used = Use::By {
            contact: id,
            ik: peer.ik,
            msg1_hash: hash_of(msg1),
            done: false,
        };
        own.store(core);
        let card = Card {
            name,
            named_here: false,
            their_name: peer.name,
            colour: 0,
            verified: false,
            blocked: false,
            created_ms: core.now.unix_ms,
            stage: Stage::Asked {
                invite,
                msg1: msg1.to_vec(),
            },
            invite_hash: own.invite.hash(),
            home,
            slot,
            peer: Some(Peer {
                ik: peer.ik,
                ix: peer.ix,
                device: peer.devices.device,
                address: peer.bundle,
            }),
            secrets: None,
            rekey: Rekey::default(),
            recovery: Recovery::default(),
        };
        let mut contact = Contact::new(id, card);
        contact.changed.card = true;
        contact.changed.flow = true;
        core.touch(id);
        core.out.event(Event::Invite {
            invite,
            state: InviteState::Used(id),
        });
        if own.invite.ask {
            contact.tell_state(core);
        } else {
            answer(&mut contact, own, msg1, core);
        }
        self.contacts.insert(id, contact);
    }
}

/// Reads a message 1, if it is one.
fn read_request(own: &OwnInvite, msg1: &[u8], core: &Core) -> Option<Request> {
    let secret = &own.secrets.handshake_secret;
    let inviter = Inviter::new(&core.net, &own.invite, secret, &core.me.keys).ok()?;
    inviter.read(msg1).ok()
}

/// Answers message 1 and opens the session.
fn answer(contact: &mut Contact, own: &OwnInvite, msg1: &[u8], core: &mut Core) -> Option<()> {
    let home = core.homes.get(&contact.card.home)?;
    let bundle = home.bundle(&core.net, contact.card.slot, core.address_epoch())?;
    let seeds = AnswererSeeds::draw(core.random.rng());
    let approval = Approval::new(msg1, &bundle, &core.me.name, seeds).ok()?;
    let secret = &own.secrets.handshake_secret;
    let inviter = Inviter::new(&core.net, &own.invite, secret, &core.me.keys).ok()?;
    let answer = inviter.answer(&approval).ok()?;
    let mut session = Session::open_as_opener(
        &answer.secrets.root,
        &answer.peer_ratchet,
        &answer.opener_secret,
    )
    .ok()?;
    let first = first_message(contact, &mut session)?;
    let msg2 = answer.message(&first);
    let (secrets, _) = Secrets::of_pair(answer.secrets);
    contact.card.secrets = Some(secrets);
    contact.sessions.add(0, session, true, core.now.unix_s());
    contact.enter(
        Stage::Accepted {
            invite: own.id,
            msg1_hash: hash_of(msg1),
            msg2,
            answer_key: own.invite.answer_outer_key(&core.net),
        },
        core,
    );
    delivery::deposit_opening(contact, Purpose::Handshake2, core);
    Some(())
}

/// The first session message: empty, so that the invitee's ratchet starts.
fn first_message(contact: &Contact, session: &mut Session) -> Option<SessionMessage> {
    let packet = Packet {
        device: FIRST_DEVICE,
        floor: contact.outbox.first().unwrap_or(contact.flow.next_seq),
        acks: AckRanges::new(),
        frames: Vec::new(),
    };
    let (olm_type, olm) = session.encrypt(&packet.to_bytes()).ok()?;
    Some(SessionMessage {
        generation: 0,
        olm_type,
        olm,
    })
}

/// The invitee asks again: our answer did not reach him.
fn repeat_answer(contact: &mut Contact, core: &mut Core) {
    if matches!(contact.card.stage, Stage::Accepted { .. }) && !contact.card.blocked {
        delivery::deposit_opening(contact, Purpose::Handshake2, core);
    }
}

/// Something of the invitee decrypted: our answer arrived.
pub(crate) fn heard(contact: &mut Contact, core: &mut Core) {
    let Stage::Accepted { invite, .. } = &contact.card.stage else {
        return;
    };
    core.invites_done.insert(*invite);
    delivery::remove_deposits(contact.id, |purpose| purpose == Purpose::Handshake2, core);
    established(contact, core);
}
