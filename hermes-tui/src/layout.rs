//! Where the panes are, and which rows of a conversation are in view. Both `update` and `view`
//! ask here, so that they agree.

use hermes_api::text;
use hermes_api::types::{Direction, Message};
use jiff::tz::TimeZone;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use crate::model::{ChatView, Model, Pane, Scroll};
use crate::words;
use crate::wrap::{columns, cut, wrap};

/// Below this there is room for one pane only.
const TWO_PANES_COLUMNS: u16 = 60;

/// From this on there is room for details about the contact.
const DETAILS_COLUMNS: u16 = 120;

/// Most rows of the compose line.
const COMPOSE_ROWS_MAX: u16 = 8;

/// Most columns of a sender's name.
const NAME_COLUMNS_MAX: usize = 14;

/// Below this the text of a message begins on a row of its own.
const HANGING_COLUMNS_MIN: usize = 44;

/// Where everything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Areas {
    /// What this is about, or what is wrong.
    pub(crate) title: Rect,
    /// The list of conversations; empty if there is no room.
    pub(crate) chats: Rect,
    /// The messages; empty if there is no room.
    pub(crate) conversation: Rect,
    /// About the contact; empty if there is no room.
    pub(crate) details: Rect,
    /// The row between messages and compose line.
    pub(crate) notice: Rect,
    /// The compose line.
    pub(crate) compose: Rect,
    /// The row at the bottom.
    pub(crate) status: Rect,
}

/// Divides the screen.
pub(crate) fn areas(model: &Model) -> Areas {
    let (width, height) = model.size;
    let compose_rows = compose_rows(model, width).min(height.saturating_sub(5).max(1));
    let body_rows = height.saturating_sub(3 + compose_rows);
    let mut y = 0;
    let mut rows = |count: u16| {
        let count = count.min(height.saturating_sub(y));
        let area = Rect::new(0, y, width, count);
        y += count;
        area
    };
    let title = rows(1);
    let body = rows(body_rows);
    let (notice, compose, status) = (rows(1), rows(compose_rows), rows(1));
    let (chats_width, details_width) = match width {
        0..TWO_PANES_COLUMNS if model.pane == Pane::Chats => (width, 0),
        0..TWO_PANES_COLUMNS => (0, 0),
        TWO_PANES_COLUMNS..DETAILS_COLUMNS => (20, 0),
        _ => (26, 32),
    };
    let middle = width.saturating_sub(chats_width + details_width);
    let part = |x: u16, width: u16| Rect { x, width, ..body };
    Areas {
        title,
        chats: part(0, chats_width),
        conversation: part(chats_width, middle),
        details: part(chats_width + middle, details_width),
        notice,
        compose,
        status,
    }
}

fn compose_rows(model: &Model, width: u16) -> u16 {
    // A prompt of two columns, and one column for the cursor behind the text.
    let inner = usize::from(width.saturating_sub(3).max(1));
    let mut rows: u16 = 0;
    for line in model.draft().lines() {
        let more = wrap(line, inner).len();
        rows = rows.saturating_add(u16::try_from(more).unwrap_or(u16::MAX));
        if rows >= COMPOSE_ROWS_MAX {
            return COMPOSE_ROWS_MAX;
        }
    }
    rows.max(1)
}

/// Makes the rows of a conversation at a width.
pub(crate) struct Rows<'a> {
    view: &'a ChatView,
    zone: &'a TimeZone,
    width: usize,
    name_width: usize,
}

impl<'a> Rows<'a> {
    /// For the pane of this model; none if no conversation is chosen or in view.
    pub(crate) fn of(model: &'a Model) -> Option<(Self, usize)> {
        let area = areas(model).conversation;
        let view = model.current()?;
        let width = usize::from(area.width).saturating_sub(2);
        if width == 0 || area.height == 0 {
            return None;
        }
        let name_width = columns(&text::line(&view.chat.name)).clamp(2, NAME_COLUMNS_MAX);
        let rows = Self {
            view,
            zone: &model.zone,
            width,
            name_width,
        };
        Some((rows, usize::from(area.height)))
    }

    /// The rows that are in view, at most `height`.
    pub(crate) fn visible(&self, height: usize) -> Vec<Line<'static>> {
        let (mut index, skip) = match self.view.scroll {
            Scroll::At { seq, row } => (self.view.window.index_of(seq), row),
            Scroll::Bottom => self.top_of_bottom(height),
        };
        let mut rows: Vec<Line<'static>> = Vec::new();
        let mut skip = skip;
        while rows.len() < height {
            let Some(message) = self.message(index) else {
                break;
            };
            rows.extend(message.into_iter().skip(skip));
            skip = 0;
            index += 1;
        }
        rows.truncate(height);
        rows
    }

    /// What is at the top when so many rows further up are shown; none if nothing is above.
    pub(crate) fn up(&self, height: usize, by: usize) -> Option<Scroll> {
        let (mut index, mut row) = match self.view.scroll {
            Scroll::At { seq, row } => (self.view.window.index_of(seq), row),
            Scroll::Bottom => self.top_of_bottom(height),
        };
        let before = (index, row);
        let mut left = by;
        while left > row && index > 0 {
            left -= row;
            index -= 1;
            row = self.message(index).map_or(0, |rows| rows.len());
        }
        row = row.saturating_sub(left);
        let seq = self.view.window.at(index)?.seq;
        ((index, row) != before).then_some(Scroll::At { seq, row })
    }

    /// What is at the top when so many rows further down are shown.
    pub(crate) fn down(&self, height: usize, by: usize) -> Scroll {
        let Scroll::At { seq, row } = self.view.scroll else {
            return Scroll::Bottom;
        };
        let mut index = self.view.window.index_of(seq);
        let mut row = row + by;
        while let Some(rows) = self.message(index) {
            if row < rows.len() {
                break;
            }
            row -= rows.len();
            index += 1;
        }
        let bottom = self.top_of_bottom(height);
        match self.view.window.at(index) {
            Some(message) if (index, row) < bottom => Scroll::At {
                seq: message.seq,
                row,
            },
            _ if self.view.window.is_at_end() => Scroll::Bottom,
            _ => match self.view.window.at(bottom.0) {
                Some(message) => Scroll::At {
                    seq: message.seq,
                    row: bottom.1,
                },
                None => Scroll::Bottom,
            },
        }
    }

    /// Which row of which message is at the top when the newest is at the bottom.
    fn top_of_bottom(&self, height: usize) -> (usize, usize) {
        let mut index = self.view.window.messages().len();
        let mut left = height;
        while index > 0 {
            index -= 1;
            let rows = self.message(index).map_or(0, |rows| rows.len());
            if rows >= left {
                return (index, rows - left);
            }
            left -= rows;
        }
        (0, 0)
    }

    /// The rows of a message, with the lines that stand above it.
    fn message(&self, index: usize) -> Option<Vec<Line<'static>>> {
        let message = self.view.window.at(index)?;
        let mut rows = Vec::new();
        let day = |message: &Message| words::local(words::when(message), self.zone, "%a %-d %b %Y");
        let before = index.checked_sub(1).and_then(|at| self.view.window.at(at));
        if before.is_none_or(|before| day(before) != day(message)) {
            rows.push(rule(
                &day(message),
                self.width,
                Style::new().add_modifier(Modifier::DIM),
            ));
        }
        if self.view.unread_from == Some(message.seq) {
            rows.push(rule(
                "new",
                self.width,
                Style::new().add_modifier(Modifier::BOLD),
            ));
        }
        if message.gap_before > 0 {
            let text = format!("{} missing, given up by the sender", message.gap_before);
            rows.push(rule(&text, self.width, Style::new()));
        }
        self.body(message, &mut rows);
        Some(rows)
    }

    fn body(&self, message: &Message, rows: &mut Vec<Line<'static>>) {
        let time = words::local(words::when(message), self.zone, "%H:%M");
        let name = match message.direction {
            Direction::Out => "me".to_owned(),
            Direction::In => cut(&text::line(&self.view.chat.name), self.name_width),
        };
        let name_style = match message.direction {
            Direction::Out => Style::new(),
            Direction::In => Style::new().add_modifier(Modifier::BOLD),
        };
        let pad = " ".repeat(self.name_width.saturating_sub(columns(&name)));
        let head = vec![
            Span::styled(format!("{time} "), Style::new().add_modifier(Modifier::DIM)),
            Span::styled(name, name_style),
        ];
        let body = text::block(&message.body);
        let indent = if self.width < HANGING_COLUMNS_MIN {
            rows.push(Line::from(head));
            for row in wrap(&body, self.width.saturating_sub(2)) {
                rows.push(Line::from(format!("  {row}")));
            }
            2
        } else {
            let indent = 6 + self.name_width + 2;
            let mut wrapped = wrap(&body, self.width - indent).into_iter();
            let mut first = head;
            first.push(Span::raw(format!(
                "{pad}  {}",
                wrapped.next().unwrap_or_default()
            )));
            rows.push(Line::from(first));
            rows.extend(wrapped.map(|row| Line::from(format!("{}{row}", " ".repeat(indent)))));
            indent
        };
        if message.direction == Direction::Out {
            self.state(message, indent, rows);
        }
    }

    /// Puts the state behind the text if it fits there, else below it.
    fn state(&self, message: &Message, indent: usize, rows: &mut Vec<Line<'static>>) {
        let why = message.why.as_deref();
        let state = words::state(message.state, message.kept.as_ref(), why, self.zone);
        let style = Style::new().add_modifier(Modifier::DIM);
        let free = rows.last().map_or(0, |row| {
            let used: usize = row.spans.iter().map(|span| columns(&span.content)).sum();
            self.width.saturating_sub(used)
        });
        let needed = columns(&state);
        if needed + 2 <= free
            && let Some(row) = rows.last_mut()
        {
            row.push_span(Span::raw(" ".repeat(free - needed)));
            row.push_span(Span::styled(state, style));
            return;
        }
        for row in wrap(&state, self.width.saturating_sub(indent)) {
            let pad = self.width.saturating_sub(columns(&row));
            let spans = vec![Span::raw(" ".repeat(pad)), Span::styled(row, style)];
            rows.push(Line::from(spans));
        }
    }
}

/// A line across with words in its middle.
pub(crate) fn rule(words: &str, width: usize, style: Style) -> Line<'static> {
    let words = cut(words, width.saturating_sub(4));
    let rest = width.saturating_sub(columns(&words) + 2);
    let (left, right) = (rest / 2, rest - rest / 2);
    let rule = format!("{} {words} {}", "─".repeat(left), "─".repeat(right));
    Line::styled(cut(&rule, width), style)
}
