//! `status`: one screen about the daemon, and the probe whether all is well.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::Status as StatusMethod;
use hermes_api::types::{NoParams, StatusResponse};

use super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Fields, View, Words, bytes, count};

/// Show how the daemon is
///
/// With --json, among others: version, name, identity, initialized, locked, network, sky.connected,
/// sky.registered, earth.known, outbox, epoch, store_bytes, contacts, unread, pid, socket.
#[derive(Args, Debug)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let status = context
            .api()
            .await?
            .call::<StatusMethod>(NoParams {})
            .await?;
        context.out.show(&status, |words| view(&status, words))?;
        if !status.initialized {
            context
                .out
                .remark("there is no identity yet; make one with: hermes-cli init --name NAME");
        } else if status.locked {
            context
                .out
                .remark("the store is locked; unlock it with: hermes-cli store unlock");
        }
        Ok(())
    }
}

fn view(status: &StatusResponse, words: &Words<'_>) -> View {
    let unknown = || {
        let why = if status.initialized {
            "unknown while locked"
        } else {
            "none yet"
        };
        why.to_owned()
    };
    let store = match (status.initialized, status.locked) {
        (false, _) => "not made yet",
        (true, true) => "locked",
        (true, false) => "open",
    };
    let registered = if status.sky.registered {
        "friends can find you"
    } else {
        "friends cannot find you now"
    };
    let keeping = if status.keeping.enabled {
        let deposits = count(status.keeping.deposits, "deposit");
        format!("{deposits}, {}", bytes(status.keeping.bytes))
    } else {
        "no".to_owned()
    };
    let warnings = status.warnings.iter();
    let fields = Fields::new()
        .field("version", &status.version)
        .field("name", status.name.clone().unwrap_or_else(unknown))
        .field("identity", status.identity.clone().unwrap_or_else(unknown))
        .field(
            "network",
            status.network.as_deref().unwrap_or("not chosen yet"),
        )
        .field("store", format!("{store}, {}", bytes(status.store_bytes)))
        .field(
            "sky",
            format!(
                "{} of {} connected, {registered}",
                status.sky.connected, status.sky.known
            ),
        )
        .field(
            "earth",
            format!(
                "{} known, {} watching for you",
                status.earth.known, status.earth.watching
            ),
        )
        .field(
            "outbox",
            format!("{} waiting", count(status.outbox, "message")),
        )
        .field("unread", count(status.unread, "message"))
        .field("contacts", status.contacts.to_string())
        .field("epoch", status.epoch.to_string())
        .field("keeping for others", keeping)
        .field("running since", words.when(status.started_at))
        .field("process", status.pid.to_string())
        .field("socket", &status.socket);
    let fields = warnings.fold(fields, |fields, warning| fields.field("warning", warning));
    View::Fields(fields)
}

#[cfg(test)]
mod tests {
    use hermes_api::client::Double;

    use super::*;
    use crate::cmds::testing::{self, context, status};
    use crate::output::Format;

    #[test]
    fn one_screen_tells_how_the_daemon_is() {
        let double = Double::new();
        double.on::<StatusMethod>(|_| Ok(status()));
        let (mut context, shown) = context(double, Format::Human);
        testing::block_on(Status {}.run(&mut context)).expect("status");
        insta::assert_snapshot!(shown.stdout(), @r"
        version:             0.1.0
        name:                alice
        identity:            k3f7-9m2p
        network:             lab
        store:               open, 1.1 MiB
        sky:                 2 of 3 connected, friends can find you
        earth:               6 known, 2 watching for you
        outbox:              1 message waiting
        unread:              3 messages
        contacts:            2
        epoch:               20514
        keeping for others:  no
        running since:       2026-03-02 10:41
        process:             4711
        socket:              /h/rpc.sock
        ");
        assert_eq!(shown.stderr(), "");
    }

    #[test]
    fn a_locked_store_says_what_to_do() {
        let double = Double::new();
        double.on::<StatusMethod>(|_| {
            Ok(StatusResponse {
                locked: true,
                name: None,
                identity: None,
                ..status()
            })
        });
        let (mut context, shown) = context(double, Format::Human);
        testing::block_on(Status {}.run(&mut context)).expect("status");
        assert!(shown.stdout().contains("unknown while locked"));
        assert!(shown.stderr().contains("hermes-cli store unlock"));
    }

    #[test]
    fn json_has_the_fields_that_scripts_rely_on() {
        let double = Double::new();
        double.on::<StatusMethod>(|_| Ok(status()));
        let (mut context, shown) = context(double, Format::Json);
        testing::block_on(Status {}.run(&mut context)).expect("status");
        let value: serde_json::Value = serde_json::from_str(&shown.stdout()).expect("json");
        for field in [
            "/version",
            "/name",
            "/identity",
            "/locked",
            "/sky/connected",
            "/earth/known",
            "/outbox",
            "/epoch",
            "/store_bytes",
        ] {
            assert!(value.pointer(field).is_some(), "{field}");
        }
    }
}
