//! Framed requests, answers and pushes, both ways on one bidirectional stream.
//!
//! Each channel has two tasks, a [reader and a writer](driver), and four queues that are all capped: frames that wait to be sent, our
//! open requests, the other side's open requests, and frames that wait to be taken. A peer that does not read, or sends more than it
//! may, makes those wait who talk to it, or loses the connection; it never makes memory grow.
//!
//! No frame costs a task, and none costs an allocation but for its body.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use thiserror::Error;

use crate::connection::{CLOSE_VIOLATION, CloseReason};

pub(crate) mod codec;
mod driver;
mod inbound;
mod outgoing;
mod pending;

use codec::{ANSWER_BIT, BODY_LEN_MAX, Class, ERROR_ANSWER, Frame, FrameError, OPENED};
use driver::Shared;
pub(crate) use driver::{Side, start};
use outgoing::NoRoom;
pub use pending::OPEN_REQUESTS_MAX;

/// A channel. Clones are handles to the same one, for any number of tasks.
///
/// Dropping the last handle ends it: what QUIC has taken is still delivered, what waits in the queue is not. Use [`Channel::finish`]
/// to send it all.
#[derive(Clone)]
pub struct Channel(Arc<Handle>);

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.end(ChannelError::Closed);
    }
}

/// What comes in.
#[derive(Debug)]
pub enum Inbound {
    /// The other side asks.
    Request {
        /// The type, below 0x80.
        kind: u8,
        /// The body.
        body: Bytes,
        /// Where the answer goes.
        responder: Responder,
    },
    /// The other side tells.
    Push {
        /// The type.
        kind: u8,
        /// The body.
        body: Bytes,
    },
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's type with the top bit set, or [`ERROR_ANSWER`].
    pub kind: u8,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Whether this is an error answer.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.kind == ERROR_ANSWER
    }
}

/// Why a channel has ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// This side ended it.
    #[error("the channel was closed here")]
    Closed,
    /// The other side ended it.
    #[error("the channel was closed by the other side")]
    ClosedByPeer,
    /// The other side broke the rules of framing; the connection is closed with [`CLOSE_VIOLATION`].
    #[error("the other side broke the rules: {0}")]
    Violation(#[from] Violation),
    /// The connection is gone.
    #[error("the connection is gone: {0}")]
    Connection(CloseReason),
}

impl ChannelError {
    pub(crate) fn connection(error: quinn::ConnectionError) -> Self {
        Self::Connection(error.into())
    }
}

/// What a peer did that no honest one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// Bytes that are no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Truncated,
    /// More requests than may be open.
    #[error("more than {OPEN_REQUESTS_MAX} requests are open")]
    TooManyRequests,
    /// An answer to nothing that was asked.
    #[error("nothing was asked with id {id}")]
    UnknownAnswer {
        /// The id of the answer.
        id: u32,
    },
    /// An answer of a type that does not belong to its request.
    #[error("type {answer:#04x} does not answer type {request:#04x}")]
    WrongAnswer {
        /// The type of the request.
        request: u8,
        /// The type of the answer.
        answer: u8,
    },
}

/// Why something was not sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The body is longer than [`BODY_LEN_MAX`].
    #[error("a body of {len} bytes is too long")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// The type does not belong there: a request's is below 0x80, an answer's is its request's with the top bit set or
    /// [`ERROR_ANSWER`], a push's is not [`OPENED`].
    #[error("type {kind:#04x} cannot be sent that way")]
    WrongType {
        /// The type.
        kind: u8,
    },
    /// There is no room now; only from the calls that do not wait.
    #[error("the queue is full")]
    Full,
    /// The channel has ended.
    #[error(transparent)]
    Ended(#[from] ChannelError),
}

/// Why there is no answer to a request: it was not sent, or the channel ended first. An error answer is an [`Answer`].
pub type RequestError = SendError;

impl Channel {
    /// Sends a request and waits for its answer. The answer may be an error, see [`Answer::is_error`].
    ///
    /// At most [`OPEN_REQUESTS_MAX`] are open at once; more wait in line, as they do when the queue is full. Dropping the future gives
    /// the answer up, not the request, if that is on its way. There is no time limit: the caller sets one.
    ///
    /// # Errors
    ///
    /// When the body is too long, the type is not a request's, or the channel ends first.
    pub async fn request(&self, kind: u8, body: impl AsRef<[u8]>) -> Result<Answer, RequestError> {
        let body = body.as_ref();
        if kind & ANSWER_BIT != 0 {
            return Err(SendError::WrongType { kind });
        }
        check_len(body)?;
        let shared = self.shared();
        let vacancy = shared
            .pending
            .vacancy()
            .await
            .ok_or_else(|| shared.reason())?;
        let room = shared
            .outgoing
            .reserve(body.len())
            .await
            .ok_or_else(|| shared.reason())?;
        let ticket = shared
            .pending
            .open(vacancy, kind)
            .ok_or_else(|| shared.reason())?;
        shared.outgoing.put(room, kind, ticket.id, body);
        ticket
            .await
            .ok_or_else(|| SendError::Ended(shared.reason()))
    }

    /// Sends a push, waiting while the queue is full. Dropping the future before it is done sends nothing.
    ///
    /// # Errors
    ///
    /// When the body is too long, the type is [`OPENED`], or the channel has ended.
    pub async fn push(&self, kind: u8, body: impl AsRef<[u8]>) -> Result<(), SendError> {
        let body = body.as_ref();
        check_push(kind, body)?;
        let shared = self.shared();
        let room = shared
            .outgoing
            .reserve(body.len())
            .await
            .ok_or_else(|| shared.reason())?;
        shared.outgoing.put(room, kind, 0, body);
        Ok(())
    }

    /// Sends a push if there is room for it now.
    ///
    /// # Errors
    ///
    /// As [`Channel::push`], and [`SendError::Full`].
    pub fn try_push(&self, kind: u8, body: impl AsRef<[u8]>) -> Result<(), SendError> {
        let body = body.as_ref();
        check_push(kind, body)?;
        let shared = self.shared();
        let room = shared
            .outgoing
            .try_reserve(body.len())
            .map_err(|error| shared.no_room(&error))?;
        shared.outgoing.put(room, kind, 0, body);
        Ok(())
    }

    /// Waits for what comes in; `None` once the channel has ended and all that came before is taken. Cancel-safe.
    ///
    /// Take it steadily: when the queue is full nothing more is read, answers to our own requests included. What has been taken is no
    /// longer counted here: whoever works on many requests at once bounds the bytes that they hold.
    pub async fn next(&self) -> Option<Inbound> {
        let Frame { kind, id, body } = self.shared().inbound.next().await?;
        Some(if id == 0 {
            Inbound::Push { kind, body }
        } else {
            Inbound::Request {
                kind,
                body,
                responder: Responder {
                    shared: self.shared().clone(),
                    kind,
                    id,
                    is_answered: false,
                },
            }
        })
    }

    /// Sends all that waits, ends the channel, and waits until the other side has received it.
    ///
    /// # Errors
    ///
    /// When the channel or the connection ends before that.
    pub async fn finish(&self) -> Result<(), ChannelError> {
        let shared = self.shared();
        shared.outgoing.finish();
        match shared.ended().await {
            ChannelError::Closed => Ok(()),
            error => Err(error),
        }
    }

    /// Waits for the end of the channel.
    pub async fn closed(&self) -> ChannelError {
        self.shared().ended().await
    }

    /// Bytes that wait to be sent, small frames counted as 256 bytes. Never more than [`Channel::queue_cap`].
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.shared().outgoing.used()
    }

    /// Bytes that have come in and wait to be taken. At most [`Channel::queue_cap`].
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.shared().inbound.used()
    }

    /// The cap on the queue of each direction, in bytes.
    #[must_use]
    pub fn queue_cap(&self) -> usize {
        self.shared().outgoing.cap()
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Channel")
            .field("queued_bytes", &self.queued_bytes())
            .finish_non_exhaustive()
    }
}

/// The duty to answer one request. Dropping it answers with an error (code 15, refused).
#[must_use = "dropping the responder answers with an error"]
pub struct Responder {
    shared: Arc<Shared>,
    kind: u8,
    id: u32,
    is_answered: bool,
}

impl Responder {
    /// Sends the answer, waiting while the queue is full. `kind` is the request's type with the top bit set, or [`ERROR_ANSWER`].
    /// Dropping the future before it is done answers with an error.
    ///
    /// # Errors
    ///
    /// When the body is too long or the type is wrong (an error is answered then), or the channel has ended.
    pub async fn answer(mut self, kind: u8, body: impl AsRef<[u8]>) -> Result<(), SendError> {
        let body = body.as_ref();
        self.check(kind, body)?;
        let shared = self.shared.clone();
        let room = shared
            .outgoing
            .reserve(body.len())
            .await
            .ok_or_else(|| shared.reason())?;
        self.is_answered = true;
        shared.outgoing.put_answer(room, kind, self.id, body);
        Ok(())
    }

    /// Sends the answer if there is room for it now, and gives the responder back if not.
    ///
    /// # Errors
    ///
    /// As [`Responder::answer`], and [`SendError::Full`].
    pub fn try_answer(mut self, kind: u8, body: impl AsRef<[u8]>) -> Result<(), (Self, SendError)> {
        let body = body.as_ref();
        if let Err(error) = self.check(kind, body) {
            return Err((self, error));
        }
        let shared = self.shared.clone();
        match shared.outgoing.try_reserve(body.len()) {
            Ok(room) => {
                self.is_answered = true;
                shared.outgoing.put_answer(room, kind, self.id, body);
                Ok(())
            }
            Err(error) => Err((self, shared.no_room(&error))),
        }
    }

    fn check(&self, kind: u8, body: &[u8]) -> Result<(), SendError> {
        if kind != ERROR_ANSWER && kind != self.kind | ANSWER_BIT {
            return Err(SendError::WrongType { kind });
        }
        check_len(body)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.is_answered {
            self.shared.outgoing.put_dropped(self.id);
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Responder")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn check_len(body: &[u8]) -> Result<(), SendError> {
    if body.len() > BODY_LEN_MAX {
        return Err(SendError::TooLong { len: body.len() });
    }
    Ok(())
}

fn check_push(kind: u8, body: &[u8]) -> Result<(), SendError> {
    if kind == OPENED {
        return Err(SendError::WrongType { kind });
    }
    check_len(body)
}

#[cfg(test)]
mod tests;
