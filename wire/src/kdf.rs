//! Hashes, key derivation and sealing (protocol section 1).
//!
//! Every derived key names what it is for (a label), the network, and the parts it depends on; none of them can be
//! taken for another.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce, Tag};
use hkdf::Hkdf;
use sha2::{Digest, Sha256, Sha512};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::network::Network;

/// A 32-byte secret that is wiped when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// Bytes that [`seal`] adds.
pub const TAG_LEN: usize = 16;

/// SHA-256 over the concatenation of `parts`.
#[must_use]
pub fn h(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-512 over the concatenation of `parts`.
#[must_use]
pub fn h512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// `KDF(key, label, part…; N)`.
///
/// Labels are at most 255 bytes and parts at most 65 535; all in use are far below.
#[must_use]
pub fn kdf<const N: usize>(
    net: &Network,
    key: &[u8; 32],
    label: &str,
    parts: &[&[u8]],
) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "HKDF-SHA256 cannot give more") };
    let mut info = Zeroizing::new(Vec::with_capacity(64));
    info.extend_from_slice(b"hermes/1");
    push_label(&mut info, label);
    info.extend_from_slice(&net.id().0);
    for part in parts {
        debug_assert!(part.len() <= usize::from(u16::MAX));
        #[allow(
            clippy::cast_possible_truncation,
            reason = "parts are fields of the protocol, all of them short"
        )]
        info.extend_from_slice(&(part.len() as u16).to_le_bytes());
        info.extend_from_slice(part);
    }
    let mut out = Zeroizing::new([0; N]);
    #[allow(
        clippy::expect_used,
        reason = "the key has 32 bytes and N is checked when compiling"
    )]
    Hkdf::<Sha256>::from_prk(key)
        .ok()
        .and_then(|hk| hk.expand(&info, out.as_mut_slice()).ok())
        .expect("a 32-byte key and an output of at most 8160 bytes");
    out
}

/// `KDF` with the usual 32 bytes.
#[must_use]
pub fn kdf32(net: &Network, key: &[u8; 32], label: &str, parts: &[&[u8]]) -> Secret {
    kdf::<32>(net, key, label, parts)
}

/// `EXTRACT(salt, ikm)`: makes a uniform key of input that is not one. `ikm` is the concatenation of the parts.
#[must_use]
pub fn extract(salt: &[u8], ikm: &[&[u8]]) -> Secret {
    let mut joined = Zeroizing::new(Vec::with_capacity(ikm.iter().map(|p| p.len()).sum()));
    for part in ikm {
        joined.extend_from_slice(part);
    }
    let (mut prk, _) = Hkdf::<Sha256>::extract(Some(salt), &joined);
    let out = Zeroizing::new(prk.into());
    zeroize::Zeroize::zeroize(prk.as_mut_slice());
    out
}

/// A sealed part that does not open: another key, other associated data, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the sealed part does not open with this key")]
pub struct OpenError;

/// `SEAL(key, aad, plain)`. Each key seals one plaintext only.
#[must_use]
pub fn seal(key: &[u8; 32], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + TAG_LEN);
    out.extend_from_slice(plain);
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    #[allow(clippy::expect_used, reason = "fails only beyond 256 GiB")]
    let tag = cipher
        .encrypt_inout_detached(&Nonce::default(), aad, out.as_mut_slice().into())
        .expect("plaintext below 256 GiB");
    out.extend_from_slice(&tag);
    out
}

/// Opens what [`seal`] made.
///
/// # Errors
/// If it was not sealed with this key and this associated data.
pub fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (text, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(OpenError)?;
    let mut out = Zeroizing::new(text.to_vec());
    ChaCha20Poly1305::new(&Key::from(*key))
        .decrypt_inout_detached(
            &Nonce::default(),
            aad,
            out.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .map_err(|_| OpenError)?;
    Ok(out)
}

/// Labels are written with a `u8` length.
pub(crate) fn push_label(out: &mut Vec<u8>, label: &str) {
    debug_assert!(label.len() <= usize::from(u8::MAX));
    #[allow(
        clippy::cast_possible_truncation,
        reason = "labels are constants of the protocol, all of them short"
    )]
    out.push(label.len() as u8);
    out.extend_from_slice(label.as_bytes());
}
