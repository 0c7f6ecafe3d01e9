//! The list of conversations.

use hermes_api::text;
use hermes_api::types::ContactState;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use crate::model::{ChatView, Model};
use crate::wrap::{columns, cut};

/// Draws the list, with a line at its right side.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.width < 4 || area.height == 0 {
        return;
    }
    let height = usize::from(area.height);
    let first = model.chosen.saturating_sub(height.saturating_sub(1));
    let width = usize::from(area.width).saturating_sub(1);
    for row in 0..area.height {
        let at = first + usize::from(row);
        let line = match model.chats.get(at) {
            Some(view) => entry(view, at, model.chosen == at, width),
            None => Line::raw(" ".repeat(width)),
        };
        let place = Rect::new(area.x, area.y + row, area.width, 1);
        frame.render_widget(line, place);
        let edge = Rect::new(area.right() - 1, area.y + row, 1, 1);
        frame.render_widget(Line::raw("│"), edge);
    }
}

fn entry(view: &ChatView, at: usize, chosen: bool, width: usize) -> Line<'static> {
    let mark = if chosen { '>' } else { ' ' };
    let number = match at {
        0..9 => (at + 1).to_string(),
        _ => " ".to_owned(),
    };
    let right = note(view);
    let name = cut(
        &text::line(&view.chat.name),
        width.saturating_sub(columns(&right) + 5),
    );
    let left = format!("{mark}{number} {name}");
    let pad = " ".repeat(width.saturating_sub(columns(&left) + columns(&right) + 1));
    let style = match (chosen, view.chat.unread) {
        (true, _) => Style::new().add_modifier(Modifier::REVERSED),
        (false, 0) => Style::new(),
        (false, _) => Style::new().add_modifier(Modifier::BOLD),
    };
    Line::styled(format!("{left}{pad}{right} "), style)
}

/// What stands behind the name: unread messages, else a draft, else what keeps from writing.
fn note(view: &ChatView) -> String {
    if view.chat.unread > 0 {
        return view.chat.unread.to_string();
    }
    if !view.draft.is_empty() {
        return "draft".to_owned();
    }
    match &view.contact {
        Some(contact) if contact.state != ContactState::Established => {
            contact.state.as_str().to_owned()
        }
        _ => String::new(),
    }
}
