//! Address updates (protocol section 15.2, kind 0x01): a contact's new address, signed for one recipient.

use crate::{
    address::Bundle,
    codec::{DecodeError, Put, Reader, Wire},
    handshake::Identity,
    ids::IdentityKey,
    network::Network,
    sign::{Sig, SignatureError, verify},
};

/// The body of an address update, with the import rules of the bundle checked but not the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressUpdate {
    /// The new address.
    pub bundle: Bundle,
    /// The generation that it replaces.
    pub previous: u16,
    signature: Sig,
}

impl AddressUpdate {
    /// Tells `recipient` our new address.
    #[must_use]
    pub fn sign(
        net: &Network,
        identity: &Identity,
        recipient: &IdentityKey,
        bundle: &Bundle,
        previous: u16,
    ) -> Self {
        let signed = signed(recipient, bundle, previous);
        Self {
            bundle: bundle.clone(),
            previous,
            signature: identity.sign(net, "addr-update", &[&signed]),
        }
    }

    /// Checks that `sender` signed this update for `recipient`.
    ///
    /// # Errors
    /// If not.
    pub fn verify(
        &self,
        net: &Network,
        sender: &IdentityKey,
        recipient: &IdentityKey,
    ) -> Result<(), SignatureError> {
        let signed = signed(recipient, &self.bundle, self.previous);
        verify(
            net,
            sender.as_bytes(),
            "addr-update",
            &[&signed],
            &self.signature,
        )
    }
}

fn signed(recipient: &IdentityKey, bundle: &Bundle, previous: u16) -> zeroize::Zeroizing<Vec<u8>> {
    let mut out = zeroize::Zeroizing::new(Vec::with_capacity(32 + Bundle::LEN + 2));
    recipient.encode(&mut out);
    bundle.encode(&mut out);
    out.put_u16(previous);
    out
}

impl Wire for AddressUpdate {
    fn encode(&self, out: &mut Vec<u8>) {
        self.bundle.encode(out);
        out.put_u16(self.previous);
        out.put(&self.signature);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            bundle: Bundle::read(r)?,
            previous: r.u16()?,
            signature: r.array()?,
        })
    }
}
