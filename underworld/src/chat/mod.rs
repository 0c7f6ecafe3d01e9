//! The chat protocol: what people tell each other, as frames of the core.
//!
//! The core delivers frames and knows nothing of what most of them mean. Here they get their meaning: a text, how far
//! somebody has read, how somebody wants to be called. Reserved kinds (replies, edits, deletions, reactions, typing,
//! groups, attachments, calls) will be further modules beside these functions; the core will not notice.

use hermes_wire::{
    DecodeError,
    ids::MessageId,
    packet::{Body, FrameKind},
};

pub use hermes_wire::packet::{NAME_MAX, TEXT_MAX};

use crate::proto::{Coalesce, Outgoing, event::Received};

/// A text cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is empty.
    #[error("the text is empty")]
    Empty,
    /// It is too long.
    #[error("the text has {len} bytes, at most {max} are possible")]
    TooLong {
        /// Its bytes.
        len: usize,
        /// The most.
        max: usize,
    },
}

/// What a friend's frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text. Written by another person: strip control characters before it reaches a terminal.
    Text(String),
    /// He has read our frames up to this number.
    Read {
        /// A `conv_seq` of ours.
        up_to: u64,
    },
    /// Something that this program does not know and may pass over.
    Unknown,
    /// Something that this program does not know and has to tell: a newer version is needed.
    NeedsNewer,
    /// Something that breaks the form of its kind.
    Malformed(DecodeError),
}

/// A text message. `msg_id` names it at both ends; a random name is given if it is absent.
///
/// # Errors
/// If it is empty or too long.
pub fn text(
    body: &str,
    msg_id: Option<MessageId>,
    expires_in_s: Option<u64>,
) -> Result<Outgoing, TextError> {
    let len = body.len();
    if len == 0 {
        return Err(TextError::Empty);
    }
    if len > TEXT_MAX {
        return Err(TextError::TooLong { len, max: TEXT_MAX });
    }
    Ok(Outgoing {
        kind: FrameKind::Text,
        critical: true,
        body: body.as_bytes().to_vec(),
        msg_id,
        expires_in_s,
        coalesce: Coalesce::Never,
    })
}

/// Says that the friend's frames up to `conv_seq` were read. While an earlier mark waits, it takes on the new number.
#[must_use]
pub fn read_up_to(conv_seq: u64) -> Outgoing {
    Outgoing {
        kind: FrameKind::Read,
        critical: false,
        body: Body::Read { up_to: conv_seq }.to_bytes(),
        msg_id: None,
        expires_in_s: None,
        coalesce: Coalesce::Replace,
    }
}

/// The body of a profile. At most [`NAME_MAX`] bytes of the name are sent.
#[must_use]
pub fn profile(name: &str, colour: u8) -> Vec<u8> {
    let mut end = name.len().min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = name.get(..end).unwrap_or_default().to_owned();
    Body::Profile { name, colour }.to_bytes()
}

/// Reads a friend's frame.
#[must_use]
pub fn read(frame: &Received) -> Message {
    match Body::parse(frame.kind, &frame.body) {
        Ok(Body::Text(text)) => Message::Text(text),
        Ok(Body::Read { up_to }) => Message::Read { up_to },
        Ok(_) if frame.critical => Message::NeedsNewer,
        Ok(_) => Message::Unknown,
        Err(error) => Message::Malformed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{
        ContactId,
        event::{Order, Via},
    };

    fn received(outgoing: Outgoing) -> Received {
        Received {
            contact: ContactId(1),
            device: 1,
            conv_seq: 1,
            msg_id: MessageId([0; 16]),
            kind: outgoing.kind,
            critical: outgoing.critical,
            sent_at_ms: 0,
            body: outgoing.body,
            order: Order::InOrder,
            via: Via::Link,
        }
    }

    #[test]
    fn what_is_sent_is_read() {
        let hi = text("hi", None, None).expect("short");
        assert_eq!(read(&received(hi)), Message::Text("hi".into()));
        assert_eq!(read(&received(read_up_to(9))), Message::Read { up_to: 9 });
    }

    #[test]
    fn texts_have_limits() {
        assert_eq!(text("", None, None), Err(TextError::Empty));
        let (len, max) = (TEXT_MAX + 1, TEXT_MAX);
        assert_eq!(
            text(&"x".repeat(len), None, None),
            Err(TextError::TooLong { len, max })
        );
        assert!(text(&"x".repeat(max), None, None).is_ok());
    }

    #[test]
    fn unknown_kinds_are_passed_over_unless_they_are_critical() {
        let unknown = |critical| {
            read(&received(Outgoing {
                kind: FrameKind::from(0x22),
                critical,
                body: vec![1, 2, 3],
                ..read_up_to(1)
            }))
        };
        assert_eq!(unknown(false), Message::Unknown);
        assert_eq!(unknown(true), Message::NeedsNewer);
        let bad = Outgoing {
            body: vec![0xff],
            ..text("x", None, None).expect("short")
        };
        assert!(matches!(read(&received(bad)), Message::Malformed(_)));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let name = "ä".repeat(40);
        let body = profile(&name, 3);
        let parsed = Body::parse(FrameKind::Profile, &body);
        let expected = "ä".repeat(32);
        assert_eq!(
            parsed,
            Ok(Body::Profile {
                name: expected,
                colour: 3
            })
        );
    }
}
