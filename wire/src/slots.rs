//! Merkle trees over keys, and paths through them (protocol section 5).
//!
//! A mailbox or a presence key names many keys by one root. Who uses one of the keys shows a path: the siblings from
//! its leaf upwards. Leaves and inner nodes are hashed under different prefixes, so neither passes for the other.

use crate::kdf::h;

/// A hash in a tree.
pub type Hash = [u8; 32];

/// The leaf of a key.
#[must_use]
pub fn leaf(key: &[u8; 32]) -> Hash {
    h(&[b"hermes/1 leaf", key])
}

/// The node above two others.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    h(&[b"hermes/1 node", left, right])
}

/// The root to which a leaf and its path lead. Bit b of the index (least significant first) says whether our node is
/// the right child at level b.
#[must_use]
pub fn root_of_path(leaf: Hash, index: u32, path: &[Hash]) -> Hash {
    let mut at = leaf;
    for (level, sibling) in path.iter().enumerate() {
        let right = index
            .checked_shr(u32::try_from(level).unwrap_or(u32::MAX))
            .unwrap_or(0)
            & 1
            == 1;
        at = if right {
            node(sibling, &at)
        } else {
            node(&at, sibling)
        };
    }
    at
}

/// A tree with all its nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merkle {
    /// From the leaves upwards; the last level is the root alone.
    levels: Vec<Vec<Hash>>,
    root: Hash,
}

impl Merkle {
    /// The tree over these leaf hashes, padded with zero hashes to a power of two. No leaves at all count as one zero.
    #[must_use]
    pub fn new(mut leaves: Vec<Hash>) -> Self {
        leaves.resize(leaves.len().max(1).next_power_of_two(), [0; 32]);
        let mut levels = Vec::new();
        let mut level = leaves;
        while level.len() > 1 {
            let above = level
                .as_chunks::<2>()
                .0
                .iter()
                .map(|[l, r]| node(l, r))
                .collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        let root = level.first().copied().unwrap_or_default();
        Self { levels, root }
    }

    /// The tree over keys.
    #[must_use]
    pub fn of_keys<'a>(keys: impl IntoIterator<Item = &'a [u8; 32]>) -> Self {
        Self::new(keys.into_iter().map(leaf).collect())
    }

    /// The root.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// How many levels a path has.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.levels.len()
    }

    /// The path of a leaf, or `None` when there is no such leaf.
    #[must_use]
    pub fn path(&self, index: usize) -> Option<Vec<Hash>> {
        if index >> self.levels.len() != 0 {
            return None;
        }
        self.levels
            .iter()
            .enumerate()
            .map(|(b, level)| level.get((index >> b) ^ 1).copied())
            .collect()
    }
}
