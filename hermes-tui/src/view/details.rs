//! About the contact, where the screen is wide.

use hermes_api::text;
use hermes_api::types::{ContactState, LinkState};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::model::{ChatView, Model};
use crate::words;
use crate::wrap::wrap;

/// How things stand with the contact, in words.
pub(super) fn standing(view: &ChatView) -> Vec<&'static str> {
    let Some(contact) = &view.contact else {
        return vec!["no longer a contact"];
    };
    if contact.state != ContactState::Established {
        return vec![contact.state.as_str()];
    }
    let trust = if contact.verified {
        "verified"
    } else {
        "not verified"
    };
    let link = match contact.link {
        LinkState::Direct => "direct",
        LinkState::None => "not connected",
    };
    vec![trust, link]
}

/// Draws what is known, with a line at the left side.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.width < 4 {
        return;
    }
    let width = usize::from(area.width - 3);
    let mut rows = Vec::new();
    if let Some(view) = model.current() {
        let mut say = |words: &str| rows.extend(wrap(words, width));
        say(&text::line(&view.chat.name));
        say("");
        standing(view).into_iter().for_each(&mut say);
        if let Some(contact) = &view.contact {
            if let Some(seen) = contact.last_seen {
                let seen = words::local(seen, &model.zone, "%-d %b %H:%M");
                say(&format!("last heard of {seen}"));
            }
            if let Some(number) = &contact.safety_number {
                say("");
                say("safety number");
                say(&text::line(number));
            }
        }
    }
    for row in area.y..area.bottom() {
        frame.render_widget(Line::raw("│"), Rect::new(area.x, row, 1, 1));
    }
    for (row, text) in (area.y..area.bottom()).zip(rows) {
        frame.render_widget(
            Line::raw(text),
            Rect::new(area.x + 2, row, area.width - 3, 1),
        );
    }
}
