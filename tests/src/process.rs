//! A child process that cannot outlive its test.

use std::{
    collections::VecDeque,
    env,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};

use crate::{PATIENCE, bin};

/// How many of the last lines on stderr are kept for the failure text.
const LOG_LINES_MAX: usize = 400;

/// A command for one of the workspace's programs, cut off from the developer's own desktop and daemon.
///
/// Variables that could lead to a running daemon, a notification service or a service manager are taken away; nothing is started
/// on its own unless the test says so.
pub fn command(name: &str) -> Result<Command> {
    let mut command = Command::new(bin(name)?);
    for (variable, _) in env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("HERMES_") || name.starts_with("XDG_") || name.starts_with("LISTEN_") {
            command.env_remove(&variable);
        }
    }
    for variable in [
        "DBUS_SESSION_BUS_ADDRESS",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "JOURNAL_STREAM",
        "DISPLAY",
    ] {
        command.env_remove(variable);
    }
    command
        .env("HERMES_NO_AUTOSTART", "1")
        .env("RUST_BACKTRACE", "1");
    Ok(command)
}

/// A running program: its lines on stdout can be waited for, its last lines on stderr are at hand when something goes wrong.
///
/// Dropping it kills it with SIGKILL and waits for its end.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    log: Arc<Mutex<VecDeque<String>>>,
    ended: Receiver<()>,
}

impl Process {
    /// Starts a program with nothing on stdin. `name` only appears in failure texts.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null());
        Self::start(name, command)
    }

    /// Starts a program whose stdin the caller has already chosen.
    pub(crate) fn start(name: &str, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        let stdout = child.stdout.take().context("no stdout")?;
        let stderr = child.stderr.take().context("no stderr")?;
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let pid = Pid::from_child(&child);
        let process = Self {
            name: name.to_owned(),
            lines: read_lines(stdout),
            log: Arc::clone(&log),
            ended: watch_end(pid),
            child,
        };
        keep_log(stderr, log);
        Ok(process)
    }

    /// The next line on stdout, without its line end.
    ///
    /// # Errors
    ///
    /// When the program ends or [`PATIENCE`] runs out first; the text holds the program's last words.
    pub fn line(&self) -> Result<String> {
        self.line_within(PATIENCE)
    }

    /// The next line on stdout, waited for no longer than this.
    ///
    /// # Errors
    ///
    /// As [`Process::line`].
    pub fn line_within(&self, limit: Duration) -> Result<String> {
        self.lines.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                self.complain(&format!("printed no line within {limit:?}"))
            }
            RecvTimeoutError::Disconnected => {
                self.complain("ended without printing a further line")
            }
        })
    }

    /// What follows `ready ` on the next line, which is the promise to be serving.
    ///
    /// # Errors
    ///
    /// When the next line is another one, or none comes.
    pub fn ready(&self) -> Result<String> {
        let line = self.line()?;
        match line.strip_prefix("ready ") {
            Some(rest) if !rest.trim().is_empty() => Ok(rest.to_owned()),
            _ => Err(self.complain(&format!("printed {line:?} and not `ready …`"))),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last lines on stderr so far.
    pub fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// When the program is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("{signal:?} to {}", self.name))
    }

    /// Asks the program to leave with SIGTERM and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not leave within [`PATIENCE`].
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait()
    }

    /// Waits for the end of the program.
    ///
    /// # Errors
    ///
    /// When it still runs after [`PATIENCE`].
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.wait_within(PATIENCE)
    }

    /// Waits for the end of the program no longer than this.
    ///
    /// # Errors
    ///
    /// When it still runs then.
    pub fn wait_within(&mut self, limit: Duration) -> Result<ExitStatus> {
        if self.ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            bail!(self.complain(&format!("still runs after {limit:?}")));
        }
        self.child
            .wait()
            .with_context(|| format!("waiting for {}", self.name))
    }

    /// Kills the program at once with SIGKILL and waits for its end.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .with_context(|| format!("killing {}", self.name))?;
        self.child
            .wait()
            .with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }

    fn complain(&self, what: &str) -> anyhow::Error {
        anyhow!(
            "{} (pid {}) {what}; its last words:\n{}",
            self.name,
            self.child.id(),
            self.log()
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both calls fail only when the child has been waited for already, and then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends each line of a stream to the receiver, which is closed when the stream ends.
fn read_lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn keep_log(stream: impl Read + Send + 'static, log: Arc<Mutex<VecDeque<String>>>) {
    let lines = read_lines(stream);
    thread::spawn(move || {
        for line in lines {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() == LOG_LINES_MAX {
                log.pop_front();
            }
            log.push_back(line);
        }
    });
}

/// The receiver hears of the child's end. The child is not reaped here, so its id stays its own until the owner waits for it.
pub(crate) fn watch_end(pid: Pid) -> Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let only_look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), only_look), Err(Errno::INTR)) {}
        drop(sender);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Process> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("sh", command)
    }

    #[test]
    fn the_readiness_line_is_read_and_the_end_is_told() -> Result<()> {
        let mut process = shell("echo ready here; read -r never; exit 3")?;
        assert_eq!(process.ready()?, "here");
        assert_eq!(process.wait()?.code(), Some(3));
        Ok(())
    }

    #[test]
    fn a_program_that_ends_instead_of_serving_is_quoted() -> Result<()> {
        let process = shell("echo the port is taken >&2; exec 2>&-; echo ready")?;
        let error = process
            .ready()
            .map(|_| ())
            .expect_err("`ready` alone says nothing");
        assert!(error.to_string().contains("printed \"ready\""), "{error}");
        let error = process
            .line()
            .map(|_| ())
            .expect_err("there is no second line");
        assert!(
            error.to_string().contains("ended without printing"),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn sigterm_can_be_obeyed_and_sigkill_cannot() -> Result<()> {
        let obedient = "trap 'kill $!; exit 7' TERM; cat /dev/zero >/dev/null & echo ready x; wait";
        let mut process = shell(obedient)?;
        process.ready()?;
        assert_eq!(process.terminate()?.code(), Some(7));

        let mut process = shell("trap '' TERM; echo ready x; exec cat /dev/zero >/dev/null")?;
        process.ready()?;
        process.signal(Signal::TERM)?;
        process.kill()?;
        assert_eq!(process.wait()?.code(), None);
        Ok(())
    }

    #[test]
    fn dropping_a_process_ends_it() -> Result<()> {
        let mut process = shell("echo ready x; exec cat /dev/zero >/dev/null")?;
        process.ready()?;
        let ended = std::mem::replace(&mut process.ended, mpsc::channel().1);
        drop(process);
        assert_eq!(
            ended.recv_timeout(PATIENCE),
            Err(RecvTimeoutError::Disconnected)
        );
        Ok(())
    }
}
