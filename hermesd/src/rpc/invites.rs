//! `invite.*`: making invites, and answering those of others.

use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::server::Registry;
use hermes_api::table::{
    InviteAccept, InviteApprove, InviteCreate, InviteInspect, InviteList, InviteRevoke,
};
use hermes_api::types::{
    Approval, Invite, InviteAcceptParams, InviteAcceptResponse, InviteApproveParams,
    InviteCreateParams, InviteCreateResponse, InviteInspectParams, InviteInspectResponse,
    InviteRevokeParams, InviteState, Page, PageParams, Time,
};
use hermes_underworld::proto::event::InviteState as State;
use hermes_underworld::proto::{
    AcceptError, ApproveError, CreateInviteError, InviteId, InviteInfo, InviteOptions, Now,
    RevokeInviteError,
};
use hermes_wire::invite::{Entry, InviteError};

use super::chats::cut;
use super::{find_contact, identity, storage};
use crate::core::{Open, contact_id, shown_state};
use crate::daemon::Daemon;
use crate::store::Table;

/// Characters of a note at most.
const NOTE_CHARS_MAX: usize = 200;

/// Notes stand beside underworld's rows of invites, whose keys begin with 0.
const NOTES: u8 = 1;

pub(super) fn register(registry: &mut Registry, daemon: &Daemon) {
    let (core, net) = (daemon.core().clone(), daemon.net().clone());
    registry.handle::<InviteCreate, _>(move |params, _| {
        let (core, net) = (core.clone(), net.clone());
        async move {
            let nodes = net.entries();
            core.call(move |open, now| create(open, &params, nodes, now))
                .await
        }
    });
    macro_rules! call {
        ($method:ty, $work:expr) => {{
            let core = daemon.core().clone();
            registry.handle::<$method, _>(move |params, _| {
                let core = core.clone();
                async move { core.call(move |open, now| $work(open, &params, now)).await }
            });
        }};
    }
    call!(InviteInspect, inspect);
    let (core, net) = (daemon.core().clone(), daemon.net().clone());
    registry.handle::<InviteAccept, _>(move |params, _| {
        let (core, net) = (core.clone(), net.clone());
        async move {
            let named = params.invite.clone();
            let accepted = core
                .call(move |open, now| accept(open, &params, now))
                .await?;
            // Whoever has no other way into the network takes the inviter's.
            if let Ok(invite) = named.trim().parse::<hermes_wire::invite::Invite>() {
                net.add_entries(invite.nodes());
            }
            Ok(accepted)
        }
    });
    call!(InviteApprove, approve);
    call!(InviteList, list);
    call!(InviteRevoke, revoke);
}

fn time_s(unix_s: u64) -> Time {
    Time::from_unix_ms(i64::try_from(unix_s.saturating_mul(1_000)).unwrap_or(i64::MAX))
}

fn create(
    open: &mut Open,
    params: &InviteCreateParams,
    nodes: Vec<Entry>,
    now: Now,
) -> Result<InviteCreateResponse, ApiError> {
    if params
        .note
        .as_ref()
        .is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX)
    {
        return Err(ApiError::new(
            ErrorCode::InvalidParams,
            format!("a note has at most {NOTE_CHARS_MAX} characters"),
        ));
    }
    if nodes.is_empty() {
        return Err(ApiError::new(
            ErrorCode::NotReady,
            "no sky node is known, so an invite would lead nowhere",
        )
        .hint("start hermesd with --sky URI"));
    }
    let options = InviteOptions {
        ask: params.approval == Approval::Ask,
        expires_in_s: params.expires_in_s,
        nodes,
    };
    let info = open
        .underworld()
        .create_invite(options, now)
        .map_err(|error| {
            let code = match error {
                CreateInviteError::TooMany { .. } => ErrorCode::RateLimited,
                _ => ErrorCode::InvalidParams,
            };
            ApiError::new(code, error.to_string())
        })?;
    if let Some(note) = &params.note {
        let (_, _, batch) = open.history();
        batch.put(Table::Invites, &note_key(info.id), note.as_bytes());
    }
    Ok(InviteCreateResponse {
        qr: info.link.to_uppercase(),
        invite: info.link,
        invite_id: format!("i{}", info.id),
        approval: params.approval,
        expires_at: time_s(info.expires_at_s),
    })
}

fn note_key(id: InviteId) -> [u8; 5] {
    let [a, b, c, d] = id.0.to_be_bytes();
    [NOTES, a, b, c, d]
}

fn inspect(
    open: &mut Open,
    params: &InviteInspectParams,
    now: Now,
) -> Result<InviteInspectResponse, ApiError> {
    let invite = params
        .invite
        .trim()
        .parse::<hermes_wire::invite::Invite>()
        .map_err(|error| unreadable(&error))?;
    let network = open.people().network().clone();
    let same_network = invite.net_id == network.id();
    let known = [hermes_wire::Network::main(), hermes_wire::Network::lab()]
        .into_iter()
        .find(|known| known.id() == invite.net_id);
    let name = if same_network {
        network.name().to_owned()
    } else {
        known.map_or_else(
            || invite.net_id.to_string(),
            |known| known.name().to_owned(),
        )
    };
    let expires_at = invite.expires_at(&network);
    Ok(InviteInspectResponse {
        network: name,
        same_network,
        is_mine: invite.fingerprint == hermes_wire::invite::fingerprint(&open.people().identity()),
        expired: expires_at <= now.unix_s(),
        expires_at: time_s(expires_at),
        inviter: data_encoding::HEXLOWER.encode(&invite.fingerprint),
    })
}

fn unreadable(error: &InviteError) -> ApiError {
    let code = match error {
        InviteError::Expired { .. } => ErrorCode::InviteExpired,
        _ => ErrorCode::InviteInvalid,
    };
    ApiError::new(code, error.to_string())
}

fn accept(
    open: &mut Open,
    params: &InviteAcceptParams,
    now: Now,
) -> Result<InviteAcceptResponse, ApiError> {
    let name = params.name.as_deref().map(str::trim);
    let id = open
        .underworld()
        .accept_invite(&params.invite, name, now)
        .map_err(|error| match &error {
            AcceptError::Invite(error) => unreadable(error),
            AcceptError::Own => ApiError::new(ErrorCode::InviteIsMine, error.to_string()),
            AcceptError::Already { .. } => ApiError::new(ErrorCode::InviteUsed, error.to_string()),
            AcceptError::Name(error) => identity::bad_name(error),
            AcceptError::Full => ApiError::new(ErrorCode::RateLimited, error.to_string()),
            AcceptError::Damaged => ApiError::new(ErrorCode::InviteInvalid, error.to_string()),
        })?;
    if name.is_none() {
        open.name_later(id);
    }
    Ok(contact(open, id))
}

fn contact(open: &Open, id: hermes_underworld::proto::ContactId) -> InviteAcceptResponse {
    let info = open.people().contact(id);
    let (name, state) = info.map_or_else(
        || (String::new(), hermes_api::types::ContactState::Requested),
        |info| (info.name, shown_state(info.state)),
    );
    InviteAcceptResponse {
        contact_id: contact_id(id),
        name,
        state,
    }
}

fn approve(
    open: &mut Open,
    params: &InviteApproveParams,
    now: Now,
) -> Result<InviteAcceptResponse, ApiError> {
    let info = find_contact(open, &params.contact)?;
    open.underworld()
        .approve(info.id, params.name.as_deref().map(str::trim), now)
        .map_err(|error| match &error {
            ApproveError::Name(error) => identity::bad_name(error),
            _ => ApiError::new(ErrorCode::UnknownContact, error.to_string()),
        })?;
    Ok(contact(open, info.id))
}

fn shown(open: &Open, info: &InviteInfo) -> Result<Invite, ApiError> {
    let note = open
        .reader()
        .get(Table::Invites, &note_key(info.id))
        .map_err(|error| storage(&error))?;
    let (state, contact) = match info.state {
        State::Open => (InviteState::Open, None),
        State::Used(contact) => (InviteState::Used, Some(contact)),
        State::Expired => (InviteState::Expired, None),
        State::Revoked => (InviteState::Revoked, None),
    };
    Ok(Invite {
        invite_id: format!("i{}", info.id),
        state,
        approval: if info.ask {
            Approval::Ask
        } else {
            Approval::Given
        },
        note: note.map(|note| String::from_utf8_lossy(&note).into_owned()),
        created_at: Time::from_unix_ms(i64::try_from(info.created_ms).unwrap_or(i64::MAX)),
        expires_at: time_s(info.expires_at_s),
        contact_id: contact.map(contact_id),
    })
}

fn list(open: &mut Open, params: &PageParams, _: Now) -> Result<Page<Invite>, ApiError> {
    let infos: Vec<InviteInfo> = open.people().invites().collect();
    let invites = infos
        .iter()
        .rev()
        .map(|info| shown(open, info))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(cut(invites, params, |invite| invite.invite_id.clone()))
}

fn revoke(open: &mut Open, params: &InviteRevokeParams, now: Now) -> Result<Invite, ApiError> {
    let text = params.invite.trim();
    let known = open
        .people()
        .invites()
        .find(|info| format!("i{}", info.id) == text || info.link.eq_ignore_ascii_case(text));
    let info =
        known.ok_or_else(|| ApiError::new(ErrorCode::UnknownInvite, "there is no such invite"))?;
    open.underworld()
        .revoke_invite(info.id, now)
        .map_err(|error| match error {
            RevokeInviteError::Unknown => {
                ApiError::new(ErrorCode::UnknownInvite, error.to_string())
            }
            RevokeInviteError::NotOpen {
                state: State::Used(_),
            } => ApiError::new(
                ErrorCode::InviteUsed,
                "somebody has used this invite already",
            )
            .hint("see who it was with: hermes-cli invite list"),
            RevokeInviteError::NotOpen { .. } => {
                ApiError::new(ErrorCode::InviteUsed, error.to_string())
                    .hint("see your invites with: hermes-cli invite list")
            }
        })?;
    let info = open
        .people()
        .invites()
        .find(|later| later.id == info.id)
        .unwrap_or(info);
    shown(open, &info)
}
