//! What each happening changes, and what is to be done about it. Nothing here waits or asks.

mod daemon;
mod keys;
mod submit;

pub(crate) use daemon::passes;

#[cfg(test)]
mod tests;

use hermes_api::text;

use crate::layout::Rows;
use crate::model::{Link, Model, Pane, Scroll};
use crate::msg::{Effect, Focus, Msg, Place};

/// Takes in what happened.
pub(crate) fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let mut effects = Vec::new();
    match msg {
        Msg::Key(key) => keys::key(model, key, &mut effects),
        Msg::Paste(text) => keys::paste(model, &text),
        Msg::Focus(focus) => {
            model.focus = focus;
            match (focus, model.current_mut()) {
                (Focus::Gained, _) => effects.push(Effect::LoadStatus),
                // What comes from now on is new when somebody looks again.
                (Focus::Lost, Some(view)) if view.chat.unread == 0 => view.unread_from = None,
                (Focus::Lost, _) => {}
            }
        }
        Msg::Resize(columns, rows) => model.size = (columns, rows),
        Msg::Line(line) => submit::submit(model, &text::block(&line), &mut effects),
        Msg::Greeted(outcome) => daemon::greeted(model, outcome, &mut effects),
        Msg::Feed(feed) => daemon::feed(model, feed, &mut effects),
        Msg::Status(outcome) => daemon::status(model, outcome),
        Msg::Lists(outcome) => daemon::lists(model, outcome),
        Msg::History(chat, place, outcome) => daemon::history(model, &chat, place, outcome),
        Msg::Sent(key, outcome) => daemon::sent(model, &key, outcome, &mut effects),
        Msg::Invited(outcome) => submit::invited(model, outcome),
        Msg::Accepted(outcome) => submit::accepted(model, outcome, &mut effects),
        Msg::Verified(outcome) => submit::verified(model, outcome),
        Msg::NotMarked(chat) => {
            if let Some(view) = model.chat_mut(&chat) {
                view.marked = 0;
            }
        }
    }
    follow(model, &mut effects);
    effects
}

/// Whether the chosen conversation can be seen.
fn is_in_view(model: &Model) -> bool {
    crate::layout::areas(model).conversation.width > 0
}

/// What follows from what is in view: messages to read, read marks, the claim on the chat.
fn follow(model: &mut Model, effects: &mut Vec<Effect>) {
    let visible = is_in_view(model);
    let focused = model.focus == Focus::Gained;
    let near_top = is_near_top(model);
    let presence = model
        .current()
        .filter(|_| visible && focused)
        .map(|view| view.chat.chat.clone());
    if model.link == Link::Up && presence != model.presence {
        model.presence.clone_from(&presence);
        effects.push(Effect::Presence(presence));
    }
    let link = model.link.clone();
    let Some(view) = model.current_mut() else {
        return;
    };
    if link != Link::Up {
        return;
    }
    let window = &mut view.window;
    let page = if window.messages().is_empty() && !window.is_at_end() {
        window.awaited.is_none().then_some(Place::Newest)
    } else if near_top {
        window.older_page()
    } else if view.scroll == Scroll::Bottom {
        (!window.is_at_end() && window.awaited.is_none()).then_some(Place::Newest)
    } else {
        window.newer_page().filter(|_| view.below == 0)
    };
    if let Some(place) = page {
        window.awaited = Some(place);
        effects.push(Effect::LoadHistory(view.chat.chat.clone(), place));
    }
    let newest = window.last().map_or(0, |message| message.seq);
    let seen = visible && focused && view.scroll == Scroll::Bottom && window.is_at_end();
    if seen && view.chat.unread > 0 && newest > view.marked.max(view.chat.read_seq) {
        view.marked = newest;
        effects.push(Effect::MarkRead {
            chat: view.chat.chat.clone(),
            up_to: newest,
        });
    }
}

/// Whether the view comes close to the oldest message in memory.
fn is_near_top(model: &Model) -> bool {
    let Some((rows, height)) = Rows::of(model) else {
        return false;
    };
    rows.up(height, height).is_none_or(|scroll| {
        let first = model.current().and_then(|view| view.window.at(0));
        matches!((scroll, first), (Scroll::At { seq, .. }, Some(first)) if seq == first.seq)
    })
}

/// Goes to the conversation at this place of the list.
pub(super) fn choose(model: &mut Model, at: usize) {
    if at >= model.chats.len() {
        return;
    }
    if at != model.chosen {
        if let Some(view) = model.current_mut() {
            view.unread_from = None;
            view.window.trim_older();
        }
        model.chosen = at;
    }
    open(model);
}

/// Goes to a conversation and shows it, also where there is only room for one pane.
pub(super) fn go(model: &mut Model, at: usize) {
    choose(model, at);
    model.pane = Pane::Conversation;
}

/// Puts the unread line where the unread messages begin.
pub(super) fn open(model: &mut Model) {
    if let Some(view) = model.current_mut()
        && view.chat.unread > 0
        && view.scroll == Scroll::Bottom
    {
        view.unread_from = daemon::first_unread(view);
    }
}

/// Scrolls so many rows, up if negative.
pub(super) fn scroll(model: &mut Model, by: isize) {
    let Some((rows, height)) = Rows::of(model) else {
        return;
    };
    let to = if by < 0 {
        match rows.up(height, by.unsigned_abs()) {
            Some(scroll) => scroll,
            None => return,
        }
    } else {
        rows.down(height, by.unsigned_abs())
    };
    if let Some(view) = model.current_mut() {
        view.scroll = to;
        if to == Scroll::Bottom {
            view.below = 0;
        }
    }
}

/// Shows the newest messages.
pub(super) fn bottom(model: &mut Model) {
    if let Some(view) = model.current_mut() {
        view.scroll = Scroll::Bottom;
        view.below = 0;
        view.window.trim_older();
    }
}
