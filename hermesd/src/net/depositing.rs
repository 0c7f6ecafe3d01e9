//! Bringing deposits to keepers.

use std::collections::VecDeque;
use std::sync::Arc;

use hermes_earth::client::EarthError;
use hermes_underworld::proto::DepositOp;
use hermes_wire::Wire as _;
use hermes_wire::channel::ErrorCode;
use hermes_wire::ids::Position;
use hermes_wire::node::NodeRecord;
use tokio::task::JoinSet;

use super::keepers::Keepers;
use super::{NetInput, Shared};

/// What became of one keeper.
enum Outcome {
    Held(Vec<u8>),
    /// It says no, and would say so again.
    Refused(NodeRecord, ErrorCode),
    Failed,
}

/// Brings one deposit to as many keepers as the network wants copies, taking the next when one fails.
pub(super) async fn deposit(
    shared: Arc<Shared>,
    keepers: Arc<Keepers>,
    op: DepositOp,
    position: Position,
    record: Vec<u8>,
) {
    let copies = usize::from(shared.network.params().copies);
    let record = Arc::new(record);
    let mut queue: VecDeque<NodeRecord> = shared.directory.holders(&position).await.into();
    let mut running = JoinSet::new();
    let mut held = 0;
    let mut failed = false;
    loop {
        while held + running.len() < copies {
            let Some(node) = queue.pop_front() else { break };
            running.spawn(put(keepers.clone(), node, record.clone()));
        }
        let Some(outcome) = running.join_next().await else {
            break;
        };
        match outcome {
            Ok(Outcome::Held(receipt)) => {
                held += 1;
                shared.tell(NetInput::Receipt { op, receipt }).await;
            }
            Ok(Outcome::Refused(node, code)) => {
                shared
                    .tell(NetInput::DepositRefused {
                        op,
                        keeper: node.node,
                        code,
                    })
                    .await;
            }
            Ok(Outcome::Failed) | Err(_) => failed = true,
        }
    }
    if failed || held < copies {
        // Somebody is missing: the next deposit should know of it.
        shared.directory.doubt();
    }
    shared.tell(NetInput::DepositEnded { op }).await;
}

async fn put(keepers: Arc<Keepers>, node: NodeRecord, record: Arc<Vec<u8>>) -> Outcome {
    let client = match keepers.client(&node).await {
        Ok(client) => client,
        Err(error) => {
            tracing::debug!(%error, "a keeper was not reached");
            return Outcome::Failed;
        }
    };
    match client.put(&record).await {
        Ok(receipt) => Outcome::Held(receipt.to_bytes()),
        Err(EarthError::Refused { code, .. }) => Outcome::Refused(node, code),
        Err(error) => {
            tracing::debug!(%error, "a keeper did not take a deposit");
            Outcome::Failed
        }
    }
}
