//! The key that one side shows in TLS, and its RFC 7250 form.
//!
//! TLS signs with the same Ed25519 code as the rest of the house, so that the seed is wiped when the last handle goes and there is no
//! second place that parses keys.

use std::{fmt, sync::Arc};

use ed25519_dalek::{Signer as _, SigningKey};
use rustls::{
    Error, SignatureAlgorithm, SignatureScheme,
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer},
    sign::{CertifiedKey, Signer, SigningKey as TlsSigningKey},
};
use zeroize::Zeroize;

/// The DER of an Ed25519 `SubjectPublicKeyInfo` up to the key itself (RFC 8410 §4): a fixed prefix, since nothing in it varies.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// An Ed25519 key pair to show in TLS: a node's lasting key, or a key made for one knock.
///
/// Clones share one secret, which is wiped when the last of them is dropped.
#[derive(Clone)]
pub struct Identity(Arc<Pair>);

struct Pair {
    secret: SigningKey,
    public: [u8; 32],
}

impl Identity {
    /// Takes the signing seed (RFC 8032 §5.1.5) and wipes this copy of it.
    #[must_use]
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(&seed);
        seed.zeroize();
        let public = secret.verifying_key().to_bytes();
        Self(Arc::new(Pair { secret, public }))
    }

    /// Makes a fresh key pair from the system's randomness.
    ///
    /// # Errors
    ///
    /// When the system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let identity = Self::from_seed(seed);
        seed.zeroize();
        Ok(identity)
    }

    /// The public half, which the other side pins.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.public
    }

    /// The form in which rustls presents a raw public key.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        let spki = CertificateDer::from(spki(&self.0.public).to_vec());
        Arc::new(CertifiedKey::new(
            vec![spki],
            Arc::new(TlsKey(self.clone())),
        ))
    }

    /// What an impostor would show: somebody else's key, with signatures by this one.
    #[cfg(test)]
    pub(crate) fn certified_as(&self, other: &[u8; 32]) -> Arc<CertifiedKey> {
        let spki = CertificateDer::from(spki(other).to_vec());
        Arc::new(CertifiedKey::new(
            vec![spki],
            Arc::new(TlsKey(self.clone())),
        ))
    }
}

impl fmt::Debug for Identity {
    /// Shows no key: a fresh public key is what ties a link to a knock.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Identity(..)")
    }
}

/// Writes a key as `SubjectPublicKeyInfo`.
pub(crate) fn spki(key: &[u8; 32]) -> [u8; 44] {
    let mut out = [0; 44];
    let (prefix, rest) = out.split_at_mut(SPKI_PREFIX.len());
    prefix.copy_from_slice(&SPKI_PREFIX);
    rest.copy_from_slice(key);
    out
}

/// Reads the key from a `SubjectPublicKeyInfo`; only the one form that [`spki`] writes is accepted.
pub(crate) fn key_of_spki(spki: &[u8]) -> Option<[u8; 32]> {
    spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

#[derive(Debug)]
struct TlsKey(Identity);

impl TlsSigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(Self(self.0.clone())) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(
            spki(&self.0.0.public).to_vec(),
        ))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.0.secret.sign(message).to_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_follows_rfc_8032() {
        // RFC 8032 §7.1, test 1.
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ];
        let public = Identity::from_seed(seed).public_key();
        assert_eq!(public[..4], [0xd7, 0x5a, 0x98, 0x01]);
        assert_eq!(public[28..], [0xf7, 0x07, 0x51, 0x1a]);
    }

    #[test]
    fn spki_goes_both_ways_and_nothing_else_is_read() {
        let key = Identity::from_seed([7; 32]).public_key();
        let der = spki(&key);
        assert_eq!(key_of_spki(&der), Some(key));
        assert_eq!(key_of_spki(&der[..43]), None);
        assert_eq!(key_of_spki(&[&der[..], &[0]].concat()), None);
        for bit in 0..12 * 8 {
            let mut bent = der;
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key_of_spki(&bent), None, "bit {bit}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(
            format!("{:?}", Identity::from_seed([7; 32])),
            "Identity(..)"
        );
        assert_eq!(
            format!("{:?}", TlsKey(Identity::from_seed([7; 32]))),
            "TlsKey(Identity(..))"
        );
    }

    #[test]
    fn fresh_identities_differ() {
        let [one, two] = [Identity::generate().unwrap(), Identity::generate().unwrap()];
        assert_ne!(one.public_key(), two.public_key());
    }
}
