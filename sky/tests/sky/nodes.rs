//! Nodes in this process, on real connections.

use std::{net::SocketAddr, path::Path, time::Duration};

use hermes_link::PeerKey;
use hermes_sky::{
    SkyClient, SkyError,
    net::{Node, Settings, StartError, Status},
    proto::Limits,
};
use hermes_wire::{
    Network,
    channel::ErrorCode,
    ids::{NodeKey, Position},
    knock::SEALED_LEN,
    node::{NodeRecord, NodeUri, Role, key_hash},
    sky::Knocked,
};
use tempfile::TempDir;
use tokio::time::timeout;

use super::people::{Owner, PATIENCE, connect, endpoint, keeper};

const HALF: [u8; SEALED_LEN] = [5; SEALED_LEN];

fn settings(data: &Path, join: Vec<NodeUri>) -> Settings {
    Settings {
        network: Network::lab(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        public: Vec::new(),
        data: data.to_path_buf(),
        join,
        limits: None,
    }
}

struct Lab {
    nodes: Vec<Node>,
    folders: Vec<TempDir>,
}

impl Lab {
    async fn of(count: usize) -> Self {
        let mut lab = Self {
            nodes: Vec::new(),
            folders: Vec::new(),
        };
        for _ in 0..count {
            let folder = tempfile::tempdir().unwrap();
            let join = lab.nodes.first().map(Node::uri).into_iter().collect();
            let node = Node::start(settings(folder.path(), join)).unwrap();
            assert_eq!(
                timeout(PATIENCE, node.settled()).await.unwrap(),
                Status::Joined
            );
            lab.nodes.push(node);
            lab.folders.push(folder);
        }
        lab
    }

    fn uri_of(&self, key: NodeKey) -> NodeUri {
        self.nodes
            .iter()
            .map(Node::uri)
            .find(|uri| uri.node == key)
            .unwrap()
    }
}

/// Asks until the node lists so many of a role. Each question waits for its answer, so this does not spin.
async fn list_of(client: &SkyClient, role: Role, count: usize) -> Vec<NodeRecord> {
    let listed = async {
        loop {
            let records = client.list(role).await.unwrap();
            if records.len() == count {
                return records;
            }
        }
    };
    timeout(PATIENCE, listed)
        .await
        .unwrap_or_else(|_| panic!("{count} of {role:?} are never listed"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_know_each_other() {
    let lab = Lab::of(3).await;
    let mut expected: Vec<_> = lab.nodes.iter().map(|node| node.uri().node).collect();
    expected.sort();
    let endpoint = endpoint();
    for node in &lab.nodes {
        let (client, _knocks) = connect(&endpoint, &node.uri()).await;
        assert_eq!(client.node(), node.uri().node);
        assert_eq!(client.observed(), endpoint.local_addr().unwrap());
        let records = list_of(&client, Role::Sky, 3).await;
        assert_eq!(
            records.iter().map(|record| record.node).collect::<Vec<_>>(),
            expected
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_knock_goes_from_one_node_to_the_other() {
    let lab = Lab::of(3).await;
    let (ours, theirs) = (endpoint(), endpoint());
    let (any, _) = connect(&theirs, &lab.nodes[0].uri()).await;
    let records = list_of(&any, Role::Sky, 3).await;
    let owner = Owner::such_that(&records, |_| true);
    let nodes = owner.nodes(&records);

    let (home, mut knocks) = connect(&ours, &lab.uri_of(nodes[0])).await;
    let lease = home
        .register(&owner.presence, 0, Duration::from_secs(300))
        .await
        .unwrap();
    assert_eq!(lease, Duration::from_secs(300));
    // The friend comes by the node that is last in line for the key, so the knock is forwarded.
    let (friend, _) = connect(&theirs, &lab.uri_of(nodes[2])).await;
    let knock = owner.knock(9, 1, [7; SEALED_LEN]);
    let answering = tokio::spawn(async move {
        let knock = knocks.next().await.unwrap();
        assert_eq!(
            (knock.slot.get(), knock.nonce, *knock.sealed),
            (9, [1; 16], [7; SEALED_LEN])
        );
        knock.answer(&HALF).await.unwrap();
        // The second one is declined.
        knocks.next().await.unwrap().decline();
        knocks
    });
    assert_eq!(
        friend.knock(&knock).await.unwrap(),
        Knocked::Answered(Box::new(HALF))
    );
    assert_eq!(
        friend.knock(&knock).await.unwrap_err().code(),
        Some(ErrorCode::REFUSED),
        "a replay"
    );
    assert_eq!(
        friend.knock(&owner.knock(9, 2, HALF)).await.unwrap(),
        Knocked::NoAnswer
    );
    let mut knocks = answering.await.unwrap();

    home.unregister(owner.presence.presence).await.unwrap();
    assert_eq!(
        friend.knock(&owner.knock(9, 3, HALF)).await.unwrap(),
        Knocked::Absent
    );
    home.close();
    assert!(
        knocks.next().await.is_none(),
        "knocks end with the connection"
    );
    assert!(home.is_closed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_that_are_not_near_a_key_do_not_take_it() {
    let lab = Lab::of(4).await;
    let endpoint = endpoint();
    let (any, _) = connect(&endpoint, &lab.nodes[0].uri()).await;
    let records = list_of(&any, Role::Sky, 4).await;
    let owner = Owner::such_that(&records, |_| true);
    let far = owner.nodes(&records)[3];
    let (client, _knocks) = connect(&endpoint, &lab.uri_of(far)).await;
    list_of(&client, Role::Sky, 4).await;
    let refused = client
        .register(&owner.presence, 0, Duration::from_secs(300))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NOT_MINE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keeper_is_found_at_any_node_while_it_is_connected() {
    let lab = Lab::of(2).await;
    let (keepers, users) = (endpoint(), endpoint());
    let (key, identity, record) = keeper(1);
    let home = SkyClient::connect(
        &keepers,
        &Network::lab(),
        &lab.nodes[0].uri(),
        Some(&identity),
        PATIENCE,
    )
    .await;
    let (home, _knocks) = home.unwrap();
    home.announce(&key, record.clone()).await.unwrap();
    let (user, _) = connect(&users, &lab.nodes[1].uri()).await;
    assert_eq!(
        list_of(&user, Role::Earth, 1).await,
        std::slice::from_ref(&record)
    );
    assert_eq!(user.keepers(Position([3; 32]), 10).await.unwrap(), [record]);
    drop(home);
    list_of(&user, Role::Earth, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_tells_everybody() {
    let mut lab = Lab::of(3).await;
    let endpoint = endpoint();
    let leaver = lab.nodes.pop().unwrap();
    let (client, mut knocks) = connect(&endpoint, &leaver.uri()).await;
    let (other, _) = connect(&endpoint, &lab.nodes[0].uri()).await;
    list_of(&other, Role::Sky, 3).await;
    client.ping().await.unwrap();
    leaver.leave().await;
    assert_eq!(other.list(Role::Sky).await.unwrap().len(), 2, "at once");
    timeout(PATIENCE, client.closed()).await.unwrap();
    assert!(knocks.next().await.is_none());
    assert!(matches!(
        client.list(Role::Sky).await,
        Err(SkyError::Ended(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_comes_back_with_its_key_and_what_it_knew() {
    let mut lab = Lab::of(3).await;
    let endpoint = endpoint();
    let node = lab.nodes.pop().unwrap();
    let (uri, folder) = (node.uri(), lab.folders.pop().unwrap());
    node.leave().await;
    // It is not told whom to join.
    let node = Node::start(settings(folder.path(), Vec::new())).unwrap();
    assert_eq!(node.uri().node, uri.node);
    assert_eq!(
        timeout(PATIENCE, node.settled()).await.unwrap(),
        Status::Joined
    );
    for uri in [node.uri(), lab.nodes[0].uri(), lab.nodes[1].uri()] {
        let (client, _) = connect(&endpoint, &uri).await;
        let records = list_of(&client, Role::Sky, 3).await;
        let back = records
            .iter()
            .find(|record| record.node == node.uri().node)
            .unwrap();
        assert_eq!(back.uri(), Some(node.uri()), "with its new address");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_dialled_by_what_an_invite_says() {
    let lab = Lab::of(1).await;
    let (endpoint, uri) = (endpoint(), lab.nodes[0].uri());
    let pinned = |hash| {
        let (endpoint, network) = (endpoint.clone(), Network::lab());
        async move {
            SkyClient::connect_pinned(
                &endpoint,
                &network,
                uri.addr.socket(),
                PeerKey::HashPrefix(hash),
                None,
                PATIENCE,
            )
            .await
        }
    };
    let (client, _) = pinned(key_hash(&uri.node)).await.unwrap();
    assert_eq!(client.node(), uri.node);
    assert!(matches!(pinned([0; 8]).await, Err(SkyError::Dial(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_above_the_cap_are_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        connections_per_block: 2,
        ..Limits::lab()
    };
    let node = Node::start(Settings {
        limits: Some(limits),
        ..settings(folder.path(), Vec::new())
    })
    .unwrap();
    let endpoint = endpoint();
    let (first, _) = connect(&endpoint, &node.uri()).await;
    let (_second, _) = connect(&endpoint, &node.uri()).await;
    let third = SkyClient::connect(&endpoint, &Network::lab(), &node.uri(), None, PATIENCE).await;
    assert!(matches!(third, Err(SkyError::Ended(_))), "{third:?}");
    assert_eq!(first.list(Role::Sky).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_is_refused_at_the_start() {
    let lab = Lab::of(1).await;
    let folder = tempfile::tempdir().unwrap();
    let taken = lab.nodes[0].uri().addr.socket();
    let good = settings(folder.path(), Vec::new());
    let refused = |settings: Settings| Node::start(settings).unwrap_err();
    assert!(matches!(
        refused(Settings {
            listen: taken,
            ..good.clone()
        }),
        StartError::Bind(_)
    ));
    assert!(matches!(
        refused(Settings {
            network: Network::main(),
            ..good.clone()
        }),
        StartError::Record(_)
    ));
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    assert!(matches!(
        refused(Settings {
            listen: everywhere,
            ..good.clone()
        }),
        StartError::NoAddress(_)
    ));
    assert!(matches!(
        refused(Settings {
            data: lab.folders[0].path().into(),
            ..good.clone()
        }),
        StartError::Folder(_)
    ));

    let public = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let node = Node::start(Settings {
        listen: everywhere,
        public,
        ..good
    })
    .unwrap();
    assert_ne!(node.uri().addr.socket().port(), 0);
    connect(&endpoint(), &node.uri()).await;
}
