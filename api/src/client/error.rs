//! What can go wrong between a program and its daemon.

use std::io;
use std::path::PathBuf;

use crate::error::{ApiError, Exit};
use crate::paths::PathsError;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon answered an error.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Nobody listens at the socket.
    #[error("hermesd is not running")]
    NotRunning {
        /// Where it was looked for.
        socket: PathBuf,
    },
    /// Somebody listens who is not us.
    #[error("the socket {socket} is served by user {uid}, not by you")]
    Foreign {
        /// The socket.
        socket: PathBuf,
        /// Who serves it.
        uid: u32,
    },
    /// A daemon listens but does not answer.
    #[error("hermesd listens on {socket} but does not answer")]
    Silent {
        /// The socket.
        socket: PathBuf,
    },
    /// A daemon was started and did not come up.
    #[error("hermesd could not be started: {reason}")]
    NotStarted {
        /// What happened to it.
        reason: String,
        /// The last lines of its log, fit to be shown.
        log: Vec<String>,
    },
    /// The connection ended before the answer came; the call may have been carried out or not.
    #[error("the connection to hermesd was lost before it answered")]
    Lost,
    /// The answer is not what this version understands.
    #[error("hermesd answered something unexpected: {0}")]
    Garbled(String),
    /// The system refused to connect.
    #[error("cannot talk to hermesd: {0}")]
    Io(#[from] io::Error),
    /// The paths cannot be used.
    #[error(transparent)]
    Paths(#[from] PathsError),
}

impl ClientError {
    /// How `hermes-cli` ends on this.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Api(error) => error.exit(),
            Self::Foreign { .. } | Self::Paths(PathsError::Unsafe { .. }) => Exit::Locked,
            Self::Paths(PathsError::SocketPathTooLong { .. } | PathsError::NoHome) => Exit::Usage,
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => Exit::Locked,
            Self::NotRunning { .. }
            | Self::Silent { .. }
            | Self::NotStarted { .. }
            | Self::Lost
            | Self::Garbled(_)
            | Self::Io(_)
            | Self::Paths(_) => Exit::Unreachable,
        }
    }

    /// What to do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Api(error) => error.data().hint.as_deref(),
            Self::NotRunning { .. } => Some("start it with: hermes-cli daemon start"),
            Self::Silent { .. } => Some("it may hang; see its log with: hermes-cli daemon logs"),
            Self::NotStarted { .. } => Some("see its log with: hermes-cli daemon logs"),
            Self::Garbled(_) => {
                Some("the versions may not fit; restart it with: hermes-cli daemon restart")
            }
            _ => None,
        }
    }
}
