//! The messages, or what to do where there are none.

use hermes_api::text;
use hermes_api::types::ContactState;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use crate::layout::Rows;
use crate::model::{Link, Lists, Model, Scroll};
use crate::wrap::wrap;

/// Draws the messages, the newest at the bottom.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.width < 3 || area.height == 0 {
        return;
    }
    let inner = Rect {
        x: area.x + 1,
        width: area.width - 2,
        ..area
    };
    let mut lines = match Rows::of(model) {
        Some((rows, height)) => rows.visible(height),
        None => Vec::new(),
    };
    if let Some(view) = model.current()
        && view.scroll == Scroll::Bottom
    {
        lines.extend(waiting(model, &view.chat.chat, usize::from(inner.width)));
        let surplus = lines.len().saturating_sub(usize::from(inner.height));
        lines.drain(..surplus);
    }
    if lines.is_empty() {
        let words = hint(model).unwrap_or_default();
        lines = wrap(&words, usize::from(inner.width))
            .into_iter()
            .map(Line::raw)
            .collect();
    } else {
        let free = usize::from(inner.height).saturating_sub(lines.len());
        lines.splice(0..0, std::iter::repeat_n(Line::default(), free));
    }
    for (row, line) in (inner.y..inner.bottom()).zip(lines) {
        frame.render_widget(line, Rect::new(inner.x, row, inner.width, 1));
    }
}

/// Messages that the daemon has not confirmed to have taken.
fn waiting(model: &Model, chat: &str, width: usize) -> Vec<Line<'static>> {
    let known = match model.link {
        Link::Up => "sending",
        _ => "waits for hermesd",
    };
    let mine = model.outbox.iter().filter(|out| out.chat == chat);
    mine.flat_map(|out| {
        let words = format!("me: {} ({known})", text::block(&out.body));
        wrap(&words, width)
            .into_iter()
            .map(|row| Line::styled(row, Style::new().add_modifier(Modifier::DIM)))
    })
    .collect()
}

/// What to do now.
pub(crate) fn hint(model: &Model) -> Option<String> {
    match (&model.link, model.current()) {
        (Link::Starting, None) => Some("Reaching hermesd, your daemon ...".to_owned()),
        (Link::NoIdentity, _) => Some(
            "Welcome. There is no identity here yet. In another terminal, enter\n\n  \
             hermes-cli init --name NAME\n\nwith the name that your friends will see. \
             This screen then goes on by itself."
                .to_owned(),
        ),
        (Link::Locked, None) => Some(
            "The store is locked. In another terminal, enter\n\n  hermes-cli store unlock\n\n\
             This screen then goes on by itself."
                .to_owned(),
        ),
        (Link::Failed(reason), None) => {
            Some(format!("{}\n\nCtrl-R tries again.", text::line(reason)))
        }
        (_, None) if model.lists == Lists::Known => Some(
            "You have no contacts yet.\n\nTo invite a friend, enter /invite and give him the \
             link that appears. If a friend gave you a link, enter /accept and the link."
                .to_owned(),
        ),
        (_, None) => None,
        (_, Some(view)) => {
            let name = text::line(&view.chat.name);
            match view.contact.as_ref().map(|contact| contact.state) {
                Some(ContactState::Requested) => Some(format!(
                    "You accepted an invite of {name}. Messages can be written when {name}'s \
                     daemon has answered."
                )),
                Some(ContactState::Asked) => Some(format!(
                    "{name} used an invite of yours and asks to be let in. Enter in a shell: \
                     hermes-cli invite approve {name}"
                )),
                _ if view.window.is_at_end() => {
                    Some(format!("No messages with {name} yet. Write one below."))
                }
                _ => None,
            }
        }
    }
}
