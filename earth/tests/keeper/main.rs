//! A keeper over real QUIC on loopback, with a real disk.

#![allow(
    clippy::disallowed_methods,
    reason = "tests with real clocks and sockets"
)]
#![cfg(feature = "net")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hermes_earth::client::{EarthClient, EarthError, Pushed};
use hermes_earth::net::{KeeperNode, Settings, StartError};
use hermes_earth::proto::Config;
use hermes_link::{Alpn, Channel, Endpoint, EndpointConfig, PeerKey, Profile};
use hermes_wire::Network;
use hermes_wire::address::{Chain, Generation, OwnerEpoch, Writer};
use hermes_wire::channel::{ErrorAnswer, ErrorCode};
use hermes_wire::codec::Wire;
use hermes_wire::deposit::{Bucket, Deposit, DepositRef, Draft};
use hermes_wire::earth::{self, Delete, Open, Revoke};
use hermes_wire::ids::{Binding, DepositId, Epoch, Slot};
use hermes_wire::node::{Flags, NodeRecord, RecordBody, Role};

const EPOCH: Epoch = Epoch(324);
const PATIENCE: Duration = Duration::from_secs(10);

fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Somebody with a mailbox, and a friend who may write into it.
struct Pair {
    net: Network,
    owner: OwnerEpoch,
    writer: Writer,
    other_slot: Writer,
}

impl Pair {
    fn new(seed: u8) -> Self {
        let net = Network::lab();
        let (generation, chain) = (
            Generation::new(&net, 0, [seed; 32]),
            Chain::new([seed ^ 0x55; 32]),
        );
        let owner = generation.epoch(&net, EPOCH, &chain, None);
        let writer = |slot: u8| {
            let bundle = generation.bundle(&net, Slot::new(slot).unwrap(), EPOCH, &chain);
            bundle.view(&net, EPOCH).unwrap().writer(0).unwrap().clone()
        };
        let (writer, other_slot) = (writer(3), writer(4));
        Self {
            net,
            owner,
            writer,
            other_slot,
        }
    }

    fn deposit(&self, n: u32) -> Vec<u8> {
        self.deposit_by(&self.writer, n, Bucket::Small)
    }

    fn deposit_by(&self, writer: &Writer, n: u32, bucket: Bucket) -> Vec<u8> {
        let draft = Draft {
            descriptor: &self.owner.descriptor,
            writer,
            expiry: self.net.expiry_stamp(unix_s() + 86_400),
            bucket,
        };
        let mut random = [7; 32];
        random[..4].copy_from_slice(&n.to_le_bytes());
        let (deposit, _) =
            Deposit::build(&self.net, &draft, &[9; 32], &n.to_le_bytes(), &random).unwrap();
        deposit.into_bytes()
    }

    fn id(&self, record: &[u8]) -> DepositId {
        DepositRef::parse(record).unwrap().locate(&self.net).id
    }
}

fn settings(data: &Path) -> Settings {
    Settings {
        listen: loopback(),
        data: data.to_owned(),
        sky: Vec::new(),
        network: Network::lab(),
        config: Config::default(),
        direct: true,
    }
}

fn endpoint() -> Endpoint {
    Endpoint::bind(EndpointConfig::new(loopback(), Profile::Earth)).unwrap()
}

/// A record that leads to the keeper; who signed it is not what these tests are about.
fn record(keeper: &KeeperNode) -> NodeRecord {
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let body = RecordBody {
        role: Role::Earth,
        flags: Flags::DIRECT,
        hpke_key: [0; 32],
        seq: 1,
        expires: unix_s() + 3_600,
        slot: 0,
        addrs: vec![keeper.uri().addr],
    };
    let mut record = NodeRecord::sign(&Network::lab(), &key, body).unwrap();
    record.node = keeper.node();
    record
}

async fn connect(keeper: &KeeperNode) -> EarthClient {
    EarthClient::connect(&endpoint(), &Network::lab(), &record(keeper), PATIENCE)
        .await
        .unwrap()
}

async fn raw(keeper: &KeeperNode) -> (Channel, Binding) {
    let key = PeerKey::Exact(*keeper.node().as_bytes());
    let connection = endpoint()
        .dial(keeper.uri().addr.socket(), Alpn::Earth, key, None, PATIENCE)
        .await
        .unwrap();
    let binding = Binding(connection.binding());
    (connection.open_channel().await.unwrap(), binding)
}

async fn all(client: &EarthClient, pair: &Pair) -> Vec<Vec<u8>> {
    let opened = client
        .open(&pair.owner.key, pair.owner.descriptor)
        .await
        .unwrap();
    let (mut after, mut records) = (0, Vec::new());
    loop {
        let page = client.fetch(opened.handle, after).await.unwrap();
        for (seq, record) in &page.items {
            assert!(*seq > after, "in order");
            after = *seq;
            records.push(record.to_vec());
        }
        if !page.more {
            return records;
        }
    }
}

fn code(error: EarthError) -> ErrorCode {
    match error {
        EarthError::Refused { code, .. } => code,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_is_receipted_and_fetched_in_order() {
    let (dir, pair) = (tempfile::tempdir().unwrap(), Pair::new(1));
    let keeper = KeeperNode::start(settings(dir.path())).unwrap();
    let client = connect(&keeper).await;
    let records: Vec<_> = (0..300).map(|n| pair.deposit(n)).collect();
    let puts = records.iter().map(|record| async {
        let receipt = client.put(record).await.unwrap();
        assert_eq!(receipt.about.deposit, pair.id(record));
    });
    for put in puts {
        put.await;
    }
    assert_eq!(all(&client, &pair).await, records);
    assert_eq!(keeper.held().1, 300);
    keeper.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_hears_at_once() {
    let (dir, pair) = (tempfile::tempdir().unwrap(), Pair::new(2));
    let keeper = KeeperNode::start(settings(dir.path())).unwrap();
    let (owner, friend) = (connect(&keeper).await, connect(&keeper).await);
    let opened = owner
        .open(&pair.owner.key, pair.owner.descriptor)
        .await
        .unwrap();
    owner.watch(opened.handle).await.unwrap();
    for n in 0..20 {
        let record = pair.deposit(n);
        friend.put(&record).await.unwrap();
        let Some(Pushed::Deposit {
            handle,
            seq,
            record: pushed,
        }) = owner.next().await
        else {
            panic!("nothing was pushed")
        };
        assert_eq!(
            (handle, seq, &pushed[..]),
            (opened.handle, u64::from(n) + 1, &record[..])
        );
    }
    keeper.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_receipted_deposit_is_there_after_a_crash() {
    let (dir, pair) = (tempfile::tempdir().unwrap(), Pair::new(3));
    let mut receipted = Vec::new();
    for round in 0..4 {
        let keeper = KeeperNode::start(settings(dir.path())).unwrap();
        let client = connect(&keeper).await;
        for n in 0..25 {
            let record = pair.deposit(round * 100 + n);
            client.put(&record).await.unwrap();
            receipted.push(record);
        }
        drop(keeper); // without leaving
        // The owner thread ends when the last sender is gone; only then is the database free again.
        let again = loop {
            match KeeperNode::start(settings(dir.path())) {
                Err(StartError::Store(_) | StartError::Locked { .. }) => {
                    tokio::task::yield_now().await
                }
                other => break other.unwrap(),
            }
        };
        let client = connect(&again).await;
        assert_eq!(all(&client, &pair).await, receipted);
        again.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_deletes_and_revokes_and_nobody_else_does() {
    let (dir, pair, stranger) = (tempfile::tempdir().unwrap(), Pair::new(4), Pair::new(5));
    let keeper = KeeperNode::start(settings(dir.path())).unwrap();
    let client = connect(&keeper).await;
    let records: Vec<_> = (0..3).map(|n| pair.deposit(n)).collect();
    let other = pair.deposit_by(&pair.other_slot, 9, Bucket::Medium);
    for record in records.iter().chain([&other]) {
        client.put(record).await.unwrap();
    }
    let ids = vec![pair.id(&records[0]), pair.id(&records[2])];

    let forged = Delete::sign(
        &pair.net,
        &stranger.owner.key,
        pair.owner.descriptor,
        [0; 16],
        ids.clone(),
    )
    .unwrap();
    assert_eq!(
        code(
            client
                .forward(earth::DELETE, &forged.to_bytes())
                .await
                .unwrap_err()
        ),
        ErrorCode::SIGNATURE
    );
    let forged = Open::sign(
        &pair.net,
        &stranger.owner.key,
        pair.owner.descriptor,
        &Binding([0; 32]),
        &keeper.node(),
    );
    let (channel, _) = raw(&keeper).await;
    assert_eq!(
        refused(&channel, earth::OPEN, &forged.to_bytes()).await,
        ErrorCode::SIGNATURE
    );

    let delete = Delete::sign(
        &pair.net,
        &pair.owner.key,
        pair.owner.descriptor,
        [0; 16],
        ids,
    )
    .unwrap();
    for _ in 0..2 {
        client
            .forward(earth::DELETE, &delete.to_bytes())
            .await
            .unwrap();
    }
    assert_eq!(
        all(&client, &pair).await,
        [records[1].clone(), other.clone()]
    );
    assert_eq!(
        code(client.put(&records[0]).await.unwrap_err()),
        ErrorCode::DELETED
    );

    let leaves = Slot::new(3).unwrap().leaf(0)..Slot::new(4).unwrap().leaf(0);
    let revoke = Revoke::sign(
        &pair.net,
        &pair.owner.key,
        pair.owner.descriptor,
        [1; 16],
        leaves,
    )
    .unwrap();
    client
        .forward(earth::REVOKE, &revoke.to_bytes())
        .await
        .unwrap();
    assert_eq!(all(&client, &pair).await, [other]);
    assert_eq!(
        code(client.put(&pair.deposit(50)).await.unwrap_err()),
        ErrorCode::REVOKED
    );
    keeper.leave().await;
}

async fn refused(channel: &Channel, kind: u8, body: &[u8]) -> ErrorCode {
    let answer = channel.request(kind, body).await.unwrap();
    assert!(answer.is_error(), "type {kind:#x} was taken");
    ErrorAnswer::decode(&answer.body).unwrap().code
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_is_bound_to_its_connection() {
    let (dir, pair) = (tempfile::tempdir().unwrap(), Pair::new(6));
    let keeper = KeeperNode::start(settings(dir.path())).unwrap();
    let (one, binding) = raw(&keeper).await;
    let open = Open::sign(
        &pair.net,
        &pair.owner.key,
        pair.owner.descriptor,
        &binding,
        &keeper.node(),
    )
    .to_bytes();
    assert!(!one.request(earth::OPEN, &open).await.unwrap().is_error());
    let (two, _) = raw(&keeper).await;
    assert_eq!(
        refused(&two, earth::OPEN, &open).await,
        ErrorCode::SIGNATURE,
        "replayed on another connection"
    );
    let fetch = earth::Fetch {
        handle: 1,
        after: 0,
        max_bytes: 1,
    }
    .to_bytes();
    assert_eq!(
        refused(&two, earth::FETCH, &fetch).await,
        ErrorCode::UNKNOWN
    );
    keeper.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_and_harm_nothing() {
    let (dir, pair) = (tempfile::tempdir().unwrap(), Pair::new(7));
    let keeper = KeeperNode::start(settings(dir.path())).unwrap();
    let (channel, _) = raw(&keeper).await;
    let good = [&[0; 16], &pair.deposit(1)[..]].concat();
    for kind in 0..0x40 {
        for body in [&b""[..], b"x", &[0xff; 200]] {
            if (kind, body) != (earth::INFO, b"") {
                refused(&channel, kind, body).await;
            }
        }
    }
    for cut in [0, 15, 16, 100, good.len() - 1] {
        assert_eq!(
            refused(&channel, earth::PUT, &good[..cut]).await,
            ErrorCode::MALFORMED
        );
    }
    // Signed part: header, owner, write key, body, signature. A changed path leads to another mailbox, whose root is not signed.
    for at in [
        21,
        16 + 8,
        16 + 40,
        16 + 76,
        16 + 92,
        16 + 92 + 255,
        16 + 400,
        good.len() - 1,
    ] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let code = refused(&channel, earth::PUT, &bad).await;
        assert!(
            matches!(code, ErrorCode::SIGNATURE | ErrorCode::MALFORMED),
            "byte {at}: {code:?}"
        );
    }
    assert!(!channel.request(earth::PUT, &good).await.unwrap().is_error());
    assert!(!channel.request(earth::INFO, b"").await.unwrap().is_error());
    assert_eq!(keeper.held().1, 1);
    keeper.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_keeper_gets_its_stamp() {
    let (dir, pair) = (tempfile::tempdir().unwrap(), Pair::new(8));
    let config = Config {
        bytes_max: 20_000,
        stamp_from_percent: 20,
        ..Config::default()
    };
    let keeper = KeeperNode::start(Settings {
        config,
        ..settings(dir.path())
    })
    .unwrap();
    let client = connect(&keeper).await;
    for n in 0..4 {
        client.put(&pair.deposit(n)).await.unwrap(); // the fourth needs 18 bits of work
    }
    let (channel, _) = raw(&keeper).await;
    let unstamped = [&[0; 16], &pair.deposit(9)[..]].concat();
    assert_eq!(
        refused(&channel, earth::PUT, &unstamped).await,
        ErrorCode::STAMP_NEEDED
    );
    assert_eq!(
        code(
            client
                .put(&pair.deposit_by(&pair.writer, 10, Bucket::Large))
                .await
                .unwrap_err()
        ),
        ErrorCode::FULL
    );
    keeper.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_twice_or_on_another_network_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = KeeperNode::start(settings(dir.path())).unwrap();
    assert!(matches!(
        KeeperNode::start(settings(dir.path())),
        Err(StartError::Locked { .. })
    ));
    let taken = Settings {
        listen: keeper.uri().addr.socket(),
        ..settings(tempfile::tempdir().unwrap().path())
    };
    assert!(matches!(KeeperNode::start(taken), Err(StartError::Bind(_))));
    let node = keeper.node();
    keeper.leave().await;

    let foreign = Settings {
        network: Network::main(),
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        ..settings(dir.path())
    };
    assert!(matches!(
        KeeperNode::start(foreign),
        Err(StartError::Store(_))
    ));
    let again = KeeperNode::start(settings(dir.path())).unwrap();
    assert_eq!(again.node(), node, "the storage identity stays");
    again.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_stalls_is_told_that_he_missed_something() {
    let (dir, pair) = (tempfile::tempdir().unwrap(), Pair::new(9));
    let keeper = KeeperNode::start(settings(dir.path())).unwrap();
    let (owner, friend) = (connect(&keeper).await, connect(&keeper).await);
    let opened = owner
        .open(&pair.owner.key, pair.owner.descriptor)
        .await
        .unwrap();
    owner.watch(opened.handle).await.unwrap();
    // Far more than the queues of both sides hold, spread over slots because one slot holds a mebibyte.
    let writers: Vec<Writer> = (0..16).map(|slot| writer_of(&pair, slot)).collect();
    let mut sent = 0;
    for n in 0..240 {
        let writer = &writers[n % writers.len()];
        let record = pair.deposit_by(writer, n as u32, Bucket::Huge);
        sent += usize::from(friend.put(&record).await.is_ok());
    }
    assert!(sent > 128, "{sent}");
    let mut heard = 0;
    loop {
        match owner.next().await.unwrap() {
            Pushed::Deposit { .. } => heard += 1,
            Pushed::Missed { handle } => {
                assert_eq!(handle, opened.handle);
                break;
            }
        }
    }
    assert!(heard < sent);
    assert_eq!(
        all(&owner, &pair).await.len(),
        sent,
        "fetching gives all of them"
    );
    keeper.leave().await;
}

fn writer_of(pair: &Pair, slot: u8) -> Writer {
    let (generation, chain) = (
        Generation::new(&pair.net, 0, [9; 32]),
        Chain::new([9 ^ 0x55; 32]),
    );
    let bundle = generation.bundle(&pair.net, Slot::new(slot).unwrap(), EPOCH, &chain);
    bundle
        .view(&pair.net, EPOCH)
        .unwrap()
        .writer(0)
        .unwrap()
        .clone()
}
