//! Rows of deposits that are done with.

use hermes_wire::{
    codec::{Put as _, Reader},
    ids::{DepositId, Epoch},
};
use zeroize::Zeroizing;

use super::{RecordError, read, read_epoch_be, start};

pub(crate) fn key(epoch: Epoch, id: &DepositId) -> Vec<u8> {
    let mut key = Vec::with_capacity(36);
    key.put(&epoch.0.to_be_bytes());
    key.put(id.as_bytes());
    key
}

pub(crate) fn read_key(key: &[u8]) -> Result<(Epoch, DepositId), RecordError> {
    let mut r = Reader::new(key);
    let epoch = read_epoch_be(&mut r)?;
    let id = DepositId(r.array()?);
    r.finish()?;
    Ok((epoch, id))
}

pub(crate) fn encode() -> Zeroizing<Vec<u8>> {
    start(0)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<(), RecordError> {
    read(bytes, |_| Ok(()))
}
