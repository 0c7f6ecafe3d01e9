//! Who the two sides are: our own keys, and what a handshake tells about the other side.

use ed25519_dalek::SigningKey;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::HandshakeError;
use crate::{
    address::Bundle,
    codec::{DecodeError, Put, Reader, Wire},
    ids::{HandshakeKey, IdentityKey},
    kdf::Secret,
    network::Network,
    packet::FIRST_DEVICE,
    sign::{Sig, sign, verify},
};

/// The version of the device list.
const DEVICES_VERSION: u32 = 1;

/// Our own long-term keys: IK, which signs, and IX, which handshakes use.
pub struct Identity {
    signing: SigningKey,
    handshake: StaticSecret,
}

/// A person's devices. In this version there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Devices {
    /// The device's number, from 1.
    pub device: u16,
}

/// What a handshake tells about the other side. All of it is checked and bound to [`Peer::ik`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The long-term identity key.
    pub ik: IdentityKey,
    /// The long-term handshake key.
    pub ix: HandshakeKey,
    /// The device list.
    pub devices: Devices,
    /// The identity key's signature over handshake key and devices.
    pub certificate: Sig,
    /// The name that the other side gives itself: at most 64 bytes, otherwise unchecked.
    pub name: String,
    /// The way to reach the other side.
    pub bundle: Bundle,
}

impl Identity {
    /// The identity of an Ed25519 seed and an X25519 secret.
    #[must_use]
    pub fn from_secrets(ik_seed: &[u8; 32], ix_secret: &[u8; 32]) -> Self {
        Self {
            signing: SigningKey::from_bytes(ik_seed),
            handshake: StaticSecret::from(*ix_secret),
        }
    }

    /// The public identity key.
    #[must_use]
    pub fn ik(&self) -> IdentityKey {
        IdentityKey(self.signing.verifying_key().to_bytes())
    }

    /// The public handshake key.
    #[must_use]
    pub fn ix(&self) -> HandshakeKey {
        HandshakeKey(PublicKey::from(&self.handshake).to_bytes())
    }

    /// `SIGN(IK, label, body)`.
    #[must_use]
    pub fn sign(&self, net: &Network, label: &str, body: &[&[u8]]) -> Sig {
        sign(net, &self.signing, label, body)
    }

    pub(crate) fn ix_secret(&self) -> Secret {
        Zeroizing::new(self.handshake.to_bytes())
    }

    /// `cert`, which binds the handshake key and the devices to the identity.
    pub(crate) fn certificate(&self, net: &Network) -> Sig {
        let devices = Devices::default().to_bytes();
        self.sign(net, "bundle", &[self.ix().as_ref(), &devices])
    }
}

crate::pair::closed_debug!(Identity);

/// This device alone.
impl Default for Devices {
    fn default() -> Self {
        Self {
            device: FIRST_DEVICE,
        }
    }
}

impl Wire for Devices {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(DEVICES_VERSION);
        out.put_u8(1);
        out.put_u16(self.device);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = r.u32()?;
        if version != DEVICES_VERSION {
            let (field, value) = ("version of the device list", version.into());
            return Err(DecodeError::Value { field, value });
        }
        r.count8("devices", 1, 1)?;
        match r.u16()? {
            0 => Err(DecodeError::Value {
                field: "device",
                value: 0,
            }),
            device => Ok(Self { device }),
        }
    }
}

/// Checks a certificate.
pub(super) fn check_certificate(
    net: &Network,
    ik: &IdentityKey,
    ix: &HandshakeKey,
    devices: Devices,
    certificate: &Sig,
) -> Result<(), HandshakeError> {
    let body = [ix.as_ref(), &devices.to_bytes()];
    verify(net, ik.as_bytes(), "bundle", &body, certificate)
        .map_err(|_| HandshakeError::Certificate)
}
