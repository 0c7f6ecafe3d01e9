//! A keeper as a program: arguments, signals and logging.

#![allow(clippy::disallowed_methods, reason = "a program is a shell")]

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use hermes_earth::net::{KeeperNode, Settings, StartError};
use hermes_earth::proto::Config;
use hermes_wire::Network;
use hermes_wire::node::{NodeUri, Role};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

/// Keeps sealed messages for people who are offline.
///
/// Prints `ready URI` once it serves; others take the URI for what they know of it. SIGTERM leaves in good order.
#[derive(Debug, Parser)]
#[command(name = "hermes-earth", version, after_help = EXIT_HELP)]
struct Cli {
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, value_name = "IP:PORT")]
    listen: SocketAddr,
    /// The data directory: keys and deposits.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A sky node to be listed at; may be given several times.
    #[arg(long, value_name = "URI", required = true)]
    sky: Vec<String>,
    /// The network: main, lab, or a file with its parameters.
    #[arg(long, value_name = "NAME|FILE", default_value = "main")]
    network: String,
    /// Room for deposits in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1_024)]
    room: u64,
    /// Others cannot dial the listening address (it is behind a NAT).
    #[arg(long)]
    indirect: bool,
    /// Log lines to show: error, warn, info, debug, trace, or a list of TARGET=LEVEL.
    #[arg(
        long,
        value_name = "FILTER",
        env = "HERMES_LOG",
        default_value = "info"
    )]
    log: String,
}

const EXIT_HELP: &str = "Exit status: 0 left in good order, 64 wrong usage, 65 the store cannot be used, \
                         69 address or directory in use, 74 disk or socket failed, 78 configuration.";

struct Failure(u8, String);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(status, text)) => {
            eprintln!("hermes-earth: {text}");
            ExitCode::from(status)
        }
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    hermes_link::log_to_stderr(&cli.log)
        .map_err(|error| Failure(64, format!("--log {}: {error}", cli.log)))?;
    let settings = settings(cli)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure(74, error.to_string()))?;
    runtime.block_on(serve(settings))
}

fn settings(cli: Cli) -> Result<Settings, Failure> {
    let sky = cli.sky.iter().map(|text| match text.parse::<NodeUri>() {
        Ok(uri) if uri.role == Role::Sky => Ok(uri),
        Ok(_) => Err(Failure(
            64,
            format!("--sky {text}: this is a keeper, not a sky node"),
        )),
        Err(error) => Err(Failure(64, format!("--sky {text}: {error}"))),
    });
    Ok(Settings {
        listen: cli.listen,
        data: cli.data,
        sky: sky.collect::<Result<_, _>>()?,
        network: network(&cli.network)?,
        config: Config {
            bytes_max: cli.room.saturating_mul(1 << 20),
            ..Config::default()
        },
        direct: !cli.indirect,
    })
}

fn network(name: &str) -> Result<Network, Failure> {
    if let Some(known) = Network::named(name) {
        return Ok(known);
    }
    let text = std::fs::read_to_string(name).map_err(|error| {
        Failure(
            78,
            format!("--network {name}: neither main, lab nor a file: {error}"),
        )
    })?;
    Network::from_toml(&text).map_err(|error| Failure(78, error.to_string()))
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    // Set up before anything is announced, so that no signal is missed.
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        return Err(Failure(74, "no signals".to_owned()));
    };
    let node = KeeperNode::start(settings).map_err(|error| {
        let status = match &error {
            StartError::Locked { .. } => 69,
            StartError::Bind(_) => 69,
            StartError::Store(_) | StartError::Keys(_) => 65,
            StartError::Record(_) => 78,
            _ => 74,
        };
        Failure(status, error.to_string())
    })?;
    if !node.announced().await {
        tracing::warn!("no sky node lists this keeper yet; it goes on trying");
    }
    println!("ready {}", node.uri());
    let _ = std::io::stdout().flush();
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    node.leave().await;
    Ok(())
}
