//! What a volunteer grants.

/// Bounds of one keeper, set by whoever runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes of deposits held at most.
    pub bytes_max: u64,
    /// Mailboxes known at most; each costs about 300 bytes of memory while it holds anything.
    pub mailboxes_max: usize,
    /// From this share of `bytes_max` on, in per cent, a deposit needs a stamp.
    pub stamp_from_percent: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bytes_max: 1 << 30,
            mailboxes_max: 1 << 18,
            stamp_from_percent: 80,
        }
    }
}

impl Config {
    /// The bits of work that a stamp must show when `used` bytes are held: none below the threshold, then 18 to 24.
    #[must_use]
    pub fn stamp_bits(&self, used: u64) -> u8 {
        let from = self.bytes_max / 100 * u64::from(self.stamp_from_percent.min(100));
        if used < from || from >= self.bytes_max {
            return 0;
        }
        let steps = (used - from).saturating_mul(6) / (self.bytes_max - from);
        18 + u8::try_from(steps.min(6)).unwrap_or(6)
    }
}
