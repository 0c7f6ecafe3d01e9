//! Invites and the first handshake (protocol sections 13 and 14).
//!
//! ```text
//! inviter   create ── the text goes to the friend by some other way ──▶ accept   invitee
//!           watch the invite's mailboxes ◀── message 1, again in each epoch ── Requested
//!           (Asked, if the invite says so ─ approve)
//!           Accepted ── message 2, into the invitee's own mailbox ──▶ Established, says hello at once
//!           Established ◀── the first packet that decrypts
//!           revoke the invite's mailboxes
//! ```
//!
//! The invite's secrets stay until it expires even when it was used: a second person who comes with it means that the
//! text was seen by somebody it was not meant for.

mod accept;
mod answer;
mod create;
mod own;

pub use accept::AcceptError;
pub(crate) use accept::{fail, take_answer};
pub use answer::ApproveError;
pub(crate) use answer::heard;
pub use create::{CreateInviteError, InviteOptions, RevokeInviteError};
pub(crate) use own::{Closed, OwnInvite, Use};
pub use own::{INVITES_KEPT_MAX, INVITES_MAX};
