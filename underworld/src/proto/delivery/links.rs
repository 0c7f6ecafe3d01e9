//! Links that come up and go down, and which of two stays.

use super::{
    super::{
        contacts::Contact,
        core::Core,
        effect::Effect,
        event::{Event, LinkState},
        ids::LinkId,
        timers::{ContactTimer, Timer},
    },
    Attempt, Link,
    attempts::Meeting,
};

/// Two links within this time are taken for one made by each side at the same time.
const GLARE_MS: u64 = 1_000;

/// How soon after the loss of a link the friend is knocked at again, at most.
const KNOCK_AGAIN_MS: u64 = 2_000;

/// A link stands. Gives whether it is the one in use now; if not, it is being closed.
pub(crate) fn link_up(
    contact: &mut Contact,
    id: LinkId,
    meeting: &Meeting,
    core: &mut Core,
) -> bool {
    if let Some(old) = &contact.reach.link {
        if !replaces(contact, old, meeting, core) {
            core.out.effect(Effect::CloseLink { link: id });
            return false;
        }
        let old = old.id;
        core.links.remove(&old);
        core.out.effect(Effect::CloseLink { link: old });
    } else {
        core.out.event(Event::Link {
            contact: contact.id,
            link: LinkState::Up,
        });
    }
    core.links.insert(id, contact.id);
    let reach = &mut contact.reach;
    reach.link = Some(Link::new(id, meeting.dialled_by_us, core.now.mono));
    reach.attempt = Attempt::None;
    reach.knock = None;
    reach.failures = 0;
    reach.next_knock = None;
    reach.greet = false;
    reach.waiting = None;
    for timer in [
        ContactTimer::Knock,
        ContactTimer::Offer,
        ContactTimer::Retransmit,
    ] {
        core.timers.cancel(Timer::Contact(contact.id, timer));
    }
    core.touch(contact.id);
    true
}

/// Whether a new link takes the place of one that stands.
///
/// When both sides knocked at the same time, both links are good, and both sides keep the one that the lower identity
/// key dialled. When the friend comes again later, he has lost the old one.
fn replaces(contact: &Contact, old: &Link, new: &Meeting, core: &Core) -> bool {
    let glare_ends = old.up_at + std::time::Duration::from_millis(GLARE_MS);
    if new.knocked_at > glare_ends {
        return true;
    }
    let Some(peer) = &contact.card.peer else {
        return true;
    };
    let we_are_lower = core.me.ik() < peer.ik;
    new.dialled_by_us == we_are_lower || old.dialled_by_us != we_are_lower
}

/// A link is gone. Gives whether it was the one in use.
pub(crate) fn link_down(contact: &mut Contact, id: LinkId, core: &mut Core) -> bool {
    if contact.reach.link.as_ref().is_none_or(|link| link.id != id) {
        return false;
    }
    drop_link(contact, core);
    // The friend may have been moved to another network, or started anew.
    contact.reach.greet = true;
    let wait = KNOCK_AGAIN_MS / 4 + core.random.up_to(KNOCK_AGAIN_MS * 3 / 4);
    contact.reach.next_knock = Some(core.now.after_ms(wait));
    true
}

/// Forgets the link in use; what was sent on it and not acknowledged is to be deposited.
pub(crate) fn drop_link(contact: &mut Contact, core: &mut Core) {
    if contact.reach.link.take().is_none() {
        return;
    }
    let uncovered = contact.outbox.uncovered();
    contact.reach.fresh.extend(uncovered);
    core.timers
        .cancel(Timer::Contact(contact.id, ContactTimer::Retransmit));
    core.out.event(Event::Link {
        contact: contact.id,
        link: LinkState::Down,
    });
    core.touch(contact.id);
}
