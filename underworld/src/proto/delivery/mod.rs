//! Delivery: how a frame gets from the outbox to the friend (protocol section 18).
//!
//! ```text
//!              ┌──────────── a link stands ────────────▶ pushed over it at once, acknowledged by the friend
//!  accepted ───┤
//!              └─ no link ─▶ knock (not while the friend is known to be absent)
//!                              │ answered, dialled ──▶ a link stands
//!                              └ no answer within the grace, or none to expect
//!                                   ─▶ packed with all that waits into one deposit ─▶ keepers ─▶ receipts ─▶ kept
//! ```
//!
//! A frame stays in the [`Outbox`] until the friend acknowledges it. Deposits do not end anything: when a link comes up
//! everything unacknowledged goes over it as well, and a deposit that brings no acknowledgement is made anew. The
//! receiver recognises what he has by its number.
//!
//! Encryption advances the ratchet and is the dearest step, so it is done once per cycle: all frames that were accepted
//! since the last one share a packet. Delays that keep observers from linking events (`deposit_jitter_ms`) are spent
//! *before* packing; a batch is never sealed early and sent late, so deposits leave in the order of the ratchet.

mod acks;
mod attempts;
mod deposit;
mod link;
mod links;
mod offer;
mod opening;
mod outbox;
mod send;

pub(crate) use acks::{apply_acks, first_ranges, leave};
pub use attempts::KnockResult;
pub(crate) use attempts::{
    IncomingKnock, Meeting, Nonces, OpenKnock, answer, knock_result, knock_timeout, meeting_failed,
};
pub(crate) use deposit::{
    Due, OutDeposit, Purpose, anew, due, ended, order_again, receipt, remove_deposits, resume,
};
pub(crate) use link::{Link, Silence, Verdict, silent};
pub(crate) use links::{drop_link, link_down, link_up};
pub(crate) use offer::{deposit_notice, offer_all_again};
pub(crate) use opening::deposit_opening;
pub use outbox::{OUTBOX_BYTES_MAX, OUTBOX_FRAMES_MAX};
pub(crate) use outbox::{OutFrame, Outbox};
pub use send::{Accepted, BODY_MAX, Coalesce, Outgoing, SendError};
pub(crate) use send::{accept, accept_core, expire, replace};

use attempts::want_link;
use link::push;
use offer::offer;

use std::{collections::BTreeSet, time::Instant};

use super::{
    contacts::Contact,
    core::Core,
    event::LinkState,
    ids::{KnockOp, LinkToken},
};

/// Where delivery to one contact stands. Lives in memory; after a restart it is built from outbox and deposits.
#[derive(Default)]
pub(crate) struct Reach {
    /// The link in use.
    pub(crate) link: Option<Link>,
    /// What is being tried to get one.
    pub(crate) attempt: Attempt,
    /// When the next knock is allowed, and how often knocking failed in a row.
    pub(crate) next_knock: Option<Instant>,
    pub(crate) failures: u32,
    /// Our knock that is on its way.
    pub(crate) knock: Option<OpenKnock>,
    /// Nonces of the friend's knocks.
    pub(crate) nonces: Nonces,
    /// A knock is wanted although nothing waits.
    pub(crate) greet: bool,
    /// Frames that no deposit carries.
    pub(crate) fresh: BTreeSet<u64>,
    /// Frames whose deposit did not help.
    pub(crate) again: BTreeSet<u64>,
    /// An acknowledgement is due even without a link.
    pub(crate) ack_due: bool,
    /// Since when something waits, and the random delay before it is deposited.
    pub(crate) waiting: Option<Wait>,
}

/// A batch that waits to be deposited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) since: Instant,
    pub(crate) jitter_ms: u64,
}

/// What is being tried to get a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Nothing.
    #[default]
    None,
    /// A knock is on its way.
    Knocking(KnockOp),
    /// The friend answered and is dialled, or was answered and is expected.
    Meeting(LinkToken),
}

impl Reach {
    pub(crate) const fn link_state(&self) -> LinkState {
        match self.link {
            Some(_) => LinkState::Up,
            None => LinkState::Down,
        }
    }

    /// Whether something waits that a deposit could carry.
    pub(crate) fn has_cargo(&self) -> bool {
        self.ack_due || !self.fresh.is_empty() || !self.again.is_empty()
    }

    /// Whether what is accepted now may need a deposit.
    pub(crate) fn needs_keepers(&self) -> bool {
        self.link.as_ref().is_none_or(Link::is_silent)
    }

    /// Forgets about a frame that needs no delivery any more.
    pub(crate) fn forget_frame(&mut self, seq: u64) {
        self.fresh.remove(&seq);
        self.again.remove(&seq);
    }
}

/// Does for a contact what the end of a cycle demands: pushes, knocks or deposits what waits, and writes what changed.
pub(crate) fn settle(contact: &mut Contact, core: &mut Core) {
    if contact.is_established() {
        match &contact.reach.link {
            Some(link) => {
                let silent = link.is_silent();
                push(contact, core);
                if silent {
                    offer(contact, core);
                }
            }
            None => {
                want_link(contact, core);
                offer(contact, core);
            }
        }
    }
    contact.store(core);
}
