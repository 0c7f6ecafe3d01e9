//! What arrives: deposits from our mailboxes and packets from links, down to the frames in order.
//!
//! ```text
//! deposit ─ known by id? ─ slot ─ outer key ─┬─ handshake, recovery ─▶ contacts
//!                                            └─ session message ─┐
//! link ──────────────────────────────────────── session message ─┴─▶ ratchet ─▶ packet ─▶ acks, floor, frames ─▶ order
//! ```
//!
//! A deposit is *done with* once its content is committed or can never be read: its id is remembered, and keepers are
//! asked to delete it. Until then it may come again, from each of its keepers and after each restart.
//!
//! The ratchet reads a chain out of order only within limits, while keepers hand deposits out in the order in which they
//! happened to receive them. So the messages of a batch are sorted by their place in the ratchet first, and one far
//! beyond a gap waits a little for those before it.

mod dedup;
mod deposits_in;
mod order;
mod packet;
mod pool;

pub use dedup::SEEN_MAX;
pub(crate) use dedup::Seen;
pub(crate) use deposits_in::{Entry, decrypt, done, read_messages, retry_pool};
pub use order::{HELD_BYTES_MAX, HELD_FRAMES_MAX};
pub(crate) use order::{Held, Inflow, NUMBER_MAX, Patience};
pub(crate) use packet::{read_packet, schedule_ack, show};
pub(crate) use pool::Pool;
