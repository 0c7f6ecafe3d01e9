//! Who may depend on whom.
//!
//! The picture is the one in ARCHITECTURE.md. A new edge is a decision: it goes into the table below together with its reason, or it
//! does not go in. What the members declare is compared edge by edge; what they reach through others is asked of `cargo tree`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Dependency, DependencyKind};
use hermes_tests::{run, workspace};

/// A member, the members of ours it may name, and why no others.
struct Rule {
    member: &'static str,
    may_name: &'static [&'static str],
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        member: "hermes-wire",
        may_name: &[],
        reason: "wire is the leaf: what travels and how it is named, for everybody and above nobody",
    },
    Rule {
        member: "hermes-ring",
        may_name: &["hermes-wire"],
        reason: "the ring places names that wire defines; it knows nothing of what is kept there",
    },
    Rule {
        member: "hermes-link",
        may_name: &["hermes-wire"],
        reason: "a link carries bytes between keys; what they mean is the layers' affair",
    },
    Rule {
        member: "hermes-sky",
        may_name: &["hermes-link", "hermes-ring", "hermes-wire"],
        reason: "sky introduces people; it must be able to run without keeping or reading anything",
    },
    Rule {
        member: "hermes-earth",
        may_name: &["hermes-link", "hermes-ring", "hermes-sky", "hermes-wire"],
        reason: "a keeper announces itself at sky nodes, through sky's client; it never sees inside a message",
    },
    Rule {
        member: "hermes-underworld",
        may_name: &["hermes-wire"],
        reason: "contacts, sessions and delivery meet sky and earth by the contracts in wire, not by their insides",
    },
    Rule {
        member: "hermes-api",
        may_name: &[],
        reason: "the contract of the local socket has to stand on its own: others write clients against it",
    },
    Rule {
        member: "hermesd",
        may_name: &[
            "hermes-api",
            "hermes-earth",
            "hermes-link",
            "hermes-ring",
            "hermes-sky",
            "hermes-underworld",
            "hermes-wire",
        ],
        reason: "hermesd joins the layers; it is no part of any user interface",
    },
    Rule {
        member: "hermes-cli",
        may_name: &["hermes-api"],
        reason: "a user interface holds no truth: whatever it needs of a core has to be on the socket for third parties too",
    },
    Rule {
        member: "hermes-tui",
        may_name: &["hermes-api"],
        reason: "a user interface holds no truth: whatever it needs of a core has to be on the socket for third parties too",
    },
    Rule {
        member: "hermes-sim",
        may_name: &[
            "hermes-earth",
            "hermes-ring",
            "hermes-sky",
            "hermes-underworld",
            "hermes-wire",
        ],
        reason: "the simulator runs the pure parts on a clock of its own; a socket would bring the real one",
    },
    Rule {
        member: "xtask",
        may_name: &[
            "hermes-api",
            "hermes-earth",
            "hermes-link",
            "hermes-ring",
            "hermes-sky",
            "hermes-underworld",
            "hermes-wire",
        ],
        reason: "demo and benchmarks drive programs and libraries from outside; nothing of a program is linked",
    },
    Rule {
        member: "hermes-tests",
        may_name: &[],
        reason: "whole-system tests see what a user sees: arguments, streams, exit codes, the socket",
    },
];

/// The pure parts: what a library user takes with `default-features = false`.
const PURE: &[&str] = &[
    "hermes-wire",
    "hermes-ring",
    "hermes-underworld",
    "hermes-sky",
    "hermes-earth",
];

/// The layers whose shell is a feature.
const SHELLED: &[&str] = &["hermes-sky", "hermes-earth"];

/// What a pure part must not reach by any path, and what would be lost.
const IMPURE: &[(&str, &str)] = &[
    (
        "tokio",
        "a runtime has a clock and tasks of its own; the simulator could not replay a seed",
    ),
    ("mio", "it waits on sockets"),
    ("socket2", "it opens sockets"),
    ("quinn", "it speaks to the network"),
    ("rustls", "connections belong to link"),
    (
        "fjall",
        "storage is an output of a pure part, never a handle in it",
    ),
    ("hyper", "it speaks to the network"),
    ("jsonrpsee", "the local socket belongs to api and hermesd"),
];

/// Crates that only the layers use. A user interface that reaches one of them has a core inside.
const CORE_MARKS: &[&str] = &["quinn", "fjall", "vodozemac", "ed25519-dalek"];

#[test]
fn every_member_names_only_what_the_architecture_allows() -> Result<()> {
    let rules: BTreeMap<&str, &Rule> = RULES.iter().map(|rule| (rule.member, rule)).collect();
    let packages = workspace::members()?;
    let ours: BTreeSet<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();

    let mut wrong = Vec::new();
    for package in &packages {
        let name = package.name.as_str();
        let Some(rule) = rules.get(name) else {
            wrong.push(format!(
                "{name} has no rule: decide what it may depend on and say why"
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let other = dependency.name.as_str();
            if ours.contains(other) && other != name && !rule.may_name.contains(&other) {
                wrong.push(format!(
                    "{name} -> {other} ({} dependency): {}",
                    dependency.kind, rule.reason
                ));
            }
        }
    }
    for rule in RULES {
        if !ours.contains(rule.member) {
            wrong.push(format!("the rule for {} is about no member", rule.member));
        }
        for other in rule.may_name {
            if !ours.contains(other) {
                wrong.push(format!(
                    "the rule for {} allows {other}, which is no member",
                    rule.member
                ));
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "edges that the architecture does not have:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

#[test]
fn the_simulator_takes_the_layers_without_their_shells() -> Result<()> {
    let mut wrong = Vec::new();
    for dependency in dependencies_of("hermes-sim")? {
        let layer = SHELLED.contains(&dependency.name.as_str());
        if layer && (dependency.uses_default_features || !dependency.features.is_empty()) {
            wrong.push(format!(
                "hermes-sim -> {} must be without default features and without others",
                dependency.name
            ));
        }
    }
    ensure!(
        wrong.is_empty(),
        "a socket would bring the real clock into the simulator:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

#[test]
fn the_layers_can_be_taken_without_the_link() -> Result<()> {
    let mut wrong = Vec::new();
    for layer in SHELLED {
        for dependency in dependencies_of(layer)? {
            if dependency.name == "hermes-link"
                && dependency.kind == DependencyKind::Normal
                && !dependency.optional
            {
                wrong.push(format!("{layer} -> hermes-link has to be optional"));
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "link is all sockets, and the pure parts must do without:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

fn dependencies_of(member: &str) -> Result<Vec<Dependency>> {
    let package = workspace::members()?
        .into_iter()
        .find(|package| package.name.as_str() == member);
    Ok(package
        .with_context(|| format!("no member {member}"))?
        .dependencies)
}

#[test]
fn the_pure_parts_reach_no_runtime_socket_or_store() -> Result<()> {
    let mut wrong = Vec::new();
    for member in PURE {
        let reached = reached(member, &["--no-default-features"])?;
        ensure!(
            reached.contains(*member),
            "`cargo tree` did not name {member} itself: {reached:?}"
        );
        for (name, why) in IMPURE {
            if reached.contains(*name) {
                let path = tree(member, &["--no-default-features"], &["--invert", name])?;
                wrong.push(format!(
                    "{member} without default features reaches {name}: {why}\n{path}"
                ));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn the_user_interfaces_reach_no_core() -> Result<()> {
    let mut wrong = Vec::new();
    for member in ["hermes-cli", "hermes-tui"] {
        let reached = reached(member, &[])?;
        ensure!(
            reached.contains(member),
            "`cargo tree` did not name {member} itself: {reached:?}"
        );
        for name in reached {
            let ours = name.starts_with("hermes") && name != member && name != "hermes-api";
            if ours || CORE_MARKS.contains(&name.as_str()) {
                wrong.push(format!(
                    "{member} links {name}: a user interface knows the socket and nothing behind it"
                ));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The names of everything that a member links on this machine's platform, itself included.
fn reached(member: &str, features: &[&str]) -> Result<BTreeSet<String>> {
    let lines = tree(member, features, &["--prefix", "none", "--format", "{p}"])?;
    Ok(lines
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}

/// What `cargo tree` says about a member's normal and build dependencies on this machine's platform.
fn tree(member: &str, features: &[&str], shape: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.current_dir(workspace::root()).args([
        "tree",
        "--quiet",
        "--edges",
        "normal,build",
        "--package",
        member,
    ]);
    command.args(features).args(shape);
    let output = run(command)?.success();
    Ok(output
        .with_context(|| format!("cargo tree of {member}"))?
        .stdout)
}
