//! Sky and earth nodes as real programs on loopback, on ports that the system picks.

use std::{
    ffi::{OsStr, OsString},
    fs,
    ops::{Deref, DerefMut},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::{Process, command};

/// Where every node of a test listens; the port is the system's choice.
const ANY_PORT: &str = "127.0.0.1:0";

/// The network that nodes and daemons of a test belong to: the value of `--network`.
#[derive(Debug)]
pub struct Net {
    name: OsString,
    _file: Option<TempDir>,
}

impl Net {
    /// The built-in network for tests on one machine.
    pub fn lab() -> Self {
        Self {
            name: OsString::from("lab"),
            _file: None,
        }
    }

    /// A network of its own, described by the text of a network file; for short epochs and small quotas.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn described(toml: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the network file")?;
        let path = folder.path().join("network.toml");
        fs::write(&path, toml).with_context(|| format!("writing {}", path.display()))?;
        Ok(Self {
            name: path.into_os_string(),
            _file: Some(folder),
        })
    }

    /// What stands after `--network`.
    pub fn name(&self) -> &OsStr {
        &self.name
    }
}

/// A running node: its process, its data folder and the URI by which others reach it.
#[derive(Debug)]
pub struct Node {
    /// The program itself.
    pub process: Process,
    program: &'static str,
    arguments: Vec<OsString>,
    data: TempDir,
    uri: String,
}

impl Node {
    fn start(
        program: &'static str,
        net: &Net,
        others: &'static str,
        uris: Vec<&str>,
    ) -> Result<Self> {
        let mut arguments = vec![OsString::from("--network"), net.name().to_owned()];
        for uri in uris {
            arguments.extend([OsString::from(others), OsString::from(uri)]);
        }
        let data = tempfile::tempdir().context("a folder for a node's data")?;
        let (process, uri) = launch(program, &arguments, data.path(), ANY_PORT)?;
        Ok(Self {
            process,
            program,
            arguments,
            data,
            uri,
        })
    }

    /// The address for others, as the node printed it.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// `IP:PORT`, the last part of the URI.
    pub fn address(&self) -> &str {
        self.uri.rsplit('@').next().unwrap_or(&self.uri)
    }

    /// The folder of its data, which outlives the process.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Kills the node with SIGKILL if it still runs, and starts it again on the same data and address.
    ///
    /// # Errors
    ///
    /// When it does not come back, or comes back as another node.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        let address = self.address().to_owned();
        let (process, uri) = launch(self.program, &self.arguments, self.data.path(), &address)?;
        self.process = process;
        if uri != self.uri {
            bail!("{} came back as {uri} and was {}", self.program, self.uri);
        }
        Ok(())
    }
}

fn launch(
    program: &str,
    arguments: &[OsString],
    data: &Path,
    listen: &str,
) -> Result<(Process, String)> {
    let mut command = command(program)?;
    command
        .arg("--listen")
        .arg(listen)
        .arg("--data")
        .arg(data)
        .args(arguments);
    let process = Process::spawn(program, command)?;
    let uri = process.ready()?;
    Ok((process, uri))
}

/// A running sky node.
#[derive(Debug)]
pub struct Sky(Node);

impl Sky {
    /// Starts a sky node that joins the given ones, or the first of a network when there are none, and waits until it serves.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn start(net: &Net, join: &[&Self]) -> Result<Self> {
        let uris = join.iter().map(|sky| sky.uri()).collect();
        Node::start("hermes-sky", net, "--join", uris).map(Self)
    }
}

impl Deref for Sky {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl DerefMut for Sky {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.0
    }
}

/// A running keeper.
#[derive(Debug)]
pub struct Earth(Node);

impl Earth {
    /// Starts a keeper that announces itself at the given sky nodes, and waits until it serves.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn start(net: &Net, sky: &[&Sky]) -> Result<Self> {
        let uris = sky.iter().map(|sky| sky.uri()).collect();
        Node::start("hermes-earth", net, "--sky", uris).map(Self)
    }
}

impl Deref for Earth {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl DerefMut for Earth {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.0
    }
}

/// A whole network of nodes.
#[derive(Debug)]
pub struct Lab {
    /// The network's parameters.
    pub net: Net,
    /// The sky nodes; each joined those before it.
    pub sky: Vec<Sky>,
    /// The keepers; each knows every sky node.
    pub earth: Vec<Earth>,
}

impl Lab {
    /// Starts this many sky and earth nodes and waits until every one of them serves.
    ///
    /// # Errors
    ///
    /// When one of them does not become ready.
    pub fn start(net: Net, sky_count: usize, earth_count: usize) -> Result<Self> {
        let mut sky: Vec<Sky> = Vec::new();
        for _ in 0..sky_count {
            let next = Sky::start(&net, &sky.iter().collect::<Vec<_>>())?;
            sky.push(next);
        }
        let known: Vec<&Sky> = sky.iter().collect();
        let earth = (0..earth_count)
            .map(|_| Earth::start(&net, &known))
            .collect::<Result<_>>()?;
        Ok(Self { net, sky, earth })
    }

    /// The sky nodes' URIs, which daemons are told.
    pub fn sky_uris(&self) -> Vec<&str> {
        self.sky.iter().map(|sky| sky.uri()).collect()
    }
}
