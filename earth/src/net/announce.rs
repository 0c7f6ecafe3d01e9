//! Telling sky that this keeper is there.
//!
//! A keeper stands in the directory as long as one sky node holds its connection. When that ends, the next one is taken: first those that
//! were configured, then those that the last one knew.

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use hermes_link::{Endpoint, EndpointConfig, Identity, Profile};
use hermes_sky::client::{IncomingKnocks, SkyClient, SkyError};
use hermes_wire::Network;
use hermes_wire::node::{MAX_LIFE_S, NodeRecord, NodeUri, RecordError, Role};
use tokio::sync::watch;

/// How long one sky node may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(4);

/// The pause after all of them failed; it doubles up to the maximum.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// How long the first sky nodes are tried before a start is reported although none answers.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// Sky nodes that are remembered beside the configured ones.
const LEARNED_MAX: usize = 64;

/// Signs records of this keeper, each with a higher number than the one before.
pub(super) trait Records: Send + Sync {
    fn sign(&self) -> Result<NodeRecord, RecordError>;
}

/// Keeps one sky node told.
pub(super) struct Announcer {
    pub(super) network: Network,
    pub(super) local: std::net::SocketAddr,
    pub(super) sky: Vec<NodeUri>,
    pub(super) key: SigningKey,
    pub(super) identity: Identity,
    pub(super) records: Arc<dyn Records>,
    pub(super) announced: watch::Sender<bool>,
    pub(super) leaving: watch::Receiver<bool>,
}

/// Waits until the keeper is announced, but not for ever: a keeper without sky serves those who know it.
pub(super) async fn first(mut announced: watch::Receiver<bool>) -> bool {
    matches!(
        tokio::time::timeout(FIRST_PATIENCE, announced.wait_for(|done| *done)).await,
        Ok(Ok(_))
    )
}

/// Waits until the keeper leaves.
async fn left(leaving: &mut watch::Receiver<bool>) {
    let _ = leaving.wait_for(|left| *left).await;
}

impl Announcer {
    pub(super) async fn run(mut self) {
        let endpoint = match Endpoint::bind(EndpointConfig::new(self.local, Profile::Sky)) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                tracing::error!(%error, "no socket for announcing");
                return;
            }
        };
        let (mut learned, mut pause) = (Vec::new(), PAUSE);
        while !*self.leaving.borrow() {
            let known: Vec<NodeUri> = self.sky.iter().chain(&learned).copied().collect();
            let mut reached = false;
            for uri in known {
                match self.hold(&endpoint, &uri, &mut learned).await {
                    Ok(()) => {
                        reached = true;
                        break;
                    }
                    Err(error) => tracing::debug!(%error, "a sky node does not list this keeper"),
                }
                if *self.leaving.borrow() {
                    break;
                }
            }
            self.announced.send_replace(false);
            pause = if reached {
                PAUSE
            } else {
                (pause * 2).min(PAUSE_MAX)
            };
            let mut leaving = self.leaving.clone();
            let _ = tokio::time::timeout(pause, left(&mut leaving)).await;
        }
        endpoint
            .shutdown(hermes_link::CLOSE_DONE, Duration::from_millis(500))
            .await;
    }

    /// Announces at one node and stays until the connection ends or the keeper leaves. An error means that it never stood.
    async fn hold(
        &mut self,
        endpoint: &Endpoint,
        uri: &NodeUri,
        learned: &mut Vec<NodeUri>,
    ) -> Result<(), SkyError> {
        let (client, knocks) = SkyClient::connect(
            endpoint,
            &self.network,
            uri,
            Some(&self.identity),
            DIAL_TIMEOUT,
        )
        .await?;
        self.announce(&client).await?;
        self.announced.send_replace(true);
        if let Ok(records) = client.list(Role::Sky).await {
            *learned = records
                .iter()
                .filter_map(NodeRecord::uri)
                .filter(|other| other.node != uri.node)
                .take(LEARNED_MAX)
                .collect();
        }
        self.stay(&client, knocks).await;
        client.close();
        Ok(())
    }

    async fn stay(&self, client: &SkyClient, mut knocks: IncomingKnocks) {
        let half = Duration::from_secs(MAX_LIFE_S / 2);
        let mut leaving = self.leaving.clone();
        loop {
            tokio::select! {
                _ = client.closed() => return,
                () = left(&mut leaving) => return,
                // Nobody knocks at a keeper by its presence; taking them keeps the channel moving.
                knock = knocks.next() => match knock {
                    Some(knock) => knock.decline(),
                    None => return,
                },
                () = tokio::time::sleep(half) => {
                    if let Err(error) = self.announce(client).await {
                        tracing::debug!(%error, "the record was not renewed");
                        return;
                    }
                }
            }
        }
    }

    async fn announce(&self, client: &SkyClient) -> Result<(), SkyError> {
        match self.records.sign() {
            Ok(record) => client.announce(&self.key, record).await,
            Err(error) => {
                tracing::error!(%error, "the record cannot be signed");
                Ok(())
            }
        }
    }
}
