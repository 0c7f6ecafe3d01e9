//! How the program starts a daemon. The daemon's program is a script that notes its arguments.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::{command, home, run, stderr};

/// A program that notes its arguments, says something and fails.
fn failing_daemon(home: &TempDir) -> (PathBuf, PathBuf) {
    let (program, noted) = (home.path().join("fake"), home.path().join("noted"));
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\necho 'the port is taken' >&2\nexit 74\n",
        noted.display()
    );
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("executable");
    (program, noted)
}

#[test]
fn init_hands_network_and_sky_to_the_daemon_that_it_starts() {
    let home = home();
    let (program, noted) = failing_daemon(&home);
    let output = command(
        &home,
        [
            "init",
            "--name",
            "alice",
            "--network",
            "lab",
            "--sky",
            "u1",
            "--sky",
            "u2",
        ],
    )
    .env_remove("HERMES_NO_AUTOSTART")
    .env("HERMESD", &program)
    .output()
    .expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    let told = stderr(&output);
    assert!(told.contains("could not be started"), "{told}");
    assert!(told.contains("  | the port is taken\n"), "{told}");
    let home = home.path().to_str().expect("text");
    assert_eq!(
        fs::read_to_string(noted).expect("it was started"),
        [
            "run",
            "--home",
            home,
            "--network",
            "lab",
            "--sky",
            "u1",
            "--sky",
            "u2",
            ""
        ]
        .join("\n")
    );
}

#[test]
fn a_daemon_is_started_on_purpose_even_where_none_is_by_the_way() {
    let home = home();
    let (program, noted) = failing_daemon(&home);
    let started = |arguments: &[&str]| {
        let output = command(&home, arguments)
            .env("HERMESD", &program)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        noted.exists()
    };
    assert!(!started(&["status"]));
    assert!(started(&["daemon", "start"]));
}

#[test]
fn a_daemon_named_by_its_socket_is_not_started() {
    let home = home();
    let (program, noted) = failing_daemon(&home);
    let socket = home.path().join("other.sock");
    for (arguments, exit) in [(vec!["status"], 3), (vec!["daemon", "start"], 2)] {
        let output = command(&home, arguments)
            .arg("--socket")
            .arg(&socket)
            .env_remove("HERMES_NO_AUTOSTART")
            .env("HERMESD", &program)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(exit), "{}", stderr(&output));
        assert!(!noted.exists());
    }
}

#[test]
fn a_refused_text_starts_no_daemon() {
    let home = home();
    let (program, noted) = failing_daemon(&home);
    let output = command(&home, ["send", "bob", "-"])
        .env_remove("HERMES_NO_AUTOSTART")
        .env("HERMESD", &program)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(!noted.exists());
}

#[test]
fn what_asks_whether_a_daemon_runs_starts_none() {
    let home = home();
    let (program, noted) = failing_daemon(&home);
    for (arguments, exit) in [
        (vec!["version"], 0),
        (vec!["daemon", "status"], 3),
        (vec!["daemon", "stop"], 0),
        (vec!["daemon", "logs"], 1),
    ] {
        let output = command(&home, &arguments)
            .env_remove("HERMES_NO_AUTOSTART")
            .env("HERMESD", &program)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}");
        assert!(!noted.exists(), "{arguments:?}");
    }
}

#[test]
fn a_home_that_others_can_change_is_refused() {
    let home = home();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).expect("opened");
    let output = run(&home, ["status"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("not safe"), "{}", stderr(&output));
}
