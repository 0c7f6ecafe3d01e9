//! The bodies of frames (protocol section 15.2) that need no keys to be read.
//!
//! Address updates are read by [`super::AddressUpdate`] and re-keyings by [`crate::rekey`]; [`Body`] hands them on as bytes.

use super::FrameKind;
use crate::codec::{DecodeError, Put, Reader};

/// Bytes of a text.
pub const TEXT_MAX: usize = 61_440;

/// Bytes of a name.
pub const NAME_MAX: usize = 64;

/// A frame's body, read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Section 15.2, kind 0x01, unread.
    AddressUpdate(Vec<u8>),
    /// Section 16, unread.
    RekeyOffer(Vec<u8>),
    /// Section 16, unread.
    RekeyAnswer(Vec<u8>),
    /// A recovery with this counter has happened.
    Recovered {
        /// The counter of its messages.
        counter: u64,
    },
    /// The sender removed this contact.
    Farewell,
    /// How the sender wants to be shown.
    Profile {
        /// At most [`NAME_MAX`] bytes.
        name: String,
        /// A number of the palette.
        colour: u8,
    },
    /// 1 to [`TEXT_MAX`] bytes.
    Text(String),
    /// Everything up to this number of ours is read.
    Read {
        /// A `conv_seq` of the side that receives this.
        up_to: u64,
    },
    /// A kind that this version does not know.
    Other(u8),
}

impl Body {
    /// Reads a frame's body.
    ///
    /// # Errors
    /// If it does not have the form that its kind demands.
    pub fn parse(kind: FrameKind, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let body = match kind {
            FrameKind::AddressUpdate => Self::AddressUpdate(r.rest().to_vec()),
            FrameKind::RekeyOffer => Self::RekeyOffer(r.rest().to_vec()),
            FrameKind::RekeyAnswer => Self::RekeyAnswer(r.rest().to_vec()),
            FrameKind::Recovered => Self::Recovered { counter: r.u64()? },
            FrameKind::Farewell => Self::Farewell,
            FrameKind::Profile => Self::Profile {
                name: r.text8("name", NAME_MAX)?.to_owned(),
                colour: r.u8()?,
            },
            FrameKind::Text => Self::Text(text(r.rest())?),
            FrameKind::Read => Self::Read { up_to: r.u64()? },
            FrameKind::Other(code) => {
                let _: &[u8] = r.rest();
                Self::Other(code)
            }
        };
        r.finish()?;
        Ok(body)
    }

    /// The kind under which the body travels.
    #[must_use]
    pub const fn kind(&self) -> FrameKind {
        match self {
            Self::AddressUpdate(_) => FrameKind::AddressUpdate,
            Self::RekeyOffer(_) => FrameKind::RekeyOffer,
            Self::RekeyAnswer(_) => FrameKind::RekeyAnswer,
            Self::Recovered { .. } => FrameKind::Recovered,
            Self::Farewell => FrameKind::Farewell,
            Self::Profile { .. } => FrameKind::Profile,
            Self::Text(_) => FrameKind::Text,
            Self::Read { .. } => FrameKind::Read,
            Self::Other(code) => FrameKind::Other(*code),
        }
    }

    /// The bytes of the body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::AddressUpdate(bytes) | Self::RekeyOffer(bytes) | Self::RekeyAnswer(bytes) => {
                out.put(bytes)
            }
            Self::Recovered { counter: number } | Self::Read { up_to: number } => {
                out.put_u64(*number)
            }
            Self::Farewell | Self::Other(_) => {}
            Self::Profile { name, colour } => {
                out.put_var8(name.as_bytes());
                out.put_u8(*colour);
            }
            Self::Text(text) => out.put(text.as_bytes()),
        }
        out
    }
}

fn text(bytes: &[u8]) -> Result<String, DecodeError> {
    if bytes.is_empty() || bytes.len() > TEXT_MAX {
        return Err(DecodeError::Length {
            field: "text",
            len: bytes.len(),
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8 { field: "text" })?;
    Ok(text.to_owned())
}
