use proptest::{collection::vec, prelude::*};

use super::*;

fn encoded(frames: &[Frame]) -> BytesMut {
    let mut out = BytesMut::new();
    for frame in frames {
        encode(&mut out, frame.kind, frame.id, &frame.body);
    }
    out
}

/// Feeds `bytes` in pieces of the given sizes (repeated), and returns the frames and how it ended.
fn decoded(bytes: &[u8], pieces: &[usize]) -> (Vec<Frame>, Result<bool, FrameError>) {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    let mut rest = bytes;
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let (mut piece, later) = rest.split_at((*pieces.next().unwrap()).clamp(1, rest.len()));
        rest = later;
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
        assert!(
            piece.is_empty(),
            "a decoder that wants more has used up what it was given"
        );
    }
    (frames, Ok(decoder.is_at_boundary()))
}

fn frame() -> impl Strategy<Value = Frame> {
    (any::<u8>(), any::<u32>(), vec(any::<u8>(), 0..200)).prop_map(|(kind, id, body)| Frame {
        kind,
        id,
        body: body.into(),
    })
}

#[test]
fn layout_is_as_specified() {
    let frame = Frame {
        kind: 0x21,
        id: 0x0403_0201,
        body: Bytes::from_static(b"hi"),
    };
    assert_eq!(
        encoded(std::slice::from_ref(&frame))[..],
        [7, 0, 0, 0, 0x21, 1, 2, 3, 4, b'h', b'i']
    );
    assert_eq!(
        decoded(&[7, 0, 0, 0, 0x21, 1, 2, 3, 4, b'h', b'i'], &[3]),
        (vec![frame], Ok(true))
    );
}

#[test]
fn classes_follow_type_and_id() {
    let class = |kind, id| {
        Frame {
            kind,
            id,
            body: Bytes::new(),
        }
        .class()
    };
    assert_eq!(class(0x01, 1), Class::Request);
    assert_eq!(class(0x7f, u32::MAX), Class::Request);
    assert_eq!(class(0x80, 1), Class::Answer);
    assert_eq!(class(0xff, 9), Class::Answer);
    assert_eq!(class(0x01, 0), Class::Push);
    assert_eq!(class(0x81, 0), Class::Push);
}

#[test]
fn lengths_outside_the_rules_are_refused() {
    let header = |len: u32| [&len.to_le_bytes()[..], &[1, 1, 0, 0, 0]].concat();
    for len in 0..5 {
        assert_eq!(
            decoded(&header(len), &[9]).1,
            Err(FrameError::TooShort { len })
        );
    }
    assert_eq!(decoded(&header(5), &[9]).0.len(), 1);
    assert_eq!(decoded(&header(262_149), &[9]), (vec![], Ok(false)));
    for len in [262_150, u32::MAX] {
        assert_eq!(
            decoded(&header(len), &[9]).1,
            Err(FrameError::TooLong { len })
        );
    }
}

#[test]
fn the_largest_frame_passes_and_ends_at_its_size() {
    let whole = Frame {
        kind: 1,
        id: 7,
        body: vec![0xab; BODY_LEN_MAX].into(),
    };
    assert_eq!(
        decoded(&encoded(std::slice::from_ref(&whole)), &[1200]),
        (vec![whole], Ok(true))
    );
}

#[test]
fn a_header_alone_reserves_little() {
    let mut decoder = Decoder::default();
    let mut input = &[&262_149_u32.to_le_bytes()[..], &[1, 1, 0, 0, 0]].concat()[..];
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert!(decoder.body.unwrap().bytes.capacity() <= TRUSTED_LEN);
}

#[test]
fn bodies_hold_no_more_than_themselves() {
    for len in [
        0,
        1,
        1024,
        TRUSTED_LEN,
        TRUSTED_LEN + 1,
        100_000,
        BODY_LEN_MAX,
    ] {
        let mut partial = Partial {
            kind: 1,
            id: 1,
            len,
            bytes: Vec::with_capacity(len.min(TRUSTED_LEN)),
        };
        let body = vec![1; len];
        for mut piece in body.chunks(1200) {
            partial.fill(&mut piece);
        }
        assert_eq!((partial.bytes.len(), partial.bytes.capacity()), (len, len));
    }
}

proptest! {
    #[test]
    fn frames_survive_any_cutting(frames in vec(frame(), 0..20), pieces in vec(1_usize..300, 1..20)) {
        prop_assert_eq!(decoded(&encoded(&frames), &pieces), (frames, Ok(true)));
    }

    #[test]
    fn garbage_never_panics_and_cutting_does_not_matter(bytes in vec(any::<u8>(), 0..2000), pieces in vec(1_usize..50, 1..9)) {
        prop_assert_eq!(decoded(&bytes, &pieces), decoded(&bytes, &[usize::MAX]));
    }

    #[test]
    fn truncation_loses_the_last_frame_alone(frames in vec(frame(), 1..9), cut in 1_usize..8) {
        let bytes = encoded(&frames);
        let (got, end) = decoded(&bytes[..bytes.len() - cut], &[17]);
        prop_assert_eq!(&got[..], &frames[..frames.len() - 1]);
        prop_assert_eq!(end, Ok(false));
    }

    #[test]
    fn a_flipped_bit_stays_in_its_frame_or_is_noticed(frames in vec(frame(), 1..9), at: prop::sample::Index, bit in 0_u8..8) {
        let mut bytes = encoded(&frames);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (got, end) = decoded(&bytes, &[64]);
        prop_assert!(got != frames || end != Ok(true));
        // Up to the damaged frame everything is as sent.
        let mut offset = 0;
        for (sent, got) in frames.iter().zip(&got) {
            offset += HEADER_LEN + sent.body.len();
            if offset > at {
                break;
            }
            prop_assert_eq!(sent, got);
        }
    }
}
