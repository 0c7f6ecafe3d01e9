//! What the application may know about contacts and invites.

use hermes_wire::ids::IdentityKey;

use super::{Contact, ContactState};
use crate::proto::{
    event::{InviteState, LinkState},
    ids::{ContactId, InviteId},
};

/// A contact as the application sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactInfo {
    /// Names it, for ever.
    pub id: ContactId,
    /// What it is called here; unique among the contacts that stand.
    pub name: String,
    /// What it calls itself; unchecked text of another person.
    pub their_name: String,
    /// How far the acquaintance has come.
    pub state: ContactState,
    /// Whether somebody compared the safety number.
    pub verified: bool,
    /// Its identity key, once known.
    pub identity: Option<IdentityKey>,
    /// Whether it is reachable this moment.
    pub link: LinkState,
    /// When something of it last arrived, in Unix milliseconds.
    pub last_heard_ms: Option<u64>,
    /// When it was added, in Unix milliseconds.
    pub created_ms: u64,
    /// Frames that it has not acknowledged.
    pub waiting: usize,
}

/// An invite of ours as the application sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteInfo {
    /// Names it.
    pub id: InviteId,
    /// Where it stands.
    pub state: InviteState,
    /// Whether the application is asked before somebody becomes a contact.
    pub ask: bool,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// When it ends, in Unix seconds.
    pub expires_at_s: u64,
    /// The invite itself.
    pub link: String,
}

impl Contact {
    pub(crate) fn info(&self) -> ContactInfo {
        ContactInfo {
            id: self.id,
            name: self.card.name.clone(),
            their_name: self.card.their_name.clone(),
            state: self.state(),
            verified: self.card.verified,
            identity: self.card.peer.as_ref().map(|peer| peer.ik),
            link: self.reach.link_state(),
            last_heard_ms: Some(self.flow.heard_ms).filter(|ms| *ms > 0),
            created_ms: self.card.created_ms,
            waiting: self.outbox.len(),
        }
    }
}
