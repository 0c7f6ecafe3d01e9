//! `log`: the messages of a conversation.

use clap::Args;
use hermes_api::ErrorCode;
use hermes_api::client::{Api, ClientError};
use hermes_api::table::ChatHistory;
use hermes_api::types::{ChatHistoryParams, ChatHistoryResponse, Message, PAGE_LIMIT_MAX};

use super::{Context, message};
use crate::door::Door;
use crate::fault::Fault;

/// Print the messages of a conversation, oldest first
///
/// With --json a line holds: message_id, chat, seq, sender, direction, body, state, sent_at,
/// received_at, kept, why, gap_before. With --plain: time, id, sender, state and text.
#[derive(Args, Debug)]
pub(crate) struct Log {
    /// Conversation, by the contact's name or id
    chat: String,
    /// Only the newest N messages; all of them if not given
    #[arg(short = 'n', long = "number", value_name = "N")]
    number: Option<u64>,
}

impl Log {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let api = context.api().await?;
        match self.number {
            Some(number) => {
                for message in newest(&api, &self.chat, number).await? {
                    message::print(&message, &mut context.out)?;
                }
                Ok(())
            }
            None => forward(&api, self.chat, context).await,
        }
    }
}

/// Prints everything as it comes, page by page from the start.
async fn forward<D: Door>(
    api: &D::Api,
    chat: String,
    context: &mut Context<D>,
) -> Result<(), Fault> {
    let mut after = 0;
    loop {
        let params = ChatHistoryParams {
            chat: chat.clone(),
            after: Some(after),
            ..ChatHistoryParams::default()
        };
        let page = page(api, params, u64::from(PAGE_LIMIT_MAX)).await?;
        for message in &page.items {
            message::print(message, &mut context.out)?;
        }
        match page.items.last() {
            Some(last) if page.more => after = last.seq,
            _ => return Ok(()),
        }
    }
}

/// The newest messages, oldest first, read page by page from the end.
async fn newest<A: Api>(api: &A, chat: &str, number: u64) -> Result<Vec<Message>, Fault> {
    let mut pages: Vec<Vec<Message>> = Vec::new();
    let mut missing = number;
    let mut before = None;
    while missing > 0 {
        let params = ChatHistoryParams {
            chat: chat.to_owned(),
            before,
            ..ChatHistoryParams::default()
        };
        let page = page(api, params, missing).await?;
        before = page.items.first().map(|message| message.seq);
        missing = missing.saturating_sub(page.items.len() as u64);
        let is_last = page.items.is_empty() || !page.more;
        pages.push(page.items);
        if is_last {
            break;
        }
    }
    Ok(pages.into_iter().rev().flatten().collect())
}

/// One page of at most so many messages. Long messages may not fit into one answer, then fewer
/// are asked for.
async fn page<A: Api>(
    api: &A,
    params: ChatHistoryParams,
    most: u64,
) -> Result<ChatHistoryResponse, Fault> {
    let mut limit = u32::try_from(most).map_or(PAGE_LIMIT_MAX, |most| most.min(PAGE_LIMIT_MAX));
    loop {
        let params = ChatHistoryParams {
            limit: Some(limit),
            ..params.clone()
        };
        match api.call::<ChatHistory>(params).await {
            Err(ClientError::Api(error)) if error.is(ErrorCode::ResponseTooBig) && limit > 1 => {
                limit /= 4;
                limit = limit.max(1);
            }
            answer => return Ok(answer?),
        }
    }
}

#[cfg(test)]
mod tests;
