//! `message.*`: sending, and reading what was said.

use std::time::Duration;

use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::server::Registry;
use hermes_api::table::{MessageGet, MessageSend};
use hermes_api::types::{
    BODY_BYTES_MAX, EventData, IDEMPOTENCY_KEY_CHARS_MAX, Message, MessageGetParams,
    MessageSendParams, MessageSendResponse, MessageState, WaitFor,
};
use hermes_underworld::chat;
use hermes_underworld::proto::{ContactId, ContactState, Now, SendError};
use hermes_wire::ids::MessageId;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::{find_contact, history, storage};
use crate::core::history::{find, message_id};
use crate::core::{CoreHandle, Open, contact_id};
use crate::daemon::Daemon;

/// How long a call waits for a state unless it says otherwise, and at most.
const WAIT_MS: u64 = 30_000;
const WAIT_MS_MAX: u64 = 24 * 3_600_000;

/// The scope of idempotency keys: all callers of one home are one person.
const SCOPE: &str = "message.send";

pub(super) fn register(registry: &mut Registry, daemon: &Daemon) {
    let core = daemon.core().clone();
    registry.handle::<MessageSend, _>(move |params, _| send(core.clone(), params));
    let core = daemon.core().clone();
    registry.handle::<MessageGet, _>(move |params, _| {
        let core = core.clone();
        async move { core.call(move |open, _| get(open, &params)).await }
    });
}

fn get(open: &Open, params: &MessageGetParams) -> Result<Message, ApiError> {
    let unknown = || ApiError::new(ErrorCode::UnknownMessage, "there is no such message");
    let id = message_id(&params.message_id).ok_or_else(unknown)?;
    let (contact, seq, row) = find(open.reader(), &id)
        .map_err(|error| history(&error))?
        .ok_or_else(unknown)?;
    Ok(row.shown(
        &contact_id(contact),
        &open.name_of(contact).unwrap_or_default(),
        seq,
    ))
}

/// What the owner gives back: the answer so far, and who tells when the goal is reached.
pub(crate) struct Accepted {
    pub(crate) response: MessageSendResponse,
    reached: Option<oneshot::Receiver<MessageState>>,
}

async fn send(
    core: CoreHandle,
    params: MessageSendParams,
) -> Result<MessageSendResponse, ApiError> {
    check(&params)?;
    let wait = Duration::from_millis(params.timeout_ms.unwrap_or(WAIT_MS).min(WAIT_MS_MAX));
    let Accepted {
        mut response,
        reached,
    } = core
        .call(move |open, now| accept(open, params, now))
        .await?;
    if let Some(reached) = reached {
        match tokio::time::timeout(wait, reached).await {
            Ok(Ok(state)) => response.state = state,
            // The time ran out, or the daemon is about to end: the answer tells what was reached.
            _ => {
                let id = message_id(&response.message_id);
                let state = core
                    .call(move |open, _| {
                        Ok(id
                            .and_then(|id| find(open.reader(), &id).ok().flatten())
                            .map(|found| found.2.state))
                    })
                    .await;
                if let Ok(Some(state)) = state {
                    response.state = state;
                }
            }
        }
    }
    Ok(response)
}

fn check(params: &MessageSendParams) -> Result<(), ApiError> {
    if params.body.is_empty() {
        return Err(ApiError::new(ErrorCode::InvalidParams, "the text is empty"));
    }
    if params.body.len() > BODY_BYTES_MAX {
        let what = format!(
            "the text has {} bytes; at most {BODY_BYTES_MAX} are possible",
            params.body.len()
        );
        return Err(ApiError::new(ErrorCode::TooLarge, what));
    }
    if let Some(key) = &params.idempotency_key {
        let chars = key.chars().count();
        if chars == 0 || chars > IDEMPOTENCY_KEY_CHARS_MAX {
            let what =
                format!("an idempotency key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters");
            return Err(ApiError::new(ErrorCode::InvalidParams, what));
        }
    }
    Ok(())
}

/// Takes a message into this cycle.
pub(crate) fn accept(
    open: &mut Open,
    params: MessageSendParams,
    now: Now,
) -> Result<Accepted, ApiError> {
    let contact = find_contact(open, &params.to)?;
    let digest = fingerprint(contact.id, &params.body);
    if let Some(key) = &params.idempotency_key
        && let Some(before) = open
            .remembered(SCOPE, key, now)
            .map_err(|error| storage(&error))?
    {
        return repeated(open, &before, &digest, contact.id, params.wait);
    }
    let frame = chat::text(&params.body, None, params.expires_in_s)
        .map_err(|error| ApiError::new(ErrorCode::TooLarge, error.to_string()))?;
    let accepted = open
        .underworld()
        .send(contact.id, frame, now)
        .map_err(|error| refused(&contact.name, &error))?;
    let chat = contact_id(contact.id);
    let (history_rows, _, batch) = open.history();
    history_rows.name(contact.id, &contact.name, batch);
    let (seq, row) = history_rows.add_own(
        contact.id,
        accepted.msg_id,
        accepted.conv_seq,
        params.body,
        now.unix_ms,
        batch,
    );
    let response = MessageSendResponse {
        message_id: row.id.clone(),
        chat: chat.clone(),
        state: MessageState::Queued,
        duplicate: false,
    };
    open.log(
        EventData::MessageSent(Box::new(row.shown(&chat, &contact.name, seq))),
        now,
    );
    if let Some(key) = &params.idempotency_key {
        let note = [&digest[..], accepted.msg_id.as_bytes()].concat();
        open.remember(SCOPE, key, &note, now)
            .map_err(|error| storage(&error))?;
    }
    let reached = wait_for(open, accepted.msg_id, MessageState::Queued, params.wait);
    Ok(Accepted { response, reached })
}

/// The same key again: the same message gives the same answer, another one is a conflict.
fn repeated(
    open: &mut Open,
    note: &[u8],
    digest: &[u8; 32],
    contact: ContactId,
    wait: WaitFor,
) -> Result<Accepted, ApiError> {
    let conflict = || {
        ApiError::new(
            ErrorCode::IdempotencyConflict,
            "this idempotency key was used for another message",
        )
    };
    let (before, id) = note.split_first_chunk::<32>().ok_or_else(conflict)?;
    if before != digest {
        return Err(conflict());
    }
    let id = MessageId(id.try_into().map_err(|_| conflict())?);
    let state = match open.pending_state(&id) {
        Some(state) => state,
        None => find(open.reader(), &id)
            .map_err(|error| history(&error))?
            .map_or(MessageState::Failed, |found| found.2.state),
    };
    let response = MessageSendResponse {
        message_id: id.to_string(),
        chat: contact_id(contact),
        state,
        duplicate: true,
    };
    let reached = wait_for(open, id, state, wait);
    Ok(Accepted { response, reached })
}

fn wait_for(
    open: &mut Open,
    id: MessageId,
    state: MessageState,
    goal: WaitFor,
) -> Option<oneshot::Receiver<MessageState>> {
    let over = state.reaches(goal) || matches!(state, MessageState::Expired | MessageState::Failed);
    if over {
        None
    } else {
        open.waiting().add(id, goal)
    }
}

fn fingerprint(contact: ContactId, body: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(contact.0.to_le_bytes())
        .chain_update(body)
        .finalize()
        .into()
}

fn refused(name: &str, error: &SendError) -> ApiError {
    let code = match error {
        SendError::UnknownContact => ErrorCode::UnknownContact,
        SendError::NotNow {
            state: ContactState::Blocked,
        } => ErrorCode::Blocked,
        SendError::NotNow { .. } => ErrorCode::NotEstablished,
        SendError::TooLong { .. } => ErrorCode::TooLarge,
        SendError::OutboxFull { .. } => ErrorCode::RateLimited,
    };
    match code {
        ErrorCode::Blocked => ApiError::new(code, format!("{name} is blocked"))
            .hint(format!("hermes-cli contact unblock {name}")),
        _ => ApiError::new(code, error.to_string()),
    }
}
