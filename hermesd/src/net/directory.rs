//! Which sky and earth nodes there are.
//!
//! Lists are fetched whole and kept, from two sky nodes if there are two, and joined: a record that one of them hides is found at the
//! other, and neither learns which of the nodes we are looking for. They are fetched anew when they are old, and when somebody doubts
//! them because a node on them did not answer.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use hermes_api::types::{EarthNode, NetEarthResponse, NetSkyResponse, SkyNode, Time};
use hermes_link::{Endpoint, EndpointConfig, Profile};
use hermes_ring::{Ring, Rules, Seat};
use hermes_sky::client::{SkyClient, SkyError};
use hermes_wire::Network;
use hermes_wire::ids::{NodeKey, Position};
use hermes_wire::invite::{Entry, MAX_NODES};
use hermes_wire::node::{NodeRecord, NodeUri, Role};
use tokio::sync::{Notify, watch};

use super::keepers::client_addr;
use super::{NetInput, Shared};

/// How long one sky node may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(4);

/// Sky nodes that are asked, so that one alone cannot hide others.
const ASKED: usize = 2;

/// How old lists may become.
const AGE_MAX: Duration = Duration::from_secs(300);

/// The pause between two fetches that somebody's doubt brought about; between fetches that failed it doubles up to the maximum.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Sky nodes that are tried in one round.
const TRIED_MAX: usize = 12;

/// How long somebody who needs the lists waits for the first ones.
const FIRST: Duration = Duration::from_secs(10);

/// The lists, shared by all parts of the network side.
pub(super) struct Directory {
    network: Network,
    listen: SocketAddr,
    known: Mutex<Known>,
    doubted: Notify,
    /// How often the lists were fetched.
    fetched: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    configured: Vec<NodeUri>,
    sky: Ring<NodeRecord>,
    earth: Ring<NodeRecord>,
    /// Sky nodes that answered in the last round.
    answered: HashSet<NodeKey>,
    seen: BTreeMap<NodeKey, u64>,
    task: Option<tokio::task::AbortHandle>,
}

impl Directory {
    pub(super) fn new(network: Network, listen: SocketAddr, sky: &[NodeUri]) -> Self {
        let (fetched, _) = watch::channel(0);
        let known = Known {
            configured: sky.to_vec(),
            ..Known::default()
        };
        Self {
            network,
            listen,
            known: Mutex::new(known),
            doubted: Notify::new(),
            fetched,
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts fetching, once.
    pub(super) fn begin(&self, shared: &Arc<Shared>) {
        let mut known = self.known();
        if known.task.is_none() {
            known.task = Some(tokio::spawn(keep(shared.clone())).abort_handle());
        }
    }

    pub(super) fn add_sky(&self, sky: &[NodeUri]) {
        let mut known = self.known();
        for uri in sky {
            if !known.configured.contains(uri) {
                known.configured.push(*uri);
            }
        }
        drop(known);
        self.doubted.notify_one();
    }

    /// A node on the lists did not answer, or they are too short.
    pub(super) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// The keepers of a position: those to write to, and then those to take when one fails.
    pub(super) async fn holders(&self, position: &Position) -> Vec<NodeRecord> {
        self.first().await;
        let rules = Rules::of(&self.network);
        let known = self.known();
        let holders = known.earth.holders(position, &rules, rules.candidates());
        holders
            .candidates()
            .map(|member| member.value.clone())
            .collect()
    }

    /// The keepers near the first position in order, and all that are near either.
    pub(super) async fn readers(
        &self,
        positions: &[Position; 2],
    ) -> (Vec<NodeRecord>, Vec<NodeRecord>) {
        let [first, second] = positions;
        let first = self.holders(first).await;
        let mut all = first.clone();
        for record in self.holders(second).await {
            if !all.iter().any(|known| known.node == record.node) {
                all.push(record);
            }
        }
        (first, all)
    }

    /// The presence nodes of a position, the nearest first.
    pub(super) async fn presence_nodes(
        &self,
        position: &Position,
        count: usize,
    ) -> Vec<NodeRecord> {
        self.first().await;
        self.known()
            .sky
            .successors(position, count)
            .map(|member| member.value.clone())
            .collect()
    }

    async fn first(&self) {
        let _ = tokio::time::timeout(FIRST, self.fetched.subscribe().wait_for(|n| *n > 0)).await;
    }

    /// Changes whenever the lists were fetched.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.fetched.subscribe()
    }

    /// Sky nodes that an invite may name: those that answer, from different places.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let known = self.known();
        let records = known.sky.iter().map(|member| &member.value);
        let (good, other): (Vec<_>, Vec<_>) =
            records.partition(|record| known.answered.contains(&record.node));
        let listed = good.into_iter().chain(other).filter_map(NodeRecord::uri);
        let mut uris: Vec<NodeUri> = listed.collect();
        uris.extend(
            known
                .configured
                .iter()
                .filter(|uri| !uris.iter().any(|known| known.node == uri.node))
                .copied()
                .collect::<Vec<_>>(),
        );
        uris.iter()
            .take(MAX_NODES)
            .map(|uri| Entry::new(uri.addr, &uri.node))
            .collect()
    }

    /// Sky nodes known, sky nodes that answer, keepers known.
    pub(super) fn counts(&self) -> (u32, u32, u32) {
        let known = self.known();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (
            count(known.sky.len()),
            count(known.answered.len()),
            count(known.earth.len()),
        )
    }

    pub(super) fn show_sky(&self, registered: Option<NodeKey>) -> NetSkyResponse {
        let known = self.known();
        let nodes = known.sky.iter().filter_map(|member| {
            let record = &member.value;
            Some(SkyNode {
                node_id: short(&record.node),
                uri: record.uri()?.to_string(),
                connected: known.answered.contains(&record.node) || registered == Some(record.node),
                registered: registered == Some(record.node),
                rtt_us: None,
                last_seen: known.seen.get(&record.node).map(|ms| time(*ms)),
            })
        });
        NetSkyResponse {
            nodes: nodes.collect(),
        }
    }

    pub(super) fn show_earth(&self, watching: &BTreeMap<NodeKey, u32>) -> NetEarthResponse {
        let known = self.known();
        let nodes = known.earth.iter().map(|member| EarthNode {
            node_id: short(&member.value.node),
            uri: member.value.uri().map(|uri| uri.to_string()),
            watching: watching.contains_key(&member.value.node),
            holding: 0,
            last_seen: known.seen.get(&member.value.node).map(|ms| time(*ms)),
        });
        NetEarthResponse {
            known: u32::try_from(known.earth.len()).unwrap_or(u32::MAX),
            nodes: nodes.collect(),
        }
    }

    /// The order in which sky nodes are asked: those that answered last, the others on the list, the configured ones.
    fn to_ask(&self) -> Vec<NodeUri> {
        let known = self.known();
        let records = known.sky.iter().map(|member| &member.value);
        let (good, other): (Vec<_>, Vec<_>) =
            records.partition(|record| known.answered.contains(&record.node));
        let mut uris: Vec<NodeUri> = good.into_iter().filter_map(NodeRecord::uri).collect();
        uris.extend(known.configured.iter().copied());
        uris.extend(other.into_iter().filter_map(NodeRecord::uri));
        let mut taken = HashSet::new();
        uris.retain(|uri| taken.insert(uri.node));
        uris.truncate(TRIED_MAX);
        uris
    }

    /// Takes up what the nodes of one round said.
    fn take(&self, answers: Vec<(NodeKey, Vec<NodeRecord>, Vec<NodeRecord>)>) {
        let now_ms = crate::core::now().unix_ms;
        let mut known = self.known();
        known.answered = answers.iter().map(|(node, _, _)| *node).collect();
        let (mut sky, mut earth) = (Vec::new(), Vec::new());
        for (_, of_sky, of_earth) in answers {
            sky.extend(of_sky);
            earth.extend(of_earth);
        }
        for record in sky.iter().chain(&earth) {
            known.seen.insert(record.node, now_ms);
        }
        known.sky = joined(&self.network, sky);
        known.earth = joined(&self.network, earth);
        let listed: HashSet<NodeKey> = known
            .sky
            .iter()
            .chain(known.earth.iter())
            .map(|member| member.seat.key)
            .collect();
        known.seen.retain(|node, _| listed.contains(node));
        drop(known);
        self.fetched.send_modify(|n| *n += 1);
    }
}

/// One record a node, the newest.
fn joined(network: &Network, records: Vec<NodeRecord>) -> Ring<NodeRecord> {
    let mut newest: BTreeMap<NodeKey, NodeRecord> = BTreeMap::new();
    for record in records {
        let is_newer = newest
            .get(&record.node)
            .is_none_or(|known| record.replaces(known));
        if is_newer {
            newest.insert(record.node, record);
        }
    }
    Ring::collect(
        newest
            .into_values()
            .filter_map(|record| Some((Seat::of(network, &record)?, record))),
    )
}

fn short(node: &NodeKey) -> String {
    BASE32_NOPAD.encode(node.as_bytes()).to_ascii_lowercase()
}

fn time(ms: u64) -> Time {
    Time::from_unix_ms(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// Keeps the lists fresh.
async fn keep(shared: Arc<Shared>) {
    let directory = &shared.directory;
    let mut pause = PAUSE;
    let mut online = true;
    loop {
        let started = Instant::now();
        let answers = round(directory).await;
        let reached = !answers.is_empty();
        if reached {
            directory.take(answers);
            pause = PAUSE;
        } else {
            pause = (pause * 2).min(PAUSE_MAX);
        }
        if reached != online {
            online = reached;
            shared.tell(NetInput::Online(online)).await;
        }
        let age = if reached { AGE_MAX } else { pause };
        tokio::select! {
            () = tokio::time::sleep(age) => {}
            () = directory.doubted.notified() => {
                // Many may doubt at once; one fetch answers them all.
                let rest = pause.saturating_sub(started.elapsed());
                tokio::time::sleep(rest).await;
            }
        }
    }
}

/// Asks sky nodes until enough have answered.
async fn round(directory: &Directory) -> Vec<(NodeKey, Vec<NodeRecord>, Vec<NodeRecord>)> {
    let mut answers = Vec::new();
    let mut asked = HashSet::new();
    let Ok(endpoint) = Endpoint::bind(EndpointConfig::new(
        client_addr(directory.listen),
        Profile::Sky,
    )) else {
        return answers;
    };
    let mut queue = directory.to_ask();
    while answers.len() < ASKED && !queue.is_empty() {
        let wanted = (ASKED - answers.len()).min(queue.len());
        let batch: Vec<NodeUri> = queue.drain(..wanted).collect();
        let mut running = tokio::task::JoinSet::new();
        for uri in batch {
            asked.insert(uri.node);
            let (endpoint, network) = (endpoint.clone(), directory.network.clone());
            running.spawn(async move {
                lists(&endpoint, &network, &uri)
                    .await
                    .map(|(sky, earth)| (uri.node, sky, earth))
            });
        }
        while let Some(done) = running.join_next().await {
            match done {
                Ok(Ok(answer)) => {
                    // The first answer may name more nodes to ask.
                    let more = answer
                        .1
                        .iter()
                        .filter_map(NodeRecord::uri)
                        .filter(|uri| !asked.contains(&uri.node));
                    queue.extend(
                        more.filter(|uri| !queue.iter().any(|known| known.node == uri.node))
                            .take(TRIED_MAX)
                            .collect::<Vec<_>>(),
                    );
                    answers.push(answer);
                }
                Ok(Err(error)) => tracing::debug!(%error, "a sky node did not give its lists"),
                Err(_) => {}
            }
        }
    }
    endpoint
        .shutdown(hermes_link::CLOSE_DONE, Duration::from_millis(200))
        .await;
    answers
}

async fn lists(
    endpoint: &Endpoint,
    network: &Network,
    uri: &NodeUri,
) -> Result<(Vec<NodeRecord>, Vec<NodeRecord>), SkyError> {
    let (client, _knocks) = SkyClient::connect(endpoint, network, uri, None, DIAL_TIMEOUT).await?;
    let sky = client.list(Role::Sky).await?;
    let earth = client.list(Role::Earth).await?;
    Ok((sky, earth))
}
