//! What all channels share: the head of a frame, error answers, names of protocols (protocol section 9).

use thiserror::Error;

use crate::codec::{DecodeError, Put, Reader, Wire};

/// The protocol name of sky channels.
pub const ALPN_SKY: &[u8] = b"hermes-sky/1";
/// The protocol name of earth channels.
pub const ALPN_EARTH: &[u8] = b"hermes-earth/1";
/// The protocol name of direct links.
pub const ALPN_LINK: &[u8] = b"hermes/1";
/// The label of the TLS exporter that binds requests to a channel; its context is empty, its length 32.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-hermes/1";
/// The least value of a frame's length field.
pub const MIN_FRAME: usize = 5;
/// The greatest value of a frame's length field.
pub const MAX_FRAME: usize = 262_149;
/// The longest body of a frame.
pub const MAX_BODY: usize = MAX_FRAME - MIN_FRAME;
/// The most requests open at once in one direction.
pub const MAX_OPEN_REQUESTS: usize = 256;
/// The bit that makes an answer's type of a request's.
pub const ANSWER: u8 = 0x80;
/// The type of error answers.
pub const ERROR: u8 = 0xff;

/// What stands before a frame's body: `len u32 ‖ type u8 ‖ id u32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// How long the body is.
    pub body_len: usize,
    /// The type.
    pub kind: u8,
    /// Which request it belongs to; 0 for a push.
    pub id: u32,
}

impl FrameHead {
    /// Its length in bytes.
    pub const LEN: usize = 9;
}

impl Wire for FrameHead {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(u32::try_from(self.body_len + MIN_FRAME).unwrap_or(u32::MAX));
        out.put_u8(self.kind);
        out.put_u32(self.id);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
        if !(MIN_FRAME..=MAX_FRAME).contains(&len) {
            return Err(DecodeError::Length {
                field: "frame",
                len,
            });
        }
        Ok(Self {
            body_len: len - MIN_FRAME,
            kind: r.u8()?,
            id: r.u32()?,
        })
    }
}

/// What went wrong with a request, as a number on the wire. Numbers unknown to us are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u8);

#[allow(
    missing_docs,
    reason = "the names say what the specification's list says"
)]
impl ErrorCode {
    pub const MALFORMED: Self = Self(1);
    pub const SIGNATURE: Self = Self(2);
    pub const PATH: Self = Self(3);
    pub const EXPIRY: Self = Self(4);
    pub const QUOTA: Self = Self(5);
    pub const REVOKED: Self = Self(6);
    pub const FULL: Self = Self(7);
    pub const STAMP_NEEDED: Self = Self(8);
    pub const RATE: Self = Self(9);
    pub const UNKNOWN: Self = Self(10);
    pub const DELETED: Self = Self(11);
    pub const LEAVING: Self = Self(12);
    pub const UNSUPPORTED: Self = Self(13);
    pub const ABSENT: Self = Self(14);
    pub const REFUSED: Self = Self(15);
    pub const NOT_MINE: Self = Self(16);
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub code: ErrorCode,
    /// After how many seconds another try makes sense; 0 when it does not matter.
    pub retry_after_s: u32,
    text: String,
}

impl ErrorAnswer {
    /// An answer without a text.
    #[must_use]
    pub const fn new(code: ErrorCode) -> Self {
        Self {
            code,
            retry_after_s: 0,
            text: String::new(),
        }
    }

    /// The same with a text, of which at most 255 bytes are kept.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = ends.take_while(|end| *end <= 255).last().unwrap_or(0);
        text.get(..end)
            .unwrap_or_default()
            .clone_into(&mut self.text);
        self
    }

    /// The same with a time to wait.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = seconds;
        self
    }

    /// The text. It comes from the other side: for logs only, and not to be trusted.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Wire for ErrorAnswer {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.code.0);
        out.put_u32(self.retry_after_s);
        out.put_var8(self.text.as_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = ErrorCode(r.u8()?);
        let retry_after_s = r.u32()?;
        Ok(Self {
            code,
            retry_after_s,
            text: r.text8("error text", 255)?.to_owned(),
        })
    }
}

/// Why a request or push cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Its type is unknown here.
    #[error("requests of type {kind:#04x} are not supported")]
    Unsupported {
        /// The type.
        kind: u8,
    },
    /// Its body is malformed.
    #[error("malformed request: {0}")]
    Malformed(#[from] DecodeError),
}

impl RequestError {
    /// The code to answer with.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unsupported { .. } => ErrorCode::UNSUPPORTED,
            Self::Malformed(_) => ErrorCode::MALFORMED,
        }
    }
}

/// Reads all of `body` with `read`.
pub(crate) fn whole<'a, T, E: From<DecodeError>>(
    body: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, E>,
) -> Result<T, E> {
    let mut r = Reader::new(body);
    let value = read(&mut r)?;
    r.finish()?;
    Ok(value)
}
