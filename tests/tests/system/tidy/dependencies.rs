//! Every direct dependency has its reason in docs/dependencies.md, and nothing else stands there.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use hermes_tests::workspace::{members, read, root};

#[test]
fn every_direct_dependency_has_its_reason() -> Result<()> {
    let explained = explained()?;
    let mut wrong = Vec::new();
    for package in members()? {
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_none())
        {
            if !explained.contains(&dependency.name) {
                wrong.push(format!(
                    "{} ({} dependency of {})",
                    dependency.name, dependency.kind, package.name
                ));
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "without a row in docs/dependencies.md:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

#[test]
fn no_reason_outlives_its_dependency() -> Result<()> {
    let mut used = BTreeSet::new();
    for package in members()? {
        used.extend(
            package
                .dependencies
                .into_iter()
                .map(|dependency| dependency.name),
        );
    }
    let stale: Vec<String> = explained()?
        .into_iter()
        .filter(|name| !used.contains(name))
        .collect();
    ensure!(
        stale.is_empty(),
        "docs/dependencies.md explains what no member depends on: {stale:?}"
    );
    Ok(())
}

#[test]
fn the_workspace_offers_no_dependency_that_nobody_takes() -> Result<()> {
    let mut used = BTreeSet::new();
    for package in members()? {
        used.extend(
            package
                .dependencies
                .into_iter()
                .map(|dependency| dependency.name),
        );
    }
    let manifest = read(&root().join("Cargo.toml"))?;
    let table = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .unwrap_or_default();
    let names = table
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "));
    let unused: Vec<&str> = names
        .map(|(name, _)| name)
        .filter(|name| !used.contains(*name))
        .collect();
    ensure!(
        unused.is_empty(),
        "[workspace.dependencies] without a member that takes them: {unused:?}"
    );
    Ok(())
}

/// The names in the first column of the tables in docs/dependencies.md.
fn explained() -> Result<BTreeSet<String>> {
    let text = read(&root().join("docs/dependencies.md"))?;
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    Ok(names.map(str::to_owned).collect())
}
