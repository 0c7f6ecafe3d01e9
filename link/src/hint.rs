//! How a friend's endpoint recognises the caller it expects, before it says a word.
//!
//! A TLS server must choose its key before it sees the client's. Here each link between friends has keys of its own, so the first
//! packet must say which link it means, and must say it so that nobody else can read it, repeat it usefully, or make it up. A server
//! name would do the first, but it stands in clear in every first packet and no ordinary QUIC traffic has names of that form.
//!
//! So the hint is the first packet's destination connection id. QUIC wants it unpredictable and of 8 to 20 bytes, chosen by the
//! client (RFC 9000 §7.2), and quinn takes 20 random bytes; ours are 20 bytes that look the same to all but the one who expects them:
//!
//! ```text
//! key  = SHA-256("hermes/1 hint" ‖ dialler's public key[32] ‖ acceptor's public key[32])
//! id   = nonce[8] ‖ HMAC-SHA256(key, nonce)[0..12]
//! ```
//!
//! Both public keys were made for this one link and travelled sealed from friend to friend, and TLS 1.3 encrypts them again, so the
//! key is known to the two alone. The nonce is new for each dial: dialling several addresses of one friend at once must not give two
//! connections the same id. A first packet without a valid hint is dropped unanswered; one that repeats a nonce too.

use hmac::{Hmac, KeyInit, Mac, digest::Key};
use quinn::ConnectionId;
use sha2::{Digest, Sha256};

const LABEL: &[u8] = b"hermes/1 hint";

/// Enough that two dials of one link never meet.
pub(crate) const NONCE_LEN: usize = 8;

/// 2^96 guesses, each of which costs a packet: nobody finds the hint by trying.
const MARK_LEN: usize = 12;

/// What marks the first packets of one link in one direction.
#[derive(Clone)]
pub(crate) struct Hint(Hmac<Sha256>);

impl Hint {
    pub(crate) fn new(dialler: &[u8; 32], acceptor: &[u8; 32]) -> Self {
        let key = Sha256::new()
            .chain_update(LABEL)
            .chain_update(dialler)
            .chain_update(acceptor)
            .finalize();
        // HMAC pads its key with zeros to the block of the hash (RFC 2104 §2).
        let mut block = Key::<Hmac<Sha256>>::default();
        block.iter_mut().zip(key).for_each(|(to, from)| *to = from);
        Self(Hmac::new(&block))
    }

    /// The connection id that carries this hint.
    pub(crate) fn connection_id(&self, nonce: [u8; NONCE_LEN]) -> ConnectionId {
        let mark = self.0.clone().chain_update(nonce).finalize().into_bytes();
        let mut id = [0; NONCE_LEN + MARK_LEN];
        let (front, back) = id.split_at_mut(NONCE_LEN);
        front.copy_from_slice(&nonce);
        back.copy_from_slice(&mark[..MARK_LEN]);
        ConnectionId::new(&id)
    }

    /// The nonce, if `id` carries this hint.
    pub(crate) fn read(&self, id: &[u8]) -> Option<[u8; NONCE_LEN]> {
        let (nonce, mark) = id.split_first_chunk::<NONCE_LEN>()?;
        if mark.len() != MARK_LEN {
            return None;
        }
        self.0
            .clone()
            .chain_update(nonce)
            .verify_truncated_left(mark)
            .is_ok()
            .then_some(*nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_is_as_written_above() {
        let id = Hint::new(&[1; 32], &[2; 32]).connection_id([3; 8]);
        let key = Sha256::digest([&b"hermes/1 hint"[..], &[1; 32], &[2; 32]].concat());
        let mark = Hmac::<Sha256>::new_from_slice(&key)
            .unwrap()
            .chain_update([3; 8])
            .finalize()
            .into_bytes();
        assert_eq!(&id[..8], &[3; 8]);
        assert_eq!(&id[8..], &mark[..12]);
    }

    #[test]
    fn only_the_expected_link_reads_it() {
        let hint = Hint::new(&[1; 32], &[2; 32]);
        let id = hint.connection_id([3; 8]);
        assert_eq!(hint.read(&id), Some([3; 8]));
        assert_eq!(
            Hint::new(&[2; 32], &[1; 32]).read(&id),
            None,
            "the other direction is another link"
        );
        assert_eq!(Hint::new(&[1; 32], &[4; 32]).read(&id), None);
    }

    #[test]
    fn any_other_id_is_not_read() {
        let hint = Hint::new(&[1; 32], &[2; 32]);
        let id = hint.connection_id([3; 8]);
        for len in 0..20 {
            assert_eq!(hint.read(&id[..len]), None, "cut to {len}");
        }
        assert_eq!(hint.read(&[&id[..], &[0]].concat()), None);
        for bit in 0..20 * 8 {
            let mut bent = [0; 20];
            bent.copy_from_slice(&id);
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(hint.read(&bent), None, "bit {bit}");
        }
    }
}
