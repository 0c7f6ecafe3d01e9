//! How screens look, and that nothing hostile reaches them.

use crossterm::event::{KeyCode, KeyModifiers};
use hermes_api::client::{ClientError, Feed};
use hermes_api::types::{ContactState, Direction, Message, MessageState};
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::model::{Link, Model};
use crate::msg::Msg;
use crate::testing::{
    draw, friend, greeted, history, kept, message, press, screen, type_in, with_friends,
};
use crate::update::update;

/// A conversation with every state a message can be in.
fn talk() -> Vec<Message> {
    let out = |seq, state, body: &str| Message {
        state,
        ..message("alice", seq, Direction::Out, body)
    };
    vec![
        message("alice", 1, Direction::In, "see you at eight?"),
        out(2, MessageState::Read, "yes"),
        out(
            3,
            MessageState::Delivered,
            "shall I bring the map, or will you bring it, since yours is newer and shows the path along the river?",
        ),
        Message {
            kept: Some(kept()),
            ..out(4, MessageState::Kept, "and the lamp")
        },
        Message {
            why: Some("no keepers yet".to_owned()),
            ..out(5, MessageState::Queued, "hello?")
        },
        Message {
            why: Some("the friend's daemon refused it".to_owned()),
            ..out(6, MessageState::Failed, "too late")
        },
        out(7, MessageState::Expired, "never seen"),
        message("alice", 8, Direction::In, "bring the map\nand the lamp"),
    ]
}

fn talking(size: (u16, u16)) -> Model {
    let mut asked = friend("carol", 0, 0);
    asked.0.state = ContactState::Asked;
    let friends = vec![friend("alice", 8, 1), friend("bob", 12, 3), asked];
    let mut model = with_friends(size, friends);
    history(&mut model, "alice", talk(), false);
    type_in(&mut model, "on my way");
    model
}

#[test]
fn a_conversation_at_three_widths() {
    for width in [40, 80, 140] {
        assert_snapshot!(
            format!("conversation_{width}"),
            screen(&talking((width, 30)))
        );
    }
}

#[test]
fn the_list_alone_where_there_is_no_room_for_more() {
    let mut model = talking((40, 12));
    press(&mut model, KeyCode::F(2), KeyModifiers::NONE);
    assert_snapshot!(screen(&model));
}

#[test]
fn first_runs_say_what_to_do() {
    let mut model = greeted((80, 14));
    model.link = Link::NoIdentity;
    assert_snapshot!("no_identity", screen(&model));
    assert_snapshot!("no_contacts", screen(&with_friends((80, 14), Vec::new())));
}

#[test]
fn a_daemon_that_went_away_leaves_the_view() {
    let mut model = talking((80, 14));
    update(&mut model, Msg::Feed(Feed::Lost(ClientError::Lost)));
    press(&mut model, KeyCode::Enter, KeyModifiers::NONE);
    assert_snapshot!(screen(&model));
}

#[test]
fn what_lies_above() {
    let mut model = talking((80, 48));
    press(&mut model, KeyCode::F(1), KeyModifiers::NONE);
    assert_snapshot!("help", screen(&model));
    let mut model = talking((60, 12));
    press(&mut model, KeyCode::Char('k'), KeyModifiers::CONTROL);
    type_in(&mut model, "o");
    assert_snapshot!("switcher", screen(&model));
}

/// Text with more of what is dangerous than chance would bring.
fn hostile() -> impl Strategy<Value = String> {
    let danger = prop::sample::select(vec![
        "\x1b[2J",
        "\u{202e}",
        "\u{2066}",
        "\u{9b}",
        "\u{200b}",
        "\u{7}",
        "\n",
        "\t",
        "👩‍👩‍👧",
        "e\u{301}\u{301}\u{301}",
        "你好",
        "\u{fdfa}",
        "\r",
        "\u{2028}",
    ]);
    let part = prop_oneof![danger.prop_map(str::to_owned), ".{0,30}"];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_harmful_is_drawn_at_any_size(
        name in hostile(),
        body in hostile(),
        why in hostile(),
        pasted in hostile(),
        size in (0_u16..150, 0_u16..40),
        scrolled in 0_u8..4,
        popup in 0_u8..4,
    ) {
        let (mut contact, mut chat) = friend("alice", 4, 2);
        contact.name.clone_from(&name);
        chat.name = name;
        let mut model = with_friends(size, vec![(contact, chat), friend("bob", 3, 0)]);
        let failed = Message {
            state: MessageState::Failed,
            why: Some(why.clone()),
            ..message("alice", 4, Direction::Out, &body)
        };
        let items = (1..4).map(|seq| message("alice", seq, Direction::In, &body)).chain([failed]);
        history(&mut model, "alice", items.collect(), false);
        update(&mut model, Msg::Paste(pasted));
        for _ in 0..scrolled {
            press(&mut model, KeyCode::PageUp, KeyModifiers::NONE);
        }
        match popup {
            1 => { press(&mut model, KeyCode::F(1), KeyModifiers::NONE); }
            2 => { press(&mut model, KeyCode::Char('k'), KeyModifiers::CONTROL); }
            3 => model.link = Link::Failed(why),
            _ => {}
        }
        let terminal = draw(&model);
        for cell in terminal.backend().buffer().content() {
            prop_assert!(!cell.symbol().chars().any(is_harmful), "{:?}", cell.symbol());
        }
    }
}
