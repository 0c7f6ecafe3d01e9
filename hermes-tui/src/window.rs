//! The part of a conversation that is in memory: a window over the history, read page by page.

use std::collections::VecDeque;

use hermes_api::types::{ChatHistoryResponse, Message, MessageStateChanged};

use crate::msg::Place;

/// Most messages in a window.
const MESSAGES_MAX: usize = 500;

/// Most bytes of text in a window; at least one page is kept whatever its size.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// Messages that are kept even if they are large.
const MESSAGES_MIN: usize = 50;

/// Whether there are messages beyond an end of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// There are none.
    Nothing,
    /// There are some, or it is not known.
    #[default]
    More,
}

/// Messages without a gap, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Window {
    messages: VecDeque<Message>,
    bytes: usize,
    older: Beyond,
    newer: Beyond,
    /// The page that was asked for and has not come.
    pub(crate) awaited: Option<Place>,
}

impl Window {
    /// The messages, oldest first.
    pub(crate) fn messages(&self) -> &VecDeque<Message> {
        &self.messages
    }

    /// The message at this place of the window.
    pub(crate) fn at(&self, index: usize) -> Option<&Message> {
        self.messages.get(index)
    }

    /// Where the message with this `seq` is, or the next newer one.
    pub(crate) fn index_of(&self, seq: u64) -> usize {
        self.messages.partition_point(|message| message.seq < seq)
    }

    /// The newest message in the window.
    pub(crate) fn last(&self) -> Option<&Message> {
        self.messages.back()
    }

    /// Whether the newest message of the conversation is in the window.
    pub(crate) fn is_at_end(&self) -> bool {
        self.newer == Beyond::Nothing
    }

    /// The page to ask for to see older messages.
    pub(crate) fn older_page(&self) -> Option<Place> {
        let first = self.messages.front()?;
        (self.older == Beyond::More && self.awaited.is_none()).then_some(Place::Before(first.seq))
    }

    /// The page to ask for to see newer messages.
    pub(crate) fn newer_page(&self) -> Option<Place> {
        let last = self.messages.back()?;
        (self.newer == Beyond::More && self.awaited.is_none()).then_some(Place::After(last.seq))
    }

    /// Takes a page that was asked for.
    pub(crate) fn take(&mut self, place: Place, page: ChatHistoryResponse) {
        if self.awaited != Some(place) {
            return;
        }
        self.awaited = None;
        let more = if page.more {
            Beyond::More
        } else {
            Beyond::Nothing
        };
        match place {
            Place::Newest => {
                self.messages.clear();
                self.bytes = 0;
                self.older = more;
                self.newer = Beyond::Nothing;
                page.items
                    .into_iter()
                    .for_each(|message| self.put_last(message));
            }
            Place::Before(_) => {
                self.older = more;
                for message in page.items.into_iter().rev() {
                    self.bytes += message.body.len();
                    self.messages.push_front(message);
                }
                self.trim_newer();
            }
            Place::After(_) => {
                self.newer = more;
                page.items
                    .into_iter()
                    .for_each(|message| self.put_last(message));
                self.trim_older();
            }
        }
    }

    /// Takes a new message; whether it is one that the window did not have.
    pub(crate) fn push(&mut self, message: &Message) {
        let newest = self.messages.back().map_or(0, |last| last.seq);
        if self.newer == Beyond::Nothing && message.seq > newest {
            self.put_last(message.clone());
        }
    }

    /// Notes where a message stands now.
    pub(crate) fn change(&mut self, change: &MessageStateChanged) {
        let index = self.index_of(change.seq);
        if let Some(message) = self.messages.get_mut(index)
            && message.message_id == change.message_id
        {
            message.state = change.state;
            message.kept = change.kept;
            message.why.clone_from(&change.why);
        }
    }

    /// Forgets the oldest messages beyond the limits.
    pub(crate) fn trim_older(&mut self) {
        while self.is_too_large()
            && let Some(message) = self.messages.pop_front()
        {
            self.bytes -= message.body.len();
            self.older = Beyond::More;
        }
    }

    /// Forgets the newest messages beyond the limits.
    pub(crate) fn trim_newer(&mut self) {
        while self.is_too_large()
            && let Some(message) = self.messages.pop_back()
        {
            self.bytes -= message.body.len();
            self.newer = Beyond::More;
        }
    }

    fn is_too_large(&self) -> bool {
        self.messages.len() > MESSAGES_MAX
            || (self.bytes > BYTES_MAX && self.messages.len() > MESSAGES_MIN)
    }

    fn put_last(&mut self, message: Message) {
        if self
            .messages
            .back()
            .is_none_or(|last| last.seq < message.seq)
        {
            self.bytes += message.body.len();
            self.messages.push_back(message);
        }
    }
}
