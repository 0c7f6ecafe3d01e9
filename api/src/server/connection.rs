//! One connection that speaks lines.
//!
//! A single future reads, calls and writes, so that a call which can be answered at once costs one
//! wake-up: whatever came in one read is carried out, and the answers leave in one write. Reading
//! stops while too many calls are under way or too many answers wait to be read, which pushes back
//! on the client through its socket.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, Stream as _, StreamExt as _};
use jsonrpsee::MethodResponse;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::dispatch::{Answer, Dispatcher, request_too_big};
use crate::lines::{Line, LineBuffer};

/// While so many bytes wait to be written, no further requests are carried out.
const UNWRITTEN_BYTES_MAX: usize = 256 * 1024;

/// An output buffer that grew beyond this is given back once it is empty.
const KEEP_BYTES: usize = 64 * 1024;

pub(super) struct Connection<S> {
    stream: S,
    input: LineBuffer,
    output: Output,
    calls: FuturesUnordered<BoxFuture<'static, MethodResponse>>,
    notifications: mpsc::Receiver<Box<RawValue>>,
    dispatcher: Dispatcher,
    calls_max: usize,
    request_bytes_max: usize,
    line_wait: Duration,
    /// Runs while the client owes us the rest of a line.
    line_end: Option<Pin<Box<Sleep>>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Requests are read and carried out.
    Open,
    /// Nothing more is read; calls under way are finished.
    Finishing,
    /// What waits to be written is written.
    Flushing,
}

/// What one connection is made of.
pub(super) struct Parts {
    pub(super) dispatcher: Dispatcher,
    pub(super) notifications: mpsc::Receiver<Box<RawValue>>,
    pub(super) calls_max: usize,
    pub(super) request_bytes_max: usize,
    pub(super) line_wait: Duration,
    pub(super) stop: WaitForCancellationFutureOwned,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// A connection of which some bytes were read already.
    pub(super) fn new(stream: S, first_bytes: &[u8], parts: Parts) -> Self {
        let mut input = LineBuffer::new(parts.request_bytes_max);
        input.push(first_bytes);
        Self {
            stream,
            input,
            output: Output::default(),
            calls: FuturesUnordered::new(),
            notifications: parts.notifications,
            dispatcher: parts.dispatcher,
            calls_max: parts.calls_max,
            request_bytes_max: parts.request_bytes_max,
            line_wait: parts.line_wait,
            line_end: None,
            stop: Box::pin(parts.stop),
            phase: Phase::Open,
        }
    }

    /// Carries out requests until room or requests run out; tells whether it did anything.
    fn carry_out(&mut self) -> bool {
        let mut any = false;
        while self.phase == Phase::Open && self.may_begin() {
            let Some(found) = self.input.find() else {
                break;
            };
            any = true;
            self.line_end = None;
            let answer = match self.input.show(found) {
                Line::Text(text) => self.dispatcher.line(text),
                Line::TooLong => Answer::Now(request_too_big(self.request_bytes_max)),
                Line::NotText => {
                    self.phase = Phase::Finishing;
                    break;
                }
            };
            match answer {
                Answer::Now(response) => self.output.push(response.as_json()),
                Answer::Later(call) => self.calls.push(call),
                Answer::Nothing => {}
            }
        }
        any
    }

    fn may_begin(&self) -> bool {
        self.calls.len() < self.calls_max && self.output.waiting() < UNWRITTEN_BYTES_MAX
    }

    /// Takes answers and notifications that have become ready; tells whether there were any.
    fn collect(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while self.output.waiting() < UNWRITTEN_BYTES_MAX {
            let Poll::Ready(Some(response)) = Pin::new(&mut self.calls).poll_next(cx) else {
                break;
            };
            any = true;
            // The library sends answers to subscriptions itself, before the first notification.
            if !response.is_subscription() && !response.is_notification() {
                self.output.push(response.as_json());
            }
        }
        while self.output.waiting() < UNWRITTEN_BYTES_MAX && self.phase != Phase::Flushing {
            let Poll::Ready(Some(message)) = self.notifications.poll_recv(cx) else {
                break;
            };
            any = true;
            self.output.push(&message);
        }
        any
    }

    /// Reads what there is, if it could be carried out; tells whether anything came.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.phase != Phase::Open || !self.may_begin() {
            return Ok(false);
        }
        let mut room = ReadBuf::new(self.input.room());
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut room) else {
            return Ok(false);
        };
        read?;
        let count = room.filled().len();
        self.input.filled(count);
        if count == 0 {
            self.phase = Phase::Finishing;
        }
        Ok(true)
    }

    /// Whether the client took too long for the rest of a line. Connections are few, and half a line holds one as well as a whole.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.phase != Phase::Open || !self.may_begin() || !self.input.is_amid_line() {
            self.line_end = None;
            return false;
        }
        let wait = self.line_wait;
        let end = self.line_end.get_or_insert_with(|| Box::pin(sleep(wait)));
        end.as_mut().poll(cx).is_ready()
    }

    /// Moves on once there is nothing more to do in the present phase.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        match self.phase {
            Phase::Open if self.stop.as_mut().poll(cx).is_ready() => self.phase = Phase::Finishing,
            Phase::Finishing if self.calls.is_empty() => self.phase = Phase::Flushing,
            _ => return false,
        }
        true
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Future for Connection<S> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut moved = this.poll_fill(cx)?;
            moved |= this.carry_out();
            moved |= this.collect(cx);
            moved |= this.output.poll_write_to(&mut this.stream, cx)?;
            moved |= this.advance(cx);
            if this.phase == Phase::Flushing && this.output.waiting() == 0 {
                ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                return Poll::Ready(Ok(()));
            }
            if !moved {
                if this.is_late(cx) {
                    let error = io::Error::new(io::ErrorKind::TimedOut, "half a line");
                    return Poll::Ready(Err(error));
                }
                return Poll::Pending;
            }
        }
    }
}

impl<S> Drop for Connection<S> {
    /// Calls that the client did not wait for are finished all the same: a batch goes on to its
    /// end, and single calls run in tasks of their own anyhow.
    fn drop(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let mut calls = std::mem::take(&mut self.calls);
            runtime.spawn(async move { while calls.next().await.is_some() {} });
        }
    }
}

/// Bytes on their way out.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    fn push(&mut self, json: &RawValue) {
        self.bytes.extend_from_slice(json.get().as_bytes());
        self.bytes.push(b'\n');
    }

    fn waiting(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Writes what can be written now; tells whether that was anything.
    fn poll_write_to<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        let mut any = false;
        while self.waiting() > 0 {
            let rest = self.bytes.get(self.written..).unwrap_or_default();
            let Poll::Ready(count) = Pin::new(&mut *stream).poll_write(cx, rest) else {
                break;
            };
            match count? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.written += count,
            }
            any = true;
        }
        if self.waiting() == 0 && self.written > 0 {
            self.written = 0;
            if self.bytes.capacity() > KEEP_BYTES {
                self.bytes = Vec::new();
            } else {
                self.bytes.clear();
            }
        }
        Ok(any)
    }
}
