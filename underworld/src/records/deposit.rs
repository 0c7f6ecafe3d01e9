//! Rows of deposits of ours.

use hermes_wire::{
    Wire as _,
    codec::{Put as _, Reader},
    deposit::MAX_RECORD,
    ids::{DepositId, Epoch, MailboxId, NodeKey},
};
use zeroize::Zeroizing;

use super::{RecordError, bad, read, read_contact, start};
use crate::proto::{OutDeposit, Purpose};

/// Receipts in one row.
const RECEIPTS_MAX: usize = 255;

pub(crate) fn encode(kept: &OutDeposit) -> Zeroizing<Vec<u8>> {
    let mut out = start(96 + 16 * kept.frames.len() + 32 * kept.receipts.len());
    out.put(&kept.contact.0.to_be_bytes());
    out.put_u8(code(kept.purpose));
    kept.mailbox.encode(&mut out);
    out.put_u8(kept.k);
    kept.epoch.encode(&mut out);
    kept.id.encode(&mut out);
    out.put_u32(kept.expiry);
    out.put_u64(kept.created_ms);
    out.put_u8(kept.round);
    put_runs(&mut out, kept.frames.iter().copied());
    out.put_u8(u8::try_from(kept.receipts.len()).unwrap_or(u8::MAX));
    for node in kept.receipts.iter().take(RECEIPTS_MAX) {
        node.encode(&mut out);
    }
    out
}

pub(crate) fn decode(bytes: &[u8]) -> Result<OutDeposit, RecordError> {
    read(bytes, |r| {
        Ok(OutDeposit {
            contact: read_contact(r)?,
            purpose: purpose(r.u8()?)?,
            mailbox: MailboxId::read(r)?,
            k: r.u8()?,
            epoch: Epoch::read(r)?,
            id: DepositId::read(r)?,
            expiry: r.u32()?,
            created_ms: r.u64()?,
            round: r.u8()?,
            frames: read_runs(r)?,
            receipts: {
                let n = r.count8("receipts", 0, RECEIPTS_MAX)?;
                (0..n).map(|_| NodeKey::read(r)).collect::<Result<_, _>>()?
            },
            record: None,
            active: false,
            failures: 0,
            revoked: std::collections::BTreeSet::new(),
            told: None,
        })
    })
}

pub(crate) fn encode_body(record: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = start(record.len());
    out.put(record);
    out
}

pub(crate) fn decode_body(bytes: &[u8]) -> Result<Vec<u8>, RecordError> {
    read(bytes, |r| match r.left() {
        len if len > MAX_RECORD => Err(hermes_wire::DecodeError::Length {
            field: "deposit",
            len,
        }
        .into()),
        _ => Ok(r.rest().to_vec()),
    })
}

/// Numbers as runs of neighbours: a batch is mostly one run.
fn put_runs(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(n) => *last = n,
            _ => runs.push((n, n)),
        }
    }
    out.put_u16(u16::try_from(runs.len()).unwrap_or(u16::MAX));
    for (first, last) in runs {
        out.put_u64(first);
        out.put_u64(last);
    }
}

fn read_runs(r: &mut Reader<'_>) -> Result<std::collections::BTreeSet<u64>, RecordError> {
    let n = r.count16("runs", 0, hermes_wire::packet::FRAMES_MAX)?;
    let mut numbers = std::collections::BTreeSet::new();
    for _ in 0..n {
        let (first, last) = (r.u64()?, r.u64()?);
        let len = last.checked_sub(first).ok_or(bad("run", first))?;
        if len >= hermes_wire::packet::FRAMES_MAX as u64 {
            return Err(bad("run", len).into());
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

const fn code(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Frames => 0,
        Purpose::Acks => 1,
        Purpose::Notice => 2,
        Purpose::Handshake1 => 3,
        Purpose::Handshake2 => 4,
        Purpose::Recovery1 => 5,
        Purpose::Recovery2 => 6,
    }
}

fn purpose(code: u8) -> Result<Purpose, RecordError> {
    Ok(match code {
        0 => Purpose::Frames,
        1 => Purpose::Acks,
        2 => Purpose::Notice,
        3 => Purpose::Handshake1,
        4 => Purpose::Handshake2,
        5 => Purpose::Recovery1,
        6 => Purpose::Recovery2,
        other => return Err(bad("purpose", other.into()).into()),
    })
}
