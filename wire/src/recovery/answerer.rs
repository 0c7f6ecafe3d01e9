//! The side that answers a recovery.

use zeroize::Zeroizing;

use super::{
    Parties, next_generation,
    payload::{Payload1, Payload2},
};
use crate::{
    address::Bundle,
    codec::{DecodeError, Put as _, Reader, Wire},
    content::{RECOVERY_1, RECOVERY_2},
    deposit::Bucket,
    handshake::{AnswererSeeds, HandshakeError, bad_kem_key, check_keys, seal_box},
    kdf::Secret,
    noise::Noise,
    packet::SessionMessage,
    pair::{Ingredients, PairSecrets, Side},
    xwing::encapsulate,
};

/// The version of the stored form.
const VERSION: u8 = 1;

/// The most that a stored message takes; message 1 is below.
const PART_MAX: usize = 4_096;

/// A valid message 1 of the contact. Whether it counts is for [`super::Counters::judge`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The counter of this recovery.
    pub counter: u64,
    /// The newest session that the contact knows.
    pub generation: u16,
    /// The next frame number that the contact will use.
    pub next_seq: u64,
    /// The contact's address.
    pub bundle: Bundle,
}

/// The decision to answer one message 1, with everything that goes into the answer. Fixed once and stored: an answer made from other
/// parts with the same seeds would break the encryption of both.
pub struct Approval {
    msg1: Vec<u8>,
    generation: u16,
    next_seq: u64,
    bundle: Bundle,
    seeds: AnswererSeeds,
}

/// What the answerer has after answering.
#[derive(Debug)]
pub struct Answer {
    /// What the contact said.
    pub request: Request,
    /// The number of the new session.
    pub generation: u16,
    /// What both share now; S_rec is the old one.
    pub secrets: PairSecrets,
    /// R, towards which we open the session.
    pub peer_ratchet: [u8; 32],
    /// a1, with which we open it.
    pub opener_secret: Secret,
    message: Vec<u8>,
}

impl Approval {
    /// Fixes the answer to `msg1`: `generation` is our newest session, `next_seq` the next frame number that we will use, `bundle` our
    /// address for the contact.
    #[must_use]
    pub fn new(
        msg1: &[u8],
        generation: u16,
        next_seq: u64,
        bundle: &Bundle,
        seeds: AnswererSeeds,
    ) -> Self {
        Self {
            msg1: msg1.to_vec(),
            generation,
            next_seq,
            bundle: bundle.clone(),
            seeds,
        }
    }

    /// The message that is answered.
    #[must_use]
    pub fn msg1(&self) -> &[u8] {
        &self.msg1
    }
}

impl Parties<'_> {
    /// Reads a message 1, a content that came under [`super::outer_key`]. May be repeated at will.
    ///
    /// # Errors
    /// If it is not the contact's.
    pub fn read(&self, msg1: &[u8]) -> Result<Request, HandshakeError> {
        // The ephemeral key plays no part before an answer is written.
        let (_, counter, payload) = self.open(msg1, &[0; 32])?;
        Ok(request(counter, payload))
    }

    /// Answers. The same approval gives the same answer.
    ///
    /// # Errors
    /// If the approved message is not valid, or session numbers are used up.
    pub fn answer(&self, approval: &Approval) -> Result<Answer, HandshakeError> {
        let seeds = &approval.seeds;
        let (mut noise, counter, payload) = self.open(&approval.msg1, &seeds.ephemeral)?;
        let generation =
            next_generation(approval.generation, payload.generation).ok_or(DecodeError::Value {
                field: "session number",
                value: payload.generation.into(),
            })?;
        let h1 = noise.hash()?;
        let (ct, shared) =
            encapsulate(&payload.ek, &seeds.encapsulation).map_err(|_| bad_kem_key())?;
        let inner = Zeroizing::new(approval.bundle.to_bytes());
        let reply = Payload2 {
            generation,
            ct,
            next_seq: approval.next_seq,
            sealed: seal_box(self.net, "rec-box", &h1, &shared, &inner),
        };
        let sent = noise.write(&reply.to_bytes())?;
        let (k1, k2) = noise.split();
        let ingredients = Ingredients {
            hash: &noise.hash()?,
            split: (&k1, &k2),
            shared: &shared,
            psk: self.s_rec,
        };
        let secrets = PairSecrets::derive(
            self.net,
            &ingredients,
            payload.bundle.epoch(),
            Side::Answerer,
        );
        let mut message = vec![RECOVERY_2];
        message.put_u64(counter);
        message.put_var16(&sent);
        Ok(Answer {
            generation,
            secrets: self.keep_secret(secrets),
            peer_ratchet: payload.ratchet,
            opener_secret: Zeroizing::new(seeds.opener),
            message,
            request: request(counter, payload),
        })
    }

    /// Noise after message 1, the counter, and what the message says.
    fn open(
        &self,
        msg1: &[u8],
        ephemeral: &[u8; 32],
    ) -> Result<(Noise, u64, Payload1), HandshakeError> {
        let mut r = Reader::new(msg1);
        r.expect_u8("content kind", RECOVERY_1)?;
        let counter = r.u64()?;
        let setup = self.setup(counter);
        let mut noise = Noise::answerer(&self.keys(&setup, ephemeral))?;
        let payload = Payload1::decode(&noise.read(r.rest())?)?;
        check_keys(&payload.ek, &payload.ratchet)?;
        Ok((noise, counter, payload))
    }
}

fn request(counter: u64, payload: Payload1) -> Request {
    Request {
        counter,
        generation: payload.generation,
        next_seq: payload.next_seq,
        bundle: payload.bundle,
    }
}

impl Answer {
    /// How many bytes the first session message may have, so that message 2 stays in its bucket.
    #[must_use]
    pub const fn room_for_first(&self) -> usize {
        Bucket::Medium
            .max_content()
            .saturating_sub(self.message.len())
    }

    /// Message 2: a content for the contact's mailbox, under [`super::outer_key`]. `first` is our first message in the new session.
    /// Store the result, since it has to be the same in every repetition.
    #[must_use]
    pub fn message(&self, first: &SessionMessage) -> Vec<u8> {
        let mut out = self.message.clone();
        first.encode(&mut out);
        out
    }
}

impl Wire for Approval {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_var16(&self.msg1);
        out.put_u16(self.generation);
        out.put_u64(self.next_seq);
        self.bundle.encode(out);
        self.seeds.encode(out);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.expect_u8("version of a stored approval", VERSION)?;
        Ok(Self {
            msg1: r.var16("message", PART_MAX)?.to_vec(),
            generation: r.u16()?,
            next_seq: r.u64()?,
            bundle: Bundle::read(r)?,
            seeds: AnswererSeeds::read(r)?,
        })
    }
}
