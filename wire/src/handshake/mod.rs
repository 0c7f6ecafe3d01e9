//! The first handshake: how an invite becomes a contact (protocol section 14).
//!
//! The invitee B holds an invite and starts; the inviter A answers. Two messages through mailboxes, with hours or days and restarts
//! between them, and afterwards both have the same [`PairSecrets`](crate::pair::PairSecrets) and know each other's identity.
//!
//! ```text
//! B  Invitee::start ──────── msg1 ───────▶ A  Inviter::read → Request    (A may be asked, for as long as it takes)
//! B  Invitee::finish ◀────── msg2 ──────── A  Inviter::answer → Answer   (its message carries the first session message)
//! ```
//!
//! Nothing here keeps state in memory between messages. B stores the [`Invitee`]; A stores message 1 while he is asked, and the
//! [`Approval`] when he has said yes. Each step is a function of what is stored and what arrived, so repeating it gives the same bytes
//! and the same secrets.
//!
//! What protects what: Noise (IKpsk0) authenticates B's handshake key and A's invite key, under the invite's secret; certificates
//! bind both handshake keys to the identity keys; the fingerprint in the invite binds A's identity key; X-Wing adds a secret against
//! whoever records today and has a quantum computer later.

mod identity;
mod invitee;
mod inviter;
mod payload;
mod seeds;

use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};

pub use identity::{Devices, Identity, Peer};
pub use invitee::{Finished, Invitee};
pub use inviter::{Answer, Approval, Inviter, Request};
pub(crate) use inviter::{bad_kem_key, check_keys};
pub(crate) use payload::{BOX_MAX, open_box, seal_box};
pub use seeds::{AnswererSeeds, StarterSeeds};

use crate::{
    codec::{DecodeError, Put as _},
    invite::Invite,
    network::Network,
    noise::NoiseError,
};

/// The suite byte: Noise, X-Wing and ratchet as this version uses them.
pub const SUITE: u8 = 1;

/// Why a handshake message is not accepted. None of these changes anything; a good message may still come.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The message does not have its form.
    #[error("malformed handshake message: {0}")]
    Decode(#[from] DecodeError),
    /// The other side speaks no version or suite that we do.
    #[error("the other side offers versions {min} to {max} and suites {suites:#04x}")]
    Unsupported {
        /// The lowest version it takes.
        min: u8,
        /// The highest version it takes.
        max: u8,
        /// Its suites, one bit each.
        suites: u8,
    },
    /// The message does not open: damaged, or made for another invite, network or identity.
    #[error("the handshake message does not open")]
    Sealed,
    /// The inviter's identity is not the one of the invite.
    #[error("the answer comes from another identity than the invite")]
    Fingerprint,
    /// An identity key did not sign the handshake key and devices.
    #[error("the certificate does not hold")]
    Certificate,
    /// The inviter's identity key did not sign the invite's keys.
    #[error("the signature over the invite does not hold")]
    InviteSignature,
    /// The other side has our own identity key.
    #[error("a handshake with oneself")]
    Oneself,
    /// A key or ciphertext of the other side is of no use: another encoding, or small order.
    #[error("{field} of the other side is not acceptable")]
    Key {
        /// Which one.
        field: &'static str,
    },
    /// A name is longer than 64 bytes.
    #[error("the name has {len} bytes, at most {max} are possible")]
    NameTooLong {
        /// Its bytes.
        len: usize,
        /// The most.
        max: usize,
    },
    /// What we stored does not belong to the keys that we were given with it.
    #[error("the stored handshake belongs to another identity or invite")]
    Stored,
}

impl From<NoiseError> for HandshakeError {
    fn from(NoiseError: NoiseError) -> Self {
        Self::Sealed
    }
}

/// Noise's prologue: everything that both sides have to agree on beforehand.
fn prologue(net: &Network, caps: [u8; 3], invite: &Invite) -> Vec<u8> {
    [
        b"hermes/1 hs".as_slice(),
        net.id().as_ref(),
        &[SUITE],
        &caps,
        &invite.hash(),
    ]
    .concat()
}

/// What `SIGN(IK_A, "invite-key", …)` covers: S_A ‖ D_inv ‖ expiry.
fn signed_keys(invite: &Invite) -> Vec<u8> {
    let mut out = Vec::with_capacity(68);
    out.put(&invite.handshake_key);
    out.put(&invite.root);
    out.put_u32(invite.expiry);
    out
}

/// The public half of a ratchet secret.
pub(crate) fn ratchet_public(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

#[cfg(test)]
pub(crate) mod tests;
