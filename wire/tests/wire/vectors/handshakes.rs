//! Handshake, recovery, re-keying, packets and what they are made of.

use hermes_wire::address::Bundle;
use hermes_wire::codec::Wire;
use hermes_wire::handshake::{
    AnswererSeeds, Approval, Identity, Invitee, Inviter, Peer, StarterSeeds,
};
use hermes_wire::ids::{Epoch, HandshakeKey, IdentityKey, MessageId};
use hermes_wire::invite::Invite;
use hermes_wire::kdf::{extract, h, kdf32, open};
use hermes_wire::packet::{AckRanges, Frame, FrameKind, Packet, SessionMessage};
use hermes_wire::pair::{OuterChain, PairSecrets, Rank};
use hermes_wire::recovery::{self, Parties};
use hermes_wire::rekey::{Answer, Offer, Offering};
use hermes_wire::safety::SafetyNumber;
use hermes_wire::sign::sign;
use hermes_wire::xwing::{CT_LEN, KemKey, encapsulate};
use hermes_wire::{Network, kdf::Secret};

use super::case::{Case, cases, rnd32};

/// How the messages of a case hang together and what follows from them.
fn check_schedule(net: &Network, case: &Case, psk: &[u8; 32]) -> Secret {
    let (h1, ss): ([u8; 32], [u8; 32]) = (case.arr("h1"), case.arr("ss"));
    let (k1, k2): ([u8; 32], [u8; 32]) = (case.arr("k1"), case.arr("k2"));
    let prk = extract(&case.arr::<32>("h"), &[&k1, &k2, &ss, psk]);
    assert_eq!(*prk, case.arr("prk"));
    assert_eq!(*kdf32(net, &prk, "root", &[]), case.arr("rk0"));
    extract(&h1, &[&ss])
}

fn check_secrets(case: &Case, ours: &PairSecrets) {
    assert_eq!(*ours.root.rk0(), case.arr("rk0"));
    assert_eq!(*ours.root.ck0(), case.arr("ck0"));
    assert_eq!(*ours.s_rekey, case.arr("s_rekey"));
}

fn check_chain(net: &Network, chain: &OuterChain, keys: &[Case]) {
    assert!(keys.len() > 1);
    for key in keys {
        let epoch = Epoch(key.num("epoch"));
        assert_eq!(*chain.key_at(net, epoch).unwrap(), key.arr("key"));
    }
}

#[test]
fn first_handshake() {
    let net = Network::lab();
    for case in cases("handshake.json") {
        let invite = Invite::from_bytes(&case.hex("invite")).unwrap();
        assert_eq!(*invite.secret(), case.arr("k_inv"));
        assert_eq!(*invite.answer_outer_key(&net), case.arr::<32>("outer_msg2"));
        let a = Identity::from_secrets(&case.arr("a_ik_seed"), &case.arr("a_ix"));
        let b = Identity::from_secrets(&case.arr("b_ik_seed"), &case.arr("b_ix"));
        let [a_bundle, b_bundle] =
            ["a_bundle", "b_bundle"].map(|field| Bundle::decode(&case.hex(field)).unwrap());
        let [a_name, b_name] =
            ["a_text", "b_text"].map(|field| String::from_utf8(case.hex(field)).unwrap());

        let seeds = StarterSeeds {
            ephemeral: case.arr("b_ephemeral"),
            kem: case.arr("b_kem_seed"),
            ratchet: case.arr("b_ratchet"),
        };
        let invitee = Invitee::start(&net, &invite, &b, &b_bundle, &b_name, seeds).unwrap();
        assert_eq!(invitee.msg1(), case.hex("msg1"));
        assert_eq!(invitee.msg1()[4..], case.hex("noise1"));

        let secret = case.arr("s_secret");
        let inviter = Inviter::new(&net, &invite, &secret, &a).unwrap();
        let seeds = AnswererSeeds {
            ephemeral: case.arr("a_ephemeral"),
            encapsulation: case.arr("a_encaps"),
            opener: [0; 32],
        };
        let approval = Approval::new(&case.hex("msg1"), &a_bundle, &a_name, seeds).unwrap();
        let answer = inviter.answer(&approval).unwrap();
        let first = SessionMessage::decode(&case.hex("first")).unwrap();
        let msg2 = answer.message(&first);
        assert_eq!(msg2, case.hex("msg2"));
        let noise2 = case.hex("noise2");
        assert_eq!(msg2[3..3 + noise2.len()], noise2);

        let finished = invitee.finish(&net, &b, &msg2).unwrap();
        assert_eq!(finished.first, first);
        for secrets in [&answer.secrets, &finished.secrets] {
            check_secrets(&case, secrets);
            assert_eq!(*secrets.s_rec, case.arr("s_rec"));
            assert_eq!(
                secrets.root.envelope().to_vec(),
                case.arrs::<32>("dummy_keys")
            );
        }
        check_chain(&net, &answer.secrets.outer_out, &case.list("outer_a_to_b"));
        check_chain(&net, &answer.secrets.outer_in, &case.list("outer_b_to_a"));
        assert!(answer.secrets.outer_out == finished.secrets.outer_in);

        let box_prk = check_schedule(&net, &case, invite.secret());
        check_payloads(&net, &case, &answer.peer, &finished.peer, &box_prk);
        let number = SafetyNumber::of((&a.ik(), &a.ix()), (&b.ik(), &b.ix()));
        assert_eq!(number.digits().into_bytes(), case.hex("safety_text"));
        case.done();
    }
}

/// The prologue and the insides of both messages, put together by hand.
fn check_payloads(net: &Network, case: &Case, b: &Peer, a: &Peer, box_prk: &Secret) {
    let invite = case.hex("invite");
    let net_id = net.id();
    let prologue = [
        b"hermes/1 hs",
        net_id.as_ref(),
        &[1, 1, 1, 1],
        &h(&[&invite]),
    ]
    .concat();
    assert_eq!(prologue, case.hex("prologue"));

    let devices = [1, 0, 0, 0, 1, 1, 0];
    let kem = KemKey::from_seed(&case.arr("b_kem_seed"));
    let ratchet = x25519_dalek::StaticSecret::from(case.arr::<32>("b_ratchet"));
    let payload1 = [
        b.ik.as_ref(),
        &devices,
        &b.certificate,
        kem.public().as_slice(),
        x25519_dalek::PublicKey::from(&ratchet).as_bytes(),
        &b.bundle.to_bytes(),
        &[3],
        b"bob",
    ]
    .concat();
    assert_eq!(payload1, case.hex("payload1"));

    let (ct, ss) = (case.arr::<CT_LEN>("ct"), case.arr("ss"));
    assert_eq!(*kem.decapsulate(&ct).unwrap(), ss);
    let payload2 = case.hex("payload2");
    let at = 32 + 64 + 32 + devices.len() + 64;
    let mut signed = invite[50..82].to_vec();
    signed.extend_from_slice(&invite[18..50]);
    signed.extend_from_slice(&invite[14..18]);
    let signer = ed25519_dalek::SigningKey::from_bytes(&case.arr("a_ik_seed"));
    let head = [
        a.ik.as_ref(),
        &sign(net, &signer, "invite-key", &[&signed]),
        a.ix.as_ref(),
        &devices,
        &a.certificate,
    ]
    .concat();
    assert_eq!(payload2[..at], head);
    assert_eq!(payload2[at..at + CT_LEN], ct);
    let sealed = &payload2[at + CT_LEN + 2..];
    let key = kdf32(net, box_prk, "msg2-box", &[]);
    let inner = open(&key, &[], sealed).unwrap();
    assert_eq!(*inner, [&a.bundle.to_bytes()[..], &[5], b"alice"].concat());
}

#[test]
fn recoveries() {
    let net = Network::lab();
    for case in cases("recovery.json") {
        let s_rec = Secret::new(case.arr("s_rec"));
        let starter = Identity::from_secrets(&rnd32("bob ik"), &case.arr("starter_ix"));
        let answerer = Identity::from_secrets(&rnd32("alice ik"), &case.arr("answerer_ix"));
        assert_eq!(starter.ik(), IdentityKey(case.arr("starter_ik")));
        let iks = [
            IdentityKey(case.arr("ik_lower")),
            IdentityKey(case.arr("ik_upper")),
        ];
        let mut sorted = [starter.ik(), answerer.ik()];
        sorted.sort();
        assert_eq!(sorted, iks);
        let keys = [&starter, &answerer].map(|who| (who.ik(), who.ix()));
        let starts = parties(&net, &starter, &keys[1], &s_rec);
        let answers = parties(&net, &answerer, &keys[0], &s_rec);

        let seeds = StarterSeeds {
            ephemeral: case.arr("starter_ephemeral"),
            kem: case.arr("starter_kem_seed"),
            ratchet: case.arr("starter_ratchet"),
        };
        let [bundle, answer_bundle] = ["starter_bundle", "answerer_bundle"]
            .map(|field| Bundle::decode(&case.hex(field)).unwrap());
        let start = recovery::Starter::start(
            &starts,
            case.num("counter"),
            case.num("starter_gen"),
            case.num("starter_next_seq"),
            &bundle,
            seeds,
        )
        .unwrap();
        assert_eq!(start.msg1(), case.hex("msg1"));

        let seeds = AnswererSeeds {
            ephemeral: case.arr("answerer_ephemeral"),
            encapsulation: case.arr("answerer_encaps"),
            opener: [0; 32],
        };
        let generation: u16 = case.num("answerer_gen");
        let approval = recovery::Approval::new(
            start.msg1(),
            generation - 1,
            case.num("answerer_next_seq"),
            &answer_bundle,
            seeds,
        );
        let answer = answers.answer(&approval).unwrap();
        let first = SessionMessage::decode(&case.hex("first")).unwrap();
        let msg2 = answer.message(&first);
        assert_eq!(msg2, case.hex("msg2"));
        let finished = start.finish(&starts, &msg2).unwrap();
        for secrets in [&answer.secrets, &finished.secrets] {
            check_secrets(&case, secrets);
            assert_eq!(secrets.s_rec, s_rec);
        }
        let e0 = bundle.epoch();
        let key = |chain: &OuterChain| *chain.key_at(&net, e0).unwrap();
        assert_eq!(
            key(&answer.secrets.outer_out),
            case.arr("outer_answerer_to_starter")
        );
        assert_eq!(
            key(&answer.secrets.outer_in),
            case.arr("outer_starter_to_answerer")
        );
        check_recovery_parts(&net, &case, &s_rec);
        case.done();
    }
}

fn parties<'a>(
    net: &'a Network,
    identity: &'a Identity,
    peer: &'a (IdentityKey, HandshakeKey),
    s_rec: &'a Secret,
) -> Parties<'a> {
    Parties {
        net,
        identity,
        peer_ik: &peer.0,
        peer_ix: &peer.1,
        s_rec,
    }
}

fn check_recovery_parts(net: &Network, case: &Case, s_rec: &Secret) {
    let net_id = net.id();
    let prologue = [
        b"hermes/1 rec",
        net_id.as_ref(),
        &[1],
        &case.num::<u64>("counter").to_le_bytes(),
        &case.hex("ik_lower"),
        &case.hex("ik_upper"),
    ]
    .concat();
    assert_eq!(prologue, case.hex("prologue"));
    assert_eq!(*kdf32(net, s_rec, "recover-psk", &[]), case.arr("psk"));

    let kem = KemKey::from_seed(&case.arr("starter_kem_seed"));
    let payload1 = case.hex("payload1");
    assert_eq!(payload1[..2], case.num::<u16>("starter_gen").to_le_bytes());
    assert_eq!(payload1[2..2 + 1_216], *kem.public());
    assert!(payload1.ends_with(&case.hex("starter_bundle")));

    let payload2 = case.hex("payload2");
    let ct: [u8; CT_LEN] = payload2[2..2 + CT_LEN].try_into().unwrap();
    assert_eq!(*kem.decapsulate(&ct).unwrap(), case.arr("ss"));
    let box_prk = check_schedule(net, case, s_rec);
    let key = kdf32(net, &box_prk, "rec-box", &[]);
    let inner = open(&key, &[], &payload2[2 + CT_LEN + 8 + 2..]).unwrap();
    assert_eq!(*inner, case.hex("answerer_bundle"));

    for outer in case.list("outer_keys") {
        let rank = match outer.num("direction") {
            0 => Rank::Lower,
            _ => Rank::Upper,
        };
        let key = recovery::outer_key(net, s_rec, rank, Epoch(outer.num("epoch")));
        assert_eq!(*key, outer.arr("key"));
    }
}

#[test]
fn rekeyings() {
    let net = Network::lab();
    for case in cases("rekey.json") {
        let s_rekey = Secret::new(case.arr("s_rekey"));
        let epoch = Epoch(case.num("epoch"));
        let offering = Offering::from_secrets(
            case.arr("id"),
            epoch,
            case.arr("kem_seed"),
            case.arr("ratchet"),
        );
        assert_eq!(offering.offer().to_bytes(), case.hex("offer"));
        let offer = Offer::decode(&case.hex("offer")).unwrap();
        let (answer, theirs) = offer
            .answer(&net, &s_rekey, &case.arr("encaps"), Rank::Upper)
            .unwrap();
        assert_eq!(answer.to_bytes(), case.hex("answer"));
        let answer = Answer::decode(&case.hex("answer")).unwrap();
        let ours = offering
            .finish(&net, &s_rekey, &answer, Rank::Lower)
            .unwrap();

        let transcript = h(&[&case.hex("offer"), &case.hex("answer")]);
        let prk = extract(s_rekey.as_slice(), &[&case.hex("ss"), &transcript]);
        assert_eq!(*prk, case.arr("prk"));
        for rekeyed in [&ours, &theirs] {
            assert_eq!(*rekeyed.root.rk0(), case.arr("rk0"));
            assert_eq!(*rekeyed.root.ck0(), case.arr("ck0"));
            assert_eq!(*rekeyed.s_rekey, case.arr("s_rekey_next"));
        }
        let key = |chain: &OuterChain| *chain.key_at(&net, epoch).unwrap();
        let (low_to_high, high_to_low) =
            (case.arr("outer_low_to_high"), case.arr("outer_high_to_low"));
        assert_eq!(
            (key(&ours.outer_out), key(&ours.outer_in)),
            (low_to_high, high_to_low)
        );
        assert_eq!(
            (key(&theirs.outer_in), key(&theirs.outer_out)),
            (low_to_high, high_to_low)
        );
        case.done();
    }
}

#[test]
fn kem() {
    for case in cases("xwing.json") {
        let key = KemKey::from_seed(&case.arr("seed"));
        assert_eq!(*key.public(), case.arr("ek"));
        let (ct, shared) = encapsulate(&case.arr("ek"), &case.arr("random")).unwrap();
        assert_eq!(*ct, case.arr("ct"));
        assert_eq!(*shared, case.arr("ss"));
        assert_eq!(key.decapsulate(&ct).unwrap(), shared);
        case.done();
    }
}

#[test]
fn packets() {
    for case in cases("packet.json") {
        let mut acks = AckRanges::new();
        for range in case.pairs("acks") {
            for number in range.0..=range.1 {
                acks.insert(number);
            }
        }
        let frame = |frame: Case| {
            let read = Frame {
                kind: FrameKind::from(frame.num::<u8>("kind")),
                critical: frame.num::<u8>("flags") == 1,
                conv_seq: frame.num("conv_seq"),
                msg_id: MessageId(frame.arr("msg_id")),
                sent_at: frame.num("sent_at"),
                body: frame.hex("body"),
            };
            frame.done();
            read
        };
        let packet = Packet {
            device: case.num("device"),
            floor: case.num("floor"),
            acks,
            frames: case.list("frames").into_iter().map(frame).collect(),
        };
        assert_eq!(packet.to_bytes(), case.hex("bytes"));
        assert_eq!(Packet::decode(&case.hex("bytes")), Ok(packet));
        case.done();
    }
}
