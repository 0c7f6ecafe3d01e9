//! A Unix socket, closed to everybody but its owner.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::super::caller::Peer;
use super::ListenError;
use crate::paths::Paths;

/// Where clients come in. A socket that was bound here is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    /// The file to remove, and which file that was.
    file: Option<(PathBuf, FileId)>,
}

/// Which file a path led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl Listener {
    /// Binds the socket of these paths, in a folder that is made if need be and checked.
    ///
    /// A socket left over by a daemon that was killed is replaced; one that answers is not. Must
    /// be called within a tokio runtime, and only by whoever holds [`Paths::lock_file`].
    ///
    /// # Errors
    ///
    /// If the folder is not safe, somebody listens already, or the system refuses.
    pub fn bind(paths: &Paths) -> Result<Self, ListenError> {
        paths.secure_socket_dir()?;
        let socket = paths.socket();
        let failed = |source| ListenError::Io {
            socket: socket.to_owned(),
            source,
        };
        remove_left_over(socket)?;
        let listener = StdListener::bind(socket).map_err(failed)?;
        fs::set_permissions(socket, Permissions::from_mode(0o600)).map_err(failed)?;
        let file = file_id(socket).map_err(failed)?;
        let mut bound = Self::from_std(listener).map_err(failed)?;
        bound.file = Some((socket.to_owned(), file));
        Ok(bound)
    }

    /// Takes over a socket that is bound already, for example by a service manager, which also
    /// removes it.
    ///
    /// # Errors
    ///
    /// If it cannot be watched by the runtime.
    pub fn from_std(listener: StdListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            file: None,
        })
    }

    pub(in crate::server) async fn accept(&mut self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        let credentials = stream.peer_cred()?;
        Ok((
            stream,
            Peer {
                uid: Some(credentials.uid()),
                pid: credentials.pid(),
            },
        ))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some((socket, file)) = &self.file
            && file_id(socket).is_ok_and(|found| found == *file)
        {
            let _ = fs::remove_file(socket);
        }
    }
}

fn file_id(path: &Path) -> io::Result<FileId> {
    let metadata = fs::symlink_metadata(path)?;
    Ok(FileId {
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

/// Removes a socket that nobody serves any more.
fn remove_left_over(socket: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Io {
        socket: socket.to_owned(),
        source,
    };
    let metadata = match fs::symlink_metadata(socket) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket {
            socket: socket.to_owned(),
        });
    }
    match StdStream::connect(socket) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(socket).map_err(failed)
        }
        Ok(_) => Err(ListenError::Taken {
            socket: socket.to_owned(),
        }),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Sources;

    fn scratch() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().expect("scratch");
        let home = dir.path().join("home");
        let paths = Paths::resolve(&Sources {
            home: Some(home),
            socket: None,
        })
        .expect("paths");
        (dir, paths)
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_alone_and_goes_with_the_listener() {
        let (_dir, paths) = scratch();
        let listener = Listener::bind(&paths).expect("bound");
        let mode = fs::metadata(paths.socket()).expect("metadata").mode() & 0o777;
        assert_eq!(mode, 0o600);
        drop(listener);
        assert!(!paths.socket().exists());
    }

    #[tokio::test]
    async fn a_socket_left_over_is_replaced() {
        let (_dir, paths) = scratch();
        paths.secure_socket_dir().expect("dir");
        drop(StdListener::bind(paths.socket()).expect("bound"));
        assert!(paths.socket().exists(), "a killed daemon leaves its socket");
        Listener::bind(&paths).expect("replaced");
    }

    #[tokio::test]
    async fn a_socket_that_answers_is_left_alone() {
        let (_dir, paths) = scratch();
        let _first = Listener::bind(&paths).expect("bound");
        assert!(matches!(
            Listener::bind(&paths),
            Err(ListenError::Taken { .. })
        ));
        assert!(paths.socket().exists());
    }

    #[tokio::test]
    async fn a_file_in_place_of_the_socket_is_left_alone() {
        let (_dir, paths) = scratch();
        paths.secure_socket_dir().expect("dir");
        fs::write(paths.socket(), "precious").expect("file");
        assert!(matches!(
            Listener::bind(&paths),
            Err(ListenError::NotASocket { .. })
        ));
        assert_eq!(
            fs::read_to_string(paths.socket()).expect("still there"),
            "precious"
        );
    }

    #[tokio::test]
    async fn the_socket_of_a_successor_is_not_removed() {
        let (_dir, paths) = scratch();
        let first = Listener::bind(&paths).expect("bound");
        fs::remove_file(paths.socket()).expect("taken away");
        let _second = StdListener::bind(paths.socket()).expect("bound anew");
        drop(first);
        assert!(paths.socket().exists());
    }
}
