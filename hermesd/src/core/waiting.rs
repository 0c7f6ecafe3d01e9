//! Calls that wait until a message has come far enough.

use std::collections::HashMap;

use hermes_api::types::{MessageState, WaitFor};
use hermes_wire::ids::MessageId;
use tokio::sync::oneshot;

/// Calls that may wait at once; more are answered at once with the state as it is.
pub const WAITING_MAX: usize = 4_096;

/// Who waits for what.
#[derive(Default)]
pub struct Waiting {
    calls: HashMap<MessageId, Vec<(WaitFor, oneshot::Sender<MessageState>)>>,
    count: usize,
}

impl Waiting {
    /// Notes a call. Those whose caller has given up are dropped when there is no room.
    pub fn add(
        &mut self,
        message: MessageId,
        goal: WaitFor,
    ) -> Option<oneshot::Receiver<MessageState>> {
        if self.count >= WAITING_MAX {
            self.drop_abandoned();
        }
        if self.count >= WAITING_MAX {
            return None;
        }
        let (done, reached) = oneshot::channel();
        self.calls.entry(message).or_default().push((goal, done));
        self.count += 1;
        Some(reached)
    }

    /// Tells those whose goal is reached, or out of reach for good.
    pub fn reached(&mut self, message: &MessageId, state: MessageState) {
        let Some(calls) = self.calls.get_mut(message) else {
            return;
        };
        let before = calls.len();
        let met = |goal: WaitFor| {
            state.reaches(goal) || matches!(state, MessageState::Expired | MessageState::Failed)
        };
        for (_, done) in calls.extract_if(.., |(goal, _)| met(*goal)) {
            let _ = done.send(state);
        }
        self.count -= before - calls.len();
        if calls.is_empty() {
            self.calls.remove(message);
        }
    }

    fn drop_abandoned(&mut self) {
        self.calls.retain(|_, calls| {
            calls.retain(|(_, done)| !done.is_closed());
            !calls.is_empty()
        });
        self.count = self.calls.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_hears_when_its_goal_is_reached_or_lost() {
        let mut waiting = Waiting::default();
        let id = MessageId([1; 16]);
        let mut kept = waiting.add(id, WaitFor::Kept).unwrap();
        let mut read = waiting.add(id, WaitFor::Read).unwrap();
        waiting.reached(&id, MessageState::Queued);
        assert!(kept.try_recv().is_err());
        waiting.reached(&id, MessageState::Delivered);
        assert_eq!(kept.try_recv(), Ok(MessageState::Delivered));
        assert!(read.try_recv().is_err());
        waiting.reached(&id, MessageState::Expired);
        assert_eq!(read.try_recv(), Ok(MessageState::Expired));
        assert_eq!(waiting.count, 0);
    }

    #[test]
    fn room_is_made_of_calls_whose_caller_has_left() {
        let mut waiting = Waiting::default();
        for n in 0..WAITING_MAX {
            drop(waiting.add(MessageId((n as u128).to_le_bytes()), WaitFor::Read));
        }
        let kept = waiting.add(MessageId([0xff; 16]), WaitFor::Read);
        assert!(kept.is_some());
        assert_eq!(waiting.count, 1);
    }
}
