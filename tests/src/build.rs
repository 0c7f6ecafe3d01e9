//! Builds the programs under test.
//!
//! The integration tests of a workspace cannot name another package's programs, so the first test that needs one asks cargo for all
//! of them. The call is worded so that cargo resolves the very features that `cargo test` resolved (every member, development
//! dependencies included, which is what `--test system` does); the dependencies are then shared with the build that has just run,
//! and only the programs themselves are compiled.
//!
//! `HERMES_BIN_DIR` names a folder with ready programs instead: to test what a package installed, or to leave half-written members
//! of the workspace out of the build.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::workspace;

static PROGRAMS: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// The path of one of the workspace's programs, built if it must be.
///
/// # Errors
///
/// When the build fails, with the compiler's last words, or when no program of that name comes out of it.
pub fn bin(name: &str) -> Result<PathBuf> {
    let folder = PROGRAMS
        .get_or_init(|| programs().map_err(|error| format!("{error:#}")))
        .as_ref();
    let folder = folder.map_err(|error| anyhow!("the programs cannot be built: {error}"))?;
    let path = folder.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    ensure!(path.is_file(), "there is no program {}", path.display());
    Ok(path)
}

fn programs() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("HERMES_BIN_DIR") {
        return Ok(workspace::root().join(folder));
    }
    let layout = Layout::of(&env::current_exe().context("the path of this test")?)?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .current_dir(workspace::root())
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bins",
            "--test",
            "system",
            "--target-dir",
        ])
        .arg(&layout.target)
        .args(layout.flags())
        .stdin(Stdio::null())
        .output()
        .context("starting cargo")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", last_lines(&errors, 60));
    Ok(layout.programs)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(count)..)
        .unwrap_or_default()
        .join("\n")
}

/// Where cargo put this test, read off its path: `TARGET[/TRIPLE]/PROFILE/deps/system-HASH`.
struct Layout {
    target: PathBuf,
    triple: Option<String>,
    profile: String,
    programs: PathBuf,
}

impl Layout {
    fn of(test: &Path) -> Result<Self> {
        let programs = test
            .ancestors()
            .nth(2)
            .context("this test lies outside of cargo's target folder")?;
        let profile = programs
            .file_name()
            .context("the profile's folder has no name")?
            .to_string_lossy()
            .into_owned();
        let above = programs
            .parent()
            .context("the profile's folder has no parent")?;
        // A build for a named platform has one more level. Only the target folder itself holds cargo's note about the compiler.
        let (target, triple) = match (above.parent(), above.file_name()) {
            (Some(target), Some(name)) if target.join(".rustc_info.json").is_file() => {
                (target, Some(name.to_string_lossy().into_owned()))
            }
            _ => (above, None),
        };
        Ok(Self {
            target: target.to_path_buf(),
            triple,
            profile,
            programs: programs.to_path_buf(),
        })
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = match self.profile.as_str() {
            "debug" => Vec::new(),
            profile => vec!["--profile".to_owned(), profile.to_owned()],
        };
        if let Some(triple) = &self.triple {
            flags.extend(["--target".to_owned(), triple.clone()]);
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_layout_is_read_off_the_path_of_the_test() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let target = folder.path().join("target");
        fs::create_dir(&target)?;
        fs::write(target.join(".rustc_info.json"), "{}")?;
        let flags = |path: &str| {
            Layout::of(&target.join(path)).map(|layout| (layout.target == target, layout.flags()))
        };

        assert_eq!(flags("debug/deps/system-0a")?, (true, vec![]));
        let release = vec!["--profile".to_owned(), "release".to_owned()];
        assert_eq!(flags("release/deps/system-0a")?, (true, release));
        let musl = vec![
            "--target".to_owned(),
            "x86_64-unknown-linux-musl".to_owned(),
        ];
        assert_eq!(
            flags("x86_64-unknown-linux-musl/debug/deps/system-0a")?,
            (true, musl)
        );
        Ok(())
    }

    #[test]
    fn only_the_end_of_a_long_complaint_is_quoted() {
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
