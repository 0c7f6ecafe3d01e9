//! One process per store: an exclusive lock on a file, held until the guard is dropped.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
};

use super::disk::private_file;

/// Longest text that is read from another holder's file.
const HOLDER_BYTES_MAX: u64 = 128;

/// Why the lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it.
    Held {
        /// What it wrote about itself, if that can be read.
        holder: Option<String>,
    },
    /// The file could not be opened or written.
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Holds the lock while it lives. The file stays; only the lock counts.
pub struct InstanceLock {
    _file: File,
}

impl InstanceLock {
    /// Takes the lock on `path` and notes pid and `program` in it for people to read.
    pub fn take(path: &Path, program: &str) -> Result<Self, LockError> {
        let mut file = private_file()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        file.seek(io::SeekFrom::Start(0))?;
        writeln!(file, "pid {} {program}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// The first line of the file as printable ASCII; on Windows a locked file cannot be read, so `None`.
fn holder(file: &mut File) -> Option<String> {
    let mut text = Vec::new();
    file.take(HOLDER_BYTES_MAX).read_to_end(&mut text).ok()?;
    let line = String::from_utf8_lossy(&text).lines().next()?.to_owned();
    let line: String = line.chars().filter(|c| (' '..='~').contains(c)).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it_and_the_lock_ends_with_its_guard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(
            &path,
            "pid 99999999 something much longer that ran before and crashed\n",
        )
        .unwrap();
        let first = InstanceLock::take(&path, "hermesd 0.1.0").unwrap();
        let Err(LockError::Held { holder }) = InstanceLock::take(&path, "hermesd 0.2.0") else {
            panic!("the lock was given twice");
        };
        if cfg!(unix) {
            assert_eq!(
                holder.unwrap(),
                format!("pid {} hermesd 0.1.0", std::process::id())
            );
        }
        drop(first);
        assert!(InstanceLock::take(&path, "hermesd 0.2.0").is_ok());
    }
}
