//! Parameters, results and events of the interface, one file per resource.
//!
//! Parameter structs refuse unknown names: a misspelt `idempotancy_key` must be an error, not a
//! message that is sent twice. Results and events tolerate unknown fields, because a newer daemon
//! may add some. Times are RFC 3339 strings in UTC with milliseconds, durations are integers whose
//! names end in their unit, and lists are pages of `items` with an opaque `next`.

mod chat;
mod common;
mod contact;
mod daemon;
mod doctor;
mod event;
mod identity;
mod invite;
mod message;
mod net;
mod secret;
mod store;
mod time;
mod ui;

pub use chat::*;
pub use common::*;
pub use contact::*;
pub use daemon::*;
pub use doctor::*;
pub use event::*;
pub use identity::*;
pub use invite::*;
pub use message::*;
pub use net::*;
pub use secret::*;
pub use store::*;
pub use time::*;
pub use ui::*;
