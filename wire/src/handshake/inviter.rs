//! The side that made an invite: A, who answers.

use zeroize::Zeroizing;

use super::{
    AnswererSeeds, Devices, HandshakeError, Identity, Peer,
    identity::check_certificate,
    payload::{Caps, Payload1, Payload2},
    prologue, ratchet_public, seal_box, signed_keys,
};
use crate::{
    address::Bundle,
    codec::{DecodeError, Put as _, Reader, Wire},
    content::{HANDSHAKE_1, HANDSHAKE_2},
    deposit::Bucket,
    ids::HandshakeKey,
    invite::{Invite, fingerprint},
    kdf::Secret,
    network::Network,
    noise::{Keys, Noise, Pattern},
    packet::{NAME_MAX, SessionMessage},
    pair::{Ingredients, PairSecrets, Side},
    xwing::{EK_LEN, encapsulate, is_acceptable, is_contributory},
};

/// The version of the stored form.
const VERSION: u8 = 1;

/// The most that a stored message takes; message 1 is below.
const PART_MAX: usize = 4_096;

/// A's end of an invite.
pub struct Inviter<'a> {
    net: &'a Network,
    identity: &'a Identity,
    invite: &'a Invite,
    invite_secret: &'a [u8; 32],
}

/// A valid message 1: somebody who holds the invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who it is.
    pub peer: Peer,
}

/// A's decision to answer one message 1, with everything that goes into the answer. Fixed once and stored: an answer made from other
/// parts with the same seeds would break the encryption of both.
pub struct Approval {
    msg1: Vec<u8>,
    bundle: Bundle,
    name: String,
    seeds: AnswererSeeds,
}

/// What A has after answering.
#[derive(Debug)]
pub struct Answer {
    /// The invitee.
    pub peer: Peer,
    /// What both share now.
    pub secrets: PairSecrets,
    /// R, towards which A opens the session.
    pub peer_ratchet: [u8; 32],
    /// a1, with which A opens it.
    pub opener_secret: Secret,
    message: Vec<u8>,
}

impl Approval {
    /// Fixes the answer to `msg1`: `bundle` is the way that we give the invitee to us, `name` how we call ourselves.
    ///
    /// # Errors
    /// If the name is too long.
    pub fn new(
        msg1: &[u8],
        bundle: &Bundle,
        name: &str,
        seeds: AnswererSeeds,
    ) -> Result<Self, HandshakeError> {
        let (len, max) = (name.len(), NAME_MAX);
        if len > max {
            return Err(HandshakeError::NameTooLong { len, max });
        }
        Ok(Self {
            msg1: msg1.to_vec(),
            bundle: bundle.clone(),
            name: name.to_owned(),
            seeds,
        })
    }

    /// The message that is answered.
    #[must_use]
    pub fn msg1(&self) -> &[u8] {
        &self.msg1
    }
}

impl<'a> Inviter<'a> {
    /// The inviter of `invite`, whose key S_A has the secret half `invite_secret`.
    ///
    /// # Errors
    /// If they do not belong together, or the invite is not this identity's.
    pub fn new(
        net: &'a Network,
        invite: &'a Invite,
        invite_secret: &'a [u8; 32],
        identity: &'a Identity,
    ) -> Result<Self, HandshakeError> {
        let ours = invite.handshake_key == ratchet_public(invite_secret)
            && invite.fingerprint == fingerprint(&identity.ik());
        if !ours {
            return Err(HandshakeError::Stored);
        }
        Ok(Self {
            net,
            identity,
            invite,
            invite_secret,
        })
    }

    /// Reads message 1, the content of a deposit in the invite's mailbox. May be repeated at will.
    ///
    /// # Errors
    /// If it is not the message of somebody who holds the invite.
    pub fn read(&self, msg1: &[u8]) -> Result<Request, HandshakeError> {
        // The ephemeral key plays no part before an answer is written.
        let (_, payload, ix) = self.open(msg1, &[0; 32])?;
        Ok(Request {
            peer: peer(payload, ix),
        })
    }

    /// Answers. The same approval gives the same answer.
    ///
    /// # Errors
    /// If the approved message is not valid.
    pub fn answer(&self, approval: &Approval) -> Result<Answer, HandshakeError> {
        let (net, seeds) = (self.net, &approval.seeds);
        let (mut noise, payload, ix) = self.open(&approval.msg1, &seeds.ephemeral)?;
        let h1 = noise.hash()?;
        let (ct, shared) =
            encapsulate(&payload.ek, &seeds.encapsulation).map_err(|_| bad_kem_key())?;
        let mut inner = Zeroizing::new(Vec::with_capacity(Bundle::LEN + 1 + NAME_MAX));
        approval.bundle.encode(&mut inner);
        inner.put_var8(approval.name.as_bytes());
        let reply = Payload2 {
            ik: self.identity.ik(),
            invite_signature: self
                .identity
                .sign(net, "invite-key", &[&signed_keys(self.invite)]),
            ix: self.identity.ix(),
            devices: Devices::default(),
            certificate: self.identity.certificate(net),
            ct,
            sealed: seal_box(net, "msg2-box", &h1, &shared, &inner),
        };
        let sent = noise.write(&reply.to_bytes())?;
        let (k1, k2) = noise.split();
        let ingredients = Ingredients {
            hash: &noise.hash()?,
            split: (&k1, &k2),
            shared: &shared,
            psk: self.invite.secret(),
        };
        let secrets =
            PairSecrets::derive(net, &ingredients, payload.bundle.epoch(), Side::Answerer);
        let mut message = vec![HANDSHAKE_2];
        message.put_var16(&sent);
        Ok(Answer {
            secrets,
            peer_ratchet: payload.ratchet,
            opener_secret: Zeroizing::new(seeds.opener),
            message,
            peer: peer(payload, ix),
        })
    }

    /// Noise after message 1, what the message says, and the invitee's handshake key.
    fn open(
        &self,
        msg1: &[u8],
        ephemeral: &[u8; 32],
    ) -> Result<(Noise, Payload1, HandshakeKey), HandshakeError> {
        let mut r = Reader::new(msg1);
        r.expect_u8("content kind", HANDSHAKE_1)?;
        let caps = Caps::read(&mut r)?;
        let mut noise = Noise::answerer(&Keys {
            pattern: Pattern::IkPsk0,
            prologue: &prologue(self.net, caps.bytes(), self.invite),
            psk: self.invite.secret(),
            local: self.invite_secret,
            remote: None,
            ephemeral,
        })?;
        let payload = Payload1::decode(&noise.read(r.rest())?)?;
        let ix = HandshakeKey(noise.remote()?);
        check_certificate(
            self.net,
            &payload.ik,
            &ix,
            payload.devices,
            &payload.certificate,
        )?;
        if payload.ik == self.identity.ik() {
            return Err(HandshakeError::Oneself);
        }
        check_keys(&payload.ek, &payload.ratchet)?;
        Ok((noise, payload, ix))
    }
}

/// Refuses keys for which no answer could be made.
pub(crate) fn check_keys(ek: &[u8; EK_LEN], ratchet: &[u8; 32]) -> Result<(), HandshakeError> {
    if !is_acceptable(ek) {
        return Err(bad_kem_key());
    }
    if !is_contributory(ratchet) {
        return Err(HandshakeError::Key {
            field: "ratchet key",
        });
    }
    Ok(())
}

pub(crate) const fn bad_kem_key() -> HandshakeError {
    HandshakeError::Key {
        field: "X-Wing key",
    }
}

fn peer(payload: Payload1, ix: HandshakeKey) -> Peer {
    Peer {
        ik: payload.ik,
        ix,
        devices: payload.devices,
        certificate: payload.certificate,
        name: payload.name,
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

    /// Message 2: the content for B's mailbox, under [`Invite::answer_outer_key`]. `first` is A's first session message; it belongs to
    /// session 0. Store the result, since it has to be the same in every repetition.
    #[must_use]
    pub fn message(&self, first: &SessionMessage) -> Vec<u8> {
        let mut out = self.message.clone();
        first.encode(&mut out);
        out
    }
}

crate::pair::closed_debug!(Approval);

impl Wire for Approval {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_var16(&self.msg1);
        self.bundle.encode(out);
        out.put_var8(self.name.as_bytes());
        self.seeds.encode(out);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.expect_u8("version of a stored approval", VERSION)?;
        Ok(Self {
            msg1: r.var16("message", PART_MAX)?.to_vec(),
            bundle: Bundle::read(r)?,
            name: r.text8("name", NAME_MAX)?.to_owned(),
            seeds: AnswererSeeds::read(r)?,
        })
    }
}
