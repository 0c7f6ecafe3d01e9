//! Ending a cycle: commit, then speak.

use std::time::Duration;

use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::types::EventData;
use hermes_underworld::proto::Now;
use hermes_underworld::proto::effect::Effect;
use hermes_underworld::proto::output::Output;

use super::history::HistoryError;
use super::{Answer, Open, Owner, rows};
use crate::store::{Batch, StoreError};

/// Events that are dropped from the log's old end in one cycle at most.
const TRIM: usize = 512;

/// How often the old ends of the tables are looked at.
const TEND: Duration = Duration::from_secs(60);

impl Owner {
    /// Commits what came of the cycle's inputs and then answers, announces and acts. False if the disk failed.
    pub(super) fn finish_cycle(&mut self, now: Now, answers: Vec<Answer>) -> bool {
        let Some(open) = &mut self.open else {
            for answer in answers {
                answer(Ok(()));
            }
            return true;
        };
        open.finish_cycle(now, answers, |effect| self.net.carry_out(effect))
    }
}

impl Open {
    /// The same for an open store; effects are handed to `carry_out`.
    pub(super) fn finish_cycle(
        &mut self,
        now: Now,
        answers: Vec<Answer>,
        carry_out: impl FnMut(Effect),
    ) -> bool {
        self.underworld.handle_timeout(now);
        match self.commit(now) {
            Ok(effects) => {
                for answer in answers {
                    answer(Ok(()));
                }
                self.tell_waiting();
                self.notices.flush();
                effects.into_iter().for_each(carry_out);
                true
            }
            Err(error) => {
                tracing::error!(%error, "the store failed; hermesd ends, because memory is ahead of the disk");
                let error = ApiError::new(
                    ErrorCode::StorageFailed,
                    format!("the disk failed: {error}"),
                );
                for answer in answers {
                    answer(Err(error.clone()));
                }
                false
            }
        }
    }

    fn commit(&mut self, now: Now) -> Result<Vec<Effect>, HistoryError> {
        self.take_outputs(now);
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let effects = std::mem::take(&mut self.effects);
        let batch = std::mem::replace(&mut self.batch, Batch::new());
        let idle = batch.is_empty();
        let committed = self.store.commit(batch)?;
        self.head.send_if_modified(|head| {
            let news = *head != committed.head;
            *head = committed.head;
            news
        });
        self.noted.clear();
        self.history.committed();
        if idle
            && self
                .tended
                .is_none_or(|at| now.mono.duration_since(at) >= TEND)
        {
            self.tended = Some(now.mono);
            self.tend(now)?;
        }
        Ok(effects)
    }

    /// Takes what underworld has said so far into the cycle. An error ends the cycle without a commit, since the rest of what it said
    /// would be missing.
    pub(crate) fn take_outputs(&mut self, now: Now) {
        while let Some(output) = self.underworld.poll_output() {
            match output {
                Output::Write(write) => rows::add(&mut self.batch, &write),
                Output::Effect(effect) => self.effects.push(effect),
                Output::Event(event) => {
                    if let Err(error) = self.take(event, now) {
                        self.broken.get_or_insert(error);
                    }
                }
            }
        }
    }

    /// Tells the calls that wait for messages; the states are on the disk.
    fn tell_waiting(&mut self) {
        for (id, state) in self.reached.drain(..) {
            self.waiting.reached(&id, state);
        }
    }

    /// What can be done when nothing else is to do: old events and idempotency keys go, ratchet state gets a new key once a day.
    fn tend(&mut self, now: Now) -> Result<(), StoreError> {
        self.store.trim_events(now.unix_ms, TRIM)?;
        self.store.expire_idempotency(now.unix_ms, TRIM)?;
        self.store.rotate_subkey(now.unix_s(), TRIM)?;
        Ok(())
    }
}

/// An event as the log keeps it: kind and data, without time and cursor, which the log knows.
pub(super) fn payload(data: &EventData) -> Vec<u8> {
    let event = hermes_api::types::Event {
        cursor: hermes_api::types::Cursor::new("-", 0),
        time: hermes_api::types::Time::from_unix_ms(0),
        data: data.clone(),
    };
    // Plain data: writing it to memory does not fail.
    serde_json::to_vec(&event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use hermes_api::types as api;
    use hermes_api::types::{MessageState, WaitFor};
    use hermes_underworld::proto::event::{Alarm, Event};
    use hermes_underworld::proto::{ContactId, FailReason};
    use hermes_wire::Network;
    use hermes_wire::ids::MessageId;

    use super::*;
    use crate::notify::{Notices, Show};
    use crate::store::{OsEntropy, Store, Unlock};

    fn open(dir: &std::path::Path, now: Now) -> Open {
        let entropy = Box::new(OsEntropy::new());
        let store = Store::create(dir, &Unlock::Insecure, entropy).unwrap();
        let notices = Notices::new(Show::Nothing);
        Open::create(store, Network::lab(), "me", [7; 32], notices, now).unwrap()
    }

    #[test]
    fn waiting_calls_hear_of_states_that_are_on_the_disk_and_of_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let now = crate::core::now();
        let (mut open, id) = (open(dir.path(), now), MessageId([1; 16]));
        let mut told = open.waiting.add(id, WaitFor::Delivered).unwrap();
        open.reached.push((id, MessageState::Delivered));
        open.broken = Some(StoreError::Closed.into());
        assert!(!open.finish_cycle(now, Vec::new(), |_| {}));
        assert!(told.try_recv().is_err());
        assert!(open.finish_cycle(now, Vec::new(), |_| {}));
        assert_eq!(told.try_recv(), Ok(MessageState::Delivered));
    }

    #[test]
    fn alarms_reach_the_event_log_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let now = crate::core::now();
        let mut open = open(dir.path(), now);
        let (start, contact) = (open.store.head(), ContactId(7));
        for alarm in [
            Alarm::RolledBack { contact },
            Alarm::RecoveryWhileAlive { contact },
            Alarm::RecoveryLimit { contact },
            Alarm::ContactFailed {
                contact,
                reason: FailReason::InviteUsed,
            },
            Alarm::ContactFailed {
                contact,
                reason: FailReason::InviteExpired,
            },
        ] {
            open.take(Event::Alarm(alarm), now).unwrap();
        }
        assert!(open.finish_cycle(now, Vec::new(), |_| {}));
        let logged = open.store.events_after(start, 10).unwrap();
        let warnings: Vec<_> = logged
            .iter()
            .map(|event| {
                let event: api::Event = serde_json::from_slice(&event.payload).unwrap();
                let EventData::ContactWarning(warning) = event.data else {
                    panic!("not a warning: {}", event.kind());
                };
                assert_eq!(warning.contact_id, "c7");
                assert!(!warning.text.is_empty());
                warning.warning
            })
            .collect();
        assert_eq!(
            warnings,
            [
                api::Warning::RolledBack,
                api::Warning::RecoveryWhileAlive,
                api::Warning::RecoveryLimit,
                api::Warning::InviteUsed,
                api::Warning::InviteExpired,
            ]
        );
    }

    #[test]
    fn a_store_without_an_identity_is_known_as_unfinished() {
        let dir = tempfile::tempdir().unwrap();
        let entropy = Box::new(OsEntropy::new());
        let store = Store::create(dir.path(), &Unlock::Insecure, entropy).unwrap();
        let notices = Notices::new(Show::Nothing);
        let loaded = Open::load(store, Network::lab(), [7; 32], notices, crate::core::now());
        assert!(matches!(
            loaded,
            Err(super::super::open::OpenError::Unfinished)
        ));
    }
}
