//! Tests of `init` and of the commands about the store with a daemon in memory.

use std::path::PathBuf;

use hermes_api::client::Double;
use hermes_api::error::Exit;
use hermes_api::table::{IdentityInit, IdentityShow, Status, StoreChangePassphrase, StoreUnlock};
use hermes_api::types::{Done, Identity, Protection, StatusResponse, Time};
use hermes_api::{ApiError, ErrorCode};
use tempfile::TempDir;

use super::*;
use crate::args::{Cli, Command};
use crate::cmds::testing::{self, MARCH, block_on, context_with};
use crate::input::tests::Scripted;
use crate::output::{Format, Shown};

fn identity(protection: Protection) -> Identity {
    Identity {
        identity: "k3f7-9m2p".to_owned(),
        name: "alice".to_owned(),
        network: "lab".to_owned(),
        protection,
        created_at: Time::from_unix_ms(MARCH),
    }
}

/// A daemon without an identity; `default` is what it was started to protect the store with.
fn fresh(default: Option<Protection>) -> Double {
    let double = daemon(false, Protection::Passphrase);
    double.on::<IdentityInit>(move |params| match params.protection.or(default) {
        Some(protection) => Ok(identity(protection)),
        None => Err(ApiError::new(
            ErrorCode::InvalidParams,
            "nothing protects the store",
        )),
    });
    double
}

/// A daemon whose passphrase is `old` or `right`.
fn daemon(initialized: bool, protection: Protection) -> Double {
    let double = Double::new();
    double.on::<Status>(move |_| {
        Ok(StatusResponse {
            initialized,
            locked: initialized,
            ..testing::status()
        })
    });
    double.on::<IdentityShow>(move |_| Ok(identity(protection)));
    double.on::<StoreUnlock>(|params| {
        if params.passphrase.expose() == "right" {
            Ok(StoreLockResponse { locked: false })
        } else {
            Err(ApiError::new(ErrorCode::WrongPassphrase, "wrong passphrase").retry_after_ms(1_000))
        }
    });
    double.on::<StoreChangePassphrase>(|_| Ok(Done {}));
    double
}

struct Ran {
    exit: Exit,
    fault: String,
    /// The parameters of the last call.
    last: Option<(String, serde_json::Value)>,
    prompts: Vec<String>,
    shown: Shown,
}

/// Runs a line; answers are for somebody at the terminal, if there are any.
fn run(line: &[&str], double: Double, answers: Vec<&'static str>) -> Ran {
    let interactive = !answers.is_empty();
    let script = Scripted {
        answers,
        ..Scripted::default()
    };
    let prompts = script.prompts.clone();
    let (mut context, shown) = context_with(double, Format::Human, script, interactive);
    let words = std::iter::once("hermes-cli").chain(line.iter().copied());
    let outcome = block_on(async {
        match <Cli as clap::Parser>::parse_from(words).command {
            Command::Init(command) => command.run(&mut context).await,
            Command::Store(command) => command.run(&mut context).await,
            other => panic!("neither init nor about the store: {other:?}"),
        }
    });
    let prompts = prompts.lock().expect("lock").clone();
    Ran {
        fault: outcome.as_ref().err().map(Fault::brief).unwrap_or_default(),
        exit: outcome.map_or_else(|fault| fault.exit(), |()| Exit::Done),
        last: context.door.calls().pop(),
        prompts,
        shown,
    }
}

/// A file with a passphrase.
fn secret(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("folder");
    let path: PathBuf = folder.path().join("secret");
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("text").to_owned();
    (folder, path)
}

#[test]
fn init_takes_what_the_daemon_was_started_with() {
    let ran = run(
        &["init", "--name", "alice"],
        fresh(Some(Protection::None)),
        vec![],
    );
    assert_eq!(ran.exit, Exit::Done, "{}", ran.fault);
    let params = ran.last.expect("asked").1;
    assert_eq!(params, serde_json::json!({ "name": "alice" }));
    assert!(ran.shown.stdout().contains("k3f7-9m2p"));
}

#[test]
fn init_asks_for_a_passphrase_if_nothing_else_protects_the_store() {
    let ran = run(
        &["init", "--name", "alice"],
        fresh(None),
        vec!["a b", "a b"],
    );
    assert_eq!(ran.exit, Exit::Done, "{}", ran.fault);
    let params = ran.last.expect("asked").1;
    assert_eq!(params["protection"], "passphrase");
    assert_eq!(params["passphrase"], "a b");
    assert_eq!(ran.prompts, ["New passphrase: ", "The same again: "]);
}

#[test]
fn init_without_protection_and_without_a_terminal_says_how_to_choose() {
    let ran = run(&["init", "--name", "alice"], fresh(None), vec![]);
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.fault.contains("protects"), "{}", ran.fault);
}

#[test]
fn init_passes_on_what_it_was_told() {
    let (_folder, path) = secret("a b\n");
    for (flags, protection, passphrase) in [
        (vec!["--insecure-no-passphrase"], "none", None),
        (vec!["--keyring"], "keyring", None),
        (vec!["--passphrase-file", &path], "passphrase", Some("a b")),
    ] {
        let line: Vec<&str> = ["init", "--name", "alice", "--network", "lab", "--sky", "u1"]
            .into_iter()
            .chain(flags)
            .collect();
        let ran = run(&line, fresh(None), vec![]);
        assert_eq!(ran.exit, Exit::Done, "{}", ran.fault);
        let params = ran.last.expect("asked").1;
        assert_eq!(params["protection"], protection);
        assert_eq!(params["passphrase"].as_str(), passphrase);
        assert_eq!(params["network"], "lab");
        assert_eq!(params["sky"], serde_json::json!(["u1"]));
        assert!(ran.prompts.is_empty());
    }
}

#[test]
fn a_home_has_one_identity() {
    let ran = run(
        &["init", "--name", "alice"],
        daemon(true, Protection::None),
        vec!["a b", "a b"],
    );
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.fault.contains("already"), "{}", ran.fault);
    assert!(ran.prompts.is_empty(), "nobody is asked for nothing");
}

#[test]
fn a_network_file_must_be_there() {
    let ran = run(
        &["init", "--name", "alice", "--network", "nowhere/net.toml"],
        fresh(Some(Protection::None)),
        vec![],
    );
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.last.is_none());
}

#[test]
fn a_store_is_unlocked_by_a_file_or_by_somebody() {
    let (_folder, path) = secret("right\n");
    let line = ["store", "unlock", "--passphrase-file", &path];
    assert_eq!(
        run(&line, daemon(true, Protection::Passphrase), vec![]).exit,
        Exit::Done
    );
    let line = ["store", "unlock"];
    let ran = run(&line, daemon(true, Protection::Passphrase), vec!["right"]);
    assert_eq!(
        (ran.exit, ran.prompts),
        (Exit::Done, vec!["Passphrase: ".to_owned()])
    );
    let ran = run(&line, daemon(true, Protection::Passphrase), vec!["wrong"]);
    assert_eq!(ran.exit, Exit::Locked);
    let ran = run(&line, daemon(true, Protection::Passphrase), vec![]);
    assert_eq!(ran.exit, Exit::Usage, "nobody is there to ask");
}

#[test]
fn nobody_is_asked_to_open_an_open_store() {
    let double = daemon(true, Protection::None);
    double.on::<Status>(|_| Ok(testing::status()));
    let ran = run(&["store", "unlock"], double, vec!["right"]);
    assert_eq!(ran.exit, Exit::Done);
    assert!(ran.prompts.is_empty());
    assert_eq!(ran.shown.stdout(), "the store is unlocked\n");
}

#[test]
fn a_passphrase_is_changed_with_the_old_one() {
    let ran = run(
        &["store", "passwd"],
        daemon(true, Protection::Passphrase),
        vec!["old", "new", "new"],
    );
    assert_eq!(ran.exit, Exit::Done, "{}", ran.fault);
    assert_eq!(
        ran.last.expect("asked").1,
        serde_json::json!({ "old": "old", "new": "new", "protection": "passphrase" })
    );
}

#[test]
fn a_store_without_a_passphrase_has_no_old_one() {
    let (_folder, path) = secret("new");
    let ran = run(
        &["store", "passwd", "--passphrase-file", &path],
        daemon(true, Protection::None),
        vec![],
    );
    assert_eq!(ran.exit, Exit::Done, "{}", ran.fault);
    assert_eq!(
        ran.last.expect("asked").1,
        serde_json::json!({ "new": "new", "protection": "passphrase" })
    );
}

#[test]
fn protection_can_be_given_up_on_purpose_only() {
    let (_folder, path) = secret("old");
    let ran = run(
        &[
            "store",
            "passwd",
            "--old-passphrase-file",
            &path,
            "--insecure-no-passphrase",
        ],
        daemon(true, Protection::Passphrase),
        vec![],
    );
    assert_eq!(ran.exit, Exit::Done, "{}", ran.fault);
    assert_eq!(
        ran.last.expect("asked").1,
        serde_json::json!({ "old": "old", "protection": "none" })
    );
}

#[test]
fn one_stream_cannot_hold_two_passphrases() {
    let ran = run(
        &[
            "store",
            "passwd",
            "--old-passphrase-file",
            "-",
            "--passphrase-fd",
            "0",
        ],
        daemon(true, Protection::Passphrase),
        vec![],
    );
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.last.is_none());
}
