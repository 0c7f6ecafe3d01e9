//! The program `hermes-sky`, from outside.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::UdpSocket,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use hermes_wire::node::{NodeUri, Role};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::tempdir;
use tokio::time::timeout;

use super::people::{PATIENCE, connect, endpoint};

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-sky"));
    command.args(["--network", "lab", "--data"]).arg(data);
    command
        .env_remove("HERMES_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A program that has said that it is ready.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    uri: NodeUri,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(uri) = line
            .strip_prefix("ready ")
            .and_then(|rest| rest.trim_end().parse().ok())
        else {
            let output = child.wait_with_output().unwrap();
            panic!(
                "not ready: {line:?}\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        Self { child, stdout, uri }
    }

    fn join(data: &Path, uris: &[NodeUri]) -> Self {
        let mut command = command(data);
        command.args(["--listen", "127.0.0.1:0"]);
        for uri in uris {
            command.args(["--join", &uri.to_string()]);
        }
        Self::start(command)
    }

    /// Sends a signal, and returns what was left on stdout and all of stderr.
    fn end(mut self, signal: Signal) -> (Output, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait_with_output().unwrap(), rest)
    }
}

fn fails(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    assert!(output.stdout.is_empty(), "nothing is ready");
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_programs_form_a_network() {
    let folders = [tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap()];
    let first = Running::join(folders[0].path(), &[]);
    let second = Running::join(folders[1].path(), &[first.uri]);
    let third = Running::join(folders[2].path(), &[first.uri, second.uri]);
    let endpoint = endpoint();
    let (client, _knocks) = connect(&endpoint, &third.uri).await;
    assert_eq!(
        client.list(Role::Sky).await.unwrap().len(),
        3,
        "ready means joined"
    );

    let (output, rest) = second.end(Signal::TERM);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(rest, "", "one line on stdout");
    assert_eq!(
        client.list(Role::Sky).await.unwrap().len(),
        2,
        "it has said goodbye"
    );

    // Logs name nobody.
    let (output, _) = third.end(Signal::INT);
    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("joined") && log.contains("leaving"), "{log}");
    assert!(
        !log.contains("127.0.0.1") && !log.contains("hermes-sky://"),
        "{log}"
    );
    timeout(PATIENCE, client.closed()).await.unwrap();
    first.end(Signal::TERM);
}

#[test]
fn a_node_has_the_same_uri_after_a_kill() {
    let folder = tempdir().unwrap();
    let start = |port: u16| {
        let mut command = command(folder.path());
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        Running::start(command)
    };
    let first = start(0);
    let uri = first.uri;
    let (output, _) = first.end(Signal::KILL);
    assert_eq!(output.status.code(), None);
    let again = start(uri.addr.socket().port());
    assert_eq!(again.uri, uri);
    assert_eq!(again.end(Signal::TERM).0.status.code(), Some(0));
}

#[test]
fn a_signal_during_the_start_ends_it_as_well() {
    let folder = tempdir().unwrap();
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut command = command(folder.path());
    let uri = format!(
        "hermes-sky://{}@{}",
        "a".repeat(52),
        nobody.local_addr().unwrap()
    );
    command.args(["--listen", "127.0.0.1:0", "--join", &uri]);
    let child = command.spawn().unwrap();
    // Its first packet shows that it is trying.
    nobody.recv_from(&mut [0; 2_000]).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_finds_nobody_says_so_serves_and_tries_on() {
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let seed = Running::join(folders[0].path(), &[]);
    let uri = seed.uri;
    seed.end(Signal::TERM);
    let late = Running::join(folders[1].path(), &[uri]);
    let (client, _knocks) = connect(&endpoint(), &late.uri).await;
    assert_eq!(client.list(Role::Sky).await.unwrap().len(), 1);

    let mut again = command(folders[0].path());
    again.args(["--listen", &uri.addr.to_string()]);
    let seed = Running::start(again);
    let found = async { while client.list(Role::Sky).await.unwrap().len() != 2 {} };
    timeout(PATIENCE, found).await.unwrap();
    let (output, _) = late.end(Signal::TERM);
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("none of the known sky nodes answers")
    );
    seed.end(Signal::TERM);
}

#[test]
fn wrong_arguments_are_told() {
    let folder = tempdir().unwrap();
    let mut unlistened = command(folder.path());
    assert_eq!(fails(&mut unlistened).0, Some(64));
    for uri in [
        "nonsense",
        "hermes-sky://abc@127.0.0.1:1",
        &format!("hermes-earth://{}@127.0.0.1:1", "a".repeat(52)),
    ] {
        let (code, text) =
            fails(command(folder.path()).args(["--listen", "127.0.0.1:0", "--join", uri]));
        assert_eq!(code, Some(64));
        assert!(text.contains("--join"), "{text}");
    }
    let (code, _) = fails(command(folder.path()).args(["--listen", "nowhere"]));
    assert_eq!(code, Some(64));
    let (code, text) = fails(command(folder.path()).args(["--listen", "0.0.0.0:0"]));
    assert_eq!(code, Some(64));
    assert!(text.contains("--public"), "{text}");

    let output = Command::new(env!("CARGO_BIN_EXE_hermes-sky"))
        .arg("--help")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("--join"));
}

#[test]
fn wrong_networks_are_told() {
    let folder = tempdir().unwrap();
    let run = |network: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-sky"));
        fails(
            command
                .args(["--listen", "127.0.0.1:0", "--network", network, "--data"])
                .arg(folder.path()),
        )
    };
    let (code, text) = run("no-such-network");
    assert_eq!(code, Some(78));
    assert!(text.contains("no-such-network"), "{text}");
    let file = folder.path().join("network.toml");
    std::fs::write(&file, "name = \"own\"\nno_such_key = 1\n").unwrap();
    let (code, text) = run(file.to_str().unwrap());
    assert_eq!(code, Some(78));
    assert!(text.contains("no_such_key"), "{text}");
    let (code, text) = run("main");
    assert_eq!(code, Some(78), "loopback on a public network");
    assert!(text.contains("lab"), "{text}");

    std::fs::write(&file, "name = \"own\"\ndiversity = 0\n").unwrap();
    let mut own = Command::new(env!("CARGO_BIN_EXE_hermes-sky"));
    own.args(["--listen", "127.0.0.1:0", "--network"])
        .arg(&file)
        .arg("--data")
        .arg(folder.path().join("data"));
    own.stdout(Stdio::piped()).stderr(Stdio::piped());
    assert_eq!(
        Running::start(own).end(Signal::TERM).0.status.code(),
        Some(0)
    );
}

#[test]
fn what_is_in_use_is_told() {
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let first = Running::join(folders[0].path(), &[]);
    let (code, text) =
        fails(command(folders[1].path()).args(["--listen", &first.uri.addr.to_string()]));
    assert_eq!(code, Some(69));
    assert!(text.contains("in use"), "{text}");
    let (code, text) = fails(command(folders[0].path()).args(["--listen", "127.0.0.1:0"]));
    assert_eq!(code, Some(69), "the same folder");
    assert!(text.contains("in use by another process"), "{text}");
    first.end(Signal::TERM);
}

#[test]
fn folders_that_cannot_be_used_are_told() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (code, text) = fails(command(&file.join("data")).args(["--listen", "127.0.0.1:0"]));
    assert_eq!(code, Some(74));
    assert!(text.contains("file"), "{text}");

    let data = folder.path().join("data");
    Running::join(&data, &[]).end(Signal::TERM);
    std::fs::write(data.join("node.key"), "garbage").unwrap();
    let (code, text) = fails(command(&data).args(["--listen", "127.0.0.1:0"]));
    assert_eq!(code, Some(78));
    assert!(
        text.contains("node.key") && text.contains("damaged"),
        "{text}"
    );
}

#[test]
fn the_service_manager_is_told() {
    use std::os::unix::net::UnixDatagram;
    let folder = tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = command(&folder.path().join("data"));
    command
        .args(["--listen", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &path);
    let node = Running::start(command);
    let receive = || {
        let mut buffer = [0; 200];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    };
    assert_eq!(receive().trim(), "READY=1");
    node.end(Signal::TERM);
    assert_eq!(receive().trim(), "STOPPING=1");
}
