//! Events, read from a cursor and resumed after whatever happens to the daemon.
//!
//! Each stream has a connection of its own. If the program stops reading, its socket fills and the
//! daemon waits: nothing is buffered without bound and nothing is dropped.

use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::ANSWER_BYTES_MAX;
use super::connection::{Incoming, next_line, request_line};
use super::error::ClientError;
use super::stream;
use crate::error::{ApiError, ErrorCode};
use crate::lines::LineBuffer;
use crate::paths::Paths;
use crate::table::{EventsSubscribe, Method as _};
use crate::types::{After, Event, EventsSubscribeParams};

/// Events read ahead of the program.
const AHEAD_MAX: usize = 64;

/// The first pause before connecting again; it doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause before connecting again.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// What a stream of events tells.
#[derive(Debug)]
pub enum Feed {
    /// The daemon is reached and sends events from here on; also after each interruption.
    Connected,
    /// Something happened.
    Event(Event),
    /// The daemon cannot be reached or cannot serve events now, for example while it is locked;
    /// the stream goes on trying. Told once for each interruption.
    Lost(ClientError),
    /// The daemon will not serve this subscription; nothing more comes. After `cursor_expired`,
    /// read the present state and begin anew.
    Ended(ClientError),
}

/// A stream of events; dropping it ends the subscription.
#[derive(Debug)]
pub struct Events {
    feed: mpsc::Receiver<Feed>,
    task: Option<AbortHandle>,
}

impl Events {
    /// What comes next; waits for it. None after [`Feed::Ended`].
    pub async fn next(&mut self) -> Option<Feed> {
        self.feed.recv().await
    }

    /// A stream that tells what is put into the channel.
    #[must_use]
    pub fn from_channel(feed: mpsc::Receiver<Feed>) -> Self {
        Self { feed, task: None }
    }

    pub(super) fn start(paths: Paths, params: EventsSubscribeParams) -> Self {
        let (sender, feed) = mpsc::channel(AHEAD_MAX);
        let task = tokio::spawn(
            Follower {
                paths,
                params,
                sender,
            }
            .run(),
        );
        Self {
            feed,
            task: Some(task.abort_handle()),
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Why a connection for events ended.
enum Break {
    /// Try again; the error says what happened.
    Again(ClientError),
    /// Do not.
    Final(ClientError),
    /// The program does not listen any more.
    Unheard,
}

struct Follower {
    paths: Paths,
    params: EventsSubscribeParams,
    sender: mpsc::Sender<Feed>,
}

impl Follower {
    async fn run(mut self) {
        let mut pause = RETRY_PAUSE_MIN;
        let mut told = false;
        loop {
            let mut connected = false;
            match self.follow(&mut connected).await {
                Break::Unheard => return,
                Break::Final(error) => {
                    let _ = self.sender.send(Feed::Ended(error)).await;
                    return;
                }
                Break::Again(error) => {
                    if connected {
                        told = false;
                        pause = RETRY_PAUSE_MIN;
                    }
                    if !told && self.sender.send(Feed::Lost(error)).await.is_err() {
                        return;
                    }
                    told = true;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Connects, subscribes and passes events on until something breaks.
    async fn follow(&mut self, connected: &mut bool) -> Break {
        let mut stream = match stream::connect(&self.paths).await {
            Ok(stream) => stream,
            Err(error @ (ClientError::Foreign { .. } | ClientError::Paths(_))) => {
                return Break::Final(error);
            }
            Err(error) => return Break::Again(error),
        };
        let line = match request_line(1, EventsSubscribe::NAME, &self.params) {
            Ok(line) => line,
            Err(error) => return Break::Final(error),
        };
        if stream.write_all(&line).await.is_err() {
            return Break::Again(ClientError::Lost);
        }
        let mut lines = LineBuffer::new(ANSWER_BYTES_MAX);
        while let Some(line) = next_line(&mut stream, &mut lines).await {
            let Err(end) = self.take(line, connected).await else {
                continue;
            };
            return end;
        }
        Break::Again(ClientError::Lost)
    }

    async fn take(&mut self, line: &str, connected: &mut bool) -> Result<(), Break> {
        #[derive(Deserialize)]
        struct Notification {
            result: Event,
        }
        let garbled =
            |error: serde_json::Error| Break::Final(ClientError::Garbled(error.to_string()));
        let incoming: Incoming<'_> = serde_json::from_str(line).map_err(garbled)?;
        let Some(params) = incoming.params else {
            return match incoming.outcome() {
                Some((_, Ok(_))) => {
                    *connected = true;
                    self.tell(Feed::Connected).await
                }
                Some((_, Err(error))) => Err(judge(error)),
                None => Ok(()),
            };
        };
        let notification: Notification = serde_json::from_str(params.get()).map_err(garbled)?;
        self.params.after = Some(After::Cursor(notification.result.cursor.clone()));
        self.tell(Feed::Event(notification.result)).await
    }

    async fn tell(&self, feed: Feed) -> Result<(), Break> {
        self.sender.send(feed).await.map_err(|_| Break::Unheard)
    }
}

/// Whether a refused subscription may be granted later.
fn judge(error: ClientError) -> Break {
    let passing = match &error {
        ClientError::Api(error) => may_pass(error),
        _ => false,
    };
    if passing {
        Break::Again(error)
    } else {
        Break::Final(error)
    }
}

fn may_pass(error: &ApiError) -> bool {
    error.data().retryable
        || error.is(ErrorCode::StoreLocked)
        || error.is(ErrorCode::NotInitialized)
}
