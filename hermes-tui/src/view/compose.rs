//! The compose line: what is being written, drawn with its cursor.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;

use crate::model::Model;

/// Columns of the prompt.
const PROMPT: u16 = 2;

/// Draws what is being written, with the terminal's own cursor in it.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    if area.width <= PROMPT || area.height == 0 {
        return;
    }
    frame.render_widget(
        Line::raw(">"),
        Rect {
            height: 1,
            width: 1,
            ..area
        },
    );
    let inner = Rect {
        x: area.x + PROMPT,
        width: area.width - PROMPT,
        ..area
    };
    let draft = model.draft();
    frame.render_widget(draft, inner);
    if model.popups.is_empty() {
        let cursor = draft.screen_cursor();
        let (top, left) = draft.scroll_offset();
        let row = u16::try_from(cursor.row)
            .unwrap_or(u16::MAX)
            .saturating_sub(top);
        let column = u16::try_from(cursor.col)
            .unwrap_or(u16::MAX)
            .saturating_sub(left);
        frame.set_cursor_position(Position {
            x: inner.x.saturating_add(column).min(inner.right() - 1),
            y: inner.y.saturating_add(row).min(inner.bottom() - 1),
        });
    }
}
