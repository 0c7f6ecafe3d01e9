//! Rows of what changes with every packet.

use hermes_wire::{
    codec::{Put as _, Reader},
    packet::AckRanges,
};
use zeroize::Zeroizing;

use super::{RecordError, put_option, read, read_bool, read_option, start};
use crate::proto::{Chain, Chains, Flow, Inflow, NUMBER_MAX};

/// Pairs or chains in one row; a damaged count must not make us read on.
const LIST_MAX: usize = 64;

pub(crate) fn encode(flow: &Flow) -> Zeroizing<Vec<u8>> {
    let mut out = start(320);
    out.put_u64(flow.next_seq);
    put_option(&mut out, flow.skipped, put_pair);
    out.put_u8(flow.owes_ack.into());
    out.put_u32(flow.sent_in_session);
    out.put_u64(flow.heard_ms);
    flow.inflow.received.encode_stored(&mut out);
    out.put_u64(flow.inflow.next);
    out.put_u64(flow.inflow.floor);
    put_option(&mut out, flow.inflow.gap_since_ms, |out, at| {
        out.put_u64(at)
    });
    out.put_u8(count(flow.inflow.jumps.len()));
    for jump in &flow.inflow.jumps {
        put_pair(&mut out, *jump);
    }
    out.put_u8(count(flow.chains.read.len()));
    for chain in &flow.chains.read {
        out.put_u16(chain.session);
        out.put(&chain.ratchet_key);
        out.put_u64(chain.next);
    }
    out
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Flow, RecordError> {
    read(bytes, |r| {
        Ok(Flow {
            next_seq: r.u64()?.clamp(1, NUMBER_MAX),
            skipped: read_option(r, read_pair)?,
            owes_ack: read_bool(r, "owes")?,
            sent_in_session: r.u32()?,
            heard_ms: r.u64()?,
            inflow: read_inflow(r)?,
            chains: read_chains(r)?,
        })
    })
}

fn read_inflow(r: &mut Reader<'_>) -> Result<Inflow, RecordError> {
    let mut inflow = Inflow::default();
    inflow.received = AckRanges::read_stored(r)?;
    inflow.next = r.u64()?.clamp(1, NUMBER_MAX + 1);
    inflow.floor = r.u64()?.clamp(1, NUMBER_MAX);
    inflow.gap_since_ms = read_option(r, Reader::u64)?;
    let jumps = r.count8("jumps", 0, LIST_MAX)?;
    inflow.jumps = (0..jumps).map(|_| read_pair(r)).collect::<Result<_, _>>()?;
    Ok(inflow)
}

fn read_chains(r: &mut Reader<'_>) -> Result<Chains, RecordError> {
    let chains = r.count8("chains", 0, LIST_MAX)?;
    let chain = |_| {
        Ok(Chain {
            session: r.u16()?,
            ratchet_key: r.array()?,
            next: r.u64()?,
        })
    };
    let read = (0..chains).map(chain).collect::<Result<_, RecordError>>()?;
    Ok(Chains { read })
}

fn put_pair(out: &mut Vec<u8>, (from, to): (u64, u64)) {
    out.put_u64(from);
    out.put_u64(to);
}

fn read_pair(r: &mut Reader<'_>) -> Result<(u64, u64), RecordError> {
    Ok((r.u64()?, r.u64()?))
}

fn count(n: usize) -> u8 {
    u8::try_from(n).unwrap_or(u8::MAX)
}
