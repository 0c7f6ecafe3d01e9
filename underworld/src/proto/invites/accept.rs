//! The invitee's side: accepting an invite, and reading the inviter's answer.

use hermes_wire::{
    handshake::{Finished, Invitee, StarterSeeds},
    invite::{Invite, InviteError, fingerprint},
    packet::{Body, FrameKind},
};

use crate::{
    proto::{
        Now, Underworld,
        contacts::{self, Card, Contact, FailReason, Peer, Secrets, Stage},
        core::Core,
        delivery::{self, Purpose},
        event::{Alarm, Event, Via},
        identity::{NameError, check_name},
        ids::ContactId,
        inbox::read_packet,
        recovery::Recovery,
        rekey::{self, Rekey},
    },
    session::Session,
};

/// What an inviter is called until we know better.
const UNNAMED: &str = "friend";

/// An invite cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The text is no invite that can be used here and now.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// We made it ourselves.
    #[error("this is an invite of your own; it is for somebody else")]
    Own,
    /// We accepted it before.
    #[error("this invite was accepted already, as contact c{contact}")]
    Already {
        /// The contact that came of it.
        contact: ContactId,
    },
    /// The name for the new contact cannot be taken.
    #[error(transparent)]
    Name(#[from] NameError),
    /// All addresses are given away.
    #[error("no address is left to give to another contact")]
    Full,
    /// A key in the invite is of no use.
    #[error("the invite is damaged")]
    Damaged,
}

impl Underworld {
    /// Accepts an invite. `name` is what the inviter will be called here; if absent, what he calls himself.
    ///
    /// # Errors
    /// If the text is no invite of somebody else for this network and time, or was accepted before.
    pub fn accept_invite(
        &mut self,
        text: &str,
        name: Option<&str>,
        now: Now,
    ) -> Result<ContactId, AcceptError> {
        self.begin(now);
        let invite = Invite::parse(text.trim(), &self.core.net, now.unix_s())?;
        if invite.fingerprint == fingerprint(&self.core.me.ik()) {
            return Err(AcceptError::Own);
        }
        let hash = invite.hash();
        let earlier = self
            .contacts
            .values()
            .find(|contact| contact.card.invite_hash == hash);
        if let Some(contact) = earlier.map(|contact| contact.id) {
            return Err(AcceptError::Already { contact });
        }
        if let Some(name) = name {
            check_name(name)?;
            self.check_free(name, None)?;
        }
        let named_here = name.is_some();
        let name = name.map_or_else(|| self.unique_name(UNNAMED), str::to_owned);
        let id = self.core.me.new_contact(&mut self.core.out);
        let (home, slot) = self.allocate_slot(id).ok_or(AcceptError::Full)?;
        let core = &mut self.core;
        let epoch = core.address_epoch();
        let bundle = core
            .homes
            .get(&home)
            .and_then(|home| home.bundle(&core.net, slot, epoch));
        let bundle = bundle.ok_or(AcceptError::Full)?;
        let seeds = StarterSeeds::draw(core.random.rng());
        let invitee = Invitee::start(
            &core.net,
            &invite,
            &core.me.keys,
            &bundle,
            &core.me.name,
            seeds,
        )
        .map_err(|_| AcceptError::Damaged)?;
        let card = Card {
            name,
            named_here,
            their_name: String::new(),
            colour: 0,
            verified: false,
            blocked: false,
            created_ms: now.unix_ms,
            stage: Stage::Requested(Box::new(invitee)),
            invite_hash: hash,
            home,
            slot,
            peer: None,
            secrets: None,
            rekey: Rekey::default(),
            recovery: Recovery::default(),
        };
        let mut contact = Contact::new(id, card);
        contact.changed.card = true;
        contact.changed.flow = true;
        contact.tell_state(core);
        core.touch(id);
        delivery::deposit_opening(&mut contact, Purpose::Handshake1, core);
        self.contacts.insert(id, contact);
        Ok(id)
    }
}

/// Reads message 2 and, if it is the inviter's, makes the contact.
pub(crate) fn take_answer(contact: &mut Contact, content: &[u8], core: &mut Core) {
    let Stage::Requested(invitee) = &contact.card.stage else {
        return;
    };
    let Ok(finished) = invitee.finish(&core.net, &core.me.keys, content) else {
        return;
    };
    let Finished {
        peer,
        secrets,
        ratchet_secret,
        first,
    } = finished;
    let (secrets, root) = Secrets::of_pair(secrets);
    let mut session = Session::open_as_other(&root, &ratchet_secret);
    let Ok(plain) = session.decrypt(first.olm_type, &first.olm) else {
        return;
    };
    contact.sessions.add(0, session, true, core.now.unix_s());
    contact.card.their_name = peer.name;
    contact.card.peer = Some(Peer {
        ik: peer.ik,
        ix: peer.ix,
        device: peer.devices.device,
        address: peer.bundle,
    });
    contact.card.secrets = Some(secrets);
    contact.renewed = true;
    delivery::remove_deposits(contact.id, |purpose| purpose == Purpose::Handshake1, core);
    established(contact, core);
    read_packet(contact, 0, &plain, Via::Keepers, core);
    // The inviter knows that his answer arrived when he hears from us; this is repeated until he confirms it.
    let hello = Body::Profile {
        name: core.me.name.clone(),
        colour: core.me.colour,
    };
    delivery::accept_core(contact, FrameKind::Profile, hello.to_bytes(), core);
}

/// What follows on both sides when a contact is established.
pub(super) fn established(contact: &mut Contact, core: &mut Core) {
    contact.card.rekey.last_s = core.now.unix_s();
    if !contact.card.named_here {
        core.unnamed.insert(contact.id);
    }
    contact.enter(Stage::Established, core);
    rekey::schedule(contact, core);
}

/// A contact did not come about.
pub(crate) fn fail(contact: &mut Contact, reason: FailReason, core: &mut Core) {
    contacts::purge(contact, core);
    contact.enter(Stage::Failed(reason), core);
    core.out.event(Event::Alarm(Alarm::ContactFailed {
        contact: contact.id,
        reason,
    }));
}
