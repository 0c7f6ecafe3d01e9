//! Everything that the screen shows. None of it is the truth: that is the daemon's.

use std::collections::VecDeque;

use hermes_api::types::{Chat, Contact, StatusResponse};
use jiff::tz::TimeZone;
use ratatui_textarea::TextArea;

use crate::msg::Focus;
use crate::window::Window;

/// The state of the program.
#[derive(Debug)]
pub(crate) struct Model {
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
    /// Whether the terminal has the keyboard.
    pub(crate) focus: Focus,
    /// How things stand with the daemon.
    pub(crate) link: Link,
    /// What the daemon last said about itself.
    pub(crate) status: Option<Box<StatusResponse>>,
    /// The conversations, in the order of the list; it changes only when the program starts, so
    /// that a place in it keeps its meaning.
    pub(crate) chats: Vec<ChatView>,
    /// Whether the lists have come at least once.
    pub(crate) lists: Lists,
    /// Which conversation is chosen.
    pub(crate) chosen: usize,
    /// What is shown where there is only room for one pane.
    pub(crate) pane: Pane,
    /// What is written while there is no conversation.
    pub(crate) lobby: TextArea<'static>,
    /// What lies over the panes, the topmost last.
    pub(crate) popups: Vec<Popup>,
    /// What is said about the last thing that was asked for.
    pub(crate) notice: Option<String>,
    /// Messages that the daemon has not confirmed to have taken.
    pub(crate) outbox: VecDeque<Outgoing>,
    /// Whether the first of them is on its way to the daemon.
    pub(crate) sending: Sending,
    /// What makes the idempotency keys of this run unlike those of others.
    pub(crate) key_stem: String,
    /// How many keys were made.
    pub(crate) keys_made: u64,
    /// What the daemon was last told about who looks at what.
    pub(crate) presence: Option<String>,
    /// Where we are on the earth, for the clock.
    pub(crate) zone: TimeZone,
}

/// How things stand with the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It was not reached yet.
    Starting,
    /// It answers.
    Up,
    /// It went away and is tried again.
    Lost,
    /// Its store is locked.
    Locked,
    /// It has no identity yet.
    NoIdentity,
    /// It could not be reached, for this reason, and is not tried again by itself.
    Failed(String),
}

/// Whether contacts and conversations are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lists {
    /// Not yet.
    Unknown,
    /// They came.
    Known,
}

/// One of the two panes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pane {
    /// The list of conversations.
    Chats,
    /// The conversation.
    Conversation,
}

/// Whether a message is on its way to the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// None is.
    Idle,
    /// One is.
    Busy,
}

/// A message that the daemon has not confirmed to have taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// The idempotency key, which lets it be handed over again without harm.
    pub(crate) key: String,
    /// The conversation.
    pub(crate) chat: String,
    /// The text.
    pub(crate) body: String,
}

/// A conversation.
#[derive(Debug)]
pub(crate) struct ChatView {
    /// What the daemon tells about it.
    pub(crate) chat: Chat,
    /// The contact at the other end; none if it was removed.
    pub(crate) contact: Option<Contact>,
    /// The messages in memory.
    pub(crate) window: Window,
    /// What of them is in view.
    pub(crate) scroll: Scroll,
    /// Messages that came while older ones were in view.
    pub(crate) below: u64,
    /// The first message that was unread when the conversation was opened.
    pub(crate) unread_from: Option<u64>,
    /// Up to where it was asked to be marked read.
    pub(crate) marked: u64,
    /// What is being written.
    pub(crate) draft: TextArea<'static>,
}

/// What of a conversation is in view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scroll {
    /// The newest messages.
    Bottom,
    /// This row of this message is at the top.
    At {
        /// The message.
        seq: u64,
        /// Its row.
        row: usize,
    },
}

/// Something that lies over the panes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Popup {
    /// The keys and commands, from this row on.
    Help(usize),
    /// A search for a conversation: what was typed, and which of the found is chosen.
    Switcher(String, usize),
    /// A text to be read.
    Text {
        /// What it is.
        title: String,
        /// The text, fit to be shown.
        text: String,
    },
}

impl Model {
    /// The state before anything is known.
    pub(crate) fn new(size: (u16, u16), key_stem: String, zone: TimeZone) -> Self {
        Self {
            size,
            focus: Focus::Gained,
            link: Link::Starting,
            status: None,
            chats: Vec::new(),
            lists: Lists::Unknown,
            chosen: 0,
            pane: Pane::Conversation,
            lobby: empty_draft(),
            popups: Vec::new(),
            notice: None,
            outbox: VecDeque::new(),
            sending: Sending::Idle,
            key_stem,
            keys_made: 0,
            presence: None,
            zone,
        }
    }

    /// The conversation that is chosen.
    pub(crate) fn current(&self) -> Option<&ChatView> {
        self.chats.get(self.chosen)
    }

    /// The same, to be changed.
    pub(crate) fn current_mut(&mut self) -> Option<&mut ChatView> {
        self.chats.get_mut(self.chosen)
    }

    /// What is being written.
    pub(crate) fn draft(&self) -> &TextArea<'static> {
        self.current().map_or(&self.lobby, |view| &view.draft)
    }

    /// The same, to be changed.
    pub(crate) fn draft_mut(&mut self) -> &mut TextArea<'static> {
        match self.chats.get_mut(self.chosen) {
            Some(view) => &mut view.draft,
            None => &mut self.lobby,
        }
    }

    /// The conversation with this name.
    pub(crate) fn chat_mut(&mut self, chat: &str) -> Option<&mut ChatView> {
        self.chats.iter_mut().find(|view| view.chat.chat == chat)
    }

    /// Where the conversations are whose name holds this, in the order of the list.
    pub(crate) fn found(&self, query: &str) -> Vec<usize> {
        let query = query.to_lowercase();
        let holds = |view: &ChatView| view.chat.name.to_lowercase().contains(&query);
        (0..self.chats.len())
            .filter(|&at| self.chats.get(at).is_some_and(holds))
            .collect()
    }

    /// Messages not read, in all conversations.
    pub(crate) fn unread(&self) -> u64 {
        self.chats.iter().map(|view| view.chat.unread).sum()
    }
}

impl ChatView {
    /// A conversation of which nothing was read yet.
    pub(crate) fn new(chat: Chat, contact: Option<Contact>) -> Self {
        Self {
            chat,
            contact,
            window: Window::default(),
            scroll: Scroll::Bottom,
            below: 0,
            unread_from: None,
            marked: 0,
            draft: empty_draft(),
        }
    }
}

/// A compose line with nothing in it.
pub(crate) fn empty_draft() -> TextArea<'static> {
    use ratatui::style::Style;
    let mut draft = TextArea::default();
    draft.set_cursor_line_style(Style::default());
    draft.set_cursor_style(Style::default());
    draft.set_wrap_mode(ratatui_textarea::WrapMode::WordOrGlyph);
    draft
}
