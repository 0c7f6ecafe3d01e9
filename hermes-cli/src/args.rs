//! The command line: what every command takes, and the tree of commands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use hermes_api::error::Exit;

use crate::cmds;
use crate::output::Format;

/// Talk to friends from scripts and the shell
///
/// hermes-cli asks hermesd, the daemon of this user, to do things, and starts it if it does not
/// run. A message is safe on your own disk as soon as `send` has answered; the daemon delivers it,
/// whether the friend is there now or not.
#[derive(Debug, Parser)]
#[command(
    name = "hermes-cli",
    version,
    max_term_width = 100,
    after_help = "See 'hermes-cli --help' for exit codes, environment and files.",
    after_long_help = after_long_help(),
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Global {
    /// Folder with everything of one user: configuration, store and socket
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub(crate) home: Option<PathBuf>,
    /// Socket of the daemon, if it lies elsewhere; a daemon named so is never started
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Global options"
    )]
    pub(crate) socket: Option<PathBuf>,
    /// Print JSON: one object, or one object a line for messages and events
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Print one record a line with tabs between its fields, without headings
    #[arg(
        long,
        global = true,
        conflicts_with = "json",
        help_heading = "Global options"
    )]
    pub(crate) plain: bool,
    /// Never ask anything
    #[arg(
        long,
        global = true,
        env = "HERMES_NO_INPUT",
        hide_env_values = true,
        value_parser = FalseyValueParser::new(),
        help_heading = "Global options"
    )]
    pub(crate) no_input: bool,
    /// Tell on stderr what is being done
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(crate) verbose: bool,
}

impl Global {
    /// The form of the output that these flags ask for.
    pub(crate) fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else if self.plain {
            Format::Plain
        } else {
            Format::Human
        }
    }
}

/// The tree of commands, the daily ones first.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(cmds::init::Init),
    Send(cmds::send::Send),
    Recv(cmds::recv::Recv),
    Log(cmds::log::Log),
    Chats(cmds::chat::list::List),
    #[command(subcommand)]
    Chat(cmds::chat::Chat),
    #[command(subcommand)]
    Invite(cmds::invite::Invite),
    #[command(subcommand)]
    Contact(cmds::contact::Contact),
    #[command(subcommand)]
    Id(cmds::id::Id),
    Status(cmds::status::Status),
    Doctor(cmds::doctor::Doctor),
    Ping(cmds::ping::Ping),
    #[command(subcommand)]
    Net(cmds::net::Net),
    #[command(subcommand)]
    Store(cmds::store::Store),
    #[command(subcommand)]
    Daemon(cmds::daemon::Daemon),
    Rpc(cmds::rpc::Rpc),
    Robot(cmds::robot::Robot),
    Completions(cmds::completions::Completions),
    Man(cmds::man::Man),
    Version(cmds::version::Version),
}

/// Tells what is wrong with the command line, or shows the help that was asked for.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    // Who does not read our help does not want to hear about it either.
    let _ = error.print();
    let exit = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    };
    ExitCode::from(exit.code())
}

/// What stands below the options in the long help and in the manual.
fn after_long_help() -> String {
    let mut text = exit_codes();
    text.push_str(
        "\n\
         Environment:\n\
         \x20 HERMES_HOME          as --home\n\
         \x20 HERMES_SOCKET        as --socket; ignored if --home is given\n\
         \x20 HERMES_NO_AUTOSTART  if set, no daemon is started\n\
         \x20 HERMES_NO_INPUT      as --no-input\n\
         \x20 HERMESD              the daemon's program, if not beside this one or on the PATH\n\
         \x20 NO_COLOR             if set, nothing is coloured\n\
         \n\
         Files (with --home, all of them lie in that folder):\n\
         \x20 config.toml          the configuration\n\
         \x20 store/               identity, contacts and messages, encrypted\n\
         \x20 hermesd.log          the log of a daemon that this program started\n\
         \x20 rpc.sock             the daemon's socket\n",
    );
    text
}

/// The exit codes as the manual lists them, from the one table.
pub(crate) fn exit_codes() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for words in Exit::ALL {
        text.push_str(&format!("  {:<4} {}\n", words.exit.code(), words.meaning));
    }
    text
}

#[cfg(test)]
mod tests;
