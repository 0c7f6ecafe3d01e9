//! Rows of ratchet sessions.

use hermes_wire::codec::{Put as _, Reader};
use zeroize::Zeroizing;

use super::{RecordError, contact_key, put_option, read, read_contact, read_option, start};
use crate::{proto::ContactId, session::Session};

pub(crate) fn key(contact: ContactId, generation: u16) -> Vec<u8> {
    let mut key = contact_key(contact);
    key.put(&generation.to_be_bytes());
    key
}

pub(crate) fn read_key(key: &[u8]) -> Result<(ContactId, u16), RecordError> {
    let mut r = Reader::new(key);
    let contact = read_contact(&mut r)?;
    let generation = u16::from_be_bytes(r.array()?);
    r.finish()?;
    Ok((contact, generation))
}

/// A session, and since when a newer one is in its place.
pub(crate) fn encode(session: &Session, replaced_s: Option<u64>) -> Zeroizing<Vec<u8>> {
    let pickle = session.pickle();
    let mut out = start(9 + pickle.len());
    put_option(&mut out, replaced_s, |out, at| out.put_u64(at));
    out.put(&pickle);
    out
}

pub(crate) fn decode(bytes: &[u8]) -> Result<(Session, Option<u64>), RecordError> {
    read(bytes, |r| {
        let replaced_s = read_option(r, Reader::u64)?;
        Ok((Session::from_pickle(r.rest())?, replaced_s))
    })
}
