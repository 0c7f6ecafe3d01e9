//! Sky nodes that were learned, kept across starts, so that a home finds the network when those it was configured with are gone.
//!
//! One line each: the URI of a node that some sky node listed, or `entry ADDRESS HASH` for one that an invite named. The file holds
//! nothing about people. Losing it costs what a new home costs, so it is replaced whole and not synced.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use hermes_wire::invite::Entry;
use hermes_wire::node::{NodeUri, Role};

/// Nodes of each kind that are remembered.
pub(super) const REMEMBERED_MAX: usize = 64;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Nodes that were on the lists.
    pub(super) listed: Vec<NodeUri>,
    /// Nodes that invites named.
    pub(super) entries: Vec<Entry>,
}

impl Remembered {
    /// Reads the file; what cannot be read is left out.
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut remembered = Self::default();
        for line in text.lines() {
            if let Some(entry) = line.strip_prefix("entry ").and_then(parse_entry) {
                remembered.entries.push(entry);
            } else if let Ok(uri) = line.parse::<NodeUri>()
                && uri.role == Role::Sky
            {
                remembered.listed.push(uri);
            }
        }
        remembered.listed.truncate(REMEMBERED_MAX);
        remembered.entries.truncate(REMEMBERED_MAX);
        remembered
    }

    /// Replaces the file.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        let listed = self.listed.iter().map(|uri| format!("{uri}\n"));
        let entries = self.entries.iter().map(|entry| {
            let hash = HEXLOWER.encode(&entry.key_hash);
            format!("entry {} {hash}\n", entry.addr.socket())
        });
        let mut temporary = PathBuf::from(path);
        temporary.set_extension("list.new");
        fs::write(&temporary, listed.chain(entries).collect::<String>())?;
        fs::rename(&temporary, path)
    }
}

fn parse_entry(text: &str) -> Option<Entry> {
    let (addr, hash) = text.split_once(' ')?;
    let addr: std::net::SocketAddr = addr.parse().ok()?;
    Some(Entry {
        addr: addr.into(),
        key_hash: HEXLOWER.decode(hash.as_bytes()).ok()?.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use hermes_wire::ids::NodeKey;

    use super::*;

    #[test]
    fn what_was_written_is_read_and_the_rest_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sky.list");
        assert_eq!(Remembered::read(&path), Remembered::default());
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 4_433));
        let node = NodeKey([7; 32]);
        let remembered = Remembered {
            listed: vec![NodeUri {
                role: Role::Sky,
                node,
                addr: addr.into(),
            }],
            entries: vec![Entry::new(addr.into(), &node)],
        };
        remembered.write(&path).unwrap();
        assert_eq!(Remembered::read(&path), remembered);
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("entry nowhere 00\nentry\nhermes-earth://x\n\u{0}\n");
        fs::write(&path, text).unwrap();
        assert_eq!(Remembered::read(&path), remembered);
    }
}
