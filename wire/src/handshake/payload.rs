//! The payloads of the two handshake messages, and what stands around them (protocol section 14).

use zeroize::Zeroizing;

use super::{Devices, HandshakeError};
use crate::{
    address::Bundle,
    codec::{DecodeError, Put, Reader, Wire},
    ids::{HandshakeKey, IdentityKey},
    kdf::{Secret, extract, kdf32, open, seal},
    network::Network,
    packet::NAME_MAX,
    sign::Sig,
    xwing::{CT_LEN, EK_LEN},
};

/// The most that a sealed box may take; a bundle and a name are shorter.
pub(crate) const BOX_MAX: usize = 4_096;

/// The range of versions and the suites that the starter offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) min: u8,
    pub(super) max: u8,
    pub(super) suites: u8,
}

impl Caps {
    pub(super) const OURS: Self = Self {
        min: 1,
        max: 1,
        suites: 1,
    };

    pub(super) const fn bytes(self) -> [u8; 3] {
        [self.min, self.max, self.suites]
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, HandshakeError> {
        let [min, max, suites] = r.array()?;
        let caps = Self { min, max, suites };
        // Version 1 and suite 1, the lowest bit, are the only ones there are.
        if min == 0 || min > 1 || max < 1 || suites & 1 == 0 {
            return Err(HandshakeError::Unsupported { min, max, suites });
        }
        Ok(caps)
    }
}

/// What the invitee says in message 1.
pub(super) struct Payload1 {
    pub(super) ik: IdentityKey,
    pub(super) devices: Devices,
    pub(super) certificate: Sig,
    pub(super) ek: Box<[u8; EK_LEN]>,
    pub(super) ratchet: [u8; 32],
    pub(super) bundle: Bundle,
    pub(super) name: String,
}

impl Wire for Payload1 {
    fn encode(&self, out: &mut Vec<u8>) {
        self.ik.encode(out);
        self.devices.encode(out);
        out.put(&self.certificate);
        out.put(self.ek.as_slice());
        out.put(&self.ratchet);
        self.bundle.encode(out);
        out.put_var8(self.name.as_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ik: IdentityKey::read(r)?,
            devices: Devices::read(r)?,
            certificate: r.array()?,
            ek: Box::new(r.array()?),
            ratchet: r.array()?,
            bundle: Bundle::read(r)?,
            name: r.text8("name", NAME_MAX)?.to_owned(),
        })
    }
}

/// What the inviter says in message 2, with the box still sealed.
pub(super) struct Payload2 {
    pub(super) ik: IdentityKey,
    pub(super) invite_signature: Sig,
    pub(super) ix: HandshakeKey,
    pub(super) devices: Devices,
    pub(super) certificate: Sig,
    pub(super) ct: Box<[u8; CT_LEN]>,
    pub(super) sealed: Vec<u8>,
}

impl Wire for Payload2 {
    fn encode(&self, out: &mut Vec<u8>) {
        self.ik.encode(out);
        out.put(&self.invite_signature);
        self.ix.encode(out);
        self.devices.encode(out);
        out.put(&self.certificate);
        out.put(self.ct.as_slice());
        out.put_var16(&self.sealed);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ik: IdentityKey::read(r)?,
            invite_signature: r.array()?,
            ix: HandshakeKey::read(r)?,
            devices: Devices::read(r)?,
            certificate: r.array()?,
            ct: Box::new(r.array()?),
            sealed: r.var16("box", BOX_MAX)?.to_vec(),
        })
    }
}

/// Seals what only the holder of the X-Wing key may read.
pub(crate) fn seal_box(
    net: &Network,
    label: &str,
    h1: &[u8; 32],
    shared: &Secret,
    plain: &[u8],
) -> Vec<u8> {
    seal(&box_key(net, label, h1, shared), &[], plain)
}

/// Opens what [`seal_box`] sealed.
pub(crate) fn open_box(
    net: &Network,
    label: &str,
    h1: &[u8; 32],
    shared: &Secret,
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    open(&box_key(net, label, h1, shared), &[], sealed).ok()
}

fn box_key(net: &Network, label: &str, h1: &[u8; 32], shared: &Secret) -> Secret {
    kdf32(net, &extract(h1, &[shared.as_slice()]), label, &[])
}
