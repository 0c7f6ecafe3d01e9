//! The stored form of everything, apart from the types that are worked with.
//!
//! Every value starts with a version, so that a later program can read what an earlier one wrote, and refuses what a
//! later one wrote. Keys are made so that rows sort by contact and number. Nothing here is sealed: the driver's store
//! encrypts whole rows.

pub(crate) mod contact;
pub(crate) mod deposit;
pub(crate) mod flow;
pub(crate) mod frame;
pub(crate) mod generation;
pub(crate) mod identity;
pub(crate) mod invite;
pub(crate) mod root;
pub(crate) mod seen;
pub(crate) mod session;
mod steps;

use hermes_wire::{
    codec::{DecodeError, Put as _, Reader},
    ids::Epoch,
};
use zeroize::Zeroizing;

use crate::{
    proto::{ContactId, DepositOp},
    session::PickleError,
};

/// The version of all stored values of this program.
const VERSION: u8 = 1;

/// A stored value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A later program wrote it.
    #[error("version {got} of a stored value is unknown")]
    Version {
        /// The version found.
        got: u8,
    },
    /// It is damaged.
    #[error("a stored value is damaged: {0}")]
    Damaged(#[from] DecodeError),
    /// A session in it is damaged.
    #[error("a stored session is damaged: {0}")]
    Session(#[from] PickleError),
}

/// A buffer for a value, with its version.
fn start(capacity: usize) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(capacity + 1));
    out.put_u8(VERSION);
    out
}

/// Reads a whole value after its version.
fn read<'a, T>(
    bytes: &'a [u8],
    inside: impl FnOnce(&mut Reader<'a>) -> Result<T, RecordError>,
) -> Result<T, RecordError> {
    let mut r = Reader::new(bytes);
    match r.u8()? {
        VERSION => {}
        got => return Err(RecordError::Version { got }),
    }
    let value = inside(&mut r)?;
    r.finish()?;
    Ok(value)
}

/// The key of a contact's rows.
pub(crate) fn contact_key(contact: ContactId) -> Vec<u8> {
    contact.0.to_be_bytes().to_vec()
}

pub(crate) fn read_contact_key(key: &[u8]) -> Result<ContactId, RecordError> {
    let mut r = Reader::new(key);
    let contact = read_contact(&mut r)?;
    r.finish()?;
    Ok(contact)
}

/// The key of a frame's row.
pub(crate) fn frame_key(contact: ContactId, conv_seq: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(12);
    key.put(&contact.0.to_be_bytes());
    key.put(&conv_seq.to_be_bytes());
    key
}

pub(crate) fn read_frame_key(key: &[u8]) -> Result<(ContactId, u64), RecordError> {
    let mut r = Reader::new(key);
    let contact = read_contact(&mut r)?;
    let conv_seq = u64::from_be_bytes(r.array()?);
    r.finish()?;
    Ok((contact, conv_seq))
}

/// The key of a deposit's rows.
pub(crate) fn deposit_key(op: DepositOp) -> Vec<u8> {
    op.0.to_be_bytes().to_vec()
}

pub(crate) fn read_deposit_key(key: &[u8]) -> Result<DepositOp, RecordError> {
    let mut r = Reader::new(key);
    let op = DepositOp(u64::from_be_bytes(r.array()?));
    r.finish()?;
    Ok(op)
}

fn read_contact(r: &mut Reader<'_>) -> Result<ContactId, DecodeError> {
    Ok(ContactId(u32::from_be_bytes(r.array()?)))
}

fn read_epoch_be(r: &mut Reader<'_>) -> Result<Epoch, DecodeError> {
    Ok(Epoch(u32::from_be_bytes(r.array()?)))
}

/// Writes what may be absent.
fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.put_u8(value.is_some().into());
    if let Some(value) = value {
        put(out, value);
    }
}

/// Reads what may be absent.
fn read_option<'a, T, E: From<DecodeError>>(
    r: &mut Reader<'a>,
    inside: impl FnOnce(&mut Reader<'a>) -> Result<T, E>,
) -> Result<Option<T>, E> {
    Ok(if read_bool(r, "option")? {
        Some(inside(r)?)
    } else {
        None
    })
}

fn read_bool(r: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(bad(field, value.into())),
    }
}

fn bad(field: &'static str, value: u64) -> DecodeError {
    DecodeError::Value { field, value }
}

/// Bytes after a `u32` length; what the other lengths cannot express.
fn put_var32(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.put_u32(len);
    out.put(bytes);
}

fn read_var32<'a>(r: &mut Reader<'a>, field: &'static str) -> Result<&'a [u8], DecodeError> {
    let len = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
    if len > r.left() {
        return Err(DecodeError::Length { field, len });
    }
    r.take(len)
}

#[cfg(test)]
mod tests;
