//! The form for screen readers and simple terminals: whole lines, one below the other, and a
//! prompt. Nothing is drawn over, and every change of state is said as a sentence.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Result;
use hermes_api::client::Feed;
use hermes_api::paths::Paths;
use hermes_api::text;
use hermes_api::types::{Direction, EventData, Message};

use crate::app::{Go, Outside, model};
use crate::keymap::COMMANDS;
use crate::model::{Model, Popup};
use crate::msg::{Effect, Msg, Place};
use crate::update::update;
use crate::view::{banner, hint};
use crate::words;
use crate::wrap::cut;

#[cfg(test)]
mod tests;

/// A screen size that makes the one conversation visible; nothing is drawn.
const SIZE: (u16, u16) = (80, 24);

/// Messages that are said when a conversation is opened.
const HISTORY_LINES: usize = 10;

/// Columns of a message that are repeated when its state changes.
const QUOTE_COLUMNS: usize = 30;

/// After so long without anything to say the prompt is printed, so that it does not stand between
/// lines that belong together.
const QUIET: Duration = Duration::from_millis(150);

/// What has been said already.
#[derive(Debug, Default)]
pub(crate) struct Speaker {
    banner: Option<String>,
    hint: Option<String>,
    chat: Option<String>,
    prompt: Option<String>,
}

/// Runs the plain form until the input ends or it is quit.
pub(crate) async fn run(paths: Paths) -> Result<()> {
    let mut model = model(SIZE)?;
    let (mut outside, mut messages) = Outside::new(paths);
    outside.run(vec![Effect::Start]);
    let lines = outside.sender();
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if lines.blocking_send(Msg::Line(line)).is_err() {
                    return;
                }
            }
            let _ = lines.blocking_send(Msg::Line("/quit".to_owned()));
        })?;
    let mut speaker = Speaker::default();
    loop {
        let msg = match tokio::time::timeout(QUIET, messages.recv()).await {
            Ok(Some(msg)) => msg,
            Ok(None) => return Ok(()),
            Err(_) => {
                speaker.prompt(&model)?;
                match messages.recv().await {
                    Some(msg) => msg,
                    None => return Ok(()),
                }
            }
        };
        if matches!(msg, Msg::Line(_)) {
            speaker.prompt = None;
        }
        let (said, effects) = step(&mut speaker, &mut model, msg);
        if outside.run(effects) == Go::Out {
            return Ok(());
        }
        speaker.print(&said)?;
    }
}

/// Takes in what happened; what to say about it, and what to do.
pub(crate) fn step(
    speaker: &mut Speaker,
    model: &mut Model,
    msg: Msg,
) -> (Vec<String>, Vec<Effect>) {
    let mut said = Vec::new();
    if let Msg::Feed(Feed::Event(event)) = &msg {
        said.extend(happened(model, &event.data));
    }
    let opened = matches!(&msg, Msg::History(chat, Place::Newest, Ok(_))
        if model.current().is_some_and(|view| &view.chat.chat == chat));
    let effects = update(model, msg);
    said.extend(model.notice.take());
    for popup in std::mem::take(&mut model.popups) {
        match popup {
            Popup::Text { title, text } => said.push(format!("{title}: {text}")),
            Popup::Help(_) => said.extend(
                COMMANDS
                    .iter()
                    .map(|(command, help)| format!("{command}: {help}")),
            ),
            Popup::Switcher(..) => {}
        }
    }
    speaker.standing(model, &mut said);
    let chat = model.current().map(|view| view.chat.chat.clone());
    if opened || (chat != speaker.chat && is_loaded(model)) {
        opening(model, &mut said);
        speaker.chat = chat;
    }
    (said, effects)
}

fn is_loaded(model: &Model) -> bool {
    model.current().is_some_and(|view| view.window.is_at_end())
}

impl Speaker {
    /// Says how things stand if that changed.
    fn standing(&mut self, model: &Model, said: &mut Vec<String>) {
        let banner = banner(&model.link, "/reconnect");
        if banner != self.banner {
            said.push(
                banner
                    .clone()
                    .unwrap_or_else(|| "hermesd is there".to_owned()),
            );
            self.banner = banner;
        }
        let hint = hint(model).filter(|_| model.current().is_none());
        if hint != self.hint {
            said.extend(hint.clone());
            self.hint = hint;
        }
    }

    /// Prints lines, each on a row of its own.
    fn print(&mut self, said: &[String]) -> io::Result<()> {
        if said.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if self.prompt.take().is_some() {
            // What is being typed stands behind the prompt; the terminal keeps it.
            writeln!(out)?;
        }
        for line in said.iter().flat_map(|text| text.lines()) {
            writeln!(out, "{}", text::line(line))?;
        }
        out.flush()
    }

    /// Prints the prompt if it does not stand, and if somebody types.
    fn prompt(&mut self, model: &Model) -> io::Result<()> {
        let name = model
            .current()
            .map(|view| text::line(&view.chat.name).into_owned());
        let prompt = format!("{}> ", name.as_deref().unwrap_or("hermes"));
        if self.prompt.as_ref() == Some(&prompt) || !io::stdin().is_terminal() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if self.prompt.is_some() {
            writeln!(out)?;
        }
        write!(out, "{prompt}")?;
        self.prompt = Some(prompt);
        out.flush()
    }
}

/// Says the last messages of the conversation that was opened.
fn opening(model: &Model, said: &mut Vec<String>) {
    let Some(view) = model.current() else {
        return;
    };
    let messages = view.window.messages();
    said.push(format!(
        "chat with {}, {} unread",
        text::line(&view.chat.name),
        view.chat.unread
    ));
    let skipped = messages.len().saturating_sub(HISTORY_LINES);
    for message in messages.iter().skip(skipped) {
        said.push(sentence(model, message, &view.chat.name));
    }
}

/// A message as lines.
fn sentence(model: &Model, message: &Message, chat_name: &str) -> String {
    let time = words::local(words::when(message), &model.zone, "%H:%M");
    let body = text::block(&message.body);
    let body = body.trim_end();
    match message.direction {
        Direction::In => format!("{time} {}: {body}", text::line(&message.sender)),
        Direction::Out => {
            let why = message.why.as_deref();
            let state = words::state(message.state, message.kept.as_ref(), why, &model.zone);
            format!("{time} me to {}: {body} ({state})", text::line(chat_name))
        }
    }
}

/// What to say about an event.
fn happened(model: &Model, data: &EventData) -> Option<String> {
    let view_of = |chat: &str| model.chats.iter().find(|view| view.chat.chat == chat);
    match data {
        EventData::MessageReceived(message) | EventData::MessageSent(message) => {
            let view = view_of(&message.chat);
            if view.is_some_and(|view| message.seq <= view.chat.last_seq) {
                return None;
            }
            let name = view.map_or(message.sender.as_str(), |view| view.chat.name.as_str());
            Some(sentence(model, message, name))
        }
        EventData::MessageState(change) => {
            let view = view_of(&change.chat)?;
            let name = text::line(&view.chat.name);
            let why = change.why.as_deref();
            let state = words::state(change.state, change.kept.as_ref(), why, &model.zone);
            let quoted = view
                .window
                .at(view.window.index_of(change.seq))
                .filter(|message| message.message_id == change.message_id)
                .filter(|message| message.direction == Direction::Out);
            let quoted = cut(&text::line(&quoted?.body), QUOTE_COLUMNS);
            Some(format!("to {name}, \"{quoted}\": {state}"))
        }
        EventData::ContactState(change) => Some(format!(
            "{}: {}",
            text::line(&change.name),
            change.state.as_str()
        )),
        EventData::ContactRenamed(change) => Some(format!(
            "{} is called {} now",
            text::line(&change.old_name),
            text::line(&change.name)
        )),
        _ => None,
    }
}
