//! Names of people and keepers that carry the life they were meant for.
//!
//! A slot is one person or one keeper for the whole run. Each start of its program is a life of its own. Whatever is on its way carries
//! both, and what was meant for an earlier life is dropped where it arrives: the machine that asked for it is gone.

use std::fmt;

/// One person's program in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PersonId {
    pub(crate) slot: usize,
    pub(crate) life: u32,
}

/// One keeper's program in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeeperId {
    pub(crate) slot: usize,
    pub(crate) life: u32,
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "person {}.{}", self.slot, self.life)
    }
}

impl fmt::Display for KeeperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keeper {}.{}", self.slot, self.life)
    }
}
