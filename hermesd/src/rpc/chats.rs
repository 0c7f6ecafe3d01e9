//! `chat.*`: conversations as they are listed, and what is read in them.

use hermes_api::error::ApiError;
use hermes_api::server::Registry;
use hermes_api::table::{ChatGet, ChatHistory, ChatList, ChatMarkRead};
use hermes_api::types::{
    Chat, ChatHistoryParams, ChatHistoryResponse, ChatMarkReadParams, ChatMarkReadResponse,
    ChatRead, EventData, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, Page, PageParams,
};
use hermes_underworld::chat;
use hermes_underworld::proto::{ContactId, ContactState, Now};

use super::{find_chat, history};
use crate::core::history::page;
use crate::core::{Open, contact_id};
use crate::daemon::Daemon;

pub(super) fn register(registry: &mut Registry, daemon: &Daemon) {
    let core = daemon.core().clone();
    registry.handle::<ChatList, _>(move |params, _| {
        let core = core.clone();
        async move { core.call(move |open, _| list(open, &params)).await }
    });
    let core = daemon.core().clone();
    registry.handle::<ChatGet, _>(move |params, _| {
        let core = core.clone();
        async move {
            core.call(move |open, _| {
                let id = find_chat(open, &params.chat)?;
                shown(open, id)
            })
            .await
        }
    });
    let core = daemon.core().clone();
    registry.handle::<ChatHistory, _>(move |params, _| {
        let core = core.clone();
        async move { core.call(move |open, _| read(open, &params)).await }
    });
    let core = daemon.core().clone();
    registry.handle::<ChatMarkRead, _>(move |params, _| {
        let core = core.clone();
        async move {
            core.call(move |open, now| mark_read(open, &params, now))
                .await
        }
    });
}

/// A chat as the interface shows it.
fn shown(open: &Open, id: ContactId) -> Result<Chat, ApiError> {
    let row = open.chat(id).cloned().unwrap_or_default();
    let name = open.name_of(id).unwrap_or_default();
    let (last, _) = page(open.reader(), id, None, None, 1).map_err(|error| history(&error))?;
    let chat = contact_id(id);
    let last = last
        .into_iter()
        .next()
        .map(|(seq, row)| row.shown(&chat, &name, seq));
    Ok(Chat {
        contact_id: chat.clone(),
        chat,
        name,
        unread: row.unread,
        read_seq: row.read_seq,
        last_seq: row.last_seq,
        last,
    })
}

fn list(open: &Open, params: &PageParams) -> Result<Page<Chat>, ApiError> {
    let standing = open
        .people()
        .contacts()
        .filter(|info| !matches!(info.state, ContactState::Removed | ContactState::Failed(_)));
    let mut ids: Vec<ContactId> = standing.map(|info| info.id).collect();
    let kept = open
        .chat_ids()
        .filter(|id| !ids.contains(id))
        .collect::<Vec<_>>();
    ids.extend(kept);
    let mut chats = ids
        .into_iter()
        .map(|id| shown(open, id))
        .collect::<Result<Vec<_>, _>>()?;
    let newest = |chat: &Chat| {
        chat.last
            .as_ref()
            .map(|last| last.received_at.unwrap_or(last.sent_at))
    };
    chats.sort_by(|a, b| newest(b).cmp(&newest(a)).then_with(|| a.chat.cmp(&b.chat)));
    Ok(cut(chats, params, |chat| chat.chat.clone()))
}

/// The page after `after` of a list that is whole in memory.
pub(super) fn cut<T>(items: Vec<T>, params: &PageParams, name: impl Fn(&T) -> String) -> Page<T> {
    let limit = limit(params.limit);
    let from = match &params.after {
        Some(after) => items
            .iter()
            .position(|item| name(item) == *after)
            .map_or(items.len(), |at| at + 1),
        None => 0,
    };
    let more = items.len() > from.saturating_add(limit);
    let items: Vec<T> = items.into_iter().skip(from).take(limit).collect();
    let next = items.last().filter(|_| more).map(&name);
    Page { items, next }
}

pub(super) fn limit(asked: Option<u32>) -> usize {
    asked.unwrap_or(PAGE_LIMIT_DEFAULT).clamp(1, PAGE_LIMIT_MAX) as usize
}

fn read(open: &Open, params: &ChatHistoryParams) -> Result<ChatHistoryResponse, ApiError> {
    let id = find_chat(open, &params.chat)?;
    let (chat, name) = (contact_id(id), open.name_of(id).unwrap_or_default());
    let (rows, more) = page(
        open.reader(),
        id,
        params.before,
        params.after,
        limit(params.limit),
    )
    .map_err(|error| history(&error))?;
    let items = rows
        .into_iter()
        .map(|(seq, row)| row.shown(&chat, &name, seq))
        .collect();
    Ok(ChatHistoryResponse { chat, items, more })
}

fn mark_read(
    open: &mut Open,
    params: &ChatMarkReadParams,
    now: Now,
) -> Result<ChatMarkReadResponse, ApiError> {
    let id = find_chat(open, &params.chat)?;
    let chat = contact_id(id);
    let up_to = params.up_to.unwrap_or(u64::MAX);
    let before = open.chat(id).map_or(0, |row| row.read_seq);
    let highest = {
        let (history_rows, store, batch) = open.history();
        history_rows
            .mark_read(store, id, up_to, batch)
            .map_err(|error| history(&error))?
    };
    let row = open.chat(id).cloned().unwrap_or_default();
    if row.read_seq != before {
        open.notices().read(&chat);
        open.log(
            EventData::ChatRead(ChatRead {
                chat: chat.clone(),
                read_seq: row.read_seq,
                unread: row.unread,
            }),
            now,
        );
    }
    if let Some(up_to) = highest {
        // A contact that is gone has no use for it.
        let _ = open.underworld().send(id, chat::read_up_to(up_to), now);
    }
    Ok(ChatMarkReadResponse {
        chat,
        read_seq: row.read_seq,
        unread: row.unread,
    })
}
