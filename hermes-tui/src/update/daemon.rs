//! What the daemon says: answers and events.

use hermes_api::ErrorCode;
use hermes_api::client::{ClientError, Feed};
use hermes_api::text;
use hermes_api::types::{
    Chat, ChatHistoryResponse, Contact, Direction, EventData, HelloResponse, Message,
    MessageSendResponse, StatusResponse,
};

use super::submit;
use crate::model::{ChatView, Link, Lists, Model, Scroll, Sending};
use crate::msg::{Effect, Focus, Outcome, Place};

/// Says what went wrong, and what can be done about it.
pub(super) fn complain(model: &mut Model, error: &ClientError) {
    model.notice = Some(sentence(error));
}

fn sentence(error: &ClientError) -> String {
    let words = match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    text::line(&words).into_owned()
}

/// Whether the daemon may do later what it did not do now.
pub(crate) fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::Api(error) => {
            error.data().retryable
                || error.is(ErrorCode::StoreLocked)
                || error.is(ErrorCode::ShuttingDown)
        }
        ClientError::Lost | ClientError::NotRunning { .. } | ClientError::Io(_) => true,
        _ => false,
    }
}

pub(super) fn greeted(
    model: &mut Model,
    outcome: Outcome<Box<HelloResponse>>,
    effects: &mut Vec<Effect>,
) {
    match outcome {
        Ok(hello) => {
            if hello.store.epoch.is_none() && !hello.store.locked {
                model.link = Link::NoIdentity;
            } else if hello.store.locked {
                model.link = Link::Locked;
            } else {
                // The stream of events will say so too, but need not be waited for.
                model.link = Link::Up;
                effects.push(Effect::LoadLists);
            }
            effects.push(Effect::Subscribe(hello.cursor));
            effects.push(Effect::LoadStatus);
        }
        Err(error) => model.link = Link::Failed(sentence(&error)),
    }
}

pub(super) fn feed(model: &mut Model, feed: Feed, effects: &mut Vec<Effect>) {
    match feed {
        Feed::Connected => {
            model.link = Link::Up;
            model.presence = None;
            for view in &mut model.chats {
                view.window.awaited = None;
            }
            effects.push(Effect::LoadLists);
            effects.push(Effect::LoadStatus);
            submit::next(model, effects);
        }
        Feed::Event(event) => self::event(model, event.data, effects),
        Feed::Lost(error) => {
            model.presence = None;
            model.link = match &error {
                ClientError::Api(error) if error.is(ErrorCode::StoreLocked) => Link::Locked,
                ClientError::Api(error) if error.is(ErrorCode::NotInitialized) => Link::NoIdentity,
                _ => Link::Lost,
            };
        }
        Feed::Ended(ClientError::Api(error)) if error.is(ErrorCode::CursorExpired) => {
            // Another store, or too long away: what is in memory is not to be trusted.
            for view in &mut model.chats {
                view.window = crate::window::Window::default();
                view.scroll = Scroll::Bottom;
            }
            effects.push(Effect::Start);
        }
        Feed::Ended(error) => model.link = Link::Failed(sentence(&error)),
    }
}

fn event(model: &mut Model, data: EventData, effects: &mut Vec<Effect>) {
    match data {
        EventData::MessageReceived(message) | EventData::MessageSent(message) => {
            arrived(model, *message, effects);
        }
        EventData::MessageState(change) => {
            if let Some(view) = model.chat_mut(&change.chat) {
                view.window.change(&change);
            }
        }
        EventData::ChatRead(read) => {
            if let Some(view) = model.chat_mut(&read.chat) {
                view.chat.read_seq = read.read_seq;
                view.chat.unread = read.unread;
            }
        }
        EventData::ContactState(change) => {
            let known = model
                .chats
                .iter_mut()
                .find(|view| view.chat.contact_id == change.contact_id);
            if let Some(contact) = known.and_then(|view| view.contact.as_mut()) {
                contact.state = change.state;
                contact.verified = change.verified;
            }
            effects.push(Effect::LoadLists);
        }
        EventData::ContactRenamed(change) => {
            for view in &mut model.chats {
                if view.chat.contact_id == change.contact_id {
                    view.chat.name.clone_from(&change.name);
                    if let Some(contact) = &mut view.contact {
                        contact.name.clone_from(&change.name);
                    }
                }
            }
        }
        EventData::LinkState(change) => {
            for view in &mut model.chats {
                if let Some(contact) = &mut view.contact
                    && contact.contact_id == change.contact_id
                {
                    contact.link = change.link;
                }
            }
            effects.push(Effect::LoadStatus);
        }
        EventData::InviteUsed(used) => {
            if let Some(warning) = used.warning {
                model.notice = Some(text::line(&warning).into_owned());
            } else if let Some(name) = used.name {
                model.notice = Some(format!("{} used your invite", text::line(&name)));
            }
        }
        EventData::ContactWarning(warning) => {
            model.notice = Some(text::line(&warning.text).into_owned());
        }
        EventData::StoreLock(change) if change.locked => model.link = Link::Locked,
        EventData::StoreLock(_) => {}
        EventData::ServerShutdown(_) => model.link = Link::Lost,
        EventData::CaughtUp(_) => effects.push(Effect::LoadStatus),
        EventData::Other { .. } => {}
    }
}

fn arrived(model: &mut Model, message: Message, effects: &mut Vec<Effect>) {
    let chosen = model.current().map(|view| view.chat.chat.clone());
    let away = model.focus == Focus::Lost;
    if message.direction == Direction::Out
        && let Some(at) = model
            .outbox
            .iter()
            .position(|out| out.chat == message.chat && out.body == message.body)
        && (at > 0 || model.sending == Sending::Idle)
    {
        // Taken by the daemon before the connection broke; its answer was lost.
        model.outbox.remove(at);
    }
    let Some(view) = model.chat_mut(&message.chat) else {
        effects.push(Effect::LoadLists);
        return;
    };
    let is_new = message.seq > view.chat.last_seq;
    let is_in = message.direction == Direction::In;
    if is_new && is_in && message.seq > view.chat.read_seq {
        view.chat.unread += 1;
        let elsewhere = chosen.as_ref() != Some(&message.chat);
        if view.unread_from.is_none() && (elsewhere || away || view.scroll != Scroll::Bottom) {
            view.unread_from = Some(message.seq);
        }
    }
    if is_new && is_in && view.scroll != Scroll::Bottom {
        view.below += 1;
    }
    view.window.push(&message);
    if view.scroll == Scroll::Bottom {
        view.window.trim_older();
    } else {
        view.window.trim_newer();
    }
    if is_new {
        view.chat.last_seq = message.seq;
        view.chat.last = Some(message);
    }
}

pub(super) fn status(model: &mut Model, outcome: Outcome<Box<StatusResponse>>) {
    if let Ok(status) = outcome {
        model.status = Some(status);
    }
}

pub(super) fn lists(model: &mut Model, outcome: Outcome<(Vec<Contact>, Vec<Chat>)>) {
    let (contacts, chats) = match outcome {
        Ok(lists) => lists,
        Err(error) if passes(&error) => return,
        Err(error) => return complain(model, &error),
    };
    let first_time = model.lists == Lists::Unknown;
    model.lists = Lists::Known;
    let chosen = model.current().map(|view| view.chat.chat.clone());
    let contact_of = |chat: &Chat| {
        contacts
            .iter()
            .find(|contact| contact.contact_id == chat.contact_id)
            .cloned()
    };
    model
        .chats
        .retain(|view| chats.iter().any(|chat| chat.chat == view.chat.chat));
    for chat in chats {
        let contact = contact_of(&chat);
        match model.chat_mut(&chat.chat) {
            Some(view) => {
                // Answers may be older than events that came meanwhile.
                if chat.last_seq >= view.chat.last_seq && chat.read_seq >= view.chat.read_seq {
                    view.chat = chat;
                }
                view.contact = contact;
            }
            None => model.chats.push(ChatView::new(chat, contact)),
        }
    }
    let again = chosen.and_then(|chosen| model.chats.iter().position(|v| v.chat.chat == chosen));
    let last = model.chats.len().saturating_sub(1);
    model.chosen = again.unwrap_or_else(|| model.chosen.min(last));
    if first_time {
        super::open(model);
    }
}

pub(super) fn history(
    model: &mut Model,
    chat: &str,
    place: Place,
    outcome: Outcome<ChatHistoryResponse>,
) {
    let Some(view) = model.chat_mut(chat) else {
        return;
    };
    match outcome {
        Ok(page) => {
            view.window.take(place, page);
            if place == Place::Newest && view.chat.unread > 0 && view.unread_from.is_none() {
                view.unread_from = first_unread(view);
            }
        }
        Err(error) => {
            // What cannot be had is not asked for again before the next connection.
            if passes(&error) {
                view.window.awaited = None;
            } else {
                complain(model, &error);
            }
        }
    }
}

/// The oldest message in memory that was not read.
pub(super) fn first_unread(view: &ChatView) -> Option<u64> {
    let unread =
        |message: &&Message| message.direction == Direction::In && message.seq > view.chat.read_seq;
    view.window
        .messages()
        .iter()
        .find(unread)
        .map(|message| message.seq)
}

pub(super) fn sent(
    model: &mut Model,
    key: &str,
    outcome: Outcome<MessageSendResponse>,
    effects: &mut Vec<Effect>,
) {
    model.sending = Sending::Idle;
    match outcome {
        Err(error) if passes(&error) => {
            // It stays first and goes out again, under the same key, when the daemon is back.
            if model.link == Link::Up {
                model.notice = Some(format!("not sent yet: {}", sentence(&error)));
            }
            return;
        }
        Err(error) => {
            if let Some(at) = model.outbox.iter().position(|out| out.key == key)
                && let Some(out) = model.outbox.remove(at)
            {
                if let Some(view) = model.chat_mut(&out.chat)
                    && view.draft.is_empty()
                {
                    view.draft.insert_str(out.body);
                }
                complain(model, &error);
            }
        }
        Ok(_) => model.outbox.retain(|out| out.key != key),
    }
    submit::next(model, effects);
}
