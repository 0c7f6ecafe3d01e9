//! Builds the programs and says where they are.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::nest::Nest;

/// Where the programs are, by name.
pub(crate) struct Programs {
    paths: BTreeMap<String, PathBuf>,
}

impl Programs {
    /// Builds all programs of the workspace with the profile that this task was built with.
    pub(crate) fn build(nest: &Arc<Nest>) -> Result<Self> {
        let profile: &[&str] = if cfg!(debug_assertions) {
            &[]
        } else {
            &["--release"]
        };
        Self::build_with(nest, profile)
    }

    /// Builds all programs for the benchmarks, the load generator among them.
    pub(crate) fn build_for_bench(nest: &Arc<Nest>) -> Result<Self> {
        Self::build_with(nest, &["--release", "--features", "xtask/load"])
    }

    /// The whole workspace is named, because cargo would else choose other features and compile the dependencies once more.
    /// `HERMES_BIN_DIR` names a folder with ready programs instead.
    fn build_with(nest: &Arc<Nest>, arguments: &[&str]) -> Result<Self> {
        if let Some(folder) = env::var_os("HERMES_BIN_DIR") {
            return Self::in_folder(Path::new(&folder));
        }
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        command.current_dir(root).args([
            "build",
            "--workspace",
            "--bins",
            "--message-format=json-render-diagnostics",
        ]);
        command.args(arguments);
        let build = nest.spawn_visible("cargo", command)?;
        let mut paths = BTreeMap::new();
        while let Some(line) = build.line_at_leisure() {
            let message: Value = serde_json::from_str(&line).unwrap_or_default();
            if let (Some(name), Some(path)) = (
                message["target"]["name"].as_str(),
                message["executable"].as_str(),
            ) {
                paths.insert(name.to_owned(), PathBuf::from(path));
            }
        }
        let (_, status) = build.finish()?;
        ensure!(status.success(), "the programs could not be built");
        Ok(Self { paths })
    }

    fn in_folder(folder: &Path) -> Result<Self> {
        let folder = folder
            .canonicalize()
            .with_context(|| format!("HERMES_BIN_DIR {}", folder.display()))?;
        let names = [
            "hermes-sky",
            "hermes-earth",
            "hermesd",
            "hermes-cli",
            "hermes-tui",
            "xtask",
        ];
        let paths = names.map(|name| (name.to_owned(), folder.join(name)));
        Ok(Self {
            paths: paths.into(),
        })
    }

    /// Where a program lies.
    pub(crate) fn path(&self, name: &str) -> Result<&Path> {
        let path = self.paths.get(name).map(PathBuf::as_path);
        path.filter(|path| path.is_file())
            .with_context(|| format!("the program {name} was not built"))
    }

    /// A command for a program, cut off from the daemon and the desktop of whoever runs this task.
    pub(crate) fn command(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(self.path(name)?);
        for (variable, _) in env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("HERMES") || name.starts_with("LISTEN_") {
                command.env_remove(&variable);
            }
        }
        for variable in ["DBUS_SESSION_BUS_ADDRESS", "NOTIFY_SOCKET", "WATCHDOG_USEC"] {
            command.env_remove(variable);
        }
        command.env("HERMES_NO_AUTOSTART", "1");
        Ok(command)
    }
}
