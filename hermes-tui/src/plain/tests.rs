//! What is said in the plain form.

use hermes_api::client::{ClientError, Feed};
use hermes_api::types::{ChatHistoryResponse, Direction, Event, EventData, MessageStateChanged};
use hermes_api::types::{Cursor, MessageState};

use super::{Speaker, step};
use crate::model::Model;
use crate::msg::{Msg, Place};
use crate::testing::{friend, kept, message, minute, with_friends};

fn said(speaker: &mut Speaker, model: &mut Model, msg: Msg) -> Vec<String> {
    step(speaker, model, msg).0
}

fn told(data: EventData) -> Msg {
    Msg::Feed(Feed::Event(Event {
        cursor: Cursor::new("e", 2),
        time: minute(0),
        data,
    }))
}

#[test]
fn every_change_is_a_line() {
    let mut model = with_friends((80, 24), vec![friend("alice", 1, 1), friend("bob", 0, 0)]);
    let mut speaker = Speaker::default();
    let page = ChatHistoryResponse {
        chat: "alice".to_owned(),
        items: vec![message("alice", 1, Direction::In, "see you?\x1b[2J")],
        more: false,
    };
    let opened = Msg::History("alice".to_owned(), Place::Newest, Ok(page));
    assert_eq!(
        said(&mut speaker, &mut model, opened),
        ["chat with alice, 1 unread", "10:01 alice: see you?[2J"]
    );
    let sent = message("alice", 2, Direction::Out, "yes");
    assert_eq!(
        said(
            &mut speaker,
            &mut model,
            told(EventData::MessageSent(Box::new(sent)))
        ),
        ["10:02 me to alice: yes (delivered)"]
    );
    let change = MessageStateChanged {
        message_id: "alice-2".to_owned(),
        chat: "alice".to_owned(),
        seq: 2,
        state: MessageState::Kept,
        kept: Some(kept()),
        why: None,
    };
    assert_eq!(
        said(
            &mut speaker,
            &mut model,
            told(EventData::MessageState(change))
        ),
        ["to alice, \"yes\": kept by 5 of 5 until 4 Dec"]
    );
    let other = message("bob", 1, Direction::In, "hello");
    assert_eq!(
        said(
            &mut speaker,
            &mut model,
            told(EventData::MessageReceived(Box::new(other)))
        ),
        ["10:01 bob: hello"]
    );
    let lost = Msg::Feed(Feed::Lost(ClientError::Lost));
    assert_eq!(
        said(&mut speaker, &mut model, lost),
        ["hermesd is restarting; /reconnect starts it"]
    );
    assert_eq!(
        said(&mut speaker, &mut model, Msg::Feed(Feed::Connected)),
        ["hermesd is there"]
    );
    assert_eq!(
        said(&mut speaker, &mut model, Msg::Line("/chats".to_owned())),
        ["chats: 1. alice, 1 unread\n2. bob, 1 unread"]
    );
}
