//! Frames on a stream: `len u32 ‖ type u8 ‖ id u32 ‖ body`, little-endian, `len` counting what follows it.
//!
//! Pure: bytes in, frames out. What a frame means is decided by its type and id ([`Frame::class`]):
//!
//! | type | id | meaning |
//! |---|---|---|
//! | any | 0 | push, one way |
//! | < 0x80 | not 0 | request; the id is the requester's choice |
//! | ≥ 0x80 | not 0 | answer to the request with that id: its type with the top bit set, or 0xFF for an error |

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// The longest body, in bytes. One page of a mailbox fits; a peer cannot make us hold more than this for one frame.
pub const BODY_LEN_MAX: usize = 262_144;

/// What `len` counts beside the body: type and id.
const COUNTED_LEN: usize = 5;

/// Bytes before the body.
pub const HEADER_LEN: usize = 4 + COUNTED_LEN;

/// The type of an error answer.
pub const ERROR_ANSWER: u8 = 0xff;

/// The type of the push that shows a channel to the other side; its body is empty and it means nothing else.
pub const OPENED: u8 = 0;

/// The bit that tells an answer's type from its request's.
pub(crate) const ANSWER_BIT: u8 = 0x80;

/// Body bytes set aside on the word of a header alone; more is set aside as the body comes in.
const TRUSTED_LEN: usize = 16 * 1024;

/// A frame that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// `len` leaves no room for type and id.
    #[error("a frame of {len} bytes has no room for type and id")]
    TooShort {
        /// The length in the header.
        len: u32,
    },
    /// `len` is above the cap.
    #[error("a frame of {len} bytes is too long")]
    TooLong {
        /// The length in the header.
        len: u32,
    },
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The type.
    pub kind: u8,
    /// The id; 0 in a push.
    pub id: u32,
    /// The rest. It has memory of its own, so holding it holds nothing else.
    pub body: Bytes,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One way.
    Push,
    /// Wants an answer.
    Request,
    /// Is one.
    Answer,
}

impl Frame {
    /// What this frame is.
    #[must_use]
    pub fn class(&self) -> Class {
        match (self.id, self.kind & ANSWER_BIT) {
            (0, _) => Class::Push,
            (_, 0) => Class::Request,
            _ => Class::Answer,
        }
    }
}

/// Appends a frame to `out`. Bodies above [`BODY_LEN_MAX`] must have been refused before.
pub fn encode(out: &mut BytesMut, kind: u8, id: u32, body: &[u8]) {
    debug_assert!(body.len() <= BODY_LEN_MAX, "the caller checks the length");
    let len = u32::try_from(COUNTED_LEN + body.len()).unwrap_or(u32::MAX);
    out.reserve(HEADER_LEN + body.len());
    out.put_u32_le(len);
    out.put_u8(kind);
    out.put_u32_le(id);
    out.put_slice(body);
}

/// Puts frames together from the pieces in which a stream delivers them.
#[derive(Debug, Default)]
pub struct Decoder {
    header: [u8; HEADER_LEN],
    header_len: usize,
    body: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    kind: u8,
    id: u32,
    len: usize,
    bytes: Vec<u8>,
}

impl Decoder {
    /// Takes bytes from the front of `input` until a frame is whole or the input is used up (`None`).
    ///
    /// # Errors
    ///
    /// When the bytes are no frame; the stream cannot be read on after that.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        let mut partial = match self.body.take() {
            Some(partial) => partial,
            None => match self.header(input)? {
                Some(partial) => partial,
                None => return Ok(None),
            },
        };
        partial.fill(input);
        if partial.bytes.len() < partial.len {
            self.body = Some(partial);
            return Ok(None);
        }
        Ok(Some(Frame {
            kind: partial.kind,
            id: partial.id,
            body: Bytes::from(partial.bytes),
        }))
    }

    /// Whether the bytes so far end between two frames.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.header_len == 0 && self.body.is_none()
    }

    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Partial>, FrameError> {
        let missing = &mut self.header[self.header_len..];
        let count = missing.len().min(input.len());
        let (now, later) = input.split_at(count);
        missing[..count].copy_from_slice(now);
        *input = later;
        self.header_len += count;
        if self.header_len < HEADER_LEN {
            return Ok(None);
        }
        self.header_len = 0;
        let [l0, l1, l2, l3, kind, i0, i1, i2, i3] = self.header;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let id = u32::from_le_bytes([i0, i1, i2, i3]);
        let body_len = (len as usize)
            .checked_sub(COUNTED_LEN)
            .ok_or(FrameError::TooShort { len })?;
        if body_len > BODY_LEN_MAX {
            return Err(FrameError::TooLong { len });
        }
        Ok(Some(Partial {
            kind,
            id,
            len: body_len,
            bytes: Vec::with_capacity(body_len.min(TRUSTED_LEN)),
        }))
    }
}

impl Partial {
    fn fill(&mut self, input: &mut &[u8]) {
        let count = (self.len - self.bytes.len()).min(input.len());
        let (now, later) = input.split_at(count);
        if self.bytes.capacity() - self.bytes.len() < count {
            // Doubling, but never beyond what the frame can hold.
            let room = (self.bytes.len() + count)
                .max(2 * self.bytes.len())
                .min(self.len);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(now);
        *input = later;
    }
}

#[cfg(test)]
mod tests;
