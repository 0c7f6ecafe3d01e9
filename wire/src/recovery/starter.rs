//! The side that starts a recovery.

use zeroize::Zeroizing;

use super::{
    Parties,
    payload::{Payload1, Payload2},
};
use crate::{
    address::Bundle,
    codec::{DecodeError, Put as _, Reader, Wire},
    content::{RECOVERY_1, RECOVERY_2},
    handshake::{HandshakeError, StarterSeeds, open_box, ratchet_public},
    kdf::Secret,
    noise::Noise,
    packet::SessionMessage,
    pair::{Ingredients, PairSecrets, Side},
    xwing::KemKey,
};

/// The version of the stored form.
const VERSION: u8 = 1;

/// The most that a stored part takes; payloads and messages are below.
const PART_MAX: usize = 4_096;

/// Bytes before the Noise message: kind and counter.
const HEAD_LEN: usize = 9;

/// Our recovery, from message 1 until message 2 is read. All of it is what has to be stored.
#[derive(PartialEq, Eq)]
pub struct Starter {
    counter: u64,
    seeds: StarterSeeds,
    payload: Zeroizing<Vec<u8>>,
    msg1: Vec<u8>,
}

/// What the starter has after message 2.
#[derive(Debug)]
pub struct Finished {
    /// The number of the new session.
    pub generation: u16,
    /// The next frame number that the other side will use.
    pub next_seq: u64,
    /// The other side's address.
    pub bundle: Bundle,
    /// What both share now; S_rec is the old one.
    pub secrets: PairSecrets,
    /// The secret half of R, with which our end of the session starts.
    pub ratchet_secret: Secret,
    /// The other side's first session message. Only when it decrypts may we send.
    pub first: SessionMessage,
}

impl Starter {
    /// Starts: `generation` is our newest session, `next_seq` the next frame number that we will use (far ahead after a restore),
    /// `bundle` our address for the contact.
    ///
    /// # Errors
    /// If the contact's key is of no use.
    pub fn start(
        parties: &Parties<'_>,
        counter: u64,
        generation: u16,
        next_seq: u64,
        bundle: &Bundle,
        seeds: StarterSeeds,
    ) -> Result<Self, HandshakeError> {
        let payload = Payload1 {
            generation,
            ek: KemKey::from_seed(&seeds.kem).public(),
            ratchet: ratchet_public(&seeds.ratchet),
            next_seq,
            bundle: bundle.clone(),
        };
        let mut this = Self {
            counter,
            seeds,
            payload: Zeroizing::new(payload.to_bytes()),
            msg1: Vec::new(),
        };
        let (_, message) = this.noise(parties)?;
        this.msg1.put_u8(RECOVERY_1);
        this.msg1.put_u64(counter);
        this.msg1.put(&message);
        Ok(this)
    }

    /// Message 1: a content for the contact's mailbox, under [`super::outer_key`].
    #[must_use]
    pub fn msg1(&self) -> &[u8] {
        &self.msg1
    }

    /// The counter of this recovery.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }

    /// Reads message 2.
    ///
    /// # Errors
    /// If it is not the contact's answer to our message; another one may still be.
    pub fn finish(&self, parties: &Parties<'_>, msg2: &[u8]) -> Result<Finished, HandshakeError> {
        let mut r = Reader::new(msg2);
        r.expect_u8("content kind", RECOVERY_2)?;
        let counter = r.u64()?;
        if counter != self.counter {
            return Err(DecodeError::Value {
                field: "recovery counter",
                value: counter,
            }
            .into());
        }
        let message = r.var16("recovery message", PART_MAX)?;
        let first = SessionMessage::read(&mut r)?;

        let (mut noise, again) = self.noise(parties)?;
        if self
            .msg1
            .split_at_checked(HEAD_LEN)
            .is_none_or(|(_, sent)| sent != again)
        {
            return Err(HandshakeError::Stored);
        }
        let h1 = noise.hash()?;
        let payload = Payload2::decode(&noise.read(message)?)?;
        let sent = Payload1::decode(&self.payload)?;
        if payload.generation <= sent.generation || first.generation != payload.generation {
            let (field, value) = ("new session's number", payload.generation.into());
            return Err(DecodeError::Value { field, value }.into());
        }
        let shared = KemKey::from_seed(&self.seeds.kem)
            .decapsulate(&payload.ct)
            .map_err(|_| HandshakeError::Key {
                field: "ciphertext",
            })?;
        let inner = open_box(parties.net, "rec-box", &h1, &shared, &payload.sealed)
            .ok_or(HandshakeError::Sealed)?;
        let (k1, k2) = noise.split();
        let ingredients = Ingredients {
            hash: &noise.hash()?,
            split: (&k1, &k2),
            shared: &shared,
            psk: parties.s_rec,
        };
        let secrets = PairSecrets::derive(
            parties.net,
            &ingredients,
            sent.bundle.epoch(),
            Side::Starter,
        );
        Ok(Finished {
            generation: payload.generation,
            next_seq: payload.next_seq,
            bundle: Bundle::decode(&inner)?,
            secrets: parties.keep_secret(secrets),
            ratchet_secret: Zeroizing::new(self.seeds.ratchet),
            first,
        })
    }

    /// Noise after message 1, and that message.
    fn noise(&self, parties: &Parties<'_>) -> Result<(Noise, Vec<u8>), HandshakeError> {
        let setup = parties.setup(self.counter);
        let mut noise = Noise::starter(&parties.keys(&setup, &self.seeds.ephemeral))?;
        let message = noise.write(&self.payload)?;
        Ok((noise, message))
    }
}

impl Wire for Starter {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_u64(self.counter);
        self.seeds.encode(out);
        out.put_var16(&self.payload);
        out.put_var16(&self.msg1);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.expect_u8("version of a stored recovery", VERSION)?;
        Ok(Self {
            counter: r.u64()?,
            seeds: StarterSeeds::read(r)?,
            payload: Zeroizing::new(r.var16("payload", PART_MAX)?.to_vec()),
            msg1: r.var16("message", PART_MAX)?.to_vec(),
        })
    }
}
