//! Deposits, receipts, nodes, invites.

use ed25519_dalek::SigningKey;
use hermes_wire::Network;
use hermes_wire::address::{FriendAddress, Writer};
use hermes_wire::blind::BlindedKey;
use hermes_wire::codec::Wire;
use hermes_wire::deposit::{Bucket, Deposit, DepositRef, Draft};
use hermes_wire::earth::StampSubject;
use hermes_wire::ids::{DepositId, Epoch, IdentityKey, MailboxId, NodeKey, OwnerKey};
use hermes_wire::invite::{Entry, Invite, InviteSecrets, InviteTerms};
use hermes_wire::kdf::h;
use hermes_wire::mailbox::{Descriptor, keeper_point};
use hermes_wire::node::{Addr, Flags, NodeRecord, NodeUri, RecordBody, Role};
use hermes_wire::outer::deposit_nonce;
use hermes_wire::receipt::{Receipt, ReceiptBatch, Receipted};

use super::case::{Case, cases, rnd, rnd32};

#[test]
fn deposits_and_stamps() {
    let net = Network::lab();
    let (mut deposits, mut stamps) = (0, 0);
    for case in cases("deposit.json") {
        if case.has("stamp") {
            stamp(case);
            stamps += 1;
        } else {
            deposit(&net, case);
            deposits += 1;
        }
    }
    assert!(deposits >= 6 && stamps >= 3);
}

/// The mailbox and write key that the file's cases use.
fn destination(net: &Network, case: &Case) -> (Descriptor, Writer) {
    let address = super::case::case("address.json", "epoch 324");
    let view = FriendAddress::decode(&address.hex("bundle"))
        .unwrap()
        .view(net, Epoch(324))
        .unwrap();
    let (descriptor, writer) = match case.num::<u8>("policy") {
        1 => (view.descriptor, view.writer(2).unwrap().clone()),
        _ => {
            let key = BlindedKey::from_seed(&rnd32("single write key"));
            let writer = Writer {
                key,
                leaf: 0,
                path: Vec::new(),
            };
            (
                Descriptor::single(view.descriptor.owner, &writer.write_key()),
                writer,
            )
        }
    };
    assert_eq!(descriptor.policy.code(), case.num::<u8>("policy"));
    assert_eq!(descriptor.owner, OwnerKey(case.arr("mailbox_key")));
    assert_eq!(writer.write_key().0, case.arr("write_key"));
    assert_eq!(writer.leaf, case.num::<u16>("index"));
    (descriptor, writer)
}

fn deposit(net: &Network, case: Case) {
    let (descriptor, writer) = destination(net, &case);
    let content = if case.has("content_label") {
        let n = Bucket::ALL[case.num::<usize>("bucket")].max_content();
        let content = rnd(case.text("content_label"), n);
        assert_eq!(h(&[&content]), case.arr("content_hash"));
        content
    } else {
        case.hex("content")
    };
    let (key, random) = (case.arr("outer_key"), case.arr("random"));
    assert_eq!(deposit_nonce(&key, &random, &content), case.arr("nonce"));

    let bucket = Bucket::ALL[case.num::<usize>("bucket")];
    let draft = Draft {
        descriptor: &descriptor,
        writer: &writer,
        expiry: case.num("expiry"),
        bucket,
    };
    let (built, located) = Deposit::build(net, &draft, &key, &content, &random).unwrap();
    if case.has("record_hash") {
        assert_eq!(h(&[built.as_bytes()]), case.arr("record_hash"));
    } else {
        assert_eq!(built.as_bytes(), case.hex("record"), "{}", case.name());
    }
    assert_eq!(located.mailbox, MailboxId(case.arr("mailbox")));
    assert_eq!(located.id, DepositId(case.arr("id")));

    let read = DepositRef::parse(built.as_bytes()).unwrap();
    assert_eq!(*read.verify(net).unwrap(), located);
    assert_eq!(
        read.open(net, &[&[0; 32], &key]).unwrap(),
        (1, content.into())
    );
    case.done();
}

fn stamp(case: Case) {
    let subject = StampSubject {
        mailbox: MailboxId(case.arr("mailbox")),
        deposit: DepositId(case.arr("id")),
        node: NodeKey(case.arr("node_key")),
        hour: case.num("hour"),
    };
    let (bits, digest) = (case.num::<u32>("bits"), case.arr::<32>("digest"));
    let worth = digest
        .iter()
        .flat_map(|b| (0..8).rev().map(move |i| b >> i & 1))
        .take_while(|b| *b == 0);
    let worth = u32::try_from(worth.count()).unwrap();
    assert!(worth >= bits);
    assert_eq!(subject.bits(&case.arr("stamp")), worth);
    assert_eq!(subject.search(bits, 0, 1 << 20), Some(case.arr("stamp")));
    case.done();
}

#[test]
fn receipts() {
    let net = Network::lab();
    for case in cases("receipt.json") {
        let entry = |c: Case| {
            let (deposit, mailbox) = (DepositId(c.arr("id")), MailboxId(c.arr("mailbox")));
            let about = Receipted {
                deposit,
                mailbox,
                expiry: c.num("expiry"),
            };
            c.done();
            about
        };
        let entries: Vec<_> = case.list("entries").into_iter().map(entry).collect();
        let key = SigningKey::from_bytes(&case.arr("seed"));
        let ours = ReceiptBatch::sign(&net, &key, case.num("time"), &entries);
        let bytes: Vec<_> = ours.iter().map(Wire::to_bytes).collect();
        assert_eq!(bytes, case.hexes("receipts"));
        for (bytes, entry) in bytes.iter().zip(&entries) {
            let receipt = Receipt::decode(bytes).unwrap();
            assert_eq!(receipt.verify(&net), Ok(()));
            assert_eq!(receipt.about, *entry);
        }
        case.done();
    }
}

fn role(code: u8) -> Role {
    if code == 1 { Role::Sky } else { Role::Earth }
}

fn flags(bits: u16) -> Flags {
    [Flags::DIRECT, Flags::UNMETERED, Flags::RELAY]
        .into_iter()
        .enumerate()
        .filter(|(i, _)| bits >> i & 1 == 1)
        .fold(Flags::default(), |all, (_, one)| all.with(one))
}

#[test]
fn nodes() {
    for case in cases("node.json") {
        let record = NodeRecord::decode(&case.hex("record")).unwrap();
        let body = RecordBody {
            role: role(case.num("role")),
            flags: flags(case.num("flags")),
            hpke_key: case.arr("hpke_key"),
            seq: case.num("seq"),
            expires: case.num("expires"),
            slot: case.num("slot"),
            addrs: record.body.addrs.clone(),
        };
        let key = SigningKey::from_bytes(&case.arr("seed"));
        let ours = NodeRecord::sign(&Network::lab(), &key, body.clone()).unwrap();
        assert_eq!(ours, record);
        assert_eq!(ours.to_bytes(), case.hex("record"));
        assert_eq!(record.node, NodeKey(case.arr("node_key")));
        assert_eq!(record.verify(&Network::lab(), body.seq / 1_000), Ok(()));

        assert_eq!(record.uri().unwrap().to_string(), case.text("uri"));
        assert_eq!(
            case.text("uri").parse::<NodeUri>().unwrap(),
            record.uri().unwrap()
        );
        assert_eq!(keeper_point(&record.node).0, case.arr("earth_point"));
        let as_sky = |net: Network| {
            let body = RecordBody {
                role: Role::Sky,
                ..body.clone()
            };
            NodeRecord::sign(&net, &key, body).unwrap().point(&net).0
        };
        assert_eq!(as_sky(Network::main()), case.arr("sky_point_diverse"));
        assert_eq!(as_sky(Network::lab()), case.arr("sky_point_lab"));
        case.done();
    }
}

#[test]
fn invites() {
    let net = Network::lab();
    for case in cases("invite.json") {
        let secrets = InviteSecrets {
            root_seed: case.arr("d_seed"),
            handshake_secret: case.arr("s_secret"),
        };
        let identity = SigningKey::from_bytes(&case.arr("ik_seed"))
            .verifying_key()
            .to_bytes();
        assert_eq!(identity, case.arr("ik"));
        let entry = |c: Case| {
            let entry = Entry {
                addr: Addr::decode(&c.hex("address")).unwrap(),
                key_hash: c.arr("hash"),
            };
            c.done();
            entry
        };
        let terms = InviteTerms {
            ask: case.num::<u8>("flags") == 1,
            start_epoch: Epoch(case.num("start_epoch")),
            expiry: case.num("expiry"),
            identity: IdentityKey(identity),
            nodes: case.list("nodes").into_iter().map(entry).collect(),
        };
        let invite = secrets.invite(&net, case.arr("k_inv"), terms).unwrap();
        assert_eq!(invite.root, case.arr("D"));
        assert_eq!(invite.handshake_key, case.arr("S"));
        assert_eq!(*invite.to_bytes(), case.hex("bytes"));
        assert_eq!(*invite.link(), case.text("text"));
        assert_eq!(*invite.qr_text(), case.text("uri"));
        for text in [case.text("text"), case.text("uri")] {
            let now = net.epoch_start(invite.start_epoch);
            assert_eq!(Invite::parse(text, &net, now).unwrap(), invite);
        }
        assert_eq!(*invite.outer_key(&net), case.arr("outer_key"));
        for mailbox in case.list("mailboxes") {
            invite_mailbox(&net, &secrets, &invite, mailbox);
        }
        case.done();
    }
}

fn invite_mailbox(net: &Network, secrets: &InviteSecrets, invite: &Invite, case: Case) {
    let epoch = Epoch(case.num("epoch"));
    let ours = invite.mailbox(net, epoch).unwrap();
    let seed = hermes_wire::kdf::kdf32(net, &case.arr("chain"), "inv-write", &[]);
    assert_eq!(*seed, case.arr("write_seed"));
    assert_eq!(ours.writer.key, BlindedKey::from_seed(&seed));
    assert_eq!(ours.writer.write_key().0, case.arr("write_key"));
    assert_eq!(ours.descriptor.to_bytes(), case.hex("descriptor"));
    assert_eq!(ours.mailbox.0, case.arr("mailbox"));
    let owner = secrets.owner_key(net, invite, epoch).unwrap();
    assert_eq!(owner.public(), case.arr("mailbox_key"));
    assert_eq!(owner.public(), ours.descriptor.owner.0);
    case.done();
}
