//! `chats`: all conversations, with what is unread in each.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::ChatList;

use super::super::{Context, pages};
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Table, View};

/// List conversations
///
/// With --json: one object with `items`, each with chat, name, contact_id, unread, read_seq,
/// last_seq and last.
#[derive(Args, Debug)]
pub(crate) struct List {}

/// Characters of the newest message that are shown.
const PREVIEW_CHARS: usize = 40;

impl List {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let api = context.api().await?;
        let chats = pages::all(|page| api.call::<ChatList>(page)).await?;
        context.out.show(&chats, |words| {
            let rows = chats.items.iter().map(|chat| {
                let last = chat.last.as_ref();
                let when = last.map(|last| last.received_at.unwrap_or(last.sent_at));
                let text = last.map(|last| format!("{}: {}", last.sender, preview(&last.body)));
                vec![
                    chat.name.clone(),
                    chat.unread.to_string(),
                    words.when_or(when, ""),
                    text.unwrap_or_default(),
                ]
            });
            let headings = &["name", "unread", "last", "message"];
            View::Table(Table::new(headings, "no conversations yet").rows(rows))
        })
    }
}

/// The beginning of a text.
fn preview(body: &str) -> String {
    match body.char_indices().nth(PREVIEW_CHARS) {
        Some((end, _)) => format!("{}…", body.split_at(end).0),
        None => body.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_ends_with_a_whole_character() {
        assert_eq!(preview("short"), "short");
        let long = "ü".repeat(100);
        assert_eq!(preview(&long), format!("{}…", "ü".repeat(PREVIEW_CHARS)));
    }
}
