//! The contents of deposit bodies (protocol section 7): what a body is, once it is open.

use crate::{
    codec::{DecodeError, Put as _, Wire as _},
    packet::SessionMessage,
};

/// Kind of a session message.
pub const SESSION: u8 = 1;
/// Kind of the first message of a handshake.
pub const HANDSHAKE_1: u8 = 2;
/// Kind of the second message of a handshake.
pub const HANDSHAKE_2: u8 = 3;
/// Kind of the first message of a recovery.
pub const RECOVERY_1: u8 = 4;
/// Kind of the second message of a recovery.
pub const RECOVERY_2: u8 = 5;

/// An opened content. Handshakes and recoveries keep their kind byte, since the modules that read them check it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content<'a> {
    /// A session message.
    Session(SessionMessage),
    /// For [`crate::handshake::Inviter::read`].
    Handshake1(&'a [u8]),
    /// For [`crate::handshake::Invitee::finish`].
    Handshake2(&'a [u8]),
    /// For [`crate::recovery::Parties::read`].
    Recovery1(&'a [u8]),
    /// For [`crate::recovery::Starter::finish`].
    Recovery2(&'a [u8]),
    /// A kind that this version does not know; it is passed over.
    Other(u8),
}

impl<'a> Content<'a> {
    /// Tells contents apart.
    ///
    /// # Errors
    /// If there is no kind byte, or a session message is malformed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (&kind, body) = bytes
            .split_first()
            .ok_or(DecodeError::Truncated { needed: 1, left: 0 })?;
        Ok(match kind {
            SESSION => Self::Session(SessionMessage::decode(body)?),
            HANDSHAKE_1 => Self::Handshake1(bytes),
            HANDSHAKE_2 => Self::Handshake2(bytes),
            RECOVERY_1 => Self::Recovery1(bytes),
            RECOVERY_2 => Self::Recovery2(bytes),
            other => Self::Other(other),
        })
    }

    /// The content that carries a session message.
    #[must_use]
    pub fn session(message: &SessionMessage) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + message.olm.len());
        out.put_u8(SESSION);
        message.encode(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_told_apart() {
        let message = SessionMessage {
            generation: 1,
            olm_type: 0,
            olm: vec![7],
        };
        let bytes = Content::session(&message);
        assert_eq!(bytes, [1, 1, 0, 0, 7]);
        assert_eq!(Content::parse(&bytes), Ok(Content::Session(message)));
        assert_eq!(Content::parse(&[2, 9]), Ok(Content::Handshake1(&[2, 9])));
        assert_eq!(Content::parse(&[3, 9]), Ok(Content::Handshake2(&[3, 9])));
        assert_eq!(Content::parse(&[4, 9]), Ok(Content::Recovery1(&[4, 9])));
        assert_eq!(Content::parse(&[5, 9]), Ok(Content::Recovery2(&[5, 9])));
        assert_eq!(Content::parse(&[6, 9]), Ok(Content::Other(6)));
        assert!(Content::parse(&[]).is_err());
        assert!(Content::parse(&[1, 0, 0, 2, 9]).is_err());
    }
}
