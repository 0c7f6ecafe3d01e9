//! Newline-delimited JSON-RPC as a stranger would speak it.
//!
//! Written against the contract and not with the project's own client, so that a mistake which both ends share is still seen.

use std::{
    collections::VecDeque,
    fmt,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::PATIENCE;

/// A blocking connection to a daemon's socket.
#[derive(Debug)]
pub struct Rpc {
    reader: BufReader<UnixStream>,
    last_id: u64,
    notifications: VecDeque<Value>,
}

/// The error object of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    /// The stable number.
    pub code: i64,
    /// What a person reads.
    pub message: String,
    /// Kind, hint and the like; null when absent.
    pub data: Value,
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}: {} {}", self.code, self.message, self.data)
    }
}

impl std::error::Error for RpcError {}

impl Rpc {
    /// Connects; the daemon need not have accepted yet.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("connecting to {}", socket.display()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            reader: BufReader::new(stream),
            last_id: 0,
            notifications: VecDeque::new(),
        })
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    ///
    /// With [`RpcError`] inside when the daemon answers an error, otherwise when the connection fails.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.send(method, params)?;
        self.answer(id).with_context(|| method.to_owned())
    }

    /// Sends a request without waiting for its answer; gives the id for [`Rpc::answer`].
    ///
    /// # Errors
    ///
    /// When the connection fails.
    pub fn send(&mut self, method: &str, params: Value) -> Result<u64> {
        self.last_id += 1;
        let request =
            json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.send_line(&request.to_string())?;
        Ok(self.last_id)
    }

    /// Sends one line as it is.
    ///
    /// # Errors
    ///
    /// When the connection fails.
    pub fn send_line(&mut self, line: &str) -> Result<()> {
        let stream = self.reader.get_mut();
        stream
            .write_all(line.as_bytes())
            .and_then(|()| stream.write_all(b"\n"))
            .context("writing a request")
    }

    /// Waits for the answer to a request; notifications that come first are kept for [`Rpc::notification`].
    ///
    /// # Errors
    ///
    /// With [`RpcError`] inside when the daemon answers an error, otherwise when the connection fails or another answer comes.
    pub fn answer(&mut self, id: u64) -> Result<Value> {
        loop {
            let mut message = self.receive()?;
            if message.get("method").is_some() {
                self.notifications.push_back(message);
                continue;
            }
            ensure!(
                message["id"] == json!(id),
                "an answer to another request: {message}"
            );
            if let Some(error) = message.get("error") {
                bail!(RpcError {
                    code: error["code"].as_i64().context("an error without a code")?,
                    message: error["message"].as_str().unwrap_or_default().to_owned(),
                    data: error["data"].clone(),
                });
            }
            return Ok(message["result"].take());
        }
    }

    /// The next notification, among those that came before an answer or from the connection.
    ///
    /// # Errors
    ///
    /// When the connection fails or an unexpected answer comes.
    pub fn notification(&mut self) -> Result<Value> {
        if let Some(message) = self.notifications.pop_front() {
            return Ok(message);
        }
        let message = self.receive()?;
        ensure!(
            message.get("method").is_some(),
            "not a notification: {message}"
        );
        Ok(message)
    }

    /// The next line, whatever it is.
    ///
    /// # Errors
    ///
    /// When the connection ends, stays silent for too long or carries something else than JSON.
    pub fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        let read = self
            .reader
            .read_line(&mut line)
            .context("reading an answer")?;
        ensure!(read != 0, "the daemon closed the connection");
        serde_json::from_str(&line).with_context(|| format!("not JSON: {line:?}"))
    }
}
