//! The growing delay after wrong passphrases. Pure: the caller says what time it is, and waits.

/// Wrong passphrases in a row that cost nothing: people mistype.
const FREE_FAILURES: u32 = 3;
/// First delay in milliseconds; each further failure doubles it.
const DELAY_MS_FIRST: u64 = 1_000;
/// The longest delay in milliseconds: long enough to make guessing hopeless, short enough not to lock the owner out.
const DELAY_MS_MAX: u64 = 60_000;

/// How many wrong passphrases there were, and until when the next is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnlockDelay {
    failures: u32,
    until_ms: u64,
}

impl UnlockDelay {
    /// How long tries are still refused at `now_ms` of any clock that does not go back; 0 if one may be made.
    pub fn retry_after_ms(&self, now_ms: u64) -> u64 {
        self.until_ms.saturating_sub(now_ms)
    }

    /// Notes a wrong passphrase and returns how long the next is refused.
    pub fn failed(&mut self, now_ms: u64) -> u64 {
        self.failures = self.failures.saturating_add(1);
        let delay = match self.failures.checked_sub(FREE_FAILURES) {
            None => 0,
            Some(doublings) => 1u64
                .checked_shl(doublings)
                .and_then(|factor| DELAY_MS_FIRST.checked_mul(factor))
                .map_or(DELAY_MS_MAX, |delay| delay.min(DELAY_MS_MAX)),
        };
        self.until_ms = now_ms.saturating_add(delay);
        delay
    }

    /// Notes the right passphrase.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_after_the_third_failure_up_to_a_minute() {
        let mut delay = UnlockDelay::default();
        let delays: Vec<_> = (0..11).map(|_| delay.failed(5_000)).collect();
        assert_eq!(
            delays,
            [
                0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000
            ]
        );
    }

    #[test]
    fn a_delay_runs_off_and_success_forgets() {
        let mut delay = UnlockDelay::default();
        for _ in 0..4 {
            delay.failed(5_000);
        }
        assert_eq!(delay.retry_after_ms(5_000), 2_000);
        assert_eq!(delay.retry_after_ms(6_999), 1);
        assert_eq!(delay.retry_after_ms(7_000), 0);
        delay.succeeded();
        assert_eq!(delay.failed(7_000), 0);
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let mut delay = UnlockDelay {
            failures: u32::MAX - 1,
            until_ms: 0,
        };
        assert_eq!(delay.failed(u64::MAX), 60_000);
        assert_eq!(delay.failed(1), 60_000);
    }
}
