//! Networks, derivation, signatures, addresses.

use ed25519_dalek::SigningKey;
use hermes_wire::address::{Chain, FriendAddress, Generation};
use hermes_wire::ids::{Epoch, Slot};
use hermes_wire::mailbox::{mailbox_position, presence_position};
use hermes_wire::network::Params;
use hermes_wire::{Network, Wire, kdf, sign};

use super::case::{Case, cases};

fn params(name: &str, p: Case) -> Params {
    let params = Params {
        name: name.to_owned(),
        epoch_s: p.num("epoch_s"),
        presence_parts: p.num("presence_parts"),
        expiry_unit_s: p.num("expiry_unit_s"),
        expiry_default_s: p.num("expiry_default_s"),
        expiry_max_s: p.num("expiry_max_s"),
        grace_s: p.num("grace_s"),
        slot_bytes: p.num("slot_bytes"),
        slot_deposits: p.num("slot_deposits"),
        slot_reserved_bytes: p.num("slot_reserved_bytes"),
        mailbox_shared_bytes: p.num("mailbox_shared_bytes"),
        mailbox_tombstones: p.num("mailbox_tombstones"),
        mailboxes_per_prefix_hour: p.num("mailboxes_per_prefix_hour"),
        copies: p.num("copies"),
        acks: p.num("acks"),
        direct_min: p.num("direct_min"),
        diversity: p.num("diversity"),
        register_jitter_s: p.num("register_jitter_s"),
        deposit_jitter_ms: p.num("deposit_jitter_ms"),
        ack_delay_ms: p.num("ack_delay_ms"),
        lease_s: p.num("lease_s"),
        knock_grace_ms: p.num("knock_grace_ms"),
        redeposit_s: p.num("redeposit_s"),
        gap_wait_s: p.num("gap_wait_s"),
        invite_max_s: p.num("invite_max_s"),
        rekey_s: p.num("rekey_s"),
        rekey_min_s: p.num("rekey_min_s"),
        rekey_messages: p.num("rekey_messages"),
    };
    p.done();
    params
}

#[test]
fn networks_and_time() {
    let all = cases("network.json");
    assert!(all.len() >= 3);
    for case in all {
        let net = Network::new(params(case.name(), case.object("parameters"))).unwrap();
        assert_eq!(kdf::h(&[&case.hex("encoding")])[..4], net.id().0);
        assert_eq!(net.id().0, case.arr("net_id"));
        if let Some(built_in) = Network::named(case.name()) {
            assert_eq!(built_in, net);
            assert_eq!(built_in.id(), net.id());
        }
        for time in case.list("times") {
            let t = time.num("t");
            assert_eq!(net.epoch(t), Epoch(time.num("epoch")));
            assert_eq!(net.part(t), time.num::<u8>("part"));
            assert_eq!(net.expiry_stamp(t), time.num::<u32>("expiry"));
            time.done();
        }
        case.done();
    }
}

#[test]
fn derivation() {
    let net = Network::lab();
    for case in cases("kdf.json") {
        if case.name() == "EXTRACT" {
            assert_eq!(
                *kdf::extract(&case.hex("salt"), &[&case.hex("ikm")]),
                case.arr("output")
            );
            case.done();
            continue;
        }
        let parts = case.hexes("parts");
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let key = case.arr("key");
        let output = match case.num::<usize>("length") {
            32 => kdf::kdf::<32>(&net, &key, case.name(), &parts).to_vec(),
            48 => kdf::kdf::<48>(&net, &key, case.name(), &parts).to_vec(),
            other => panic!("no test for length {other}"),
        };
        assert_eq!(output, case.hex("output"), "{}", case.name());
        case.done();
    }
}

#[test]
fn signatures() {
    let net = Network::lab();
    for case in cases("sign.json") {
        let key = SigningKey::from_bytes(&case.arr("seed"));
        let (public, body, signature) =
            (case.arr("public"), case.hex("body"), case.arr("signature"));
        assert_eq!(key.verifying_key().to_bytes(), public);
        assert_eq!(sign::sign(&net, &key, case.name(), &[&body]), signature);
        assert_eq!(
            sign::verify(&net, &public, case.name(), &[&body], &signature),
            Ok(())
        );
        assert!(
            sign::verify(&Network::main(), &public, case.name(), &[&body], &signature).is_err()
        );
        case.done();
    }
}

#[test]
fn addresses() {
    let net = Network::lab();
    for case in cases("address.json") {
        let generation = Generation::new(&net, case.num("gen"), case.arr("s"));
        assert_eq!(
            *kdf::kdf32(&net, &case.arr("s"), "gen-root", &[]),
            case.arr("d")
        );
        let (start, epoch) = (Epoch(case.num("start_epoch")), Epoch(case.num("epoch")));
        let start_chain = Chain::new(case.arr("start_chain"));
        let chain = (start.0..epoch.0).fold(start_chain.clone(), |c, _| c.next(&net));
        assert_eq!(*chain.expose(), case.arr("chain"));

        let bundle = generation.bundle(
            &net,
            Slot::new(case.num("bundle_slot")).unwrap(),
            epoch,
            &chain,
        );
        assert_eq!(bundle.to_bytes(), case.hex("bundle"));
        let imported = FriendAddress::decode(&case.hex("bundle")).unwrap();
        assert_eq!(imported, bundle);
        assert_eq!(bundle.to_bytes()[6..38], case.hex("D"));
        assert_eq!(bundle.to_bytes()[103..], case.hexes("V").concat());

        let owner = generation.epoch(&net, epoch, &chain, None);
        assert_eq!(owner.descriptor.to_bytes(), case.hex("descriptor"));
        assert_eq!(owner.descriptor.owner.0, case.arr("mailbox_key"));
        assert_eq!(owner.descriptor.root, case.arr("slot_root"));
        assert_eq!(owner.mailbox.0, case.arr("mailbox"));
        assert_eq!(
            mailbox_position(&owner.mailbox, 0).0,
            case.arr("position_0")
        );
        assert_eq!(
            mailbox_position(&owner.mailbox, 1).0,
            case.arr("position_1")
        );

        let (slot, sub) = (Slot::new(case.num("slot")).unwrap(), case.num::<u8>("sub"));
        let friend = generation
            .bundle(&net, slot, start, &start_chain)
            .view(&net, epoch)
            .unwrap();
        assert_eq!(friend.descriptor, owner.descriptor);
        let writer = friend.writer(sub.into()).unwrap();
        assert_eq!(writer.write_key().0, case.arr("write_key"));
        assert_eq!(writer.leaf, case.num::<u16>("index"));
        assert_eq!(writer.path, case.arrs("path"));

        for part in case.list("presence") {
            presence(&net, &generation, epoch, &chain, part);
        }
        case.done();
    }
}

fn presence(net: &Network, generation: &Generation, epoch: Epoch, chain: &Chain, case: Case) {
    let part = case.num("part");
    let owner = generation.presence(net, epoch, part, chain, None);
    assert_eq!(owner.presence.0, case.arr("presence"));
    assert_eq!(owner.knock_root, case.arr("knock_root"));
    assert_eq!(presence_position(&owner.presence).0, case.arr("position"));
    let slot = Slot::new(case.num("slot")).unwrap();
    let friend = generation
        .bundle(net, slot, epoch, chain)
        .presence(net, epoch, part)
        .unwrap();
    assert_eq!(friend.presence, owner.presence);
    assert_eq!(friend.knock_root, owner.knock_root);
    assert_eq!(friend.key.public(), case.arr("knock_key"));
    assert_eq!(friend.path, case.arrs("path"));
    case.done();
}
