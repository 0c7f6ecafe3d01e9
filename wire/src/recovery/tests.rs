use super::*;
use crate::{
    Wire as _,
    codec::DecodeError,
    handshake::{
        HandshakeError, Identity, ratchet_public,
        tests::{Person, answerer_seeds, first_message, net, person, starter_seeds},
    },
    xwing::KemKey,
};

/// Two contacts: `one` starts, `other` answers.
struct Pair {
    one: Person,
    other: Person,
    keys: [(IdentityKey, HandshakeKey); 2],
    s_rec: Secret,
}

const COUNTER: u64 = 1_795_000_000;

impl Pair {
    fn new() -> Self {
        Self::of(person(1), person(2))
    }

    fn of(one: Person, other: Person) -> Self {
        Self {
            keys: [&one, &other].map(|p| (p.identity.ik(), p.identity.ix())),
            one,
            other,
            s_rec: Secret::new([5; 32]),
        }
    }

    fn starter(&self) -> Parties<'_> {
        self.parties(&self.one.identity, 1)
    }

    fn answerer(&self) -> Parties<'_> {
        self.parties(&self.other.identity, 0)
    }

    fn parties<'a>(&'a self, identity: &'a Identity, peer: usize) -> Parties<'a> {
        let (peer_ik, peer_ix) = &self.keys[peer];
        Parties {
            net: net(),
            identity,
            peer_ik,
            peer_ix,
            s_rec: &self.s_rec,
        }
    }

    fn start(&self) -> Starter {
        Starter::start(
            &self.starter(),
            COUNTER,
            2,
            1 << 20,
            &self.one.bundle,
            starter_seeds(50),
        )
        .unwrap()
    }

    fn approval(&self, msg1: &[u8]) -> Approval {
        Approval::new(msg1, 3, 52, &self.other.bundle, answerer_seeds(60))
    }

    fn answer(&self, msg1: &[u8]) -> Answer {
        self.answerer().answer(&self.approval(msg1)).unwrap()
    }
}

fn assert_agreed(starter: &PairSecrets, answerer: &PairSecrets) {
    assert!(
        starter.root == answerer.root
            && starter.s_rec == answerer.s_rec
            && starter.s_rekey == answerer.s_rekey
    );
    assert!(starter.outer_in == answerer.outer_out && starter.outer_out == answerer.outer_in);
}

#[test]
fn two_contacts_start_over() {
    // Whichever has the lower key: both orders.
    for pair in [Pair::new(), Pair::of(person(2), person(1))] {
        let starter = pair.start();
        let request = pair.answerer().read(starter.msg1()).unwrap();
        let expected = Request {
            counter: COUNTER,
            generation: 2,
            next_seq: 1 << 20,
            bundle: pair.one.bundle.clone(),
        };
        assert_eq!(request, expected);
        let answer = pair.answer(starter.msg1());
        assert_eq!((&answer.request, answer.generation), (&expected, 4));
        let finished = starter
            .finish(&pair.starter(), &answer.message(&first_message(4)))
            .unwrap();
        assert_eq!((finished.generation, finished.next_seq), (4, 52));
        assert!(finished.bundle == pair.other.bundle && finished.first == first_message(4));
        assert_agreed(&finished.secrets, &answer.secrets);
        assert_eq!(finished.secrets.s_rec, pair.s_rec, "S_rec stays");
        assert_eq!(finished.secrets.outer_in.epoch(), pair.one.bundle.epoch());
        assert_eq!(
            answer.peer_ratchet,
            ratchet_public(&finished.ratchet_secret)
        );
        assert_eq!(*answer.opener_secret, [62; 32]);
        assert!(
            starter.msg1().len() <= 4_062 && answer.message(&first_message(4)).len() <= 4_062,
            "bucket 1"
        );
    }
}

#[test]
fn both_sides_go_on_after_a_restart() {
    let pair = Pair::new();
    let starter = Starter::decode(&pair.start().to_bytes()).unwrap();
    assert!(starter == pair.start() && starter.counter() == COUNTER);
    let approval = Approval::decode(&pair.approval(starter.msg1()).to_bytes()).unwrap();
    assert_eq!(approval.msg1(), starter.msg1());
    let message = pair
        .answerer()
        .answer(&approval)
        .unwrap()
        .message(&first_message(4));
    assert_eq!(
        message,
        pair.answer(starter.msg1()).message(&first_message(4))
    );
    let finished = starter.finish(&pair.starter(), &message).unwrap();
    assert_agreed(&finished.secrets, &pair.answer(starter.msg1()).secrets);
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let pair = Pair::new();
    let (starter, parties) = (pair.start(), pair.answerer());
    let msg1 = starter.msg1();
    for at in 0..msg1.len() {
        let mut changed = msg1.to_vec();
        changed[at] ^= 1 << (at % 8);
        assert!(parties.read(&changed).is_err(), "byte {at} of message 1");
    }
    let msg2 = pair.answer(msg1).message(&first_message(4));
    let sealed = msg2.len() - first_message(4).to_bytes().len();
    // The two bytes after the sealed part are the session's number, which message 2 repeats inside.
    for at in 0..sealed + 2 {
        let mut changed = msg2.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(
            starter.finish(&pair.starter(), &changed).is_err(),
            "byte {at} of message 2"
        );
    }
    for len in (0..msg1.len()).step_by(31) {
        assert!(parties.read(&msg1[..len]).is_err());
    }
    for len in (0..sealed + 4).step_by(31) {
        assert!(starter.finish(&pair.starter(), &msg2[..len]).is_err());
    }
}

#[test]
fn only_the_contact_with_the_right_secret_is_understood() {
    let pair = Pair::new();
    let starter = pair.start();
    let stranger = person(3).identity;
    let (ik, ix) = (stranger.ik(), stranger.ix());
    let right = pair.answerer();
    let other_secret = Secret::new([6; 32]);
    let other_net = Network::main();
    let wrong = [
        Parties {
            s_rec: &other_secret,
            ..right
        },
        Parties {
            peer_ik: &ik,
            ..right
        },
        Parties {
            peer_ix: &ix,
            ..right
        },
        Parties {
            identity: &stranger,
            ..right
        },
        Parties {
            net: &other_net,
            ..right
        },
    ];
    for parties in wrong {
        assert_eq!(parties.read(starter.msg1()), Err(HandshakeError::Sealed));
    }
    let message = pair.answer(starter.msg1()).message(&first_message(4));
    let wrong = Parties {
        peer_ix: &ix,
        ..pair.starter()
    };
    assert_eq!(
        starter.finish(&wrong, &message).err(),
        Some(HandshakeError::Stored)
    );
}

#[test]
fn an_answer_belongs_to_one_start() {
    let pair = Pair::new();
    let first = pair.start();
    let message = pair.answer(first.msg1()).message(&first_message(4));
    let later = Starter::start(
        &pair.starter(),
        COUNTER + 1,
        2,
        1,
        &pair.one.bundle,
        starter_seeds(80),
    )
    .unwrap();
    let other_counter = DecodeError::Value {
        field: "recovery counter",
        value: COUNTER,
    };
    assert_eq!(
        later.finish(&pair.starter(), &message).err(),
        Some(other_counter.into())
    );
    let same_counter = Starter::start(
        &pair.starter(),
        COUNTER,
        2,
        1,
        &pair.one.bundle,
        starter_seeds(80),
    )
    .unwrap();
    assert_eq!(
        same_counter.finish(&pair.starter(), &message).err(),
        Some(HandshakeError::Sealed)
    );
}

#[test]
fn keys_of_no_use_are_refused() {
    let pair = Pair::new();
    let message = |change: &dyn Fn(&mut payload::Payload1)| {
        let parties = pair.starter();
        let setup = parties.setup(COUNTER);
        let mut noise = crate::noise::Noise::starter(&parties.keys(&setup, &[9; 32])).unwrap();
        let mut payload = payload::Payload1 {
            generation: 2,
            ek: KemKey::from_seed(&[8; 32]).public(),
            ratchet: ratchet_public(&[7; 32]),
            next_seq: 1,
            bundle: pair.one.bundle.clone(),
        };
        change(&mut payload);
        [
            &[4][..],
            &COUNTER.to_le_bytes(),
            &noise.write(&payload.to_bytes()).unwrap(),
        ]
        .concat()
    };
    let read =
        |change: &dyn Fn(&mut payload::Payload1)| pair.answerer().read(&message(change)).err();
    assert_eq!(read(&|_| {}), None);
    assert_eq!(
        read(&|p| p.ratchet = [0; 32]),
        Some(HandshakeError::Key {
            field: "ratchet key"
        })
    );
    assert_eq!(
        read(&|p| p.ek[..3].fill(0xff)),
        Some(HandshakeError::Key {
            field: "X-Wing key"
        })
    );
    let last = message(&|p| p.generation = u16::MAX);
    assert!(pair.answerer().read(&last).is_ok());
    assert!(
        pair.answerer().answer(&pair.approval(&last)).is_err(),
        "session numbers are used up"
    );
}

#[test]
fn the_new_session_is_newer_than_both_know() {
    assert_eq!(next_generation(2, 3), Some(4));
    assert_eq!(next_generation(7, 3), Some(8));
    assert_eq!(next_generation(0, u16::MAX), None);
    let pair = Pair::new();
    let starter = pair.start();
    let approval = Approval::new(
        starter.msg1(),
        900,
        52,
        &pair.other.bundle,
        answerer_seeds(60),
    );
    let answer = pair.answerer().answer(&approval).unwrap();
    assert_eq!(answer.generation, 901);
    assert!(
        starter
            .finish(&pair.starter(), &answer.message(&first_message(900)))
            .is_err()
    );
    assert_eq!(
        starter
            .finish(&pair.starter(), &answer.message(&first_message(901)))
            .unwrap()
            .generation,
        901
    );
}

/// An answer by the contact that does not keep to the rule, with a session message that fits it.
#[test]
fn a_session_that_is_not_newer_is_refused() {
    let pair = Pair::new();
    let starter = pair.start();
    let parties = pair.answerer();
    let answer = |generation: u16| {
        let setup = parties.setup(COUNTER);
        let mut noise = crate::noise::Noise::answerer(&parties.keys(&setup, &[9; 32])).unwrap();
        let read = noise.read(&starter.msg1()[9..]).unwrap();
        let asked = payload::Payload1::decode(&read).unwrap();
        let h1 = noise.hash().unwrap();
        let (ct, shared) = crate::xwing::encapsulate(&asked.ek, &[8; 64]).unwrap();
        let inner = pair.other.bundle.to_bytes();
        let reply = payload::Payload2 {
            generation,
            ct,
            next_seq: 1,
            sealed: crate::handshake::seal_box(net(), "rec-box", &h1, &shared, &inner),
        };
        let sealed = noise.write(&reply.to_bytes()).unwrap();
        let len = u16::try_from(sealed.len()).unwrap().to_le_bytes();
        let first = first_message(generation).to_bytes();
        [&[5][..], &COUNTER.to_le_bytes(), &len, &sealed, &first].concat()
    };
    assert!(starter.finish(&pair.starter(), &answer(3)).is_ok());
    for generation in [0, 1, 2] {
        let finished = starter.finish(&pair.starter(), &answer(generation));
        assert!(
            matches!(finished, Err(HandshakeError::Decode(_))),
            "session {generation} after 2"
        );
    }
}

#[test]
fn outer_keys_differ_by_direction_epoch_and_secret() {
    let key =
        |secret: u8, rank, epoch| *outer_key(net(), &Secret::new([secret; 32]), rank, Epoch(epoch));
    let base = key(1, Rank::Lower, 300);
    assert_eq!(base, key(1, Rank::Lower, 300));
    for other in [
        key(2, Rank::Lower, 300),
        key(1, Rank::Upper, 300),
        key(1, Rank::Lower, 301),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn counters_rise_with_the_clock_and_without_it() {
    let mut counters = Counters::default();
    assert_eq!(counters.start(1_000), 1_000);
    assert_eq!(counters.start(900), 1_001, "a clock that was set back");
    counters.settle(5_000);
    assert_eq!(counters.start(2_000), 5_001);
    assert_eq!(counters.highest(), 5_001);
    counters.settle(10);
    assert_eq!(
        counters.judge(5_000, None, Rank::Upper),
        Verdict::Old,
        "settling does not go back"
    );
    counters.settle(u64::MAX);
    assert_eq!(counters.start(1), u64::MAX);
    assert_eq!(Counters::decode(&counters.to_bytes()), Ok(counters));
    assert!(Counters::decode(&counters.to_bytes()[1..]).is_err());
    assert!(Counters::decode(&[2; 17]).is_err());
}

#[test]
fn old_starts_are_void() {
    let mut counters = Counters::default();
    assert_eq!(counters.judge(100, None, Rank::Upper), Verdict::Answer);
    counters.settle(100);
    for rank in [Rank::Lower, Rank::Upper] {
        assert_eq!(counters.judge(100, None, rank), Verdict::Old);
        assert_eq!(counters.judge(99, Some(101), rank), Verdict::Old);
        assert_eq!(counters.judge(101, None, rank), Verdict::Answer);
    }
}

/// Both start at once, whoever has the higher counter: one recovery comes of it, and the other start stays void when it is read
/// afterwards.
#[test]
fn when_both_start_the_lower_side_goes_on() {
    for (lower_clock, upper_clock) in [(1_000, 1_000), (1_000, 1_005), (1_005, 1_000)] {
        let (mut lower, mut upper) = (Counters::default(), Counters::default());
        let (from_lower, from_upper) = (lower.start(lower_clock), upper.start(upper_clock));
        assert_eq!(
            lower.judge(from_upper, Some(from_lower), Rank::Lower),
            Verdict::OursStands
        );
        assert_eq!(
            upper.judge(from_lower, Some(from_upper), Rank::Upper),
            Verdict::Answer
        );
        upper.settle(from_lower);
        let announced = upper.highest();
        lower.settle(from_lower);
        lower.settle(announced);
        assert_eq!(
            lower.judge(from_upper, None, Rank::Lower),
            Verdict::Old,
            "the start that was given up"
        );
        let next = upper.start(0);
        assert_eq!(lower.judge(next, None, Rank::Lower), Verdict::Answer);
    }
}

#[test]
fn debug_output_holds_no_secrets() {
    let pair = Pair::new();
    let starter = pair.start();
    let shown = format!("{starter:?} {:?}", pair.approval(starter.msg1()));
    assert_eq!(shown, "Starter { .. } Approval { .. }");
}

#[test]
fn stored_forms_refuse_damage() {
    let pair = Pair::new();
    let starter = pair.start();
    let (a, b) = (starter.to_bytes(), pair.approval(starter.msg1()).to_bytes());
    for len in (0..a.len()).step_by(37) {
        assert!(Starter::decode(&a[..len]).is_err());
    }
    for len in (0..b.len()).step_by(37) {
        assert!(Approval::decode(&b[..len]).is_err());
    }
    let mut newer = a.clone();
    newer[0] = 2;
    assert!(Starter::decode(&newer).is_err());
    let mut damaged = a;
    damaged[12] ^= 1;
    let damaged = Starter::decode(&damaged).unwrap();
    let message = pair.answer(starter.msg1()).message(&first_message(4));
    assert_eq!(
        damaged.finish(&pair.starter(), &message).err(),
        Some(HandshakeError::Stored)
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_is_refused(
        garbage in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600),
        keep in 0..600_usize,
    ) {
        let pair = Pair::new();
        let starter = pair.start();
        for kind in 0..6 {
            let message = [&[kind][..], &COUNTER.to_le_bytes(), &garbage].concat();
            proptest::prop_assert!(pair.answerer().read(&message).is_err());
            proptest::prop_assert!(starter.finish(&pair.starter(), &message).is_err());
        }
        let after_good_start = [&starter.msg1()[..keep], &garbage].concat();
        proptest::prop_assert!(pair.answerer().read(&after_good_start).is_err());
    }
}
