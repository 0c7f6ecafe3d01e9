//! The commands, a file for each of them.
//!
//! A command checks its arguments before it opens the door to the daemon. What it prints it gives
//! to [`Out`] as a value and a view.

pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod contact;
pub(crate) mod daemon;
pub(crate) mod doctor;
pub(crate) mod id;
pub(crate) mod init;
pub(crate) mod invite;
pub(crate) mod log;
pub(crate) mod man;
mod message;
pub(crate) mod net;
pub(crate) mod ping;
pub(crate) mod recv;
pub(crate) mod robot;
pub(crate) mod rpc;
pub(crate) mod send;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod version;

mod pages;
#[cfg(test)]
mod testing;

use crate::args::Command;
use crate::door::{Door, Launcher};
use crate::fault::Fault;
use crate::input::Input;
use crate::output::Out;

/// What a command works with.
pub(crate) struct Context<D> {
    pub(crate) out: Out,
    pub(crate) input: Input,
    pub(crate) door: D,
}

impl<D: Door> Context<D> {
    /// The daemon, started if need be.
    pub(crate) async fn api(&mut self) -> Result<D::Api, Fault> {
        self.door.open(&mut self.out).await
    }

    /// The daemon, after it went away.
    pub(crate) async fn api_again(&mut self) -> Result<D::Api, Fault> {
        self.door.reopen(&mut self.out).await
    }
}

/// Runs a command to its end.
pub(crate) async fn run(command: Command, context: &mut Context<Launcher>) -> Result<(), Fault> {
    match command {
        Command::Init(command) => command.run(context).await,
        Command::Send(command) => command.run(context).await,
        Command::Recv(command) => command.run(context).await,
        Command::Log(command) => command.run(context).await,
        Command::Chats(command) => command.run(context).await,
        Command::Chat(command) => command.run(context).await,
        Command::Invite(command) => command.run(context).await,
        Command::Contact(command) => command.run(context).await,
        Command::Id(command) => command.run(context).await,
        Command::Status(command) => command.run(context).await,
        Command::Doctor(command) => command.run(context).await,
        Command::Ping(command) => command.run(context).await,
        Command::Net(command) => command.run(context).await,
        Command::Store(command) => command.run(context).await,
        Command::Daemon(command) => command.run(context).await,
        Command::Rpc(command) => command.run(context).await,
        Command::Robot(command) => command.run(context).await,
        Command::Completions(command) => command.run(&mut context.out),
        Command::Man(command) => command.run(&mut context.out),
        Command::Version(command) => command.run(context).await,
    }
}
