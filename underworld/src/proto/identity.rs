//! Who we are: the long-term keys, the name that we give ourselves, and the counters that name things.

use hermes_wire::{
    handshake::Identity,
    ids::{HandshakeKey, IdentityKey},
    packet::NAME_MAX,
};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};
use zeroize::Zeroizing;

use super::{
    ids::{ContactId, InviteId},
    output::{Outputs, Table},
    random::Random,
};
use crate::records;

/// A name that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no visible character, or one that is not seen and changes how others are shown.
    #[error("a name is visible text, without characters that control or turn the text around them")]
    Invisible,
    /// It is too long.
    #[error("the name has {len} bytes, at most {max} are possible")]
    TooLong {
        /// Its bytes.
        len: usize,
        /// The most.
        max: usize,
    },
    /// It means something else wherever contacts are named.
    #[error("this word means something else here; choose another name")]
    Reserved,
    /// Another contact has it.
    #[error("another contact has this name")]
    Taken,
}

/// Our own identity.
pub(crate) struct Me {
    pub(crate) ik_seed: Zeroizing<[u8; 32]>,
    pub(crate) ix_secret: Zeroizing<[u8; 32]>,
    pub(crate) keys: Identity,
    pub(crate) name: String,
    pub(crate) colour: u8,
    pub(crate) next_contact: u32,
    pub(crate) next_invite: u32,
}

impl Me {
    /// A new identity.
    pub(crate) fn create(name: String, random: &mut Random) -> Self {
        let (ik_seed, ix_secret) = (random.secret(), random.secret());
        Self {
            keys: Identity::from_secrets(&ik_seed, &ix_secret),
            ik_seed,
            ix_secret,
            name,
            colour: 0,
            next_contact: 1,
            next_invite: 1,
        }
    }

    pub(crate) fn ik(&self) -> IdentityKey {
        self.keys.ik()
    }

    pub(crate) fn ix(&self) -> HandshakeKey {
        self.keys.ix()
    }

    /// A contact number that was never used.
    pub(crate) fn new_contact(&mut self, out: &mut Outputs) -> ContactId {
        let id = ContactId(self.next_contact);
        self.next_contact = self.next_contact.saturating_add(1);
        self.store(out);
        id
    }

    /// An invite number that was never used.
    pub(crate) fn new_invite(&mut self, out: &mut Outputs) -> InviteId {
        let id = InviteId(self.next_invite);
        self.next_invite = self.next_invite.saturating_add(1);
        self.store(out);
        id
    }

    pub(crate) fn store(&self, out: &mut Outputs) {
        out.put(Table::Identity, Vec::new(), records::identity::encode(self));
    }
}

/// Checks a name that a person chose.
///
/// # Errors
/// If it has nothing to see, holds control characters or is too long.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.len() > NAME_MAX {
        let len = name.len();
        return Err(NameError::TooLong { len, max: NAME_MAX });
    }
    if name.trim().is_empty() || name.chars().any(is_unseen) || !name.chars().any(is_shown) {
        return Err(NameError::Invisible);
    }
    Ok(())
}

/// Whether a character would change how others are shown, or make two names look the same: control characters, and those that
/// Unicode calls format characters but for the two joiners, which scripts and emoji need.
pub(crate) fn is_unseen(c: char) -> bool {
    let is_joiner = matches!(c, '\u{200c}' | '\u{200d}');
    c.is_control() || (c.general_category() == GeneralCategory::Format && !is_joiner)
}

fn is_shown(c: char) -> bool {
    !c.is_whitespace() && c.general_category() != GeneralCategory::Format
}
