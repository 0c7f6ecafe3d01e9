//! Plays the service manager: a socket for notifications and a listening socket handed over to a child.
//!
//! What systemd does here is simple and can be done in a test without it. Notifications are datagrams to the path in
//! `NOTIFY_SOCKET`. Activation means that descriptor 3 is a listening socket and that `LISTEN_FDS` and `LISTEN_PID` say so. The
//! child must find its own process id in `LISTEN_PID`, which nobody knows before it runs; a shell that moves the descriptor from
//! stdin, exports its own id and then becomes the program does it without a line of unsafe code.

use std::{
    ffi::OsStr,
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixDatagram, UnixListener},
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::{PATIENCE, Process};

const BECOME_THE_PROGRAM: &str = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ WATCHDOG_PID=$$; export LISTEN_PID WATCHDOG_PID; exec "$@""#;

/// The receiving end of the notifications of a service.
#[derive(Debug)]
pub struct Notifications {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Notifications {
    /// A new socket that nobody writes to yet.
    ///
    /// # Errors
    ///
    /// When it cannot be bound.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("hermes")
            .tempdir()
            .context("a folder for the notification socket")?;
        let socket =
            UnixDatagram::bind(folder.path().join("notify")).context("the notification socket")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, folder })
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("notify")
    }

    /// Waits for a line such as `READY=1`; gives all lines that came until then, this one included.
    ///
    /// # Errors
    ///
    /// When nothing more comes within [`PATIENCE`].
    pub fn wait_for(&self, wanted: &str) -> Result<Vec<String>> {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let mut datagram = [0; 4096];
            let length = match self.socket.recv(&mut datagram) {
                Ok(length) => length,
                Err(error) => bail!("waiting for {wanted}: {error}; came so far: {seen:?}"),
            };
            let text =
                String::from_utf8_lossy(datagram.get(..length).unwrap_or_default()).into_owned();
            seen.extend(text.lines().map(str::to_owned));
            if seen.iter().any(|line| line == wanted) {
                return Ok(seen);
            }
        }
    }
}

/// A listening Unix socket as a `.socket` unit would open it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens at a path, for the owner only.
    ///
    /// # Errors
    ///
    /// When the path cannot be bound.
    pub fn listen(path: &Path) -> Result<Self> {
        let listener =
            UnixListener::bind(path).with_context(|| format!("listening at {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Where clients connect, also before the service runs.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts a program with this socket as descriptor 3, named as the socket unit names it.
    ///
    /// The arguments and the environment are taken from `command`; its streams are not.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be copied or the program not be started.
    pub fn activate(&self, name: &str, fd_name: &str, command: &Command) -> Result<Process> {
        let descriptor = OwnedFd::from(self.listener.try_clone().context("a copy of the socket")?);
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(BECOME_THE_PROGRAM)
            .arg(name)
            .arg(command.get_program())
            .args(command.get_args());
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(variable, value),
                None => shell.env_remove(variable),
            };
        }
        shell
            .env("LISTEN_FDS", OsStr::new("1"))
            .env("LISTEN_FDNAMES", fd_name)
            .stdin(Stdio::from(descriptor));
        Process::start(name, shell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_finds_the_socket_as_descriptor_three() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let socket = Socket::listen(&folder.path().join("s"))?;
        let mut command = Command::new("sh");
        command.args(["-c", "test $LISTEN_PID = $$ && test -S /dev/fd/3 && echo ready $LISTEN_FDS $LISTEN_FDNAMES $EXTRA"]);
        command.env("EXTRA", "kept");
        let mut process = socket.activate("sh", "rpc", &command)?;
        assert_eq!(process.ready()?, "1 rpc kept");
        assert_eq!(process.wait()?.code(), Some(0));
        Ok(())
    }

    #[test]
    fn notifications_are_read_until_the_wanted_one() -> Result<()> {
        let notifications = Notifications::new()?;
        let service = UnixDatagram::unbound()?;
        service.send_to(b"STATUS=opening\nMAINPID=1", notifications.path())?;
        service.send_to(b"READY=1\n", notifications.path())?;
        assert_eq!(
            notifications.wait_for("READY=1")?,
            ["STATUS=opening", "MAINPID=1", "READY=1"]
        );
        Ok(())
    }
}
