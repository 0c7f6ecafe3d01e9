//! `store.*`: opening and closing the store, and its passphrase.

use hermes_api::server::Registry;
use hermes_api::table::{StoreChangePassphrase, StoreLock, StoreUnlock};
use hermes_api::types::{Done, StoreLockResponse};

use crate::daemon::Daemon;

pub(super) fn register(registry: &mut Registry, daemon: &Daemon) {
    let here = daemon.clone();
    registry.handle::<StoreUnlock, _>(move |params, _| {
        let here = here.clone();
        async move {
            here.unlock(params.passphrase)
                .await
                .map(|()| StoreLockResponse { locked: false })
        }
    });
    let here = daemon.clone();
    registry.handle::<StoreLock, _>(move |_, _| {
        let here = here.clone();
        async move {
            here.lock()
                .await
                .map(|()| StoreLockResponse { locked: true })
        }
    });
    let here = daemon.clone();
    registry.handle::<StoreChangePassphrase, _>(move |params, _| {
        let here = here.clone();
        async move { here.change_passphrase(params).await.map(|()| Done {}) }
    });
}
