//! The life of the daemon: start, serve, end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::paths::{Paths, Sources};
use hermes_api::server::{Limits, ListenError, Listener, Options, serve};
use hermes_api::types::{EventData, ServerShutdown};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use crate::args::Run;
use crate::core::{CoreHandle, INPUTS_MAX, Owner, Phase};
use crate::daemon::{Daemon, Parts};
use crate::home::{Home, HomeError};
use crate::keep::Keep;
use crate::net::NetHandle;
use crate::rpc;
use crate::store::{InstanceLock, LockError};

/// How a run ended that did not end well, with the exit status of sysexits.h.
#[derive(Debug)]
pub struct Failure {
    /// What to tell.
    pub error: anyhow::Error,
    /// The exit status.
    pub status: u8,
}

const USAGE: u8 = 64;
const DATA: u8 = 65;
const UNAVAILABLE: u8 = 69;
const IO: u8 = 74;
const PERMISSION: u8 = 77;
const CONFIG: u8 = 78;

trait Status<T> {
    fn status(self, status: u8) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Status<T> for Result<T, E> {
    fn status(self, status: u8) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            error: error.into(),
            status,
        })
    }
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// If it cannot start, or its disk fails.
pub async fn run(args: Run) -> Result<(), Failure> {
    let paths = Paths::resolve(&Sources::from_env(args.home.clone(), args.socket.clone()))
        .status(CONFIG)?;
    paths.secure_dirs().status(PERMISSION)?;
    let _lock = lock(&paths)?;
    let home = Home::take(paths.config_dir(), args.network.as_deref(), &args.sky)
        .map_err(configuration)?;
    let passphrase = args
        .passphrase_file
        .as_deref()
        .map(read_passphrase)
        .transpose()
        .status(CONFIG)?;
    let listener = listen(&paths)?;

    let (stop, stopping) = watch::channel(false);
    let (fatal, failing) = watch::channel(false);
    let (phase, phases) = watch::channel(Phase::Empty);
    let (inputs, queue) = mpsc::channel(INPUTS_MAX);
    let listen_at = args.listen(home.network.is_diverse());
    std::net::UdpSocket::bind(listen_at)
        .with_context(|| format!("cannot listen on {listen_at}"))
        .map_err(socket_failure)?;
    let net = NetHandle::start(
        home.network.clone(),
        listen_at,
        &home.sky,
        paths.state_dir().join("sky.list"),
        inputs.clone(),
    );
    let core = CoreHandle::new(inputs, phases, phase.clone());
    let owner = Owner::new(
        queue,
        tokio::runtime::Handle::current(),
        phase,
        net.clone(),
        fatal,
    );
    let owner = std::thread::Builder::new()
        .name("owner".into())
        .spawn(move || owner.run())
        .status(IO)?;
    let parts = Begun {
        args,
        paths,
        home,
        passphrase,
        listener,
        listen_at,
        net,
        core: core.clone(),
        stop,
    };
    let outcome = serve_until_end(parts, stopping, failing).await;
    // On every way out: a thread that is left behind would find the runtime gone.
    let stopped = async {
        core.stop().await;
        let _ = tokio::task::spawn_blocking(move || owner.join()).await;
    };
    within("the store", stopped).await;
    outcome
}

/// What there is when the owner runs.
struct Begun {
    args: Run,
    paths: Paths,
    home: Home,
    passphrase: Option<Zeroizing<String>>,
    listener: Listener,
    listen_at: SocketAddr,
    net: NetHandle,
    core: CoreHandle,
    stop: watch::Sender<bool>,
}

/// Opens the store if that needs nobody, serves, and leaves the network.
async fn serve_until_end(
    Begun {
        args,
        paths,
        home,
        passphrase,
        listener,
        listen_at,
        net,
        core,
        stop,
    }: Begun,
    stopping: watch::Receiver<bool>,
    failing: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let keep_at = args
        .keep_listen
        .unwrap_or_else(|| SocketAddr::new(listen_at.ip(), 0));
    let keep = Keep::start(
        args.keep,
        paths.data_dir(),
        keep_at,
        &home.network,
        &home.sky,
    )
    .context("the keeper does not start")
    .map_err(socket_failure)?;
    let daemon = Daemon::new(Parts {
        core: core.clone(),
        net,
        keep: keep.clone(),
        paths,
        home,
        stop,
        insecure: args.insecure_no_passphrase,
        passphrase: passphrase.clone(),
    });
    daemon.begin(passphrase).await.map_err(store_failure)?;

    let methods = rpc::registry(&daemon).finish().status(IO)?;
    let served = serve(
        listener,
        methods,
        Options {
            limits: Limits::default(),
            ..Options::new(env!("CARGO_PKG_VERSION"))
        },
    );
    let signals = Signals::take().status(IO)?;
    announce(&daemon);
    tokio::spawn(watchdog(core.clone()));

    let ended = wait(signals, stopping, failing).await;
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    if ended {
        farewell(&core).await;
    }
    served.stop();
    within("the keeper", keep.leave()).await;
    within("clients", served.stopped()).await;
    within("the network", daemon.net().leave()).await;
    if ended {
        Ok(())
    } else {
        Err(Failure {
            error: anyhow::anyhow!("the disk failed; see the log above"),
            status: IO,
        })
    }
}

fn lock(paths: &Paths) -> Result<InstanceLock, Failure> {
    match InstanceLock::take(
        &paths.lock_file(),
        concat!("hermesd ", env!("CARGO_PKG_VERSION")),
    ) {
        Ok(lock) => Ok(lock),
        Err(LockError::Held { holder }) => {
            let who = holder.map_or_else(String::new, |holder| format!(" ({holder})"));
            Err(Failure {
                error: anyhow::anyhow!("another hermesd runs on this home already{who}"),
                status: UNAVAILABLE,
            })
        }
        Err(LockError::Io(error)) => {
            Err(anyhow::Error::new(error).context(paths.lock_file().display().to_string()))
                .status(IO)
        }
    }
}

fn configuration(error: HomeError) -> Failure {
    let status = match error {
        HomeError::Io { .. } => IO,
        HomeError::Sky { .. } | HomeError::NotSky { .. } | HomeError::UnknownNetwork { .. } => {
            USAGE
        }
        _ => CONFIG,
    };
    Failure {
        error: error.into(),
        status,
    }
}

fn store_failure(error: ApiError) -> Failure {
    let status = match error.code() {
        Some(ErrorCode::WrongPassphrase) => PERMISSION,
        // A full disk is no damage: a service manager may try again.
        Some(ErrorCode::StorageFailed) if error.data().retry_after_ms.is_some() => IO,
        _ => DATA,
    };
    Failure {
        error: error.into(),
        status,
    }
}

/// A socket that cannot be had: taken, or the system does not give it.
fn socket_failure(error: anyhow::Error) -> Failure {
    let is_taken = error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    });
    let status = if is_taken { UNAVAILABLE } else { IO };
    Failure { error, status }
}

fn read_passphrase(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text =
        Zeroizing::new(std::fs::read_to_string(path).with_context(|| path.display().to_string())?);
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(
        !line.is_empty(),
        "{}: the first line is empty",
        path.display()
    );
    Ok(Zeroizing::new(line.to_owned()))
}

/// The socket that a service manager passed, or one of our own.
fn listen(paths: &Paths) -> Result<Listener, Failure> {
    let passed = listenfd::ListenFd::from_env()
        .take_unix_listener(0)
        .context("the passed socket cannot be used")
        .status(IO)?;
    match passed {
        Some(listener) => Listener::from_std(listener).status(IO),
        None => Listener::bind(paths).map_err(|error| {
            let status = match &error {
                ListenError::Io { .. } => IO,
                _ => UNAVAILABLE,
            };
            Failure {
                error: error.into(),
                status,
            }
        }),
    }
}

fn announce(daemon: &Daemon) {
    let locked = matches!(daemon.core().phase(), Phase::Locked);
    let status = if locked {
        "locked, waiting for the passphrase"
    } else {
        "serving"
    };
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]);
    println!("ready {}", daemon.paths().socket().display());
    let _ = std::io::stdout().flush();
}

/// Tells the service manager that we live, as long as the owner answers.
async fn watchdog(core: CoreHandle) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut ticks = tokio::time::interval(patience / 3);
    loop {
        ticks.tick().await;
        if core.answers(patience / 3).await {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    }
}

/// How long each step of the end may take; what is accepted is on the disk already.
const STEP: Duration = Duration::from_secs(5);

async fn within(what: &str, step: impl Future<Output = ()>) {
    if tokio::time::timeout(STEP, step).await.is_err() {
        tracing::warn!(what, "it does not end in time and is left behind");
    }
}

/// Signals that end the daemon. They are taken before `ready` is printed, so that none is missed.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn take() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// True when somebody asked to stop, false when the disk failed.
async fn wait(
    signals: Signals,
    mut stopping: watch::Receiver<bool>,
    mut failing: watch::Receiver<bool>,
) -> bool {
    let Signals {
        mut terminate,
        mut interrupt,
    } = signals;
    tokio::select! {
        _ = terminate.recv() => true,
        _ = interrupt.recv() => {
            // A second one ends at once.
            tokio::spawn(async move {
                interrupt.recv().await;
                std::process::exit(130);
            });
            true
        }
        _ = stopping.wait_for(|stop| *stop) => {
            // The answer to whoever asked goes out first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            true
        }
        _ = failing.wait_for(|failed| *failed) => false,
    }
}

async fn farewell(core: &CoreHandle) {
    let told = core.call(|open, now| {
        open.log(EventData::ServerShutdown(ServerShutdown {}), now);
        Ok(())
    });
    let _ = tokio::time::timeout(Duration::from_secs(2), told).await;
}
