//! One ratchet session with a contact: section 15.1 of the protocol.
//!
//! The ratchet is Olm version 1 as vodozemac implements it; only its key agreement is replaced. A handshake, a re-key or a recovery
//! gives both sides a [`SessionRoot`]. The *opener* steps the root once towards the other side's first ratchet key R and starts
//! sending from there. The *other* side starts from the root itself with R's secret half; its own first sending chain would hang on
//! no Diffie-Hellman with the opener's key, so it sends nothing before it has decrypted one message.
//!
//! Limits come from the ratchet: within one chain at most [`GAP_MAX`] messages may be skipped, and the keys of the last
//! [`SKIPPED_KEYS_MAX`] skipped ones are kept, in each of the five newest chains. Whatever lies beyond is a [`DecryptError`] that says
//! which of the two limits was hit, because the core treats them differently: a lost key is one lost copy, a gap is a reason to
//! recover.
//!
//! A failed [`Session::decrypt`] never moves a receiving chain. The ratchet draws the secret halves of its new keys from the system;
//! everything else here is a function of its arguments.

use std::{fmt, io};

use hermes_wire::pair::SessionRoot;
use hkdf::Hkdf;
use serde::{Deserialize as _, Serialize as _};
use sha2::Sha256;
use vodozemac::{
    Curve25519PublicKey, Curve25519SecretKey,
    olm::{self, OlmMessage, SessionConfig, SessionKeys, SessionPickle},
};
use zeroize::Zeroizing;

/// Messages of one chain that may be missing before a message that is still readable.
pub const GAP_MAX: u64 = 2_000;

/// Keys of skipped messages kept in one chain; older ones are forgotten, and their messages with them.
pub const SKIPPED_KEYS_MAX: usize = 40;

/// The version of the stored form.
const PICKLE_VERSION: u8 = 1;

/// Room for a session without skipped keys; more is found in larger steps.
const PICKLE_CAPACITY: usize = 1_024;

/// Which end of the session this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Opener,
    Other,
}

/// A ratchet session: encrypts to and decrypts from one contact.
///
/// Getters: [`Session::can_send`]. Mutators: [`Session::encrypt`], [`Session::decrypt`]; after either the pickle has to be stored
/// before the result is shown or sent.
pub struct Session {
    end: End,
    inner: olm::Session,
}

/// A session cannot be opened with these keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the other side's ratchet key gives no secret")]
pub struct WeakKey;

/// A message cannot be encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncryptError {
    /// The opener has not been heard yet.
    #[error("the side that opened this session speaks first")]
    OpenerFirst,
    /// The other side's ratchet key has small order.
    #[error("the other side's ratchet key gives no secret")]
    WeakKey,
}

/// A message does not decrypt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecryptError {
    /// The bytes are no Olm message in its one encoding.
    #[error("not an Olm message")]
    Malformed,
    /// The envelope names the keys of another session.
    #[error("a message of another session")]
    OtherSession,
    /// More messages are missing before this one than the ratchet bridges.
    #[error("{gap} messages are missing before this one, at most {max} may be")]
    GapTooLarge {
        /// The missing messages.
        gap: u64,
        /// The most that may be missing.
        max: u64,
    },
    /// The key was used already, which makes this a duplicate, or was forgotten.
    #[error("the key of message {index} of its chain is used up or forgotten")]
    KeyGone {
        /// The message's place in its chain.
        index: u64,
    },
    /// The authentication code is wrong: damaged, of a session that we do not share, of a state that we lost, or a duplicate from a
    /// chain that is older than the five newest.
    #[error("the authentication code is wrong")]
    BadMac,
    /// The message brings a ratchet key of small order.
    #[error("the message's ratchet key gives no secret")]
    WeakKey,
}

/// A stored session cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PickleError {
    /// A version that this program does not know.
    #[error("version {got} of a stored session is unknown")]
    Version {
        /// The version found.
        got: u8,
    },
    /// The bytes are no stored session.
    #[error("a stored session is damaged")]
    Malformed,
}

impl Session {
    /// Opens a session towards `peer_ratchet`, the other side's R, with the fresh secret `a1`; may send at once.
    ///
    /// # Errors
    ///
    /// When `peer_ratchet` has small order.
    pub fn open_as_opener(
        root: &SessionRoot,
        peer_ratchet: &[u8; 32],
        a1: &[u8; 32],
    ) -> Result<Self, WeakKey> {
        let shared = Curve25519SecretKey::from_slice(a1)
            .diffie_hellman(&Curve25519PublicKey::from_bytes(*peer_ratchet))
            .ok_or(WeakKey)?;
        let (root_key, chain_key) = first_step(root, shared.as_bytes());
        Ok(Self {
            end: End::Opener,
            inner: olm::Session::from_root_key_material(
                SessionConfig::version_1(),
                envelope(root),
                *root_key,
                *chain_key,
                *a1,
            ),
        })
    }

    /// Starts the side that the opener speaks to; `ratchet_secret` is the secret half of R.
    #[must_use]
    pub fn open_as_other(root: &SessionRoot, ratchet_secret: &[u8; 32]) -> Self {
        Self {
            end: End::Other,
            inner: olm::Session::from_root_key_material(
                SessionConfig::version_1(),
                envelope(root),
                *root.rk0(),
                *root.ck0(),
                *ratchet_secret,
            ),
        }
    }

    /// Whether this side may send: always for the opener, for the other side once it has decrypted a message.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.end == End::Opener || self.has_received()
    }

    /// Whether a message of the other side has been decrypted.
    #[must_use]
    pub fn has_received(&self) -> bool {
        self.inner.has_received_message()
    }

    /// Encrypts one packet; gives Olm's message type and the message.
    ///
    /// # Errors
    ///
    /// When this side may not send yet, or the other side's ratchet key has small order.
    pub fn encrypt(&mut self, plaintext: &[u8]) -> Result<(u8, Vec<u8>), EncryptError> {
        if !self.can_send() {
            return Err(EncryptError::OpenerFirst);
        }
        let message = self.inner.encrypt(plaintext).map_err(|error| match error {
            olm::EncryptionError::NonContributoryKey => EncryptError::WeakKey,
        })?;
        let olm_type = match message {
            OlmMessage::PreKey(_) => 0,
            OlmMessage::Normal(_) => 1,
        };
        Ok((olm_type, message.to_parts().1))
    }

    /// Decrypts one message.
    ///
    /// # Errors
    ///
    /// See [`DecryptError`]; the session reads all that it could read before.
    pub fn decrypt(
        &mut self,
        olm_type: u8,
        message: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let parsed = OlmMessage::from_parts(usize::from(olm_type), message)
            .map_err(|_| DecryptError::Malformed)?;
        // Protocol buffers have many encodings of one message; with only one accepted nobody can vary a message on its way.
        if parsed.to_parts().1 != message {
            return Err(DecryptError::Malformed);
        }
        if let OlmMessage::PreKey(first) = &parsed
            && first.session_keys() != self.inner.session_keys()
        {
            return Err(DecryptError::OtherSession);
        }
        let plaintext = self.inner.decrypt(&parsed).map_err(|error| match error {
            olm::DecryptionError::InvalidMAC(_) => DecryptError::BadMac,
            olm::DecryptionError::InvalidMACLength(..)
            | olm::DecryptionError::InvalidPadding(_) => DecryptError::Malformed,
            olm::DecryptionError::NonContributoryKey => DecryptError::WeakKey,
            olm::DecryptionError::MissingMessageKey(index) => DecryptError::KeyGone { index },
            olm::DecryptionError::TooBigMessageGap(gap, max) => {
                DecryptError::GapTooLarge { gap, max }
            }
        })?;
        Ok(Zeroizing::new(plaintext))
    }

    /// The stored form; it holds every secret of the session and is to be sealed before it reaches a disk.
    #[must_use]
    pub fn pickle(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Wiped(Zeroizing::new(Vec::with_capacity(PICKLE_CAPACITY)));
        let end = match self.end {
            End::Opener => 0,
            End::Other => 1,
        };
        out.append(&[PICKLE_VERSION, end]);
        let mut serializer = rmp_serde::Serializer::new(&mut out).with_struct_map();
        let written = self.inner.pickle().serialize(&mut serializer);
        debug_assert!(
            written.is_ok(),
            "plain integers and byte arrays always have an encoding"
        );
        out.0
    }

    /// Reads the stored form.
    ///
    /// # Errors
    ///
    /// When the version is unknown or the bytes are damaged.
    pub fn from_pickle(bytes: &[u8]) -> Result<Self, PickleError> {
        let (&version, rest) = bytes.split_first().ok_or(PickleError::Malformed)?;
        if version != PICKLE_VERSION {
            return Err(PickleError::Version { got: version });
        }
        let (end, mut rest) = match rest.split_first() {
            Some((0, rest)) => (End::Opener, rest),
            Some((1, rest)) => (End::Other, rest),
            _ => return Err(PickleError::Malformed),
        };
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        let pickle =
            SessionPickle::deserialize(&mut deserializer).map_err(|_| PickleError::Malformed)?;
        if !rest.is_empty() {
            return Err(PickleError::Malformed);
        }
        Ok(Self {
            end,
            inner: olm::Session::from_pickle(pickle),
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

type Key = Zeroizing<[u8; 32]>;

/// The ratchet's own step (HKDF-SHA256 with Olm's label), done once by hand because the ratchet starts behind it.
fn first_step(root: &SessionRoot, shared: &[u8; 32]) -> (Key, Key) {
    let mut okm = Zeroizing::new([0; 64]);
    let expanded =
        Hkdf::<Sha256>::new(Some(root.rk0()), shared).expand(b"OLM_RATCHET", okm.as_mut());
    debug_assert!(expanded.is_ok(), "64 bytes are far below the limit of HKDF");
    let (mut root_key, mut chain_key) = (Key::default(), Key::default());
    let (left, right) = okm.split_at(32);
    root_key.copy_from_slice(left);
    chain_key.copy_from_slice(right);
    (root_key, chain_key)
}

/// The three keys of Olm's pre-key envelope, which identify the session and mean nothing else here.
fn envelope(root: &SessionRoot) -> SessionKeys {
    let [identity_key, base_key, one_time_key] =
        root.envelope().map(Curve25519PublicKey::from_bytes);
    SessionKeys {
        identity_key,
        base_key,
        one_time_key,
    }
}

/// A buffer that leaves no copy behind when it grows.
struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    fn append(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(4 * self.0.capacity())));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }
}

impl io::Write for &mut Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
