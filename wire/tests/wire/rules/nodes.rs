//! Records, URIs and places of nodes; lists of them.

use hermes_wire::channel::{MAX_BODY, RequestError};
use hermes_wire::codec::Wire;
use hermes_wire::ids::NodeKey;
use hermes_wire::link;
use hermes_wire::node::{
    Addr, MAX_AHEAD_S, MAX_LIFE_S, NodeRecord, NodeUri, Prefix, RecordBody, RecordError, Role,
    UriError,
};
use hermes_wire::sky::{Listed, SpreadItem, digest};
use hermes_wire::{Network, earth, sky};
use proptest::prelude::*;

use super::samples::*;

fn signed(net: &Network, change: impl FnOnce(&mut RecordBody)) -> NodeRecord {
    let mut b = body(Role::Sky);
    change(&mut b);
    NodeRecord::sign(net, &node_key(), b).unwrap()
}

#[test]
fn lives() {
    let verify = |change: fn(&mut RecordBody), now| signed(&net(), change).verify(&net(), now);
    assert_eq!(verify(|_| (), NOW), Ok(()));
    assert_eq!(
        verify(|b| b.expires = NOW, NOW),
        Err(RecordError::Expired { expires: NOW })
    );
    assert_eq!(verify(|b| b.expires = NOW + MAX_LIFE_S, NOW), Ok(()));
    assert_eq!(
        verify(|b| b.expires = NOW + MAX_LIFE_S + 1, NOW),
        Err(RecordError::Times)
    );
    assert_eq!(verify(|_| (), NOW - MAX_AHEAD_S), Ok(()));
    assert_eq!(
        verify(|_| (), NOW - MAX_AHEAD_S - 1),
        Err(RecordError::Times)
    );
    assert_eq!(verify(|b| b.seq = u64::MAX, NOW), Err(RecordError::Times));
    assert_eq!(verify(|b| b.slot = 2, NOW), Err(RecordError::Slot));
}

#[test]
fn addresses_of_records() {
    let none = RecordBody {
        addrs: Vec::new(),
        ..body(Role::Sky)
    };
    assert_eq!(
        NodeRecord::sign(&net(), &node_key(), none),
        Err(RecordError::Addresses)
    );
    let many = RecordBody {
        addrs: vec![addr("192.0.2.1:1"); 5],
        ..body(Role::Sky)
    };
    assert_eq!(
        NodeRecord::sign(&net(), &node_key(), many),
        Err(RecordError::Addresses)
    );

    let main = Network::main();
    let refused = [
        "127.0.0.1:1",
        "10.1.2.3:1",
        "172.16.0.1:1",
        "192.168.1.1:1",
        "169.254.1.1:1",
        "224.0.0.1:1",
        "0.0.0.0:1",
        "255.255.255.255:1",
        "[::1]:1",
        "[::]:1",
        "[fc00::1]:1",
        "[fe80::1]:1",
        "[ff02::1]:1",
        "[::ffff:10.0.0.1]:1",
    ];
    for text in refused {
        let change = |b: &mut RecordBody| b.addrs.push(addr(text));
        assert_eq!(
            signed(&main, change).verify(&main, NOW),
            Err(RecordError::NotPublic),
            "{text}"
        );
        assert_eq!(
            signed(&net(), change).verify(&net(), NOW),
            Ok(()),
            "{text} in the lab"
        );
    }
    assert_eq!(signed(&main, |_| ()).verify(&main, NOW), Ok(()));
}

#[test]
fn newer_records_win() {
    let (old, new) = (signed(&net(), |_| ()), signed(&net(), |b| b.seq += 1));
    assert!(new.replaces(&old) && !old.replaces(&new) && !old.replaces(&old));
    let other_role = signed(&net(), |b| {
        b.seq += 1;
        b.role = Role::Earth;
    });
    assert!(!other_role.replaces(&old));
}

#[test]
fn extensions_are_read_and_signed() {
    let mut bytes = record(Role::Sky).to_bytes();
    let at = bytes.len() - 64 - 2;
    bytes[at] = 3;
    bytes.splice(at + 2..at + 2, [7, 8, 9]);
    let later = NodeRecord::decode(&bytes).unwrap();
    assert_eq!(later.to_bytes(), bytes, "kept for the signature");
    assert!(later.verify_signature(&net()).is_err());
    bytes.splice(at..at + 5, [1, 1].into_iter().chain([0; 257]));
    assert!(NodeRecord::decode(&bytes).is_err(), "at most 256 bytes");
}

#[test]
fn places_on_the_ring() {
    let main = Network::main();
    let at = |net: &Network, text: &str, slot| {
        signed(net, |b| {
            b.addrs = vec![addr(text)];
            b.slot = slot;
        })
        .point(net)
    };
    assert_eq!(
        at(&main, "203.0.113.1:1", 0),
        at(&main, "203.0.113.200:9", 0),
        "one prefix, one place"
    );
    assert_ne!(
        at(&main, "203.0.113.1:1", 0),
        at(&main, "203.0.113.1:1", 1),
        "or two"
    );
    assert_ne!(at(&main, "203.0.113.1:1", 0), at(&main, "203.0.114.1:1", 0));
    assert_eq!(
        at(&main, "[2001:db8:1:2::3]:1", 0),
        at(&main, "[2001:db8:1:ffff::3]:1", 0)
    );
    assert_ne!(
        at(&net(), "127.0.0.1:1", 0),
        at(&net(), "127.0.0.1:2", 0),
        "the lab tells ports apart"
    );
    let keeper = |port: &str| {
        signed(&main, |b| {
            *b = RecordBody {
                addrs: vec![addr(port)],
                ..body(Role::Earth)
            }
        })
        .point(&main)
    };
    assert_eq!(
        keeper("203.0.113.1:1"),
        keeper("198.51.100.1:2"),
        "keepers lie by their key"
    );
}

#[test]
fn prefixes() {
    assert_eq!(addr("203.0.113.9:1").prefix(), Prefix::V4([203, 0, 113]));
    assert_eq!(
        addr("[::ffff:203.0.113.9]:1").prefix(),
        Prefix::V4([203, 0, 113])
    );
    assert_eq!(
        addr("[2001:db8:1:2::9]:1").prefix(),
        Prefix::V6([0x20, 1, 0x0d, 0xb8, 0, 1])
    );
    assert_eq!(
        format!("{:?}", addr("203.0.113.9:1")),
        "Addr(IPv4)",
        "nothing for logs"
    );
}

#[test]
fn uris() {
    let uri = NodeUri {
        role: Role::Earth,
        node: NodeKey([0xab; 32]),
        addr: addr("[2001:db8::1]:443"),
    };
    let text = uri.to_string();
    assert!(text.starts_with("hermes-earth://") && text.ends_with("@[2001:db8::1]:443"));
    assert_eq!(text.parse(), Ok(uri));
    assert_eq!(text.to_ascii_uppercase().parse(), Ok(uri));
    let parse = |t: &str| t.parse::<NodeUri>();
    assert_eq!(parse("https://x@127.0.0.1:1"), Err(UriError::Scheme));
    assert_eq!(parse(""), Err(UriError::Scheme));
    assert_eq!(parse("hermes-sky://ää"), Err(UriError::Addr));
    assert_eq!(parse("hermes-sky://abc@127.0.0.1:1"), Err(UriError::Key));
    assert_eq!(parse(&text.replace("443", "0")), Err(UriError::Addr));
    assert_eq!(parse(&text.replace(":443", "")), Err(UriError::Addr));
    assert_eq!(
        parse(&text.replace("[2001:db8::1]", "localhost")),
        Err(UriError::Addr)
    );
    let (head, tail) = text.split_once('@').unwrap();
    let last = format!("{}b@{tail}", &head[..head.len() - 1]);
    assert_eq!(
        parse(&last),
        Err(UriError::Key),
        "bits beyond the key must be zero"
    );
}

#[test]
fn lists_fit_into_frames() {
    let records = vec![record(Role::Earth); 3_000];
    let listed = Listed::fill(&records, u16::MAX);
    assert!(listed.more && listed.to_bytes().len() <= MAX_BODY);
    assert!(
        listed.to_bytes().len() + 2 + bytes(&records[0]).len() > MAX_BODY,
        "no room is wasted"
    );
    assert_eq!(Listed::decode(&listed.to_bytes()), Ok(listed));
    let few = Listed::fill(&records, 2);
    assert!(few.more && few.records.len() == 2);
    assert!(!Listed::fill(&records[..2], 2).more);

    let items: Vec<_> = records
        .into_iter()
        .map(|r| SpreadItem::Record(Box::new(r)))
        .collect();
    let batches = SpreadItem::batches(items.clone());
    assert!(batches.len() > 1);
    for batch in &batches {
        assert!(encoded(&sky::Request::Spread(batch.clone())).len() <= MAX_BODY);
    }
    assert_eq!(batches.concat(), items);
    assert!(SpreadItem::batches(Vec::new()).is_empty());
}

#[test]
fn a_record_spreads_under_its_own_role() {
    let mut bytes = encoded(&sky::Request::Spread(vec![SpreadItem::Record(Box::new(
        record(Role::Sky),
    ))]));
    assert!(sky::Request::decode(sky::SPREAD, &bytes).is_ok());
    bytes[2] = 2;
    assert!(sky::Request::decode(sky::SPREAD, &bytes).is_err());
}

#[test]
fn unknown_types_are_told_from_malformed_ones() {
    assert_eq!(
        earth::Request::decode(0x08, &[]),
        Err(RequestError::Unsupported { kind: 0x08 })
    );
    assert_eq!(
        sky::Request::decode(0x20, &[1]),
        Err(RequestError::Unsupported { kind: 0x20 })
    );
    assert!(matches!(
        earth::Request::decode(earth::WATCH, &[1]),
        Err(RequestError::Malformed(_))
    ));
    assert_eq!(
        RequestError::Unsupported { kind: 1 }.code(),
        hermes_wire::channel::ErrorCode::UNSUPPORTED
    );
}

#[test]
fn digests_do_not_depend_on_the_order() {
    let entries = [
        (NodeKey([2; 32]), 5),
        (NodeKey([1; 32]), 9),
        (NodeKey([1; 32]), 7),
    ];
    let mut reversed = entries;
    reversed.reverse();
    assert_eq!(digest(entries), digest(reversed));
    assert_ne!(digest(entries), digest([entries[0], entries[1]]));
}

#[test]
fn server_names() {
    let name = link::server_name(&[0xab; 16]);
    assert_eq!(name, format!("{}.invalid", "ab".repeat(16)));
    assert_eq!(link::tag_of(&name), Some([0xab; 16]));
    for bad in [
        "",
        ".invalid",
        "ab.invalid",
        "example.org",
        &name.replace("ab", "AB"),
        &name.replace("ab", "aé"),
    ] {
        assert_eq!(link::tag_of(bad), None, "{bad}");
    }
}

fn any_addr() -> impl Strategy<Value = Addr> {
    (any::<std::net::IpAddr>(), 1..=u16::MAX).prop_map(|(ip, port)| Addr::new((ip, port).into()))
}

proptest! {
    #[test]
    fn records_come_back(seq: u64, expires: u64, slot in 0..2_u16, hpke_key: [u8; 32], addrs in proptest::collection::vec(any_addr(), 1..5)) {
        let body = RecordBody { seq, expires, slot, hpke_key, addrs, ..body(Role::Sky) };
        let record = NodeRecord::sign(&net(), &node_key(), body).unwrap();
        prop_assert!(record.to_bytes().len() <= hermes_wire::node::MAX_RECORD);
        prop_assert_eq!(NodeRecord::decode(&record.to_bytes()), Ok(record.clone()));
        prop_assert!(record.verify_signature(&net()).is_ok());
        let uri = record.uri().unwrap();
        prop_assert_eq!(uri.to_string().parse(), Ok(uri));
    }
}
