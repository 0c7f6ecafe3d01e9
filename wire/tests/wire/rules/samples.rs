//! Well-formed values of every kind, made once.

use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use hermes_wire::Network;
use hermes_wire::address::{
    Chain, FriendAddress, FriendEpoch, FriendPresence, Generation, OwnerEpoch, OwnerPresence,
};
use hermes_wire::codec::Wire;
use hermes_wire::deposit::{Bucket, Deposit, Draft};
use hermes_wire::earth;
use hermes_wire::ids::{Binding, DepositId, Epoch, IdentityKey, MailboxId, NodeKey, Slot};
use hermes_wire::invite::{Entry, Invite, InviteSecrets, InviteTerms};
use hermes_wire::knock::Knock;
use hermes_wire::node::{Addr, Flags, NodeRecord, RecordBody, Role};
use hermes_wire::receipt::{Receipt, ReceiptBatch, Receipted};
use hermes_wire::sky;

/// A time in epoch 324 of the lab.
pub(crate) const NOW: u64 = 1_795_219_300;
pub(crate) const EPOCH: Epoch = Epoch(324);
pub(crate) const OUTER: [u8; 32] = [0x33; 32];
pub(crate) const BINDING: Binding = Binding([0x44; 32]);
pub(crate) const NODE: NodeKey = NodeKey([0x55; 32]);

pub(crate) fn net() -> Network {
    Network::lab()
}

pub(crate) fn chain() -> Chain {
    Chain::new([0x22; 32])
}

pub(crate) fn slot(n: u8) -> Slot {
    Slot::new(n).unwrap()
}

pub(crate) fn addr(text: &str) -> Addr {
    Addr::new(text.parse().unwrap())
}

pub(crate) fn node_key() -> SigningKey {
    SigningKey::from_bytes(&[0x66; 32])
}

pub(crate) static GENERATION: LazyLock<Generation> =
    LazyLock::new(|| Generation::new(&net(), 7, [0x11; 32]));
pub(crate) static OWNER: LazyLock<OwnerEpoch> =
    LazyLock::new(|| GENERATION.epoch(&net(), EPOCH, &chain(), None));
pub(crate) static FRIEND: LazyLock<FriendAddress> =
    LazyLock::new(|| GENERATION.bundle(&net(), slot(5), EPOCH, &chain()));
pub(crate) static VIEW: LazyLock<FriendEpoch> =
    LazyLock::new(|| FRIEND.view(&net(), EPOCH).unwrap());
pub(crate) static PRESENCE: LazyLock<OwnerPresence> =
    LazyLock::new(|| GENERATION.presence(&net(), EPOCH, 2, &chain(), None));
pub(crate) static DOOR: LazyLock<FriendPresence> =
    LazyLock::new(|| FRIEND.presence(&net(), EPOCH, 2).unwrap());

pub(crate) fn deposit(bucket: Bucket) -> Deposit {
    let draft = Draft {
        descriptor: &VIEW.descriptor,
        writer: VIEW.writer(1).unwrap(),
        expiry: 8_000,
        bucket,
    };
    Deposit::build(&net(), &draft, &OUTER, b"content", &[0x77; 32])
        .unwrap()
        .0
}

pub(crate) fn single_deposit() -> Deposit {
    let mailbox = invite().mailbox(&net(), EPOCH).unwrap();
    let draft = Draft {
        descriptor: &mailbox.descriptor,
        writer: &mailbox.writer,
        expiry: 8_000,
        bucket: Bucket::Small,
    };
    Deposit::build(&net(), &draft, &OUTER, b"content", &[0x78; 32])
        .unwrap()
        .0
}

pub(crate) fn secrets() -> InviteSecrets {
    InviteSecrets {
        root_seed: [0x81; 32],
        handshake_secret: [0x82; 32],
    }
}

pub(crate) fn invite() -> Invite {
    let nodes = vec![
        Entry::new(addr("127.0.0.1:4433"), &NODE),
        Entry::new(addr("[2001:db8::1]:443"), &NODE),
    ];
    let expiry = net().expiry_stamp(NOW + 172_800);
    let identity = IdentityKey([0x83; 32]);
    secrets()
        .invite(
            &net(),
            [0x84; 32],
            InviteTerms {
                ask: true,
                start_epoch: EPOCH,
                expiry,
                identity,
                nodes,
            },
        )
        .unwrap()
}

pub(crate) fn body(role: Role) -> RecordBody {
    RecordBody {
        role,
        flags: Flags::DIRECT,
        hpke_key: [9; 32],
        seq: NOW * 1_000,
        expires: NOW + 80_000,
        slot: 1,
        addrs: vec![addr("203.0.113.7:4433"), addr("[2001:db8::2]:443")],
    }
}

pub(crate) fn record(role: Role) -> NodeRecord {
    NodeRecord::sign(&net(), &node_key(), body(role)).unwrap()
}

pub(crate) fn receipts(n: u8) -> Vec<Receipt> {
    let item = |i| Receipted {
        deposit: DepositId([i; 32]),
        mailbox: MailboxId([i ^ 0xff; 32]),
        expiry: 9_000,
    };
    ReceiptBatch::sign(
        &net(),
        &node_key(),
        NOW,
        &(0..n).map(item).collect::<Vec<_>>(),
    )
}

pub(crate) fn open() -> earth::Open {
    earth::Open::sign(&net(), &OWNER.key, OWNER.descriptor, &BINDING, &NODE)
}

pub(crate) fn delete() -> earth::Delete {
    let ids = vec![DepositId([1; 32]), DepositId([2; 32])];
    earth::Delete::sign(&net(), &OWNER.key, OWNER.descriptor, [3; 16], ids).unwrap()
}

pub(crate) fn revoke() -> earth::Revoke {
    earth::Revoke::sign(&net(), &OWNER.key, OWNER.descriptor, [3; 16], 20..24).unwrap()
}

pub(crate) fn knock(probe: bool) -> Knock {
    let half = (!probe).then(|| Box::new([0x99; 512]));
    Knock::sign(&net(), &DOOR, [0x98; 16], half).unwrap()
}

pub(crate) fn register() -> sky::Register {
    sky::Register::sign(&net(), &PRESENCE, 0b1001, 600, &BINDING, &NODE)
}

pub(crate) fn departure() -> sky::Departure {
    sky::Departure::sign(&net(), &node_key(), Role::Earth, NODE, 17)
}

pub(crate) fn announce() -> sky::Announce {
    sky::Announce::sign(&net(), &node_key(), record(Role::Earth), &BINDING, &NODE)
}

pub(crate) fn encoded(request: &sky::Request) -> Vec<u8> {
    let mut out = Vec::new();
    request.encode(&mut out);
    out
}

pub(crate) fn spread() -> Vec<sky::SpreadItem> {
    vec![
        sky::SpreadItem::Record(Box::new(record(Role::Sky))),
        sky::SpreadItem::Departure(departure()),
    ]
}

pub(crate) fn bytes<T: Wire>(value: &T) -> Vec<u8> {
    value.to_bytes()
}
