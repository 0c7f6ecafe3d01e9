//! Starts a daemon where none answers.
//!
//! Whether one runs is decided by talking to it, never by a file: a process id may belong to
//! another program by now and a socket file may be left over. Several programs that start at once
//! agree by a lock on who starts the daemon; the others wait for it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Client;
use super::error::ClientError;
use crate::paths::{Paths, secure_dir};
use crate::text;
use crate::types::HelloResponse;

/// How long a daemon may take to answer `hello`; one that is busy with its start takes a while.
const HELLO_WAIT: Duration = Duration::from_secs(5);

/// Between two starts while another daemon has the home.
const RELAUNCH_PAUSE: Duration = Duration::from_millis(250);

/// Between two looks at a daemon that is starting.
const POLL_PAUSE: Duration = Duration::from_millis(20);

/// Lines of the log that are shown when a start fails.
const LOG_LINES_MAX: usize = 8;

/// Bytes of the log that are looked at for them.
const LOG_TAIL_BYTES: u64 = 8 * 1024;

/// A log larger than this is set aside at the next start.
const LOG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The exit status of a daemon that finds another one on its home.
const ALREADY_RUNNING: i32 = 69;

/// How to start a daemon.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// The program that asks, for `hello`.
    pub client_name: String,
    /// Its version.
    pub client_version: String,
    /// The daemon's program; `HERMESD`, or beside the calling program, or on the search path if absent.
    pub program: Option<PathBuf>,
    /// More arguments for `hermesd run`.
    pub args: Vec<OsString>,
    /// How long the start may take.
    pub wait: Duration,
}

impl StartOptions {
    /// The usual way, for the program with this name and version.
    #[must_use]
    pub fn new(client_name: &str, client_version: &str) -> Self {
        Self {
            client_name: client_name.to_owned(),
            client_version: client_version.to_owned(),
            program: None,
            args: Vec::new(),
            wait: Duration::from_secs(10),
        }
    }
}

/// Connects to the daemon, starting one if none listens and `HERMES_NO_AUTOSTART` is not set.
///
/// # Errors
///
/// [`ClientError::NotRunning`] if none listens and none may be started, [`ClientError::NotStarted`]
/// if it did not come up, [`ClientError::Silent`] if one listens but does not answer.
pub async fn connect_or_start(
    paths: &Paths,
    options: &StartOptions,
) -> Result<(Client, HelloResponse), ClientError> {
    match greet(paths, options).await {
        Err(error @ ClientError::NotRunning { .. }) => {
            // A socket that somebody named belongs to a daemon that we know nothing else about.
            if env::var_os("HERMES_NO_AUTOSTART").is_some_and(|value| !value.is_empty())
                || paths.is_socket_named()
            {
                return Err(error);
            }
        }
        other => return other,
    }
    let deadline = Instant::now() + options.wait;
    let _lock = startup_lock(paths, deadline).await?;
    // Another program may have started it while we waited for the lock.
    match greet(paths, options).await {
        Err(ClientError::NotRunning { .. }) => {}
        other => return other,
    }
    let mut started = Started::launch(paths, options)?;
    let mut launched = Instant::now();
    loop {
        match greet(paths, options).await {
            Err(ClientError::NotRunning { .. } | ClientError::Lost) => {}
            Ok(greeted) => {
                started.leave();
                return Ok(greeted);
            }
            Err(error) => return Err(error),
        }
        match started.end()? {
            None => {}
            Some(End::Failed(reason)) => return Err(started.failure(reason)),
            // Another one is coming up, and answers soon, or going down, and then makes room.
            Some(End::AnotherRuns) if launched.elapsed() >= RELAUNCH_PAUSE => {
                launched = Instant::now();
                started = Started::launch(paths, options)?;
            }
            Some(End::AnotherRuns) => {}
        }
        if Instant::now() >= deadline {
            let reason = format!("it did not answer within {} s", options.wait.as_secs());
            return Err(started.failure(reason));
        }
        sleep(POLL_PAUSE).await;
    }
}

/// Connects and says hello, which a daemon that is well answers at once.
async fn greet(
    paths: &Paths,
    options: &StartOptions,
) -> Result<(Client, HelloResponse), ClientError> {
    let client = Client::connect(paths.clone()).await?;
    let hello = client.hello(&options.client_name, &options.client_version);
    match timeout(HELLO_WAIT, hello).await {
        Ok(answer) => answer.map(|hello| (client, hello)),
        Err(_) => Err(ClientError::Silent {
            socket: paths.socket().to_owned(),
        }),
    }
}

/// Waits for the lock that lets one program at a time start a daemon; held until it is dropped.
async fn startup_lock(paths: &Paths, deadline: Instant) -> Result<File, ClientError> {
    secure_dir(paths.state_dir())?;
    let file = private_file().open(paths.startup_lock_file())?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(POLL_PAUSE).await,
            Err(TryLockError::WouldBlock) => {
                let reason = "another program has been starting it for too long".to_owned();
                return Err(ClientError::NotStarted {
                    reason,
                    log: Vec::new(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// How a daemon that we started ended before it answered.
enum End {
    /// Another one has the home.
    AnotherRuns,
    /// Why it could not be.
    Failed(String),
}

/// A daemon that we started, or had started by the service manager.
struct Started {
    child: Option<Child>,
    log: PathBuf,
    /// How long the log was before: what is older does not explain this start.
    log_start: u64,
}

impl Started {
    fn launch(paths: &Paths, options: &StartOptions) -> Result<Self, ClientError> {
        let log = paths.log_file();
        if paths.home().is_none() && options.args.is_empty() && service_manager_starts() {
            return Ok(Self {
                child: None,
                log,
                log_start: 0,
            });
        }
        set_aside_long_log(&log)?;
        let log_file = private_file().open(&log)?;
        let log_start = log_file.metadata()?.len();
        let program = options.program.clone().unwrap_or_else(default_program);
        let mut command = Command::new(&program);
        command.arg("run");
        if let Some(home) = paths.home() {
            command.arg("--home").arg(home);
        }
        command
            .args(&options.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file);
        detach(&mut command);
        let child = command.spawn().map_err(|error| ClientError::NotStarted {
            reason: format!("{}: {error}", program.display()),
            log: Vec::new(),
        })?;
        Ok(Self {
            child: Some(child),
            log,
            log_start,
        })
    }

    /// How the daemon ended, if it did.
    fn end(&mut self) -> io::Result<Option<End>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        Ok(child.try_wait()?.map(|status| {
            if status.code() == Some(ALREADY_RUNNING) {
                End::AnotherRuns
            } else {
                End::Failed(format!("it ended at once, {status}"))
            }
        }))
    }

    /// Lets the daemon go on without us, but sees to it that it leaves no zombie in a program
    /// that lives longer than it.
    fn leave(self) {
        if let Some(mut child) = self.child {
            let _ = std::thread::Builder::new()
                .name("hermesd-reaper".to_owned())
                .spawn(move || child.wait());
        }
    }

    fn failure(&self, reason: String) -> ClientError {
        let log = last_lines(&self.log, self.log_start).unwrap_or_default();
        ClientError::NotStarted { reason, log }
    }
}

/// Our own process group, so that Ctrl-C at the terminal ends the client and not the daemon.
fn detach(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    {
        const DETACHED_PROCESS: u32 = 0x8;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        std::os::windows::process::CommandExt::creation_flags(
            command,
            DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP,
        );
    }
}

fn default_program() -> PathBuf {
    let name = format!("hermesd{}", env::consts::EXE_SUFFIX);
    if let Some(program) = env::var_os("HERMESD").filter(|value| !value.is_empty()) {
        return program.into();
    }
    let beside = env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join(&name)));
    beside
        .filter(|program| program.is_file())
        .unwrap_or_else(|| name.into())
}

/// Has the service manager start the daemon if the user enabled it there.
fn service_manager_starts() -> bool {
    if !cfg!(target_os = "linux") {
        return false;
    }
    let systemctl = |args: &[&str]| {
        let mut command = Command::new("systemctl");
        command
            .arg("--user")
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    systemctl(&["is-enabled", "--quiet", "hermesd.socket"])
        && systemctl(&["start", "hermesd.service"])
}

fn set_aside_long_log(log: &Path) -> io::Result<()> {
    match fs::metadata(log) {
        Ok(metadata) if metadata.len() > LOG_BYTES_MAX => {
            fs::rename(log, log.with_extension("log.old"))
        }
        _ => Ok(()),
    }
}

fn last_lines(log: &Path, from: u64) -> io::Result<Vec<String>> {
    let mut file = File::open(log)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        from.max(end.saturating_sub(LOG_TAIL_BYTES)),
    ))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let tail = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = tail
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let first = lines.len().saturating_sub(LOG_LINES_MAX);
    Ok(lines
        .iter()
        .skip(first)
        .map(|line| text::line(line).into_owned())
        .collect())
}
