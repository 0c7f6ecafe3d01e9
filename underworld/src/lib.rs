//! Contacts, sessions and delivery: what Hermes promises to people, as one pure state machine.
//!
//! Nothing here touches a socket, a disk or a clock. [`Underworld`] is told what happened and when, and says what is to
//! be stored, told and done; its documentation holds the contract for whoever drives it. From below it uses
//! [`hermes_wire`] for everything that travels. Above it stands a daemon, or a simulator.
//!
//! - [`proto`] is the core: identity, contacts, invites, delivery, the inbox, re-keying and recovery.
//! - [`chat`] gives frames their meaning. The core does not know it.
//! - [`session`] is one ratchet session.
//!
//! **Invariant:** nothing is sent, acknowledged, shown or deleted before the state that says so has been committed.
//! **Invariant:** a frame that was accepted leaves the outbox only by the friend's acknowledgement, by the time that its
//! sender gave, or with the contact. **Invariant:** a number in a conversation is given once and accepted once.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

pub mod chat;
pub mod proto;
mod records;
pub mod session;
#[cfg(any(test, feature = "test-utils"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use proto::{
    Accepted, Coalesce, ContactId, ContactInfo, ContactState, InviteId, InviteInfo, InviteOptions,
    KnockResult, Now, Outgoing, PresenceState, Underworld,
    effect::{self, Effect},
    event::{self, Event},
    output::{Output, Table, Write},
};
pub use records::RecordError;
