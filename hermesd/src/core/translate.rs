//! What history and event log make of underworld's events.

use hermes_api::types as api;
use hermes_api::types::{EventData, Kept, MessageState, Time};
use hermes_underworld::chat::{self, Message};
use hermes_underworld::proto::event::{
    Alarm, Event, InviteState, LinkState, Received, SendState, Waiting,
};
use hermes_underworld::proto::{ContactId, ContactState, FailReason, Now};
use hermes_wire::ids::MessageId;
use hermes_wire::packet::FrameKind;

use super::Open;
use super::history::{HistoryError, MessageRow, Said};

/// The id of a contact, and of its chat, as the interface writes it.
#[must_use]
pub fn contact_id(id: ContactId) -> String {
    format!("c{id}")
}

impl Open {
    /// Makes rows and log entries of an event.
    pub(super) fn take(&mut self, event: Event, now: Now) -> Result<(), HistoryError> {
        match event {
            Event::Received(received) => self.received(&received, now)?,
            Event::Gap { contact, missing } => self.history.gap(contact, missing, &mut self.batch),
            Event::Sent {
                contact: _,
                msg_id,
                conv_seq: _,
                kind: FrameKind::Text,
                state,
            } => self.sent(msg_id, &state, now)?,
            Event::Sent { .. } => {}
            Event::Contact { contact, state } => self.contact(contact, state, now),
            Event::Profile { .. } => {}
            Event::Link { contact, link } => {
                let link = match link {
                    LinkState::Up => api::LinkState::Direct,
                    LinkState::Down => api::LinkState::None,
                };
                self.log(
                    EventData::LinkState(api::LinkStateChanged {
                        contact_id: contact_id(contact),
                        link,
                    }),
                    now,
                );
            }
            Event::Invite {
                invite,
                state: InviteState::Used(contact),
            } => {
                let used = api::InviteUsed {
                    invite_id: format!("i{invite}"),
                    contact_id: Some(contact_id(contact)),
                    name: self.name_of(contact),
                    warning: None,
                };
                self.log(EventData::InviteUsed(used), now);
            }
            Event::Invite { .. } | Event::SessionRenewed { .. } => {}
            Event::Alarm(alarm) => self.alarm(alarm, now),
            _ => {}
        }
        Ok(())
    }

    fn received(&mut self, received: &Received, now: Now) -> Result<(), HistoryError> {
        match chat::read(received) {
            Message::Text(text) => self.show(received, text, now),
            Message::Read { up_to } => {
                let changed = self.history.read_by_friend(
                    &self.store,
                    received.contact,
                    up_to,
                    &mut self.batch,
                )?;
                for (seq, row) in changed {
                    self.announce(received.contact, seq, &row, now);
                }
            }
            Message::Unknown => {}
            Message::NeedsNewer => {
                let text = "(a message that needs a newer version of Hermes)".to_owned();
                self.show(received, text, now);
            }
            Message::Malformed(error) => {
                tracing::debug!(%error, "a frame breaks the form of its kind")
            }
        }
        Ok(())
    }

    fn show(&mut self, received: &Received, text: String, now: Now) {
        let contact = received.contact;
        let name = self.name_of(contact).unwrap_or_default();
        self.history.name(contact, &name, &mut self.batch);
        let said = Said {
            id: received.msg_id,
            conv_seq: received.conv_seq,
            body: text,
            sent_ms: received.sent_at_ms,
        };
        let (seq, row) = self
            .history
            .add_theirs(contact, said, now.unix_ms, &mut self.batch);
        let chat = contact_id(contact);
        let message = row.shown(&chat, &name, seq);
        self.notices.received(&chat, &name, &row.body);
        self.log(EventData::MessageReceived(Box::new(message)), now);
    }

    fn sent(&mut self, id: MessageId, state: &SendState, now: Now) -> Result<(), HistoryError> {
        let change = |row: &mut MessageRow| apply(row, state);
        let changed = self
            .history
            .change(&self.store, id, change, &mut self.batch)?;
        if let Some((contact, seq, row)) = changed {
            self.announce(contact, seq, &row, now);
        }
        Ok(())
    }

    fn announce(&mut self, contact: ContactId, seq: u64, row: &MessageRow, now: Now) {
        if let Some(id) = super::history::message_id(&row.id) {
            self.reached.push((id, row.state));
        }
        let changed = api::MessageStateChanged {
            message_id: row.id.clone(),
            chat: contact_id(contact),
            seq,
            state: row.state,
            kept: row.kept,
            why: row.why.clone(),
        };
        self.log(EventData::MessageState(changed), now);
    }

    fn contact(&mut self, contact: ContactId, state: ContactState, now: Now) {
        let before = self.name_of(contact).unwrap_or_default();
        let renamed = if state == ContactState::Established {
            self.name_now(contact, now)
        } else {
            None
        };
        if let Some(name) = renamed {
            let renamed = api::ContactRenamed {
                contact_id: contact_id(contact),
                name,
                old_name: before,
            };
            self.log(EventData::ContactRenamed(renamed), now);
        }
        let info = self.underworld.contact(contact);
        let (name, verified) =
            info.map_or_else(Default::default, |info| (info.name, info.verified));
        if !name.is_empty() {
            self.history.name(contact, &name, &mut self.batch);
        }
        let changed = api::ContactStateChanged {
            contact_id: contact_id(contact),
            name,
            state: shown_state(state),
            verified,
        };
        self.log(EventData::ContactState(changed), now);
    }

    fn alarm(&mut self, alarm: Alarm, now: Now) {
        match alarm {
            Alarm::InviteUsedTwice { invite, contact } => {
                let used = api::InviteUsed {
                    invite_id: format!("i{invite}"),
                    contact_id: Some(contact_id(contact)),
                    name: self.name_of(contact),
                    warning: Some("a second person tried to use this invite and was not answered; somebody else has seen it".to_owned()),
                };
                self.log(EventData::InviteUsed(used), now);
            }
            Alarm::ContactFailed { contact, reason } => match reason {
                FailReason::InviteUsed => self.warn(contact, api::Warning::InviteUsed, now),
                FailReason::InviteExpired => self.warn(contact, api::Warning::InviteExpired, now),
            },
            Alarm::RolledBack { contact } => self.warn(contact, api::Warning::RolledBack, now),
            Alarm::RecoveryWhileAlive { contact } => {
                self.warn(contact, api::Warning::RecoveryWhileAlive, now);
            }
            Alarm::RecoveryLimit { contact } => {
                self.warn(contact, api::Warning::RecoveryLimit, now);
            }
            _ => tracing::warn!("something that this version has no words for"),
        }
    }

    fn warn(&mut self, contact: ContactId, warning: api::Warning, now: Now) {
        tracing::warn!(contact = %contact_id(contact), warning = warning.as_str(), "something about a contact");
        let name = self.name_of(contact).unwrap_or_default();
        let text = warning_text(warning, &name);
        let warning = api::ContactWarning {
            contact_id: contact_id(contact),
            name,
            warning,
            text,
        };
        self.log(EventData::ContactWarning(warning), now);
    }

    /// Appends to the event log of this cycle.
    pub(crate) fn log(&mut self, data: EventData, now: Now) {
        let payload = super::cycle::payload(&data);
        self.batch.event(now.unix_ms, payload);
    }

    /// What a contact is called.
    pub(crate) fn name_of(&self, contact: ContactId) -> Option<String> {
        let known = self
            .underworld
            .contact(contact)
            .map(|info| info.name)
            .filter(|name| !name.is_empty());
        known.or_else(|| self.history.chat(contact).map(|chat| chat.name.clone()))
    }
}

/// What a person is told, and what he can do.
fn warning_text(warning: api::Warning, name: &str) -> String {
    let who = if name.is_empty() { "a friend" } else { name };
    match warning {
        api::Warning::RolledBack => format!(
            "{who} has messages from you that this store does not know: it is older than what was sent from it. If you did not restore it, somebody else may be using a copy"
        ),
        api::Warning::RecoveryWhileAlive => format!(
            "the session with {who} was replaced although the old one is alive: somebody may hold a copy of your keys or of theirs. Ask {who} by another way; if neither of you restored a store, only a new identity and new invites end it"
        ),
        api::Warning::RecoveryLimit => format!(
            "the session with {who} broke too often and is repaired again only a day after it first did"
        ),
        api::Warning::InviteUsed => format!(
            "the invite of {who} was used by somebody else before, or withdrawn; ask for a new one"
        ),
        api::Warning::InviteExpired => {
            format!("{who} did not answer while the invite stood; ask for a new one")
        }
        api::Warning::Other => format!("something is odd about {who}"),
    }
}

fn apply(row: &mut MessageRow, state: &SendState) {
    // The friend's own word that he read it is not taken back by anything.
    if row.state == MessageState::Read {
        return;
    }
    match state {
        SendState::Queued { why } => {
            row.state = MessageState::Queued;
            row.why = why.map(|why| match why {
                Waiting::Keepers { held_by, wanted } => {
                    format!("held by {held_by} of {wanted} needed")
                }
                Waiting::Contact => "the contact is not established yet".to_owned(),
            });
        }
        SendState::Kept {
            receipts,
            of,
            until_s,
        } => {
            row.state = MessageState::Kept;
            let until = Time::from_unix_ms(
                i64::try_from(until_s.saturating_mul(1_000)).unwrap_or(i64::MAX),
            );
            row.kept = Some(Kept {
                receipts: *receipts,
                of: *of,
                until,
            });
            row.why = Some("the friend was not reachable; keepers hold it for him".to_owned());
        }
        SendState::Delivered => {
            row.state = MessageState::Delivered;
            row.why = None;
        }
        SendState::Expired => {
            row.state = MessageState::Expired;
            row.why = Some("not confirmed in time; it may have been seen".to_owned());
        }
        SendState::Failed => {
            row.state = MessageState::Failed;
            row.why = Some("the contact is gone".to_owned());
        }
    }
}

/// A contact's state as the interface has it.
#[must_use]
pub const fn shown_state(state: ContactState) -> api::ContactState {
    match state {
        ContactState::Requested => api::ContactState::Requested,
        ContactState::Asked => api::ContactState::Asked,
        ContactState::Accepted => api::ContactState::Accepted,
        ContactState::Established => api::ContactState::Established,
        ContactState::Blocked => api::ContactState::Blocked,
        ContactState::Removed => api::ContactState::Removed,
        ContactState::Failed(_) => api::ContactState::Failed,
    }
}
