//! The handlers of all methods, a file for each resource.
//!
//! What only reads what is committed reads beside the owner; everything else is a call to the owner and is answered after the commit.

mod chats;
mod contacts;
mod daemon;
mod events;
pub(crate) mod identity;
mod invites;
pub(crate) mod messages;
mod network;
mod stores;

use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::server::Registry;
use hermes_underworld::proto::{ContactId, ContactInfo, ContactState};

use crate::core::Open;
use crate::core::history::HistoryError;
use crate::daemon::Daemon;
use crate::store::StoreError;

/// All handlers.
#[must_use]
pub fn registry(daemon: &Daemon) -> Registry {
    let mut registry = Registry::new();
    daemon::register(&mut registry, daemon);
    identity::register(&mut registry, daemon);
    stores::register(&mut registry, daemon);
    invites::register(&mut registry, daemon);
    contacts::register(&mut registry, daemon);
    chats::register(&mut registry, daemon);
    messages::register(&mut registry, daemon);
    events::register(&mut registry, daemon);
    network::register(&mut registry, daemon);
    registry
}

/// The disk does not give what it should.
fn storage(error: &StoreError) -> ApiError {
    match error {
        StoreError::Closed => ApiError::new(ErrorCode::StoreLocked, "the store is locked"),
        other => ApiError::new(
            ErrorCode::StorageFailed,
            format!("the store cannot be read: {other}"),
        ),
    }
}

fn history(error: &HistoryError) -> ApiError {
    match error {
        HistoryError::Store(error) => storage(error),
        other => ApiError::new(ErrorCode::StorageFailed, other.to_string()),
    }
}

/// The contact that somebody means by a name or an id. Removed ones are found by id only.
fn find_contact(open: &Open, text: &str) -> Result<ContactInfo, ApiError> {
    let people = open.people();
    if let Some(info) = contact_number(text).and_then(|id| people.contact(id)) {
        return Ok(info);
    }
    let standing = |info: &ContactInfo| !matches!(info.state, ContactState::Removed);
    let all: Vec<ContactInfo> = people.contacts().filter(standing).collect();
    // Those that never came about stand back: their names are free for others.
    let (failed, all): (Vec<ContactInfo>, Vec<ContactInfo>) = all
        .into_iter()
        .partition(|info| matches!(info.state, ContactState::Failed(_)));
    if let Some(exact) = all.iter().chain(&failed).find(|info| info.name == text) {
        return Ok(exact.clone());
    }
    let folded = text.to_lowercase();
    let alike: Vec<&ContactInfo> = all
        .iter()
        .filter(|info| info.name.to_lowercase().starts_with(&folded))
        .collect();
    match (text.is_empty(), alike.as_slice()) {
        (false, [one]) if one.name.to_lowercase() == folded => Ok((*one).clone()),
        (false, several @ [_, ..]) => {
            let names: Vec<String> = several.iter().map(|info| info.name.clone()).collect();
            let code = if several.len() == 1 {
                ErrorCode::UnknownContact
            } else {
                ErrorCode::AmbiguousName
            };
            let what = if several.len() == 1 {
                "there is no contact of that name"
            } else {
                "several contacts fit that name"
            };
            Err(ApiError::new(code, what).candidates(names))
        }
        _ => Err(ApiError::new(
            ErrorCode::UnknownContact,
            "there is no contact of that name",
        )),
    }
}

/// `c7` as a number.
fn contact_number(text: &str) -> Option<ContactId> {
    text.strip_prefix('c')?.parse().ok().map(ContactId)
}

/// The chat that somebody means: a contact's, also one that was removed but whose history was kept.
fn find_chat(open: &Open, text: &str) -> Result<ContactId, ApiError> {
    if let Some(id) = contact_number(text)
        && (open.chat(id).is_some() || open.people().contact(id).is_some())
    {
        return Ok(id);
    }
    match find_contact(open, text) {
        Ok(info) => Ok(info.id),
        Err(error) => match open.chat_by_name(text) {
            Some(id) => Ok(id),
            None if error.is(ErrorCode::UnknownContact) => Err(ApiError::new(
                ErrorCode::UnknownChat,
                "there is no conversation of that name",
            )),
            None => Err(error),
        },
    }
}
