//! Making, listing and withdrawing invites.

use hermes_wire::{
    invite::{Entry, InviteSecrets, InviteTerms, MAX_NODES},
    kdf::h,
};

use super::own::{INVITES_KEPT_MAX, INVITES_MAX, OwnInvite, Use};
use crate::proto::{
    Now, Underworld,
    contacts::InviteInfo,
    event::{Event, InviteState},
    ids::InviteId,
};

/// What an invite shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteOptions {
    /// Whether the application is asked before somebody becomes a contact.
    pub ask: bool,
    /// How long it stands; as long as the network allows if absent.
    pub expires_in_s: Option<u64>,
    /// Sky nodes at which the friend's first way into the network starts, 1 to 4.
    pub nodes: Vec<Entry>,
}

/// An invite cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateInviteError {
    /// No sky node, or too many.
    #[error("an invite names 1 to {max} sky nodes, not {got}")]
    Nodes {
        /// How many there were.
        got: usize,
        /// The most.
        max: usize,
    },
    /// It would stand for no time or for too long.
    #[error("an invite stands for 1 to {max_s} seconds, not {got_s}")]
    Expiry {
        /// The time asked for.
        got_s: u64,
        /// The longest.
        max_s: u64,
    },
    /// There are too many already.
    #[error("there are {max} invites already; withdraw some or wait until they expire")]
    TooMany {
        /// The most.
        max: usize,
    },
}

/// An invite cannot be withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevokeInviteError {
    /// There is no such invite.
    #[error("no such invite")]
    Unknown,
    /// It is not open any more.
    #[error("the invite is {state} already")]
    NotOpen {
        /// What it is.
        state: InviteState,
    },
}

impl Underworld {
    /// Makes an invite. Whoever holds its text can use it, once.
    ///
    /// # Errors
    /// If the options are out of range or there are too many invites.
    pub fn create_invite(
        &mut self,
        options: InviteOptions,
        now: Now,
    ) -> Result<InviteInfo, CreateInviteError> {
        self.begin(now);
        let net = self.core.net.clone();
        let got = options.nodes.len();
        if !(1..=MAX_NODES).contains(&got) {
            return Err(CreateInviteError::Nodes {
                got,
                max: MAX_NODES,
            });
        }
        let max_s = u64::from(net.params().invite_max_s);
        let got_s = options.expires_in_s.unwrap_or(max_s);
        if !(1..=max_s).contains(&got_s) {
            return Err(CreateInviteError::Expiry { got_s, max_s });
        }
        let open = self.invites.values().filter(|own| own.is_read()).count();
        if open >= INVITES_MAX || self.invites.len() >= INVITES_KEPT_MAX {
            return Err(CreateInviteError::TooMany { max: INVITES_MAX });
        }
        let core = &mut self.core;
        let secrets = InviteSecrets {
            root_seed: core.random.bytes(),
            handshake_secret: core.random.bytes(),
        };
        let terms = InviteTerms {
            ask: options.ask,
            start_epoch: core.address_epoch(),
            expiry: net.expiry_stamp(now.unix_s() + got_s),
            identity: core.me.ik(),
            nodes: options.nodes,
        };
        let secret = core.random.bytes();
        let Some(invite) = secrets.invite(&net, secret, terms) else {
            return Err(CreateInviteError::Nodes {
                got,
                max: MAX_NODES,
            });
        };
        let id = core.me.new_invite(&mut core.out);
        let own = OwnInvite {
            id,
            invite,
            secrets,
            created_ms: now.unix_ms,
            used: Use::Open,
            alarmed: false,
            closed: None,
        };
        own.store(core);
        core.wishes_stale = true;
        core.out.event(Event::Invite {
            invite: id,
            state: InviteState::Open,
        });
        let info = own.info(&net, now.unix_s());
        self.invites.insert(id, own);
        Ok(info)
    }

    /// The invites that we made and that did not expire long ago, oldest first.
    pub fn invites(&self) -> impl Iterator<Item = InviteInfo> + '_ {
        let now_s = self.core.now.unix_s();
        self.invites
            .values()
            .map(move |own| own.info(&self.core.net, now_s))
    }

    /// Withdraws an invite: nobody can use it any more.
    ///
    /// # Errors
    /// If there is none, or it was used, withdrawn or is over.
    pub fn revoke_invite(&mut self, id: InviteId, now: Now) -> Result<(), RevokeInviteError> {
        self.begin(now);
        let own = self
            .invites
            .get_mut(&id)
            .ok_or(RevokeInviteError::Unknown)?;
        let state = own.state(&self.core.net, now.unix_s());
        if state != InviteState::Open {
            return Err(RevokeInviteError::NotOpen { state });
        }
        own.used = Use::Revoked;
        own.store(&mut self.core);
        self.core.wishes_stale = true;
        self.core.out.event(Event::Invite {
            invite: id,
            state: InviteState::Revoked,
        });
        Ok(())
    }
}

/// The name of a message 1.
pub(super) fn hash_of(msg1: &[u8]) -> [u8; 32] {
    h(&[msg1])
}
