//! `net.*` and `ui.presence`.

use std::time::{Duration, Instant};

use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::server::Registry;
use hermes_api::table::{NetEarth, NetPing, NetSky, UiPresence};
use hermes_api::types::{Done, NetPingParams, NetPingResponse, PingRoute};
use hermes_underworld::proto::event::LinkState;
use hermes_underworld::proto::{ContactId, ContactState, LinkId};

use super::{find_chat, find_contact};
use crate::core::{CoreHandle, contact_id};
use crate::daemon::Daemon;
use crate::net::NetHandle;

/// How long a ping may take unless the caller says otherwise, and at most.
const PING_MS: u64 = 10_000;
const PING_MS_MAX: u64 = 60_000;

pub(super) fn register(registry: &mut Registry, daemon: &Daemon) {
    let net = daemon.net().clone();
    registry.answer::<NetSky>(move |_, _| Ok(net.sky()));
    let net = daemon.net().clone();
    registry.answer::<NetEarth>(move |_, _| Ok(net.earth()));
    let (core, net) = (daemon.core().clone(), daemon.net().clone());
    registry.handle::<NetPing, _>(move |params, _| ping(core.clone(), net.clone(), params));
    let core = daemon.core().clone();
    registry.handle::<UiPresence, _>(move |params, caller| {
        let core = core.clone();
        async move {
            let connection = caller.connection();
            let focused = params.focused;
            let first = core
                .call(move |open, _| {
                    let chat = match params.chat.filter(|_| focused) {
                        Some(chat) => Some(contact_id(find_chat(open, &chat)?)),
                        None => None,
                    };
                    Ok(open.notices().claim(connection, chat))
                })
                .await?;
            if first {
                tokio::spawn(async move {
                    caller.closed().await;
                    let _ = core
                        .call(move |open, _| {
                            open.notices().left(connection);
                            Ok(())
                        })
                        .await;
                });
            }
            Ok(Done {})
        }
    });
}

async fn ping(
    core: CoreHandle,
    net: NetHandle,
    params: NetPingParams,
) -> Result<NetPingResponse, ApiError> {
    let wait = Duration::from_millis(params.timeout_ms.unwrap_or(PING_MS).min(PING_MS_MAX));
    let started = Instant::now();
    let (id, name, was_up) = core
        .call(move |open, now| {
            let info = find_contact(open, &params.contact)?;
            match info.state {
                ContactState::Established => {}
                ContactState::Blocked => {
                    return Err(ApiError::new(
                        ErrorCode::Blocked,
                        format!("{} is blocked", info.name),
                    ));
                }
                _ => {
                    return Err(ApiError::new(
                        ErrorCode::NotEstablished,
                        format!("{} is not established", info.name),
                    ));
                }
            }
            open.underworld().reach(info.id, now);
            Ok((info.id, info.name, info.link == LinkState::Up))
        })
        .await?;
    let no_route = || {
        ApiError::new(
            ErrorCode::NoRoute,
            format!("{name} is not reachable directly now"),
        )
        .hint("messages are kept until he is")
    };
    let left = || wait.checked_sub(started.elapsed()).ok_or_else(no_route);
    let link = tokio::time::timeout(left()?, link_to(&core, &net, id))
        .await
        .map_err(|_| no_route())?
        .ok_or_else(no_route)?;
    let rtt = net.ping(link, left()?).await.ok_or_else(no_route)?;
    let route = if was_up {
        PingRoute::Direct
    } else {
        PingRoute::Knocked
    };
    Ok(NetPingResponse {
        contact_id: contact_id(id),
        name,
        rtt_us: u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX),
        route,
    })
}

/// The link to a contact, once one stands; none if the daemon is about to end.
async fn link_to(core: &CoreHandle, net: &NetHandle, id: ContactId) -> Option<LinkId> {
    let mut links = net.links();
    loop {
        let link = core
            .call(move |open, _| Ok(open.people().link_of(id)))
            .await
            .ok()?;
        if link.is_some() {
            return link;
        }
        links.changed().await.ok()?;
    }
}
