//! X-Wing, the hybrid of ML-KEM-768 and X25519 (draft-connolly-cfrg-xwing-kem), as the handshakes use it.
//!
//! Keys come from a seed and encapsulations from given randomness, so that a message can be made again byte by byte after a restart.
//! An X25519 part of small order is refused on both sides (protocol section 1), although X-Wing alone would bear it.

use thiserror::Error;
use x_wing::{
    Ciphertext, DecapsulationKeyRejectNonContrib, Decapsulator as _, EncapsulationKey,
    KeyExport as _, TryDecapsulate as _,
};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize as _, Zeroizing};

use crate::kdf::Secret;

/// Bytes of an encapsulation key.
pub const EK_LEN: usize = 1_216;

/// Bytes of a ciphertext.
pub const CT_LEN: usize = 1_120;

/// Bytes of randomness that an encapsulation takes.
pub const RANDOMNESS_LEN: usize = 64;

/// An encapsulation key or a ciphertext that X-Wing refuses: not in its one encoding, or of small order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the X-Wing key or ciphertext is not acceptable")]
pub struct XWingError;

/// The private half of a key pair; wiped when dropped.
pub struct KemKey(DecapsulationKeyRejectNonContrib);

impl KemKey {
    /// The key pair of a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(DecapsulationKeyRejectNonContrib::from(*seed))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> Box<[u8; EK_LEN]> {
        Box::new(self.0.encapsulation_key().to_bytes().into())
    }

    /// The secret that the maker of `ciphertext` has.
    ///
    /// Of a ciphertext for another key the outcome is some other secret, as ML-KEM demands.
    ///
    /// # Errors
    /// If the X25519 part has small order.
    pub fn decapsulate(&self, ciphertext: &[u8; CT_LEN]) -> Result<Secret, XWingError> {
        let mut shared = self
            .0
            .try_decapsulate(&Ciphertext::from(*ciphertext))
            .map_err(|_| XWingError)?;
        let secret = Zeroizing::new(shared.into());
        shared.zeroize();
        Ok(secret)
    }
}

crate::pair::closed_debug!(KemKey);

/// Makes a secret for the holder of `key`, and the ciphertext that tells it to him. `randomness` serves once.
///
/// # Errors
/// If the key is not in its one encoding or its X25519 part has small order.
pub fn encapsulate(
    key: &[u8; EK_LEN],
    randomness: &[u8; RANDOMNESS_LEN],
) -> Result<(Box<[u8; CT_LEN]>, Secret), XWingError> {
    let parsed = parse(key)?;
    let mut bytes = (*randomness).into();
    let (ciphertext, mut shared) = parsed.encapsulate_deterministic(&bytes);
    bytes.zeroize();
    let secret = Zeroizing::new(shared.into());
    shared.zeroize();
    Ok((Box::new(ciphertext.into()), secret))
}

/// Whether [`encapsulate`] takes the key.
#[must_use]
pub fn is_acceptable(key: &[u8; EK_LEN]) -> bool {
    parse(key).is_ok()
}

fn parse(key: &[u8; EK_LEN]) -> Result<EncapsulationKey, XWingError> {
    let x25519 = key.last_chunk::<32>().ok_or(XWingError)?;
    if !is_contributory(x25519) {
        return Err(XWingError);
    }
    EncapsulationKey::try_from(key.as_slice()).map_err(|_| XWingError)
}

/// Whether an X25519 key gives secrets at all. Every secret scalar is a multiple of the cofactor, so one shows it for all.
pub(crate) fn is_contributory(public: &[u8; 32]) -> bool {
    StaticSecret::from([1; 32])
        .diffie_hellman(&PublicKey::from(*public))
        .was_contributory()
}

#[cfg(test)]
mod tests;
