//! Randomness as an argument.
//!
//! Whoever makes or opens a store hands in where its keys and nonces come from: the system in the daemon, a seeded
//! stream in tests.

use zeroize::Zeroizing;

/// The system had no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("no randomness: {0}")]
pub struct EntropyError(String);

/// A source of secret, unpredictable bytes.
pub trait Entropy: Send {
    /// Fills `out` with bytes that were never given before.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError>;
}

/// Fixed-size draw from a source.
pub(crate) fn draw<const N: usize>(
    entropy: &mut dyn Entropy,
) -> Result<Zeroizing<[u8; N]>, EntropyError> {
    let mut out = Zeroizing::new([0; N]);
    entropy.fill(out.as_mut_slice())?;
    Ok(out)
}

/// Bytes asked of the system at once: enough for the nonces of a batch of some forty rows, so that a commit costs few
/// system calls.
const POOL_BYTES: usize = 1024;

/// The operating system's generator, drawn in blocks.
pub struct OsEntropy {
    pool: Zeroizing<[u8; POOL_BYTES]>,
    used: usize,
}

impl OsEntropy {
    /// A source that has drawn nothing yet.
    pub fn new() -> Self {
        Self {
            pool: Zeroizing::new([0; POOL_BYTES]),
            used: POOL_BYTES,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the shell that asks the system"
    )]
    fn system(out: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(out).map_err(|error| EntropyError(error.to_string()))
    }
}

impl Default for OsEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for OsEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        if out.len() > POOL_BYTES / 4 {
            return Self::system(out);
        }
        if self.used + out.len() > POOL_BYTES {
            Self::system(self.pool.as_mut_slice())?;
            self.used = 0;
        }
        let end = self.used + out.len();
        if let Some(fresh) = self.pool.get_mut(self.used..end) {
            out.copy_from_slice(fresh);
            fresh.fill(0);
        }
        self.used = end;
        Ok(())
    }
}

/// A repeatable stream for tests: SHA-256 of seed and counter.
#[cfg(any(test, feature = "test-utils"))]
pub struct SeededEntropy {
    seed: u64,
    counter: u64,
}

#[cfg(any(test, feature = "test-utils"))]
impl SeededEntropy {
    /// The stream that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }
}

#[cfg(any(test, feature = "test-utils"))]
impl Entropy for SeededEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        use sha2::{Digest, Sha256};
        for chunk in out.chunks_mut(32) {
            self.counter += 1;
            let block = Sha256::new()
                .chain_update(self.seed.to_le_bytes())
                .chain_update(self.counter.to_le_bytes())
                .finalize();
            for (to, from) in chunk.iter_mut().zip(block) {
                *to = from;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_of_the_pool_is_given_twice() {
        let mut entropy = OsEntropy::new();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            assert!(seen.insert(*draw::<24>(&mut entropy).unwrap()));
        }
        let mut long = vec![0; 4096];
        entropy.fill(&mut long).unwrap();
        assert!(
            long.chunks(16)
                .all(|chunk| chunk.iter().any(|byte| *byte != 0))
        );
    }
}
