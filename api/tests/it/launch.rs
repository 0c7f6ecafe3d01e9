//! Starting a daemon where none answers.
//!
//! The daemon is this very test program, started anew through a script; it then runs the one
//! test [`serve_if_asked`], which serves instead of testing.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hermes_api::client::{Client, ClientError, StartOptions, connect_or_start};
use hermes_api::server::{Listener, Options, serve};
use hermes_api::table::DaemonShutdown;
use hermes_api::types::NoParams;

use crate::support::{State, paths_in, registry};

const HOME_VARIABLE: &str = "HERMES_TEST_SERVE_HOME";

/// Does nothing unless the script of [`Program`] runs it.
#[tokio::test]
async fn serve_if_asked() {
    let Some(home) = std::env::var_os(HOME_VARIABLE) else {
        return;
    };
    let paths = paths_in(Path::new(&home));
    paths.secure_dirs().expect("dirs");
    let lock = fs::File::create(paths.lock_file()).expect("lock file");
    if lock.try_lock().is_err() {
        std::process::exit(69);
    }
    let state = Arc::new(State::new());
    let listener = Listener::bind(&paths).expect("bound");
    let handle = serve(
        listener,
        registry(&state).finish().expect("complete"),
        Options::new("0.0.0-test"),
    );
    state
        .stop_asked
        .subscribe()
        .wait_for(|asked| *asked)
        .await
        .expect("state lives");
    handle.stop();
    handle.stopped().await;
}

fn script(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("hermesd");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("executable");
    path
}

/// A daemon that notes each start, and goes on once the gate is open.
struct Program {
    path: PathBuf,
    starts: PathBuf,
    gate: fs::File,
}

impl Program {
    fn new(dir: &Path) -> Self {
        let (starts, gate) = (dir.join("starts"), dir.join("gate"));
        let made = Command::new("mkfifo").arg(&gate).status();
        assert!(made.expect("mkfifo runs").success());
        let exe = std::env::current_exe().expect("this program");
        let text = format!(
            "[ \"$1 $2\" = 'run --home' ] || exit 64\n\
             echo start >> {starts}\n\
             read go < {gate}\n\
             {HOME_VARIABLE}=\"$3\" exec {exe} --exact launch::serve_if_asked --nocapture",
            starts = starts.display(),
            gate = gate.display(),
            exe = exe.display(),
        );
        let path = script(dir, &text);
        // Open at both ends, so that neither side waits for the other to open it.
        let gate = fs::OpenOptions::new().read(true).write(true).open(gate);
        Self {
            path,
            starts,
            gate: gate.expect("gate"),
        }
    }

    /// Lets so many starts go on.
    fn open_gate(&mut self, count: usize) {
        self.gate
            .write_all("go\n".repeat(count).as_bytes())
            .expect("written");
    }
}

fn options(program: PathBuf) -> StartOptions {
    let mut options = StartOptions::new("test", "1");
    options.program = Some(program);
    options.wait = Duration::from_secs(60);
    options
}

async fn stop(client: &Client) {
    client
        .call::<DaemonShutdown>(NoParams {})
        .await
        .expect("stopped");
}

#[tokio::test]
async fn twenty_clients_at_once_start_one_daemon() {
    let dir = tempfile::tempdir().expect("scratch");
    let paths = paths_in(&dir.path().join("home"));
    let mut program = Program::new(dir.path());
    let options = options(program.path.clone());
    let starts = (0..20).map(|_| {
        let (paths, options) = (paths.clone(), options.clone());
        tokio::spawn(async move { connect_or_start(&paths, &options).await })
    });
    let starts: Vec<_> = starts.collect();
    // On this runtime of one thread, all of them now run until they have to wait for something:
    // the one for its daemon, which waits at the gate, the others for the lock.
    tokio::task::yield_now().await;
    program.open_gate(20);
    let mut clients = Vec::new();
    for start in starts {
        let (client, hello) = start.await.expect("ran").expect("started");
        assert_eq!(hello.server_version, "0.0.0-test");
        clients.push(client);
    }
    assert_eq!(
        fs::read_to_string(&program.starts).expect("starts"),
        "start\n"
    );
    stop(&clients[0]).await;
}

#[tokio::test]
async fn a_left_over_socket_does_not_count_as_a_daemon() {
    let dir = tempfile::tempdir().expect("scratch");
    let paths = paths_in(dir.path());
    drop(std::os::unix::net::UnixListener::bind(paths.socket()).expect("bound"));
    let mut program = Program::new(dir.path());
    program.open_gate(1);
    let (client, _) = connect_or_start(&paths, &options(program.path.clone()))
        .await
        .expect("started");
    stop(&client).await;
}

#[tokio::test]
async fn a_daemon_that_ends_at_once_is_told_with_its_log() {
    let dir = tempfile::tempdir().expect("scratch");
    let paths = paths_in(&dir.path().join("home"));
    paths.secure_dirs().expect("dirs");
    fs::write(paths.log_file(), "from an earlier run\n").expect("log");
    let program = script(
        dir.path(),
        "printf 'the store is \\033[31mcorrupt\\n' >&2; exit 65",
    );
    let error = connect_or_start(&paths, &options(program))
        .await
        .expect_err("not started");
    let ClientError::NotStarted { reason, log } = error else {
        panic!("{error}")
    };
    assert!(reason.contains("65"), "{reason}");
    assert_eq!(log, ["the store is [31mcorrupt"]);
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_told() {
    let dir = tempfile::tempdir().expect("scratch");
    let options = options(dir.path().join("no-such-program"));
    let error = connect_or_start(&paths_in(dir.path()), &options)
        .await
        .expect_err("not started");
    assert!(error.to_string().contains("no-such-program"), "{error}");
}

#[tokio::test]
async fn a_daemon_that_does_not_come_up_is_not_waited_for_without_end() {
    let dir = tempfile::tempdir().expect("scratch");
    let mut program = Program::new(dir.path());
    let mut options = options(program.path.clone());
    options.wait = Duration::ZERO;
    let paths = paths_in(dir.path());
    let error = connect_or_start(&paths, &options)
        .await
        .expect_err("not started");
    assert!(error.to_string().contains("within 0 s"), "{error}");
    // It is left alone: whoever comes later finds it.
    program.open_gate(1);
    options.wait = Duration::from_secs(60);
    let (client, _) = loop {
        match Client::connect(paths.clone()).await {
            Ok(_) => break connect_or_start(&paths, &options).await.expect("running"),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(
        fs::read_to_string(&program.starts).expect("starts"),
        "start\n"
    );
    stop(&client).await;
}
