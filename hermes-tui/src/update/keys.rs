//! Keys and pasted text.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use hermes_api::text;

use super::{bottom, choose, go, scroll, submit};
use crate::keymap::{Action, action};
use crate::layout::areas;
use crate::model::{Model, Pane, Popup, empty_draft};
use crate::msg::Effect;

/// Takes a key.
pub(super) fn key(model: &mut Model, key: KeyEvent, effects: &mut Vec<Effect>) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    model.notice = None;
    let action = action(key);
    if !model.popups.is_empty() && over(model, key, action) {
        return;
    }
    match action {
        Some(action) => act(model, action, effects),
        None => write(model, key),
    }
}

/// Takes pasted text into the compose line.
pub(super) fn paste(model: &mut Model, pasted: &str) {
    let text = text::block(&pasted.replace("\r\n", "\n").replace('\r', "\n")).into_owned();
    match model.popups.last_mut() {
        Some(Popup::Switcher(query, chosen)) => {
            query.push_str(&text::line(&text));
            *chosen = 0;
        }
        _ => {
            model.draft_mut().insert_str(text);
        }
    }
}

fn act(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    let count = model.chats.len();
    let page = areas(model).conversation.height.saturating_sub(2).max(1);
    match action {
        Action::Send => send(model, effects),
        Action::Newline => model.draft_mut().insert_newline(),
        Action::NextChat if count > 0 => choose(model, (model.chosen + 1) % count),
        Action::PreviousChat if count > 0 => choose(model, (model.chosen + count - 1) % count),
        Action::NextChat | Action::PreviousChat => {}
        Action::Chat(number) => go(model, number.saturating_sub(1)),
        Action::NextUnread => next_unread(model),
        Action::Switcher => model.popups.push(Popup::Switcher(String::new(), 0)),
        Action::List => {
            model.pane = match model.pane {
                Pane::Chats => Pane::Conversation,
                Pane::Conversation => Pane::Chats,
            };
        }
        Action::PageUp => scroll(model, -isize::try_from(page).unwrap_or(1)),
        Action::PageDown => scroll(model, isize::try_from(page).unwrap_or(1)),
        Action::RowUp => scroll(model, -1),
        Action::RowDown => scroll(model, 1),
        Action::Bottom => bottom(model),
        Action::Help => model.popups.push(Popup::Help(0)),
        Action::Close => {}
        Action::Reconnect => submit::reconnect(model, effects),
        Action::Redraw => effects.push(Effect::Redraw),
        Action::HowToQuit => model.notice = Some("Ctrl-Q quits".to_owned()),
        Action::Quit => effects.push(Effect::Quit),
    }
}

fn next_unread(model: &mut Model) {
    let count = model.chats.len();
    let next = (1..=count)
        .map(|step| (model.chosen + step) % count)
        .find(|&at| model.chats.get(at).is_some_and(|view| view.chat.unread > 0));
    match next {
        Some(at) => go(model, at),
        None => model.notice = Some("nothing is unread".to_owned()),
    }
}

fn send(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.size.0 > 0 && areas(model).conversation.width == 0 {
        model.pane = Pane::Conversation;
        return;
    }
    let draft = std::mem::replace(model.draft_mut(), empty_draft());
    submit::submit(model, &draft.into_lines().join("\n"), effects);
}

/// Lets the compose line have the key, unless it would write something that nobody sees.
fn write(model: &mut Model, key: KeyEvent) {
    if let KeyCode::Char(c) = key.code {
        let joins_emoji = matches!(c, '\u{200D}' | '\u{FE0F}');
        let is_seen = text::line(&format!("a{c}")).len() > 1 && !matches!(c, '\n' | '\t');
        if !joins_emoji && !is_seen {
            return;
        }
    }
    model.draft_mut().input(key);
}

/// Lets what lies above have the key; whether it took it.
fn over(model: &mut Model, key: KeyEvent, action: Option<Action>) -> bool {
    if matches!(action, Some(Action::Quit | Action::Redraw)) {
        return false;
    }
    let closes = match model.popups.last_mut() {
        Some(Popup::Help(top)) => match key.code {
            KeyCode::Down | KeyCode::PageDown => {
                *top = top.saturating_add(1).min(crate::keymap::KEYMAP.len());
                false
            }
            KeyCode::Up | KeyCode::PageUp => {
                *top = top.saturating_sub(1);
                false
            }
            _ => true,
        },
        Some(Popup::Text { .. }) => matches!(key.code, KeyCode::Esc | KeyCode::Enter),
        Some(Popup::Switcher(query, chosen)) => {
            match key.code {
                KeyCode::Enter => {
                    let (query, chosen) = (query.clone(), *chosen);
                    if let Some(&at) = model.found(&query).get(chosen) {
                        go(model, at);
                    }
                    model.popups.pop();
                    return true;
                }
                KeyCode::Esc => {}
                KeyCode::Down | KeyCode::Tab => *chosen = chosen.saturating_add(1),
                KeyCode::Up | KeyCode::BackTab => *chosen = chosen.saturating_sub(1),
                KeyCode::Backspace => {
                    query.pop();
                    *chosen = 0;
                }
                KeyCode::Char(c) if (key.modifiers - KeyModifiers::SHIFT).is_empty() => {
                    query.push_str(&text::line(&c.to_string()));
                    *chosen = 0;
                }
                _ => {}
            }
            let (query, at) = (query.clone(), *chosen);
            let last = model.found(&query).len().saturating_sub(1);
            if let Some(Popup::Switcher(_, chosen)) = model.popups.last_mut() {
                *chosen = at.min(last);
            }
            key.code == KeyCode::Esc || action == Some(Action::Switcher)
        }
        None => return false,
    };
    if closes {
        model.popups.pop();
    }
    true
}
