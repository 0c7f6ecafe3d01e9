//! The core's randomness: a generator seeded by the driver, so that a run can be repeated.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use zeroize::Zeroizing;

/// A cryptographic generator.
pub(crate) struct Random(ChaCha20Rng);

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// Fresh bytes that need no hiding.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill_bytes(&mut out);
        out
    }

    /// Fresh secret bytes.
    pub(crate) fn secret<const N: usize>(&mut self) -> Zeroizing<[u8; N]> {
        let mut out = Zeroizing::new([0; N]);
        self.0.fill_bytes(out.as_mut_slice());
        out
    }

    /// The generator itself, for what draws its own seeds.
    pub(crate) const fn rng(&mut self) -> &mut ChaCha20Rng {
        &mut self.0
    }

    /// A number in `0..=max`. The bias of the remainder does not matter for delays, which is what this is for.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(n) => self.0.next_u64() % n,
            None => self.0.next_u64(),
        }
    }

    /// An exponentially distributed time with this mean; at most 16 times the mean.
    pub(crate) fn exponential_ms(&mut self, mean_ms: u32) -> u64 {
        /// 2^53, the integers that a double holds exactly.
        const STEPS: f64 = 9_007_199_254_740_992.0;
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (self.0.next_u64() >> 11) as f64 / STEPS;
        let factor = -(1.0 - unit).ln();
        let ms = f64::from(mean_ms) * factor.min(16.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative and below 2^36"
        )]
        let ms = ms as u64;
        ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_have_the_mean_that_was_asked_for() {
        let mut random = Random::new([3; 32]);
        let n = 20_000;
        let sum: u64 = (0..n).map(|_| random.exponential_ms(1_000)).sum();
        assert!((950..1_050).contains(&(sum / n)), "mean {}", sum / n);
        assert_eq!(random.exponential_ms(0), 0);
        assert!((0..1_000).map(|_| random.up_to(3)).all(|x| x <= 3));
        assert_eq!(random.up_to(0), 0);
    }
}
