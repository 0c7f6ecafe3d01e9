//! Draws the model. Nothing here changes it.

mod chats;
mod compose;
mod conversation;
mod details;
mod popups;

pub(crate) use conversation::hint;

#[cfg(test)]
mod tests;

use hermes_api::text;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use crate::layout::{areas, rule};
use crate::model::{Link, Model, Scroll};
use crate::wrap::{columns, cut};

/// Draws everything.
pub(crate) fn view(model: &Model, frame: &mut Frame<'_>) {
    let areas = areas(model);
    title(model, frame, areas.title);
    chats::draw(model, frame, areas.chats);
    conversation::draw(model, frame, areas.conversation);
    details::draw(model, frame, areas.details);
    notice(model, frame, areas.notice);
    status(model, frame, areas.status);
    compose::draw(model, frame, areas.compose);
    popups::draw(model, frame);
}

/// What is wrong with the daemon, in words; `again` is how to reach it again.
pub(crate) fn banner(link: &Link, again: &str) -> Option<String> {
    match link {
        Link::Up => None,
        Link::Starting => Some("reaching hermesd".to_owned()),
        Link::Lost => Some(format!("hermesd is restarting; {again} starts it")),
        Link::Locked => {
            Some("hermesd is locked; unlock it with: hermes-cli store unlock".to_owned())
        }
        Link::NoIdentity => {
            Some("no identity yet; make one with: hermes-cli init --name NAME".to_owned())
        }
        Link::Failed(reason) => Some(format!("{}; {again} tries again", text::line(reason))),
    }
}

fn title(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let mut words = vec!["hermes".to_owned()];
    if let Some(banner) = banner(&model.link, "Ctrl-R") {
        words.push(banner);
    } else if let Some(view) = model.current() {
        words.push(text::line(&view.chat.name).into_owned());
        words.extend(details::standing(view).into_iter().map(str::to_owned));
    }
    let left = format!(" {}", words.join(" · "));
    let right = match model.unread() {
        0 => String::new(),
        unread => format!("{unread} unread "),
    };
    let width = usize::from(area.width);
    let left = cut(&left, width.saturating_sub(columns(&right) + 1));
    let pad = " ".repeat(width.saturating_sub(columns(&left) + columns(&right)));
    let style = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Line::styled(format!("{left}{pad}{right}"), style), area);
}

/// The row above the compose line: what was said last, or how much is below the view.
fn notice(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let below = model.current().filter(|view| view.scroll != Scroll::Bottom);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let line = match (&model.notice, below) {
        (Some(notice), _) => rule(&text::line(notice), width, bold),
        (None, Some(view)) if view.below > 0 => {
            rule(&format!("{} new below, Ctrl-End", view.below), width, bold)
        }
        (None, Some(_)) => rule(
            "older messages, Ctrl-End for the newest",
            width,
            Style::new(),
        ),
        (None, None) => Line::raw("─".repeat(width)),
    };
    frame.render_widget(line, area);
}

fn status(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let mut words = Vec::new();
    if let Some(status) = &model.status {
        if let Some(name) = &status.name {
            words.push(text::line(name).into_owned());
        }
        words.push(format!("sky {}", status.sky.connected));
        words.push(format!("earth {}", status.earth.known));
    }
    let waiting = model.outbox.len();
    if waiting > 0 {
        words.push(format!("{waiting} not yet with hermesd"));
    }
    let help = "F1 help  Ctrl-Q quit ";
    let left = format!(" {}", words.join("  "));
    let width = usize::from(area.width);
    let left = cut(&left, width.saturating_sub(columns(help) + 1));
    let pad = " ".repeat(width.saturating_sub(columns(&left) + columns(help)));
    let dim = Style::new().add_modifier(Modifier::DIM);
    let spans = vec![Span::raw(left), Span::raw(pad), Span::styled(help, dim)];
    frame.render_widget(Line::from(spans), area);
}
