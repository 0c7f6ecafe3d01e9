//! Whatever byte of a signed thing changes, it is no longer accepted.

use hermes_wire::Network;
use hermes_wire::codec::Wire;
use hermes_wire::deposit::{Bucket, DepositRef};
use hermes_wire::earth::{Delete, Open, Revoke};
use hermes_wire::ids::{Binding, NodeKey};
use hermes_wire::knock::{Knock, KnockError};
use hermes_wire::node::{NodeRecord, Role};
use hermes_wire::receipt::Receipt;
use hermes_wire::sign::{self, SignatureError};
use hermes_wire::sky::{Announce, Departure, Register};

use super::samples::*;

/// Changes each byte in two ways; `accepts` must take the original and nothing else.
fn every_byte_counts(good: &[u8], accepts: impl Fn(&[u8]) -> bool) {
    assert!(accepts(good));
    let mut bytes = good.to_vec();
    for at in 0..bytes.len() {
        for change in [0x01, 0x80] {
            bytes[at] ^= change;
            assert!(
                !accepts(&bytes),
                "byte {at} of {} does not count",
                bytes.len()
            );
            bytes[at] ^= change;
        }
    }
}

#[test]
fn deposits() {
    for good in [deposit(Bucket::Small), single_deposit()] {
        let id = DepositRef::parse(good.as_bytes())
            .unwrap()
            .verify(&net())
            .unwrap()
            .id;
        let accepts = |b: &[u8]| {
            DepositRef::parse(b).is_ok_and(|d| d.verify(&net()).is_ok_and(|v| v.id == id))
        };
        every_byte_counts(good.as_bytes(), accepts);
    }
}

#[test]
fn receipts_of_a_batch() {
    for receipt in receipts(5).iter().chain(&receipts(1)) {
        every_byte_counts(&receipt.to_bytes(), |b| {
            Receipt::decode(b).is_ok_and(|r| r.verify(&net()).is_ok())
        });
    }
}

#[test]
fn node_records() {
    for role in [Role::Sky, Role::Earth] {
        every_byte_counts(&bytes(&record(role)), |b| {
            NodeRecord::decode(b).is_ok_and(|r| r.verify_signature(&net()).is_ok())
        });
    }
}

#[test]
fn orders() {
    every_byte_counts(&open().to_bytes(), |b| {
        Open::decode(b).is_ok_and(|o| o.verify(&net(), &BINDING, &NODE).is_ok())
    });
    every_byte_counts(&delete().to_bytes(), |b| {
        Delete::decode(b).is_ok_and(|d| d.verify(&net()).is_ok())
    });
    every_byte_counts(&revoke().to_bytes(), |b| {
        Revoke::decode(b).is_ok_and(|r| r.verify(&net()).is_ok())
    });
}

#[test]
fn sky_requests() {
    every_byte_counts(&register().to_bytes(), |b| {
        Register::decode(b).is_ok_and(|r| r.verify(&net(), &BINDING, &NODE).is_ok())
    });
    every_byte_counts(&announce().to_bytes(), |b| {
        Announce::decode(b).is_ok_and(|a| a.verify(&net(), &BINDING, &NODE).is_ok())
    });
    every_byte_counts(&departure().to_bytes(), |b| {
        Departure::decode(b).is_ok_and(|d| d.verify(&net()).is_ok())
    });
}

#[test]
fn knocks() {
    for probe in [false, true] {
        let root = PRESENCE.knock_root;
        every_byte_counts(&knock(probe).to_bytes(), |b| {
            Knock::decode(b).is_ok_and(|k| k.verify(&net(), &root).is_ok())
        });
    }
    assert_eq!(knock(false).verify(&net(), &[0; 32]), Err(KnockError::Path));
}

#[test]
fn a_channel_cannot_be_exchanged() {
    let (other_channel, other_node) = (Binding([1; 32]), NodeKey([1; 32]));
    assert!(open().verify(&net(), &other_channel, &NODE).is_err());
    assert!(open().verify(&net(), &BINDING, &other_node).is_err());
    assert!(register().verify(&net(), &other_channel, &NODE).is_err());
    assert!(register().verify(&net(), &BINDING, &other_node).is_err());
    assert!(announce().verify(&net(), &other_channel, &NODE).is_err());
    assert!(announce().verify(&net(), &BINDING, &other_node).is_err());
}

#[test]
fn a_network_cannot_be_exchanged() {
    let other = Network::main();
    assert!(
        DepositRef::parse(deposit(Bucket::Small).as_bytes())
            .unwrap()
            .verify(&other)
            .is_err()
    );
    assert!(record(Role::Earth).verify_signature(&other).is_err());
    assert!(receipts(1)[0].verify(&other).is_err());
    assert!(delete().verify(&other).is_err());
    assert!(departure().verify(&other).is_err());
    assert!(knock(false).verify_signature(&other).is_err());
}

#[test]
fn a_purpose_cannot_be_exchanged() {
    let (key, body) = (node_key(), [b"body".as_slice()]);
    let public = key.verifying_key().to_bytes();
    let sig = sign::sign(&net(), &key, "receipt", &body);
    assert_eq!(
        sign::verify(&net(), &public, "receipt", &body, &sig),
        Ok(())
    );
    assert_eq!(
        sign::verify(&net(), &public, "announce", &body, &sig),
        Err(SignatureError)
    );
    // The label's length is signed, so a label cannot borrow from the body.
    assert!(sign::verify(&net(), &public, "receip", &[b"tbody"], &sig).is_err());
}

/// With a key of small order, a signature of zeros would hold for everything.
#[test]
fn keys_of_small_order_sign_nothing() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut sig = [0; 64];
    sig[0] = 1;
    assert!(sign::verify(&net(), &identity, "receipt", &[b"body"], &sig).is_err());
    assert!(sign::verify(&net(), &[0; 32], "receipt", &[b"body"], &[0; 64]).is_err());
    identity[0] = 0xee;
    identity[1..31].fill(0xff);
    identity[31] = 0x7f;
    assert!(
        sign::verify(&net(), &identity, "receipt", &[b"body"], &sig).is_err(),
        "identity, not canonical"
    );
}

/// Adding the group's order to S gives the same equation; strict verification refuses it.
#[test]
fn signatures_are_not_malleable() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let key = node_key();
    let mut sig = sign::sign(&net(), &key, "receipt", &[b"body"]);
    let mut carry = 0;
    for (s, l) in sig[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*s) + u16::from(l) + carry;
        *s = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(
        sign::verify(
            &net(),
            &key.verifying_key().to_bytes(),
            "receipt",
            &[b"body"],
            &sig
        )
        .is_err()
    );
}
