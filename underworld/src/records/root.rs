//! Rows of roots over blinded keys: of our own mailboxes and presences, and of friends' mailboxes with our paths.

use hermes_wire::{
    codec::{Put as _, Reader},
    ids::Epoch,
    slots::Hash,
};
use zeroize::Zeroizing;

use super::{RecordError, bad, contact_key, read, read_contact, read_epoch_be, start};
use crate::proto::{ContactId, Part, RootOf};

const MAILBOX: u8 = 0;
const KNOCKS: u8 = 1;
const VIEW: u8 = 2;

/// Whose a root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// One of our generations.
    Home { number: u16, of: RootOf },
    /// A contact's mailbox of an epoch.
    Contact { contact: ContactId, epoch: Epoch },
}

pub(crate) fn home_key(number: u16, of: RootOf) -> Vec<u8> {
    let mut key = Vec::with_capacity(8);
    match of {
        RootOf::Mailbox(epoch) => {
            key.put_u8(MAILBOX);
            key.put(&number.to_be_bytes());
            key.put(&epoch.0.to_be_bytes());
        }
        RootOf::Knocks(part) => {
            key.put_u8(KNOCKS);
            key.put(&number.to_be_bytes());
            key.put(&part.epoch.0.to_be_bytes());
            key.put_u8(part.part);
        }
    }
    key
}

pub(crate) fn view_key(contact: ContactId, epoch: Epoch) -> Vec<u8> {
    let mut key = vec![VIEW];
    key.put(&contact_key(contact));
    key.put(&epoch.0.to_be_bytes());
    key
}

pub(crate) fn read_key(key: &[u8]) -> Result<Owner, RecordError> {
    let mut r = Reader::new(key);
    let owner = match r.u8()? {
        MAILBOX => Owner::Home {
            number: u16::from_be_bytes(r.array()?),
            of: RootOf::Mailbox(read_epoch_be(&mut r)?),
        },
        KNOCKS => Owner::Home {
            number: u16::from_be_bytes(r.array()?),
            of: RootOf::Knocks(Part {
                epoch: read_epoch_be(&mut r)?,
                part: r.u8()?,
            }),
        },
        VIEW => Owner::Contact {
            contact: read_contact(&mut r)?,
            epoch: read_epoch_be(&mut r)?,
        },
        other => return Err(bad("root", other.into()).into()),
    };
    r.finish()?;
    Ok(owner)
}

pub(crate) fn encode(root: &Hash) -> Zeroizing<Vec<u8>> {
    let mut out = start(32);
    out.put(root);
    out
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Hash, RecordError> {
    read(bytes, |r| Ok(r.array()?))
}

/// The public part of a friend's tree, whose inside is read when it is used.
pub(crate) fn encode_view(cache: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = start(cache.len());
    out.put(cache);
    out
}

pub(crate) fn decode_view(bytes: &[u8]) -> Result<Vec<u8>, RecordError> {
    read(bytes, |r| Ok(r.rest().to_vec()))
}
