//! A network on this machine, and people at daemons.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    nest::{Nest, Process},
    programs::Programs,
    rpc::Rpc,
};

/// Where every node and daemon listens; the system chooses the port.
const ANY_PORT: &str = "127.0.0.1:0";

/// A network of sky and earth nodes.
pub(crate) struct Lab {
    pub(crate) nest: Arc<Nest>,
    pub(crate) programs: Arc<Programs>,
    pub(crate) sky: Vec<Node>,
    pub(crate) earth: Vec<Node>,
    /// Data and homes; another lab of the same task has others.
    folder: PathBuf,
}

/// A running node.
pub(crate) struct Node {
    pub(crate) process: Process,
    pub(crate) uri: String,
}

impl Lab {
    /// Starts so many nodes and waits until all of them serve.
    pub(crate) fn start(
        nest: &Arc<Nest>,
        programs: &Arc<Programs>,
        sky: usize,
        earth: usize,
    ) -> Result<Self> {
        let mut lab = Self {
            nest: Arc::clone(nest),
            programs: Arc::clone(programs),
            sky: Vec::new(),
            earth: Vec::new(),
            folder: nest.folder()?,
        };
        // The first is known to the others; those start side by side.
        let first = lab.spawn("hermes-sky", "sky-1", &[])?;
        let uri = first.ready()?;
        let more: Vec<Process> = (2..=sky)
            .map(|n| lab.spawn("hermes-sky", &format!("sky-{n}"), &["--join", &uri]))
            .collect::<Result<_>>()?;
        let keepers: Vec<Process> = (1..=earth)
            .map(|n| lab.spawn("hermes-earth", &format!("earth-{n}"), &["--sky", &uri]))
            .collect::<Result<_>>()?;
        lab.sky = more
            .into_iter()
            .map(Node::when_ready)
            .collect::<Result<_>>()?;
        lab.sky.insert(
            0,
            Node {
                process: first,
                uri,
            },
        );
        lab.earth = keepers
            .into_iter()
            .map(Node::when_ready)
            .collect::<Result<_>>()?;
        Ok(lab)
    }

    /// Starts an earth node again on its old data, at another port.
    pub(crate) fn restart_earth(&mut self, index: usize) -> Result<()> {
        let sky = self.sky.first().context("no sky node")?.uri.clone();
        let name = format!("earth-{}", index + 1);
        let process = self.spawn("hermes-earth", &name, &["--sky", &sky])?;
        let node = self.earth.get_mut(index).context("no such earth node")?;
        *node = Node::when_ready(process)?;
        Ok(())
    }

    fn spawn(&self, program: &str, name: &str, arguments: &[&str]) -> Result<Process> {
        let mut command = self.programs.command(program)?;
        command
            .args(["--network", "lab", "--listen", ANY_PORT, "--data"])
            .arg(self.folder.join(name))
            .args(arguments);
        self.nest.spawn(name, command)
    }

    /// A person with a home of its own, whose daemon is not started yet.
    pub(crate) fn person(&self, name: &'static str) -> Person {
        Person {
            name,
            home: self.folder.join(name),
            sky: self.sky.iter().map(|node| node.uri.clone()).collect(),
            nest: Arc::clone(&self.nest),
            programs: Arc::clone(&self.programs),
            daemon: None,
        }
    }
}

impl Node {
    fn when_ready(process: Process) -> Result<Self> {
        let uri = process.ready()?;
        Ok(Self { process, uri })
    }
}

/// A person: a home and, most of the time, a daemon.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) home: PathBuf,
    sky: Vec<String>,
    nest: Arc<Nest>,
    programs: Arc<Programs>,
    pub(crate) daemon: Option<Process>,
}

impl Person {
    /// Starts the daemon and waits until it answers.
    pub(crate) fn start(&mut self) -> Result<()> {
        let process = self.spawn_daemon()?;
        process.ready()?;
        self.daemon = Some(process);
        Ok(())
    }

    /// Starts the daemon without waiting for it.
    pub(crate) fn spawn_daemon(&self) -> Result<Process> {
        let mut command = self.programs.command("hermesd")?;
        command.arg("run").arg("--home").arg(&self.home).args([
            "--network",
            "lab",
            "--insecure-no-passphrase",
            "--listen",
            ANY_PORT,
        ]);
        for uri in &self.sky {
            command.args(["--sky", uri]);
        }
        self.nest.spawn(&format!("hermesd-{}", self.name), command)
    }

    /// Stops the daemon with SIGTERM.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let daemon = self.daemon.take();
        daemon.context("the daemon is off")?.terminate()
    }

    /// The path of the daemon's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join("rpc.sock")
    }

    /// A new connection to the daemon.
    pub(crate) fn rpc(&self) -> Result<Rpc> {
        Rpc::connect(&self.socket())
    }

    /// The daemon's events from a cursor on, `start` or `now`.
    pub(crate) fn events(&self, after: &str) -> Result<Rpc> {
        Rpc::listen(&self.socket(), &json!(after))
    }

    /// Starts `hermes-cli` at this home.
    pub(crate) fn spawn_cli(&self, arguments: &[&str]) -> Result<Process> {
        let mut command = self.programs.command("hermes-cli")?;
        command.arg("--home").arg(&self.home).args(arguments);
        let name = format!("hermes-cli-{}", self.name);
        self.nest.spawn(&name, command)
    }

    /// Runs `hermes-cli --json` at this home; gives the object that it printed.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Result<Value> {
        let all: Vec<&str> = ["--json"].iter().chain(arguments).copied().collect();
        let (lines, status) = self.spawn_cli(&all)?.finish()?;
        ensure!(
            status.success(),
            "hermes-cli {} at the home of {} ended with {status}",
            arguments.first().unwrap_or(&""),
            self.name
        );
        let Some(line) = lines.first() else {
            return Ok(Value::Null);
        };
        serde_json::from_str(line).with_context(|| format!("not JSON: {line:?}"))
    }

    /// Whole conversations: direction and text, oldest first.
    pub(crate) fn history(&self, chat: &str) -> Result<Vec<(String, String)>> {
        let (mut rpc, mut after, mut all) = (self.rpc()?, json!(0), Vec::new());
        loop {
            let params = json!({"chat": chat, "after": after, "limit": 500});
            let page = rpc.call("chat.history", params)?;
            for item in page["items"].as_array().context("no items")? {
                let (Some(direction), Some(body)) =
                    (item["direction"].as_str(), item["body"].as_str())
                else {
                    bail!("not a message: {item}");
                };
                all.push((direction.to_owned(), body.to_owned()));
                after = item["seq"].clone();
            }
            if page["more"] != true {
                return Ok(all);
            }
        }
    }

    /// The text interface at this home.
    pub(crate) fn open_tui(&self) -> Result<()> {
        let mut command = self.programs.command("hermes-tui")?;
        command.arg("--home").arg(&self.home);
        let status = self.nest.run_in_terminal("hermes-tui", command)?;
        ensure!(status.success(), "hermes-tui ended with {status}");
        Ok(())
    }
}

/// Waits until a contact is established.
pub(crate) fn until_established(events: &mut Rpc, name: &str) -> Result<()> {
    let what = format!("friendship with {name}");
    events.event_where(&what, |event| {
        event["kind"] == "contact.state"
            && event["data"]["name"] == name
            && event["data"]["state"] == "established"
    })?;
    Ok(())
}
