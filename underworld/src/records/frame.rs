//! Rows of frames: ours that are not acknowledged, and theirs that are held beyond a gap.

use hermes_wire::{
    Wire as _,
    codec::{Put as _, Reader},
    ids::MessageId,
    packet::{Frame, FrameKind},
};
use zeroize::Zeroizing;

use super::{RecordError, bad, put_option, read, read_bool, read_option, start};
use crate::proto::{Held, OutFrame, event::Via};

pub(crate) fn encode_out(frame: &OutFrame) -> Zeroizing<Vec<u8>> {
    let mut out = start(64 + frame.body.len());
    out.put_u8(frame.kind.code());
    out.put_u8(frame.critical.into());
    frame.msg_id.encode(&mut out);
    out.put_u64(frame.sent_at_ms);
    put_option(&mut out, frame.expires_at_ms, |out, at| out.put_u64(at));
    out.put(&frame.body);
    out
}

/// A frame of ours. Whether it was encrypted before is not stored, so it counts as if.
pub(crate) fn decode_out(bytes: &[u8]) -> Result<OutFrame, RecordError> {
    read(bytes, |r| {
        Ok(OutFrame {
            kind: FrameKind::from(r.u8()?),
            critical: read_bool(r, "critical")?,
            msg_id: MessageId::read(r)?,
            sent_at_ms: r.u64()?,
            expires_at_ms: read_option(r, Reader::u64)?,
            body: r.rest().to_vec(),
            touched: true,
            since_load: false,
            deposit: None,
        })
    })
}

pub(crate) fn encode_held(held: &Held) -> Zeroizing<Vec<u8>> {
    let mut out = start(64 + held.frame.body.len());
    out.put_u8(match held.via {
        Via::Link => 0,
        Via::Keepers => 1,
    });
    held.frame.encode(&mut out);
    out
}

pub(crate) fn decode_held(bytes: &[u8]) -> Result<Held, RecordError> {
    read(bytes, |r| {
        let via = match r.u8()? {
            0 => Via::Link,
            1 => Via::Keepers,
            other => return Err(bad("way", other.into()).into()),
        };
        Ok(Held {
            frame: Frame::read(r)?,
            via,
        })
    })
}
