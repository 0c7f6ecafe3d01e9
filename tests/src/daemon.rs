//! A user's home and the daemon that lives in it.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Lab, Output, Process, Rpc, command, run, run_with_input};

/// A folder that holds everything of one user: configuration, store, state and socket. It is removed when dropped.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// An empty home.
    ///
    /// # Errors
    ///
    /// When no folder can be made.
    pub fn new() -> Result<Self> {
        // A short name: the path of a Unix socket has little more than a hundred bytes.
        let folder = tempfile::Builder::new()
            .prefix("hermes")
            .tempdir()
            .context("a folder for a home")?;
        Ok(Self { folder })
    }

    /// The value of `--home`.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the daemon of this home listens.
    pub fn socket(&self) -> PathBuf {
        self.path().join("rpc.sock")
    }

    /// A command of one of the programs on this home, `--home` included. Nothing of the developer's own home is in its reach.
    ///
    /// # Errors
    ///
    /// When the program cannot be built.
    pub fn command(&self, program: &str) -> Result<Command> {
        let mut command = command(program)?;
        command
            .env("HOME", self.path())
            .arg("--home")
            .arg(self.path());
        Ok(command)
    }

    /// Runs `hermes-cli --home … ARGUMENTS` to its end.
    ///
    /// # Errors
    ///
    /// When it cannot be run or does not end; its own failure is in the output.
    pub fn cli<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Output> {
        let mut command = self.command("hermes-cli")?;
        command.args(arguments);
        run(command)
    }

    /// Runs `hermes-cli --home … ARGUMENTS` with these bytes on its stdin.
    ///
    /// # Errors
    ///
    /// As [`Home::cli`].
    pub fn cli_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Result<Output> {
        let mut command = self.command("hermes-cli")?;
        command.args(arguments);
        run_with_input(command, input)
    }

    /// Runs a command that must succeed and print one JSON value; `--json` is added.
    ///
    /// # Errors
    ///
    /// When it fails or prints anything else.
    pub fn cli_json<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Value> {
        let arguments: Vec<OsString> = arguments
            .into_iter()
            .map(|argument| argument.as_ref().to_owned())
            .collect();
        let shown = format!("hermes-cli {arguments:?}");
        let output = self.cli(arguments.into_iter().chain([OsString::from("--json")]))?;
        output.json().context(shown)
    }

    /// Runs a command that must succeed and print one JSON value a line; `--json` is added.
    ///
    /// # Errors
    ///
    /// When it fails or prints anything else.
    pub fn cli_json_lines<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Value>> {
        let arguments: Vec<OsString> = arguments
            .into_iter()
            .map(|argument| argument.as_ref().to_owned())
            .collect();
        let shown = format!("hermes-cli {arguments:?}");
        let output = self.cli(arguments.into_iter().chain([OsString::from("--json")]))?;
        output.json_lines().context(shown)
    }

    /// Starts a program on this home and leaves it running, `hermes-cli recv --follow` for one.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Process> {
        let mut command = self.command(program)?;
        command.args(arguments);
        Process::spawn(program, command)
    }
}

/// A running `hermesd`. It is killed with SIGKILL when dropped; its home stays.
#[derive(Debug)]
pub struct Daemon {
    /// The program itself.
    pub process: Process,
    socket: PathBuf,
}

impl Daemon {
    /// Starts the daemon of a home on a lab network, without a passphrase, and waits until it answers on its socket.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn start(home: &Home, lab: &Lab) -> Result<Self> {
        let no_more: [&str; 0] = [];
        Self::start_with(home, lab, no_more)
    }

    /// As [`Daemon::start`], with further arguments of `hermesd run`.
    ///
    /// # Errors
    ///
    /// As [`Daemon::start`].
    pub fn start_with<A: AsRef<OsStr>>(
        home: &Home,
        lab: &Lab,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self> {
        let mut command = Self::command(home)?;
        command
            .arg("--insecure-no-passphrase")
            .args(["--listen", "127.0.0.1:0", "--network"])
            .arg(lab.net.name());
        for uri in lab.sky_uris() {
            command.args(["--sky", uri]);
        }
        command.args(arguments);
        Self::launch(command)
    }

    /// `hermesd run --home …` without any further argument.
    ///
    /// # Errors
    ///
    /// When the program cannot be built.
    pub fn command(home: &Home) -> Result<Command> {
        let mut command = command("hermesd")?;
        command
            .env("HOME", home.path())
            .arg("run")
            .arg("--home")
            .arg(home.path());
        Ok(command)
    }

    /// Starts the daemon by a command of the caller's own and waits until it answers on its socket.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn launch(command: Command) -> Result<Self> {
        let process = Process::spawn("hermesd", command)?;
        let socket = PathBuf::from(process.ready()?);
        Ok(Self { process, socket })
    }

    /// The path of the socket, as the daemon printed it.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A new connection to the daemon.
    ///
    /// # Errors
    ///
    /// When it cannot be connected to.
    pub fn rpc(&self) -> Result<Rpc> {
        Rpc::connect(&self.socket)
    }
}
