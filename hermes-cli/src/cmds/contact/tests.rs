//! Tests of the commands about contacts with a daemon in memory.

use hermes_api::client::Double;
use hermes_api::error::Exit;
use hermes_api::table::{ContactGet, ContactList, ContactRemove, ContactVerify};
use hermes_api::types::{ContactState, HistoryFate, Page, VerifyMark};

use super::*;
use crate::args::{Cli, Command};
use crate::cmds::testing::{block_on, contact, context, context_with};
use crate::input::tests::Scripted;
use crate::output::Format;

fn parse(line: &str) -> Contact {
    let words = ["hermes-cli", "contact"]
        .into_iter()
        .chain(line.split_whitespace());
    match <Cli as clap::Parser>::parse_from(words).command {
        Command::Contact(command) => command,
        other => panic!("not about contacts: {other:?}"),
    }
}

/// A daemon with two friends, a page each.
fn daemon() -> Double {
    let double = Double::new();
    double.on::<ContactList>(|params| {
        Ok(if params.after.is_none() {
            Page {
                items: vec![contact("alice")],
                next: Some("2".to_owned()),
            }
        } else {
            Page {
                items: vec![contact("bob\x1b[2J")],
                next: None,
            }
        })
    });
    double.on::<ContactGet>(|params| Ok(contact(&params.contact)));
    double.on::<ContactVerify>(|params| {
        Ok(ContactRow {
            verified: params.mark == VerifyMark::Verified,
            ..contact(&params.contact)
        })
    });
    double.on::<ContactRemove>(|params| {
        Ok(ContactRow {
            state: ContactState::Removed,
            ..contact(&params.contact)
        })
    });
    double
}

#[test]
fn all_pages_make_one_list() {
    let (mut context, shown) = context(daemon(), Format::Json);
    block_on(parse("list").run(&mut context)).expect("listed");
    let stdout = shown.stdout();
    assert_eq!(stdout.lines().count(), 1);
    assert!(stdout.contains("\"state\":\"established\""), "{stdout}");
    let list: Page<ContactRow> = serde_json::from_str(&stdout).expect("json");
    assert_eq!((list.items.len(), list.next), (2, None));
}

#[test]
fn people_see_a_table() {
    let (mut context, shown) = context(daemon(), Format::Human);
    block_on(parse("list").run(&mut context)).expect("listed");
    assert_eq!(
        shown.stdout(),
        "name    state        seen   contact   verified\n\
         alice   established  never  c-alice\n\
         bob[2J  established  never  c-bob[2J\n"
    );
}

/// What `verify` asked and did: the prompts, the marks set, and the end.
fn verify(line: &str, answers: Vec<&'static str>, interactive: bool) -> (usize, usize, Exit) {
    let script = Scripted {
        answers,
        ..Scripted::default()
    };
    let prompts = script.prompts.clone();
    let (mut context, _) = context_with(daemon(), Format::Human, script, interactive);
    let outcome = block_on(parse(line).run(&mut context));
    let marks = context
        .door
        .calls()
        .iter()
        .filter(|(method, _)| method == "contact.verify")
        .count();
    let asked = prompts.lock().expect("lock").len();
    (
        asked,
        marks,
        outcome.map_or_else(|fault| fault.exit(), |()| Exit::Done),
    )
}

#[test]
fn a_contact_is_verified_only_by_somebody_who_compared() {
    assert_eq!(verify("verify bob", vec!["y\n"], true), (1, 1, Exit::Done));
    assert_eq!(
        verify("verify bob", vec!["n\n"], true),
        (1, 0, Exit::Untrusted)
    );
    assert_eq!(verify("verify bob", vec![], false), (0, 0, Exit::Usage));
    assert_eq!(
        verify("verify bob --yes", vec![], false),
        (0, 1, Exit::Done)
    );
    assert_eq!(
        verify("verify bob --number 123", vec![], true),
        (0, 1, Exit::Done)
    );
    assert_eq!(
        verify("verify bob --undo", vec![], true),
        (0, 1, Exit::Done)
    );
}

/// What `remove` did: the fate of the conversation if it got so far, and the end.
fn remove(line: &str, answers: Vec<&'static str>, interactive: bool) -> (Option<String>, Exit) {
    let script = Scripted {
        answers,
        ..Scripted::default()
    };
    let (mut context, _) = context_with(daemon(), Format::Human, script, interactive);
    let outcome = block_on(parse(line).run(&mut context));
    let fate = context
        .door
        .calls()
        .pop()
        .map(|(_, params)| params["history"].as_str().expect("a word").to_owned());
    (
        fate,
        outcome.map_or_else(|fault| fault.exit(), |()| Exit::Done),
    )
}

#[test]
fn nothing_is_deleted_by_the_way() {
    let keep = Some(crate::output::word(HistoryFate::Keep));
    let delete = Some(crate::output::word(HistoryFate::Delete));
    assert_eq!(
        remove("remove bob", vec![], false),
        (keep.clone(), Exit::Done)
    );
    assert_eq!(remove("remove bob", vec!["y\n"], true), (keep, Exit::Done));
    assert_eq!(
        remove("remove bob", vec!["\n"], true),
        (None, Exit::Refused)
    );
    assert_eq!(
        remove("remove bob --delete-history", vec![], false),
        (None, Exit::Usage)
    );
    assert_eq!(
        remove("remove bob --delete-history --yes", vec![], true),
        (delete, Exit::Done)
    );
}
