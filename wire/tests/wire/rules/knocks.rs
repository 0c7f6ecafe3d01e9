//! Knocks and their sealed halves.

use hermes_wire::codec::{DecodeError, Wire};
use hermes_wire::ids::PresenceKey;
use hermes_wire::kdf;
use hermes_wire::knock::{
    Callee, Caller, HalfContext, HalfError, Knock, MAX_CANDIDATES, PLAIN_LEN, Sealed,
};
use proptest::prelude::*;

use super::samples::*;

const NONCE: [u8; 16] = [0x98; 16];

fn context(presence: &PresenceKey) -> HalfContext<'_> {
    HalfContext {
        outer_key: &OUTER,
        presence,
        nonce: &NONCE,
    }
}

#[test]
fn probes_carry_nothing() {
    let mut bytes = knock(true).to_bytes();
    assert!(Knock::decode(&bytes).is_ok());
    let half = bytes.len() - 64 - 512;
    bytes[half + 100] = 1;
    let refused = DecodeError::Value {
        field: "half of a probe",
        value: 1,
    };
    assert_eq!(Knock::decode(&bytes), Err(refused));
}

/// A half as somebody else might make it, sealed under the right key.
fn half(role: u8, plain: &[u8]) -> Sealed {
    let part = [&[role], NONCE.as_slice()].concat();
    let key = kdf::kdf32(&net(), &OUTER, "knock", &[&part]);
    let aad = [PRESENCE.presence.as_ref(), &NONCE].concat();
    let mut padded = plain.to_vec();
    padded.resize(PLAIN_LEN, 0);
    kdf::seal(&key, &aad, &padded).try_into().unwrap()
}

#[test]
fn insides_of_halves_are_strict() {
    let at = context(&PRESENCE.presence);
    let caller = |change: fn(&mut Vec<u8>)| {
        let mut plain = [
            vec![1, 0],
            vec![0; 40],
            vec![1],
            addr("127.0.0.1:9").to_bytes(),
        ]
        .concat();
        change(&mut plain);
        at.open_caller(&net(), &half(0, &plain))
    };
    let callee = |change: fn(&mut Vec<u8>)| {
        let mut plain = [
            vec![1, 0],
            vec![0; 56],
            vec![1],
            addr("127.0.0.1:9").to_bytes(),
        ]
        .concat();
        change(&mut plain);
        at.open_callee(&net(), &half(1, &plain))
    };
    assert_eq!(caller(|_| ()).unwrap().addrs, [addr("127.0.0.1:9")]);
    assert_eq!(callee(|_| ()).unwrap().addrs, [addr("127.0.0.1:9")]);
    let changes: [fn(&mut Vec<u8>); 4] = [
        |p| p[0] = 2,
        |p| p[1] = 1,
        |p| p.resize(PLAIN_LEN, 1),
        |p| p.push(1),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        assert!(
            matches!(caller(change), Err(HalfError::Malformed(_))),
            "caller, change {i}"
        );
        assert!(
            matches!(callee(change), Err(HalfError::Malformed(_))),
            "callee, change {i}"
        );
    }
    assert!(
        caller(|p| p[42] = 9).is_err() && callee(|p| p[58] = 9).is_err(),
        "nine addresses"
    );
}

#[test]
fn halves_open_for_one_door_one_knock_and_one_role() {
    let caller = Caller {
        time_ms: 1,
        tls_key: [2; 32],
        addrs: Vec::new(),
    };
    let at = context(&PRESENCE.presence);
    let sealed = at.seal_caller(&net(), &caller);
    assert_eq!(at.open_caller(&net(), &sealed), Ok(caller));
    let other = PresenceKey([0; 32]);
    let wrong = [
        HalfContext {
            outer_key: &[0; 32],
            ..at
        },
        HalfContext {
            presence: &other,
            ..at
        },
        HalfContext {
            nonce: &[0; 16],
            ..at
        },
    ];
    for context in wrong {
        assert_eq!(
            context.open_caller(&net(), &sealed),
            Err(HalfError::Sealed(kdf::OpenError))
        );
    }
    assert_eq!(
        at.open_callee(&net(), &sealed),
        Err(HalfError::Sealed(kdf::OpenError))
    );
}

proptest! {
    #[test]
    fn halves_come_back(time_ms: u64, tls_key: [u8; 32], tag: [u8; 16], ports in proptest::collection::vec(1..=u16::MAX, 0..12)) {
        let addrs: Vec<_> = ports.iter().map(|p| addr(&format!("[2001:db8::1]:{p}"))).collect();
        let kept = addrs[..addrs.len().min(MAX_CANDIDATES)].to_vec();
        let at = context(&PRESENCE.presence);
        let caller = Caller { time_ms, tls_key, addrs: addrs.clone() };
        let read = at.open_caller(&net(), &at.seal_caller(&net(), &caller)).unwrap();
        prop_assert_eq!(read, Caller { addrs: kept.clone(), ..caller });
        let callee = Callee { time_ms, tls_key, tag, addrs };
        let read = at.open_callee(&net(), &at.seal_callee(&net(), &callee)).unwrap();
        prop_assert_eq!(read, Callee { addrs: kept, ..callee });
    }
}
