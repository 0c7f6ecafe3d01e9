//! Tests of the commands about invites with a daemon in memory.

use hermes_api::client::Double;
use hermes_api::error::Exit;
use hermes_api::table::{InviteAccept, InviteCreate};
use hermes_api::types::{Approval, ContactState, InviteAcceptResponse, InviteCreateResponse, Time};

use super::*;
use crate::args::{Cli, Command};
use crate::cmds::testing::{MARCH, block_on, context, context_with};
use crate::input::tests::Scripted;
use crate::output::Format;

/// The command that a line stands for.
fn parse(line: &str) -> Invite {
    let words = ["hermes-cli", "invite"]
        .into_iter()
        .chain(line.split_whitespace());
    match <Cli as clap::Parser>::parse_from(words).command {
        Command::Invite(command) => command,
        other => panic!("not about invites: {other:?}"),
    }
}

fn maker() -> Double {
    let double = Double::new();
    double.on::<InviteCreate>(|params| {
        Ok(InviteCreateResponse {
            invite: "hermes:abc".to_owned(),
            invite_id: "i1".to_owned(),
            qr: "HERMES:ABC".to_owned(),
            approval: params.approval,
            expires_at: Time::from_unix_ms(MARCH),
        })
    });
    double
}

#[test]
fn the_link_stands_alone_on_stdout() {
    let (mut context, shown) = context(maker(), Format::Human);
    block_on(parse("create").run(&mut context)).expect("made");
    assert_eq!(shown.stdout(), "hermes:abc\n");
    assert!(shown.stderr().contains("once, until 2026-03-02"));
}

#[test]
fn a_qr_code_follows_the_link() {
    let (mut context, shown) = context(maker(), Format::Human);
    block_on(parse("create --qr").run(&mut context)).expect("made");
    let stdout = shown.stdout();
    let (link, code) = stdout.split_once('\n').expect("lines");
    assert_eq!(link, "hermes:abc");
    assert!(code.contains('█'), "{code}");
}

#[test]
fn json_is_one_object_with_or_without_a_code() {
    for line in ["create", "create --qr --ask --expires 7d"] {
        let (mut context, shown) = context(maker(), Format::Json);
        block_on(parse(line).run(&mut context)).expect("made");
        let made: InviteCreateResponse = serde_json::from_str(&shown.stdout()).expect("json");
        assert_eq!(made.invite, "hermes:abc");
        assert_eq!(shown.stderr(), "");
        let params = &context.door.calls()[0].1;
        let asks = line.contains("--ask");
        assert_eq!(made.approval == Approval::Ask, asks);
        assert_eq!(params.get("expires_in_s").is_some(), asks);
    }
}

fn accepter() -> Double {
    let double = Double::new();
    double.on::<InviteAccept>(|params| {
        assert_eq!(params.invite, "hermes:abc");
        Ok(InviteAcceptResponse {
            contact_id: "c1".to_owned(),
            name: params.name.unwrap_or_else(|| "al\u{202e}ice".to_owned()),
            state: ContactState::Requested,
        })
    });
    double
}

#[test]
fn a_link_is_an_argument_or_stands_on_stdin() {
    for (line, stdin) in [
        ("accept hermes:abc --name alice", b"".as_slice()),
        ("accept - --name alice", b" hermes:abc\r\n"),
    ] {
        let script = Scripted {
            stdin: stdin.to_vec(),
            ..Scripted::default()
        };
        let (mut context, shown) = context_with(accepter(), Format::Json, script, false);
        block_on(parse(line).run(&mut context)).expect("accepted");
        assert_eq!(
            shown.stdout(),
            "{\"contact_id\":\"c1\",\"name\":\"alice\",\"state\":\"requested\"}\n"
        );
    }
}

#[test]
fn the_name_that_the_inviter_chose_is_harmless() {
    let (mut context, shown) = context(accepter(), Format::Human);
    block_on(parse("accept hermes:abc").run(&mut context)).expect("accepted");
    assert_eq!(
        shown.stdout(),
        "alice was asked; the answer comes by itself\n"
    );
}

#[test]
fn what_can_be_no_link_is_refused_before_anything_is_asked() {
    for stdin in [
        b"".to_vec(),
        b" \n".to_vec(),
        b"\xff".to_vec(),
        vec![b'x'; LINK_BYTES_MAX + 1],
    ] {
        let script = Scripted {
            stdin,
            ..Scripted::default()
        };
        let (mut context, _) = context_with(accepter(), Format::Json, script, false);
        let fault = block_on(parse("accept -").run(&mut context)).expect_err("refused");
        assert!(fault.is(ErrorCode::InviteInvalid), "{fault:?}");
        assert_eq!(fault.exit(), Exit::Refused);
        assert!(context.door.calls().is_empty());
    }
}
