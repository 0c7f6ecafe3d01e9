//! Chance, drawn from the seed.
//!
//! Each concern has a stream of its own, so that what people do does not hang on what the network does. Numbers come from ChaCha20 and
//! the functions of distributions from the `libm` crate: the platform's own may differ in the last bit, and with it the whole run.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// One stream of chance.
#[derive(Debug, Clone)]
pub struct Draw {
    random: ChaCha20Rng,
}

impl Draw {
    /// The stream of this number of a seed.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Self { random }
    }

    /// A number below `n`, or 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.random.next_u64() % n.max(1)
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, (least, most): (u64, u64)) -> u64 {
        least + self.below(most.saturating_sub(least).saturating_add(1))
    }

    /// Whether something happens that happens in so many percent.
    pub fn chance(&mut self, percent: f64) -> bool {
        percent > 0.0 && self.unit() * 100.0 <= percent
    }

    /// A number above 0, up to 1.
    pub fn unit(&mut self) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        ((self.random.next_u64() >> 11) + 1) as f64 / STEPS
    }

    /// An exponentially distributed number.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(self.unit())
    }

    /// A Weibull-distributed number.
    pub fn weibull(&mut self, shape: f64, scale: f64) -> f64 {
        scale * libm::pow(-libm::log(self.unit()), 1.0 / shape)
    }

    /// A seed for a machine.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        seed
    }

    /// So many of the numbers below `n`, in order; each set of them is as likely as any other.
    pub fn choose(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        for at in 0..count.min(n) {
            let other = at + usize::try_from(self.below((n - at) as u64)).unwrap_or(0);
            all.swap(at, other);
        }
        all.truncate(count);
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_a_seed_differ_and_repeat() {
        let first = |seed, stream| Draw::new(seed, stream).below(u64::MAX);
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(1, 3));
        assert_ne!(first(1, 2), first(2, 2));
    }

    #[test]
    fn a_choice_has_the_size_asked_for_and_no_doubles() {
        let mut draw = Draw::new(1, 1);
        let chosen = draw.choose(20, 7);
        assert_eq!(chosen.len(), 7);
        assert!(
            chosen.windows(2).all(|pair| pair[0] < pair[1]),
            "{chosen:?}"
        );
        assert!(chosen.iter().all(|n| *n < 20));
    }
}
