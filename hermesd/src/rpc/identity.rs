//! `identity.*`: making the identity of this home, and showing it.

use hermes_api::error::{ApiError, ErrorCode};
use hermes_api::server::Registry;
use hermes_api::table::{IdentityInit, IdentityShow};
use hermes_underworld::proto::NameError;

use crate::daemon::Daemon;

pub(super) fn register(registry: &mut Registry, daemon: &Daemon) {
    let here = daemon.clone();
    registry.handle::<IdentityInit, _>(move |params, _| {
        let here = here.clone();
        async move { here.init(params).await }
    });
    let here = daemon.clone();
    registry.handle::<IdentityShow, _>(move |_, _| {
        let here = here.clone();
        async move { here.identity().await }
    });
}

/// A name that cannot be taken.
pub(crate) fn bad_name(error: &NameError) -> ApiError {
    let code = match error {
        NameError::Taken => ErrorCode::NameTaken,
        _ => ErrorCode::InvalidParams,
    };
    ApiError::new(code, error.to_string())
}
