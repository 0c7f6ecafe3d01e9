//! Socket places and folder checks on Unix.

use std::env;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use super::{Paths, PathsError, SOCKET_PATH_BYTES_MAX, SocketPlace};

const SOCKET_NAME: &str = "rpc.sock";

/// Permission bits of the group and of others.
const OTHERS: u32 = 0o077;

/// Write permission bits of the group and of others.
const OTHERS_WRITE: u32 = 0o022;

/// The bit that lets only the owner of a file remove it from a folder that all may write.
const STICKY: u32 = 0o1000;

pub(super) fn socket_under(home: &Path) -> PathBuf {
    home.join(SOCKET_NAME)
}

/// The runtime folder where the system has one; else a folder of our own in the temporary one,
/// which on macOS is private to the user already.
pub(super) fn platform_socket(dirs: &ProjectDirs) -> PathBuf {
    let dir = dirs.runtime_dir().map_or_else(
        || {
            let parent = if cfg!(target_os = "macos") {
                env::temp_dir()
            } else {
                PathBuf::from("/tmp")
            };
            parent.join(format!("hermes-{}", own_uid()))
        },
        Path::to_owned,
    );
    dir.join(SOCKET_NAME)
}

pub(super) fn check_socket_length(path: &Path) -> Result<(), PathsError> {
    let bytes = path.as_os_str().as_bytes().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        return Err(PathsError::SocketPathTooLong {
            path: path.to_owned(),
            bytes,
        });
    }
    Ok(())
}

/// The user that this process acts as.
pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

impl Paths {
    /// Makes the folder of the socket if it is missing, for us alone, and checks it.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or is not safe.
    pub fn secure_socket_dir(&self) -> Result<(), PathsError> {
        let dir = self.socket_dir();
        create_private(dir)?;
        self.check_socket_dir()
    }

    /// Checks the folder of the socket.
    ///
    /// # Errors
    ///
    /// If it is missing or not safe: not ours, or open to others.
    pub fn check_socket_dir(&self) -> Result<(), PathsError> {
        let dir = self.socket_dir();
        match self.place {
            SocketPlace::Runtime => check_ours_alone(dir),
            SocketPlace::Named => check_not_changeable(dir),
        }
    }

    fn socket_dir(&self) -> &Path {
        self.socket.parent().unwrap_or(Path::new("/"))
    }

    /// Makes the folders of configuration, data and state, for us alone, and checks that nobody
    /// else can change them.
    ///
    /// # Errors
    ///
    /// If one cannot be made, or is not safe.
    pub fn secure_dirs(&self) -> Result<(), PathsError> {
        for dir in [&self.config_dir, &self.data_dir, &self.state_dir] {
            secure_dir(dir)?;
        }
        Ok(())
    }
}

/// Makes a folder with its parents, for us alone, unless it exists; then checks that it is ours
/// and that nobody else can change it.
///
/// # Errors
///
/// If it cannot be made, or is not safe.
pub fn secure_dir(dir: &Path) -> Result<(), PathsError> {
    create_private(dir)?;
    check_not_changeable(dir)
}

fn create_private(dir: &Path) -> Result<(), PathsError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| PathsError::Unusable {
            path: dir.to_owned(),
            source,
        })
}

/// A folder for the socket alone: a real folder, ours, closed to everybody else.
fn check_ours_alone(dir: &Path) -> Result<(), PathsError> {
    let metadata = look(dir, fs::symlink_metadata(dir))?;
    if metadata.is_symlink() {
        return Err(unsafe_dir(dir, "it is a symbolic link; remove it"));
    }
    if metadata.uid() != own_uid() {
        return Err(unsafe_dir(
            dir,
            format!("it belongs to user {}, not to you", metadata.uid()),
        ));
    }
    if metadata.mode() & OTHERS != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(unsafe_dir(
            dir,
            format!("its mode is {mode:03o}; make it 700 with chmod"),
        ));
    }
    Ok(())
}

/// A folder that the user named: ours (or the system's), and nobody else can replace what is in it.
fn check_not_changeable(dir: &Path) -> Result<(), PathsError> {
    let metadata = look(dir, fs::metadata(dir))?;
    if metadata.uid() != own_uid() && metadata.uid() != 0 {
        return Err(unsafe_dir(
            dir,
            format!("it belongs to user {}, not to you", metadata.uid()),
        ));
    }
    let writable = metadata.mode() & OTHERS_WRITE != 0;
    if writable && metadata.mode() & STICKY == 0 {
        let mode = metadata.mode() & 0o777;
        return Err(unsafe_dir(
            dir,
            format!("its mode is {mode:03o}; others can write to it, remove that with chmod go-w"),
        ));
    }
    Ok(())
}

fn look(dir: &Path, found: io::Result<Metadata>) -> Result<Metadata, PathsError> {
    let unusable = |source| PathsError::Unusable {
        path: dir.to_owned(),
        source,
    };
    let metadata = found.map_err(unusable)?;
    if !metadata.is_dir() && !metadata.is_symlink() {
        return Err(unusable(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    Ok(metadata)
}

fn unsafe_dir(dir: &Path, reason: impl Into<String>) -> PathsError {
    PathsError::Unsafe {
        path: dir.to_owned(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::super::Sources;
    use super::*;

    fn runtime_paths(dir: &Path) -> Paths {
        let mut paths = Paths::resolve(&Sources {
            home: Some(dir.to_owned()),
            socket: None,
        })
        .expect("paths");
        paths.place = SocketPlace::Runtime;
        paths
    }

    fn set_mode(dir: &Path, mode: u32) {
        fs::set_permissions(dir, Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn a_missing_folder_is_made_for_us_alone() {
        let scratch = tempfile::tempdir().expect("scratch");
        let dir = scratch.path().join("run/hermes");
        runtime_paths(&dir).secure_socket_dir().expect("made");
        let mode = fs::metadata(&dir).expect("metadata").mode() & 0o777;
        assert_eq!(mode, 0o700);
    }

    #[test]
    fn a_runtime_folder_open_to_others_is_refused() {
        let scratch = tempfile::tempdir().expect("scratch");
        set_mode(scratch.path(), 0o750);
        let error = runtime_paths(scratch.path())
            .secure_socket_dir()
            .expect_err("refused");
        assert!(error.to_string().contains("750"), "{error}");
    }

    #[test]
    fn a_link_in_place_of_the_runtime_folder_is_refused() {
        let scratch = tempfile::tempdir().expect("scratch");
        let real = scratch.path().join("real");
        create_private(&real).expect("made");
        let link = scratch.path().join("link");
        symlink(&real, &link).expect("link");
        let error = runtime_paths(&link)
            .secure_socket_dir()
            .expect_err("refused");
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }

    #[test]
    fn a_named_home_may_be_read_but_not_written_by_others() {
        let scratch = tempfile::tempdir().expect("scratch");
        let paths = Paths::resolve(&Sources {
            home: Some(scratch.path().to_owned()),
            socket: None,
        })
        .expect("paths");
        set_mode(scratch.path(), 0o755);
        paths.secure_socket_dir().expect("readable is fine");
        paths.secure_dirs().expect("readable is fine");
        set_mode(scratch.path(), 0o775);
        assert!(matches!(
            paths.check_socket_dir(),
            Err(PathsError::Unsafe { .. })
        ));
        assert!(matches!(
            paths.secure_dirs(),
            Err(PathsError::Unsafe { .. })
        ));
    }

    #[test]
    fn a_socket_in_the_sticky_temporary_folder_is_allowed() {
        let scratch = tempfile::tempdir().expect("scratch");
        set_mode(scratch.path(), 0o1777);
        check_not_changeable(scratch.path()).expect("sticky");
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_said_so() {
        let scratch = tempfile::tempdir().expect("scratch");
        let file = scratch.path().join("file");
        fs::write(&file, "").expect("file");
        let error = secure_dir(&file).expect_err("refused");
        assert!(matches!(error, PathsError::Unusable { .. }), "{error}");
    }
}
