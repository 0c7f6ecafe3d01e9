//! What can happen, and what is to be done about it: the two closed enums around `update`.

use crossterm::event::KeyEvent;
use hermes_api::client::{ClientError, Feed};
use hermes_api::types::{
    Chat, ChatHistoryResponse, Contact, Cursor, HelloResponse, InviteAcceptResponse,
    InviteCreateResponse, MessageSendResponse, StatusResponse,
};

/// The outcome of a call to the daemon.
pub(crate) type Outcome<T> = Result<T, ClientError>;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal got or lost the keyboard.
    Focus(Focus),
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// A line was entered in the plain form.
    Line(String),
    /// The daemon was reached, or could not be.
    Greeted(Outcome<Box<HelloResponse>>),
    /// The stream of events told something.
    Feed(Feed),
    /// The daemon's state.
    Status(Outcome<Box<StatusResponse>>),
    /// All contacts and conversations.
    Lists(Outcome<(Vec<Contact>, Vec<Chat>)>),
    /// Messages of a conversation.
    History(String, Place, Outcome<ChatHistoryResponse>),
    /// A message was taken for delivery, or not; the key tells which.
    Sent(String, Outcome<MessageSendResponse>),
    /// An invite was made.
    Invited(Outcome<InviteCreateResponse>),
    /// An invite was accepted.
    Accepted(Outcome<InviteAcceptResponse>),
    /// A safety number was compared.
    Verified(Outcome<Contact>),
    /// A conversation could not be marked read.
    NotMarked(String),
}

/// Whether the terminal has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Focus {
    /// It has.
    Gained,
    /// Another window has.
    Lost,
}

/// Which messages of a conversation are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The newest.
    Newest,
    /// Those right before this one.
    Before(u64),
    /// Those right after this one.
    After(u64),
}

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Reach the daemon, starting it if need be.
    Start,
    /// Read events from here on.
    Subscribe(Option<Cursor>),
    /// Ask for the daemon's state.
    LoadStatus,
    /// Ask for contacts and conversations.
    LoadLists,
    /// Ask for messages.
    LoadHistory(String, Place),
    /// Hand a message to the daemon.
    Send {
        /// The idempotency key.
        key: String,
        /// The conversation.
        to: String,
        /// The text.
        body: String,
    },
    /// Note messages as read.
    MarkRead {
        /// The conversation.
        chat: String,
        /// The last that was read.
        up_to: u64,
    },
    /// Tell which conversation somebody looks at.
    Presence(Option<String>),
    /// Make an invite.
    Invite,
    /// Accept an invite.
    Accept {
        /// The link.
        link: String,
        /// What to call the inviter.
        name: Option<String>,
    },
    /// Compare a safety number.
    Verify {
        /// The contact.
        contact: String,
        /// The number that the friend read out.
        number: String,
    },
    /// Draw everything anew.
    Redraw,
    /// End.
    Quit,
}
