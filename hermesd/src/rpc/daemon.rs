//! `hello`, `status`, `daemon.shutdown`, `doctor`.

use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::server::Registry;
use hermes_api::table::{DaemonShutdown, Doctor, Hello, Status};
use hermes_api::types::{
    API_MAJOR, API_MINOR, ApiVersion, Done, HelloParams, HelloResponse, StoreInfo,
};

use super::events::cursor;
use crate::core::Phase;
use crate::daemon::Daemon;

/// What this daemon can do beyond version 1.0 of the interface.
const CAPABILITIES: &[&str] = &["events", "consumers", "idempotency"];

pub(super) fn register(registry: &mut Registry, daemon: &Daemon) {
    let here = daemon.clone();
    registry.answer::<Hello>(move |params, _| hello(&here, &params));
    let here = daemon.clone();
    registry.handle::<Status, _>(move |_, _| {
        let here = here.clone();
        async move { Ok(here.status().await) }
    });
    let here = daemon.clone();
    registry.answer::<DaemonShutdown>(move |_, _| {
        here.ask_to_stop();
        Ok(Done {})
    });
    let here = daemon.clone();
    registry.handle::<Doctor, _>(move |_, _| {
        let here = here.clone();
        async move { Ok(here.doctor().await) }
    });
}

fn hello(daemon: &Daemon, params: &HelloParams) -> Result<HelloResponse, ApiError> {
    if let Some(range) = params.api
        && !(range.min..=range.max).contains(&API_MAJOR)
    {
        let what = format!(
            "this hermesd speaks version {API_MAJOR} of the interface, not {} to {}",
            range.min, range.max
        );
        return Err(ApiError::new(ErrorCode::Unsupported, what));
    }
    let phase = daemon.core().phase();
    let head = match &phase {
        Phase::Open(shared) => Some(cursor(shared.reader.head())),
        _ => None,
    };
    let epoch = head
        .as_ref()
        .and_then(|cursor| cursor.parts().ok().map(|(epoch, _)| epoch.to_owned()));
    Ok(HelloResponse {
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        api: ApiVersion {
            major: API_MAJOR,
            minor: API_MINOR,
        },
        capabilities: CAPABILITIES.iter().map(|text| (*text).to_owned()).collect(),
        store: StoreInfo {
            epoch,
            locked: matches!(phase, Phase::Locked),
        },
        cursor: head,
    })
}
