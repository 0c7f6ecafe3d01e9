//! The side that holds an invite: B, who starts.

use zeroize::Zeroizing;

use super::{
    HandshakeError, Identity, Peer, StarterSeeds, open_box,
    payload::{Caps, Payload1, Payload2},
    prologue, ratchet_public, signed_keys,
};
use crate::{
    address::Bundle,
    codec::{DecodeError, Put as _, Reader, Wire},
    content::{HANDSHAKE_1, HANDSHAKE_2},
    ids::Epoch,
    invite::{Invite, fingerprint},
    kdf::Secret,
    network::Network,
    noise::{Keys, Noise, Pattern},
    packet::{NAME_MAX, SessionMessage},
    pair::{Ingredients, PairSecrets, Side},
    sign::verify,
    xwing::KemKey,
};

/// The version of the stored form.
const VERSION: u8 = 1;

/// The most that a stored part takes; invites, payloads and messages are below.
const PART_MAX: usize = 4_096;

/// B's handshake, from message 1 until message 2 is read. All of it is what has to be stored.
#[derive(PartialEq, Eq)]
pub struct Invitee {
    invite: Zeroizing<Vec<u8>>,
    seeds: StarterSeeds,
    payload: Zeroizing<Vec<u8>>,
    msg1: Vec<u8>,
}

/// What B has after message 2.
#[derive(Debug)]
pub struct Finished {
    /// The inviter.
    pub peer: Peer,
    /// What both share now.
    pub secrets: PairSecrets,
    /// The secret half of R, with which our end of the session starts.
    pub ratchet_secret: Secret,
    /// The inviter's first session message. Only when it decrypts may B send.
    pub first: SessionMessage,
}

crate::pair::closed_debug!(Invitee);

impl Invitee {
    /// Accepts an invite: `bundle` is the way that we give the inviter to us, `name` how we call ourselves.
    ///
    /// # Errors
    /// If the name is too long or the invite's key is of no use.
    pub fn start(
        net: &Network,
        invite: &Invite,
        identity: &Identity,
        bundle: &Bundle,
        name: &str,
        seeds: StarterSeeds,
    ) -> Result<Self, HandshakeError> {
        let (len, max) = (name.len(), NAME_MAX);
        if len > max {
            return Err(HandshakeError::NameTooLong { len, max });
        }
        let payload = Payload1 {
            ik: identity.ik(),
            devices: super::Devices::default(),
            certificate: identity.certificate(net),
            ek: KemKey::from_seed(&seeds.kem).public(),
            ratchet: ratchet_public(&seeds.ratchet),
            bundle: bundle.clone(),
            name: name.to_owned(),
        };
        let mut this = Self {
            invite: invite.to_bytes(),
            seeds,
            payload: Zeroizing::new(payload.to_bytes()),
            msg1: Vec::new(),
        };
        let (_, message) = this.noise(net, identity, invite)?;
        this.msg1.put_u8(HANDSHAKE_1);
        this.msg1.put(&Caps::OURS.bytes());
        this.msg1.put(&message);
        Ok(this)
    }

    /// Message 1: the content for the invite's mailbox, the same for as long as it is repeated.
    #[must_use]
    pub fn msg1(&self) -> &[u8] {
        &self.msg1
    }

    /// The invite that was accepted.
    ///
    /// # Errors
    /// If what was stored is damaged.
    pub fn invite(&self) -> Result<Invite, HandshakeError> {
        Invite::from_bytes(&self.invite).map_err(|_| HandshakeError::Stored)
    }

    /// Reads message 2, the content that came under [`Invite::answer_outer_key`].
    ///
    /// # Errors
    /// If it is not the inviter's answer to our message; another one may still be.
    pub fn finish(
        &self,
        net: &Network,
        identity: &Identity,
        msg2: &[u8],
    ) -> Result<Finished, HandshakeError> {
        let mut r = Reader::new(msg2);
        r.expect_u8("content kind", HANDSHAKE_2)?;
        let message = r.var16("handshake message", PART_MAX)?;
        let first = SessionMessage::read(&mut r)?;
        if first.generation != 0 {
            let (field, value) = ("first session's number", first.generation.into());
            return Err(DecodeError::Value { field, value }.into());
        }

        let invite = self.invite()?;
        let (mut noise, again) = self.noise(net, identity, &invite)?;
        if self
            .msg1
            .split_at_checked(4)
            .is_none_or(|(_, sent)| sent != again)
        {
            return Err(HandshakeError::Stored);
        }
        let h1 = noise.hash()?;
        let payload = Payload2::decode(&noise.read(message)?)?;
        check(net, &invite, identity, &payload)?;

        let shared = KemKey::from_seed(&self.seeds.kem)
            .decapsulate(&payload.ct)
            .map_err(|_| HandshakeError::Key {
                field: "ciphertext",
            })?;
        let inner = open_box(net, "msg2-box", &h1, &shared, &payload.sealed)
            .ok_or(HandshakeError::Sealed)?;
        let mut r = Reader::new(&inner);
        let bundle = Bundle::read(&mut r)?;
        let name = r.text8("name", NAME_MAX)?.to_owned();
        r.finish()?;

        let (k1, k2) = noise.split();
        let ingredients = Ingredients {
            hash: &noise.hash()?,
            split: (&k1, &k2),
            shared: &shared,
            psk: invite.secret(),
        };
        Ok(Finished {
            secrets: PairSecrets::derive(net, &ingredients, self.first_epoch()?, Side::Starter),
            ratchet_secret: Zeroizing::new(self.seeds.ratchet),
            first,
            peer: Peer {
                ik: payload.ik,
                ix: payload.ix,
                devices: payload.devices,
                certificate: payload.certificate,
                name,
                bundle,
            },
        })
    }

    /// Noise after message 1, and that message.
    fn noise(
        &self,
        net: &Network,
        identity: &Identity,
        invite: &Invite,
    ) -> Result<(Noise, Vec<u8>), HandshakeError> {
        let mut noise = Noise::starter(&Keys {
            pattern: Pattern::IkPsk0,
            prologue: &prologue(net, Caps::OURS.bytes(), invite),
            psk: invite.secret(),
            local: &identity.ix_secret(),
            remote: Some(&invite.handshake_key),
            ephemeral: &self.seeds.ephemeral,
        })?;
        let message = noise.write(&self.payload)?;
        Ok((noise, message))
    }

    /// e0, the epoch of our bundle.
    fn first_epoch(&self) -> Result<Epoch, DecodeError> {
        Ok(Payload1::decode(&self.payload)?.bundle.epoch())
    }
}

/// What B checks about A (section 14): the fingerprint, both signatures, and that it is not B.
fn check(
    net: &Network,
    invite: &Invite,
    identity: &Identity,
    payload: &Payload2,
) -> Result<(), HandshakeError> {
    if fingerprint(&payload.ik) != invite.fingerprint {
        return Err(HandshakeError::Fingerprint);
    }
    if payload.ik == identity.ik() {
        return Err(HandshakeError::Oneself);
    }
    let signed = signed_keys(invite);
    verify(
        net,
        payload.ik.as_bytes(),
        "invite-key",
        &[&signed],
        &payload.invite_signature,
    )
    .map_err(|_| HandshakeError::InviteSignature)?;
    super::identity::check_certificate(
        net,
        &payload.ik,
        &payload.ix,
        payload.devices,
        &payload.certificate,
    )
}

impl Wire for Invitee {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_var16(&self.invite);
        self.seeds.encode(out);
        out.put_var16(&self.payload);
        out.put_var16(&self.msg1);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.expect_u8("version of a stored handshake", VERSION)?;
        Ok(Self {
            invite: Zeroizing::new(r.var16("invite", PART_MAX)?.to_vec()),
            seeds: StarterSeeds::read(r)?,
            payload: Zeroizing::new(r.var16("payload", PART_MAX)?.to_vec()),
            msg1: r.var16("message", PART_MAX)?.to_vec(),
        })
    }
}
