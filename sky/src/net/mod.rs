//! A sky node on real connections.
//!
//! [`Node::start`] locks the folder, reads or makes the key, binds the socket and starts one task, the driver, which owns the
//! [machine](crate::proto::Sky) and does as it says. Around it stand small tasks that only carry: one accepts connections, one per
//! connection reads, one per request of ours waits for the answer, one writes the list of nodes to the disk.

mod admission;
mod driver;
mod folder;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use hermes_link::{Alpn, BindError, Endpoint, EndpointConfig, Identity, Profile};
use hermes_wire::{
    Network,
    node::{Addr, NodeUri, RecordError},
};
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub use folder::{Folder, FolderError};

use crate::{
    client::unix_now,
    proto::{Config, Limits, Sky},
};
use driver::{Driver, Input};

/// Close codes of sky connections (0 to 15 belong to the transport).
pub mod close {
    /// There are too many connections, or the room was needed.
    pub const LIMIT: u32 = 16;
    /// The other side did not answer.
    pub const SILENT: u32 = 17;
    /// The connection was not used for long.
    pub const UNUSED: u32 = 18;
    /// A keeper was reported gone: connect again and announce a newer record.
    pub const ANNOUNCE_ANEW: u32 = 19;
    /// The node stops.
    pub const LEAVING: u32 = 20;
}

/// Inputs that wait for the machine. When it is full the connections wait. Each holds a frame at most, 256 KiB in the worst case.
const INPUTS_MAX: usize = 256;

/// Handshakes under way at once.
const HANDSHAKES_MAX: usize = 512;

/// How long a handshake may take, and how long a new connection may take to open its channel.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections beyond the machine's own cap, so that it can turn newcomers away with a word.
const CONNECTIONS_SPARE: usize = 1_024;

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The network.
    pub network: Network,
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where others reach this node, if that is not the listening address. Port 0 stands for the port listened on.
    pub public: Vec<SocketAddr>,
    /// The folder.
    pub data: PathBuf,
    /// Nodes to join by.
    pub join: Vec<NodeUri>,
    /// Caps and rates; those of the network's kind when not given.
    pub limits: Option<Limits>,
}

/// Why a node does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The socket cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system does not say where the socket is bound.
    #[error("the system does not say where the socket is bound")]
    Socket(#[source] io::Error),
    /// It listens on all addresses, and none was given that others could be told.
    #[error("others cannot be told to dial {0}: give the address under which they reach this node")]
    NoAddress(SocketAddr),
    /// The addresses do not make an acceptable record.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It looks for the network.
    Joining,
    /// It serves, but none of the nodes it knows answers. It goes on trying.
    Alone,
    /// It serves, and its lists are those of the network.
    Joined,
    /// It has said goodbye.
    Left,
}

/// A running node. Dropping it leaves the node running; see [`Node::leave`].
#[derive(Debug)]
pub struct Node {
    uri: NodeUri,
    status: watch::Receiver<Status>,
    inputs: mpsc::Sender<Input>,
    task: JoinHandle<()>,
}

impl Node {
    /// Starts a node. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings {
            network,
            listen,
            public,
            data,
            join,
            limits,
        } = settings;
        if public.is_empty() && listen.ip().is_unspecified() {
            return Err(StartError::NoAddress(listen));
        }
        let limits = limits.unwrap_or_else(|| {
            if network.is_diverse() {
                Limits::public()
            } else {
                Limits::lab()
            }
        });
        let folder = Folder::open(&data)?;
        let seed = folder.key()?;
        let known = folder.records(&network)?;
        let identity = Identity::from_seed(*seed);
        let endpoint = Endpoint::bind(EndpointConfig {
            identity: Some(identity.clone()),
            alpns: vec![Alpn::Sky],
            limits: hermes_link::Limits {
                connections_max: limits.connections_max.saturating_add(CONNECTIONS_SPARE),
                handshakes_max: HANDSHAKES_MAX,
                handshake_timeout: HANDSHAKE_TIMEOUT,
            },
            admission: Some(admission::hook(limits)),
            ..EndpointConfig::new(listen, Profile::Sky)
        })?;
        let bound = endpoint.local_addr().map_err(StartError::Socket)?;
        let with_port = |mut addr: SocketAddr| {
            if addr.port() == 0 {
                addr.set_port(bound.port());
            }
            Addr::new(addr)
        };
        let addrs = if public.is_empty() {
            vec![Addr::new(bound)]
        } else {
            public.into_iter().map(with_port).collect()
        };
        let config = Config {
            network: network.clone(),
            key: SigningKey::from_bytes(&seed),
            addrs,
            seeds: join,
            known,
            limits,
        };
        let sky = Sky::new(config, Instant::now(), unix_now())?;
        // A record has at least one address.
        let uri = sky
            .uri()
            .ok_or(StartError::Record(RecordError::Addresses))?;

        let (inputs, queue) = mpsc::channel(INPUTS_MAX);
        let (told, status) = watch::channel(Status::Joining);
        let driver = Driver::new(
            sky,
            endpoint,
            identity,
            network,
            Arc::new(folder),
            inputs.clone(),
            queue,
            told,
        );
        let task = tokio::spawn(driver.run());
        Ok(Self {
            uri,
            status,
            inputs,
            task,
        })
    }

    /// How others are told of this node.
    #[must_use]
    pub const fn uri(&self) -> NodeUri {
        self.uri
    }

    /// How far the node is, for waiting until that changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until the node has joined, or found that nobody answers.
    pub async fn settled(&self) -> Status {
        let mut status = self.status.clone();
        status
            .wait_for(|status| *status != Status::Joining)
            .await
            .map_or(Status::Left, |status| *status)
    }

    /// Says goodbye to the other nodes, closes all connections and waits for the end.
    pub async fn leave(self) {
        // When the driver has ended already there is nobody to tell.
        let _ = self.inputs.send(Input::Leave).await;
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the node ended in disorder");
        }
    }
}
