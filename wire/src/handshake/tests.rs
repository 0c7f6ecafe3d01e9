use std::sync::OnceLock;

use super::{
    payload::{Caps, Payload1, Payload2},
    *,
};
use crate::{
    Wire as _,
    address::{Bundle, Chain, Generation},
    ids::{Epoch, IdentityKey, NodeKey, Slot},
    invite::{Entry, InviteSecrets, InviteTerms},
    kdf::extract,
    node::Addr,
    noise::{Keys, Noise, Pattern},
    packet::SessionMessage,
    pair::PairSecrets,
    xwing::KemKey,
};

/// Somebody with an identity and an address.
pub(crate) struct Person {
    pub(crate) identity: Identity,
    pub(crate) bundle: Bundle,
    pub(crate) name: String,
}

pub(crate) fn net() -> &'static Network {
    static NET: OnceLock<Network> = OnceLock::new();
    NET.get_or_init(Network::lab)
}

pub(crate) fn person(n: u8) -> Person {
    let generation = Generation::new(net(), u16::from(n), [n; 32]);
    Person {
        identity: Identity::from_secrets(&[n + 100; 32], &[n + 101; 32]),
        bundle: generation.bundle(
            net(),
            Slot::new(n).unwrap(),
            Epoch(300 + u32::from(n)),
            &Chain::new([n; 32]),
        ),
        name: format!("person {n}"),
    }
}

pub(crate) fn starter_seeds(n: u8) -> StarterSeeds {
    StarterSeeds {
        ephemeral: [n; 32],
        kem: [n + 1; 32],
        ratchet: [n + 2; 32],
    }
}

pub(crate) fn answerer_seeds(n: u8) -> AnswererSeeds {
    AnswererSeeds {
        ephemeral: [n; 32],
        encapsulation: [n + 1; 64],
        opener: [n + 2; 32],
    }
}

pub(crate) fn first_message(generation: u16) -> SessionMessage {
    SessionMessage {
        generation,
        olm_type: 0,
        olm: vec![0xaa; 200],
    }
}

/// Person 1 invites, person 2 accepts.
struct Scene {
    a: Person,
    b: Person,
    secrets: InviteSecrets,
    invite: Invite,
    invitee: Invitee,
}

impl Scene {
    fn new() -> Self {
        let (a, b) = (person(1), person(2));
        let (secrets, invite) = invite_of(&a.identity.ik(), 7);
        let invitee = start(&invite, &b);
        Self {
            a,
            b,
            secrets,
            invite,
            invitee,
        }
    }

    fn inviter(&self) -> Inviter<'_> {
        Inviter::new(
            net(),
            &self.invite,
            &self.secrets.handshake_secret,
            &self.a.identity,
        )
        .unwrap()
    }

    fn approval(&self) -> Approval {
        Approval::new(
            self.invitee.msg1(),
            &self.a.bundle,
            &self.a.name,
            answerer_seeds(60),
        )
        .unwrap()
    }

    fn msg2(&self) -> Vec<u8> {
        self.inviter()
            .answer(&self.approval())
            .unwrap()
            .message(&first_message(0))
    }

    fn finish(&self, msg2: &[u8]) -> Result<Finished, HandshakeError> {
        self.invitee.finish(net(), &self.b.identity, msg2)
    }

    /// An answer by somebody who holds the invite's secret key but does not keep to the rules.
    fn forged(&self, forge: impl FnOnce(&mut Payload2, &mut Vec<u8>)) -> Vec<u8> {
        let mut noise = Noise::answerer(&Keys {
            pattern: Pattern::IkPsk0,
            prologue: &prologue(net(), Caps::OURS.bytes(), &self.invite),
            psk: self.invite.secret(),
            local: &self.secrets.handshake_secret,
            remote: None,
            ephemeral: &[9; 32],
        })
        .unwrap();
        let payload = Payload1::decode(&noise.read(&self.invitee.msg1()[4..]).unwrap()).unwrap();
        let h1 = noise.hash().unwrap();
        let (ct, shared) = crate::xwing::encapsulate(&payload.ek, &[8; 64]).unwrap();
        let mut inner = self.a.bundle.to_bytes();
        inner.put_var8(b"a");
        let mut reply = Payload2 {
            ik: self.a.identity.ik(),
            invite_signature: self.a.identity.sign(
                net(),
                "invite-key",
                &[&signed_keys(&self.invite)],
            ),
            ix: self.a.identity.ix(),
            devices: Devices::default(),
            certificate: self.a.identity.certificate(net()),
            ct,
            sealed: Vec::new(),
        };
        forge(&mut reply, &mut inner);
        if reply.sealed.is_empty() {
            reply.sealed = seal_box(net(), "msg2-box", &h1, &shared, &inner);
        }
        let mut out = vec![3];
        out.put_var16(&noise.write(&reply.to_bytes()).unwrap());
        first_message(0).encode(&mut out);
        out
    }
}

fn invite_of(identity: &IdentityKey, n: u8) -> (InviteSecrets, Invite) {
    let secrets = InviteSecrets {
        root_seed: [n; 32],
        handshake_secret: [n + 1; 32],
    };
    let entry = Entry::new(
        Addr::new("192.0.2.1:4433".parse().unwrap()),
        &NodeKey([1; 32]),
    );
    let terms = InviteTerms {
        ask: false,
        start_epoch: Epoch(300),
        expiry: 7_300,
        identity: *identity,
        nodes: vec![entry],
    };
    let invite = secrets.invite(net(), [n + 2; 32], terms).unwrap();
    (secrets, invite)
}

fn start(invite: &Invite, b: &Person) -> Invitee {
    Invitee::start(
        net(),
        invite,
        &b.identity,
        &b.bundle,
        &b.name,
        starter_seeds(50),
    )
    .unwrap()
}

/// Message 1 by somebody who holds the invite but does not keep to the rules.
fn forged_msg1(scene: &Scene, caps: Caps, forge: impl FnOnce(&mut Payload1)) -> Vec<u8> {
    let mut noise = Noise::starter(&Keys {
        pattern: Pattern::IkPsk0,
        prologue: &prologue(net(), caps.bytes(), &scene.invite),
        psk: scene.invite.secret(),
        local: &scene.b.identity.ix_secret(),
        remote: Some(&scene.invite.handshake_key),
        ephemeral: &[9; 32],
    })
    .unwrap();
    let mut payload = Payload1 {
        ik: scene.b.identity.ik(),
        devices: Devices::default(),
        certificate: scene.b.identity.certificate(net()),
        ek: KemKey::from_seed(&[8; 32]).public(),
        ratchet: ratchet_public(&[7; 32]),
        bundle: scene.b.bundle.clone(),
        name: "b".to_owned(),
    };
    forge(&mut payload);
    [
        &[2][..],
        &caps.bytes(),
        &noise.write(&payload.to_bytes()).unwrap(),
    ]
    .concat()
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
fn two_people_meet() {
    let scene = Scene::new();
    let request = scene.inviter().read(scene.invitee.msg1()).unwrap();
    let peer_b = Peer {
        ik: scene.b.identity.ik(),
        ix: scene.b.identity.ix(),
        devices: Devices { device: 1 },
        certificate: scene.b.identity.certificate(net()),
        name: "person 2".to_owned(),
        bundle: scene.b.bundle.clone(),
    };
    assert_eq!(request.peer, peer_b);

    let answer = scene.inviter().answer(&scene.approval()).unwrap();
    assert_eq!(answer.peer, peer_b);
    let finished = scene.finish(&answer.message(&first_message(0))).unwrap();
    assert_eq!(finished.first, first_message(0));
    assert_eq!(
        (finished.peer.ik, finished.peer.ix),
        (scene.a.identity.ik(), scene.a.identity.ix())
    );
    assert_eq!(
        (finished.peer.name.as_str(), &finished.peer.bundle),
        ("person 1", &scene.a.bundle)
    );
    assert_agreed(&finished.secrets, &answer.secrets);
    assert_eq!(
        answer.peer_ratchet,
        ratchet_public(&finished.ratchet_secret)
    );
    assert_eq!(*answer.opener_secret, [62; 32]);
    assert_eq!(
        finished.secrets.outer_in.epoch(),
        scene.b.bundle.epoch(),
        "e0 is the epoch of B's bundle"
    );
    assert!(
        scene.invitee.msg1().len() <= 4_062 && answer.message(&first_message(0)).len() <= 4_062,
        "bucket 1"
    );
}

#[test]
fn both_sides_go_on_after_a_restart() {
    let scene = Scene::new();
    let invitee = Invitee::decode(&scene.invitee.to_bytes()).unwrap();
    assert!(invitee == scene.invitee && invitee.invite() == Ok(scene.invite.clone()));
    let approval = Approval::decode(&scene.approval().to_bytes()).unwrap();
    assert_eq!(approval.msg1(), scene.invitee.msg1());
    let again = scene.inviter().answer(&approval).unwrap();
    assert_eq!(
        again.message(&first_message(0)),
        scene.msg2(),
        "the same answer to the byte"
    );
    let finished = invitee
        .finish(net(), &scene.b.identity, &scene.msg2())
        .unwrap();
    assert_agreed(&finished.secrets, &again.secrets);
    assert_eq!(start(&scene.invite, &scene.b).msg1(), scene.invitee.msg1());
    let twice = scene.finish(&scene.msg2()).unwrap();
    assert_agreed(&twice.secrets, &again.secrets);
}

#[test]
fn other_seeds_give_other_secrets() {
    let scene = Scene::new();
    let answer = |seeds| {
        let approval = Approval::new(scene.invitee.msg1(), &scene.a.bundle, "a", seeds).unwrap();
        scene.inviter().answer(&approval).unwrap()
    };
    let base = answer(answerer_seeds(60));
    let ephemeral = AnswererSeeds {
        ephemeral: [1; 32],
        ..answerer_seeds(60)
    };
    let encapsulation = AnswererSeeds {
        encapsulation: [1; 64],
        ..answerer_seeds(60)
    };
    for seeds in [ephemeral, encapsulation] {
        assert!(answer(seeds).secrets.root != base.secrets.root);
    }
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let scene = Scene::new();
    let inviter = scene.inviter();
    let msg1 = scene.invitee.msg1();
    for at in 0..msg1.len() {
        let mut changed = msg1.to_vec();
        changed[at] ^= 1 << (at % 8);
        assert!(inviter.read(&changed).is_err(), "byte {at} of message 1");
    }
    let msg2 = scene.msg2();
    let sealed = msg2.len() - first_message(0).to_bytes().len();
    for at in 0..sealed {
        let mut changed = msg2.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(scene.finish(&changed).is_err(), "byte {at} of message 2");
    }
}

#[test]
fn cut_and_lengthened_messages_are_refused() {
    let scene = Scene::new();
    let inviter = scene.inviter();
    let (msg1, msg2) = (scene.invitee.msg1(), scene.msg2());
    for len in (0..msg1.len()).step_by(13) {
        assert!(inviter.read(&msg1[..len]).is_err(), "length {len}");
    }
    assert_eq!(
        inviter.read(&[msg1, &[0]].concat()),
        Err(HandshakeError::Sealed)
    );
    let sealed = msg2.len() - first_message(0).to_bytes().len();
    for len in (0..sealed + 4).step_by(13).chain(sealed..sealed + 4) {
        assert!(scene.finish(&msg2[..len]).is_err(), "length {len}");
    }
    let answer = scene.inviter().answer(&scene.approval()).unwrap();
    assert!(matches!(
        scene.finish(&answer.message(&first_message(1))),
        Err(HandshakeError::Decode(_))
    ));
}

#[test]
fn stored_forms_refuse_damage() {
    let scene = Scene::new();
    let (invitee, approval) = (scene.invitee.to_bytes(), scene.approval().to_bytes());
    for len in (0..invitee.len()).step_by(29) {
        assert!(Invitee::decode(&invitee[..len]).is_err());
    }
    for len in (0..approval.len()).step_by(29) {
        assert!(Approval::decode(&approval[..len]).is_err());
    }
    for stored in [&invitee, &approval] {
        let mut newer = stored.clone();
        newer[0] = 2;
        assert!(Invitee::decode(&newer).is_err() && Approval::decode(&newer).is_err());
    }
    let other = person(3);
    assert_eq!(
        scene
            .invitee
            .finish(net(), &other.identity, &scene.msg2())
            .err(),
        Some(HandshakeError::Stored)
    );
    let mut damaged = invitee;
    damaged[10] ^= 1;
    let damaged = Invitee::decode(&damaged).unwrap();
    assert_eq!(
        damaged
            .finish(net(), &scene.b.identity, &scene.msg2())
            .err(),
        Some(HandshakeError::Stored)
    );
}

#[test]
fn messages_of_another_invite_or_network_do_not_open() {
    let scene = Scene::new();
    let (secrets, invite) = invite_of(&scene.a.identity.ik(), 20);
    let other = Inviter::new(net(), &invite, &secrets.handshake_secret, &scene.a.identity).unwrap();
    assert_eq!(
        other.read(scene.invitee.msg1()),
        Err(HandshakeError::Sealed)
    );

    let mut longer = scene.invite.clone();
    longer.expiry += 1;
    let other = Inviter::new(
        net(),
        &longer,
        &scene.secrets.handshake_secret,
        &scene.a.identity,
    )
    .unwrap();
    assert_eq!(
        other.read(scene.invitee.msg1()),
        Err(HandshakeError::Sealed),
        "a single field of the invite differs"
    );

    let main = Network::main();
    let other = Inviter::new(
        &main,
        &scene.invite,
        &scene.secrets.handshake_secret,
        &scene.a.identity,
    )
    .unwrap();
    assert_eq!(
        other.read(scene.invitee.msg1()),
        Err(HandshakeError::Sealed)
    );
}

#[test]
fn an_answer_to_another_message_does_not_open() {
    let scene = Scene::new();
    let second = Invitee::start(
        net(),
        &scene.invite,
        &scene.b.identity,
        &scene.b.bundle,
        "b",
        starter_seeds(80),
    )
    .unwrap();
    assert_eq!(
        second.finish(net(), &scene.b.identity, &scene.msg2()).err(),
        Some(HandshakeError::Sealed)
    );
}

#[test]
fn an_inviter_needs_what_belongs_to_the_invite() {
    let scene = Scene::new();
    let stranger = person(3);
    for (secret, identity) in [
        (&[1; 32], &scene.a.identity),
        (&scene.secrets.handshake_secret, &stranger.identity),
    ] {
        let refused = Inviter::new(net(), &scene.invite, secret, identity);
        assert_eq!(refused.err(), Some(HandshakeError::Stored));
    }
}

#[test]
fn the_invitee_checks_who_answers() {
    let scene = Scene::new();
    let stranger = person(3).identity;
    assert!(
        scene.finish(&scene.forged(|_, _| {})).is_ok(),
        "the forger's honest answer"
    );

    let check = |forge: &dyn Fn(&mut Payload2, &mut Vec<u8>)| {
        scene.finish(&scene.forged(forge)).err().unwrap()
    };
    assert_eq!(
        check(&|reply, _| reply.ik = stranger.ik()),
        HandshakeError::Fingerprint
    );
    assert_eq!(
        check(&|reply, _| reply.invite_signature[0] ^= 1),
        HandshakeError::InviteSignature
    );
    let other_purpose = scene
        .a
        .identity
        .sign(net(), "bundle", &[&signed_keys(&scene.invite)]);
    assert_eq!(
        check(&|reply, _| reply.invite_signature = other_purpose),
        HandshakeError::InviteSignature
    );
    assert_eq!(
        check(&|reply, _| reply.ix = stranger.ix()),
        HandshakeError::Certificate
    );
    assert_eq!(
        check(&|reply, _| reply.devices.device = 2),
        HandshakeError::Certificate
    );
    assert_eq!(
        check(&|reply, _| reply.certificate = stranger.certificate(net())),
        HandshakeError::Certificate
    );
    assert_eq!(
        check(&|reply, _| reply.ct[1_088..].fill(0)),
        HandshakeError::Key {
            field: "ciphertext"
        }
    );
    assert_eq!(check(&|reply, _| reply.ct[0] ^= 1), HandshakeError::Sealed);
    assert_eq!(
        check(&|reply, _| reply.sealed = vec![0; 2_200]),
        HandshakeError::Sealed
    );
    assert!(matches!(
        check(&|_, inner| inner.put_u8(0)),
        HandshakeError::Decode(_)
    ));
    assert!(
        matches!(
            check(&|_, inner| inner[6..38].fill(0)),
            HandshakeError::Decode(_)
        ),
        "the import rules of the bundle"
    );
    let long = |inner: &mut Vec<u8>| {
        inner.truncate(Bundle::LEN);
        inner.put_var8(&[b'n'; 65]);
    };
    assert!(matches!(
        check(&|_, inner| long(inner)),
        HandshakeError::Decode(_)
    ));
}

#[test]
fn the_inviter_checks_who_asks() {
    let scene = Scene::new();
    let inviter = scene.inviter();
    let stranger = person(3).identity;
    let check =
        |forge: &dyn Fn(&mut Payload1)| inviter.read(&forged_msg1(&scene, Caps::OURS, forge)).err();
    assert_eq!(check(&|_| {}), None, "the forger's honest message");
    assert_eq!(
        check(&|p| p.ik = stranger.ik()),
        Some(HandshakeError::Certificate)
    );
    assert_eq!(
        check(&|p| p.certificate = stranger.certificate(net())),
        Some(HandshakeError::Certificate)
    );
    assert_eq!(
        check(&|p| p.devices.device = 9),
        Some(HandshakeError::Certificate)
    );
    let myself = |p: &mut Payload1| {
        let ix = scene.b.identity.ix();
        p.ik = scene.a.identity.ik();
        p.certificate =
            scene
                .a
                .identity
                .sign(net(), "bundle", &[ix.as_ref(), &p.devices.to_bytes()]);
    };
    assert_eq!(check(&myself), Some(HandshakeError::Oneself));
    let kem = HandshakeError::Key {
        field: "X-Wing key",
    };
    assert_eq!(check(&|p| p.ek[..3].fill(0xff)), Some(kem.clone()));
    assert_eq!(check(&|p| p.ek[1_184..].fill(0)), Some(kem));
    assert_eq!(
        check(&|p| p.ratchet = [0; 32]),
        Some(HandshakeError::Key {
            field: "ratchet key"
        })
    );
    assert!(matches!(
        check(&|p| p.name = "n".repeat(65)),
        Some(HandshakeError::Decode(_))
    ));
    assert!(matches!(
        check(&|p| p.devices.device = 0),
        Some(HandshakeError::Decode(_))
    ));
}

#[test]
fn capabilities_are_checked_and_bound() {
    let scene = Scene::new();
    let caps = |min, max, suites| Caps { min, max, suites };
    let read = |caps| {
        scene
            .inviter()
            .read(&forged_msg1(&scene, caps, |_| {}))
            .err()
    };
    for good in [caps(1, 1, 1), caps(1, 3, 5)] {
        assert_eq!(read(good), None);
    }
    for (min, max, suites) in [(2, 3, 1), (0, 1, 1), (1, 0, 1), (1, 1, 2)] {
        assert_eq!(
            read(caps(min, max, suites)),
            Some(HandshakeError::Unsupported { min, max, suites })
        );
    }
    // Somebody on the way who narrows what is offered is noticed.
    let mut narrowed = forged_msg1(&scene, caps(1, 3, 5), |_| {});
    narrowed[2] = 1;
    assert_eq!(scene.inviter().read(&narrowed), Err(HandshakeError::Sealed));
}

#[test]
fn an_invite_of_ones_own_is_not_accepted() {
    let a = person(1);
    let (secrets, invite) = invite_of(&a.identity.ik(), 7);
    let invitee = start(&invite, &a);
    let inviter = Inviter::new(net(), &invite, &secrets.handshake_secret, &a.identity).unwrap();
    assert_eq!(inviter.read(invitee.msg1()), Err(HandshakeError::Oneself));

    // An answer nevertheless, by somebody else with our keys.
    let scene = Scene {
        a: person(1),
        b: a,
        secrets,
        invite,
        invitee,
    };
    let answer = scene.forged(|_, _| {});
    assert_eq!(scene.finish(&answer).err(), Some(HandshakeError::Oneself));
}

#[test]
fn long_names_are_refused_at_once() {
    let scene = Scene::new();
    let name = "n".repeat(65);
    let refused = HandshakeError::NameTooLong { len: 65, max: 64 };
    let started = Invitee::start(
        net(),
        &scene.invite,
        &scene.b.identity,
        &scene.b.bundle,
        &name,
        starter_seeds(1),
    );
    assert_eq!(started.err(), Some(refused.clone()));
    let approved = Approval::new(&[], &scene.a.bundle, &name, answerer_seeds(1));
    assert_eq!(approved.err(), Some(refused));
    let longest = Invitee::start(
        net(),
        &scene.invite,
        &scene.b.identity,
        &scene.b.bundle,
        &name[1..],
        starter_seeds(1),
    );
    assert!(scene.inviter().read(longest.unwrap().msg1()).is_ok());
}

#[test]
fn debug_output_holds_no_secrets() {
    let scene = Scene::new();
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        scene.invitee,
        scene.approval(),
        scene.a.identity,
        starter_seeds(1),
        answerer_seeds(1)
    );
    assert_eq!(
        shown,
        "Invitee { .. } Approval { .. } Identity { .. } StarterSeeds { .. } AnswererSeeds { .. }"
    );
    let finished = format!("{:?}", scene.finish(&scene.msg2()).unwrap());
    assert!(finished.contains("PairSecrets { .. }"));
}

#[test]
fn the_box_needs_the_kem_secret() {
    let (h1, shared) = ([1; 32], extract(&[2; 32], &[]));
    let sealed = seal_box(net(), "msg2-box", &h1, &shared, b"inside");
    assert_eq!(
        open_box(net(), "msg2-box", &h1, &shared, &sealed)
            .unwrap()
            .as_slice(),
        b"inside"
    );
    assert!(open_box(net(), "rec-box", &h1, &shared, &sealed).is_none());
    assert!(open_box(net(), "msg2-box", &[3; 32], &shared, &sealed).is_none());
    assert!(open_box(net(), "msg2-box", &h1, &extract(&[9; 32], &[]), &sealed).is_none());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_is_refused(
        garbage in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600),
        keep in 0..600_usize,
    ) {
        let scene = Scene::new();
        for kind in 0..6 {
            let message = [&[kind, 1, 1, 1][..], &garbage].concat();
            proptest::prop_assert!(scene.inviter().read(&message).is_err());
            proptest::prop_assert!(scene.finish(&message).is_err());
        }
        let after_good_start = [&scene.msg2()[..keep], &garbage].concat();
        proptest::prop_assert!(scene.finish(&after_good_start).is_err());
    }
}
