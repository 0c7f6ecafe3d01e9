use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn packet() -> Packet {
    let mut acks = AckRanges::new();
    for number in [1, 2, 3, 7, 9, 10] {
        assert_eq!(acks.insert(number), Inserted::New);
    }
    let frame = |kind, conv_seq, body: Body| Frame {
        kind,
        critical: conv_seq == 5,
        conv_seq,
        msg_id: MessageId([0xab; 16]),
        sent_at: 1_767_225_600_000,
        body: body.to_bytes(),
    };
    Packet {
        device: FIRST_DEVICE,
        floor: 4,
        acks,
        frames: vec![
            frame(FrameKind::Text, 5, Body::Text("grüß dich".to_owned())),
            frame(FrameKind::Read, 0, Body::Read { up_to: 10 }),
        ],
    }
}

#[test]
fn bytes_of_a_packet() {
    let text = "grüß dich".as_bytes();
    let expected = [
        &[1, 0, 1, 0][..],
        &4_u64.to_le_bytes(),
        &[3],
        &[1, 3, 7, 7, 9, 10].map(u64::to_le_bytes).concat(),
        &[2, 0],
        &[0x20, 1],
        &5_u64.to_le_bytes(),
        &[0xab; 16],
        &1_767_225_600_000_u64.to_le_bytes(),
        &[text.len() as u8, 0],
        text,
        &[0x21, 0],
        &0_u64.to_le_bytes(),
        &[0xab; 16],
        &1_767_225_600_000_u64.to_le_bytes(),
        &[8, 0],
        &10_u64.to_le_bytes(),
    ]
    .concat();
    let packet = packet();
    assert_eq!(packet.to_bytes(), expected);
    assert_eq!(packet.encoded_len(), expected.len());
    assert_eq!(Packet::decode(&expected).unwrap(), packet);
}

#[test]
fn mangled_packets_are_refused_or_mean_something_else() {
    let packet = packet();
    let bytes = packet.to_bytes();
    for len in 0..bytes.len() {
        assert!(Packet::decode(&bytes[..len]).is_err(), "length {len}");
    }
    assert_eq!(
        Packet::decode(&[bytes.as_slice(), &[0]].concat()),
        Err(DecodeError::Trailing { left: 1 })
    );
    for bit in 0..bytes.len() * 8 {
        let mut mangled = bytes.clone();
        mangled[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Packet::decode(&mangled) {
            assert!(other != packet && other.to_bytes() == mangled, "bit {bit}");
        }
    }
}

#[test]
fn reserved_bits_and_caps_are_kept() {
    let empty = Packet {
        frames: Vec::new(),
        acks: AckRanges::new(),
        ..packet()
    };
    let bytes = empty.to_bytes();
    let with = |at: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[at] = value;
        Packet::decode(&changed)
    };
    let value = |field, value| Err(DecodeError::Value { field, value });
    assert_eq!(with(0, 2), value("packet version", 2));
    assert_eq!(with(1, 1), value("packet flags", 1));
    let length = |field, len| Err(DecodeError::Length { field, len });
    assert_eq!(with(12, 33), length("ack ranges", 33));
    assert_eq!(with(14, 3), length("frames", 768));
    assert_eq!(
        Packet::decode(&vec![0; PACKET_MAX + 1]),
        length("packet", PACKET_MAX + 1)
    );

    let mut frame = packet().frames.remove(0).to_bytes();
    frame[1] = 2;
    let refused = DecodeError::Value {
        field: "frame flags",
        value: 2,
    };
    assert_eq!(Frame::decode(&frame), Err(refused));
}

#[test]
fn a_packet_fills_up_to_its_limits() {
    let mut packet = packet();
    let small = Frame {
        body: Vec::new(),
        ..packet.frames[0].clone()
    };
    while packet.has_room_for(&small) {
        packet.frames.push(small.clone());
    }
    assert_eq!(packet.frames.len(), FRAMES_MAX);
    packet.frames.clear();
    let room = PACKET_MAX - packet.encoded_len() - small.encoded_len();
    let body = |len| Frame {
        body: vec![0; len],
        ..small.clone()
    };
    assert!(!packet.has_room_for(&body(room + 1)));
    assert!(packet.has_room_for(&body(room)));
    packet.frames.push(body(room));
    let bytes = packet.to_bytes();
    assert_eq!(bytes.len(), PACKET_MAX);
    assert_eq!(Packet::decode(&bytes).unwrap(), packet);
}

#[test]
fn all_kinds_have_their_number() {
    for code in 0..=u8::MAX {
        assert_eq!(FrameKind::from(code).code(), code);
    }
    assert_eq!(FrameKind::from(0x22), FrameKind::Other(0x22));
}

#[test]
fn bodies_return_and_refuse_damage() {
    let name = "n".repeat(NAME_MAX);
    let bodies = [
        Body::AddressUpdate(vec![1, 2]),
        Body::RekeyOffer(vec![3]),
        Body::RekeyAnswer(vec![4]),
        Body::Recovered { counter: 77 },
        Body::Farewell,
        Body::Profile { name, colour: 3 },
        Body::Text("t".repeat(TEXT_MAX)),
        Body::Read { up_to: 8 },
    ];
    for body in bodies {
        let bytes = body.to_bytes();
        assert_eq!(Body::parse(body.kind(), &bytes).as_ref(), Ok(&body));
        let longer = [bytes.as_slice(), &[0xff]].concat();
        match Body::parse(body.kind(), &longer) {
            Ok(Body::AddressUpdate(_) | Body::RekeyOffer(_) | Body::RekeyAnswer(_)) => {}
            other => assert!(other.is_err(), "{other:?}"),
        }
    }
    assert_eq!(
        Body::parse(FrameKind::Other(0x22), &[1, 2]),
        Ok(Body::Other(0x22))
    );
    for (kind, bytes) in [
        (FrameKind::Text, &b""[..]),
        (FrameKind::Text, &[0xff]),
        (FrameKind::Profile, &[1, 0xff, 0]),
        (
            FrameKind::Profile,
            &[[65].as_slice(), &[b'n'; 65], &[0]].concat(),
        ),
        (FrameKind::Recovered, &[0; 7]),
        (FrameKind::Read, &[0; 9]),
        (FrameKind::Farewell, &[0]),
    ] {
        assert!(Body::parse(kind, bytes).is_err(), "{kind:?} {bytes:?}");
    }
}

#[test]
fn session_messages() {
    let message = SessionMessage {
        generation: 258,
        olm_type: 1,
        olm: vec![9, 8],
    };
    assert_eq!(message.to_bytes(), [2, 1, 1, 9, 8]);
    assert_eq!(SessionMessage::decode(&message.to_bytes()), Ok(message));
    for bad in [&[2, 1, 2, 9][..], &[2, 1, 1], &[2, 1], &[2], &[]] {
        assert!(SessionMessage::decode(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn ack_ranges_on_the_wire_rise_with_gaps_between() {
    let bytes = |ranges: &[(u64, u64)]| {
        let mut out = vec![ranges.len() as u8];
        put_all(ranges, &mut out);
        out
    };
    for good in [
        &[(1, 1)][..],
        &[(1, 5), (7, 7)],
        &[(3, 4), (9, u64::MAX)],
        &[(u64::MAX, u64::MAX)],
    ] {
        let ranges = AckRanges::decode(&bytes(good)).unwrap();
        assert_eq!(ranges.iter().collect::<Vec<_>>(), good);
    }
    for bad in [
        &[(0, 1)][..],
        &[(2, 1)],
        &[(1, 5), (6, 7)],
        &[(1, 5), (5, 7)],
        &[(8, 9), (1, 2)],
        &[(1, u64::MAX), (3, 4)],
    ] {
        assert!(AckRanges::decode(&bytes(bad)).is_err(), "{bad:?}");
    }
}

fn put_all(ranges: &[(u64, u64)], out: &mut Vec<u8>) {
    for (first, last) in ranges {
        out.put_u64(*first);
        out.put_u64(*last);
    }
}

#[test]
fn a_set_stays_within_its_cap() {
    let mut set = AckRanges::new();
    for n in 1..=SET_RANGES_MAX as u64 {
        assert_eq!(set.insert(10 * n), Inserted::New);
    }
    assert_eq!(set.insert(5), Inserted::Full);
    assert_eq!(set.insert(u64::MAX), Inserted::Full);
    assert!(!set.contains(5) && !set.contains(u64::MAX));
    assert_eq!(
        set.insert(11),
        Inserted::New,
        "growing a range needs no room"
    );
    assert_eq!(set.insert(9), Inserted::New);
    assert_eq!(set.insert(0), Inserted::Known);
    set.fill_below(5);
    assert_eq!((set.contiguous(), set.len()), (4, SET_RANGES_MAX + 1));
    let mut stored = Vec::new();
    set.encode_stored(&mut stored);
    let mut r = Reader::new(&stored);
    assert_eq!(AckRanges::read_stored(&mut r), Ok(set.clone()));
    assert_eq!(r.finish(), Ok(()));

    let sent = AckRanges::decode(&set.to_bytes()).unwrap();
    assert_eq!(sent, set.for_packet());
    assert!(sent.iter().eq(set.iter().take(ACK_RANGES_MAX)));

    let mut far = AckRanges::new();
    far.insert(1_000_000);
    far.insert(12);
    set.merge(&far);
    assert!(set.contains(12) && !set.contains(1_000_000));
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u64),
    Fill(u64),
    Merge(Vec<u64>),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..60_u64).prop_map(Op::Insert),
        1 => (0..60_u64).prop_map(Op::Fill),
        1 => prop::collection::vec(1..60_u64, 0..6).prop_map(Op::Merge),
    ]
}

proptest! {
    /// The set of ranges against a plain set of numbers.
    #[test]
    fn ranges_behave_as_a_set(ops in prop::collection::vec(op(), 0..80)) {
        let (mut ranges, mut plain) = (AckRanges::new(), BTreeSet::new());
        for op in ops {
            match op {
                Op::Insert(n) => {
                    let new = n != 0 && plain.insert(n);
                    prop_assert_eq!(ranges.insert(n), if new { Inserted::New } else { Inserted::Known });
                }
                Op::Fill(floor) => {
                    ranges.fill_below(floor);
                    plain.extend(1..floor);
                }
                Op::Merge(numbers) => {
                    let mut other = AckRanges::new();
                    for n in &numbers {
                        other.insert(*n);
                    }
                    ranges.merge(&other);
                    plain.extend(numbers);
                }
            }
            let flat: Vec<u64> = ranges.iter().flat_map(|(first, last)| first..=last).collect();
            prop_assert!(flat.iter().eq(plain.iter()));
            prop_assert!(ranges.iter().zip(ranges.iter().skip(1)).all(|(a, b)| a.1 + 1 < b.0));
            for n in 0..62 {
                prop_assert_eq!(ranges.contains(n), plain.contains(&n));
                prop_assert_eq!(ranges.missing_up_to(n), n - plain.range(..=n).count() as u64);
            }
            prop_assert_eq!(ranges.contiguous(), (1..).take_while(|n| plain.contains(n)).last().unwrap_or(0));
            prop_assert_eq!(ranges.largest(), plain.last().copied());
        }
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert_eq!(packet.to_bytes(), bytes.clone());
        }
        let _ = AckRanges::decode(&bytes);
        let _ = SessionMessage::decode(&bytes);
        for code in 0..0x30 {
            let _ = Body::parse(FrameKind::from(code), &bytes);
        }
    }
}

#[test]
fn address_updates_are_for_one_recipient() {
    use crate::handshake::tests::{net, person};
    let (alice, bob, eve) = (person(1), person(2), person(3));
    let (ik_a, ik_b, ik_e) = (alice.identity.ik(), bob.identity.ik(), eve.identity.ik());
    let update = AddressUpdate::sign(net(), &alice.identity, &ik_b, &alice.bundle, 6);
    let bytes = update.to_bytes();
    let read = AddressUpdate::decode(&bytes).unwrap();
    assert_eq!(
        (&read, read.previous, &read.bundle),
        (&update, 6, &alice.bundle)
    );
    assert!(read.verify(net(), &ik_a, &ik_b).is_ok());
    assert!(
        read.verify(net(), &ik_a, &ik_e).is_err(),
        "handed on to somebody else"
    );
    assert!(
        read.verify(net(), &ik_e, &ik_b).is_err(),
        "claimed by somebody else"
    );
    for at in [0, 10, bytes.len() - 66, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let refused = AddressUpdate::decode(&changed)
            .map_or(true, |update| update.verify(net(), &ik_a, &ik_b).is_err());
        assert!(refused, "byte {at}");
    }
    for len in (0..bytes.len()).step_by(50) {
        assert!(AddressUpdate::decode(&bytes[..len]).is_err());
    }
}
