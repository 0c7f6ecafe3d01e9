//! Everything that a task starts and writes, and the one place where it is taken away again.
//!
//! A task runs on a thread of its own, while the main thread waits for its end, its panic or a signal. Whatever comes first, the
//! main thread then kills every child and removes the folder. So there is one path of cleaning up, and it is always taken, except
//! when this process itself is killed with SIGKILL.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};
use signal_hook::{
    consts::signal::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use tempfile::TempDir;

/// How long anything may take that must happen. Only a hang meets this limit, for a loaded machine may be very slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a program with the terminal may take to put it in order before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// How many of the last lines of each log are shown after a failure.
const TAIL_LINES: usize = 15;

/// How a task came to its end.
enum End {
    Done(Result<()>),
    Panicked,
    Signal(i32),
}

/// Runs a task, takes everything away that it started, and gives the exit code.
pub(crate) fn supervise(
    prefix: &str,
    task: impl FnOnce(&Arc<Nest>) -> Result<()> + Send + 'static,
) -> ExitCode {
    let (nest, ends) = match start(prefix, task) {
        Ok(started) => started,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let end = ends.recv().unwrap_or(End::Panicked);
    nest.close();
    let code = match end {
        End::Done(Ok(())) => ExitCode::SUCCESS,
        End::Done(Err(error)) => {
            nest.show_logs();
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
        End::Panicked => {
            nest.show_logs();
            ExitCode::from(101)
        }
        End::Signal(number) => ExitCode::from(u8::try_from(128 + number).unwrap_or(1)),
    };
    nest.remove();
    code
}

fn start(
    prefix: &str,
    task: impl FnOnce(&Arc<Nest>) -> Result<()> + Send + 'static,
) -> Result<(Arc<Nest>, Receiver<End>)> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("listening for signals")?;
    let nest = Arc::new(Nest::new(prefix)?);
    let (end, ends) = mpsc::channel();
    let signalled = end.clone();
    thread::spawn(move || {
        for number in signals.forever() {
            if signalled.send(End::Signal(number)).is_err() {
                return;
            }
        }
    });
    let for_task = Arc::clone(&nest);
    thread::spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| task(&for_task)));
        // Nobody listens any more if a signal came first.
        let _ = end.send(outcome.map_or(End::Panicked, End::Done));
    });
    Ok((nest, ends))
}

/// What a task started and wrote.
pub(crate) struct Nest {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    folder: Option<TempDir>,
    /// Set once everything was killed; nothing can be started any more.
    is_closed: bool,
    children: Vec<Kept>,
    /// Folders made so far.
    folders: u32,
}

struct Kept {
    child: Child,
    /// It has the terminal, or children of its own, and is asked to leave before it is killed.
    is_asked_first: bool,
}

impl Nest {
    fn new(prefix: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir()
            .context("a folder for the task")?;
        Ok(Self {
            path: folder.path().to_path_buf(),
            state: Mutex::new(State {
                folder: Some(folder),
                is_closed: false,
                children: Vec::new(),
                folders: 0,
            }),
        })
    }

    /// The folder of the task.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new folder in it, with a short name, for sockets will lie in it.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let mut state = self.state();
        state.folders += 1;
        let path = self.path.join(state.folders.to_string());
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }

    /// Where the programs' logs go.
    fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Starts a program in the background, its stderr appended to `NAME.log`.
    pub(crate) fn spawn(self: &Arc<Self>, name: &str, mut command: Command) -> Result<Process> {
        command.stderr(self.log(name)?).stdout(Stdio::piped());
        self.keep(name, command, false)
    }

    /// Starts a program that tells its progress on the terminal and its result on stdout.
    pub(crate) fn spawn_visible(
        self: &Arc<Self>,
        name: &str,
        mut command: Command,
    ) -> Result<Process> {
        command.stdout(Stdio::piped());
        self.keep(name, command, true)
    }

    /// Gives the terminal to a program until it ends.
    pub(crate) fn run_in_terminal(
        self: &Arc<Self>,
        name: &str,
        command: Command,
    ) -> Result<ExitStatus> {
        let process = self.keep_with(name, command, true)?;
        wait_unreaped(process.pid);
        process.reap()
    }

    /// The last line of a program's log.
    pub(crate) fn last_words(&self, name: &str) -> String {
        let text = fs::read_to_string(self.logs().join(format!("{name}.log")));
        let text = text.unwrap_or_default();
        text.lines().last().unwrap_or_default().to_owned()
    }

    fn log(&self, name: &str) -> Result<File> {
        fs::create_dir_all(self.logs())?;
        let path = self.logs().join(format!("{name}.log"));
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))
    }

    fn keep(self: &Arc<Self>, name: &str, mut command: Command, ask: bool) -> Result<Process> {
        command.stdin(Stdio::null());
        self.keep_with(name, command, ask)
    }

    fn keep_with(self: &Arc<Self>, name: &str, mut command: Command, ask: bool) -> Result<Process> {
        let mut state = self.state();
        ensure!(!state.is_closed, "the task is over");
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        let pid = Pid::from_child(&child);
        let lines = child.stdout.take().map(read_lines);
        state.children.push(Kept {
            child,
            is_asked_first: ask,
        });
        Ok(Process {
            name: name.to_owned(),
            slot: state.children.len() - 1,
            pid,
            lines: lines.unwrap_or_else(|| mpsc::channel().1),
            nest: Arc::clone(self),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every child; nothing can be started afterwards.
    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        for kept in &mut state.children {
            if !matches!(kept.child.try_wait(), Ok(None)) {
                continue;
            }
            if kept.is_asked_first {
                ask_to_leave(Pid::from_child(&kept.child));
            }
            // Both fail only if the child is gone already.
            let _ = kept.child.kill();
            let _ = kept.child.wait();
        }
    }

    fn remove(&self) {
        let folder = self.state().folder.take();
        if let Some(Err(error)) = folder.map(TempDir::close) {
            eprintln!("warning: {} remains: {error}", self.path.display());
        }
    }

    /// Prints the end of every log that has something in it.
    fn show_logs(&self) {
        let Ok(entries) = fs::read_dir(self.logs()) else {
            return;
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            if lines.is_empty() {
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            eprintln!("\n--- the end of {name} ---");
            for line in lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)) {
                eprintln!("{line}");
            }
        }
    }
}

/// A running program of a task. Dropping this does not end it; the nest does.
pub(crate) struct Process {
    name: String,
    slot: usize,
    pid: Pid,
    lines: Receiver<String>,
    nest: Arc<Nest>,
}

impl Process {
    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The next line on stdout; none once the program has closed it.
    pub(crate) fn line(&self) -> Result<Option<String>> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                bail!("{} printed nothing within {PATIENCE:?}", self.name)
            }
        }
    }

    /// The next line however long it takes, for a program that shows its progress itself.
    pub(crate) fn line_at_leisure(&self) -> Option<String> {
        self.lines.recv().ok()
    }

    /// What follows `ready ` on the next line.
    pub(crate) fn ready(&self) -> Result<String> {
        let line = self
            .line()?
            .with_context(|| format!("{} ended before it was ready", self.name))?;
        line.strip_prefix("ready ")
            .map(str::to_owned)
            .ok_or_else(|| anyhow!("{} printed {line:?} and not `ready …`", self.name))
    }

    /// The rest of stdout, and how the program ended.
    pub(crate) fn finish(&self) -> Result<(Vec<String>, ExitStatus)> {
        let mut lines = Vec::new();
        while let Some(line) = self.line()? {
            lines.push(line);
        }
        Ok((lines, self.reap()?))
    }

    /// Asks the program to leave with SIGTERM and waits until it has done so with success.
    pub(crate) fn terminate(&self) -> Result<()> {
        kill_process(self.pid, Signal::TERM)
            .with_context(|| format!("SIGTERM to {}", self.name))?;
        let (_, status) = self.finish()?;
        ensure!(status.success(), "{} left with {status}", self.name);
        Ok(())
    }

    /// Kills the program with SIGKILL and waits for its end.
    pub(crate) fn kill(&self) -> Result<()> {
        self.with_child(|child| child.kill())?;
        self.reap()?;
        Ok(())
    }

    fn reap(&self) -> Result<ExitStatus> {
        self.with_child(Child::wait)
    }

    fn with_child<T>(&self, act: impl FnOnce(&mut Child) -> std::io::Result<T>) -> Result<T> {
        let mut state = self.nest.state();
        let kept = state
            .children
            .get_mut(self.slot)
            .with_context(|| format!("{} was never started", self.name))?;
        act(&mut kept.child).with_context(|| self.name.clone())
    }
}

/// Waits for the end of a child and leaves it to its owner to reap it, so that its id stays its own.
fn wait_unreaped(pid: Pid) {
    let only_look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(pid), only_look), Err(Errno::INTR)) {}
}

fn ask_to_leave(pid: Pid) {
    if kill_process(pid, Signal::TERM).is_err() {
        return;
    }
    let (ended, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        wait_unreaped(pid);
        drop(ended);
    });
    // Either it has left or its time is over; both go on with SIGKILL.
    let _ = end.recv_timeout(GRACE);
}

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
