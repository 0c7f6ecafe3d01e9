//! Pipe names and folders on Windows.
//!
//! A named pipe has no folder; its name carries the account and, with a home, a digest of the
//! home's path. What protects it is the security descriptor that the listener sets.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use super::{Paths, PathsError};

pub(super) fn socket_under(home: &Path) -> PathBuf {
    let digest = fnv1a(home.as_os_str().as_encoded_bytes());
    PathBuf::from(format!(r"\\.\pipe\hermesd-{}-{digest:016x}", account()))
}

/// FNV-1a, which every version of every program computes alike; nothing secret depends on it.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

pub(super) fn platform_socket(_: &ProjectDirs) -> PathBuf {
    PathBuf::from(format!(r"\\.\pipe\hermesd-{}", account()))
}

fn account() -> String {
    let name = env::var("USERNAME").unwrap_or_default();
    name.chars().filter(|c| c.is_alphanumeric()).collect()
}

pub(super) fn check_socket_length(_: &Path) -> Result<(), PathsError> {
    Ok(())
}

impl Paths {
    /// A pipe has no folder to make.
    ///
    /// # Errors
    ///
    /// None on this system.
    pub fn secure_socket_dir(&self) -> Result<(), PathsError> {
        let _ = self.place;
        Ok(())
    }

    /// A pipe has no folder to check.
    ///
    /// # Errors
    ///
    /// None on this system.
    pub fn check_socket_dir(&self) -> Result<(), PathsError> {
        Ok(())
    }

    /// Makes the folders of configuration, data and state; they lie in the user's profile, which
    /// is closed to others.
    ///
    /// # Errors
    ///
    /// If one cannot be made.
    pub fn secure_dirs(&self) -> Result<(), PathsError> {
        for dir in [&self.config_dir, &self.data_dir, &self.state_dir] {
            secure_dir(dir)?;
        }
        Ok(())
    }
}

/// Makes a folder with its parents.
///
/// # Errors
///
/// If it cannot be made.
pub fn secure_dir(dir: &Path) -> Result<(), PathsError> {
    fs::create_dir_all(dir).map_err(|source| PathsError::Unusable {
        path: dir.to_owned(),
        source,
    })
}
