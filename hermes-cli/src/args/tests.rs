//! The command line from outside: its help, what it takes and what it refuses.

use clap::CommandFactory as _;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("hermes-cli").chain(line.split_whitespace()))
}

fn refused(line: &str) -> String {
    match parse(line) {
        Ok(cli) => panic!("{line} was taken as {cli:?}"),
        Err(error) => error.render().to_string(),
    }
}

#[test]
fn the_description_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_says_what_there_is() {
    let help = Cli::command()
        .term_width(100)
        .render_long_help()
        .to_string();
    insta::assert_snapshot!("help", help);
}

#[test]
fn every_command_has_help_of_one_line() {
    fn check(command: &clap::Command) {
        let name = command.get_name();
        let about = command.get_about().expect(name).to_string();
        assert!(about.starts_with(char::is_uppercase), "{name}: {about}");
        assert!(!about.ends_with('.'), "{name}: {about}");
        assert!(!about.contains('\n'), "{name}: {about}");
        for argument in command.get_arguments() {
            let help = argument.get_help().expect(name).to_string();
            assert!(!help.is_empty() && !help.ends_with('.'), "{name}: {help}");
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}

#[test]
fn the_help_lists_every_exit_code() {
    let help = exit_codes();
    for words in Exit::ALL {
        let code = words.exit.code().to_string();
        let line = help
            .lines()
            .find(|line| line.split_whitespace().next() == Some(&code))
            .expect("a line");
        assert!(line.ends_with(words.meaning), "{line}");
    }
    assert_eq!(help.lines().count(), Exit::ALL.len() + 1);
}

#[test]
fn the_lines_that_others_rely_on_are_taken() {
    for line in [
        "--home A init --name alice",
        "--home A init --name alice --insecure-no-passphrase --network lab --sky U --sky V",
        "--home A invite create --json",
        "--home A invite create --qr --ask --expires 7d",
        "--home B invite accept hermes:abc --name alice --json",
        "invite accept -",
        "invite inspect -",
        "invite approve bob --name robert",
        "invite list --json",
        "invite revoke i1",
        "contact list --json",
        "contact list --state established",
        "contact show bob",
        "contact rename bob robert",
        "contact verify bob",
        "contact verify bob --number 12345",
        "contact block bob",
        "contact unblock bob",
        "contact remove bob",
        "--home A send bob text --json --wait delivered --timeout 30s --key K",
        "send bob - --expires 7d",
        "--home B log alice --json -n 5",
        "--home B recv --follow --json --since e:5",
        "--home B recv --follow --json --consumer bot --chat alice",
        "recv",
        "chats",
        "chat mark-read alice",
        "store unlock --passphrase-file F",
        "store unlock --passphrase-fd 3",
        "store lock",
        "store passwd --old-passphrase-file F --passphrase-file G",
        "--home A status --json",
        "--socket S status --plain --no-input -v",
        "doctor",
        "ping bob --timeout 2s",
        "net sky",
        "net earth",
        "daemon start",
        "daemon stop",
        "daemon restart",
        "daemon status",
        "daemon logs -n 5 -f",
        "rpc status {}",
        "rpc --list",
        "rpc --discover",
        "robot --prefix heard: --once 3",
        "completions bash",
        "man",
        "man DIR",
        "version",
        "id show",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn a_misspelt_command_is_guessed() {
    assert!(refused("stauts").contains("status"));
    assert!(refused("contact lst").contains("list"));
    assert!(refused("send bob hi --wiat read").contains("--wait"));
    assert!(refused("send bob hi --wait delivred").contains("delivered"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (line, why) in [
        ("status --json --plain", "cannot be used"),
        ("send bob", "<TEXT>"),
        ("send bob hi --timeout 30", "unit"),
        ("send bob hi --expires 0s", "at least one second"),
        ("recv --since yesterday", "not a cursor"),
        ("recv --consumer ", "value"),
        ("init", "--name"),
        (
            "init --name a --keyring --insecure-no-passphrase",
            "cannot be used",
        ),
        (
            "init --name a --passphrase-file f --insecure-no-passphrase",
            "cannot be used",
        ),
        (
            "store unlock --passphrase-file f --passphrase-fd 3",
            "cannot be used",
        ),
        ("robot --once 0", "0"),
        ("rpc", "METHOD"),
        ("rpc status --list", "cannot be used"),
    ] {
        let error = refused(line);
        assert!(error.contains(why), "{line}: {error}");
    }
}

#[test]
fn no_flag_and_no_variable_takes_a_passphrase_itself() {
    fn check(command: &clap::Command) {
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            if id.contains("passphrase") && argument.get_action().takes_values() {
                assert!(id.ends_with("_file") || id.ends_with("_fd"), "{id}");
                assert!(argument.get_env().is_none(), "{id}");
            }
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}
