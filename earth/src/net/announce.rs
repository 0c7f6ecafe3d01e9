//! Telling sky that this keeper is there.

use ed25519_dalek::SigningKey;
use hermes_wire::Network;
use hermes_wire::node::{NodeRecord, NodeUri};
use tokio::sync::watch;

/// Keeps one sky node told.
pub(super) struct Announcer {
    pub(super) network: Network,
    pub(super) sky: NodeUri,
    pub(super) keys: SigningKey,
    pub(super) record: watch::Receiver<NodeRecord>,
    pub(super) leaving: watch::Receiver<bool>,
}

impl Announcer {
    pub(super) async fn run(mut self) {
        let _ = self.leaving.changed().await;
    }
}
