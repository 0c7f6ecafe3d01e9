//! The two tasks of a channel: one reads frames and hands them out, one writes what waits.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use quinn::{ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::sync::watch;

use super::{
    CLOSE_VIOLATION, Channel, ChannelError, Class, Handle, NoRoom, OPENED, SendError, Violation,
    codec::Decoder,
    inbound::InboundQueue,
    outgoing::{Batch, Outgoing},
    pending::{OPEN_REQUESTS_MAX, Pending},
};
use crate::profile::Profile;

/// Packets taken from QUIC at once. They have left its windows already, so this adds to what a peer can make us hold.
const PIECES_MAX: usize = 16;

/// What the handles and the two tasks of a channel share.
pub(super) struct Shared {
    connection: quinn::Connection,
    pub(super) outgoing: Outgoing,
    pub(super) pending: Pending,
    pub(super) inbound: InboundQueue,
    /// The other side's requests that no answer is under way to.
    pub(super) open_requests: AtomicUsize,
    end: watch::Sender<Option<ChannelError>>,
}

/// Which side of a channel this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Opener,
    Acceptor,
}

/// Starts the tasks of a channel.
pub(crate) fn start(
    connection: &quinn::Connection,
    profile: Profile,
    send: SendStream,
    receive: RecvStream,
    side: Side,
) -> Channel {
    let shared = Arc::new(Shared {
        connection: connection.clone(),
        outgoing: Outgoing::new(profile.queue_bytes()),
        pending: Pending::new(),
        inbound: InboundQueue::new(profile.queue_bytes()),
        open_requests: AtomicUsize::new(0),
        end: watch::Sender::new(None),
    });
    // QUIC shows a stream to the other side with its first byte only, and it may be the other side that speaks first.
    if side == Side::Opener
        && let Ok(room) = shared.outgoing.try_reserve(0)
    {
        shared.outgoing.put(room, OPENED, 0, &[]);
    }
    tokio::spawn({
        let shared = shared.clone();
        async move { shared.run(shared.write(send)).await }
    });
    tokio::spawn({
        let shared = shared.clone();
        async move { shared.run(shared.read(receive)).await }
    });
    Channel(Arc::new(Handle(shared)))
}

impl Shared {
    /// Runs one of the tasks until it or something else ends the channel. A task that yields `None` leaves the end to the other.
    async fn run(&self, task: impl Future<Output = Option<ChannelError>>) {
        tokio::select! {
            biased;
            end = task => end.into_iter().for_each(|end| self.end(end)),
            _ = self.ended() => {}
        }
    }

    /// Ends the channel; the first reason stands.
    pub(super) fn end(&self, reason: ChannelError) {
        let violation = match reason {
            ChannelError::Violation(violation) => Some(violation),
            _ => None,
        };
        let is_first = self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            if is_first {
                *end = Some(reason);
            }
            is_first
        });
        if !is_first {
            return;
        }
        self.outgoing.close();
        self.pending.close();
        self.inbound.end();
        if let Some(violation) = violation {
            tracing::debug!(%violation, "connection closed");
            self.connection.close(
                VarInt::from_u32(CLOSE_VIOLATION),
                violation.to_string().as_bytes(),
            );
        }
    }

    /// Waits for the end and tells the reason.
    pub(super) async fn ended(&self) -> ChannelError {
        let mut end = self.end.subscribe();
        match end.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(ChannelError::Closed),
            Err(_) => ChannelError::Closed,
        }
    }

    /// Why nothing more can be sent.
    pub(super) fn reason(&self) -> ChannelError {
        self.end.borrow().clone().unwrap_or(ChannelError::Closed)
    }

    pub(super) fn no_room(&self, error: &NoRoom) -> SendError {
        match error {
            NoRoom::Full => SendError::Full,
            NoRoom::Closed => SendError::Ended(self.reason()),
        }
    }

    /// Writes until the end, which is the reader's if the other side does not want to hear any more.
    async fn write(&self, mut stream: SendStream) -> Option<ChannelError> {
        while let Some(batch) = self.outgoing.take().await {
            let Batch {
                bytes,
                answers,
                cost,
            } = batch;
            // Before the answers can arrive: the other side may ask anew as soon as it has them.
            self.open_requests.fetch_sub(answers, Ordering::Relaxed);
            if let Err(error) = stream.write_chunk(bytes).await {
                return self.write_failed(error);
            }
            self.outgoing.sent(cost);
        }
        if stream.finish().is_err() {
            return Some(ChannelError::ClosedByPeer);
        }
        match stream.stopped().await {
            Ok(None) => Some(ChannelError::Closed),
            Ok(Some(_)) => Some(ChannelError::ClosedByPeer),
            Err(_) => self.connection_lost(),
        }
    }

    fn write_failed(&self, error: WriteError) -> Option<ChannelError> {
        match error {
            WriteError::ConnectionLost(error) => Some(ChannelError::connection(error)),
            // The other side reads no more, but what it sent before may still be on its way.
            WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => {
                self.outgoing.close();
                self.pending.close();
                None
            }
        }
    }

    /// Reads until the end, which is the writer's if it is sending the rest.
    async fn read(&self, mut stream: RecvStream) -> Option<ChannelError> {
        let mut decoder = Decoder::default();
        let mut pieces: [Bytes; PIECES_MAX] = std::array::from_fn(|_| Bytes::new());
        loop {
            let count = match stream.read_chunks(&mut pieces).await {
                Ok(Some(count)) => count,
                Ok(None) if decoder.is_at_boundary() => return self.read_all(),
                Ok(None) => return Some(Violation::Truncated.into()),
                Err(ReadError::ConnectionLost(error)) => {
                    return Some(ChannelError::connection(error));
                }
                Err(_) => return Some(ChannelError::ClosedByPeer),
            };
            for piece in pieces.iter_mut().take(count) {
                let piece = std::mem::take(piece);
                if let Err(violation) = self.take_in(&mut decoder, &piece).await {
                    return Some(violation.into());
                }
            }
        }
    }

    /// The other side sends no more. What it sent can still be taken, and if we are sending the rest it may still be reading.
    fn read_all(&self) -> Option<ChannelError> {
        if !self.outgoing.is_finishing() {
            return Some(ChannelError::ClosedByPeer);
        }
        self.pending.close();
        self.inbound.end();
        None
    }

    async fn take_in(&self, decoder: &mut Decoder, mut piece: &[u8]) -> Result<(), Violation> {
        while let Some(frame) = decoder.decode(&mut piece)? {
            match frame.class() {
                Class::Answer => self.pending.answer(frame)?,
                Class::Request => {
                    if self.open_requests.fetch_add(1, Ordering::Relaxed) >= OPEN_REQUESTS_MAX {
                        return Err(Violation::TooManyRequests);
                    }
                    self.inbound.put(frame).await;
                }
                Class::Push if frame.kind == OPENED => {}
                Class::Push => self.inbound.put(frame).await,
            }
        }
        Ok(())
    }

    fn connection_lost(&self) -> Option<ChannelError> {
        self.connection
            .close_reason()
            .map(ChannelError::connection)
            .or(Some(ChannelError::ClosedByPeer))
    }
}
