//! Wall time, told from monotonic time.

use std::time::{Duration, Instant};

/// What the wall clock shows at an instant. It is set at the start and may be set again after a suspend or a correction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    at: Instant,
    unix: Duration,
}

impl Clock {
    pub(super) const fn new(at: Instant, unix: Duration) -> Self {
        Self { at, unix }
    }

    fn unix(&self, now: Instant) -> Duration {
        self.unix
            .saturating_add(now.saturating_duration_since(self.at))
    }

    pub(super) fn unix_s(&self, now: Instant) -> u64 {
        self.unix(now).as_secs()
    }

    pub(super) fn unix_ms(&self, now: Instant) -> u64 {
        u64::try_from(self.unix(now).as_millis()).unwrap_or(u64::MAX)
    }
}
