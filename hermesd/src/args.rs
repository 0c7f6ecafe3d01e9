//! The command line of hermesd.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::keep::Wanted;

/// The per-user daemon of Hermes.
#[derive(Debug, Parser)]
#[command(name = "hermesd", version, about, after_help = EXIT_HELP)]
pub struct Cli {
    /// Prints the description of the RPC interface (OpenRPC) and exits.
    #[arg(long)]
    pub openrpc: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves until told to stop; prints `ready SOCKET` once it answers.
    Run(Run),
}

/// How to run.
#[derive(Debug, Args)]
pub struct Run {
    /// Keeps configuration, store, state and socket under one folder.
    #[arg(long, value_name = "DIR", env = "HERMES_HOME")]
    pub home: Option<PathBuf>,
    /// Answers on this socket instead of the home's.
    #[arg(long, value_name = "PATH", env = "HERMES_SOCKET")]
    pub socket: Option<PathBuf>,
    /// A sky node to begin with; may be given several times, and is remembered.
    #[arg(long, value_name = "URI")]
    pub sky: Vec<String>,
    /// The network, `main`, `lab` or a file with its parameters; decided by the first start in a home.
    #[arg(long, value_name = "NAME|FILE")]
    pub network: Option<String>,
    /// Where friends reach this daemon; port 0 lets the system choose.
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,
    /// Whether to keep sealed messages for others on this line.
    #[arg(long, value_enum, default_value_t = Wanted::Auto)]
    pub keep: Wanted,
    /// Where the keeper listens, with --keep yes.
    #[arg(long, value_name = "IP:PORT")]
    pub keep_listen: Option<SocketAddr>,
    /// Does without a passphrase: whoever can read the files can read the messages.
    #[arg(long)]
    pub insecure_no_passphrase: bool,
    /// Reads the passphrase from the first line of this file.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure_no_passphrase")]
    pub passphrase_file: Option<PathBuf>,
    /// Log lines to show: error, warn, info, debug, trace, or a list of TARGET=LEVEL.
    #[arg(
        long,
        value_name = "FILTER",
        env = "HERMES_LOG",
        default_value = "info"
    )]
    pub log: String,
}

impl Run {
    /// Where to listen: everywhere, but on the lab network only where the lab is.
    #[must_use]
    pub fn listen(&self, is_diverse: bool) -> SocketAddr {
        self.listen.unwrap_or_else(|| {
            let ip = if is_diverse {
                hermes_link::everywhere()
            } else {
                Ipv4Addr::LOCALHOST.into()
            };
            SocketAddr::new(ip, 0)
        })
    }
}

const EXIT_HELP: &str = "\
Exit status: 0 ended in good order, 64 wrong usage, 65 the store cannot be read, 69 another hermesd runs here or the port is taken, \
74 disk or socket failed, 77 no permission, 78 configuration.";
