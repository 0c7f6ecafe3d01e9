//! `hermes-sky`: runs a sky node.
//!
//! Prints one line on stdout when it serves, `ready URI`; the URI is what others join by. Everything else goes to stderr. SIGTERM and
//! SIGINT make it say goodbye and exit with 0. Other exit codes follow sysexits: 64 wrong arguments, 69 the address or the folder is in
//! use, 74 the disk or the network refuses, 77 no permission, 78 wrong configuration.

use std::{
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, error::ErrorKind};
use hermes_link::BindError;
use hermes_sky::net::{FolderError, Node, Settings, StartError, Status};
use hermes_wire::{
    Network,
    node::{NodeUri, RecordError, Role},
};
use sd_notify::NotifyState;

const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const IO_ERROR: u8 = 74;
const NO_PERMISSION: u8 = 77;
const CONFIG: u8 = 78;

const EXIT_HELP: &str = "Exit status: 0 left in good order, 64 wrong usage, 69 address or folder in use, 74 disk or socket \
                         failed, 77 no permission, 78 configuration.";

/// Run a Hermes sky node
///
/// Sky nodes hold who is present, carry knocks, and list the keepers. When it serves it prints `ready URI`; others join by that URI.
#[derive(Debug, Parser)]
#[command(name = "hermes-sky", version, after_help = EXIT_HELP)]
struct Arguments {
    /// Address and port to listen on; port 0 lets the system choose
    #[arg(long, value_name = "IP:PORT")]
    listen: SocketAddr,

    /// Address under which others reach this node, if that is another one (may be repeated); port 0 means the one listened on
    #[arg(long, value_name = "IP:PORT")]
    public: Vec<SocketAddr>,

    /// Folder for the node's key and the sky nodes it knows; made if it is not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Sky node to join by (may be repeated); without any, this is the first of its network
    #[arg(long, value_name = "URI", value_parser = sky_uri)]
    join: Vec<NodeUri>,

    /// Network: main, lab, or a TOML file with its parameters
    #[arg(long, value_name = "NAME|FILE", default_value = "main")]
    network: String,

    /// Log lines to show: error, warn, info, debug, trace, or a list of TARGET=LEVEL
    #[arg(
        long,
        value_name = "FILTER",
        env = "HERMES_LOG",
        default_value = "info"
    )]
    log: String,
}

fn sky_uri(text: &str) -> Result<NodeUri, String> {
    match text.parse::<NodeUri>() {
        Ok(uri) if uri.role == Role::Sky => Ok(uri),
        Ok(_) => Err("this is not the URI of a sky node".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// An error for the operator, and how the program ends because of it.
struct Failure {
    code: u8,
    error: anyhow::Error,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come as errors too, and go to stdout.
            let _ = error.print();
            let is_fine = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            return ExitCode::from(if is_fine { 0 } else { USAGE });
        }
    };
    if let Err(error) = hermes_link::log_to_stderr(&arguments.log) {
        let _ = writeln!(io::stderr(), "hermes-sky: --log {}: {error}", arguments.log);
        return ExitCode::from(USAGE);
    }
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, error }) => {
            let _ = writeln!(io::stderr(), "hermes-sky: {error:#}");
            ExitCode::from(code)
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let network = network(&arguments.network)?;
    let settings = Settings {
        network,
        listen: arguments.listen,
        public: arguments.public,
        data: arguments.data,
        join: arguments.join,
        limits: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure {
            code: IO_ERROR,
            error: error.into(),
        })?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    // Before anything else: a signal that comes while starting must not be lost.
    let mut stop = Stop::new().map_err(|error| Failure {
        code: IO_ERROR,
        error: error.into(),
    })?;
    let node = Node::start(settings).map_err(failure)?;
    tokio::select! {
        status = node.settled() => {
            if status != Status::Left {
                announce_ready(&node);
                stop.wait().await;
            }
        }
        () = stop.wait() => {}
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    tracing::info!("leaving");
    node.leave().await;
    Ok(())
}

fn announce_ready(node: &Node) {
    let mut stdout = io::stdout().lock();
    // Whoever started us may have gone; that is no reason to stop.
    let _ = writeln!(stdout, "ready {}", node.uri()).and_then(|()| stdout.flush());
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    tracing::info!("serving");
}

fn network(name: &str) -> Result<Network, Failure> {
    if let Some(network) = Network::named(name) {
        return Ok(network);
    }
    let config = |error| Failure {
        code: CONFIG,
        error,
    };
    let text = fs::read_to_string(name)
        .with_context(|| {
            format!("network {name}: it is neither main nor lab nor a file that can be read")
        })
        .map_err(config)?;
    Network::from_toml(&text)
        .with_context(|| format!("network {name}"))
        .map_err(config)
}

fn failure(error: StartError) -> Failure {
    let code = match &error {
        StartError::Folder(FolderError::InUse { .. }) => UNAVAILABLE,
        StartError::Folder(FolderError::DamagedKey { .. } | FolderError::OpenKey { .. }) => CONFIG,
        StartError::Folder(FolderError::Io { source, .. })
        | StartError::Bind(BindError::Socket { source, .. }) => match source.kind() {
            io::ErrorKind::AddrInUse => UNAVAILABLE,
            io::ErrorKind::AddrNotAvailable => CONFIG,
            io::ErrorKind::PermissionDenied => NO_PERMISSION,
            _ => IO_ERROR,
        },
        StartError::NoAddress(_) => USAGE,
        StartError::Record(_) => CONFIG,
        _ => IO_ERROR,
    };
    let hint = match &error {
        StartError::NoAddress(_) => Some("use --public IP:PORT"),
        StartError::Record(RecordError::NotPublic) => Some(
            "the network main wants a public address (--public IP:PORT); on one machine use --network lab",
        ),
        _ => None,
    };
    let error = anyhow::Error::new(error);
    let error = match hint {
        Some(hint) => anyhow::anyhow!("{error:#}\n{hint}"),
        None => error,
    };
    Failure { code, error }
}

/// The signals that end the program.
#[cfg(unix)]
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Stop {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Stop;

#[cfg(not(unix))]
impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn wait(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
