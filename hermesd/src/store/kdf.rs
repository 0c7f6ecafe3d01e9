//! Key derivation of the store (`docs/storage.md`, *Keys*).

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// 32 secret bytes, wiped when dropped. Has neither `Debug` nor `Clone`, so that it is neither printed nor scattered.
pub(crate) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(crate) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// A copy; by name, so that copies are seen.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `KDF(self, label, parts)`; labels and parts are short constants of this program.
    pub(crate) fn derive(&self, label: &str, parts: &[&[u8]]) -> Self {
        let mut info = Vec::with_capacity(64);
        info.extend_from_slice(b"hermes-store/1");
        info.push(u8::try_from(label.len()).expect("labels are short constants"));
        info.extend_from_slice(label.as_bytes());
        for part in parts {
            let len = u16::try_from(part.len()).expect("parts are short constants");
            info.extend_from_slice(&len.to_le_bytes());
            info.extend_from_slice(part);
        }
        let mut out = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::from_prk(self.bytes())
            .expect("32 bytes are as long as the hash")
            .expand(&info, out.as_mut_slice())
            .expect("32 bytes are within the limit of HKDF");
        Self(out)
    }

    /// HMAC-SHA256 of `message` under this key.
    pub(crate) fn mac(&self, message: &[&[u8]]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.bytes())
            .expect("HMAC takes keys of any length");
        for part in message {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// Computed apart from this program with Python's `hmac`: HKDF-Expand is one HMAC over info and the byte 01.
    #[test]
    fn derivation_is_frozen() {
        let key = Key::new(Zeroizing::new([7; 32]));
        assert_eq!(
            HEXLOWER.encode(key.derive("db", &[b"meta"]).bytes()),
            DB_META
        );
        assert_eq!(HEXLOWER.encode(key.derive("subkeys", &[]).bytes()), SUBKEYS);
        assert_eq!(HEXLOWER.encode(&key.mac(&[b"ab", b"c"])), MAC_ABC);
    }

    const DB_META: &str = "6befc0800639bf364e7bad8ffeac5288be1c33c5ebaaf7390056edc51aff213c";
    const SUBKEYS: &str = "d3b647bbdf2f5e857714185732eedd56d9d18230f726456acfeecbe5a41aa9be";
    const MAC_ABC: &str = "127da4ced6a839b8f6118bc244684d2663e70cb5ff0adeefca89d7e74d5a0525";

    #[test]
    fn parts_do_not_run_together() {
        let key = Key::new(Zeroizing::new([7; 32]));
        assert_ne!(
            key.derive("db", &[b"ab", b"c"]).bytes(),
            key.derive("db", &[b"a", b"bc"]).bytes()
        );
        assert_ne!(
            key.derive("db", &[b"x"]).bytes(),
            key.derive("dbx", &[]).bytes()
        );
    }

    #[test]
    fn keys_have_one_length() {
        assert!(Key::from_slice(&[0; 31]).is_none());
        assert!(Key::from_slice(&[0; 33]).is_none());
        assert!(Key::from_slice(&[0; 32]).is_some());
    }
}
