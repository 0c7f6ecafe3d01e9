//! Rows of invites that we made.

use hermes_wire::{
    Wire as _,
    codec::{Put as _, Reader},
    ids::{Epoch, IdentityKey},
    invite::{Invite, InviteSecrets},
};
use zeroize::Zeroizing;

use super::{
    RecordError, bad, put_option, read, read_bool, read_contact, read_option, read_var32, start,
};
use crate::proto::{Closed, InviteId, OwnInvite, Use};

pub(crate) fn key(id: InviteId) -> Vec<u8> {
    id.0.to_be_bytes().to_vec()
}

pub(crate) fn read_key(key: &[u8]) -> Result<InviteId, RecordError> {
    let mut r = Reader::new(key);
    let id = InviteId(u32::from_be_bytes(r.array()?));
    r.finish()?;
    Ok(id)
}

pub(crate) fn encode(own: &OwnInvite) -> Zeroizing<Vec<u8>> {
    let invite = Zeroizing::new(own.invite.to_bytes());
    let mut out = start(160 + invite.len());
    super::put_var32(&mut out, &invite);
    out.put(&own.secrets.root_seed);
    out.put(&own.secrets.handshake_secret);
    out.put_u64(own.created_ms);
    out.put_u8(own.alarmed.into());
    put_option(&mut out, own.closed, |out, closed| {
        out.put_u64(closed.at_ms);
        closed.through.encode(out);
    });
    match &own.used {
        Use::Open => out.put_u8(0),
        Use::By {
            contact,
            ik,
            msg1_hash,
            done,
        } => {
            out.put_u8(1);
            out.put(&contact.0.to_be_bytes());
            ik.encode(&mut out);
            out.put(msg1_hash);
            out.put_u8((*done).into());
        }
        Use::Revoked => out.put_u8(2),
    }
    out
}

pub(crate) fn decode(id: InviteId, bytes: &[u8]) -> Result<OwnInvite, RecordError> {
    read(bytes, |r| {
        Ok(OwnInvite {
            id,
            invite: Invite::from_bytes(read_var32(r, "invite")?).map_err(|_| bad("invite", 0))?,
            secrets: InviteSecrets {
                root_seed: r.array()?,
                handshake_secret: r.array()?,
            },
            created_ms: r.u64()?,
            alarmed: read_bool(r, "alarmed")?,
            closed: read_option(r, |r| -> Result<_, RecordError> {
                let (at_ms, through) = (r.u64()?, Epoch::read(r)?);
                Ok(Closed { at_ms, through })
            })?,
            used: match r.u8()? {
                0 => Use::Open,
                1 => Use::By {
                    contact: read_contact(r)?,
                    ik: IdentityKey::read(r)?,
                    msg1_hash: r.array()?,
                    done: read_bool(r, "done")?,
                },
                2 => Use::Revoked,
                other => return Err(bad("use of an invite", other.into()).into()),
            },
        })
    })
}
