//! A keeper inside the daemon: its own endpoint, port and key, beside everything else.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hermes_earth::net::{KeeperNode, Settings, StartError};
use hermes_earth::proto::Config;
use hermes_wire::Network;
use hermes_wire::node::NodeUri;
use tokio::sync::Mutex;

/// What `--keep` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Wanted {
    /// No, as long as it is not known whether the line is metered.
    #[default]
    Auto,
    /// This line is unmetered and keeps for others.
    Yes,
    /// It does not.
    No,
}

/// The keeper, if this home keeps.
#[derive(Clone, Default)]
pub struct Keep(Option<Arc<Running>>);

struct Running {
    node: Mutex<Option<KeeperNode>>,
    held: Box<dyn Fn() -> (u64, u64) + Send + Sync>,
}

impl Keep {
    /// Starts a keeper if that is wanted.
    ///
    /// # Errors
    /// If it is wanted and does not start.
    pub fn start(
        wanted: Wanted,
        data: &Path,
        listen: SocketAddr,
        network: &Network,
        sky: &[NodeUri],
    ) -> Result<Self, StartError> {
        if wanted != Wanted::Yes {
            return Ok(Self(None));
        }
        let settings = Settings {
            listen,
            data: data.join("keeper"),
            sky: sky.to_vec(),
            network: network.clone(),
            config: Config::default(),
            direct: true,
        };
        let node = KeeperNode::start(settings)?;
        let gauges = node.gauges();
        let held = Box::new(move || gauges.bytes_and_deposits());
        Ok(Self(Some(Arc::new(Running {
            node: Mutex::new(Some(node)),
            held,
        }))))
    }

    /// Whether this home keeps.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Bytes and deposits held for others.
    #[must_use]
    pub fn held(&self) -> (u64, u64) {
        self.0.as_ref().map_or((0, 0), |running| (running.held)())
    }

    /// Leaves in good order.
    pub async fn leave(&self) {
        if let Some(running) = &self.0
            && let Some(node) = running.node.lock().await.take()
        {
            node.leave().await;
        }
    }
}
