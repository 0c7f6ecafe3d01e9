//! `version`: who is who.

use clap::Args;
use hermes_api::types::{API_MAJOR, API_MINOR, ApiVersion};
use serde::Serialize;

use super::Context;
use crate::door::{Launcher, VERSION};
use crate::fault::Fault;
use crate::output::{Fields, View};

/// Show the versions of program, interface and daemon
///
/// The daemon is asked if it runs, and not started if it does not.
#[derive(Args, Debug)]
pub(crate) struct Version {}

#[derive(Serialize)]
struct Versions {
    version: &'static str,
    api: ApiVersion,
    /// None if no daemon runs.
    daemon: Option<DaemonVersions>,
}

#[derive(Serialize)]
struct DaemonVersions {
    version: String,
    api: ApiVersion,
}

impl Version {
    pub(crate) async fn run(self, context: &mut Context<Launcher>) -> Result<(), Fault> {
        // Whatever keeps the daemon from being asked, the own version can be told.
        let found = match context.door.look().await {
            Ok(found) => found,
            Err(fault) => {
                context.out.detail(&fault.brief());
                None
            }
        };
        let daemon = found.map(|(_, hello)| DaemonVersions {
            version: hello.server_version,
            api: hello.api,
        });
        let versions = Versions {
            version: VERSION,
            api: ApiVersion {
                major: API_MAJOR,
                minor: API_MINOR,
            },
            daemon,
        };
        context.out.show(&versions, |_| {
            let api = |api: ApiVersion| format!("{}.{}", api.major, api.minor);
            let daemon = match &versions.daemon {
                Some(daemon) => format!("{}, interface {}", daemon.version, api(daemon.api)),
                None => "not running".to_owned(),
            };
            View::Fields(
                Fields::new()
                    .field("hermes-cli", VERSION)
                    .field("interface", api(versions.api))
                    .field("hermesd", daemon),
            )
        })
    }
}
