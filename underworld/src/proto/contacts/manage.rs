//! What the application does with contacts: naming, verifying, blocking and removing.
//!
//! Blocking and removing act on the network at once: sky is told to refuse the friend's knocks, keepers to refuse his
//! deposits, in every mailbox that is open or opens later. A removed friend's slot stays spent.

use hermes_wire::{
    packet::{Body, FrameKind},
    safety::SafetyNumber,
};

use super::{Contact, ContactInfo, ContactState, Stage};
use crate::{
    proto::{
        Now, Underworld,
        core::Core,
        delivery,
        effect::Effect,
        home::SlotUse,
        identity::{NameError, check_name, is_unseen},
        ids::{ContactId, LinkId},
        output::Table,
    },
    records,
};

/// Something cannot be done with a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContactError {
    /// There is no such contact.
    #[error("no such contact")]
    Unknown,
    /// It is in a state that does not allow it.
    #[error("this cannot be done with a contact that is {state}")]
    NotNow {
        /// The state.
        state: ContactState,
    },
}

/// A contact cannot be renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// There is no such contact.
    #[error("no such contact")]
    Unknown,
    /// The name cannot be taken.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Underworld {
    /// All contacts that were ever made, oldest first.
    pub fn contacts(&self) -> impl Iterator<Item = ContactInfo> + '_ {
        self.contacts.values().map(Contact::info)
    }

    /// One contact.
    #[must_use]
    pub fn contact(&self, id: ContactId) -> Option<ContactInfo> {
        self.contacts.get(&id).map(Contact::info)
    }

    /// The number that both people compare; none until the other identity is known.
    #[must_use]
    pub fn safety_number(&self, id: ContactId) -> Option<SafetyNumber> {
        let peer = self.contacts.get(&id)?.card.peer.as_ref()?;
        let me = &self.core.me;
        Some(SafetyNumber::of((&me.ik(), &me.ix()), (&peer.ik, &peer.ix)))
    }

    /// The direct link to a contact, if one stands.
    #[must_use]
    pub fn link_of(&self, id: ContactId) -> Option<LinkId> {
        self.contacts
            .get(&id)?
            .reach
            .link
            .as_ref()
            .map(|link| link.id)
    }

    /// Tries now to get a direct link to a contact, although nothing waits for it.
    pub fn reach(&mut self, id: ContactId, now: Now) {
        self.begin(now);
        if let Some(contact) = self.contacts.get_mut(&id)
            && contact.is_established()
            && contact.reach.link.is_none()
        {
            contact.reach.greet = true;
            contact.reach.next_knock = None;
            self.core.touch(id);
        }
    }

    /// Calls a contact something else.
    ///
    /// # Errors
    /// If there is none, or another one has the name.
    pub fn rename(&mut self, id: ContactId, name: &str, now: Now) -> Result<(), RenameError> {
        self.begin(now);
        check_name(name)?;
        self.check_free(name, Some(id))?;
        let contact = self.contacts.get_mut(&id).ok_or(RenameError::Unknown)?;
        name.clone_into(&mut contact.card.name);
        contact.card.named_here = true;
        contact.changed.card = true;
        self.core.touch(id);
        Ok(())
    }

    /// Notes whether somebody compared the safety number.
    ///
    /// # Errors
    /// If there is no such contact, or its identity is not known yet.
    pub fn set_verified(
        &mut self,
        id: ContactId,
        verified: bool,
        now: Now,
    ) -> Result<(), ContactError> {
        self.begin(now);
        let contact = self.contacts.get_mut(&id).ok_or(ContactError::Unknown)?;
        if contact.card.peer.is_none() {
            let state = contact.state();
            return Err(ContactError::NotNow { state });
        }
        contact.card.verified = verified;
        contact.changed.card = true;
        self.core.touch(id);
        Ok(())
    }

    /// Refuses whatever comes from a contact, until it is unblocked. What waits for it stays.
    ///
    /// # Errors
    /// If there is none, or it is removed.
    pub fn block(&mut self, id: ContactId, now: Now) -> Result<(), ContactError> {
        self.set_blocked(id, true, now)
    }

    /// Takes a block back. Mailboxes that were closed to the contact meanwhile stay closed until the next epoch.
    ///
    /// # Errors
    /// If there is none, or it is removed.
    pub fn unblock(&mut self, id: ContactId, now: Now) -> Result<(), ContactError> {
        self.set_blocked(id, false, now)
    }

    fn set_blocked(&mut self, id: ContactId, blocked: bool, now: Now) -> Result<(), ContactError> {
        self.begin(now);
        let contact = self.contacts.get_mut(&id).ok_or(ContactError::Unknown)?;
        if !contact.card.is_live() {
            let state = contact.state();
            return Err(ContactError::NotNow { state });
        }
        if contact.card.blocked == blocked {
            return Ok(());
        }
        contact.card.blocked = blocked;
        contact.changed.card = true;
        let core = &mut self.core;
        core.touch(id);
        contact.tell_state(core);
        if blocked {
            close_link(contact, core);
        } else {
            contact.reach.greet = true;
        }
        refuse_slot(contact, blocked, core);
        if !blocked {
            self.forget_closed();
        }
        Ok(())
    }

    /// Ends an acquaintance: says farewell once, refuses everything from then on, and forgets all keys. The contact
    /// remains as a name.
    ///
    /// # Errors
    /// If there is none, or it was removed before.
    pub fn remove(&mut self, id: ContactId, now: Now) -> Result<(), ContactError> {
        self.begin(now);
        let contact = self.contacts.get_mut(&id).ok_or(ContactError::Unknown)?;
        if matches!(contact.card.stage, Stage::Removed) {
            let state = contact.state();
            return Err(ContactError::NotNow { state });
        }
        let core = &mut self.core;
        if contact.is_established() {
            say_farewell(contact, core);
        }
        purge(contact, core);
        contact.enter(Stage::Removed, core);
        Ok(())
    }

    /// Calls contacts that nobody has named here what they call themselves.
    pub(crate) fn name_unnamed(&mut self) {
        for id in std::mem::take(&mut self.core.unnamed) {
            let wanted = self
                .contacts
                .get(&id)
                .map(|contact| contact.card.their_name.clone());
            let name = self.unique_name_for(wanted.as_deref().unwrap_or_default(), Some(id));
            if let Some(contact) = self.contacts.get_mut(&id) {
                contact.card.name = name;
                contact.changed.card = true;
                self.core.touch(id);
            }
        }
    }

    /// What a new contact shall be called, given what it calls itself.
    pub(crate) fn unique_name(&self, wanted: &str) -> String {
        self.unique_name_for(wanted, None)
    }

    /// What a contact shall be called, given what it calls itself.
    fn unique_name_for(&self, wanted: &str, id: Option<ContactId>) -> String {
        let seen = wanted.chars().filter(|c| !is_unseen(*c));
        let mut base: String = seen.collect::<String>().trim().to_owned();
        if check_name(&base).is_err() {
            "friend".clone_into(&mut base);
        }
        let numbered = (2..).map(|n: u32| format!("{base} {n}"));
        std::iter::once(base.clone())
            .chain(numbered)
            .find(|name| self.check_free(name, id).is_ok())
            .unwrap_or(base)
    }

    /// Checks that no other contact that stands has a name.
    pub(crate) fn check_free(&self, name: &str, but: Option<ContactId>) -> Result<(), NameError> {
        let mut others = self
            .contacts
            .values()
            .filter(|contact| Some(contact.id) != but);
        if is_reserved(name) {
            return Err(NameError::Reserved);
        }
        match others.any(|contact| contact.card.is_live() && contact.card.name == name) {
            true => Err(NameError::Taken),
            false => Ok(()),
        }
    }
}

/// Tells the friend that he is removed: over a link if there is one, and by a deposit.
fn say_farewell(contact: &mut Contact, core: &mut Core) {
    contact.fail_frames(core);
    let body = Body::Farewell.to_bytes();
    if let Some(seq) = delivery::accept_core(contact, FrameKind::Farewell, body, core) {
        delivery::settle(contact, core);
        delivery::deposit_notice(contact, seq, core);
    }
}

/// Forgets everything about a contact but its card, and takes nothing from it any more.
pub(crate) fn purge(contact: &mut Contact, core: &mut Core) {
    close_link(contact, core);
    contact.fail_frames(core);
    delivery::remove_deposits(
        contact.id,
        |purpose| purpose != delivery::Purpose::Notice,
        core,
    );
    contact.erase_traffic(core);
    contact.views.clear(contact.id, core);
    refuse_slot(contact, true, core);
    if let Some(home) = core.homes.get_mut(&contact.card.home) {
        home.set_slot(contact.card.slot, SlotUse::Spent);
    }
    contact.card.secrets = None;
    contact.card.rekey = super::super::rekey::Rekey::default();
    contact.card.recovery = super::super::recovery::Recovery::default();
    core.timers.cancel_contact(contact.id);
    core.out
        .delete(Table::Flow, records::contact_key(contact.id));
}

/// The friend removed us. What else is in his packet is still read.
pub(crate) fn farewell_received(contact: &mut Contact, core: &mut Core) {
    contact.leaving = true;
    core.touch(contact.id);
}

/// Ends the acquaintance with a friend who removed us.
pub(crate) fn finish_farewell(contact: &mut Contact, core: &mut Core) {
    if std::mem::take(&mut contact.leaving) && contact.card.is_live() {
        purge(contact, core);
        contact.enter(Stage::Removed, core);
    }
}

fn close_link(contact: &mut Contact, core: &mut Core) {
    if let Some(link) = &contact.reach.link {
        let link = link.id;
        core.links.remove(&link);
        core.out.effect(Effect::CloseLink { link });
    }
    delivery::drop_link(contact, core);
    contact.reach = delivery::Reach {
        fresh: std::mem::take(&mut contact.reach.fresh),
        again: std::mem::take(&mut contact.reach.again),
        ..delivery::Reach::default()
    };
}

fn refuse_slot(contact: &Contact, refuse: bool, core: &mut Core) {
    if let Some(home) = core.homes.get_mut(&contact.card.home) {
        home.refuse(contact.card.slot, refuse);
    }
    core.wishes_stale = true;
}

/// Words that stand for something else wherever a contact may be named: ourselves, and contacts by their number.
fn is_reserved(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name == "me" || name.strip_prefix('c').is_some_and(is_number)
}
