use super::*;
use crate::kdf::h;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    data_encoding::HEXLOWER
        .decode(hex.as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

/// The test vectors of the draft: seed, randomness, secret, and the hashes of key and ciphertext.
#[test]
fn vectors_of_the_draft() {
    for [seed, randomness, secret, key_hash, ct_hash] in [
        [
            "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
            "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e235b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
            "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384",
            "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb",
            "17cd532d657e44c897ca6583e548a5424fc70bf54f99515a4d2bcf99e3469f33",
        ],
        [
            "badfd6dfaac359a5efbb7bcc4b59d538df9a04302e10c8bc1cbf1a0b3a5120ea",
            "17cda7cfad765f5623474d368ccca8af0007cd9f5e4c849f167a580b14aabdefaee7eef47cb0fca9767be1fda69419dfb927e9df07348b196691abaeb580b32d",
            "f2e86241c64d60f6649fbc6c5b7d17180b780a3f34355e64a85749949c45f150",
            "c42ba5f8430d7d2c83739338203819f090e8303ce9c8b02107c272bfa5376916",
            "1661ea86d608a1924ba30840cb0a65f13ae051e3aec9cf0f064efc0bc92f2154",
        ],
        [
            "ef58538b8d23f87732ea63b02b4fa0f4873360e2841928cd60dd4cee8cc0d4c9",
            "22a96188d032675c8ac850933c7aff1533b94c834adbb69c6115bad4692d8619f90b0cdf8a7b9c264029ac185b70b83f2801f2f4b3f70c593ea3aeeb613a7f1b",
            "953f7f4e8c5b5049bdc771d1dffada0dd961477d1a2ae0988baa7ea6898d893f",
            "6b080d6b84f095342092fa7a22423e58bd681397ad0ef00eac92bd254db4fa95",
            "d3ca5578500344b5896cffc4fd740c9311946b82951df155e6fd86a7966b43c6",
        ],
    ] {
        let key = KemKey::from_seed(&bytes(seed));
        let public = key.public();
        assert_eq!(h(&[public.as_slice()]), bytes(key_hash));
        let (ct, shared) = encapsulate(&public, &bytes(randomness)).unwrap();
        assert_eq!(h(&[ct.as_slice()]), bytes(ct_hash));
        assert_eq!(*shared, bytes(secret));
        assert_eq!(key.decapsulate(&ct).unwrap(), shared);
    }
}

#[test]
fn a_changed_ciphertext_gives_another_secret() {
    let key = KemKey::from_seed(&[1; 32]);
    let (ct, shared) = encapsulate(&key.public(), &[2; 64]).unwrap();
    for at in [0, 500, 1_087, 1_088, 1_119] {
        let mut changed = ct.clone();
        changed[at] ^= 4;
        assert_ne!(key.decapsulate(&changed).unwrap(), shared, "byte {at}");
    }
    assert_ne!(
        KemKey::from_seed(&[3; 32]).decapsulate(&ct).unwrap(),
        shared
    );
}

#[test]
fn keys_and_ciphertexts_of_small_order_are_refused() {
    let key = KemKey::from_seed(&[1; 32]);
    let (mut ct, _) = encapsulate(&key.public(), &[2; 64]).unwrap();
    // u = 0 and u = 1 have orders 2 and 4.
    for low in [
        [0; 32],
        bytes("0100000000000000000000000000000000000000000000000000000000000000"),
    ] {
        let mut public = key.public();
        public[EK_LEN - 32..].copy_from_slice(&low);
        assert_eq!(encapsulate(&public, &[2; 64]).err(), Some(XWingError));
        assert!(!is_acceptable(&public) && !is_contributory(&low));
        ct[CT_LEN - 32..].copy_from_slice(&low);
        assert_eq!(key.decapsulate(&ct).err(), Some(XWingError));
    }
}

#[test]
fn keys_with_coefficients_beyond_the_modulus_are_refused() {
    let mut public = KemKey::from_seed(&[1; 32]).public();
    assert!(is_acceptable(&public));
    // The first coefficient as 4 095; the modulus is 3 329.
    public[0] = 0xff;
    public[1] |= 0x0f;
    assert!(!is_acceptable(&public));
    assert_eq!(encapsulate(&public, &[2; 64]).err(), Some(XWingError));
}
