//! What the whole-system tests share: building the programs, starting them and talking to them from outside.
//!
//! A test of this crate knows the programs as a user does: by their arguments, their standard streams, their exit codes, the local
//! socket and the signals they obey. It links none of their code.
//!
//! - [`bin`] builds a program once per test process and says where it is.
//! - [`Process`] is a child that cannot outlive the test, read line by line with a deadline.
//! - [`Sky`], [`Earth`], [`Lab`], [`Home`] and [`Daemon`] start the programs as the README says, on ports that the system picks.
//! - [`person`] is a person at a daemon, with friends and an event log.
//! - [`Rpc`] speaks newline-delimited JSON-RPC to a daemon.
//! - [`sd`] plays the service manager: a notification socket and a listening socket handed over.
//! - [`workspace`] is the source tree itself, for the tests that read it.
//!
//! Nothing here sleeps. A wait is always a blocking read with a deadline, and the deadline is generous, for it ends a test that has
//! failed and never one that is slow.
#![cfg(unix)]

mod build;
mod command;
mod daemon;
mod nodes;
pub mod person;
mod process;
mod rpc;
pub mod sd;
pub mod workspace;

use std::time::Duration;

pub use build::bin;
pub use command::{Output, run, run_with_input};
pub use daemon::{Daemon, Home};
pub use nodes::{Earth, Lab, Net, Node, Sky};
pub use process::{Process, command};
pub use rpc::{Rpc, RpcError};

/// How long a test waits for something that must happen before it gives up and fails.
///
/// A loaded machine may need many seconds for what takes milliseconds otherwise; only a hang should ever meet this limit.
pub const PATIENCE: Duration = Duration::from_secs(60);
