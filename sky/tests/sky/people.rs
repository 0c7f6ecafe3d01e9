//! Owners, friends and keepers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ed25519_dalek::SigningKey;
use hermes_link::{Endpoint, EndpointConfig, Identity, Profile};
use hermes_ring::{Ring, Seat};
use hermes_sky::{IncomingKnocks, SkyClient};
use hermes_wire::{
    Network,
    address::{Chain, Generation, OwnerPresence},
    ids::{Epoch, NodeKey, Slot},
    knock::{Knock, SEALED_LEN},
    mailbox::presence_position,
    node::{Flags, NodeRecord, NodeUri, RecordBody, Role},
};

/// How long anything in these tests may take. It is never waited for unless something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const EPOCH: Epoch = Epoch(10);

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::bind(EndpointConfig::new(
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        Profile::Peer,
    ))
    .unwrap()
}

pub(crate) async fn connect(endpoint: &Endpoint, uri: &NodeUri) -> (SkyClient, IncomingKnocks) {
    SkyClient::connect(endpoint, &Network::lab(), uri, None, PATIENCE)
        .await
        .unwrap()
}

/// An owner and his friends' keys.
pub(crate) struct Owner {
    generation: Generation,
    chain: Chain,
    pub(crate) presence: OwnerPresence,
}

impl Owner {
    fn new(n: u8) -> Self {
        let network = Network::lab();
        let generation = Generation::new(&network, 0, [n; 32]);
        let chain = Chain::new([n; 32]);
        let presence = generation.presence(&network, EPOCH, 0, &chain, None);
        Self {
            generation,
            chain,
            presence,
        }
    }

    /// An owner whose presence nodes, among these records, come in an order that a condition likes.
    pub(crate) fn such_that(records: &[NodeRecord], likes: impl Fn(&[NodeKey]) -> bool) -> Self {
        (0..=255)
            .map(Self::new)
            .find(|owner| likes(&owner.nodes(records)))
            .unwrap()
    }

    pub(crate) fn nodes(&self, records: &[NodeRecord]) -> Vec<NodeKey> {
        let network = Network::lab();
        let ring = Ring::collect(
            records
                .iter()
                .map(|record| (Seat::of(&network, record).unwrap(), ())),
        );
        ring.clockwise(&presence_position(&self.presence.presence))
            .map(|member| member.seat.key)
            .collect()
    }

    pub(crate) fn knock(&self, slot: u8, nonce: u8, half: [u8; SEALED_LEN]) -> Knock {
        let network = Network::lab();
        let friend = self
            .generation
            .bundle(&network, Slot::new(slot).unwrap(), EPOCH, &self.chain);
        let at = friend.presence(&network, EPOCH, 0).unwrap();
        Knock::sign(&network, &at, [nonce; 16], Some(Box::new(half))).unwrap()
    }
}

/// A keeper's key and a fresh record.
pub(crate) fn keeper(n: u8) -> (SigningKey, Identity, NodeRecord) {
    let key = SigningKey::from_bytes(&[n; 32]);
    let seq = u64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap();
    let body = RecordBody {
        role: Role::Earth,
        flags: Flags::DIRECT,
        hpke_key: [1; 32],
        seq,
        expires: seq / 1_000 + 3_600,
        slot: 0,
        addrs: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 4_000 + u16::from(n))).into()],
    };
    let record = NodeRecord::sign(&Network::lab(), &key, body).unwrap();
    (key, Identity::from_seed([n; 32]), record)
}
