//! The virtual clock, and what will happen when.
//!
//! Time is whole milliseconds since the run began. Nothing waits: the clock stands at the moment of the event that happens. Events of
//! one millisecond happen in the order in which they were planned, so that a run depends on nothing but its seed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hermes_underworld::Now;
use hermes_wire::network::T0;

/// Where the wall clock stands when a run begins: in the middle of an epoch, so that the edges of epochs come while things go on.
const START_UNIX_MS: u64 = (T0 + 20 * 86_400 + 40_000) * 1_000;

/// One minute, in milliseconds.
pub(crate) const MINUTE_MS: u64 = 60_000;

/// One hour, in milliseconds.
pub(crate) const HOUR_MS: u64 = 60 * MINUTE_MS;

/// Both clocks of everybody, as far as nobody's is skewed.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    now_ms: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            // What it is does not matter; all that follows is counted from it.
            started: hermes_underworld::testing::start(),
            now_ms: 0,
        }
    }

    /// Milliseconds since the run began.
    pub(crate) const fn ms(&self) -> u64 {
        self.now_ms
    }

    /// Never runs backwards.
    pub(crate) fn advance(&mut self, to_ms: u64) {
        self.now_ms = self.now_ms.max(to_ms);
    }

    /// What the clocks of a machine show whose wall clock is ahead by this much.
    pub(crate) fn now(&self, skew_ms: i64) -> Now {
        Now {
            mono: self.started + Duration::from_millis(self.now_ms),
            unix_ms: (START_UNIX_MS + self.now_ms).saturating_add_signed(skew_ms),
        }
    }

    /// The right time, in Unix seconds.
    pub(crate) fn unix_s(&self) -> u64 {
        self.now(0).unix_s()
    }

    /// A moment of the monotonic clock as milliseconds of the run, rounded up so that a timer never fires early.
    pub(crate) fn ms_of(&self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.started);
        u64::try_from(passed.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
    }
}

/// What will happen, by time, and in the order of planning within a millisecond.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    queue: BTreeMap<(u64, u64), T>,
    planned: u64,
}

impl<T> Schedule<T> {
    pub(crate) const fn new() -> Self {
        Self {
            queue: BTreeMap::new(),
            planned: 0,
        }
    }

    pub(crate) fn add(&mut self, at_ms: u64, what: T) {
        self.planned += 1;
        self.queue.insert((at_ms, self.planned), what);
    }

    /// The next thing that happens up to `end_ms`, and when.
    pub(crate) fn pop(&mut self, end_ms: u64) -> Option<(u64, T)> {
        let (at, _) = *self.queue.first_key_value()?.0;
        if at > end_ms {
            return None;
        }
        self.queue.pop_first().map(|(_, what)| (at, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_happen_in_the_order_of_planning() {
        let mut schedule = Schedule::new();
        for (at, what) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b')] {
            schedule.add(at, what);
        }
        let happened: Vec<_> = std::iter::from_fn(|| schedule.pop(5)).collect();
        assert_eq!(happened, [(3, 'a'), (3, 'b'), (5, 'c'), (5, 'd')]);
    }

    #[test]
    fn what_lies_beyond_the_end_stays() {
        let mut schedule = Schedule::new();
        schedule.add(6, ());
        assert_eq!(schedule.pop(5), None);
        assert_eq!(schedule.pop(6), Some((6, ())));
    }

    #[test]
    fn a_timer_between_two_milliseconds_fires_at_the_later() {
        let clock = Clock::new();
        let at = clock.now(0).mono + Duration::from_micros(1_001);
        assert_eq!(clock.ms_of(at), 2);
    }
}
