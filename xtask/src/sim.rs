//! `cargo xtask sim`: builds the simulator optimised, since it is ten times slower otherwise, and runs it with the given arguments.

use std::{
    env,
    ffi::OsString,
    path::Path,
    process::{Command, ExitCode},
};

/// Runs the simulator; its exit code is ours.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = Command::new(cargo);
    // Not in the workspace's folder: files that are named, and the replay file, belong to where the caller stands.
    command
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "hermes-sim",
            "--manifest-path",
        ])
        .arg(manifest)
        .arg("--")
        .args(arguments);
    match command.status() {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            code.map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("error: cargo cannot be run: {error}");
            ExitCode::FAILURE
        }
    }
}
