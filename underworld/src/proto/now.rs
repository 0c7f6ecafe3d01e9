//! The two clocks, read once by the driver and handed in with every call.

use std::time::{Duration, Instant};

/// A moment on both clocks.
///
/// `mono` orders timers and never runs backwards. `unix_ms` is what people and protocols mean by time; it may jump in
/// either direction, and nothing is ever deleted because it jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub mono: Instant,
    /// The wall clock, in Unix milliseconds.
    pub unix_ms: u64,
}

impl Now {
    /// The wall clock in whole Unix seconds.
    #[must_use]
    pub const fn unix_s(self) -> u64 {
        self.unix_ms / 1_000
    }

    /// The monotonic moment `ms` milliseconds from now.
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Instant {
        // An `Instant` cannot express the far end of time; a year ahead is as good as never for a timer.
        const FAR: Duration = Duration::from_secs(366 * 86_400);
        let wait = Duration::from_millis(ms).min(FAR);
        self.mono.checked_add(wait).unwrap_or(self.mono)
    }

    /// The monotonic moment at which the wall clock will show `unix_ms`, now if that is past.
    #[must_use]
    pub fn at_unix_ms(self, unix_ms: u64) -> Instant {
        self.after_ms(unix_ms.saturating_sub(self.unix_ms))
    }
}
