//! What a keeper is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use hermes_wire::Network;
use hermes_wire::node::NodeUri;

use crate::proto::Config;

/// What a keeper is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The data directory (`docs/keeper-store.md`); made if absent.
    pub data: PathBuf,
    /// The sky nodes to announce to.
    pub sky: Vec<NodeUri>,
    /// The network.
    pub network: Network,
    /// What is granted.
    pub config: Config,
    /// Whether others can dial the listening address as it is.
    pub direct: bool,
}
