//! Starting and stopping a keeper; the same in the program `hermes-earth` and inside `hermesd`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
    announcers: Vec<tokio::task::JoinHandle<()>>,
    _lock: File,
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
        let record = make_record(&settings, &keys, local.into())?;
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

        let (renew, current) = watch::channel(record);
        let shared = Arc::new(Shared {
            network: settings.network.clone(),
            node: keys.node(),
            jobs: jobs.clone(),
            record: current.clone(),
        });
        let (leave, leaving) = watch::channel(false);
        let announcers = settings.sky.iter().map(|sky| {
            let announcer = announce::Announcer {
                network: settings.network.clone(),
                sky: *sky,
                keys: keys.signing(),
                record: current.clone(),
                leaving: leaving.clone(),
            };
            tokio::spawn(announcer.run())
        });
        let announcers = announcers.collect();
        let tasks = vec![
            tokio::spawn(serve::accept(endpoint.clone(), shared)).abort_handle(),
            tokio::spawn(sweep(jobs.clone())).abort_handle(),
            tokio::spawn(renew_record(settings, keys, local.into(), renew)).abort_handle(),
        ];
        Ok(Self {
            endpoint,
            uri,
            jobs,
            owner: Some(owner),
            tasks,
            gauges,
            leave,
            announcers,
            _lock: lock,
        })
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

    /// Leaves in good order: says so to sky, finishes what has come in, closes the connections.
    pub async fn leave(mut self) {
        let _ = self.leave.send(true);
        for announcer in self.announcers.drain(..) {
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
        for announcer in &self.announcers {
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

fn make_record(
    settings: &Settings,
    keys: &NodeKeys,
    addr: Addr,
) -> Result<NodeRecord, RecordError> {
    let flags = Flags::UNMETERED;
    let now = unix_s();
    let body = RecordBody {
        role: Role::Earth,
        flags: if settings.direct {
            flags.with(Flags::DIRECT)
        } else {
            flags
        },
        hpke_key: keys.hpke_public(),
        seq: now * 1_000 + u64::from(std::process::id() % 1_000),
        expires: now + hermes_wire::node::MAX_LIFE_S - 60,
        slot: 0,
        addrs: vec![addr],
    };
    NodeRecord::sign(&settings.network, &keys.signing(), body)
}

/// Signs a new record at half of the old one's life.
async fn renew_record(
    settings: Settings,
    keys: NodeKeys,
    addr: Addr,
    renew: watch::Sender<NodeRecord>,
) {
    let half = Duration::from_secs(hermes_wire::node::MAX_LIFE_S / 2);
    loop {
        tokio::time::sleep(half).await;
        match make_record(&settings, &keys, addr) {
            Ok(record) => {
                let _ = renew.send(record);
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
