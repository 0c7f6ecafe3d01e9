//! Owners, friends and keepers with real keys.

use ed25519_dalek::SigningKey;
use hermes_wire::{
    Network, Wire as _,
    address::{Chain, Generation, OwnerPresence},
    ids::{Epoch, NodeKey, Position, Slot},
    knock::{Knock, SEALED_LEN},
    mailbox::presence_position,
    node::{Addr, Flags, NodeRecord, RecordBody, Role},
    sky::{Announce, Knocked, Register, Request},
};

use super::world::{Answer, ClientId, NodeId, World};

const EPOCH: Epoch = Epoch(150);

/// An owner with an address, and his friends' keys.
pub(super) struct Owner {
    network: Network,
    generation: Generation,
    chain: Chain,
    pub(super) presence: OwnerPresence,
}

impl Owner {
    pub(super) fn new(network: &Network, n: u8) -> Self {
        let generation = Generation::new(network, 0, [n; 32]);
        let chain = Chain::new([n ^ 0x55; 32]);
        let presence = generation.presence(network, EPOCH, 0, &chain, None);
        Self {
            network: network.clone(),
            generation,
            chain,
            presence,
        }
    }

    /// The first presence nodes, among those that live.
    pub(super) fn nodes(&self, world: &World, count: usize) -> Vec<NodeId> {
        let position = self.position();
        let point = |id: &NodeId| {
            let node = &world.nodes[id.0];
            let record = world.node(*id).own.record().point(&world.network);
            assert_eq!(node.key.verifying_key().to_bytes(), world.key(*id).0);
            record
        };
        let mut nodes = world.alive();
        nodes.sort_by_key(|id| (point(id) < position, point(id)));
        nodes.truncate(count);
        nodes
    }

    pub(super) fn position(&self) -> Position {
        presence_position(&self.presence.presence)
    }

    pub(super) fn registration(
        &self,
        world: &World,
        client: ClientId,
        refused: u64,
        lease_s: u32,
    ) -> Request {
        let node = world.clients_node_key(client);
        let binding = world.binding(client);
        Request::Register(Register::sign(
            &self.network,
            &self.presence,
            refused,
            lease_s,
            &binding,
            &node,
        ))
    }

    /// A knock of the friend in a slot.
    pub(super) fn knock(&self, slot: u8, nonce: u8) -> Knock {
        self.knock_with(slot, nonce, Some([nonce ^ 0xff; SEALED_LEN]))
    }

    pub(super) fn knock_with(&self, slot: u8, nonce: u8, half: Option<[u8; SEALED_LEN]>) -> Knock {
        let slot = Slot::new(slot).unwrap();
        let friend = self
            .generation
            .bundle(&self.network, slot, EPOCH, &self.chain);
        let at = friend.presence(&self.network, EPOCH, 0).unwrap();
        Knock::sign(&self.network, &at, [nonce; 16], half.map(Box::new)).unwrap()
    }
}

impl World {
    pub(super) fn clients_node_key(&self, client: ClientId) -> NodeKey {
        self.clients[client.index()].node_key
    }

    #[track_caller]
    pub(super) fn register(&mut self, client: ClientId, owner: &Owner) {
        let request = owner.registration(self, client, 0, 600);
        self.request(client, &request).unwrap();
    }

    #[track_caller]
    pub(super) fn knock(&mut self, client: ClientId, knock: Knock) -> Knocked {
        let answer = self
            .request(client, &Request::Knock(Box::new(knock)))
            .unwrap();
        Knocked::decode(&answer).unwrap()
    }
}

/// A keeper with its key.
pub(super) struct Keeper {
    pub(super) key: SigningKey,
    pub(super) addr: Addr,
}

impl Keeper {
    pub(super) fn new(n: u8) -> Self {
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 20_000 + u16::from(n)));
        Self {
            key: SigningKey::from_bytes(&[n; 32]),
            addr: addr.into(),
        }
    }

    pub(super) fn node_key(&self) -> NodeKey {
        NodeKey(self.key.verifying_key().to_bytes())
    }

    pub(super) fn record(&self, world: &World) -> NodeRecord {
        self.record_at(
            world,
            u64::try_from(world.unix().as_millis()).unwrap(),
            Role::Earth,
        )
    }

    pub(super) fn record_at(&self, world: &World, seq: u64, role: Role) -> NodeRecord {
        let body = RecordBody {
            role,
            flags: Flags::DIRECT,
            hpke_key: [9; 32],
            seq,
            expires: seq / 1_000 + 86_400,
            slot: 0,
            addrs: vec![self.addr],
        };
        NodeRecord::sign(&world.network, &self.key, body).unwrap()
    }

    /// Announces a record on a connection.
    pub(super) fn announce(
        &self,
        world: &mut World,
        client: ClientId,
        record: NodeRecord,
    ) -> Answer {
        let (binding, sky) = (world.binding(client), world.clients_node_key(client));
        let announce = Announce::sign(&world.network, &self.key, record, &binding, &sky);
        world.request(client, &Request::Announce(Box::new(announce)))
    }

    /// Connects to a node and announces itself.
    #[track_caller]
    pub(super) fn join(&self, world: &mut World, node: NodeId) -> ClientId {
        let client = world.client_from(node, self.addr.socket(), Some(self.node_key()));
        let record = self.record(world);
        self.announce(world, client, record).unwrap();
        client
    }
}
