//! An invite that we made.

use hermes_wire::{
    Network,
    ids::{Epoch, IdentityKey},
    invite::{Invite, InviteSecrets},
};

use crate::proto::{
    Now,
    contacts::InviteInfo,
    core::Core,
    event::InviteState,
    ids::{ContactId, InviteId},
    output::Table,
};
use crate::records;

/// Invites that somebody may still use, or whose user is not a contact yet. Each has mailboxes to watch.
pub const INVITES_MAX: usize = 64;

/// All invites that are remembered: the others are, until they expire.
pub const INVITES_KEPT_MAX: usize = 1_024;

/// An invite that we made, until it expires.
pub(crate) struct OwnInvite {
    pub(crate) id: InviteId,
    pub(crate) invite: Invite,
    pub(crate) secrets: InviteSecrets,
    pub(crate) created_ms: u64,
    pub(crate) used: Use,
    /// Whether a second user was told of.
    pub(crate) alarmed: bool,
    /// Which of its mailboxes keepers were asked to close.
    pub(crate) closed: Option<Closed>,
}

/// Up to which epoch an invite's mailboxes were closed, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) at_ms: u64,
    pub(crate) through: Epoch,
}

/// How long after keepers were asked to close mailboxes they are asked again by a program that was started anew: it does
/// not know whether the request had left.
const CLOSE_AGAIN_MS: u64 = 600_000;

/// What became of an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Nothing yet.
    Open,
    /// This person came with it, by a message of this hash.
    By {
        contact: ContactId,
        ik: IdentityKey,
        msg1_hash: [u8; 32],
        /// Whether the contact is established, so that nobody needs the invite any more.
        done: bool,
    },
    /// We withdrew it.
    Revoked,
}

impl OwnInvite {
    pub(crate) fn info(&self, net: &Network, now_s: u64) -> InviteInfo {
        InviteInfo {
            id: self.id,
            state: self.state(net, now_s),
            ask: self.invite.ask,
            created_ms: self.created_ms,
            expires_at_s: self.invite.expires_at(net),
            link: self.invite.link().to_string(),
        }
    }

    pub(crate) fn state(&self, net: &Network, now_s: u64) -> InviteState {
        match self.used {
            Use::By { contact, .. } => InviteState::Used(contact),
            Use::Revoked => InviteState::Revoked,
            Use::Open if self.invite.expires_at(net) <= now_s => InviteState::Expired,
            Use::Open => InviteState::Open,
        }
    }

    /// Whether its mailboxes are still read.
    pub(crate) const fn is_read(&self) -> bool {
        matches!(self.used, Use::Open | Use::By { done: false, .. })
    }

    /// Whether its mailboxes are closed to everybody.
    pub(crate) const fn is_closed(&self) -> bool {
        !self.is_read()
    }

    /// The first epoch whose mailbox is still to be closed; all of them if absent.
    pub(crate) fn to_close_from(&self, now: Now) -> Option<Epoch> {
        self.closed
            .filter(|closed| closed.at_ms.saturating_add(CLOSE_AGAIN_MS) < now.unix_ms)
            .map(|closed| closed.through.next())
    }

    /// Whether there is a mailbox of this epoch.
    pub(crate) fn covers(&self, net: &Network, epoch: Epoch) -> bool {
        epoch >= self.invite.start_epoch && epoch <= self.invite.last_epoch(net)
    }

    pub(crate) fn store(&self, core: &mut Core) {
        let key = records::invite::key(self.id);
        core.out
            .put(Table::Invite, key, records::invite::encode(self));
    }
}
