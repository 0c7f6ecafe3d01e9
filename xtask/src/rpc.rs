//! A blocking client of a daemon's socket: JSON-RPC 2.0, one object a line.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::nest::PATIENCE;

/// A connection to a daemon.
pub(crate) struct Rpc {
    reader: BufReader<UnixStream>,
    last_id: u64,
    events: VecDeque<Value>,
}

impl Rpc {
    /// Connects to a daemon that is ready.
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("connecting to {}", socket.display()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            reader: BufReader::new(stream),
            last_id: 0,
            events: VecDeque::new(),
        })
    }

    /// Connects and listens to the daemon's events: from `start`, from `now` or from a cursor.
    pub(crate) fn listen(socket: &Path, after: &Value) -> Result<Self> {
        let mut rpc = Self::connect(socket)?;
        rpc.call("events.subscribe", json!({ "after": after }))?;
        Ok(rpc)
    }

    /// Calls a method and waits for its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.send(method, params)?;
        let mut answer = self.answer()?;
        ensure!(answer["id"] == id, "{method}: an answer to another call");
        if let Some(error) = answer.get("error") {
            bail!("{method}: {error}");
        }
        Ok(answer["result"].take())
    }

    /// Sends a call without waiting; gives its id.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> Result<u64> {
        self.last_id += 1;
        let call =
            json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.write(format!("{call}\n").as_bytes())?;
        Ok(self.last_id)
    }

    /// Writes lines as they are.
    pub(crate) fn write(&mut self, lines: &[u8]) -> Result<()> {
        self.reader
            .get_mut()
            .write_all(lines)
            .context("writing to the daemon")
    }

    /// The next answer, whichever call it belongs to.
    pub(crate) fn answer(&mut self) -> Result<Value> {
        loop {
            let message = self.read()?;
            if message.get("method").is_none() {
                return Ok(message);
            }
            self.events.push_back(message);
        }
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Result<Value> {
        let mut message = match self.events.pop_front() {
            Some(message) => message,
            None => self.read()?,
        };
        Ok(message["params"]["result"].take())
    }

    /// Reads events until one fits, and gives it.
    pub(crate) fn event_where(
        &mut self,
        what: &str,
        mut fits: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        loop {
            let event = self
                .event()
                .with_context(|| format!("waiting for {what}"))?;
            if fits(&event) {
                return Ok(event);
            }
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        let read = self
            .reader
            .read_line(&mut line)
            .context("reading from the daemon")?;
        ensure!(read != 0, "the daemon closed the connection");
        serde_json::from_str(&line).with_context(|| format!("not JSON: {line:?}"))
    }
}
