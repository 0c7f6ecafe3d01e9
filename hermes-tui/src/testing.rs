//! What tests share: conversations made by hand, and a screen to draw them on.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use hermes_api::client::Feed;
use hermes_api::types::{API_MAJOR, API_MINOR, ApiVersion};
use hermes_api::types::{
    Chat, ChatHistoryResponse, Contact, ContactState, Cursor, Direction, Event, EventData,
    HelloResponse, Kept, LinkState, Message, MessageState, StoreInfo, Time,
};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::model::Model;
use crate::msg::{Effect, Msg, Place};
use crate::update::update;
use crate::view::view;

/// 10:00 on the first of December 2026.
const MORNING_MS: i64 = 1_796_119_200_000;

/// A minute later each.
pub(crate) fn minute(number: u64) -> Time {
    Time::from_unix_ms(MORNING_MS + 60_000 * i64::try_from(number).expect("small"))
}

/// A message in the conversation with this friend.
pub(crate) fn message(chat: &str, seq: u64, direction: Direction, body: &str) -> Message {
    let is_in = direction == Direction::In;
    Message {
        message_id: format!("{chat}-{seq}"),
        chat: chat.to_owned(),
        seq,
        sender: if is_in { chat } else { "me" }.to_owned(),
        direction,
        body: body.to_owned(),
        state: MessageState::Delivered,
        sent_at: minute(seq),
        received_at: is_in.then(|| minute(seq)),
        kept: None,
        why: None,
        gap_before: 0,
    }
}

/// Kept by five of five until the fourth of December.
pub(crate) fn kept() -> Kept {
    Kept {
        receipts: 5,
        of: 5,
        until: Time::from_unix_ms(MORNING_MS + 3 * 86_400_000),
    }
}

/// A conversation and its contact, with so many messages unread.
pub(crate) fn friend(name: &str, last_seq: u64, unread: u64) -> (Contact, Chat) {
    let contact = Contact {
        contact_id: name.to_owned(),
        name: name.to_owned(),
        state: ContactState::Established,
        verified: name == "alice",
        safety_number: Some("12345 67890 12345 67890".to_owned()),
        link: LinkState::Direct,
        last_seen: Some(minute(0)),
        created_at: minute(0),
    };
    let chat = Chat {
        chat: name.to_owned(),
        name: name.to_owned(),
        contact_id: name.to_owned(),
        unread,
        read_seq: last_seq - unread,
        last_seq,
        last: None,
    };
    (contact, chat)
}

/// A model that has just been told that the daemon is there.
pub(crate) fn greeted(size: (u16, u16)) -> Model {
    let mut model = Model::new(size, "test".to_owned(), TimeZone::UTC);
    let hello = HelloResponse {
        server_version: "0.1.0".to_owned(),
        api: ApiVersion {
            major: API_MAJOR,
            minor: API_MINOR,
        },
        capabilities: Vec::new(),
        store: StoreInfo {
            epoch: Some("e".to_owned()),
            locked: false,
        },
        cursor: Some(Cursor::new("e", 1)),
    };
    update(&mut model, Msg::Greeted(Ok(Box::new(hello))));
    model
}

/// A model with these conversations.
pub(crate) fn with_friends(size: (u16, u16), friends: Vec<(Contact, Chat)>) -> Model {
    let mut model = greeted(size);
    update(&mut model, Msg::Lists(Ok(friends.into_iter().unzip())));
    model
}

/// The newest messages of a conversation come; what follows from it.
pub(crate) fn history(
    model: &mut Model,
    chat: &str,
    items: Vec<Message>,
    more: bool,
) -> Vec<Effect> {
    let page = ChatHistoryResponse {
        chat: chat.to_owned(),
        items,
        more,
    };
    update(
        model,
        Msg::History(chat.to_owned(), Place::Newest, Ok(page)),
    )
}

/// An event comes; what follows from it.
pub(crate) fn event(model: &mut Model, data: EventData) -> Vec<Effect> {
    let event = Event {
        cursor: Cursor::new("e", 9),
        time: minute(0),
        data,
    };
    update(model, Msg::Feed(Feed::Event(event)))
}

/// A key is pressed; what follows from it.
pub(crate) fn press(model: &mut Model, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
    update(model, Msg::Key(KeyEvent::new(code, modifiers)))
}

/// Text is typed.
pub(crate) fn type_in(model: &mut Model, text: &str) {
    for c in text.chars() {
        press(model, KeyCode::Char(c), KeyModifiers::NONE);
    }
}

/// The model on a screen of its size.
pub(crate) fn draw(model: &Model) -> Terminal<TestBackend> {
    let (columns, rows) = model.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("infallible");
    terminal
        .draw(|frame| view(model, frame))
        .expect("infallible");
    terminal
}

/// What is on the screen, row by row.
pub(crate) fn screen(model: &Model) -> String {
    draw(model).backend().to_string()
}
