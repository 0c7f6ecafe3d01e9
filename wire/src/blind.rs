//! Key blinding for Ed25519 (protocol section 4).
//!
//! A key pair and a 32-byte blind make another key pair. Whoever knows the public key and the blind finds the blinded
//! public key; whoever sees only blinded keys can neither tell that they belong together nor find the one behind them.
//!
//! The private nonce prefix of a blinded key depends on the blind. If it did not, one message signed under two blinds
//! would use one nonce for two challenges, and everybody who knows the blinds could solve for the master secret.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use sha2::Sha512;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codec::DecodeError;
use crate::kdf::h512;
use crate::network::Network;
use crate::sign::{Sig, message};

/// What a blind does to a key.
///
/// A scalar of zero (chance 2^-252) makes the identity, which importing and verifying refuse.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Factor {
    s: Scalar,
    prefix: [u8; 32],
}

impl Factor {
    /// The factor of a blind in a network.
    #[must_use]
    pub fn new(net: &Network, bk: &[u8; 32]) -> Self {
        let mut ctx = [0; 12];
        let (text, id) = ctx.split_at_mut(8);
        text.copy_from_slice(b"hermes/1");
        id.copy_from_slice(net.id().as_bytes());
        Self::with_context(bk, &ctx)
    }

    fn with_context(bk: &[u8; 32], ctx: &[u8]) -> Self {
        let b = Zeroizing::new(h512(&[bk, &[0], ctx]));
        let (mut low, prefix) = halves(&b);
        let s = Scalar::from_bytes_mod_order(low);
        low.zeroize();
        Self { s, prefix }
    }
}

/// A public key that may be blinded: canonical, not the identity, without a torsion component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterPublic {
    point: EdwardsPoint,
}

impl MasterPublic {
    /// Imports a key that somebody else gave.
    ///
    /// # Errors
    /// If it breaks the import rules of protocol section 1.
    pub fn import(bytes: &[u8; 32], field: &'static str) -> Result<Self, DecodeError> {
        let refused = DecodeError::Key { field };
        let compressed = CompressedEdwardsY(*bytes);
        let point = compressed.decompress().ok_or(refused)?;
        if point.compress() != compressed || point.is_identity() || !point.is_torsion_free() {
            return Err(refused);
        }
        Ok(Self { point })
    }

    /// Reads back a key that was imported before and kept in our own store; skips the slow checks.
    pub(crate) fn reload(bytes: &[u8; 32], field: &'static str) -> Result<Self, DecodeError> {
        let point = CompressedEdwardsY(*bytes)
            .decompress()
            .ok_or(DecodeError::Key { field })?;
        Ok(Self { point })
    }

    /// The key's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.point.compress().0
    }

    /// The blinded public key.
    #[must_use]
    pub fn blind(&self, factor: &Factor) -> [u8; 32] {
        self.blind_point(factor).compress().0
    }

    /// Not constant in time: both inputs are known to all who hold the same address.
    pub(crate) fn blind_point(&self, factor: &Factor) -> EdwardsPoint {
        EdwardsPoint::vartime_double_scalar_mul_basepoint(&factor.s, &self.point, &Scalar::ZERO)
    }
}

/// A secret key that may be blinded.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MasterSecret {
    scalar: Scalar,
    prefix: [u8; 32],
}

impl MasterSecret {
    /// The key pair of an Ed25519 seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let expanded = ExpandedSecretKey::from_bytes(&Zeroizing::new(h512(&[seed])));
        Self {
            scalar: expanded.scalar,
            prefix: expanded.hash_prefix,
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> MasterPublic {
        MasterPublic {
            point: self.point(),
        }
    }

    pub(crate) fn point(&self) -> EdwardsPoint {
        EdwardsPoint::mul_base(&self.scalar)
    }

    /// The blinded key pair.
    #[must_use]
    pub fn blind(&self, factor: &Factor) -> BlindedKey {
        let mixed = Zeroizing::new(h512(&[
            b"hermes/1 blind-prefix",
            &self.prefix,
            &factor.prefix,
        ]));
        let (hash_prefix, _) = halves(&mixed);
        BlindedKey::of(ExpandedSecretKey {
            scalar: self.scalar * factor.s,
            hash_prefix,
        })
    }

    /// The blinded public key alone; constant in time.
    pub(crate) fn blind_point(&self, factor: &Factor) -> EdwardsPoint {
        EdwardsPoint::mul_base(&(self.scalar * factor.s))
    }
}

/// A key pair that signs in one epoch. Clones share the secret, which is wiped with the last of them.
#[derive(Clone)]
pub struct BlindedKey {
    secret: Arc<ExpandedSecretKey>,
    public: VerifyingKey,
}

impl BlindedKey {
    /// An ordinary Ed25519 key pair in the same clothes (the write keys of invites are not blinded).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::of(ExpandedSecretKey::from_bytes(&Zeroizing::new(h512(&[
            seed,
        ]))))
    }

    fn of(secret: ExpandedSecretKey) -> Self {
        let public = VerifyingKey::from(&secret);
        Self {
            secret: Arc::new(secret),
            public,
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.public.to_bytes()
    }

    /// `SIGN(self, label, body)`; `body` is the concatenation of the parts.
    #[must_use]
    pub fn sign(&self, net: &Network, label: &str, body: &[&[u8]]) -> Sig {
        self.sign_bytes(&message(net, label, body))
    }

    fn sign_bytes(&self, message: &[u8]) -> Sig {
        raw_sign::<Sha512>(&self.secret, message, &self.public).to_bytes()
    }
}

/// Shows the public half only.
impl std::fmt::Debug for BlindedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlindedKey").finish_non_exhaustive()
    }
}

impl PartialEq for BlindedKey {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}

impl Eq for BlindedKey {}

/// Shows the key's bytes shortened.
impl std::fmt::Debug for MasterPublic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterPublic").finish_non_exhaustive()
    }
}

fn halves(b: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let mut low = [0; 32];
    let mut high = [0; 32];
    let (l, r) = b.split_at(32);
    low.copy_from_slice(l);
    high.copy_from_slice(r);
    (low, high)
}
