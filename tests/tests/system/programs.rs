//! The programs as a user starts and misuses them.

use anyhow::{Context as _, Result, ensure};
use hermes_tests::person::{Person, befriend};
use hermes_tests::{Daemon, Home, Lab, Net, command, run};
use serde_json::json;

#[test]
fn a_second_daemon_on_a_home_is_refused() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 0)?;
    let home = Home::new()?;
    let first = Daemon::start(&home, &lab)?;
    let second = run(Daemon::command(&home)?)?;
    ensure!(second.code() == Some(69), "{second:?}");
    ensure!(second.stderr.contains("already"), "{second:?}");
    first.rpc()?.call("hello", json!({}))?;
    Ok(())
}

/// With a sentence, the right status, and without anything left behind that ends badly.
#[test]
fn starts_that_fail_end_in_good_order() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 0)?;
    let home = Home::new()?;
    Daemon::start(&home, &lab)?
        .rpc()?
        .call("identity.init", json!({"name": "alice"}))?;
    let taken = std::net::UdpSocket::bind(("127.0.0.1", 0))?;
    let taken = taken.local_addr()?.to_string();
    let header = home.path().join("store").join("header");
    let starts: [(&[&str], i32, &str); 3] = [
        (&["--listen", &taken], 69, &taken),
        (&["--keep", "yes", "--keep-listen", &taken], 69, "keeper"),
        (&["--network", "nowhere"], 64, "nowhere"),
    ];
    let check = |arguments: &[&str], status: i32, word: &str| {
        let mut start = Daemon::command(&home)?;
        start.args(arguments);
        let output = run(start)?;
        ensure!(
            output.code() == Some(status)
                && output.stderr.contains(word)
                && !output.stderr.contains("panicked"),
            "{arguments:?}: {output:?}"
        );
        Ok(())
    };
    for (arguments, status, word) in starts {
        check(arguments, status, word)?;
    }
    let whole = std::fs::read(&header)?;
    std::fs::write(&header, &whole[..whole.len() / 2])?;
    check(&[], 65, "damaged")?;
    std::fs::write(&header, &whole)?;
    Daemon::launch(Daemon::command(&home)?)?;
    Ok(())
}

#[test]
fn a_home_stays_on_its_network() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 0)?;
    let home = Home::new()?;
    Daemon::start(&home, &lab)?.process.terminate()?;
    let mut other = Daemon::command(&home)?;
    other.args(["--network", "main"]);
    let output = run(other)?;
    ensure!(
        output.code() == Some(78) && output.stderr.contains("lab"),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn ports_uris_and_folders_that_cannot_be_used_are_told() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 0)?;
    let data = tempfile::tempdir()?;
    let taken = lab.sky.first().context("no sky")?;
    let mut sky = command("hermes-sky")?;
    sky.args(["--network", "lab", "--listen", taken.address(), "--data"])
        .arg(data.path());
    let output = run(sky)?;
    ensure!(
        output.code() == Some(69) && !output.stderr.is_empty(),
        "{output:?}"
    );
    let mut earth = command("hermes-earth")?;
    earth
        .args([
            "--network",
            "lab",
            "--listen",
            "127.0.0.1:0",
            "--sky",
            "nonsense",
            "--data",
        ])
        .arg(data.path());
    let output = run(earth)?;
    ensure!(
        output.code() == Some(64) && output.stderr.contains("nonsense"),
        "{output:?}"
    );
    let mut earth = command("hermes-earth")?;
    earth
        .args([
            "--network",
            "nowhere",
            "--listen",
            "127.0.0.1:0",
            "--sky",
            taken.uri(),
            "--data",
        ])
        .arg(data.path());
    ensure!(run(earth)?.code() == Some(78));
    Ok(())
}

#[test]
fn a_passphrase_locks_and_unlocks() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 0)?;
    let home = Home::new()?;
    let file = home.path().join("passphrase");
    std::fs::write(&file, "correct horse\n")?;
    let mut start = Daemon::command(&home)?;
    start.args([
        "--network",
        "lab",
        "--listen",
        "127.0.0.1:0",
        "--sky",
        lab.sky.first().context("no sky")?.uri(),
    ]);
    let mut daemon = Daemon::launch(start)?;
    let mut rpc = daemon.rpc()?;
    let none = rpc.call("identity.init", json!({"name": "alice"}));
    ensure!(
        none.is_err(),
        "an identity without protection was made although nobody said so"
    );
    rpc.call(
        "identity.init",
        json!({"name": "alice", "passphrase": "correct horse"}),
    )?;
    daemon.process.terminate()?;

    let mut daemon = Daemon::launch(Daemon::command(&home)?)?;
    let status = home.cli_json(["status"])?;
    ensure!(
        status["locked"] == true && status["initialized"] == true,
        "{status}"
    );
    ensure!(
        home.cli(["send", "bob", "hi"])?.code() == Some(4),
        "a locked store has its own exit code"
    );
    let mut rpc = daemon.rpc()?;
    let wrong = rpc
        .call("store.unlock", json!({"passphrase": "wrong"}))
        .err()
        .context("a wrong passphrase was taken")?;
    ensure!(format!("{wrong:#}").contains("1002"), "{wrong:#}");
    rpc.call("store.unlock", json!({"passphrase": "correct horse"}))?;
    ensure!(rpc.call("identity.show", json!({}))?["name"] == "alice");
    daemon.process.terminate()?;

    let mut again = Daemon::command(&home)?;
    again.arg("--passphrase-file").arg(&file);
    let daemon = Daemon::launch(again)?;
    ensure!(daemon.rpc()?.call("status", json!({}))?["locked"] == false);
    Ok(())
}

#[test]
fn text_from_stdin_is_sent_whole_or_refused() -> Result<()> {
    let lab = Lab::start(Net::lab(), 1, 3)?;
    let (mut alice, mut bob) = (Person::new("alice", &lab)?, Person::new("bob", &lab)?);
    befriend(&mut alice, &mut bob)?;
    let long = "ü".repeat(30 * 1024);
    alice
        .home
        .cli_with_input(["send", "bob", "-", "--wait", "delivered"], long.as_bytes())?
        .success()?;
    ensure!(bob.received("alice")? == std::slice::from_ref(&long));
    let too_long = alice
        .home
        .cli_with_input(["send", "bob", "-"], format!("{long}x").as_bytes())?;
    ensure!(
        too_long.code().is_some_and(|code| code != 0) && too_long.stderr.contains("60 KiB"),
        "{too_long:?}"
    );
    let bytes = alice
        .home
        .cli_with_input(["send", "bob", "-"], b"\xff\xfe")?;
    ensure!(
        bytes.code().is_some_and(|code| code != 0) && bytes.stderr.contains("UTF-8"),
        "{bytes:?}"
    );
    let empty = alice.home.cli_with_input(["send", "bob", "-"], b"")?;
    ensure!(empty.code().is_some_and(|code| code != 0), "{empty:?}");
    ensure!(
        bob.received("alice")?.len() == 1,
        "nothing of these was sent"
    );
    Ok(())
}

/// No address, key or name is in a log that a user would show somebody.
#[test]
fn logs_tell_nothing_about_people() -> Result<()> {
    let lab = Lab::start(Net::lab(), 2, 3)?;
    let (mut alice, mut bob) = (Person::new("alicia", &lab)?, Person::new("roberto", &lab)?);
    befriend(&mut alice, &mut bob)?;
    let sent = alice.call(
        "message.send",
        json!({"to": "roberto", "body": "very private words", "wait": "delivered"}),
    )?;
    let identity = alice.call("identity.show", json!({}))?["identity"]
        .as_str()
        .context("no identity")?
        .to_owned();
    let message = sent["message_id"].as_str().context("no id")?.to_owned();
    let mut logs = String::new();
    for person in [&mut alice, &mut bob] {
        logs.push_str(&person.daemon().context("no daemon")?.process.log());
    }
    for node in lab
        .sky
        .iter()
        .map(|sky| sky.process.log())
        .chain(lab.earth.iter().map(|earth| earth.process.log()))
    {
        logs.push_str(&node);
    }
    let keys = lab
        .sky_uris()
        .iter()
        .filter_map(|uri| uri.split("//").nth(1)?.split('@').next().map(str::to_owned))
        .collect::<Vec<_>>();
    for secret in [
        &identity,
        &message,
        "127.0.0.1:",
        "alicia",
        "roberto",
        "private words",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(keys)
    {
        ensure!(!logs.contains(&secret), "{secret:?} is in a log:\n{logs}");
    }
    Ok(())
}
