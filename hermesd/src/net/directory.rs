//! Which sky and earth nodes there are.
//!
//! Lists are fetched whole and kept, from two sky nodes if there are two, and joined: a record that one of them hides is found at the
//! other, and neither learns which of the nodes we are looking for. They are fetched anew when they are old, and when somebody doubts
//! them because a node on them did not answer.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use hermes_api::types::{EarthNode, NetEarthResponse, NetSkyResponse, SkyNode, Time};
use hermes_link::{Endpoint, EndpointConfig, PeerKey, Profile};
use hermes_ring::{Ring, Rules, Seat};
use hermes_sky::client::{SkyClient, SkyError};
use hermes_wire::Network;
use hermes_wire::ids::{NodeKey, Position};
use hermes_wire::invite::{Entry, MAX_NODES};
use hermes_wire::node::{NodeRecord, NodeUri, Role};
use tokio::sync::{Notify, watch};

use super::keepers::client_addr;
use super::remembered::{REMEMBERED_MAX, Remembered};
use super::{NetInput, Shared};

/// How long one sky node may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(4);

/// How long its lists may take.
const LISTS_TIMEOUT: Duration = Duration::from_secs(30);

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
    /// Somebody gave nodes to begin with: they are asked at once.
    given: Notify,
    /// Where learned nodes are kept.
    file: PathBuf,
    /// How often the lists were fetched.
    fetched: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    configured: Vec<NodeUri>,
    remembered: Remembered,
    /// Rounds in a row in which nobody answered.
    failed: usize,
    sky: Ring<NodeRecord>,
    earth: Ring<NodeRecord>,
    /// Sky nodes that answered in the last round.
    answered: HashSet<NodeKey>,
    seen: BTreeMap<NodeKey, u64>,
    task: Option<tokio::task::AbortHandle>,
}

/// Where a sky node is, and what is known of its key.
#[derive(Debug, Clone, Copy)]
struct Door {
    addr: SocketAddr,
    key: PeerKey,
}

impl Door {
    fn of(uri: &NodeUri) -> Self {
        Self {
            addr: uri.addr.socket(),
            key: PeerKey::Exact(*uri.node.as_bytes()),
        }
    }
}

impl Directory {
    pub(super) fn new(
        network: Network,
        listen: SocketAddr,
        sky: &[NodeUri],
        file: PathBuf,
    ) -> Self {
        let (fetched, _) = watch::channel(0);
        let known = Known {
            configured: sky.to_vec(),
            remembered: Remembered::read(&file),
            ..Known::default()
        };
        Self {
            network,
            listen,
            known: Mutex::new(known),
            doubted: Notify::new(),
            given: Notify::new(),
            file,
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
        self.given.notify_one();
    }

    /// Nodes that an invite names.
    pub(super) fn add_entries(&self, entries: &[Entry]) {
        let mut known = self.known();
        let before = known.remembered.entries.len();
        for entry in entries {
            if !known.remembered.entries.contains(entry) {
                known.remembered.entries.push(*entry);
            }
        }
        let over = known.remembered.entries.len();
        if over == before {
            return;
        }
        known
            .remembered
            .entries
            .drain(..over.saturating_sub(REMEMBERED_MAX));
        let remembered = known.remembered.clone();
        drop(known);
        self.keep(remembered);
        self.given.notify_one();
    }

    /// Whether nobody has ever named a sky node here.
    pub(super) fn is_lost(&self) -> bool {
        self.doors().is_empty()
    }

    fn keep(&self, remembered: Remembered) {
        let path = self.file.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = remembered.write(&path) {
                tracing::warn!(%error, "the list of sky nodes is not kept");
            }
        });
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
                .chain(&known.remembered.listed)
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

    /// Sky nodes in the order in which they are asked: those that answered last, the configured ones, the others on the list, those that
    /// were on it before, and those that invites named.
    fn doors(&self) -> Vec<Door> {
        let known = self.known();
        let records = known.sky.iter().map(|member| &member.value);
        let (good, other): (Vec<_>, Vec<_>) =
            records.partition(|record| known.answered.contains(&record.node));
        let mut uris: Vec<NodeUri> = good.into_iter().filter_map(NodeRecord::uri).collect();
        uris.extend(known.configured.iter().copied());
        uris.extend(other.into_iter().filter_map(NodeRecord::uri));
        uris.extend(known.remembered.listed.iter().copied());
        let mut taken = HashSet::new();
        uris.retain(|uri| taken.insert(uri.node));
        let entries = known.remembered.entries.iter().filter(|entry| {
            !uris
                .iter()
                .any(|uri| uri.addr == entry.addr && entry.matches(&uri.node))
        });
        let named = entries.map(|entry| Door {
            addr: entry.addr.socket(),
            key: PeerKey::HashPrefix(entry.key_hash),
        });
        uris.iter().map(Door::of).chain(named).collect()
    }

    /// Those that are asked in one round. After rounds without an answer others have their turn.
    fn to_ask(&self) -> Vec<Door> {
        let mut doors = self.doors();
        if !doors.is_empty() {
            let turn = (self.known().failed * TRIED_MAX) % doors.len();
            doors.rotate_left(turn);
        }
        doors.truncate(TRIED_MAX);
        doors
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
        let listed: Vec<NodeUri> = known
            .sky
            .iter()
            .filter_map(|member| member.value.uri())
            .take(REMEMBERED_MAX)
            .collect();
        let changed = !listed.is_empty() && known.remembered.listed != listed;
        if changed {
            known.remembered.listed = listed;
        }
        let remembered = changed.then(|| known.remembered.clone());
        drop(known);
        if let Some(remembered) = remembered {
            self.keep(remembered);
        }
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
        {
            let mut known = directory.known();
            known.failed = if reached {
                0
            } else {
                known.failed.wrapping_add(1) % 1_024
            };
        }
        if reached != online {
            online = reached;
            shared.tell(NetInput::Online(online)).await;
        }
        let age = if reached { AGE_MAX } else { pause };
        tokio::select! {
            () = tokio::time::sleep(age) => {}
            () = directory.given.notified() => {
                pause = PAUSE;
                directory.known().failed = 0;
            }
            () = directory.doubted.notified() => {
                // Many may doubt at once; one fetch answers them all.
                let rest = pause.saturating_sub(started.elapsed());
                let given = tokio::time::timeout(rest, directory.given.notified());
                if given.await.is_ok() {
                    pause = PAUSE;
                    directory.known().failed = 0;
                }
            }
        }
    }
}

/// Asks sky nodes until enough have answered.
async fn round(directory: &Directory) -> Vec<(NodeKey, Vec<NodeRecord>, Vec<NodeRecord>)> {
    let mut answers: Vec<(NodeKey, Vec<NodeRecord>, Vec<NodeRecord>)> = Vec::new();
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
        let batch: Vec<Door> = queue.drain(..wanted).collect();
        let mut running = tokio::task::JoinSet::new();
        for door in batch {
            asked.insert(door.addr);
            let (endpoint, network) = (endpoint.clone(), directory.network.clone());
            running.spawn(async move { lists(&endpoint, &network, door).await });
        }
        while let Some(done) = running.join_next().await {
            match done {
                Ok(Ok(answer)) => {
                    // The first answer may name more nodes to ask.
                    for uri in answer.1.iter().filter_map(NodeRecord::uri).take(TRIED_MAX) {
                        let door = Door::of(&uri);
                        let is_new = !asked.contains(&door.addr)
                            && !queue.iter().any(|known| known.addr == door.addr);
                        if is_new {
                            queue.push(door);
                        }
                    }
                    if !answers.iter().any(|known| known.0 == answer.0) {
                        answers.push(answer);
                    }
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
    door: Door,
) -> Result<(NodeKey, Vec<NodeRecord>, Vec<NodeRecord>), SkyError> {
    let asking = async {
        let (client, _knocks) =
            SkyClient::connect_pinned(endpoint, network, door.addr, door.key, None, DIAL_TIMEOUT)
                .await?;
        let sky = client.list(Role::Sky).await?;
        let earth = client.list(Role::Earth).await?;
        Ok((client.node(), sky, earth))
    };
    // A node that answers page after page, and each of them late, is not waited for.
    tokio::time::timeout(LISTS_TIMEOUT, asking)
        .await
        .map_err(|_| SkyError::Timeout)?
}
