//! The two Noise handshakes of the protocol: IKpsk0 between strangers with an invite, KKpsk0 between contacts who start over.
//!
//! snow runs the handshake; the primitives are those of the rest of this crate. The one thing that Noise draws, an ephemeral key, is
//! given by the caller: [`Ephemeral`] hands it out exactly once. With the same keys and payloads the messages are the same byte by
//! byte, so a side can be restarted between two messages and come back to the very state it had.

use chacha20poly1305::{
    ChaCha20Poly1305, Key, Nonce, Tag,
    aead::{AeadInOut as _, KeyInit as _},
};
use sha2::{Digest as _, Sha256};
use snow::{
    Builder, HandshakeState,
    params::{CipherChoice, DHChoice, HashChoice, NoiseParams},
    resolvers::CryptoResolver,
    types::{Cipher, Dh, Hash, Random},
};
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize as _, Zeroizing};

use crate::kdf::{Secret, TAG_LEN};

/// Bytes of a Noise message; all of ours are below 4 096.
const MESSAGE_MAX: usize = 65_535;

/// Which handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// The starter is unknown to the answerer, who is known by a key in the invite.
    IkPsk0,
    /// Both know each other.
    KkPsk0,
}

/// A message that does not open: damaged, or for other keys, another invite or another network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the handshake message does not open")]
pub(crate) struct NoiseError;

/// Everything that a side brings.
pub(crate) struct Keys<'a> {
    pub(crate) pattern: Pattern,
    pub(crate) prologue: &'a [u8],
    pub(crate) psk: &'a [u8; 32],
    pub(crate) local: &'a [u8; 32],
    /// Absent for the answerer of [`Pattern::IkPsk0`].
    pub(crate) remote: Option<&'a [u8; 32]>,
    pub(crate) ephemeral: &'a [u8; 32],
}

/// A handshake in progress.
pub(crate) struct Noise(HandshakeState);

impl Pattern {
    const fn name(self) -> &'static str {
        match self {
            Self::IkPsk0 => "Noise_IKpsk0_25519_ChaChaPoly_SHA256",
            Self::KkPsk0 => "Noise_KKpsk0_25519_ChaChaPoly_SHA256",
        }
    }
}

impl Noise {
    pub(crate) fn starter(keys: &Keys<'_>) -> Result<Self, NoiseError> {
        builder(keys)?.build_initiator().map(Self).map_err(refused)
    }

    pub(crate) fn answerer(keys: &Keys<'_>) -> Result<Self, NoiseError> {
        builder(keys)?.build_responder().map(Self).map_err(refused)
    }

    pub(crate) fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let mut message = vec![0; MESSAGE_MAX];
        let len = self
            .0
            .write_message(payload, &mut message)
            .map_err(refused)?;
        message.truncate(len);
        Ok(message)
    }

    pub(crate) fn read(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, NoiseError> {
        let mut payload = Zeroizing::new(vec![0; message.len()]);
        let len = self
            .0
            .read_message(message, &mut payload)
            .map_err(refused)?;
        payload.truncate(len);
        Ok(payload)
    }

    /// The handshake hash after the messages so far.
    pub(crate) fn hash(&self) -> Result<[u8; 32], NoiseError> {
        self.0
            .get_handshake_hash()
            .try_into()
            .map_err(|_| NoiseError)
    }

    /// The static key that the other side has shown.
    pub(crate) fn remote(&self) -> Result<[u8; 32], NoiseError> {
        let key = self.0.get_remote_static().ok_or(NoiseError)?;
        key.try_into().map_err(|_| NoiseError)
    }

    /// The outputs of Split(), of use once both messages have passed.
    pub(crate) fn split(&mut self) -> (Secret, Secret) {
        let (k1, k2) = self.0.dangerously_get_raw_split();
        (Zeroizing::new(k1), Zeroizing::new(k2))
    }
}

fn builder<'a>(keys: &'a Keys<'_>) -> Result<Builder<'a>, NoiseError> {
    let params: NoiseParams = keys.pattern.name().parse().map_err(refused)?;
    let resolver = Resolver(Zeroizing::new(*keys.ephemeral));
    let mut builder = Builder::with_resolver(params, Box::new(resolver))
        .prologue(keys.prologue)
        .and_then(|builder| builder.psk(0, keys.psk))
        .and_then(|builder| builder.local_private_key(keys.local))
        .map_err(refused)?;
    if let Some(remote) = keys.remote {
        builder = builder.remote_public_key(remote).map_err(refused)?;
    }
    Ok(builder)
}

/// Which step failed is of no use to the caller and would be of some to an attacker.
fn refused(_: snow::Error) -> NoiseError {
    NoiseError
}

/// Gives snow its primitives.
struct Resolver(Secret);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Ephemeral(Some(self.0.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        match choice {
            DHChoice::Curve25519 => Some(Box::new(X25519::new([0; 32]))),
            _ => None,
        }
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        match choice {
            HashChoice::SHA256 => Some(Box::new(Sha(Sha256::new()))),
            _ => None,
        }
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        match choice {
            CipherChoice::ChaChaPoly => Some(Box::new(ChaChaPoly(Zeroizing::new([0; 32])))),
            _ => None,
        }
    }
}

/// The ephemeral key as a source of randomness that is empty after one draw.
struct Ephemeral(Option<Secret>);

impl Random for Ephemeral {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        match self.0.take() {
            Some(secret) if dest.len() == secret.len() => {
                dest.copy_from_slice(secret.as_slice());
                Ok(())
            }
            _ => Err(snow::Error::Rng),
        }
    }
}

struct X25519 {
    secret: StaticSecret,
    secret_bytes: Secret,
    public: PublicKey,
}

impl X25519 {
    fn new(secret: [u8; 32]) -> Self {
        let secret_bytes = Zeroizing::new(secret);
        let secret = StaticSecret::from(secret);
        Self {
            public: PublicKey::from(&secret),
            secret,
            secret_bytes,
        }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, private: &[u8]) {
        let mut secret = [0; 32];
        // All private keys of this module are arrays of this length.
        debug_assert_eq!(private.len(), secret.len());
        secret
            .iter_mut()
            .zip(private)
            .for_each(|(to, from)| *to = *from);
        *self = Self::new(secret);
        secret.zeroize();
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut secret = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(secret.as_mut_slice())?;
        *self = Self::new(*secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn privkey(&self) -> &[u8] {
        self.secret_bytes.as_slice()
    }

    /// Refuses keys of small order, whose secret everybody knows.
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public = *public.first_chunk::<32>().ok_or(snow::Error::Dh)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(public));
        if !shared.was_contributory() {
            return Err(snow::Error::Dh);
        }
        *out.first_chunk_mut::<32>().ok_or(snow::Error::Dh)? = shared.to_bytes();
        Ok(())
    }
}

struct Sha(Sha256);

impl Hash for Sha {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let digest = self.0.finalize_reset();
        out.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    }
}

struct ChaChaPoly(Secret);

impl ChaChaPoly {
    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&Key::from(*self.0))
    }

    /// Noise's nonce: four zero bytes and the counter, little-endian.
    fn nonce(counter: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce
            .iter_mut()
            .skip(4)
            .zip(counter.to_le_bytes())
            .for_each(|(to, from)| *to = from);
        Nonce::from(nonce)
    }
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        *self.0 = *key;
    }

    fn encrypt(&self, counter: u64, aad: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        let len = plain.len();
        let Some((text, rest)) = out.split_at_mut_checked(len) else {
            return 0;
        };
        text.copy_from_slice(plain);
        let sealed = self
            .cipher()
            .encrypt_inout_detached(&Self::nonce(counter), aad, text.into());
        let (Ok(tag), Some(place)) = (sealed, rest.first_chunk_mut::<TAG_LEN>()) else {
            return 0;
        };
        *place = tag.into();
        len + TAG_LEN
    }

    fn decrypt(
        &self,
        counter: u64,
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, snow::Error> {
        let (text, tag) = sealed
            .split_last_chunk::<TAG_LEN>()
            .ok_or(snow::Error::Decrypt)?;
        let plain = out.get_mut(..text.len()).ok_or(snow::Error::Decrypt)?;
        plain.copy_from_slice(text);
        self.cipher()
            .decrypt_inout_detached(&Self::nonce(counter), aad, plain.into(), &Tag::from(*tag))
            .map_err(|_| snow::Error::Decrypt)?;
        Ok(text.len())
    }
}

#[cfg(test)]
mod tests;
