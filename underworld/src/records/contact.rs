//! Rows of contacts: what changes seldom.

use hermes_wire::{
    Wire as _,
    address::FriendAddress,
    codec::{Put as _, Reader},
    handshake::Invitee,
    ids::{HandshakeKey, IdentityKey, Slot},
    packet::NAME_MAX,
    pair::OuterChain,
};
use zeroize::Zeroizing;

use super::{
    RecordError, bad, put_option, put_var32, read, read_bool, read_option, read_var32, start, steps,
};
use crate::proto::{Card, FailReason, InviteId, Peer, Secrets, Stage};

/// Bytes of a name that we give; names made of others' names get a number behind them.
const OUR_NAME_MAX: usize = NAME_MAX + 16;

pub(crate) fn encode(card: &Card) -> Zeroizing<Vec<u8>> {
    let mut out = start(6_000);
    out.put_var8(card.name.as_bytes());
    out.put_u8(card.named_here.into());
    out.put_var8(card.their_name.as_bytes());
    out.put_u8(card.colour);
    out.put_u8(card.verified.into());
    out.put_u8(card.blocked.into());
    out.put_u64(card.created_ms);
    out.put(&card.invite_hash);
    out.put_u16(card.home);
    card.slot.encode(&mut out);
    put_stage(&mut out, &card.stage);
    put_option(&mut out, card.peer.as_ref(), put_peer);
    put_option(&mut out, card.secrets.as_ref(), put_secrets);
    steps::put_rekey(&mut out, &card.rekey);
    steps::put_recovery(&mut out, &card.recovery);
    out
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Card, RecordError> {
    read(bytes, |r| {
        Ok(Card {
            name: r.text8("name", OUR_NAME_MAX)?.to_owned(),
            named_here: read_bool(r, "named")?,
            their_name: r.text8("name", NAME_MAX)?.to_owned(),
            colour: r.u8()?,
            verified: read_bool(r, "verified")?,
            blocked: read_bool(r, "blocked")?,
            created_ms: r.u64()?,
            invite_hash: r.array()?,
            home: r.u16()?,
            slot: Slot::read(r)?,
            stage: read_stage(r)?,
            peer: read_option(r, read_peer)?,
            secrets: read_option(r, read_secrets)?,
            rekey: steps::read_rekey(r)?,
            recovery: steps::read_recovery(r)?,
        })
    })
}

fn put_stage(out: &mut Vec<u8>, stage: &Stage) {
    match stage {
        Stage::Requested(invitee) => {
            out.put_u8(0);
            put_var32(out, &Zeroizing::new(invitee.to_bytes()));
        }
        Stage::Asked { invite, msg1 } => {
            out.put_u8(1);
            out.put_u32(invite.0);
            put_var32(out, msg1);
        }
        Stage::Accepted {
            invite,
            msg1_hash,
            msg2,
            answer_key,
        } => {
            out.put_u8(2);
            out.put_u32(invite.0);
            out.put(msg1_hash);
            put_var32(out, msg2);
            out.put(answer_key.as_slice());
        }
        Stage::Established => out.put_u8(3),
        Stage::Removed => out.put_u8(4),
        Stage::Failed(FailReason::InviteUsed) => out.put_u8(5),
        Stage::Failed(FailReason::InviteExpired) => out.put_u8(6),
    }
}

fn read_stage(r: &mut Reader<'_>) -> Result<Stage, RecordError> {
    Ok(match r.u8()? {
        0 => Stage::Requested(Box::new(Invitee::decode(read_var32(r, "handshake")?)?)),
        1 => Stage::Asked {
            invite: InviteId(r.u32()?),
            msg1: read_var32(r, "message")?.to_vec(),
        },
        2 => Stage::Accepted {
            invite: InviteId(r.u32()?),
            msg1_hash: r.array()?,
            msg2: read_var32(r, "message")?.to_vec(),
            answer_key: Zeroizing::new(r.array()?),
        },
        3 => Stage::Established,
        4 => Stage::Removed,
        5 => Stage::Failed(FailReason::InviteUsed),
        6 => Stage::Failed(FailReason::InviteExpired),
        other => return Err(bad("stage", other.into()).into()),
    })
}

fn put_peer(out: &mut Vec<u8>, peer: &Peer) {
    peer.ik.encode(out);
    peer.ix.encode(out);
    out.put_u16(peer.device);
    put_var32(out, &Zeroizing::new(peer.address.to_bytes()));
}

fn read_peer(r: &mut Reader<'_>) -> Result<Peer, RecordError> {
    Ok(Peer {
        ik: IdentityKey::read(r)?,
        ix: HandshakeKey::read(r)?,
        device: r.u16()?,
        address: FriendAddress::reload(read_var32(r, "address")?)?,
    })
}

fn put_secrets(out: &mut Vec<u8>, secrets: &Secrets) {
    out.put(secrets.s_rec.as_slice());
    out.put(secrets.s_rekey.as_slice());
    secrets.outgoing.encode(out);
    secrets.incoming.encode(out);
    put_option(out, secrets.incoming_old.as_ref(), |out, old| {
        old.encode(out)
    });
}

fn read_secrets(r: &mut Reader<'_>) -> Result<Secrets, RecordError> {
    Ok(Secrets {
        s_rec: Zeroizing::new(r.array()?),
        s_rekey: Zeroizing::new(r.array()?),
        outgoing: OuterChain::read(r)?,
        incoming: OuterChain::read(r)?,
        incoming_old: read_option(r, OuterChain::read)?,
    })
}
