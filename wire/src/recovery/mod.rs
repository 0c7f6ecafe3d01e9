//! Recovery: how two contacts start over when their session is lost (protocol section 17).
//!
//! Contacts share S_rec since their handshake, and know each other's handshake keys; with those a Noise KKpsk0 handshake of two
//! messages gives them a new session and new outer keys. It goes through mailboxes under keys that follow from S_rec alone
//! ([`outer_key`]), so it also works when everything else was rolled back.
//!
//! ```text
//! Starter::start ─────── message 1 ──────▶ Parties::read → Request
//! Starter::finish ◀───── message 2 ─────── Parties::answer → Answer   (its message carries the first session message)
//! ```
//!
//! As in the first handshake, [`Starter`] and [`Approval`] are what is stored; every step repeats to the byte. [`Counters`] decides
//! which message 1 counts: old ones are void, and when both sides start at once, the one with the lower identity key goes on.

mod answerer;
mod counters;
mod payload;
mod starter;

pub use answerer::{Answer, Approval, Request};
pub use counters::{Counters, Verdict};
pub use starter::{Finished, Starter};

use crate::{
    handshake::{Identity, SUITE},
    ids::{Epoch, HandshakeKey, IdentityKey},
    kdf::{Secret, kdf32},
    network::Network,
    noise::{Keys, Pattern},
    pair::{PairSecrets, Rank},
};

/// Who recovers with whom, and under which secret.
#[derive(Clone, Copy)]
pub struct Parties<'a> {
    /// The network.
    pub net: &'a Network,
    /// We.
    pub identity: &'a Identity,
    /// The contact's identity key.
    pub peer_ik: &'a IdentityKey,
    /// The contact's handshake key.
    pub peer_ix: &'a HandshakeKey,
    /// S_rec.
    pub s_rec: &'a Secret,
}

crate::pair::closed_debug!(Approval, Starter);

/// The outer key of recovery messages in an epoch; `sender` is the rank of who sends.
#[must_use]
pub fn outer_key(net: &Network, s_rec: &Secret, sender: Rank, epoch: Epoch) -> Secret {
    let direction = match sender {
        Rank::Lower => 0_u8,
        Rank::Upper => 1,
    };
    let parts: [&[u8]; 2] = [&[direction], &epoch.0.to_le_bytes()];
    kdf32(net, s_rec, "recover-outer", &parts)
}

/// The number of the session that a recovery makes: one more than both sides know. None when all numbers are used up.
#[must_use]
pub const fn next_generation(ours: u16, theirs: u16) -> Option<u16> {
    let most = if ours > theirs { ours } else { theirs };
    most.checked_add(1)
}

/// What both sides put into Noise, the ephemeral key apart.
struct Setup {
    prologue: Vec<u8>,
    psk: Secret,
    local: Secret,
}

impl Parties<'_> {
    /// Our rank, which decides directions and who goes on when both start.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank::of(&self.identity.ik(), self.peer_ik)
    }

    fn setup(&self, counter: u64) -> Setup {
        let ours = self.identity.ik();
        let (lower, upper) = match self.rank() {
            Rank::Lower => (&ours, self.peer_ik),
            Rank::Upper => (self.peer_ik, &ours),
        };
        let net_id = self.net.id();
        let prologue = [
            b"hermes/1 rec".as_slice(),
            net_id.as_ref(),
            &[SUITE],
            &counter.to_le_bytes(),
            lower.as_ref(),
            upper.as_ref(),
        ];
        Setup {
            prologue: prologue.concat(),
            psk: kdf32(self.net, self.s_rec, "recover-psk", &[]),
            local: self.identity.ix_secret(),
        }
    }

    fn keys<'k>(&'k self, setup: &'k Setup, ephemeral: &'k [u8; 32]) -> Keys<'k> {
        Keys {
            pattern: Pattern::KkPsk0,
            prologue: &setup.prologue,
            psk: &setup.psk,
            local: &setup.local,
            remote: Some(self.peer_ix.as_bytes()),
            ephemeral,
        }
    }

    /// S_rec outlives recoveries: a side that lost its state once may lose it again.
    fn keep_secret(&self, secrets: PairSecrets) -> PairSecrets {
        PairSecrets {
            s_rec: self.s_rec.clone(),
            ..secrets
        }
    }
}

#[cfg(test)]
mod tests;
