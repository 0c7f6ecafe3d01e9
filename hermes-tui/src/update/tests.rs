//! Keys pressed and events told in turn, and what comes of them.

use crossterm::event::{KeyCode, KeyModifiers};
use hermes_api::client::{ClientError, Feed};
use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::types::{
    ChatRead, Direction, EventData, MessageSendResponse, MessageState, MessageStateChanged,
};

use super::update;
use crate::model::{Link, Model, Popup, Scroll};
use crate::msg::{Effect, Focus, Msg, Place};
use crate::testing::{
    event, friend, greeted, history, message, press, screen, type_in, with_friends,
};

const NONE: KeyModifiers = KeyModifiers::NONE;

/// Two friends, and sixty messages with the first in memory.
fn talking() -> Model {
    let friends = vec![friend("alice", 60, 0), friend("bob", 3, 0)];
    let mut model = with_friends((80, 24), friends);
    let items = (1..=60).map(|seq| message("alice", seq, Direction::In, &format!("line {seq}")));
    history(&mut model, "alice", items.collect(), false);
    model
}

fn receive(model: &mut Model, chat: &str, seq: u64) -> Vec<Effect> {
    let message = message(chat, seq, Direction::In, &format!("line {seq}"));
    event(model, EventData::MessageReceived(Box::new(message)))
}

fn taken(key: &str) -> Msg {
    let response = MessageSendResponse {
        message_id: "m".to_owned(),
        chat: "alice".to_owned(),
        state: MessageState::Queued,
        duplicate: false,
    };
    Msg::Sent(key.to_owned(), Ok(response))
}

fn send(key: &str, body: &str) -> Effect {
    Effect::Send {
        key: key.to_owned(),
        to: "alice".to_owned(),
        body: body.to_owned(),
    }
}

#[test]
fn the_chosen_chat_is_read_and_claimed() {
    let mut model = with_friends((80, 24), vec![friend("alice", 2, 2)]);
    assert_eq!(model.presence.as_deref(), Some("alice"));
    let items = vec![
        message("alice", 1, Direction::In, "one"),
        message("alice", 2, Direction::In, "two"),
    ];
    let effects = history(&mut model, "alice", items, false);
    let read = Effect::MarkRead {
        chat: "alice".to_owned(),
        up_to: 2,
    };
    assert_eq!(effects, [read]);
    assert!(screen(&model).contains(" new "), "the unread line");
    let read = ChatRead {
        chat: "alice".to_owned(),
        read_seq: 2,
        unread: 0,
    };
    assert_eq!(event(&mut model, EventData::ChatRead(read)), []);
    assert_eq!(model.unread(), 0);
}

#[test]
fn nothing_is_read_while_another_window_has_the_keyboard() {
    let mut model = talking();
    let effects = update(&mut model, Msg::Focus(Focus::Lost));
    assert_eq!(effects, [Effect::Presence(None)]);
    assert_eq!(receive(&mut model, "alice", 61), []);
    assert_eq!(model.unread(), 1);
    let effects = update(&mut model, Msg::Focus(Focus::Gained));
    assert!(effects.contains(&Effect::Presence(Some("alice".to_owned()))));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::MarkRead { up_to: 61, .. }))
    );
    assert!(screen(&model).contains(" new "), "the unread line");
}

#[test]
fn the_view_stays_while_scrolled_up() {
    let mut model = talking();
    press(&mut model, KeyCode::PageUp, NONE);
    let body = |model: &Model| -> Vec<String> {
        // Without the list, whose count of unread messages changes.
        let middle = |line: &str| line.chars().skip(22).collect();
        screen(model).lines().skip(1).take(20).map(middle).collect()
    };
    let before = body(&model);
    assert!(before.iter().any(|line| line.contains("line 30")));
    for seq in 61..=63 {
        assert_eq!(receive(&mut model, "alice", seq), [], "not marked read");
    }
    assert_eq!(body(&model), before);
    assert!(screen(&model).contains("3 new below"));
    let effects = press(&mut model, KeyCode::End, KeyModifiers::CONTROL);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::MarkRead { up_to: 63, .. }))
    );
    assert!(screen(&model).contains("line 63"));
    assert!(!screen(&model).contains("new below"));
}

#[test]
fn scrolling_up_and_down_again_ends_at_the_bottom() {
    let mut model = talking();
    for _ in 0..3 {
        press(&mut model, KeyCode::PageUp, NONE);
    }
    assert!(screen(&model).contains("line 1 "), "{}", screen(&model));
    for _ in 0..4 {
        press(&mut model, KeyCode::PageDown, NONE);
    }
    assert_eq!(model.current().expect("alice").scroll, Scroll::Bottom);
}

#[test]
fn older_messages_are_asked_for_near_the_top() {
    let mut model = with_friends((80, 24), vec![friend("alice", 160, 0)]);
    let items = (101..=160).map(|seq| message("alice", seq, Direction::In, "x"));
    history(&mut model, "alice", items.collect(), true);
    assert_eq!(press(&mut model, KeyCode::PageUp, NONE), [], "not yet");
    let effects = press(&mut model, KeyCode::PageUp, NONE);
    let wanted = Effect::LoadHistory("alice".to_owned(), Place::Before(101));
    assert_eq!(effects, [wanted]);
    let effects = press(&mut model, KeyCode::PageUp, NONE);
    assert_eq!(effects, [], "asked for once");
}

#[test]
fn messages_go_out_one_after_the_other() {
    let mut model = talking();
    type_in(&mut model, "one");
    let effects = press(&mut model, KeyCode::Enter, NONE);
    assert_eq!(effects, [send("tui-test-1", "one")]);
    type_in(&mut model, "two");
    assert_eq!(press(&mut model, KeyCode::Enter, NONE), []);
    assert!(screen(&model).contains("me: two (sending)"));
    let effects = update(&mut model, taken("tui-test-1"));
    assert_eq!(effects, [send("tui-test-2", "two")]);
    assert_eq!(update(&mut model, taken("tui-test-2")), []);
    assert!(model.outbox.is_empty());
}

#[test]
fn a_message_whose_answer_was_lost_goes_out_again_under_its_key() {
    let mut model = talking();
    type_in(&mut model, "one");
    press(&mut model, KeyCode::Enter, NONE);
    update(&mut model, Msg::Feed(Feed::Lost(ClientError::Lost)));
    assert_eq!(model.link, Link::Lost);
    let lost = Msg::Sent("tui-test-1".to_owned(), Err(ClientError::Lost));
    assert_eq!(update(&mut model, lost), []);
    assert!(screen(&model).contains("hermesd is restarting"));
    assert!(screen(&model).contains("me: one (waits for hermesd)"));
    let effects = update(&mut model, Msg::Feed(Feed::Connected));
    assert!(effects.contains(&send("tui-test-1", "one")));
    assert!(effects.contains(&Effect::Presence(Some("alice".to_owned()))));
}

#[test]
fn a_refused_message_comes_back_to_the_compose_line() {
    let mut model = talking();
    type_in(&mut model, "one");
    press(&mut model, KeyCode::Enter, NONE);
    let refused = ApiError::new(ErrorCode::Blocked, "alice is blocked");
    update(
        &mut model,
        Msg::Sent("tui-test-1".to_owned(), Err(refused.into())),
    );
    assert_eq!(model.draft().lines(), ["one"]);
    assert!(screen(&model).contains("alice is blocked"));
}

#[test]
fn newlines_are_written_and_not_sent() {
    let mut model = talking();
    type_in(&mut model, "one");
    press(&mut model, KeyCode::Enter, KeyModifiers::ALT);
    type_in(&mut model, "two");
    press(&mut model, KeyCode::Char('j'), KeyModifiers::CONTROL);
    type_in(&mut model, "three");
    let effects = press(&mut model, KeyCode::Enter, NONE);
    assert_eq!(effects, [send("tui-test-1", "one\ntwo\nthree")]);
}

#[test]
fn each_chat_keeps_its_draft() {
    let mut model = talking();
    type_in(&mut model, "for alice");
    press(&mut model, KeyCode::Tab, NONE);
    assert_eq!(model.current().expect("bob").chat.name, "bob");
    assert_eq!(model.draft().lines(), [""]);
    assert!(screen(&model).contains("draft"));
    press(&mut model, KeyCode::Char('1'), KeyModifiers::ALT);
    assert_eq!(model.draft().lines(), ["for alice"]);
}

#[test]
fn keys_lead_to_chats() {
    let mut model = talking();
    let name = |model: &Model| model.current().expect("chosen").chat.name.clone();
    press(&mut model, KeyCode::BackTab, KeyModifiers::SHIFT);
    assert_eq!(name(&model), "bob");
    press(&mut model, KeyCode::Down, KeyModifiers::ALT);
    assert_eq!(name(&model), "alice");
    receive(&mut model, "bob", 4);
    press(&mut model, KeyCode::Char('a'), KeyModifiers::ALT);
    assert_eq!(name(&model), "bob");
    press(&mut model, KeyCode::Char('k'), KeyModifiers::CONTROL);
    type_in(&mut model, "lic");
    press(&mut model, KeyCode::Enter, NONE);
    assert_eq!(name(&model), "alice");
    assert!(model.popups.is_empty());
    press(&mut model, KeyCode::Char('9'), KeyModifiers::ALT);
    assert_eq!(name(&model), "alice", "there are not so many");
}

#[test]
fn an_event_told_twice_counts_once() {
    let mut model = talking();
    receive(&mut model, "bob", 4);
    receive(&mut model, "bob", 4);
    assert_eq!(model.unread(), 1);
}

#[test]
fn states_change_where_they_stand() {
    let mut model = talking();
    let sent = message("alice", 61, Direction::Out, "mine");
    event(&mut model, EventData::MessageSent(Box::new(sent)));
    let change = MessageStateChanged {
        message_id: "alice-61".to_owned(),
        chat: "alice".to_owned(),
        seq: 61,
        state: MessageState::Failed,
        kept: None,
        why: Some("too old".to_owned()),
    };
    event(&mut model, EventData::MessageState(change));
    assert!(screen(&model).contains("failed: too old"));
}

#[test]
fn an_expired_cursor_begins_anew() {
    let mut model = talking();
    let expired = ApiError::new(ErrorCode::CursorExpired, "gone");
    let effects = update(&mut model, Msg::Feed(Feed::Ended(expired.into())));
    assert!(effects.contains(&Effect::Start));
    assert!(model.current().expect("alice").window.last().is_none());
}

#[test]
fn commands_are_not_messages() {
    let mut model = greeted((80, 24));
    update(&mut model, Msg::Lists(Ok((Vec::new(), Vec::new()))));
    type_in(&mut model, "/invite");
    assert_eq!(press(&mut model, KeyCode::Enter, NONE), [Effect::Invite]);
    let effects = update(&mut model, Msg::Line("/accept hermes:x bob".to_owned()));
    let accept = Effect::Accept {
        link: "hermes:x".to_owned(),
        name: Some("bob".to_owned()),
    };
    assert_eq!(effects, [accept]);
    assert_eq!(
        update(&mut model, Msg::Line("/quit".to_owned())),
        [Effect::Quit]
    );
    let mut model = talking();
    update(&mut model, Msg::Line("/verify".to_owned()));
    assert!(
        matches!(model.popups.last(), Some(Popup::Text { text, .. }) if text.starts_with("12345"))
    );
    let effects = update(&mut model, Msg::Line("//shrug".to_owned()));
    assert_eq!(effects, [send("tui-test-1", "/shrug")]);
    update(&mut model, Msg::Line("/nonsense".to_owned()));
    assert!(screen(&model).contains("/nonsense"), "given back");
}

#[test]
fn text_that_nobody_sees_is_not_taken() {
    let mut model = talking();
    update(&mut model, Msg::Paste("a\u{202e}b\x1b[2J\r\nc".to_owned()));
    type_in(&mut model, "\u{200b}\u{9b}d");
    assert_eq!(model.draft().lines(), ["ab[2J", "cd"]);
}
