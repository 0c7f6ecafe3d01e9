use std::collections::BTreeSet;

use hermes_wire::{Network, pair::SessionRoot};
use proptest::prelude::*;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::*;

fn root() -> SessionRoot {
    SessionRoot::new(
        &Network::main(),
        &Zeroizing::new([1; 32]),
        &Zeroizing::new([2; 32]),
    )
}

/// Opener and other side of one session.
fn pair() -> (Session, Session) {
    let r = [3; 32];
    let r_public = PublicKey::from(&StaticSecret::from(r)).to_bytes();
    let opener = Session::open_as_opener(&root(), &r_public, &[4; 32]).unwrap();
    (opener, Session::open_as_other(&root(), &r))
}

/// A pair in which both have heard each other.
fn warm() -> (Session, Session) {
    let (mut a, mut b) = pair();
    carry(&mut a, &mut b, b"first");
    carry(&mut b, &mut a, b"second");
    (a, b)
}

fn carry(from: &mut Session, to: &mut Session, text: &[u8]) {
    let (olm_type, message) = from.encrypt(text).unwrap();
    assert_eq!(to.decrypt(olm_type, &message).unwrap().as_slice(), text);
}

fn restart(session: &mut Session) {
    *session = Session::from_pickle(&session.pickle()).unwrap();
}

#[test]
fn the_opener_speaks_first() {
    let (mut a, mut b) = pair();
    assert!(a.can_send() && !b.can_send());
    assert_eq!(b.encrypt(b"too early"), Err(EncryptError::OpenerFirst));
    restart(&mut b);
    assert_eq!(
        b.encrypt(b"still too early"),
        Err(EncryptError::OpenerFirst)
    );
    carry(&mut a, &mut b, b"hello");
    assert!(b.can_send());
    for n in 0..5_u8 {
        carry(&mut b, &mut a, &[n]);
        carry(&mut b, &mut a, &[]);
        carry(&mut a, &mut b, &[n; 3]);
    }
}

#[test]
fn messages_are_envelopes_until_the_opener_hears_an_answer() {
    let (mut a, mut b) = pair();
    let types = |session: &mut Session| session.encrypt(b"x").unwrap().0;
    assert_eq!((types(&mut a), types(&mut a)), (0, 0));
    carry(&mut a, &mut b, b"hello");
    assert_eq!(types(&mut b), 1);
    carry(&mut b, &mut a, b"heard");
    assert_eq!(types(&mut a), 1);
}

#[test]
fn an_envelope_names_the_keys_derived_from_the_root() {
    let (mut a, _) = pair();
    let (_, message) = a.encrypt(b"x").unwrap();
    // Field 1 is the one-time key, 2 the base key, 3 the identity key.
    let [identity, base, one_time] = root().envelope();
    let expected = [
        &[3, 0x0a, 32][..],
        &one_time,
        &[0x12, 32],
        &base,
        &[0x1a, 32],
        &identity,
    ]
    .concat();
    assert_eq!(message[..expected.len()], expected);
}

#[test]
fn an_opener_refuses_ratchet_keys_of_small_order() {
    assert_eq!(
        Session::open_as_opener(&root(), &[0; 32], &[4; 32]).err(),
        Some(WeakKey)
    );
}

#[test]
fn a_message_reads_once() {
    let (mut a, mut b) = warm();
    let (olm_type, message) = a.encrypt(b"once").unwrap();
    assert!(b.decrypt(olm_type, &message).is_ok());
    assert_eq!(
        b.decrypt(olm_type, &message),
        Err(DecryptError::KeyGone { index: 0 })
    );
    restart(&mut b);
    assert_eq!(
        b.decrypt(olm_type, &message),
        Err(DecryptError::KeyGone { index: 0 })
    );
}

#[test]
fn the_keys_of_the_last_forty_skipped_messages_are_kept() {
    let (mut a, mut b) = warm();
    let messages: Vec<_> = (0..=50_u8).map(|n| a.encrypt(&[n]).unwrap()).collect();
    let (olm_type, last) = &messages[50];
    assert_eq!(b.decrypt(*olm_type, last).unwrap().as_slice(), [50]);
    restart(&mut b);
    for (n, (olm_type, message)) in messages[..50].iter().enumerate() {
        let index = n as u64;
        match b.decrypt(*olm_type, message) {
            Ok(text) => assert!(n >= 50 - SKIPPED_KEYS_MAX && text.as_slice() == [n as u8]),
            Err(error) => {
                assert!(n < 50 - SKIPPED_KEYS_MAX && error == DecryptError::KeyGone { index })
            }
        }
    }
}

#[test]
fn a_gap_of_two_thousand_is_bridged_and_no_larger_one() {
    let (mut a, mut b) = warm();
    let messages: Vec<_> = (0..=GAP_MAX + 1)
        .map(|_| a.encrypt(b"far").unwrap())
        .collect();
    let [.., (t1, reachable), (t2, too_far)] = messages.as_slice() else {
        unreachable!()
    };
    let gap = GAP_MAX + 1;
    assert_eq!(
        b.decrypt(*t2, too_far),
        Err(DecryptError::GapTooLarge { gap, max: GAP_MAX })
    );
    assert!(b.decrypt(*t1, reachable).is_ok());
    assert!(b.decrypt(*t2, too_far).is_ok());
}

#[test]
fn a_message_of_another_root_is_told_apart() {
    let (_, mut b) = pair();
    let other = SessionRoot::new(
        &Network::lab(),
        &Zeroizing::new([1; 32]),
        &Zeroizing::new([2; 32]),
    );
    let r_public = PublicKey::from(&StaticSecret::from([3; 32])).to_bytes();
    let mut stranger = Session::open_as_opener(&other, &r_public, &[4; 32]).unwrap();
    let (olm_type, message) = stranger.encrypt(b"x").unwrap();
    assert_eq!(
        b.decrypt(olm_type, &message),
        Err(DecryptError::OtherSession)
    );
}

#[test]
fn a_lost_state_shows_as_a_bad_code() {
    let (mut a, mut b) = warm();
    carry(&mut a, &mut b, b"after this b has no sending chain");
    let mut lost = Session::from_pickle(&b.pickle()).unwrap();
    carry(&mut b, &mut a, b"sent before the state was rolled back");
    let (olm_type, message) = a
        .encrypt(b"under a key that the old state never made")
        .unwrap();
    assert_eq!(lost.decrypt(olm_type, &message), Err(DecryptError::BadMac));
}

#[test]
fn other_encodings_of_a_message_are_malformed() {
    let (mut a, mut b) = warm();
    let (olm_type, message) = a.encrypt(b"x").unwrap();
    // The chain index, field 2, written with a needless continuation byte.
    let at = 1 + 34;
    assert_eq!(message[at..at + 2], [0x10, 0]);
    let longer = [&message[..at], &[0x10, 0x80, 0], &message[at + 2..]].concat();
    assert_eq!(b.decrypt(olm_type, &longer), Err(DecryptError::Malformed));
    assert_eq!(
        b.decrypt(1 - olm_type, &message),
        Err(DecryptError::Malformed)
    );
    assert_eq!(b.decrypt(2, &message), Err(DecryptError::Malformed));
    assert!(b.decrypt(olm_type, &message).is_ok());
}

#[test]
fn mangled_messages_fail_and_leave_the_session_usable() {
    for warm_start in [false, true] {
        let (mut a, mut b) = if warm_start { warm() } else { pair() };
        let (olm_type, message) = a.encrypt(b"whole").unwrap();
        for len in 0..message.len() {
            assert!(b.decrypt(olm_type, &message[..len]).is_err());
        }
        for at in 0..message.len() {
            let mut mangled = message.clone();
            mangled[at] ^= 1 << (at % 8);
            assert!(b.decrypt(olm_type, &mangled).is_err(), "byte {at}");
        }
        assert_eq!(b.decrypt(olm_type, &message).unwrap().as_slice(), b"whole");
    }
}

#[test]
fn mangled_pickles_do_not_panic() {
    let (mut a, mut b) = warm();
    let _skipped = a.encrypt(b"skipped").unwrap();
    carry(&mut a, &mut b, b"read");
    let pickle = b.pickle();
    for len in 0..pickle.len() {
        assert!(
            Session::from_pickle(&pickle[..len]).is_err(),
            "length {len}"
        );
    }
    for at in 0..pickle.len() {
        let mut mangled = pickle.to_vec();
        mangled[at] ^= 0x55;
        let _ = Session::from_pickle(&mangled);
    }
    let longer = [pickle.as_slice(), &[0]].concat();
    assert_eq!(
        Session::from_pickle(&longer).err(),
        Some(PickleError::Malformed)
    );
    let mut newer = pickle.to_vec();
    newer[0] = 2;
    assert_eq!(
        Session::from_pickle(&newer).err(),
        Some(PickleError::Version { got: 2 })
    );
    assert!(pickle.len() < 1_024, "{} bytes", pickle.len());
}

#[test]
fn debug_output_holds_no_keys() {
    let (a, b) = pair();
    assert_eq!(
        format!("{a:?} {b:?}"),
        "Session { end: Opener, .. } Session { end: Other, .. }"
    );
}

/// A step of a conversation over a bad line.
#[derive(Clone, Debug)]
enum Op {
    Send {
        from: usize,
    },
    Deliver {
        to: usize,
        which: prop::sample::Index,
    },
    Duplicate {
        to: usize,
        which: prop::sample::Index,
    },
    Drop {
        to: usize,
        which: prop::sample::Index,
    },
    Restart {
        who: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let (side, which) = (0..2_usize, any::<prop::sample::Index>());
    prop_oneof![
        6 => side.clone().prop_map(|from| Op::Send { from }),
        6 => (side.clone(), which.clone()).prop_map(|(to, which)| Op::Deliver { to, which }),
        1 => (side.clone(), which.clone()).prop_map(|(to, which)| Op::Duplicate { to, which }),
        1 => (side.clone(), which).prop_map(|(to, which)| Op::Drop { to, which }),
        1 => side.prop_map(|who| Op::Restart { who }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is lost, doubled or reordered: what arrives reads as it was written, once, and both sides can go on afterwards.
    #[test]
    fn a_bad_line_loses_messages_but_never_the_session(ops in prop::collection::vec(op(), 0..120)) {
        let (a, b) = pair();
        let mut ends = [a, b];
        let mut lines: [Vec<(u64, u8, Vec<u8>)>; 2] = [Vec::new(), Vec::new()];
        let mut read: [BTreeSet<u64>; 2] = [BTreeSet::new(), BTreeSet::new()];
        let mut next = 0_u64;
        for op in ops {
            match op {
                Op::Send { from } => {
                    next += 1;
                    match ends[from].encrypt(&next.to_le_bytes()) {
                        Ok((olm_type, message)) => lines[1 - from].push((next, olm_type, message)),
                        Err(error) => prop_assert_eq!((error, from, read[1].len()), (EncryptError::OpenerFirst, 1, 0)),
                    }
                }
                Op::Deliver { to, which } | Op::Duplicate { to, which } if lines[to].is_empty() => { let _ = (to, which); }
                Op::Deliver { to, ref which } | Op::Duplicate { to, ref which } => {
                    let at = which.index(lines[to].len());
                    let (number, olm_type, message) = lines[to][at].clone();
                    match ends[to].decrypt(olm_type, &message) {
                        Ok(text) => {
                            prop_assert_eq!(text.as_slice(), number.to_le_bytes());
                            prop_assert!(read[to].insert(number), "read twice");
                        }
                        // A duplicate: its key is gone, or its whole chain is, and then it looks like a foreign one.
                        Err(DecryptError::KeyGone { .. } | DecryptError::BadMac) => prop_assert!(read[to].contains(&number)),
                        Err(error) => prop_assert!(false, "{}", error),
                    }
                    if matches!(op, Op::Deliver { .. }) {
                        lines[to].remove(at);
                    }
                }
                Op::Drop { to, which } => if !lines[to].is_empty() {
                    let at = which.index(lines[to].len());
                    lines[to].remove(at);
                },
                Op::Restart { who } => restart(&mut ends[who]),
            }
        }
        let [a, b] = &mut ends;
        carry(a, b, b"after all");
        carry(b, a, b"of it");
    }
}

/// From an invite to the first messages in both directions, with restarts wherever somebody waits.
#[test]
fn a_handshake_gives_a_session() {
    use hermes_wire::{
        Wire as _,
        address::{Bundle, Chain, Generation},
        deposit::Bucket,
        handshake::{AnswererSeeds, Approval, Identity, Invitee, Inviter, StarterSeeds},
        ids::{Epoch, NodeKey, Slot},
        invite::{Entry, InviteSecrets, InviteTerms},
        node::Addr,
        packet::{NAME_MAX, SessionMessage},
    };

    let net = Network::lab();
    let bundle = |n: u8| -> Bundle {
        let slot = Slot::new(n).unwrap();
        Generation::new(&net, 0, [n; 32]).bundle(&net, slot, Epoch(300), &Chain::new([n; 32]))
    };
    let alice = Identity::from_secrets(&[1; 32], &[2; 32]);
    let bob = Identity::from_secrets(&[3; 32], &[4; 32]);
    let secrets = InviteSecrets {
        root_seed: [5; 32],
        handshake_secret: [6; 32],
    };
    let terms = InviteTerms {
        ask: true,
        start_epoch: Epoch(300),
        expiry: 7_300,
        identity: alice.ik(),
        nodes: vec![Entry::new(
            Addr::new("192.0.2.1:4433".parse().unwrap()),
            &NodeKey([1; 32]),
        )],
    };
    let invite = secrets.invite(&net, [7; 32], terms).unwrap();

    let seeds = StarterSeeds {
        ephemeral: [8; 32],
        kem: [9; 32],
        ratchet: [10; 32],
    };
    let invitee = Invitee::start(&net, &invite, &bob, &bundle(1), "bob", seeds).unwrap();
    let inviter = Inviter::new(&net, &invite, &secrets.handshake_secret, &alice).unwrap();
    let seeds = AnswererSeeds {
        ephemeral: [11; 32],
        encapsulation: [12; 64],
        opener: [13; 32],
    };
    let longest_name = "a".repeat(NAME_MAX);
    let approval = Approval::new(invitee.msg1(), &bundle(2), &longest_name, seeds).unwrap();
    let answer = inviter.answer(&approval).unwrap();

    let mut a = Session::open_as_opener(
        &answer.secrets.root,
        &answer.peer_ratchet,
        &answer.opener_secret,
    )
    .unwrap();
    // A first packet of this size still leaves message 2 in its bucket: room for acknowledgements and a profile.
    let first_packet = [0x5a; 287];
    let (olm_type, olm) = a.encrypt(&first_packet).unwrap();
    assert!(olm.len() + 3 <= answer.room_for_first());
    let msg2 = answer.message(&SessionMessage {
        generation: 0,
        olm_type,
        olm,
    });
    assert!(
        msg2.len() <= Bucket::Medium.max_content(),
        "{} bytes",
        msg2.len()
    );

    let invitee = Invitee::decode(&invitee.to_bytes()).unwrap();
    let finished = invitee.finish(&net, &bob, &msg2).unwrap();
    let mut b = Session::open_as_other(&finished.secrets.root, &finished.ratchet_secret);
    let text = b
        .decrypt(finished.first.olm_type, &finished.first.olm)
        .unwrap();
    assert_eq!(text.as_slice(), first_packet);
    restart(&mut a);
    carry(&mut b, &mut a, b"hello alice");
    carry(&mut a, &mut b, b"hello bob");
}

#[test]
fn the_largest_packet_fits_the_largest_deposit() {
    use hermes_wire::{
        Wire as _,
        content::Content,
        deposit::Bucket,
        packet::{PACKET_MAX, SessionMessage},
    };
    let (mut a, _) = pair();
    let (olm_type, olm) = a.encrypt(&vec![1; PACKET_MAX]).unwrap();
    let message = SessionMessage {
        generation: 0,
        olm_type,
        olm,
    };
    assert!(Content::session(&message).len() <= Bucket::Huge.max_content());
    assert_eq!(SessionMessage::decode(&message.to_bytes()), Ok(message));
}
