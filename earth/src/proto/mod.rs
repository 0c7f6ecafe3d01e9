//! The keeper as a pure state machine (protocol sections 7 and 10).
//!
//! A keeper holds sealed deposits in mailboxes that others own. What it knows of a mailbox is its descriptor, which says who may write
//! and who rules; it never learns whose it is. The machine decides what is admitted, numbered, deleted and expired. It keeps an index of
//! everything it holds, without the deposits' bodies, and asks its driver to store them.
//!
//! A deposit's way: the driver checks signature and path ([`hermes_wire::deposit`]), calls [`Keeper::handle_put`], drains
//! [`Keeper::poll_output`] until it is empty, commits all [`Output::Write`]s in one synced transaction, and only then carries out the
//! rest: receipts, other answers, pushes. Many requests may be fed before one drain, so that one commit and one signature serve them
//! all.
//!
//! Room is given by these rules, in this order: the keeper's own budget in bytes and mailboxes ([`Config`]); for a new mailbox, how many
//! the source's address prefix has opened in this hour ([`admission`]); for a deposit, its slot's count and bytes, where a slot that has
//! used up its reserve draws on room that all slots of the mailbox share ([`mailbox`]).
//!
//! Deposits are filed by the time of their expiry in [`bucket`]s. A bucket whose time has passed is dropped whole.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

pub mod admission;
pub mod bucket;
mod config;
mod keeper;
pub mod mailbox;
mod output;
mod watchers;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use keeper::Keeper;
pub use output::{ConnId, Entry, Mark, Output, Put, Refusal, Reply, ReqId, Revocation, Write};
