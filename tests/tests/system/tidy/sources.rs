//! Rules about the text of every source file.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::tree::sources;

/// The most lines a file may have, its tests not counted.
const LINES_MAX: usize = 600;

/// Files that were longer when the rule came, with the number of lines they may not exceed. Entries only shrink, and then go.
const LONGER: &[(&str, usize)] = &[];

/// Module prose shorter than this says nothing.
const PROSE_CHARACTERS_MIN: usize = 20;

#[test]
fn no_file_outgrows_its_topic() -> Result<()> {
    let exceptions: BTreeMap<&str, usize> = LONGER.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for source in sources()? {
        if source.is_test() {
            continue;
        }
        let lines = source.lines().iter().filter(|line| !line.is_test).count();
        match exceptions.get(source.path.as_str()) {
            None if lines > LINES_MAX => {
                wrong.push(format!("{} has {lines} lines without its tests, {LINES_MAX} are the most: split it by topic", source.path));
            }
            None => {}
            Some(listed) => {
                seen += 1;
                if lines > *listed {
                    wrong.push(format!(
                        "{} grew from {listed} to {lines} lines: exceptions only shrink",
                        source.path
                    ));
                } else if lines < *listed {
                    wrong.push(format!(
                        "{} shrank to {lines} lines: lower its entry, or drop it at {LINES_MAX}",
                        source.path
                    ));
                }
            }
        }
    }
    ensure!(
        seen == exceptions.len(),
        "an exception for a file that is not there any more: {LONGER:?}"
    );
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn every_file_opens_with_prose() -> Result<()> {
    let mut wrong = Vec::new();
    for source in sources()? {
        if source.is_unit_test() {
            continue;
        }
        let prose: String = source
            .text
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .collect();
        if prose.trim().len() < PROSE_CHARACTERS_MIN {
            wrong.push(format!(
                "{} does not open with `//!` prose that says what it is for",
                source.path
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn nothing_is_left_undone() -> Result<()> {
    // Put together here so that this file does not find itself.
    let macros = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let ignored = format!("#[{}", "ignore");
    let mut wrong = Vec::new();
    for source in sources()? {
        for line in source.code() {
            if macros
                .iter()
                .chain([&ignored])
                .any(|mark| line.text.contains(mark.as_str()))
            {
                wrong.push(format!(
                    "{}:{}: {}",
                    source.path,
                    line.number,
                    line.text.trim()
                ));
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "finish it or take it out:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

#[test]
fn no_test_sleeps() -> Result<()> {
    let sleep = format!("{}(", "sleep");
    let mut wrong = Vec::new();
    for source in sources()? {
        for line in source
            .code()
            .filter(|line| line.is_test && line.text.contains(&sleep))
        {
            wrong.push(format!(
                "{}:{}: {}",
                source.path,
                line.number,
                line.text.trim()
            ));
        }
    }
    ensure!(
        wrong.is_empty(),
        "a test waits for what it expects, and never for time to pass:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

/// The pure parts, by the start of their files' paths.
const PURE: &[&str] = &[
    "wire/src/",
    "ring/src/",
    "underworld/src/",
    "sky/src/proto",
    "earth/src/proto",
];

/// Parts of those that are no production code: harnesses behind a feature, whose virtual clock has to start somewhere.
const HARNESSES: &[&str] = &["underworld/src/testing/"];

/// What a pure part may not name, and where it comes from instead.
const IMPURE: &[(&str, &str)] = &[
    (
        "tokio",
        "the shell drives a machine; the machine does not wait",
    ),
    ("std::fs", "storage is an output"),
    ("std::net::UdpSocket", "sending is an output"),
    ("std::net::TcpStream", "sending is an output"),
    ("std::net::TcpListener", "sending is an output"),
    ("std::thread", "a machine has one owner"),
    ("std::env", "configuration is an argument"),
    ("Instant::now", "time is an argument"),
    ("SystemTime::now", "time is an argument"),
    ("OsRng", "randomness is an argument"),
    ("thread_rng", "randomness is an argument"),
    ("rand::rng()", "randomness is an argument"),
    ("getrandom::", "randomness is an argument"),
];

#[test]
fn pure_parts_name_no_clock_socket_file_or_global_randomness() -> Result<()> {
    let mut wrong = Vec::new();
    for source in sources()? {
        let below = |parts: &[&str]| parts.iter().any(|part| source.path.starts_with(part));
        if !below(PURE) || below(HARNESSES) {
            continue;
        }
        let production: Vec<_> = source.code().filter(|line| !line.is_test).collect();
        for line in &production {
            for (name, instead) in IMPURE {
                if line.text.contains(name) {
                    wrong.push(format!(
                        "{}:{}: `{name}`: {instead}",
                        source.path, line.number
                    ));
                }
            }
        }
        // `use std::{fs, net::UdpSocket};` names the same things in another way.
        let text: String = production.iter().map(|line| line.text).collect();
        for import in text
            .split("use std::{")
            .skip(1)
            .filter_map(|rest| rest.split(';').next())
        {
            let words: Vec<&str> = import.split(|c: char| !c.is_alphanumeric()).collect();
            for (name, instead) in IMPURE.iter().filter(|(name, _)| name.starts_with("std::")) {
                let last = name.rsplit("::").next().unwrap_or(name);
                if words.contains(&last) {
                    wrong.push(format!("{}: imports `{name}`: {instead}", source.path));
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The files whose inner attributes hold for a whole pure part: one of each row denies what could panic.
const PURE_ROOTS: &[&[&str]] = &[
    &["wire/src/lib.rs"],
    &["ring/src/lib.rs"],
    &["underworld/src/lib.rs"],
    &["sky/src/lib.rs", "sky/src/proto/mod.rs", "sky/src/proto.rs"],
    &[
        "earth/src/lib.rs",
        "earth/src/proto/mod.rs",
        "earth/src/proto.rs",
    ],
];

const PANICKING: &[&str] = &[
    "clippy::unwrap_used",
    "clippy::expect_used",
    "clippy::indexing_slicing",
];

#[test]
fn pure_parts_deny_what_could_panic() -> Result<()> {
    let sources = sources()?;
    let mut wrong = Vec::new();
    for roots in PURE_ROOTS {
        let texts = sources
            .iter()
            .filter(|source| roots.contains(&source.path.as_str()))
            .map(|source| &source.text);
        let denied: String = texts
            .flat_map(|text| text.split("deny(").skip(1))
            .filter_map(|rest| rest.split(')').next())
            .collect();
        for lint in PANICKING.iter().filter(|lint| !denied.contains(**lint)) {
            wrong.push(format!(
                "none of {roots:?} denies {lint}: what a peer sends must never panic"
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
