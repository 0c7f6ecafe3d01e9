//! Connections to keepers for one mailbox, all from one endpoint of their own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hermes_earth::client::{EarthClient, EarthError};
use hermes_link::{Endpoint, EndpointConfig, Profile};
use hermes_wire::Network;
use hermes_wire::ids::NodeKey;
use hermes_wire::node::NodeRecord;
use tokio::sync::Mutex;

/// How long a keeper may take to be reached.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a connection is kept without use.
const IDLE: Duration = Duration::from_secs(20);

/// Where client endpoints of a daemon that listens at `listen` bind: the same family or families, and loopback if it is that, with a port
/// of their own.
pub(super) fn client_addr(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if ip.is_loopback() => ip,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}

/// Connections to keepers under one source port.
pub(super) struct Keepers {
    network: Network,
    endpoint: Endpoint,
    open: Mutex<BTreeMap<NodeKey, Slot>>,
}

type Slot = Arc<Mutex<Option<(EarthClient, Instant)>>>;

impl Keepers {
    /// With a socket of their own.
    pub(super) fn new(
        network: &Network,
        listen: SocketAddr,
    ) -> Result<Self, hermes_link::BindError> {
        // Not made for bulk: memory for each mailbox that is read or written would be held for a drain that a home line cannot fill.
        let endpoint = Endpoint::bind(EndpointConfig::new(client_addr(listen), Profile::Peer))?;
        Ok(Self {
            network: network.clone(),
            endpoint,
            open: Mutex::default(),
        })
    }

    /// A connection to a keeper, a standing one if there is one.
    pub(super) async fn client(&self, record: &NodeRecord) -> Result<EarthClient, EarthError> {
        let slot = self
            .open
            .lock()
            .await
            .entry(record.node)
            .or_default()
            .clone();
        let mut slot = slot.lock().await;
        if let Some((client, used)) = &mut *slot
            && !client.is_closed()
        {
            *used = Instant::now();
            return Ok(client.clone());
        }
        let client =
            EarthClient::connect(&self.endpoint, &self.network, record, DIAL_TIMEOUT).await?;
        *slot = Some((client.clone(), Instant::now()));
        Ok(client)
    }

    /// Closes connections that were not used lately, but for those in `keep`; gives whether any is left.
    pub(super) async fn prune(&self, keep: &[NodeKey]) -> bool {
        let mut open = self.open.lock().await;
        let mut left = BTreeMap::new();
        for (node, slot) in std::mem::take(&mut *open) {
            let Ok(mut held) = slot.try_lock() else {
                left.insert(node, slot);
                continue;
            };
            match held.take() {
                Some((client, used))
                    if !client.is_closed() && (keep.contains(&node) || used.elapsed() < IDLE) =>
                {
                    *held = Some((client, used));
                    drop(held);
                    left.insert(node, slot);
                }
                Some((client, _)) => {
                    tokio::spawn(async move { client.close().await });
                }
                None => {}
            }
        }
        *open = left;
        !open.is_empty()
    }

    /// Closes everything.
    pub(super) async fn close(&self) {
        let slots = std::mem::take(&mut *self.open.lock().await);
        let mut closing = tokio::task::JoinSet::new();
        for slot in slots.into_values() {
            if let Ok(mut held) = slot.try_lock()
                && let Some((client, _)) = held.take()
            {
                closing.spawn(async move { client.close().await });
            }
        }
        closing.join_all().await;
        self.endpoint
            .shutdown(hermes_link::CLOSE_DONE, Duration::from_millis(200))
            .await;
    }
}
