//! Rows of our address generations.

use hermes_wire::{
    Network, Wire as _,
    address::{Chain, Generation},
    codec::{Put as _, Reader},
    ids::{Epoch, Slot},
};
use zeroize::Zeroizing;

use super::{RecordError, bad, read, read_contact, start};
use crate::proto::{Home, SlotUse};

pub(crate) fn key(number: u16) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

pub(crate) fn encode(home: &Home) -> Zeroizing<Vec<u8>> {
    let mut out = start(420);
    out.put_u16(home.number());
    out.put(home.keys.expose());
    home.oldest.encode(&mut out);
    out.put(home.chain.expose());
    home.unread_from.encode(&mut out);
    out.put_u64(home.refused);
    for slot in &home.slots {
        match slot {
            SlotUse::Free => out.put_u8(0),
            SlotUse::Used(contact) => {
                out.put_u8(1);
                out.put(&contact.0.to_be_bytes());
            }
            SlotUse::Spent => out.put_u8(2),
        }
    }
    out
}

pub(crate) fn decode(net: &Network, bytes: &[u8]) -> Result<Home, RecordError> {
    read(bytes, |r| {
        let number = r.u16()?;
        let secret = Zeroizing::new(r.array()?);
        let oldest = Epoch::read(r)?;
        let chain = Chain::new(r.array()?);
        let mut home = Home::restore(Generation::new(net, number, *secret), oldest, chain);
        home.unread_from = Epoch::read(r)?;
        home.refused = r.u64()?;
        home.slots = Slot::all()
            .map(|_| read_slot(r))
            .collect::<Result<_, _>>()?;
        Ok(home)
    })
}

fn read_slot(r: &mut Reader<'_>) -> Result<SlotUse, RecordError> {
    Ok(match r.u8()? {
        0 => SlotUse::Free,
        1 => SlotUse::Used(read_contact(r)?),
        2 => SlotUse::Spent,
        other => return Err(bad("slot use", other.into()).into()),
    })
}
