//! What has come in and waits to be taken: a queue capped in bytes and frames.
//!
//! When it is full the reader stops reading, QUIC's windows fill, and the other side has to wait. It also means that answers behind
//! the frames that fill it are not seen: whoever waits for answers must go on taking what comes in.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::codec::{Frame, HEADER_LEN};

/// Frames that wait at most, whatever their size.
pub(super) const FRAMES_MAX: usize = 1024;

pub(super) struct InboundQueue {
    cap: usize,
    state: Mutex<State>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Frame>,
    bytes: usize,
    is_ended: bool,
    is_reader_waiting: bool,
}

impl InboundQueue {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            cap,
            state: Mutex::default(),
            filled: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// Adds a frame, waiting for room. For the one reader.
    pub(super) async fn put(&self, frame: Frame) {
        let mut frame = Some(frame);
        loop {
            {
                let mut state = self.state();
                let Some(cost) = frame.as_ref().map(cost) else {
                    return;
                };
                let fits = state.frames.len() < FRAMES_MAX
                    && (state.bytes + cost <= self.cap || state.frames.is_empty());
                if fits || state.is_ended {
                    state.is_reader_waiting = false;
                    if !state.is_ended {
                        state.bytes += cost;
                        state.frames.extend(frame.take());
                    }
                    drop(state);
                    self.filled.notify_one();
                    return;
                }
                state.is_reader_waiting = true;
            }
            self.emptied.notified().await;
        }
    }

    /// Waits for a frame; `None` once ended and empty. Cancel-safe, and several may wait.
    pub(super) async fn next(&self) -> Option<Frame> {
        loop {
            {
                let mut state = self.state();
                if let Some(frame) = state.frames.pop_front() {
                    state.bytes -= cost(&frame);
                    let has_more = !state.frames.is_empty() || state.is_ended;
                    let wakes_reader = state.is_reader_waiting;
                    drop(state);
                    if wakes_reader {
                        self.emptied.notify_one();
                    }
                    if has_more {
                        // Wake-ups that find nobody waiting yet are stored as one, whatever their number. Of two takers who have
                        // both found the queue empty and wait only now, the first must wake the second.
                        self.filled.notify_one();
                    }
                    return Some(frame);
                }
                if state.is_ended {
                    drop(state);
                    // The end has woken one of those who wait: pass it on.
                    self.filled.notify_one();
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Ends the queue; what waits in it can still be taken.
    pub(super) fn end(&self) {
        self.state().is_ended = true;
        self.filled.notify_one();
        self.emptied.notify_one();
    }

    pub(super) fn used(&self) -> usize {
        self.state().bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(frame: &Frame) -> usize {
    HEADER_LEN + frame.body.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::task::yield_now;

    use super::*;

    fn frame(id: u32, len: usize) -> Frame {
        Frame {
            kind: 1,
            id,
            body: vec![0; len].into(),
        }
    }

    /// Polls `future` once and tells whether it is done.
    async fn is_done(future: &mut (impl Future + Unpin)) -> bool {
        tokio::select! {
            biased;
            _ = future => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_reader_wait() {
        let queue = InboundQueue::new(3 * (HEADER_LEN + 100));
        for id in 0..3 {
            queue.put(frame(id, 100)).await;
        }
        let mut fourth = Box::pin(queue.put(frame(3, 100)));
        assert!(!is_done(&mut fourth).await);
        assert_eq!(queue.used(), 3 * (HEADER_LEN + 100));
        assert_eq!(queue.next().await, Some(frame(0, 100)));
        assert!(is_done(&mut fourth).await);
    }

    #[tokio::test]
    async fn frames_are_capped_too() {
        let queue = InboundQueue::new(usize::MAX);
        for id in 0..FRAMES_MAX {
            queue.put(frame(u32::try_from(id).unwrap(), 0)).await;
        }
        assert!(!is_done(&mut Box::pin(queue.put(frame(0, 0)))).await);
    }

    #[tokio::test]
    async fn a_frame_above_the_cap_passes_alone() {
        let queue = InboundQueue::new(10);
        queue.put(frame(1, 1000)).await;
        assert!(!is_done(&mut Box::pin(queue.put(frame(2, 0)))).await);
    }

    #[tokio::test]
    async fn ends_after_what_waits_for_everybody() {
        let queue = std::sync::Arc::new(InboundQueue::new(1000));
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let queue = queue.clone();
                    async move { queue.next().await }
                })
            })
            .collect();
        yield_now().await;
        queue
            .put(Frame {
                kind: 1,
                id: 9,
                body: Bytes::new(),
            })
            .await;
        queue.end();
        queue.put(frame(10, 0)).await;
        let mut got = Vec::new();
        for task in waiting {
            got.extend(task.await.unwrap());
        }
        assert_eq!(
            got,
            [Frame {
                kind: 1,
                id: 9,
                body: Bytes::new()
            }]
        );
        assert_eq!(queue.next().await, None);
    }
}
