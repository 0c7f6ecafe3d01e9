//! What is due when: one slot for each thing that can be waited for.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::ids::{ContactId, DepositOp, LinkToken};

/// A thing that can be waited for. Setting it again moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Addresses or parts of an epoch begin or end, or the clock is looked at again.
    Edge,
    /// Old keys are past their retention.
    Retention,
    /// The start-up knocks go out although our presence does not stand yet.
    Greeting,
    /// Something of one contact.
    Contact(ContactId, ContactTimer),
    /// A deposit is tried again, or made anew.
    Deposit(DepositOp),
    /// A friend who answered or was answered has not come.
    Meeting(LinkToken),
}

/// A thing of one contact that can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ContactTimer {
    /// What waits is deposited.
    Offer,
    /// The friend is knocked at.
    Knock,
    /// Frames on the link were not acknowledged.
    Retransmit,
    /// Acknowledgements are due without a link.
    Acknowledge,
    /// A missing frame is no longer waited for.
    Gap,
    /// Deposits that wait for earlier ones are read without them.
    Pool,
    /// Frames reach the end of the time that the sender gave.
    Expire,
    /// A new session is due.
    Rekey,
    /// A recovery is started or repeated.
    Recover,
}

impl Timer {
    /// Why the core wants to be woken, for logs.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Edge => "address edge",
            Self::Retention => "retention",
            Self::Greeting => "first knocks",
            Self::Deposit(_) => "deposit",
            Self::Meeting(_) => "meeting",
            Self::Contact(_, timer) => match timer {
                ContactTimer::Offer => "offer to keepers",
                ContactTimer::Knock => "knock",
                ContactTimer::Retransmit => "retransmission",
                ContactTimer::Acknowledge => "acknowledgement",
                ContactTimer::Gap => "missing message",
                ContactTimer::Pool => "missing deposit",
                ContactTimer::Expire => "expiry of a message",
                ContactTimer::Rekey => "re-keying",
                ContactTimer::Recover => "recovery",
            },
        }
    }
}

/// All timers that are set.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    at: BTreeMap<Timer, Instant>,
    order: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    /// Sets a timer, whatever it was before.
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        if let Some(old) = self.at.insert(timer, at) {
            self.order.remove(&(old, timer));
        }
        self.order.insert((at, timer));
    }

    /// Sets a timer unless it fires earlier anyway.
    pub(crate) fn set_earlier(&mut self, timer: Timer, at: Instant) {
        if self.at.get(&timer).is_none_or(|old| at < *old) {
            self.set(timer, at);
        }
    }

    /// Stops a timer.
    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(old) = self.at.remove(&timer) {
            self.order.remove(&(old, timer));
        }
    }

    /// Stops every timer of a contact.
    pub(crate) fn cancel_contact(&mut self, contact: ContactId) {
        let of_contact = |timer: &Timer| matches!(timer, Timer::Contact(c, _) if *c == contact);
        self.at.retain(|timer, _| !of_contact(timer));
        self.order.retain(|(_, timer)| !of_contact(timer));
    }

    /// Whether a timer is set.
    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.at.contains_key(&timer)
    }

    /// The next timer and when it fires.
    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        self.order.first().copied()
    }

    /// Takes a timer that has fired.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = self.order.first().copied()?;
        if at > now {
            return None;
        }
        self.order.pop_first();
        self.at.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_fire_in_order_and_once() {
        let start = crate::testing::start();
        let later = |s| start + Duration::from_secs(s);
        let mut timers = Timers::default();
        timers.set(Timer::Deposit(DepositOp(1)), later(3));
        timers.set(Timer::Edge, later(2));
        timers.set(Timer::Edge, later(5));
        timers.set_earlier(Timer::Edge, later(9));
        timers.set_earlier(Timer::Greeting, later(4));
        timers.set(Timer::Retention, later(1));
        timers.cancel(Timer::Retention);

        assert_eq!(
            timers.next(),
            Some((later(3), Timer::Deposit(DepositOp(1))))
        );
        assert_eq!(timers.pop_due(later(2)), None);
        let fired: Vec<_> = std::iter::from_fn(|| timers.pop_due(later(5))).collect();
        assert_eq!(
            fired,
            [Timer::Deposit(DepositOp(1)), Timer::Greeting, Timer::Edge]
        );
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_contact_takes_its_timers_along() {
        let start = crate::testing::start();
        let mut timers = Timers::default();
        timers.set(Timer::Contact(ContactId(1), ContactTimer::Gap), start);
        timers.set(Timer::Contact(ContactId(2), ContactTimer::Gap), start);
        timers.cancel_contact(ContactId(1));
        assert_eq!(
            timers.pop_due(start),
            Some(Timer::Contact(ContactId(2), ContactTimer::Gap))
        );
        assert_eq!(timers.pop_due(start), None);
    }
}
