//! The payloads of the two recovery messages (protocol section 17).

use crate::{
    address::Bundle,
    codec::{DecodeError, Put, Reader, Wire},
    handshake::BOX_MAX,
    xwing::{CT_LEN, EK_LEN},
};

/// What the starter says in message 1.
pub(super) struct Payload1 {
    pub(super) generation: u16,
    pub(super) ek: Box<[u8; EK_LEN]>,
    pub(super) ratchet: [u8; 32],
    pub(super) next_seq: u64,
    pub(super) bundle: Bundle,
}

impl Wire for Payload1 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.generation);
        out.put(self.ek.as_slice());
        out.put(&self.ratchet);
        out.put_u64(self.next_seq);
        self.bundle.encode(out);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            generation: r.u16()?,
            ek: Box::new(r.array()?),
            ratchet: r.array()?,
            next_seq: r.u64()?,
            bundle: Bundle::read(r)?,
        })
    }
}

/// What the answerer says in message 2, with the box still sealed.
pub(super) struct Payload2 {
    pub(super) generation: u16,
    pub(super) ct: Box<[u8; CT_LEN]>,
    pub(super) next_seq: u64,
    pub(super) sealed: Vec<u8>,
}

impl Wire for Payload2 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.generation);
        out.put(self.ct.as_slice());
        out.put_u64(self.next_seq);
        out.put_var16(&self.sealed);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            generation: r.u16()?,
            ct: Box::new(r.array()?),
            next_seq: r.u64()?,
            sealed: r.var16("box", BOX_MAX)?.to_vec(),
        })
    }
}
