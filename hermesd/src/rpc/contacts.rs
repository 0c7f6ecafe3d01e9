//! `contact.*`: listing contacts and changing how they stand.

use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::server::Registry;
use hermes_api::table::{
    ContactBlock, ContactGet, ContactList, ContactRemove, ContactRename, ContactUnblock,
    ContactVerify,
};
use hermes_api::types::{
    Contact, ContactListParams, ContactRemoveParams, ContactRenameParams, ContactRenamed,
    ContactVerifyParams, EventData, HistoryFate, LinkState, Page, PageParams, Time, VerifyMark,
};
use hermes_underworld::proto::event::LinkState as Link;
use hermes_underworld::proto::{
    ContactError, ContactId, ContactInfo, ContactState, Now, RenameError,
};

use super::chats::cut;
use super::{find_contact, history};
use crate::core::{Open, contact_id, shown_state};
use crate::daemon::Daemon;

pub(super) fn register(registry: &mut Registry, daemon: &Daemon) {
    macro_rules! call {
        ($method:ty, $work:expr) => {{
            let core = daemon.core().clone();
            registry.handle::<$method, _>(move |params, _| {
                let core = core.clone();
                async move { core.call(move |open, now| $work(open, &params, now)).await }
            });
        }};
    }
    call!(ContactList, |open: &mut Open,
                        params: &ContactListParams,
                        _| Ok(list(
        open, params
    )));
    call!(ContactGet, |open: &mut Open,
                       params: &hermes_api::types::ContactParams,
                       _| {
        let info = find_contact(open, &params.contact)?;
        Ok(shown(open, &info))
    });
    call!(ContactRename, rename);
    call!(ContactVerify, verify);
    call!(ContactBlock, |open: &mut Open,
                         params: &hermes_api::types::ContactParams,
                         now| {
        change(open, &params.contact, |open, id| {
            open.underworld().block(id, now)
        })
    });
    call!(
        ContactUnblock,
        |open: &mut Open, params: &hermes_api::types::ContactParams, now| {
            change(open, &params.contact, |open, id| {
                open.underworld().unblock(id, now)
            })
        }
    );
    call!(ContactRemove, remove);
}

/// A contact as the interface shows it.
pub(super) fn shown(open: &Open, info: &ContactInfo) -> Contact {
    let time = |ms: u64| Time::from_unix_ms(i64::try_from(ms).unwrap_or(i64::MAX));
    Contact {
        contact_id: contact_id(info.id),
        name: info.name.clone(),
        state: shown_state(info.state),
        verified: info.verified,
        safety_number: open
            .people()
            .safety_number(info.id)
            .map(|number| number.to_string()),
        link: match info.link {
            Link::Up => LinkState::Direct,
            Link::Down => LinkState::None,
        },
        last_seen: info.last_heard_ms.map(time),
        created_at: time(info.created_ms),
    }
}

fn list(open: &Open, params: &ContactListParams) -> Page<Contact> {
    let wanted = |info: &ContactInfo| match params.state {
        Some(state) => shown_state(info.state) == state,
        None => !matches!(info.state, ContactState::Removed),
    };
    let mut contacts: Vec<Contact> = open
        .people()
        .contacts()
        .filter(wanted)
        .map(|info| shown(open, &info))
        .collect();
    contacts.sort_by(|a, b| {
        a.name
            .cmp(&b.name)
            .then_with(|| a.contact_id.cmp(&b.contact_id))
    });
    let page = PageParams {
        limit: params.limit,
        after: params.after.clone(),
    };
    cut(contacts, &page, |contact| contact.contact_id.clone())
}

fn change(
    open: &mut Open,
    text: &str,
    work: impl FnOnce(&mut Open, ContactId) -> Result<(), ContactError>,
) -> Result<Contact, ApiError> {
    let info = find_contact(open, text)?;
    work(open, info.id).map_err(|error| refused(&error))?;
    let info = open.people().contact(info.id).unwrap_or(info);
    Ok(shown(open, &info))
}

fn refused(error: &ContactError) -> ApiError {
    let code = match error {
        ContactError::Unknown => ErrorCode::UnknownContact,
        _ => ErrorCode::NotEstablished,
    };
    ApiError::new(code, error.to_string())
}

fn rename(open: &mut Open, params: &ContactRenameParams, now: Now) -> Result<Contact, ApiError> {
    let info = find_contact(open, &params.contact)?;
    let name = params.name.trim();
    open.underworld()
        .rename(info.id, name, now)
        .map_err(|error| match &error {
            RenameError::Unknown => ApiError::new(ErrorCode::UnknownContact, error.to_string()),
            RenameError::Name(name) => super::identity::bad_name(name),
        })?;
    let (rows, _, batch) = open.history();
    rows.name(info.id, name, batch);
    let renamed = ContactRenamed {
        contact_id: contact_id(info.id),
        name: name.to_owned(),
        old_name: info.name.clone(),
    };
    open.log(EventData::ContactRenamed(renamed), now);
    let info = open.people().contact(info.id).unwrap_or(info);
    Ok(shown(open, &info))
}

fn verify(open: &mut Open, params: &ContactVerifyParams, now: Now) -> Result<Contact, ApiError> {
    let info = find_contact(open, &params.contact)?;
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    if let (VerifyMark::Verified, Some(read), Some(own)) = (
        params.mark,
        &params.safety_number,
        open.people().safety_number(info.id),
    ) {
        let (read, own) = (digits(read), digits(&own.to_string()));
        if read != own {
            return Err(ApiError::new(
                ErrorCode::UntrustedKey,
                "that is not the safety number of this contact: somebody may stand between you",
            )
            .keys(own, read)
            .hint("compare again over another way, and remove the contact if it still differs"));
        }
    }
    let verified = params.mark == VerifyMark::Verified;
    change(open, &params.contact, |open, id| {
        open.underworld().set_verified(id, verified, now)
    })
}

fn remove(open: &mut Open, params: &ContactRemoveParams, now: Now) -> Result<Contact, ApiError> {
    let info = find_contact(open, &params.contact)?;
    let removed = change(open, &params.contact, |open, id| {
        open.underworld().remove(id, now)
    })?;
    // What was said of the contact so far has its rows first, so that they are deleted and not written afterwards.
    open.take_outputs(now);
    if params.history == HistoryFate::Delete {
        let (rows, store, batch) = open.history();
        rows.delete(store, info.id, batch)
            .map_err(|error| history(&error))?;
    }
    Ok(removed)
}
