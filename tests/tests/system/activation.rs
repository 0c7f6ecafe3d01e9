//! The programs as a service manager starts them: by the very words of the service files, with a notification socket, and hermesd
//! with its listening socket handed over.

use std::{ffi::OsString, process::Command};

use anyhow::{Context as _, Result, ensure};
use hermes_tests::{
    Home, Process, Rpc, bin,
    sd::{Notifications, Socket},
};
use serde_json::json;

use crate::units::exec_start;

#[test]
fn a_client_that_came_before_the_daemon_is_served_on_the_passed_socket() -> Result<()> {
    let home = Home::new()?;
    let socket = Socket::listen(&home.socket())?;
    let mut early = Rpc::connect(socket.path())?;
    let request = early.send("rpc.discover", json!({}))?;

    let notifications = Notifications::new()?;
    let mut daemon = start_hermesd(&home, &socket, &notifications)?;
    ensure!(
        daemon.ready()? == home.socket().to_string_lossy(),
        "it serves another socket than the one that was passed"
    );
    notifications.wait_for("READY=1")?;
    let document = early.answer(request)?;
    ensure!(
        document.get("methods").is_some(),
        "not the description of the methods: {document}"
    );

    let status = daemon.terminate()?;
    ensure!(
        status.code() == Some(0),
        "SIGTERM ended it with {status}:\n{}",
        daemon.log()
    );
    notifications.wait_for("STOPPING=1")?;
    ensure!(
        home.socket().exists(),
        "it removed a socket that belongs to the service manager"
    );
    Ok(())
}

#[test]
fn a_daemon_that_takes_the_socket_over_leaves_no_client_behind() -> Result<()> {
    let home = Home::new()?;
    let socket = Socket::listen(&home.socket())?;
    for _ in 0..2 {
        let notifications = Notifications::new()?;
        let mut daemon = start_hermesd(&home, &socket, &notifications)?;
        notifications.wait_for("READY=1")?;
        Rpc::connect(socket.path())?.call("rpc.discover", json!({}))?;
        daemon.terminate()?;
        // Nobody listens now, and the next daemon still hears this client.
        let mut between = Rpc::connect(socket.path())?;
        let request = between.send("rpc.discover", json!({}))?;
        let notifications = Notifications::new()?;
        let mut next = start_hermesd(&home, &socket, &notifications)?;
        between.answer(request)?;
        next.terminate()?;
    }
    Ok(())
}

#[test]
fn hermesd_tells_the_watchdog_that_it_lives() -> Result<()> {
    let home = Home::new()?;
    let notifications = Notifications::new()?;
    let mut command = hermesd(&home, &notifications)?;
    command.env("WATCHDOG_USEC", "500000");
    let mut daemon = Process::spawn("hermesd", command)?;
    for _ in 0..3 {
        notifications.wait_for("WATCHDOG=1")?;
    }
    daemon.terminate()?;
    Ok(())
}

#[test]
fn sky_and_earth_tell_the_service_manager_when_they_serve() -> Result<()> {
    let (mut sky, uri) = start_node("sky", "")?;
    let (mut earth, _) = start_node("earth", &format!("--sky {uri}"))?;
    for node in [&mut earth, &mut sky] {
        let status = node.process.terminate()?;
        ensure!(
            status.code() == Some(0),
            "SIGTERM ended it with {status}:\n{}",
            node.process.log()
        );
        node.notifications.wait_for("STOPPING=1")?;
    }
    Ok(())
}

fn hermesd(home: &Home, notifications: &Notifications) -> Result<Command> {
    let mut command = hermes_tests::command("hermesd")?;
    let words = exec_start("user/hermesd.service")?;
    command.args(words.get(1..).unwrap_or_default());
    command.arg("--home").arg(home.path()).args([
        "--network",
        "lab",
        "--listen",
        "127.0.0.1:0",
        "--insecure-no-passphrase",
    ]);
    command
        .env("HOME", home.path())
        .env("NOTIFY_SOCKET", notifications.path());
    Ok(command)
}

fn start_hermesd(home: &Home, socket: &Socket, notifications: &Notifications) -> Result<Process> {
    socket.activate("hermesd", "rpc", &hermesd(home, notifications)?)
}

struct Node {
    process: Process,
    notifications: Notifications,
    _data: tempfile::TempDir,
}

/// Starts a node by the words of its unit, with the variables of its configuration file filled in.
fn start_node(layer: &str, options: &str) -> Result<(Node, String)> {
    let data = tempfile::tempdir()?;
    let notifications = Notifications::new()?;
    let mut arguments: Vec<OsString> = Vec::new();
    for word in exec_start(&format!("system/hermes-{layer}.service"))?
        .into_iter()
        .skip(1)
    {
        match word.as_str() {
            "${LISTEN}" => arguments.push("127.0.0.1:0".into()),
            "$OPTIONS" => arguments.extend(options.split_whitespace().map(OsString::from)),
            word if word.starts_with("%S/") => arguments.push(data.path().into()),
            word => arguments.push(word.into()),
        }
    }
    let program = format!("hermes-{layer}");
    let mut command = Command::new(bin(&program)?);
    command
        .args(arguments)
        .args(["--network", "lab"])
        .env("NOTIFY_SOCKET", notifications.path());
    let process = Process::spawn(&program, command)?;
    let uri = process
        .ready()
        .with_context(|| format!("{program} by the words of its unit"))?;
    notifications.wait_for("READY=1")?;
    let node = Node {
        process,
        notifications,
        _data: data,
    };
    Ok((node, uri))
}
