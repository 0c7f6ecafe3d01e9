//! `doctor`: what may be wrong, as far as this program and the daemon can see.

use clap::Args;
use hermes_api::table::Doctor as DoctorMethod;
use hermes_api::types::{Check, CheckOutcome, DoctorResponse, NoParams};

use super::Context;
use crate::door::{Door as _, Launcher, VERSION};
use crate::fault::Fault;
use crate::output::{Out, Table, View, word};

/// Look for what may be wrong
///
/// Identities and addresses are left out, so that the output can be shown to others. The exit code
/// is 1 if a check fails, and 3 if the daemon cannot be asked.
#[derive(Args, Debug)]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) async fn run(self, context: &mut Context<Launcher>) -> Result<(), Fault> {
        let mut checks = vec![check(
            "cli.version",
            CheckOutcome::Ok,
            format!("hermes-cli {VERSION}"),
        )];
        let paths = context.door.paths()?;
        let dir = match paths.check_socket_dir() {
            Ok(()) => check(
                "socket.dir",
                CheckOutcome::Ok,
                "the socket's folder is safe".to_owned(),
            ),
            Err(error) => check("socket.dir", CheckOutcome::Warn, error.to_string()),
        };
        checks.push(dir);
        let asked = ask(context, &mut checks).await;
        let failed = checks
            .iter()
            .any(|check| check.outcome == CheckOutcome::Fail);
        show(DoctorResponse { checks }, &mut context.out)?;
        asked?;
        if failed {
            return Err(Fault::failed("a check failed"));
        }
        Ok(())
    }
}

/// Adds what the daemon finds.
async fn ask(context: &mut Context<Launcher>, checks: &mut Vec<Check>) -> Result<(), Fault> {
    let answer = match context.door.open(&mut context.out).await {
        Ok(api) => api
            .call::<DoctorMethod>(NoParams {})
            .await
            .map_err(Fault::from),
        Err(fault) => Err(fault),
    };
    match answer {
        Ok(found) => {
            checks.push(check(
                "daemon.running",
                CheckOutcome::Ok,
                "hermesd answers".to_owned(),
            ));
            checks.extend(found.checks);
            Ok(())
        }
        Err(fault) => {
            checks.push(check("daemon.running", CheckOutcome::Fail, fault.brief()));
            Err(fault)
        }
    }
}

fn check(name: &str, outcome: CheckOutcome, detail: String) -> Check {
    Check {
        name: name.to_owned(),
        outcome,
        detail,
        hint: None,
    }
}

fn show(found: DoctorResponse, out: &mut Out) -> Result<(), Fault> {
    out.show(&found, |_| {
        let rows = found.checks.iter().map(|check| {
            let detail = match &check.hint {
                Some(hint) => format!("{} ({hint})", check.detail),
                None => check.detail.clone(),
            };
            vec![word(check.outcome), check.name.clone(), detail]
        });
        View::Table(Table::new(&["outcome", "check", "found"], "no checks").rows(rows))
    })
}
