//! Runs a program to its end.

use std::{
    io::{Read, Write as _},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Pid;
use serde_json::Value;

use crate::{PATIENCE, process::watch_end};

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Output {
    /// The exit status.
    pub status: ExitStatus,
    /// Everything on stdout.
    pub stdout: String,
    /// Everything on stderr.
    pub stderr: String,
}

impl Output {
    /// The exit code; none when a signal ended the program.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The output itself when the exit code is 0.
    ///
    /// # Errors
    ///
    /// With both streams in the text when it is not.
    pub fn success(self) -> Result<Self> {
        ensure!(
            self.status.success(),
            "it ended with {}\n--- stdout\n{}--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }

    /// The one JSON value on stdout of a program that succeeded.
    ///
    /// # Errors
    ///
    /// When the program failed or printed anything else.
    pub fn json(self) -> Result<Value> {
        let output = self.success()?;
        serde_json::from_str(&output.stdout)
            .with_context(|| format!("not one JSON value: {:?}", output.stdout))
    }

    /// The JSON values on stdout, one a line, of a program that succeeded.
    ///
    /// # Errors
    ///
    /// When the program failed or a line is not JSON.
    pub fn json_lines(self) -> Result<Vec<Value>> {
        let output = self.success()?;
        let parse =
            |line: &str| serde_json::from_str(line).with_context(|| format!("not JSON: {line:?}"));
        output.stdout.lines().map(parse).collect()
    }
}

/// Runs a command with nothing on stdin until it ends by itself.
///
/// # Errors
///
/// When it cannot be started or still runs after [`PATIENCE`]; it is killed then. Its own failure is no error here.
pub fn run(command: Command) -> Result<Output> {
    run_with_input(command, &[])
}

/// Runs a command that finds these bytes on its stdin.
///
/// # Errors
///
/// As [`run`].
pub fn run_with_input(mut command: Command, input: &[u8]) -> Result<Output> {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {shown}"))?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let stdout = read_all(child.stdout.take().context("no stdout")?);
    let stderr = read_all(child.stderr.take().context("no stderr")?);
    let input = input.to_vec();
    // A program that does not read its input closes the pipe, which is its right.
    thread::spawn(move || stdin.write_all(&input));

    // The child is not reaped before the last line, so its id stays its own.
    let pid = Pid::from_child(&child);
    let ended = watch_end(pid);
    let streams = stdout
        .recv_timeout(PATIENCE)
        .and_then(|out| Ok((out, stderr.recv_timeout(PATIENCE)?)));
    let hangs = streams.is_err() || ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
    if hangs {
        child.kill().with_context(|| format!("killing {shown}"))?;
    }
    let status = child
        .wait()
        .with_context(|| format!("waiting for {shown}"))?;
    let (stdout, stderr) =
        streams.with_context(|| format!("{shown} kept its streams open for {PATIENCE:?}"))?;
    ensure!(
        !hangs,
        "{shown} did not end within {PATIENCE:?}\n--- stdout\n{stdout}--- stderr\n{stderr}"
    );
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

fn read_all(mut stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if stream.read_to_end(&mut bytes).is_ok() {
            let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_output_and_exit_code_are_those_of_the_program() -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", "cat; echo oops >&2; exit 5"]);
        let output = run_with_input(command, b"{\"a\":1}\n{\"a\":2}\n")?;
        assert_eq!(
            (
                output.code(),
                output.stdout.as_str(),
                output.stderr.as_str()
            ),
            (Some(5), "{\"a\":1}\n{\"a\":2}\n", "oops\n")
        );
        let error = output.json_lines().expect_err("it failed");
        assert!(error.to_string().contains("oops"), "{error}");
        Ok(())
    }

    #[test]
    fn lines_of_json_are_parsed_one_by_one() -> Result<()> {
        let output = run_with_input(Command::new("cat"), b"{\"a\":1}\n{\"a\":2}\n")?;
        assert_eq!(
            output.json_lines()?,
            [serde_json::json!({"a": 1}), serde_json::json!({"a": 2})]
        );
        let output = run_with_input(Command::new("cat"), b"{\"a\":1}\n{\"a\":2}\n")?;
        output.json().expect_err("two values are not one");
        Ok(())
    }
}
