//! The program as a process: what a shell sees of it.
//!
//! The daemon is a script here: a socket that answers each method with lines written down before.
//! What the real daemon does is tested with the real daemon elsewhere.
#![cfg(unix)]

mod daemon;
mod ends;
mod speech;
mod starts;

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A home that nobody has used.
fn home() -> TempDir {
    // A short name: the path of a Unix socket has little more than a hundred bytes.
    tempfile::Builder::new()
        .prefix("hermes")
        .tempdir()
        .expect("a folder")
}

/// The program on this home, out of reach of the developer's own settings, and without the right
/// to start a daemon.
fn command<A: AsRef<OsStr>>(home: &TempDir, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-cli"));
    for name in ["HERMES_HOME", "HERMES_SOCKET", "HERMES_NO_INPUT", "HERMESD"] {
        command.env_remove(name);
    }
    command
        .env("HOME", home.path())
        .env("HERMES_NO_AUTOSTART", "1")
        .env("TZ", "UTC")
        .arg("--home")
        .arg(home.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
fn run<A: AsRef<OsStr>>(home: &TempDir, arguments: impl IntoIterator<Item = A>) -> Output {
    command(home, arguments).output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}
