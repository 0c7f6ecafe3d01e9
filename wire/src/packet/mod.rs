//! What travels inside a ratchet session: packets of frames (protocol section 15).
//!
//! A [`SessionMessage`] names the session and carries an Olm message; its plaintext is a [`Packet`]. A packet says what its sender
//! has received ([`AckRanges`]), from where on he still offers frames (`floor`), and carries frames. Each [`Frame`] is one thing that
//! one person tells another: a text, a mark, a new address. Reliable frames are numbered per direction, without gaps and for ever,
//! across sessions and recoveries; the number is what acknowledgements, order and duplicates hang on.

mod acks;
mod body;
mod update;

pub use acks::{ACK_RANGES_MAX, AckRanges, Inserted, SET_RANGES_MAX};
pub use body::{Body, NAME_MAX, TEXT_MAX};
pub use update::AddressUpdate;

use crate::{
    codec::{DecodeError, Put, Reader, Wire},
    ids::MessageId,
};

/// Bytes of a packet. One of this size, encrypted as the first message of a session, still fits the largest deposit.
pub const PACKET_MAX: usize = 65_280;

/// Frames in one packet.
pub const FRAMES_MAX: usize = 512;

/// Bytes of a packet without ranges and frames.
const HEAD_LEN: usize = 15;

/// Bytes of a frame without its body.
const FRAME_HEAD_LEN: usize = 36;

/// The device number of a person's only device.
pub const FIRST_DEVICE: u16 = 1;

/// A ratchet message with the number of its session (section 15.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMessage {
    /// Which session of the pair, counted from 0.
    pub generation: u16,
    /// Olm's message type: 0 pre-key, 1 normal.
    pub olm_type: u8,
    /// The Olm message.
    pub olm: Vec<u8>,
}

impl Wire for SessionMessage {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.generation);
        out.put_u8(self.olm_type);
        out.put(&self.olm);
    }

    /// Reads to the end: the Olm message has no length of its own.
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let generation = r.u16()?;
        let olm_type = r.u8()?;
        if olm_type > 1 {
            let (field, value) = ("Olm message type", olm_type.into());
            return Err(DecodeError::Value { field, value });
        }
        let olm = r.rest();
        if olm.is_empty() {
            return Err(DecodeError::Truncated { needed: 1, left: 0 });
        }
        Ok(Self {
            generation,
            olm_type,
            olm: olm.to_vec(),
        })
    }
}

/// The plaintext of a session message (section 15.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The device that sends it.
    pub device: u16,
    /// Frames below this number are no longer offered.
    pub floor: u64,
    /// The numbers of the other side's frames that are durably received. The lowest [`ACK_RANGES_MAX`] ranges are written.
    pub acks: AckRanges,
    /// At most [`FRAMES_MAX`] frames.
    pub frames: Vec<Frame>,
}

/// One thing told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// Whether a receiver who does not know the kind has to say so instead of passing over it.
    pub critical: bool,
    /// The frame's number, from 1; 0 for a frame that is neither repeated nor acknowledged.
    pub conv_seq: u64,
    /// The name of what is told; the same in every repetition.
    pub msg_id: MessageId,
    /// When it was told, in Unix milliseconds by the sender's clock.
    pub sent_at: u64,
    /// The content, which [`Body::parse`] reads.
    pub body: Vec<u8>,
}

/// The kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FrameKind {
    /// 0x01: the sender's new address.
    AddressUpdate,
    /// 0x02: the offer of a re-keying.
    RekeyOffer,
    /// 0x03: the answer to one.
    RekeyAnswer,
    /// 0x04: a recovery has happened.
    Recovered,
    /// 0x05: the sender removed this contact.
    Farewell,
    /// 0x06: the sender's name and colour.
    Profile,
    /// 0x20: a text message.
    Text,
    /// 0x21: read up to a number.
    Read,
    /// A kind that this version does not know.
    Other(u8),
}

impl FrameKind {
    /// The kind's number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::AddressUpdate => 0x01,
            Self::RekeyOffer => 0x02,
            Self::RekeyAnswer => 0x03,
            Self::Recovered => 0x04,
            Self::Farewell => 0x05,
            Self::Profile => 0x06,
            Self::Text => 0x20,
            Self::Read => 0x21,
            Self::Other(code) => code,
        }
    }
}

impl From<u8> for FrameKind {
    fn from(code: u8) -> Self {
        match code {
            0x01 => Self::AddressUpdate,
            0x02 => Self::RekeyOffer,
            0x03 => Self::RekeyAnswer,
            0x04 => Self::Recovered,
            0x05 => Self::Farewell,
            0x06 => Self::Profile,
            0x20 => Self::Text,
            0x21 => Self::Read,
            code => Self::Other(code),
        }
    }
}

impl Frame {
    /// How many bytes the frame takes in a packet.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        FRAME_HEAD_LEN + self.body.len()
    }
}

impl Wire for Frame {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.kind.code());
        out.put_u8(self.critical.into());
        out.put_u64(self.conv_seq);
        self.msg_id.encode(out);
        out.put_u64(self.sent_at);
        out.put_var16(&self.body);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = FrameKind::from(r.u8()?);
        let flags = r.u8()?;
        if flags > 1 {
            let (field, value) = ("frame flags", flags.into());
            return Err(DecodeError::Value { field, value });
        }
        Ok(Self {
            kind,
            critical: flags == 1,
            conv_seq: r.u64()?,
            msg_id: MessageId::read(r)?,
            sent_at: r.u64()?,
            body: r.var16("frame body", PACKET_MAX)?.to_vec(),
        })
    }
}

impl Packet {
    /// How many bytes the packet takes; at most [`PACKET_MAX`] are allowed.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let frames: usize = self.frames.iter().map(Frame::encoded_len).sum();
        self.head_len() + frames
    }

    /// Whether one more frame fits, by count and by size.
    #[must_use]
    pub fn has_room_for(&self, frame: &Frame) -> bool {
        self.frames.len() < FRAMES_MAX && self.encoded_len() + frame.encoded_len() <= PACKET_MAX
    }

    fn head_len(&self) -> usize {
        HEAD_LEN + 16 * self.acks.len().min(ACK_RANGES_MAX)
    }
}

impl Wire for Packet {
    fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(
            self.encoded_len() <= PACKET_MAX && self.frames.len() <= FRAMES_MAX,
            "packets are filled with care"
        );
        out.put_u8(1);
        out.put_u8(0);
        out.put_u16(self.device);
        out.put_u64(self.floor);
        self.acks.encode(out);
        out.put_u16(u16::try_from(self.frames.len()).unwrap_or(u16::MAX));
        for frame in &self.frames {
            frame.encode(out);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.left() > PACKET_MAX {
            let (field, len) = ("packet", r.left());
            return Err(DecodeError::Length { field, len });
        }
        r.expect_u8("packet version", 1)?;
        r.expect_u8("packet flags", 0)?;
        let (device, floor) = (r.u16()?, r.u64()?);
        let acks = AckRanges::read(r)?;
        let count = r.count16("frames", 0, FRAMES_MAX)?;
        let frames = (0..count)
            .map(|_| Frame::read(r))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            device,
            floor,
            acks,
            frames,
        })
    }
}

#[cfg(test)]
mod tests;
