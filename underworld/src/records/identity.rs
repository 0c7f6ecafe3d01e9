//! The row of our own identity.

use hermes_wire::{codec::Put as _, handshake::Identity, packet::NAME_MAX};
use zeroize::Zeroizing;

use super::{RecordError, read, start};
use crate::proto::Me;

pub(crate) fn encode(me: &Me) -> Zeroizing<Vec<u8>> {
    let mut out = start(160);
    out.put(me.ik_seed.as_slice());
    out.put(me.ix_secret.as_slice());
    out.put_var8(me.name.as_bytes());
    out.put_u8(me.colour);
    out.put_u32(me.next_contact);
    out.put_u32(me.next_invite);
    out
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Me, RecordError> {
    read(bytes, |r| {
        let (ik_seed, ix_secret) = (Zeroizing::new(r.array()?), Zeroizing::new(r.array()?));
        Ok(Me {
            keys: Identity::from_secrets(&ik_seed, &ix_secret),
            ik_seed,
            ix_secret,
            name: r.text8("name", NAME_MAX)?.to_owned(),
            colour: r.u8()?,
            next_contact: r.u32()?,
            next_invite: r.u32()?,
        })
    })
}
