//! The source files themselves, and whether each of them is part of the build.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use hermes_tests::workspace::{self, files_below, members, read, root, shown};

/// One Rust file of a member.
pub(super) struct Source {
    /// Its path from the root of the workspace, with forward slashes.
    pub(super) path: String,
    /// What it says.
    pub(super) text: String,
}

impl Source {
    /// Whether nothing in it is part of a program or library.
    pub(super) fn is_test(&self) -> bool {
        self.is_unit_test()
            || self
                .path
                .split('/')
                .any(|part| ["tests", "benches"].contains(&part))
    }

    /// Whether it is the tests of another file, written beside it.
    pub(super) fn is_unit_test(&self) -> bool {
        let inside = self
            .path
            .split_once("/src/")
            .map_or("", |(_, inside)| inside);
        inside.ends_with("tests.rs") || inside.contains("tests/")
    }

    /// The lines, numbered from 1, each with whether it belongs to tests written into this file.
    pub(super) fn lines(&self) -> Vec<Line<'_>> {
        let mut lines = Vec::new();
        let mut inside = Inside::Code;
        for (index, text) in self.text.lines().enumerate() {
            inside = match inside {
                Inside::Code if text == "#[cfg(test)]" => Inside::Attribute,
                Inside::Attribute if text.starts_with("mod ") && text.ends_with('{') => {
                    Inside::Tests
                }
                // More attributes of the same module, over several lines perhaps.
                Inside::Attribute if text.starts_with(['#', ' ', ')']) => Inside::Attribute,
                Inside::Tests if text == "}" => Inside::LastBrace,
                Inside::Tests => Inside::Tests,
                _ => Inside::Code,
            };
            lines.push(Line {
                number: index + 1,
                text,
                is_test: self.is_test() || matches!(inside, Inside::Tests | Inside::LastBrace),
            });
        }
        lines
    }

    /// The lines that are not wholly comment.
    pub(super) fn code(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines()
            .into_iter()
            .filter(|line| !line.text.trim_start().starts_with("//"))
    }
}

/// One line of a file.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// Its number from 1.
    pub(super) number: usize,
    /// What it says.
    pub(super) text: &'a str,
    /// Whether it is part of a test.
    pub(super) is_test: bool,
}

/// Where a line stands with regard to the module of tests at the end of a file.
enum Inside {
    Code,
    Attribute,
    Tests,
    LastBrace,
}

/// Every Rust file of every member, in order of path.
pub(super) fn sources() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for member in member_folders()? {
        for path in files_below(&member, "rs")? {
            sources.push(Source {
                path: shown(&path),
                text: read(&path)?,
            });
        }
    }
    ensure!(
        !sources.is_empty(),
        "no sources found below {}",
        root().display()
    );
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn member_folders() -> Result<Vec<PathBuf>> {
    let folder = |package: cargo_metadata::Package| {
        let manifest = package.manifest_path.into_std_path_buf();
        manifest
            .parent()
            .map(Path::to_path_buf)
            .context("a manifest without a folder")
    };
    members()?.into_iter().map(folder).collect()
}

#[test]
fn every_file_is_part_of_the_build() -> Result<()> {
    let mut wrong = Vec::new();
    for package in members()? {
        let manifest = package.manifest_path.as_std_path();
        let folder = manifest.parent().context("a manifest without a folder")?;
        let mut reached = BTreeSet::new();
        for target in &package.targets {
            follow(target.src_path.as_std_path(), true, &mut reached)?;
        }
        for path in files_below(folder, "rs")? {
            if !reached.contains(&path) {
                wrong.push(format!(
                    "{} is named by no `mod`: it is never compiled, and its tests never run",
                    shown(&path)
                ));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Adds a file and all files that its `mod name;` lines lead to.
fn follow(file: &Path, is_root: bool, reached: &mut BTreeSet<PathBuf>) -> Result<()> {
    if !reached.insert(file.to_path_buf()) {
        return Ok(());
    }
    let folder = file.parent().context("a file without a folder")?;
    let stem = file.file_stem().context("a file without a name")?;
    let below = if is_root || stem == "mod" {
        folder.to_path_buf()
    } else {
        folder.join(stem)
    };
    let mut named_path = None;
    for line in read(file)?.lines().map(str::trim) {
        if let Some(path) = line
            .strip_prefix("#[path = \"")
            .and_then(|rest| rest.strip_suffix("\"]"))
        {
            named_path = Some(folder.join(path));
        } else if let Some(name) = module_name(line) {
            let usual = [
                below.join(format!("{name}.rs")),
                below.join(name).join("mod.rs"),
            ];
            // A module whose file is missing is the compiler's affair.
            let found = named_path
                .take()
                .into_iter()
                .chain(usual)
                .find(|path| path.is_file());
            found.map_or(Ok(()), |path| follow(&path, false, reached))?;
        }
    }
    Ok(())
}

/// The name in `mod name;`, whatever its visibility.
fn module_name(line: &str) -> Option<&str> {
    let declaration = match line.split_once("mod ") {
        Some(("", rest)) => rest,
        Some((visibility, rest)) if visibility.starts_with("pub") && visibility.ends_with(' ') => {
            rest
        }
        _ => return None,
    };
    let name = declaration.split(';').next()?;
    (declaration.contains(';') && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
        .then_some(name)
}

#[test]
fn a_member_has_one_integration_binary() -> Result<()> {
    let mut wrong = Vec::new();
    for package in members()? {
        let binaries: Vec<&str> = package
            .targets
            .iter()
            .filter(|target| target.is_test())
            .map(|target| target.name.as_str())
            .collect();
        if binaries.len() > 1 {
            wrong.push(format!(
                "{}: {binaries:?}: make them modules of one, linking each anew is slow",
                package.name
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn every_member_inherits_the_house_rules() -> Result<()> {
    let mut wrong = Vec::new();
    for package in members()? {
        let manifest = read(package.manifest_path.as_std_path())?;
        let inherits = |line: &str| manifest.lines().any(|there| there.trim() == line);
        for line in [
            "version.workspace = true",
            "edition.workspace = true",
            "rust-version.workspace = true",
            "license.workspace = true",
        ] {
            if !inherits(line) {
                wrong.push(format!("{}: `{line}` is missing", package.name));
            }
        }
        if !manifest.contains("[lints]\nworkspace = true") {
            wrong.push(format!(
                "{}: `[lints] workspace = true` is missing",
                package.name
            ));
        }
        if package.description.as_ref().is_none_or(String::is_empty) {
            wrong.push(format!("{}: a description is missing", package.name));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn the_papers_of_the_house_are_there() -> Result<()> {
    const PAPERS: &[(&str, &str)] = &[
        ("README.md", "cargo demo"),
        ("ARCHITECTURE.md", "**Invariant"),
        ("CHANGELOG.md", "## [Unreleased]"),
        ("CONTRIBUTING.md", "cargo test"),
        ("LICENSE-MIT", "MIT License"),
        ("LICENSE-APACHE", "Apache License"),
        ("docs/protocol.md", "hermes/1"),
        ("docs/security.md", "not defended"),
        ("docs/dependencies.md", "| `tokio` |"),
        ("packaging/README.md", "launchd"),
        (".ci/run", "cargo deny"),
        ("Cargo.lock", "name = \"hermes-wire\""),
    ];
    let mut wrong = Vec::new();
    for (path, says) in PAPERS {
        match read(&root().join(path)) {
            Ok(text) if text.contains(says) => {}
            Ok(_) => wrong.push(format!("{path} does not say {says:?}")),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn links_between_the_papers_lead_somewhere() -> Result<()> {
    let mut wrong = Vec::new();
    for path in files_below(&workspace::root(), "md")? {
        let folder = path.parent().context("a file without a folder")?;
        for link in read(&path)?
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty()
                && !file.contains("://")
                && !file.starts_with("mailto:")
                && !folder.join(file).exists()
            {
                wrong.push(format!("{}: {link}", shown(&path)));
            }
        }
    }
    ensure!(wrong.is_empty(), "links to nothing:\n{}", wrong.join("\n"));
    Ok(())
}
