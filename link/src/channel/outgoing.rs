//! What waits to be sent: one buffer of encoded frames, capped in bytes and frames.
//!
//! Frames are appended to one buffer, and the writer takes all of it at once: many small frames become one write. Whoever wants to
//! append first reserves room, and waits in line for it when the peer reads slowly; the room is given back when QUIC has taken the
//! bytes. An answer that was dropped needs no room: it is kept as an id, and there are never more ids than open requests.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, TryAcquireError};

use super::codec::{ERROR_ANSWER, HEADER_LEN, encode};

/// Every frame counts at least this many bytes, so that the cap on bytes is also one on frames.
const FRAME_COST_MIN: usize = 256;

/// The answer that a dropped responder gives: `code u8 ‖ retry_after_s u32 ‖ var8 text` with code 15, refused.
const DROPPED: [u8; 6] = [15, 0, 0, 0, 0, 0];

/// The buffer for a batch starts at the size of the last one, up to this.
const BUFFER_HINT_MAX: usize = 128 * 1024;

pub(super) struct Outgoing {
    cap: usize,
    room: Semaphore,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Default)]
struct Queue {
    buffer: BytesMut,
    cost: usize,
    answers: usize,
    dropped: Vec<u32>,
    is_finishing: bool,
    last_batch: usize,
}

/// What the writer takes at once.
pub(super) struct Batch {
    pub(super) bytes: Bytes,
    /// Answers among it: so many requests are no longer open.
    pub(super) answers: usize,
    /// The room it takes, to be given back by [`Outgoing::sent`].
    pub(super) cost: usize,
}

/// Room for one frame.
pub(super) struct Room<'a>(SemaphorePermit<'a>);

/// Why there is no room at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    Full,
    Closed,
}

impl Outgoing {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            cap,
            room: Semaphore::new(cap),
            queue: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// Waits in line for the room of a frame with such a body; `None` once closed.
    pub(super) async fn reserve(&self, body_len: usize) -> Option<Room<'_>> {
        self.room.acquire_many(cost(body_len)).await.ok().map(Room)
    }

    /// Takes the room of a frame if there is some.
    pub(super) fn try_reserve(&self, body_len: usize) -> Result<Room<'_>, NoRoom> {
        match self.room.try_acquire_many(cost(body_len)) {
            Ok(permit) => Ok(Room(permit)),
            Err(TryAcquireError::NoPermits) => Err(NoRoom::Full),
            Err(TryAcquireError::Closed) => Err(NoRoom::Closed),
        }
    }

    pub(super) fn put(&self, room: Room<'_>, kind: u8, id: u32, body: &[u8]) {
        self.append(room, kind, id, body, 0);
    }

    pub(super) fn put_answer(&self, room: Room<'_>, kind: u8, id: u32, body: &[u8]) {
        self.append(room, kind, id, body, 1);
    }

    fn append(&self, room: Room<'_>, kind: u8, id: u32, body: &[u8], answers: usize) {
        let cost = room.0.num_permits();
        room.0.forget();
        let mut queue = self.queue();
        if queue.buffer.capacity() == 0 {
            let hint = queue.last_batch.min(BUFFER_HINT_MAX);
            queue.buffer.reserve(hint.max(HEADER_LEN + body.len()));
        }
        encode(&mut queue.buffer, kind, id, body);
        queue.cost += cost;
        queue.answers += answers;
        drop(queue);
        self.filled.notify_one();
    }

    /// Answers a request with an error, without waiting and without room.
    pub(super) fn put_dropped(&self, id: u32) {
        self.queue().dropped.push(id);
        self.filled.notify_one();
    }

    /// Waits for frames and takes them all; `None` once everything is taken after [`Self::finish`]. For the one writer.
    pub(super) async fn take(&self) -> Option<Batch> {
        loop {
            {
                let mut queue = self.queue();
                for id in std::mem::take(&mut queue.dropped) {
                    encode(&mut queue.buffer, ERROR_ANSWER, id, &DROPPED);
                    queue.answers += 1;
                }
                if !queue.buffer.is_empty() {
                    queue.last_batch = queue.buffer.len();
                    let bytes = std::mem::take(&mut queue.buffer).freeze();
                    let cost = std::mem::take(&mut queue.cost);
                    return Some(Batch {
                        bytes,
                        answers: std::mem::take(&mut queue.answers),
                        cost,
                    });
                }
                if queue.is_finishing {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Gives back the room of a batch that is on its way.
    pub(super) fn sent(&self, cost: usize) {
        self.room.add_permits(cost);
    }

    /// Ends the stream once everything is sent; nothing more gets in.
    pub(super) fn finish(&self) {
        self.room.close();
        self.queue().is_finishing = true;
        self.filled.notify_one();
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.queue().is_finishing
    }

    /// Lets nothing more in and wakes those who wait.
    pub(super) fn close(&self) {
        self.room.close();
    }

    /// Bytes that wait or are being handed to QUIC, each frame counted as at least [`FRAME_COST_MIN`].
    pub(super) fn used(&self) -> usize {
        self.cap.saturating_sub(self.room.available_permits())
    }

    pub(super) fn cap(&self) -> usize {
        self.cap
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(body_len: usize) -> u32 {
    u32::try_from((HEADER_LEN + body_len).max(FRAME_COST_MIN)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::codec::{Decoder, Frame};

    fn frames(batch: &Batch) -> Vec<Frame> {
        let mut decoder = Decoder::default();
        let mut rest = &batch.bytes[..];
        std::iter::from_fn(|| decoder.decode(&mut rest).unwrap()).collect()
    }

    #[tokio::test]
    async fn many_frames_are_taken_as_one() {
        let outgoing = Outgoing::new(10_000);
        for id in 1..=5 {
            let room = outgoing.reserve(3).await.unwrap();
            outgoing.put(room, 1, id, b"abc");
        }
        let batch = outgoing.take().await.unwrap();
        assert_eq!(
            frames(&batch)
                .iter()
                .map(|frame| frame.id)
                .collect::<Vec<_>>(),
            [1, 2, 3, 4, 5]
        );
        assert_eq!(batch.bytes.len(), 5 * (HEADER_LEN + 3));
    }

    #[tokio::test]
    async fn room_comes_back_when_the_batch_is_sent_and_not_before() {
        let outgoing = Outgoing::new(1000);
        let room = outgoing.reserve(900).await.unwrap();
        outgoing.put(room, 1, 1, &[0; 900]);
        assert_eq!(outgoing.used(), 909);
        assert_eq!(outgoing.try_reserve(900).err(), Some(NoRoom::Full));
        let batch = outgoing.take().await.unwrap();
        assert_eq!(outgoing.try_reserve(900).err(), Some(NoRoom::Full));
        outgoing.sent(batch.cost);
        assert!(outgoing.try_reserve(900).is_ok());
        assert_eq!(outgoing.used(), 0, "room that was not used is given back");
    }

    #[tokio::test]
    async fn frames_are_capped_too() {
        let outgoing = Outgoing::new(10 * FRAME_COST_MIN);
        let rooms: Vec<_> = (0..10).map(|_| outgoing.try_reserve(0).unwrap()).collect();
        assert_eq!(outgoing.try_reserve(0).err(), Some(NoRoom::Full));
        drop(rooms);
    }

    #[tokio::test]
    async fn dropped_answers_go_out_even_when_full() {
        let outgoing = Outgoing::new(FRAME_COST_MIN);
        let _room = outgoing.reserve(0).await.unwrap();
        outgoing.put_dropped(7);
        let batch = outgoing.take().await.unwrap();
        assert_eq!(
            frames(&batch),
            [Frame {
                kind: ERROR_ANSWER,
                id: 7,
                body: Bytes::from_static(&DROPPED)
            }]
        );
        assert_eq!(batch.answers, 1);
    }

    #[tokio::test]
    async fn finishing_sends_the_rest_and_lets_nothing_in() {
        let outgoing = Outgoing::new(1000);
        let room = outgoing.reserve(1).await.unwrap();
        outgoing.put(room, 1, 1, b"x");
        outgoing.finish();
        assert_eq!(outgoing.try_reserve(1).err(), Some(NoRoom::Closed));
        assert!(outgoing.reserve(1).await.is_none());
        assert_eq!(frames(&outgoing.take().await.unwrap()).len(), 1);
        assert!(outgoing.take().await.is_none());
    }
}
