//! The parts of a contact's row that belong to re-keyings and recoveries.

use hermes_wire::{
    Wire as _,
    codec::{Put as _, Reader},
    pair::{OuterChain, SessionRoot},
    recovery::{Counters, Starter},
    rekey::Offering,
};
use zeroize::Zeroizing;

use super::{RecordError, bad, put_option, put_var32, read_option, read_var32};
use crate::proto::{Recovery, RecoveryAnswered, Rekey, RekeyAnswered, RekeyStep};

/// Starts in one row; more than a day allows.
const STARTS_MAX: usize = 16;

pub(super) fn put_rekey(out: &mut Vec<u8>, rekey: &Rekey) {
    out.put_u64(rekey.last_s);
    match &rekey.step {
        RekeyStep::Idle => out.put_u8(0),
        RekeyStep::Offered(offering) => {
            out.put_u8(1);
            offering.encode(out);
        }
        RekeyStep::Answered(answered) => {
            out.put_u8(2);
            out.put(&answered.id);
            out.put_u64(answered.conv_seq);
            out.put(&answered.peer_ratchet);
            answered.root.encode(out);
            out.put(answered.s_rekey.as_slice());
            answered.incoming.encode(out);
            answered.outgoing.encode(out);
        }
        RekeyStep::Agreed {
            generation,
            outgoing,
        } => {
            out.put_u8(3);
            out.put_u16(*generation);
            outgoing.encode(out);
        }
    }
}

pub(super) fn read_rekey(r: &mut Reader<'_>) -> Result<Rekey, RecordError> {
    Ok(Rekey {
        last_s: r.u64()?,
        step: match r.u8()? {
            0 => RekeyStep::Idle,
            1 => RekeyStep::Offered(Box::new(Offering::read(r)?)),
            2 => RekeyStep::Answered(Box::new(RekeyAnswered {
                id: r.array()?,
                conv_seq: r.u64()?,
                peer_ratchet: r.array()?,
                root: SessionRoot::read(r)?,
                s_rekey: Zeroizing::new(r.array()?),
                incoming: OuterChain::read(r)?,
                outgoing: OuterChain::read(r)?,
            })),
            3 => RekeyStep::Agreed {
                generation: r.u16()?,
                outgoing: OuterChain::read(r)?,
            },
            other => return Err(bad("step of a re-keying", other.into()).into()),
        },
    })
}

pub(super) fn put_recovery(out: &mut Vec<u8>, recovery: &Recovery) {
    recovery.counters.encode(out);
    put_option(out, recovery.open.as_ref(), |out, starter| {
        put_var32(out, &Zeroizing::new(starter.to_bytes()));
    });
    put_option(out, recovery.answered.as_ref(), |out, answered| {
        out.put_u64(answered.counter);
        out.put_u16(answered.replaced);
        out.put_u64(answered.notice_seq);
        out.put_u64(answered.heard_s);
        put_var32(out, &answered.content);
    });
    let starts = recovery.starts_s.iter().take(STARTS_MAX);
    out.put_u8(u8::try_from(starts.len()).unwrap_or_default());
    for at in starts {
        out.put_u64(*at);
    }
}

pub(super) fn read_recovery(r: &mut Reader<'_>) -> Result<Recovery, RecordError> {
    Ok(Recovery {
        counters: Counters::read(r)?,
        open: read_option(r, |r| -> Result<_, RecordError> {
            Ok(Box::new(Starter::decode(read_var32(r, "recovery")?)?))
        })?,
        answered: read_option(r, |r| -> Result<_, RecordError> {
            Ok(RecoveryAnswered {
                counter: r.u64()?,
                replaced: r.u16()?,
                notice_seq: r.u64()?,
                heard_s: r.u64()?,
                content: Zeroizing::new(read_var32(r, "answer")?.to_vec()),
            })
        })?,
        starts_s: {
            let n = r.count8("starts", 0, STARTS_MAX)?;
            (0..n).map(|_| r.u64()).collect::<Result<_, _>>()?
        },
    })
}
