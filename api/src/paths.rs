//! Where everything lies: configuration, store, state and the socket.
//!
//! With a home (`--home` or `HERMES_HOME`) all of it lies under that one folder, and the socket is
//! `rpc.sock` in it. Without one the platform's folders are used, and the socket lies in the
//! runtime folder of the user.
//!
//! Whoever can replace the socket can pose as the daemon, so its folder is checked before it is
//! trusted: [`Paths::secure_socket_dir`] for the daemon, which makes what is missing, and
//! [`Paths::check_socket_dir`] for clients.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

/// Longest path of a socket that every supported system can bind: 104 bytes on macOS, 108 on
/// Linux, each with a closing zero.
pub const SOCKET_PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Why there are no usable paths.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// The account has no home folder.
    #[error("this account has no home folder; give one with --home")]
    NoHome,
    /// A relative path cannot be made absolute.
    #[error("cannot make {path} absolute: {source}")]
    NotAbsolute {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket's path does not fit into a socket address.
    #[error(
        "the socket path {path} has {bytes} bytes, but the system takes at most {SOCKET_PATH_BYTES_MAX}; \
         choose a shorter --home or --socket"
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// A folder cannot be made or looked at.
    #[error("cannot use the folder {path}: {source}")]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder that must be trusted belongs to somebody else, or others may change it.
    #[error("the folder {path} is not safe: {reason}")]
    Unsafe {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// Who vouches for the folder of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketPlace {
    /// Our own runtime folder: it must be ours alone.
    Runtime,
    /// A folder that the user named: others may look into it, but not change it.
    Named,
}

/// What the paths are made of; read from the environment by [`Sources::from_env`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The one folder for everything.
    pub home: Option<PathBuf>,
    /// Another place for the socket.
    pub socket: Option<PathBuf>,
}

impl Sources {
    /// The given values, and `HERMES_HOME` and `HERMES_SOCKET` in place of those not given.
    #[must_use]
    pub fn from_env(home: Option<PathBuf>, socket: Option<PathBuf>) -> Self {
        let var = |name: &str| {
            env::var_os(name)
                .filter(|value: &OsString| !value.is_empty())
                .map(PathBuf::from)
        };
        // A home on the command line also overrides a socket in the environment: who names a home
        // means the daemon of that home.
        let socket_var = || {
            if home.is_some() {
                None
            } else {
                var("HERMES_SOCKET")
            }
        };
        Self {
            socket: socket.or_else(socket_var),
            home: home.or_else(|| var("HERMES_HOME")),
        }
    }
}

/// Where everything lies; all paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    home: Option<PathBuf>,
    config_dir: PathBuf,
    data_dir: PathBuf,
    state_dir: PathBuf,
    socket: PathBuf,
    place: SocketPlace,
    socket_named: bool,
}

impl Paths {
    /// Resolves the paths; touches no disk.
    ///
    /// # Errors
    ///
    /// If there is no home folder, or the socket's path is too long.
    pub fn resolve(sources: &Sources) -> Result<Self, PathsError> {
        let mut paths = match &sources.home {
            Some(home) => Self::under(absolute(home)?),
            None => Self::of_platform()?,
        };
        if let Some(socket) = &sources.socket {
            paths.socket = absolute(socket)?;
            paths.place = SocketPlace::Named;
            paths.socket_named = true;
        }
        check_socket_length(&paths.socket)?;
        Ok(paths)
    }

    fn under(home: PathBuf) -> Self {
        Self {
            config_dir: home.clone(),
            data_dir: home.clone(),
            state_dir: home.clone(),
            socket: socket_under(&home),
            place: SocketPlace::Named,
            socket_named: false,
            home: Some(home),
        }
    }

    fn of_platform() -> Result<Self, PathsError> {
        let dirs = ProjectDirs::from("", "", "hermes").ok_or(PathsError::NoHome)?;
        let state_dir = dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir());
        Ok(Self {
            home: None,
            config_dir: dirs.config_dir().to_owned(),
            data_dir: dirs.data_local_dir().to_owned(),
            state_dir: state_dir.to_owned(),
            socket: platform_socket(&dirs),
            place: SocketPlace::Runtime,
            socket_named: false,
        })
    }

    /// The folder given as home, if one was.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// The folder of the configuration.
    #[must_use]
    pub fn config_dir(&self) -> &Path {
        &self.config_dir
    }

    /// The configuration.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config_dir.join("config.toml")
    }

    /// The folder of what must not be lost.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The folder of the store.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// The folder of locks and logs.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The file that the one running daemon holds locked.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.state_dir.join("hermesd.lock")
    }

    /// The file that a client holds locked while it starts a daemon.
    #[must_use]
    pub fn startup_lock_file(&self) -> PathBuf {
        self.state_dir.join("startup.lock")
    }

    /// The log of a daemon that a client started.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.state_dir.join("hermesd.log")
    }

    /// The socket, or the name of the pipe.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether the socket was given by itself, apart from any home.
    #[must_use]
    pub fn is_socket_named(&self) -> bool {
        self.socket_named
    }
}

fn absolute(path: &Path) -> Result<PathBuf, PathsError> {
    std::path::absolute(path).map_err(|source| PathsError::NotAbsolute {
        path: path.to_owned(),
        source,
    })
}

#[cfg(all(unix, any(feature = "client", feature = "server")))]
pub(crate) use unix::own_uid;
#[cfg(unix)]
pub use unix::secure_dir;
#[cfg(unix)]
use unix::{check_socket_length, platform_socket, socket_under};
#[cfg(windows)]
pub use windows::secure_dir;
#[cfg(windows)]
use windows::{check_socket_length, platform_socket, socket_under};

#[cfg(test)]
mod tests {
    use super::*;

    fn with_home(home: &str) -> Paths {
        Paths::resolve(&Sources {
            home: Some(home.into()),
            socket: None,
        })
        .expect("paths")
    }

    #[test]
    fn a_home_holds_everything() {
        let paths = with_home("/h/alice");
        for path in [paths.config_dir(), paths.data_dir(), paths.state_dir()] {
            assert_eq!(path, Path::new("/h/alice"));
        }
        assert_eq!(paths.store_dir(), Path::new("/h/alice/store"));
        #[cfg(unix)]
        assert_eq!(paths.socket(), Path::new("/h/alice/rpc.sock"));
    }

    #[test]
    fn a_relative_home_is_made_absolute() {
        assert!(with_home("alice").data_dir().is_absolute());
    }

    #[test]
    fn without_a_home_all_paths_are_those_of_the_platform() {
        let paths = Paths::resolve(&Sources::default()).expect("paths");
        assert_eq!(paths.home(), None);
        assert!(paths.config_file().ends_with("config.toml"));
        assert!(paths.store_dir().is_absolute());
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_path_that_does_not_fit_is_said_so() {
        let home = format!("/{}", "x".repeat(SOCKET_PATH_BYTES_MAX));
        let error = Paths::resolve(&Sources {
            home: Some(home.into()),
            socket: None,
        })
        .expect_err("too long");
        assert!(
            matches!(error, PathsError::SocketPathTooLong { bytes, .. } if bytes > SOCKET_PATH_BYTES_MAX)
        );
        assert!(error.to_string().contains("--home"), "{error}");
        let fits = "x".repeat(SOCKET_PATH_BYTES_MAX - "//rpc.sock".len());
        with_home(&format!("/{fits}"));
    }

    #[test]
    fn a_socket_can_lie_elsewhere() {
        let sources = Sources {
            home: Some("/h".into()),
            socket: Some("/s/x.sock".into()),
        };
        let paths = Paths::resolve(&sources).expect("paths");
        assert!(paths.socket().ends_with("x.sock"));
        assert!(paths.store_dir().ends_with("store"));
    }
}
