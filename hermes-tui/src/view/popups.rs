//! What lies over the panes.

use hermes_api::text;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Clear;

use crate::keymap::{COMMANDS, KEYMAP};
use crate::layout::rule;
use crate::model::{Model, Popup};
use crate::wrap::{columns, cut, wrap};

/// Draws the topmost.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let screen = frame.area();
    let width = usize::from(screen.width);
    match model.popups.last() {
        None => {}
        Some(Popup::Help(top)) => {
            let lines = help(width).into_iter().skip(*top).collect();
            over(frame, "keys and commands, Esc closes", lines, None);
        }
        Some(Popup::Text { title, text: words }) => {
            // No border at the sides, so that a link can be marked and copied with the mouse.
            let lines = wrap(&text::block(words), width).into_iter().map(Line::raw);
            let title = format!("{}, Esc closes", text::line(title));
            over(frame, &title, lines.collect(), None);
        }
        Some(Popup::Switcher(query, chosen)) => {
            let query = cut(&text::line(query), width.saturating_sub(12));
            let mut lines = vec![Line::raw(format!("go to: {query}"))];
            let cursor = u16::try_from(columns(&query) + 7).unwrap_or(u16::MAX);
            for (place, at) in model.found(&query).into_iter().enumerate() {
                let Some(view) = model.chats.get(at) else {
                    continue;
                };
                let style = match place == *chosen {
                    true => Style::new().add_modifier(Modifier::REVERSED),
                    false => Style::new(),
                };
                let mark = if place == *chosen { '>' } else { ' ' };
                let name = cut(&text::line(&view.chat.name), width.saturating_sub(3));
                lines.push(Line::styled(format!("{mark} {name}"), style));
            }
            // The chosen one stays in view below the line with the query.
            let rows = usize::from(screen.height).saturating_sub(4).max(1);
            let hidden = (chosen + 1).saturating_sub(rows);
            lines.drain(1..(1 + hidden).min(lines.len()));
            over(frame, "find a chat, Enter goes there", lines, Some(cursor));
        }
    }
}

/// The help, made of the keymap.
fn help(width: usize) -> Vec<Line<'static>> {
    let keys = KEYMAP
        .iter()
        .filter(|binding| !binding.keys.is_empty())
        .map(|binding| (binding.keys, binding.help));
    let entries = keys.chain([("", "")]).chain(COMMANDS.iter().copied());
    entries
        .map(|(keys, help)| Line::raw(cut(&format!(" {keys:<21} {help}"), width)))
        .collect()
}

/// Draws lines over the middle of the screen; the cursor goes to this column of the first.
fn over(frame: &mut Frame<'_>, title: &str, lines: Vec<Line<'static>>, cursor: Option<u16>) {
    let screen = frame.area();
    let rows = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let height = rows.min(screen.height.saturating_sub(1));
    if height == 0 || screen.width == 0 {
        return;
    }
    let area = Rect::new(0, 1.min(screen.height - height), screen.width, height);
    frame.render_widget(Clear, area);
    let width = usize::from(area.width);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(rule(title, width, bold), Rect { height: 1, ..area });
    let body = area.y + 1..area.bottom().saturating_sub(1);
    for (row, line) in body.zip(lines) {
        frame.render_widget(line, Rect::new(0, row, area.width, 1));
    }
    if height > 1 {
        let last = Rect::new(0, area.bottom() - 1, area.width, 1);
        frame.render_widget(Line::raw("─".repeat(width)), last);
    }
    if let Some(column) = cursor {
        let x = column.min(area.width - 1);
        let y = (area.y + 1).min(area.bottom() - 1);
        frame.set_cursor_position(Position { x, y });
    }
}
