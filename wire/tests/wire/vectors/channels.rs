//! What is said on channels, and knocks.

use ed25519_dalek::SigningKey;
use hermes_wire::Network;
use hermes_wire::address::{Chain, FriendPresence, Generation, OwnerEpoch, OwnerPresence};
use hermes_wire::channel::{ErrorAnswer, ErrorCode};
use hermes_wire::codec::Wire;
use hermes_wire::earth::{self, Arrived, Fetch, Fetched, FetchedWriter, Item, Opened};
use hermes_wire::ids::{Binding, DepositId, Epoch, NodeKey, Position, PresenceKey, Slot};
use hermes_wire::kdf;
use hermes_wire::knock::{Callee, Caller, HalfContext, Knock, Sealed};
use hermes_wire::mailbox::Descriptor;
use hermes_wire::node::{Addr, NodeRecord, Role};
use hermes_wire::sky::{
    self, Announce, Departure, Digests, KeepersFound, List, Listed, Register, SpreadItem,
};

use super::case::{Case, case, cases, rnd, rnd32};

/// The generation that the files' cases use, and its chain at epoch 324.
fn alice(net: &Network) -> (Generation, Epoch, Chain) {
    let address = case("address.json", "epoch 324");
    let generation = Generation::new(net, address.num("gen"), address.arr("s"));
    (generation, Epoch(324), Chain::new(address.arr("chain")))
}

/// The case's body as our own request makes it; reading gives the same request.
fn same_request(kind: u8, ours: &earth::Request<'_>, body: &[u8]) {
    let mut bytes = Vec::new();
    ours.encode(&mut bytes);
    assert_eq!(bytes, body);
    assert_eq!(ours.kind(), kind);
    assert_eq!(earth::Request::decode(kind, body).as_ref(), Ok(ours));
}

fn same_sky_request(kind: u8, ours: &sky::Request, body: &[u8]) {
    let mut bytes = Vec::new();
    ours.encode(&mut bytes);
    assert_eq!(bytes, body);
    assert_eq!(ours.kind(), kind);
    assert_eq!(sky::Request::decode(kind, body).as_ref(), Ok(ours));
}

fn same<T: Wire + PartialEq + std::fmt::Debug>(ours: &T, body: &[u8]) {
    assert_eq!(ours.to_bytes(), body);
    assert_eq!(T::decode(body).as_ref(), Ok(ours));
}

#[test]
fn earth_bodies() {
    let net = Network::lab();
    let (generation, epoch, chain) = alice(&net);
    let owner = generation.epoch(&net, epoch, &chain, None);
    for case in cases("earth.json") {
        let body = case.hex("body");
        match case.name() {
            "OPEN" | "DELETE" | "REVOKE" => order(&net, &owner, &case, &body),
            "OPEN answer" => same(
                &Opened {
                    handle: case.num("handle"),
                    head: case.num("head"),
                },
                &body,
            ),
            "PUT" => {
                let deposit = case.hex("deposit");
                same_request(
                    earth::PUT,
                    &earth::Request::Put {
                        stamp: [0; 16],
                        deposit: &deposit,
                    },
                    &body,
                );
            }
            "FETCH" => {
                let (handle, after, max_bytes) =
                    (case.num("handle"), case.num("after"), case.num("max_bytes"));
                same_request(
                    earth::FETCH,
                    &earth::Request::Fetch(Fetch {
                        handle,
                        after,
                        max_bytes,
                    }),
                    &body,
                );
            }
            "FETCH answer" => fetched(&case, &body),
            "WATCH" => {
                same_request(
                    earth::WATCH,
                    &earth::Request::Watch {
                        handle: case.num("handle"),
                    },
                    &body,
                );
            }
            "ARRIVED" => {
                let deposit = case.hex("deposit");
                let ours = Arrived {
                    handle: case.num("handle"),
                    seq: case.num("seq"),
                    deposit: &deposit,
                };
                let mut bytes = Vec::new();
                ours.encode(&mut bytes);
                assert_eq!(bytes, body);
                assert_eq!(Arrived::decode(&body), Ok(ours));
            }
            "DELETE answer" => same(
                &earth::Deleted {
                    deleted: case.num("deleted"),
                },
                &body,
            ),
            "error" => {
                let text = String::from_utf8(case.hex("reason")).unwrap();
                let ours = ErrorAnswer::new(ErrorCode(case.num("code"))).with_text(&text);
                same(&ours.retry_after(case.num("retry_after_s")), &body);
            }
            other => panic!("no test for {other}"),
        }
        case.done();
    }
}

fn order(net: &Network, owner: &OwnerEpoch, case: &Case, body: &[u8]) {
    let descriptor = Descriptor::decode(&case.hex("descriptor")).unwrap();
    assert_eq!(descriptor, owner.descriptor);
    assert_eq!(descriptor.id(net).0, case.arr("mailbox"));
    let (binding, node) = (Binding(case.arr("binding")), NodeKey(case.arr("node_key")));
    match case.name() {
        "OPEN" => {
            let ours = earth::Open::sign(net, &owner.key, descriptor, &binding, &node);
            assert_eq!(ours.verify(net, &binding, &node), Ok(owner.mailbox));
            same_request(earth::OPEN, &earth::Request::Open(ours), body);
        }
        "DELETE" => {
            let ids = case.arrs("ids").into_iter().map(DepositId).collect();
            let ours =
                earth::Delete::sign(net, &owner.key, descriptor, case.arr("random"), ids).unwrap();
            assert_eq!(ours.verify(net), Ok(owner.mailbox));
            same_request(earth::DELETE, &earth::Request::Delete(ours), body);
        }
        _ => {
            let leaves = case.num("first")..case.num("end");
            let ours = earth::Revoke::sign(net, &owner.key, descriptor, case.arr("random"), leaves)
                .unwrap();
            assert_eq!(ours.verify(net), Ok(owner.mailbox));
            same_request(earth::REVOKE, &earth::Request::Revoke(ours), body);
        }
    }
}

fn fetched(case: &Case, body: &[u8]) {
    let (deposit, more) = (case.hex("deposit"), case.num::<u8>("more") == 1);
    let items: Vec<_> = case
        .nums("seqs")
        .into_iter()
        .map(|seq| Item {
            seq,
            deposit: &deposit,
        })
        .collect();
    let mut ours = FetchedWriter::new(262_000);
    assert!(items.iter().all(|i| ours.push(i.seq, i.deposit)));
    assert_eq!(ours.finish(more), body);
    assert_eq!(Fetched::decode(body), Ok(Fetched { more, items }));
}

#[test]
fn sky_bodies() {
    let net = Network::lab();
    for case in cases("sky.json") {
        match case.name() {
            "departure" => departure(&net, &case),
            _ => sky_body(&net, &case),
        }
        case.done();
    }
}

fn departure(net: &Network, case: &Case) {
    assert_eq!(case.num::<u8>("role"), Role::Earth.code());
    let by = SigningKey::from_bytes(&case.arr("by_seed"));
    let ours = Departure::sign(
        net,
        &by,
        Role::Earth,
        NodeKey(case.arr("gone")),
        case.num("seq"),
    );
    assert_eq!(ours.verify(net), Ok(()));
    same(&ours, &case.hex("item"));
}

fn records(case: &Case) -> Vec<NodeRecord> {
    case.hexes("records")
        .iter()
        .map(|r| NodeRecord::decode(r).unwrap())
        .collect()
}

fn sky_body(net: &Network, case: &Case) {
    let body = case.hex("body");
    match case.name() {
        "REGISTER" => register(net, case, &body),
        "REGISTER answer" => same(
            &sky::Registered {
                lease_s: case.num("lease_s"),
            },
            &body,
        ),
        "LIST" => {
            assert_eq!(case.num::<u8>("role"), Role::Sky.code());
            let list = List {
                role: Role::Sky,
                after: NodeKey(case.arr("after")),
                max: case.num("max"),
            };
            same_sky_request(sky::LIST, &sky::Request::List(list), &body);
        }
        "LIST answer" => {
            let ours = Listed {
                more: case.num::<u8>("more") == 1,
                records: records(case),
            };
            assert_eq!(Listed::fill(&ours.records, 10), ours);
            same(&ours, &body);
        }
        "KEEPERS" => {
            let keepers = sky::Request::Keepers {
                position: Position(case.arr("position")),
                n: case.num("n"),
            };
            same_sky_request(sky::KEEPERS, &keepers, &body);
        }
        "KEEPERS answer" => same(
            &KeepersFound {
                records: records(case),
            },
            &body,
        ),
        "ANNOUNCE" => {
            let record = NodeRecord::decode(&case.hex("record")).unwrap();
            let (binding, node) = (Binding(case.arr("binding")), NodeKey(case.arr("node_key")));
            let key = SigningKey::from_bytes(&rnd32("node 2"));
            let ours = Announce::sign(net, &key, record, &binding, &node);
            assert_eq!(ours.verify(net, &binding, &node), Ok(()));
            same_sky_request(
                sky::ANNOUNCE,
                &sky::Request::Announce(Box::new(ours)),
                &body,
            );
        }
        "SPREAD" => {
            let record =
                NodeRecord::decode(&super::case::case("sky.json", "ANNOUNCE").hex("record"))
                    .unwrap();
            let gone =
                Departure::decode(&super::case::case("sky.json", "departure").hex("item")).unwrap();
            let items = vec![
                SpreadItem::Record(Box::new(record)),
                SpreadItem::Departure(gone),
            ];
            same_sky_request(sky::SPREAD, &sky::Request::Spread(items), &body);
        }
        "DIGEST answer" => {
            let node = NodeKey(super::case::case("sky.json", "REGISTER").arr("node_key"));
            let ours = Digests {
                sky: sky::digest([(node, 5)]),
                earth: sky::digest([]),
            };
            assert_eq!((ours.sky, ours.earth), (case.arr("sky"), case.arr("earth")));
            same(&ours, &body);
        }
        "INCOMING" => {
            let sealed: Box<Sealed> = Box::new(case.arr("sealed"));
            let (presence, slot) = (
                PresenceKey(case.arr("presence")),
                Slot::new(case.num("slot")).unwrap(),
            );
            let ours = sky::Incoming {
                presence,
                slot,
                nonce: case.arr("nonce"),
                sealed,
            };
            same_sky_request(sky::INCOMING, &sky::Request::Incoming(ours), &body);
        }
        "OBSERVED" => {
            assert_eq!(case.hex("address"), body);
            same(&Addr::new("203.0.113.9:50000".parse().unwrap()), &body);
        }
        other => panic!("no test for {other}"),
    }
}

fn register(net: &Network, case: &Case, body: &[u8]) {
    let (generation, epoch, chain) = alice(net);
    let presence: OwnerPresence = generation.presence(net, epoch, 1, &chain, None);
    assert_eq!(presence.presence.0, case.arr("presence"));
    assert_eq!(presence.knock_root, case.arr("knock_root"));
    let refused = case.nums("refused");
    let mask = refused.iter().fold(0, |mask, slot| mask | 1 << slot);
    let (binding, node) = (Binding(case.arr("binding")), NodeKey(case.arr("node_key")));
    let ours = Register::sign(net, &presence, mask, case.num("lease_s"), &binding, &node);
    assert_eq!(ours.verify(net, &binding, &node), Ok(()));
    for slot in Slot::all() {
        assert_eq!(ours.refuses(slot), refused.contains(&slot.get().into()));
    }
    same_sky_request(sky::REGISTER, &sky::Request::Register(ours), body);
}

#[test]
fn knocks() {
    let net = Network::lab();
    let (generation, epoch, chain) = alice(&net);
    for case in cases("knock.json") {
        let slot = Slot::new(case.num("slot")).unwrap();
        let at = generation
            .bundle(&net, slot, epoch, &chain)
            .presence(&net, epoch, 1)
            .unwrap();
        assert_eq!(at.presence.0, case.arr("presence"));
        assert_eq!(at.key.public(), case.arr("knock_key"));
        halves(&net, &at, &case);
        let nonce = case.arr("nonce");
        let sealed = Box::new(case.arr("sealed"));
        for (half, field) in [(Some(sealed), "knock"), (None, "probe")] {
            let ours = Knock::sign(&net, &at, nonce, half).unwrap();
            assert_eq!(ours.verify(&net, &at.knock_root), Ok(()));
            same(&ours, &case.hex(field));
            let forward = sky::Request::Forward {
                hops: 1,
                knock: Box::new(ours),
            };
            same_sky_request(
                sky::FORWARD,
                &forward,
                &[&[1], case.hex(field).as_slice()].concat(),
            );
        }
        case.done();
    }
}

fn halves(net: &Network, at: &FriendPresence, case: &Case) {
    let nonce = case.arr("nonce");
    let there = HalfContext {
        outer_key: &case.arr("outer_key"),
        presence: &at.presence,
        nonce: &nonce,
    };
    let caller = Caller {
        time_ms: case.num("time"),
        tls_key: case.arr("tls_key"),
        addrs: ["127.0.0.1:40000", "[2001:db8::5]:40001"]
            .map(|a| Addr::new(a.parse().unwrap()))
            .to_vec(),
    };
    assert_eq!(
        there.seal_caller(net, &caller).as_slice(),
        case.hex("sealed")
    );
    assert_eq!(there.open_caller(net, &case.arr("sealed")), Ok(caller));
    assert!(there.open_callee(net, &case.arr("sealed")).is_err());

    let back = HalfContext {
        outer_key: &case.arr("outer_key_back"),
        ..there
    };
    let callee = Callee {
        time_ms: case.num::<u64>("time") + 5,
        tls_key: case.arr("answer_tls_key"),
        tag: case.arr("tag"),
        addrs: vec![Addr::new("127.0.0.1:41000".parse().unwrap())],
    };
    assert_eq!(
        back.seal_callee(net, &callee).as_slice(),
        case.hex("answer")
    );
    assert_eq!(back.open_callee(net, &case.arr("answer")), Ok(callee));

    for (context, role, sealed, plain) in [
        (there, 0, "sealed", "plain"),
        (back, 1, "answer", "answer_plain"),
    ] {
        let part = [&[role], nonce.as_slice()].concat();
        let key = kdf::kdf32(net, context.outer_key, "knock", &[&part]);
        let aad = [at.presence.as_ref(), &nonce].concat();
        assert_eq!(
            *kdf::open(&key, &aad, &case.hex(sealed)).unwrap(),
            case.hex(plain)
        );
    }
    assert_eq!(case.arr::<16>("tag").to_vec(), rnd("tag", 16));
}
