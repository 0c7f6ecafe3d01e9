//! The socket itself, by which name and with which rights it is opened: a Unix socket or a Windows named pipe.

use std::io;
use std::path::PathBuf;

use crate::paths::PathsError;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::Listener;
#[cfg(windows)]
pub use windows::Listener;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody answers there already.
    #[error("another daemon listens on {socket}")]
    Taken {
        /// The socket.
        socket: PathBuf,
    },
    /// What is there is not a socket, and may be somebody's file.
    #[error("{socket} exists and is not a socket; it is left alone")]
    NotASocket {
        /// The path.
        socket: PathBuf,
    },
    /// The folder cannot be used.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// The system refused.
    #[error("cannot listen on {socket}: {source}")]
    Io {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
}
