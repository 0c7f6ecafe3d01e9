//! The core: a state machine that never loses, doubles or misorders an accepted message.
//!
//! [`Underworld`] is driven by whoever owns sockets, disk and clock; its type documentation is the contract. What it asks
//! for is in [`output`], [`event`] and [`effect`].

mod clock;
mod contacts;
mod core;
mod delivery;
pub mod effect;
pub mod event;
mod home;
mod identity;
mod ids;
mod inbox;
mod inputs;
mod invites;
mod load;
mod now;
pub mod output;
mod random;
mod recovery;
mod rekey;
mod timers;
mod upkeep;
mod wishes;

use std::{collections::BTreeMap, time::Instant};

use hermes_wire::{
    Network,
    ids::{Epoch, HandshakeKey, IdentityKey, MessageId, Slot},
};

pub use contacts::{ContactError, ContactInfo, ContactState, FailReason, InviteInfo, RenameError};
pub use delivery::{
    Accepted, BODY_MAX, Coalesce, KnockResult, OUTBOX_BYTES_MAX, OUTBOX_FRAMES_MAX, Outgoing,
    SendError,
};
pub use home::GENERATIONS_MAX;
pub use identity::{NameError, check_name};
pub use ids::{ContactId, DepositOp, IncomingKnockId, InviteId, KnockOp, LinkId, LinkToken};
pub use inbox::{HELD_BYTES_MAX, HELD_FRAMES_MAX, SEEN_MAX};
pub use inputs::PresenceState;
pub use invites::{
    AcceptError, ApproveError, CreateInviteError, INVITES_KEPT_MAX, INVITES_MAX, InviteOptions,
    RevokeInviteError,
};
pub use load::LoadError;
pub use now::Now;

pub(crate) use clock::Part;
pub(crate) use contacts::{Card, Chain, Chains, Contact, Flow, Peer, Secrets, Stage};
pub(crate) use delivery::{OutDeposit, OutFrame, Purpose};
pub(crate) use home::{Home, RootOf, SlotUse};
pub(crate) use identity::Me;
pub(crate) use inbox::{Held, Inflow, NUMBER_MAX};
pub(crate) use invites::{Closed, OwnInvite, Use};
pub(crate) use recovery::{Answered as RecoveryAnswered, Recovery};
pub(crate) use rekey::{Answered as RekeyAnswered, Rekey, Step as RekeyStep};

use self::{core::Core, output::Output, random::Random, wishes::Wished};

/// One person's identity, contacts, sessions and deliveries.
///
/// # Driving it
///
/// There are four families of methods, and all of the first three may be called in any order and number before the
/// outputs are drained:
///
/// - **Getters** take `&self`: [`contacts`](Self::contacts), [`contact`](Self::contact), [`invites`](Self::invites),
///   [`safety_number`](Self::safety_number), [`poll_timeout`](Self::poll_timeout) …
/// - **Calls of the application** change state at once and fail with an error that says why:
///   [`send`](Self::send), [`create_invite`](Self::create_invite), [`accept_invite`](Self::accept_invite),
///   [`approve`](Self::approve), [`rename`](Self::rename), [`block`](Self::block), [`remove`](Self::remove) …
/// - **Inputs of the network and the clock** are named `handle_*` and never fail; whatever a peer sends, the worst that
///   follows is nothing: [`handle_deposits`](Self::handle_deposits), [`handle_link_packet`](Self::handle_link_packet),
///   [`handle_timeout`](Self::handle_timeout) …
/// - **The output**, [`poll_output`](Self::poll_output), gives what is to be done until it gives `None`. That is one
///   cycle: see [`output`] for what must be committed before what.
///
/// The current time is the last argument of every call and input. `mono` must not run backwards; `unix_ms` may jump.
/// All randomness comes from the seed given to the constructor, except the ratchet's own key pairs, which the ratchet's
/// library draws from the system.
///
/// ```text
/// let mut core = Underworld::load(network, rows, seed, now)?;       // or Underworld::create
/// loop {
///     let mut cycle = Vec::new();
///     while let Some(output) = core.poll_output() { cycle.push(output) }
///     store.commit_and_sync(writes of cycle, rows made of the events of cycle);
///     publish(events of cycle); carry_out(effects of cycle);
///     wait for calls, inputs, or core.poll_timeout(), whichever is first; feed all that is there;
/// }
/// ```
///
/// Many inputs before one drain are a group commit: they share one sync, and their frames share packets.
///
/// # After a crash
///
/// What [`load`](Self::load) gives knows exactly the cycles that were committed. Wishes are given anew, open deposits
/// are ordered again byte for byte, and unacknowledged frames are offered again. Operations, tokens and links of the
/// earlier run mean nothing any more.
pub struct Underworld {
    core: Core,
    contacts: BTreeMap<ContactId, Contact>,
    invites: BTreeMap<InviteId, OwnInvite>,
    wished: Wished,
}

impl Underworld {
    /// A new identity with a name for itself.
    ///
    /// # Errors
    /// If the name cannot be taken.
    pub fn create(
        network: Network,
        name: &str,
        seed: [u8; 32],
        now: Now,
    ) -> Result<Self, NameError> {
        identity::check_name(name)?;
        let mut random = Random::new(seed);
        let me = Me::create(name.to_owned(), &mut random);
        let mut core = Core::new(network, me, random, now);
        core.me.store(&mut core.out);
        let mut this = Self::assemble(core);
        this.open_home();
        this.start();
        Ok(this)
    }

    fn assemble(core: Core) -> Self {
        Self {
            core,
            contacts: BTreeMap::new(),
            invites: BTreeMap::new(),
            wished: Wished::default(),
        }
    }

    /// The network it belongs to.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.core.net
    }

    /// Our identity key.
    #[must_use]
    pub fn identity(&self) -> IdentityKey {
        self.core.me.ik()
    }

    /// Our handshake key.
    #[must_use]
    pub fn handshake_key(&self) -> HandshakeKey {
        self.core.me.ix()
    }

    /// How we call ourselves.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.me.name
    }

    /// The current epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.core.epoch()
    }

    /// Frames that wait for acknowledgement, over all contacts.
    #[must_use]
    pub fn outbox_len(&self) -> usize {
        self.contacts
            .values()
            .map(|contact| contact.outbox.len())
            .sum()
    }

    /// Calls ourselves otherwise, and tells all contacts.
    ///
    /// # Errors
    /// If the name cannot be taken.
    pub fn set_name(&mut self, name: &str, now: Now) -> Result<(), NameError> {
        self.begin(now);
        identity::check_name(name)?;
        name.clone_into(&mut self.core.me.name);
        self.core.me.store(&mut self.core.out);
        let body = crate::chat::profile(name, self.core.me.colour);
        for contact in self
            .contacts
            .values_mut()
            .filter(|contact| contact.is_established())
        {
            delivery::accept_core(
                contact,
                hermes_wire::packet::FrameKind::Profile,
                body.clone(),
                &mut self.core,
            );
        }
        Ok(())
    }

    /// Accepts a frame for a contact: once the cycle is committed it will be delivered, or the sender learns that it
    /// was not.
    ///
    /// # Errors
    /// If there is no such contact, nothing can be sent to it, or there is no room.
    pub fn send(
        &mut self,
        contact: ContactId,
        frame: Outgoing,
        now: Now,
    ) -> Result<Accepted, SendError> {
        self.begin(now);
        let contact = self
            .contacts
            .get_mut(&contact)
            .ok_or(SendError::UnknownContact)?;
        delivery::accept(contact, frame, &mut self.core)
    }

    /// The name of a frame that still waits for acknowledgement.
    #[must_use]
    pub fn waiting(&self, contact: ContactId, conv_seq: u64) -> Option<MessageId> {
        self.contacts
            .get(&contact)?
            .outbox
            .get(conv_seq)
            .map(|frame| frame.msg_id)
    }

    /// The next thing to do, `None` when the cycle is complete. Must be drained after every call and input that may be
    /// followed by waiting.
    #[must_use = "the cycle has to be carried out"]
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.core.out.pop() {
            return Some(output);
        }
        self.settle();
        self.core.out.pop()
    }

    /// When [`Self::handle_timeout`] has to be called next, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.core
            .timers
            .next()
            .map(|(at, timer)| (at, timer.reason()))
    }

    /// Finishes the cycle: what piled up is packed, encrypted and written.
    fn settle(&mut self) {
        for invite in std::mem::take(&mut self.core.invites_done) {
            self.finish_invite(invite);
        }
        self.name_unnamed();
        loop {
            let touched = self.core.take_touched();
            if touched.is_empty() {
                break;
            }
            for id in touched {
                if let Some(contact) = self.contacts.get_mut(&id) {
                    contacts::finish_farewell(contact, &mut self.core);
                    inbox::retry_pool(contact, &mut self.core);
                    recovery::consider(contact, &mut self.core);
                    rekey::consider(contact, &mut self.core);
                    delivery::settle(contact, &mut self.core);
                }
            }
        }
        let mut seen = std::mem::take(&mut self.core.seen);
        let net = self.core.net.clone();
        {
            let owned: BTreeMap<_, _> = seen
                .with_deletions()
                .filter_map(|mailbox| Some((mailbox, self.owned(&mailbox)?)))
                .collect();
            let core = &mut self.core;
            seen.flush(&net, owned, &mut core.random, &mut core.out);
        }
        self.core.seen = seen;
        if self.core.wishes_stale {
            self.refresh_wishes();
        }
        for home in self.core.homes.values_mut() {
            home.store(&mut self.core.out);
        }
    }

    /// A packet of our choice as it would go over a link; for tests of what a hostile friend may send.
    #[cfg(test)]
    pub(crate) fn forge(
        &mut self,
        contact: ContactId,
        packet: &hermes_wire::packet::Packet,
    ) -> Vec<u8> {
        use hermes_wire::Wire as _;
        let contact = self.contacts.get_mut(&contact).expect("a contact");
        let message = contact
            .sessions
            .encrypt(&packet.to_bytes())
            .expect("a session");
        message.to_bytes()
    }

    /// Opens a further generation.
    fn open_home(&mut self) {
        let core = &mut self.core;
        let number = core
            .homes
            .last_key_value()
            .map_or(0, |(number, _)| number.saturating_add(1));
        let home = Home::create(&core.net, number, core.address_epoch(), &mut core.random);
        core.homes.insert(number, home);
        core.wishes_stale = true;
    }

    /// Gives a contact a way to us: a free slot, in a further generation if all are given away.
    fn allocate_slot(&mut self, contact: ContactId) -> Option<(u16, Slot)> {
        if !self.core.homes.values().any(Home::has_free_slot) {
            if self.core.homes.len() >= GENERATIONS_MAX {
                return None;
            }
            self.open_home();
        }
        let (number, home) = self
            .core
            .homes
            .iter_mut()
            .find(|(_, home)| home.has_free_slot())?;
        home.take_slot(contact).map(|slot| (*number, slot))
    }
}
