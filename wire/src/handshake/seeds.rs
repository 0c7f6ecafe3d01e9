//! What the two sides draw. Seeds are drawn once for a handshake or recovery, stored with it, and never used for another.

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    codec::{DecodeError, Put as _, Reader, Wire},
    xwing::RANDOMNESS_LEN,
};

/// What the side that sends message 1 draws.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct StarterSeeds {
    /// The secret half of Noise's ephemeral key.
    pub ephemeral: [u8; 32],
    /// The seed of the X-Wing key pair.
    pub kem: [u8; 32],
    /// The secret half of the first ratchet key, R.
    pub ratchet: [u8; 32],
}

/// What the side that sends message 2 draws.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct AnswererSeeds {
    /// The secret half of Noise's ephemeral key.
    pub ephemeral: [u8; 32],
    /// The randomness of the encapsulation.
    pub encapsulation: [u8; RANDOMNESS_LEN],
    /// a1, the secret with which the ratchet session opens.
    pub opener: [u8; 32],
}

impl StarterSeeds {
    /// Fresh seeds.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut seeds = Self {
            ephemeral: [0; 32],
            kem: [0; 32],
            ratchet: [0; 32],
        };
        rng.fill_bytes(&mut seeds.ephemeral);
        rng.fill_bytes(&mut seeds.kem);
        rng.fill_bytes(&mut seeds.ratchet);
        seeds
    }
}

impl AnswererSeeds {
    /// Fresh seeds.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut seeds = Self {
            ephemeral: [0; 32],
            encapsulation: [0; RANDOMNESS_LEN],
            opener: [0; 32],
        };
        rng.fill_bytes(&mut seeds.ephemeral);
        rng.fill_bytes(&mut seeds.encapsulation);
        rng.fill_bytes(&mut seeds.opener);
        seeds
    }
}

impl Wire for StarterSeeds {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.ephemeral);
        out.put(&self.kem);
        out.put(&self.ratchet);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ephemeral: r.array()?,
            kem: r.array()?,
            ratchet: r.array()?,
        })
    }
}

impl Wire for AnswererSeeds {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.ephemeral);
        out.put(&self.encapsulation);
        out.put(&self.opener);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ephemeral: r.array()?,
            encapsulation: r.array()?,
            opener: r.array()?,
        })
    }
}

crate::pair::closed_debug!(StarterSeeds, AnswererSeeds);
