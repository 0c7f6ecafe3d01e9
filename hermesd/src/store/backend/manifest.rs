//! Looks over the database's folders before fjall does (`docs/storage.md`, *The database*).
//!
//! fjall 3.1 trusts its folders: it takes a keyspace without a manifest for one that was never finished and deletes it,
//! does not compare a manifest with the checksum beside it, and answers names and bytes that it did not write with a
//! panic out of which the process does not come alive. After a store is made none of this happens in the course of
//! things, crashes included, so it is damage and refused here, before anything is touched.
//!
//! A keyspace is a folder with a number for its name. Its file `current` holds the number of its manifest u64, the
//! XXH3-128 of that manifest u128 and a byte 0, integers little-endian; the manifest with number 7 is the file `v7`.

use std::{fs, io, path::Path};

use xxhash_rust::xxh3::xxh3_128;

use super::BackendError;
use crate::store::tables::Family;

/// Fails unless the folders of a database are as fjall left them, with at least one keyspace per family and its own.
pub(super) fn look_over(folder: &Path) -> Result<(), BackendError> {
    // Without this file fjall makes a new database around the old one.
    if !folder.join("version").try_exists()? || !folder.join("keyspaces").try_exists()? {
        return Err(BackendError::Damaged("a part of it is missing".to_owned()));
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let end = Path::new(&name).extension().unwrap_or_default();
        let is_journal = name
            .to_str()
            .and_then(|name| name.strip_suffix(".jnl"))
            .is_some_and(is_number)
            && entry.file_type()?.is_file();
        if name.to_str().is_none() || (end.eq_ignore_ascii_case("jnl") && !is_journal) {
            return Err(stranger(&entry.path()));
        }
    }
    let mut keyspaces = 0;
    for entry in fs::read_dir(folder.join("keyspaces"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if !entry.file_name().to_str().is_some_and(is_number) {
                return Err(stranger(&entry.path()));
            }
            check_manifest(&entry.path())?;
            keyspaces += 1;
        }
    }
    if keyspaces <= Family::ALL.len() {
        return Err(BackendError::Damaged("a keyspace is missing".to_owned()));
    }
    Ok(())
}

fn is_number(name: &str) -> bool {
    name.parse::<u64>().is_ok()
}

fn stranger(path: &Path) -> BackendError {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    BackendError::Damaged(format!("{name:?} is not one of its files"))
}

fn check_manifest(keyspace: &Path) -> Result<(), BackendError> {
    let damaged = || {
        let name = keyspace.file_name().unwrap_or_default().to_string_lossy();
        BackendError::Damaged(format!("keyspace {name} has no whole manifest"))
    };
    let read = |name: &str| match fs::read(keyspace.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged()),
        other => Ok(other?),
    };
    let current = read("current")?;
    let Some((number, rest)) = current.split_first_chunk::<8>() else {
        return Err(damaged());
    };
    let Some((checksum, [0])) = rest.split_first_chunk::<16>() else {
        return Err(damaged());
    };
    let manifest = read(&format!("v{}", u64::from_le_bytes(*number)))?;
    if xxh3_128(&manifest) != u128::from_le_bytes(*checksum) {
        return Err(damaged());
    }
    Ok(())
}
