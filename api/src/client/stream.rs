//! The stream to the daemon: a Unix socket, or a named pipe on Windows.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::error::ClientError;
use crate::paths::{Paths, PathsError};

#[cfg(unix)]
pub(crate) type Stream = tokio::net::UnixStream;
#[cfg(windows)]
pub(crate) type Stream = tokio::net::windows::named_pipe::NamedPipeClient;

/// How long a daemon whose queue of new connections is full is asked again.
const BUSY_TRIES_MAX: u32 = 100;

/// Between two tries at a full queue.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Connects, and makes sure that the one at the other end is us.
pub(crate) async fn connect(paths: &Paths) -> Result<Stream, ClientError> {
    let socket = paths.socket();
    match paths.check_socket_dir() {
        Err(PathsError::Unusable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(not_running(socket));
        }
        checked => checked?,
    }
    let mut tries = 0;
    let stream = loop {
        match open(socket).await {
            Ok(stream) => break stream,
            Err(error) if is_busy(&error) && tries < BUSY_TRIES_MAX => tries += 1,
            Err(error) if is_absent(&error) => return Err(not_running(socket)),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(BUSY_PAUSE).await;
    };
    check_server(&stream, socket)?;
    Ok(stream)
}

fn not_running(socket: &Path) -> ClientError {
    ClientError::NotRunning {
        socket: socket.to_owned(),
    }
}

/// Whether the error means that nobody listens.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(unix)]
async fn open(socket: &Path) -> io::Result<Stream> {
    Stream::connect(socket).await
}

#[cfg(unix)]
fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Somebody else could have put a socket where ours should be.
#[cfg(unix)]
fn check_server(stream: &Stream, socket: &Path) -> Result<(), ClientError> {
    let uid = stream.peer_cred()?.uid();
    if uid != crate::paths::own_uid() && uid != 0 {
        return Err(ClientError::Foreign {
            socket: socket.to_owned(),
            uid,
        });
    }
    Ok(())
}

#[cfg(windows)]
async fn open(socket: &Path) -> io::Result<Stream> {
    tokio::net::windows::named_pipe::ClientOptions::new().open(socket)
}

#[cfg(windows)]
fn is_busy(error: &io::Error) -> bool {
    const ERROR_PIPE_BUSY: i32 = 231;
    error.raw_os_error() == Some(ERROR_PIPE_BUSY)
}

#[cfg(windows)]
fn check_server(_: &Stream, _: &Path) -> Result<(), ClientError> {
    Ok(())
}
