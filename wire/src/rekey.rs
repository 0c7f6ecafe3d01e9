//! Re-keying: a fresh post-quantum secret for a pair whose session works (protocol section 16).
//!
//! One side offers an X-Wing key and a ratchet key, the other answers with a ciphertext; both travel as frames of the old session, and
//! both hash into the new secrets. Whoever breaks the old session later, by a quantum computer or by a copied state, does not follow
//! into the new one.
//!
//! The offerer stores [`Offering`] until the answer comes. The answerer opens the new session when his answer has been acknowledged.

use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    codec::{DecodeError, Put, Reader, Wire},
    handshake::ratchet_public,
    ids::Epoch,
    kdf::{Secret, extract, h},
    network::Network,
    pair::{OuterChain, Rank, Schedule, SessionRoot},
    xwing::{CT_LEN, EK_LEN, KemKey, RANDOMNESS_LEN, encapsulate, is_contributory},
};

/// The version of the stored form.
const VERSION: u8 = 1;

/// The name of a re-keying.
pub type RekeyId = [u8; 16];

/// Why a re-keying does not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RekeyError {
    /// The frame does not have its form.
    #[error("malformed re-keying: {0}")]
    Decode(#[from] DecodeError),
    /// The answer is for another offer.
    #[error("the answer belongs to another offer")]
    OtherOffer,
    /// A key or ciphertext is of no use: another encoding, or small order.
    #[error("{field} of the other side is not acceptable")]
    Key {
        /// Which one.
        field: &'static str,
    },
}

/// The body of a re-key offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The name of this re-keying.
    pub id: RekeyId,
    /// The epoch with which the new outer keys start.
    pub epoch: Epoch,
    /// R, the offerer's ratchet key in the new session.
    pub ratchet: [u8; 32],
    /// The X-Wing key.
    pub ek: Box<[u8; EK_LEN]>,
}

/// The body of a re-key answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The name of the re-keying that is answered.
    pub id: RekeyId,
    /// The X-Wing ciphertext.
    pub ct: Box<[u8; CT_LEN]>,
}

/// The offerer's side, from the offer to the answer. All of it is what has to be stored.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Offering {
    id: RekeyId,
    #[zeroize(skip)]
    epoch: Epoch,
    kem: [u8; 32],
    ratchet: [u8; 32],
}

/// What both share after a re-keying.
#[derive(PartialEq, Eq)]
pub struct Rekeyed {
    /// The start of the new session.
    pub root: SessionRoot,
    /// S_rekey for the next re-keying.
    pub s_rekey: Secret,
    /// Keys of what the other side sends to us.
    pub outer_in: OuterChain,
    /// Keys of what we send.
    pub outer_out: OuterChain,
}

crate::pair::closed_debug!(Offering, Rekeyed);

impl Wire for Offer {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.id);
        self.epoch.encode(out);
        out.put(&self.ratchet);
        out.put(self.ek.as_slice());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: r.array()?,
            epoch: Epoch::read(r)?,
            ratchet: r.array()?,
            ek: Box::new(r.array()?),
        })
    }
}

impl Wire for Answer {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put(&self.id);
        out.put(self.ct.as_slice());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: r.array()?,
            ct: Box::new(r.array()?),
        })
    }
}

impl Offering {
    /// A fresh offer; the new outer keys start with `epoch`, the current one.
    #[must_use]
    pub fn draw(epoch: Epoch, rng: &mut impl CryptoRng) -> Self {
        let (mut id, mut kem, mut ratchet) = ([0; 16], [0; 32], [0; 32]);
        rng.fill_bytes(&mut id);
        rng.fill_bytes(&mut kem);
        rng.fill_bytes(&mut ratchet);
        Self::from_secrets(id, epoch, kem, ratchet)
    }

    /// The offer of given secrets: the seed of the X-Wing key and the secret half of R.
    #[must_use]
    pub const fn from_secrets(id: RekeyId, epoch: Epoch, kem: [u8; 32], ratchet: [u8; 32]) -> Self {
        Self {
            id,
            epoch,
            kem,
            ratchet,
        }
    }

    /// The name of this re-keying.
    #[must_use]
    pub const fn id(&self) -> RekeyId {
        self.id
    }

    /// The body of the offer, the same every time.
    #[must_use]
    pub fn offer(&self) -> Offer {
        Offer {
            id: self.id,
            epoch: self.epoch,
            ratchet: ratchet_public(&self.ratchet),
            ek: KemKey::from_seed(&self.kem).public(),
        }
    }

    /// The secret half of R, with which our end of the new session starts.
    #[must_use]
    pub fn ratchet_secret(&self) -> Secret {
        Zeroizing::new(self.ratchet)
    }

    /// Completes with the answer; `ours` is our rank.
    ///
    /// # Errors
    /// If it is not the answer to this offer, or its ciphertext is of no use.
    pub fn finish(
        &self,
        net: &Network,
        s_rekey: &Secret,
        answer: &Answer,
        ours: Rank,
    ) -> Result<Rekeyed, RekeyError> {
        if answer.id != self.id {
            return Err(RekeyError::OtherOffer);
        }
        let shared = KemKey::from_seed(&self.kem)
            .decapsulate(&answer.ct)
            .map_err(|_| RekeyError::Key {
                field: "ciphertext",
            })?;
        Ok(derive(net, s_rekey, &shared, &self.offer(), answer, ours))
    }
}

impl Wire for Offering {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put(&self.id);
        self.epoch.encode(out);
        out.put(&self.kem);
        out.put(&self.ratchet);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.expect_u8("version of a stored re-keying", VERSION)?;
        Ok(Self {
            id: r.array()?,
            epoch: Epoch::read(r)?,
            kem: r.array()?,
            ratchet: r.array()?,
        })
    }
}

impl Offer {
    /// Answers the offer; `randomness` is fresh, and `ours` is our rank. The new session opens towards [`Offer::ratchet`].
    ///
    /// # Errors
    /// If a key of the offer is of no use.
    pub fn answer(
        &self,
        net: &Network,
        s_rekey: &Secret,
        randomness: &[u8; RANDOMNESS_LEN],
        ours: Rank,
    ) -> Result<(Answer, Rekeyed), RekeyError> {
        if !is_contributory(&self.ratchet) {
            return Err(RekeyError::Key {
                field: "ratchet key",
            });
        }
        let (ct, shared) = encapsulate(&self.ek, randomness).map_err(|_| RekeyError::Key {
            field: "X-Wing key",
        })?;
        let answer = Answer { id: self.id, ct };
        let rekeyed = derive(net, s_rekey, &shared, self, &answer, ours);
        Ok((answer, rekeyed))
    }
}

fn derive(
    net: &Network,
    s_rekey: &Secret,
    shared: &Secret,
    offer: &Offer,
    answer: &Answer,
    ours: Rank,
) -> Rekeyed {
    let transcript = h(&[&offer.to_bytes(), &answer.to_bytes()]);
    let keys = Schedule::of(
        net,
        &extract(s_rekey.as_slice(), &[shared.as_slice(), &transcript]),
    );
    let [lower_to_upper, upper_to_lower] =
        [keys.outer_0, keys.outer_1].map(|key| OuterChain::new(offer.epoch, &key));
    let (outer_in, outer_out) = match ours {
        Rank::Lower => (upper_to_lower, lower_to_upper),
        Rank::Upper => (lower_to_upper, upper_to_lower),
    };
    Rekeyed {
        root: keys.root,
        s_rekey: keys.s_rekey,
        outer_in,
        outer_out,
    }
}

#[cfg(test)]
mod tests;
