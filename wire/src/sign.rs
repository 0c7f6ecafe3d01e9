//! Signatures with a purpose (protocol section 1, `SIGN`).
//!
//! What is signed always starts with a label and the network, so no signature can be used for anything else.
//! Verification is strict: canonical encodings only, no keys or nonces of small order.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use thiserror::Error;

use crate::kdf::push_label;
use crate::network::Network;

/// An Ed25519 signature as it stands on the wire.
pub type Sig = [u8; 64];

/// A signature that does not hold: wrong key, wrong bytes, wrong purpose, wrong network, or a forbidden encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature does not hold")]
pub struct SignatureError;

/// `SIGN(key, label, body)`; `body` is the concatenation of the parts.
#[must_use]
pub fn sign(net: &Network, key: &SigningKey, label: &str, body: &[&[u8]]) -> Sig {
    key.sign(&message(net, label, body)).to_bytes()
}

/// Checks `SIGN(key, label, body)` strictly.
///
/// # Errors
/// If the signature is not the key's over exactly this.
pub fn verify(
    net: &Network,
    key: &[u8; 32],
    label: &str,
    body: &[&[u8]],
    sig: &Sig,
) -> Result<(), SignatureError> {
    if !is_canonical(key) {
        return Err(SignatureError);
    }
    let key = VerifyingKey::from_bytes(key).map_err(|_| SignatureError)?;
    let message = message(net, label, body);
    key.verify_strict(&message, &Signature::from_bytes(sig))
        .map_err(|_| SignatureError)
}

/// The bytes that are signed.
pub(crate) fn message(net: &Network, label: &str, body: &[&[u8]]) -> Vec<u8> {
    let len = body.iter().map(|p| p.len()).sum::<usize>();
    let mut out = Vec::with_capacity(14 + 1 + label.len() + 4 + len);
    out.extend_from_slice(b"Hermes-sig-v1\0");
    push_label(&mut out, label);
    out.extend_from_slice(&net.id().0);
    for part in body {
        out.extend_from_slice(part);
    }
    out
}

/// Whether the y coordinate is below 2^255 − 19. (Non-canonical signs of x = 0 belong to small order and are refused
/// with it.)
pub(crate) fn is_canonical(key: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = key;
    !(last & 0x7f == 0x7f && *first >= 0xed && middle.iter().all(|b| *b == 0xff))
}
