//! The service files: systemd's own checks of them, and that they name programs which exist.
//!
//! The checks need `systemd-analyze`. Where it is missing they say so and pass, unless `HERMES_REQUIRE_TOOLS` is set, as the
//! continuous integration does.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use hermes_tests::{Output, run, workspace};

/// Exposure as `systemd-analyze security` counts it, 0 to 100: what the sandbox of each unit may not exceed.
///
/// A user unit stays higher, since a user manager cannot apply most of what the system manager can.
const EXPOSURE_MAX: &[(&str, u32)] = &[
    ("user/hermesd.service", 60),
    ("system/hermes-sky.service", 20),
    ("system/hermes-earth.service", 20),
];

#[test]
fn systemd_accepts_every_line_of_the_units() -> Result<()> {
    for (manager, folder) in [("--user", "user"), ("--system", "system")] {
        let scratch = tempfile::tempdir()?;
        let mut units = Vec::new();
        for path in files_in(&folder_of_units().join(folder))? {
            let copy = scratch
                .path()
                .join(path.file_name().context("a unit without a name")?);
            fs::write(&copy, with_programs_that_exist(&workspace::read(&path)?)?)?;
            units.push(copy);
        }
        ensure!(!units.is_empty(), "no units in systemd/{folder}");
        let mut command = Command::new("systemd-analyze");
        command
            .args(["verify", manager, "--man=no", "--recursive-errors=no"])
            .args(&units);
        command.env("XDG_RUNTIME_DIR", scratch.path());
        let Some(output) = run_tool(command)? else {
            return Ok(());
        };
        let complaints = format!("{}{}", output.stdout, output.stderr);
        ensure!(
            output.code() == Some(0) && complaints.is_empty(),
            "systemd/{folder}: {}\n{complaints}",
            output.status
        );
    }
    Ok(())
}

#[test]
fn the_units_stay_hardened() -> Result<()> {
    for (unit, most) in EXPOSURE_MAX {
        let mut command = Command::new("systemd-analyze");
        command.args([
            "security",
            "--offline=true",
            "--no-pager",
            &format!("--threshold={most}"),
        ]);
        command.arg(folder_of_units().join(unit));
        let Some(output) = run_tool(command)? else {
            return Ok(());
        };
        ensure!(
            output.code() == Some(0),
            "systemd/{unit} is more exposed than {most}:\n{}{}",
            output.stdout,
            output.stderr
        );
    }
    Ok(())
}

#[test]
fn every_service_has_a_bound_for_its_exposure() -> Result<()> {
    let bound: BTreeSet<&str> = EXPOSURE_MAX.iter().map(|(unit, _)| *unit).collect();
    for folder in ["user", "system"] {
        for path in files_in(&folder_of_units().join(folder))? {
            let name = format!(
                "{folder}/{}",
                path.file_name()
                    .context("a unit without a name")?
                    .to_string_lossy()
            );
            let service = path.extension() == Some(OsStr::new("service"));
            ensure!(
                !service || bound.contains(name.as_str()),
                "systemd/{name} has no bound in EXPOSURE_MAX"
            );
        }
    }
    Ok(())
}

#[test]
fn the_service_files_start_programs_of_this_workspace() -> Result<()> {
    let mut programs = BTreeSet::new();
    for package in workspace::members()? {
        programs.extend(
            package
                .targets
                .into_iter()
                .filter(|target| target.is_bin())
                .map(|target| target.name),
        );
    }
    for (unit, _) in EXPOSURE_MAX {
        let command = exec_start(unit)?;
        let program = command.first().context("an empty ExecStart")?;
        let name = program.rsplit('/').next().unwrap_or(program);
        ensure!(
            programs.contains(name),
            "systemd/{unit} starts {program}, and no member builds that"
        );
    }
    let plist =
        workspace::read(&workspace::root().join("packaging/launchd/org.hermes.hermesd.plist"))?;
    ensure!(
        plist.contains("/bin/hermesd</string>"),
        "the property list does not start hermesd"
    );
    Ok(())
}

/// The words of `ExecStart=` in a unit below `systemd/`.
pub(crate) fn exec_start(unit: &str) -> Result<Vec<String>> {
    let text = workspace::read(&folder_of_units().join(unit))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let line = line.with_context(|| format!("systemd/{unit} has no ExecStart"))?;
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

fn folder_of_units() -> PathBuf {
    workspace::root().join("systemd")
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// systemd checks that the program is there; on this machine nothing is installed, so this test itself stands in.
fn with_programs_that_exist(unit: &str) -> Result<String> {
    let stand_in = env::current_exe()?;
    let exchange = |line: &str| match line
        .strip_prefix("ExecStart=")
        .and_then(|rest| rest.split_once(' '))
    {
        Some((_, arguments)) => format!("ExecStart={} {arguments}\n", stand_in.display()),
        None => format!("{line}\n"),
    };
    Ok(unit.lines().map(exchange).collect())
}

/// Runs a tool that need not be installed; nothing comes back when it is not.
fn run_tool(command: Command) -> Result<Option<Output>> {
    let name = command.get_program().to_string_lossy().into_owned();
    if !installed(&name)? {
        return Ok(None);
    }
    run(command).map(Some)
}

/// Whether a tool is there; said aloud when it is not, and an error where all tools are required.
pub(crate) fn installed(name: &str) -> Result<bool> {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|folder| folder.join(name).is_file()) {
        return Ok(true);
    }
    if env::var_os("HERMES_REQUIRE_TOOLS").is_some() {
        bail!("{name} is not installed");
    }
    eprintln!("not checked: {name} is not installed");
    Ok(false)
}
