//! The body of a deposit: sealed for the recipient, opaque to keepers (protocol section 7).
//!
//! In front of the sealed part stands a commitment to the key, so that a reader with several candidate keys compares
//! sixteen bytes instead of trying to open with each, and no body opens under two keys.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::deposit::{Bucket, HEAD_LEN};
use crate::kdf::{self, TAG_LEN, h, kdf};
use crate::network::Network;

/// Bytes of the commitment.
pub const COMMIT_LEN: usize = 16;

/// What commitment, length and tag take of a body.
pub const OVERHEAD: usize = COMMIT_LEN + 2 + TAG_LEN;

/// The most keys that a reader compares.
pub const MAX_CANDIDATES: usize = 4;

/// Why a body does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OuterError {
    /// None of the candidate keys is committed to.
    #[error("no candidate key fits this body")]
    NoKey,
    /// The body was changed, or its inside breaks the form.
    #[error("the body is damaged")]
    Damaged,
}

/// The deposit nonce: as unique as `random`, and still different for different contents if `random` repeats.
#[must_use]
pub fn deposit_nonce(key: &[u8; 32], random: &[u8; 32], content: &[u8]) -> [u8; 16] {
    let mut block = Zeroizing::new([0; 64]);
    if let Some(front) = block.first_chunk_mut() {
        *front = *key;
    }
    let mut mac = Hmac::<Sha256>::new(&(*block).into());
    mac.update(random);
    mac.update(content);
    let out: [u8; 32] = mac.finalize().into_bytes().into();
    let mut nonce = [0; 16];
    nonce.copy_from_slice(out.split_at(16).0);
    nonce
}

/// Seals `content` into a body of the bucket's size; `None` when it does not fit. The deposit nonce is the end of
/// `head`.
#[must_use]
pub fn seal_body(
    net: &Network,
    key: &[u8; 32],
    head: &[u8; HEAD_LEN],
    bucket: Bucket,
    content: &[u8],
) -> Option<Vec<u8>> {
    let padded = bucket.body_len().checked_sub(COMMIT_LEN + TAG_LEN)?;
    if content.len() > bucket.max_content() {
        return None;
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(padded));
    plain.extend_from_slice(&u16::try_from(content.len()).ok()?.to_le_bytes());
    plain.extend_from_slice(content);
    plain.resize(padded, 0);
    let (k, commit) = keys(net, key, head);
    let mut body = Vec::with_capacity(bucket.body_len());
    body.extend_from_slice(&commit);
    body.extend_from_slice(&kdf::seal(&k, head, &plain));
    Some(body)
}

/// Opens a body with the one of at most four candidate keys that it is committed to, and says which that was.
///
/// # Errors
/// If none fits, or the body is damaged.
pub fn open_body(
    net: &Network,
    candidates: &[&[u8; 32]],
    head: &[u8; HEAD_LEN],
    body: &[u8],
) -> Result<(usize, Zeroizing<Vec<u8>>), OuterError> {
    let (commit, sealed) = body
        .split_first_chunk::<COMMIT_LEN>()
        .ok_or(OuterError::Damaged)?;
    for (at, candidate) in candidates.iter().take(MAX_CANDIDATES).enumerate() {
        let (k, ours) = keys(net, candidate, head);
        if bool::from(ours.ct_eq(commit)) {
            let mut plain = kdf::open(&k, head, sealed).map_err(|_| OuterError::Damaged)?;
            unpad(&mut plain)?;
            return Ok((at, plain));
        }
    }
    Err(OuterError::NoKey)
}

/// Takes length and padding away; the padding must be zero.
fn unpad(plain: &mut Zeroizing<Vec<u8>>) -> Result<(), OuterError> {
    let (len, rest) = plain.split_first_chunk::<2>().ok_or(OuterError::Damaged)?;
    let len = usize::from(u16::from_le_bytes(*len));
    let (_, padding) = rest.split_at_checked(len).ok_or(OuterError::Damaged)?;
    if padding.iter().any(|b| *b != 0) {
        return Err(OuterError::Damaged);
    }
    plain.drain(..2);
    plain.truncate(len);
    Ok(())
}

fn keys(net: &Network, key: &[u8; 32], head: &[u8; HEAD_LEN]) -> (kdf::Secret, [u8; COMMIT_LEN]) {
    let nonce = head.last_chunk::<16>().map_or(&[][..], |n| n);
    let ko = kdf::<48>(net, key, "outer-msg", &[nonce, &h(&[head])]);
    let mut k = Zeroizing::new([0; 32]);
    let mut commit = [0; COMMIT_LEN];
    let (front, back) = ko.split_at(32);
    k.copy_from_slice(front);
    commit.copy_from_slice(back);
    (k, commit)
}
