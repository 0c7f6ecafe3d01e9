//! Starting and stopping a keeper; the same in the program `hermes-earth` and inside `hermesd`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hermes_link::{Alpn, BindError, Endpoint, EndpointConfig, Limits, Profile};
use hermes_wire::ids::NodeKey;
use hermes_wire::node::{Addr, Flags, NodeRecord, NodeUri, RecordBody, RecordError, Role};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::owner::{Gauges, JOBS_MAX, Job, Owner};
use super::serve::{self, Shared};
use super::{KeyError, NodeKeys, Settings, announce, unix_s};
use crate::store::{Store, StoreError};

/// How often expiry is looked at.
const SWEEP: Duration = Duration::from_secs(60);

/// Why a keeper does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory cannot be made or locked.
    #[error("{path}: {source}")]
    Data {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process keeps here.
    #[error("another keeper runs on {path}")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The record of the address that was bound.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// A running keeper. Dropping it without [`Self::leave`] stops it at once, as a crash would: nothing that was receipted is lost.
pub struct KeeperNode {
    endpoint: Endpoint,
    uri: NodeUri,
    jobs: mpsc::Sender<Job>,
    owner: Option<JoinHandle<()>>,
    tasks: Vec<AbortHandle>,
    gauges: Arc<Gauges>,
    leave: watch::Sender<bool>,
    announced: watch::Receiver<bool>,
    announcer: Option<tokio::task::JoinHandle<()>>,
    _lock: File,
}

/// What a keeper holds, at any time.
#[derive(Clone)]
pub struct Held(Arc<Gauges>);

impl Held {
    /// Bytes and deposits.
    #[must_use]
    pub fn bytes_and_deposits(&self) -> (u64, u64) {
        (
            self.0.bytes.load(Ordering::Relaxed),
            self.0.deposits.load(Ordering::Relaxed),
        )
    }
}

impl KeeperNode {
    /// Opens the disk, binds the socket, serves and announces. Must be called within a tokio runtime of several threads.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let lock = lock(&settings.data)?;
        let keys = NodeKeys::load_or_create(&settings.data)?;
        let store = Store::open(&settings.data, &settings.network)?;
        let (keeper, damage) =
            store.restore(settings.network.clone(), settings.config, Instant::now())?;
        if damage.entries > 0 {
            tracing::warn!(
                left_out = damage.entries,
                "parts of the store are damaged; the rest is served"
            );
        }
        let endpoint = Endpoint::bind(EndpointConfig {
            identity: Some(keys.identity()),
            alpns: vec![Alpn::Earth],
            limits: Limits {
                connections_max: 4_096,
                handshakes_max: 256,
                ..Limits::default()
            },
            ..EndpointConfig::new(settings.listen, Profile::Earth)
        })?;
        let local = endpoint.local_addr().map_err(|source| StartError::Data {
            path: settings.data.clone(),
            source,
        })?;
        let record = make_record(&settings, &keys, local.into(), unix_s() * 1_000)?;
        let uri = NodeUri {
            role: Role::Earth,
            node: keys.node(),
            addr: local.into(),
        };

        let gauges = Arc::new(Gauges::default());
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let (network, config, data) = (
            settings.network.clone(),
            settings.config,
            settings.data.clone(),
        );
        let owner = Owner::new(
            network,
            config,
            data,
            keys.signing(),
            gauges.clone(),
            Handle::current(),
            keeper,
            store,
        );
        let owner = std::thread::Builder::new()
            .name("keeper".into())
            .spawn(move || owner.run(queue));
        let owner = owner.map_err(|source| StartError::Data {
            path: settings.data.clone(),
            source,
        })?;

        let records = Arc::new(Signer {
            settings: settings.clone(),
            keys,
            addr: local.into(),
            last: AtomicU64::new(record.body.seq),
        });
        let (renew, current) = watch::channel(record);
        let shared = Arc::new(Shared {
            network: settings.network.clone(),
            node: uri.node,
            jobs: jobs.clone(),
            record: current,
        });
        let (leave, leaving) = watch::channel(false);
        let (tell, announced) = watch::channel(false);
        let announcer = announce::Announcer {
            network: settings.network.clone(),
            local: SocketAddr::new(local.ip(), 0),
            sky: settings.sky.clone(),
            key: records.keys.signing(),
            identity: records.keys.identity(),
            records: records.clone(),
            announced: tell,
            leaving,
        };
        let announcer = (!settings.sky.is_empty()).then(|| tokio::spawn(announcer.run()));
        let tasks = vec![
            tokio::spawn(serve::accept(endpoint.clone(), shared)).abort_handle(),
            tokio::spawn(sweep(jobs.clone())).abort_handle(),
            tokio::spawn(renew_record(records, renew)).abort_handle(),
        ];
        Ok(Self {
            endpoint,
            uri,
            jobs,
            owner: Some(owner),
            tasks,
            gauges,
            leave,
            announced,
            announcer,
            _lock: lock,
        })
    }

    /// Waits until the keeper stands in the directory, for a few seconds at most; false if it does not by then. It goes on trying.
    pub async fn announced(&self) -> bool {
        self.announcer.is_none() || announce::first(self.announced.clone()).await
    }

    /// How others name and reach it.
    #[must_use]
    pub const fn uri(&self) -> NodeUri {
        self.uri
    }

    /// Its storage key.
    #[must_use]
    pub const fn node(&self) -> NodeKey {
        self.uri.node
    }

    /// Bytes, deposits and mailboxes held.
    #[must_use]
    pub fn held(&self) -> (u64, u64, u64) {
        let g = &self.gauges;
        (
            g.bytes.load(Ordering::Relaxed),
            g.deposits.load(Ordering::Relaxed),
            g.mailboxes.load(Ordering::Relaxed),
        )
    }

    /// What it holds, to be asked also later.
    #[must_use]
    pub fn gauges(&self) -> Held {
        Held(self.gauges.clone())
    }

    /// Leaves in good order: says so to sky, finishes what has come in, closes the connections.
    pub async fn leave(mut self) {
        let _ = self.leave.send(true);
        if let Some(announcer) = self.announcer.take() {
            let _ = tokio::time::timeout(Duration::from_secs(2), announcer).await;
        }
        let _ = self.jobs.send(Job::Stop).await;
        if let Some(owner) = self.owner.take() {
            let _ = tokio::task::spawn_blocking(move || owner.join()).await;
        }
        self.endpoint
            .shutdown(hermes_link::CLOSE_DONE, Duration::from_secs(2))
            .await;
    }
}

impl Drop for KeeperNode {
    fn drop(&mut self) {
        // Connections may still hold the queue; if it is full, the owner ends with the runtime.
        let _ = self.jobs.try_send(Job::Stop);
        for task in &self.tasks {
            task.abort();
        }
        if let Some(announcer) = &self.announcer {
            announcer.abort();
        }
    }
}

fn lock(data: &Path) -> Result<File, StartError> {
    let error = |path: &Path| {
        let path = path.to_owned();
        move |source| StartError::Data { path, source }
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data).map_err(error(data))?;
    let path = data.join("keeper.lock");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(error(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err(StartError::Locked {
                path: data.to_owned(),
            });
        }
        Err(fs::TryLockError::Error(source)) => return Err(error(&path)(source)),
    }
    let _ = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Signs the keeper's records, with numbers that rise even when two are signed in one millisecond.
struct Signer {
    settings: Settings,
    keys: NodeKeys,
    addr: Addr,
    last: AtomicU64,
}

impl announce::Records for Signer {
    fn sign(&self) -> Result<NodeRecord, RecordError> {
        let now_ms = unix_s() * 1_000;
        let before = self.last.fetch_max(now_ms, Ordering::Relaxed).max(now_ms);
        let seq = self
            .last
            .fetch_max(before + 1, Ordering::Relaxed)
            .max(before + 1);
        make_record(&self.settings, &self.keys, self.addr, seq)
    }
}

fn make_record(
    settings: &Settings,
    keys: &NodeKeys,
    addr: Addr,
    seq: u64,
) -> Result<NodeRecord, RecordError> {
    let flags = Flags::UNMETERED;
    let body = RecordBody {
        role: Role::Earth,
        flags: if settings.direct {
            flags.with(Flags::DIRECT)
        } else {
            flags
        },
        hpke_key: keys.hpke_public(),
        seq,
        expires: unix_s() + hermes_wire::node::MAX_LIFE_S - 60,
        slot: 0,
        addrs: vec![addr],
    };
    NodeRecord::sign(&settings.network, &keys.signing(), body)
}

/// Signs a new record at half of the old one's life, for those who ask the keeper itself.
async fn renew_record(records: Arc<Signer>, renew: watch::Sender<NodeRecord>) {
    let half = Duration::from_secs(hermes_wire::node::MAX_LIFE_S / 2);
    loop {
        tokio::time::sleep(half).await;
        match announce::Records::sign(&*records) {
            Ok(record) => {
                renew.send_replace(record);
            }
            Err(error) => tracing::error!(%error, "the record cannot be renewed"),
        }
    }
}

async fn sweep(jobs: mpsc::Sender<Job>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        if jobs.send(Job::Sweep).await.is_err() {
            return;
        }
    }
}
