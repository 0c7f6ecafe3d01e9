//! One connection: requests out, answers in, matched by id.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

use super::error::ClientError;
use super::stream::{self, Stream};
use super::{ANSWER_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::error::{ApiError, ErrorCode, ErrorData};
use crate::lines::{Line, LineBuffer};
use crate::paths::Paths;

/// What a call comes to.
type Outcome = Result<Box<RawValue>, ClientError>;

/// A connection with a task that reads it; the task ends with the connection.
pub(super) struct Connection {
    writer: Mutex<WriteHalf<Stream>>,
    waiting: Arc<StdMutex<Waiting>>,
    next_id: AtomicU64,
    reader: JoinHandle<()>,
}

/// Calls whose answers have not come.
#[derive(Default)]
struct Waiting {
    closed: bool,
    /// Why the daemon closed the connection, if it said so.
    refusal: Option<ApiError>,
    calls: HashMap<u64, oneshot::Sender<Outcome>>,
}

#[derive(Serialize)]
struct Request<'a, P: ?Sized> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a P,
}

/// What the daemon sends: an answer, or a notification, which has no id.
#[derive(Deserialize)]
pub(super) struct Incoming<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<WireError>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireError {
    code: i32,
    message: String,
    data: Option<Box<RawValue>>,
}

impl From<WireError> for ApiError {
    fn from(error: WireError) -> Self {
        // Data in another shape than ours is not worth losing the error for.
        let data = error
            .data
            .and_then(|data| serde_json::from_str::<ErrorData>(data.get()).ok());
        Self::from_wire(error.code, error.message, data)
    }
}

impl Incoming<'_> {
    /// What the answer says; nothing for a notification.
    pub(super) fn outcome(self) -> Option<(Option<u64>, Outcome)> {
        match (self.result, self.error) {
            (_, Some(error)) => Some((self.id, Err(ApiError::from(error).into()))),
            (Some(result), None) => Some((self.id, Ok(result.to_owned()))),
            (None, None) => None,
        }
    }
}

impl Connection {
    pub(super) async fn open(paths: &Paths) -> Result<Self, ClientError> {
        let (reader, writer) = tokio::io::split(stream::connect(paths).await?);
        let waiting = Arc::new(StdMutex::new(Waiting::default()));
        let reader = tokio::spawn(read_answers(reader, Arc::clone(&waiting)));
        Ok(Self {
            writer: Mutex::new(writer),
            waiting,
            next_id: AtomicU64::new(1),
            reader,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.waiting).closed
    }

    pub(super) async fn call<P: Serialize + ?Sized>(&self, method: &str, params: &P) -> Outcome {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let line = request_line(id, method, params)?;
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                return Err(waiting.end());
            }
            waiting.calls.insert(id, sender);
        }
        let forget = Forget {
            waiting: &self.waiting,
            id,
        };
        self.write(&line).await;
        let outcome = receiver.await;
        drop(forget);
        outcome.unwrap_or_else(|_| Err(lock(&self.waiting).end()))
    }

    /// Writes a line. If that fails the connection is over; the reader, which reads to the end,
    /// then knows whether the daemon said why.
    async fn write(&self, line: &[u8]) {
        let mut writer = self.writer.lock().await;
        let half_written = CloseUnlessDone {
            waiting: &self.waiting,
            done: false,
        };
        if writer.write_all(line).await.is_ok() {
            half_written.done();
        }
    }
}

/// A request as a line, refused here already if the daemon would not read it.
pub(super) fn request_line<P: Serialize + ?Sized>(
    id: u64,
    method: &str,
    params: &P,
) -> Result<Vec<u8>, ClientError> {
    let request = Request {
        jsonrpc: "2.0",
        id,
        method,
        params,
    };
    let mut line =
        serde_json::to_vec(&request).map_err(|error| ClientError::Garbled(error.to_string()))?;
    if line.len() > REQUEST_BYTES_MAX {
        let message = format!(
            "the request has {} bytes, but at most {REQUEST_BYTES_MAX} are read",
            line.len()
        );
        return Err(ApiError::new(ErrorCode::RequestTooBig, message).into());
    }
    line.push(b'\n');
    Ok(line)
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Waiting {
    /// The error for calls on a connection that ended.
    fn end(&self) -> ClientError {
        self.refusal
            .clone()
            .map_or(ClientError::Lost, ClientError::Api)
    }
}

/// Stops waiting for an answer when the caller does.
struct Forget<'a> {
    waiting: &'a StdMutex<Waiting>,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(self.waiting).calls.remove(&self.id);
    }
}

/// Gives the connection up if a caller goes away with half a line written.
struct CloseUnlessDone<'a> {
    waiting: &'a StdMutex<Waiting>,
    done: bool,
}

impl CloseUnlessDone<'_> {
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for CloseUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.done {
            lock(self.waiting).closed = true;
        }
    }
}

async fn read_answers(mut reader: ReadHalf<Stream>, waiting: Arc<StdMutex<Waiting>>) {
    let mut lines = LineBuffer::new(ANSWER_BYTES_MAX);
    while let Some(line) = next_line(&mut reader, &mut lines).await {
        let Ok(incoming) = serde_json::from_str::<Incoming<'_>>(line) else {
            break;
        };
        let mut waiting = lock(&waiting);
        match incoming.outcome() {
            Some((Some(id), outcome)) => {
                // Nobody waits any more if the caller gave up.
                if let Some(sender) = waiting.calls.remove(&id) {
                    let _ = sender.send(outcome);
                }
            }
            // An error without an id is about the connection.
            Some((None, Err(ClientError::Api(error)))) => {
                waiting.refusal = Some(error);
                break;
            }
            Some((None, _)) | None => {}
        }
    }
    let mut waiting = lock(&waiting);
    waiting.closed = true;
    waiting.calls.clear();
}

/// Reads one line; none if the stream ended or does not hold lines.
pub(super) async fn next_line<'a, R: AsyncRead + Unpin>(
    reader: &mut R,
    lines: &'a mut LineBuffer,
) -> Option<&'a str> {
    loop {
        if let Some(found) = lines.find() {
            return match lines.show(found) {
                Line::Text(text) => Some(text),
                Line::TooLong | Line::NotText => None,
            };
        }
        let count = reader
            .read(lines.room())
            .await
            .ok()
            .filter(|count| *count > 0)?;
        lines.filled(count);
    }
}

fn lock(waiting: &StdMutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
