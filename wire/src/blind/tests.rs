//! The draft's published vectors, our own, and what the blind-bound nonce is for.

use curve25519_dalek::constants::EIGHT_TORSION;
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use proptest::prelude::*;
use sha2::{Digest, Sha512};

use super::*;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER
        .decode(text.as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

/// Secret key, public key, blind, blinded public key, context, signature of "hello world".
const DRAFT: [[&str; 6]; 4] = [
    [
        "d142b3b1d532b0a516353a0746a6d43a86cee8efaf6b14ae85c2199072f47d93",
        "cd875d3f46a8e8742cf4a6a9f9645d4153a394a5a0a8028c9041cd455d093cd5",
        "bb58c768d9b16571f553efd48207e64391e16439b79fe9409e70b38040c81302",
        "666443ce8f03fa09240db73a584efad5462ffe346b14fd78fb666b25db29902f",
        "",
        "5458111c708ce05cb0a1608b08dc649937dc22cf1da045eb866f2face50be930e79b44d57e5215a82ac227bdccccca52bfe509b96efe8e723cb42b5f14be5f0e",
    ],
    [
        "aa69e9cb50abf39b05ebc823242c4fd13ccadd0dadc1b45f6fcbf7be4f30db5d",
        "5c9a9e271f204c931646aa079e2e66f0783ab3d29946eff37bd3b569e9c8e009",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "23eb5eccb9448ee8403c36595ccfd5edd7257ae70da69aa22282a0a7cd97e443",
        "",
        "4e9f3ad2b14cf2f9bbf4b88a8832358a568bd69368b471dfabac594e8a8b33ab54978ecf902560ed754f011186c4c4dda65d158b96c1e6b99a8e150a26e51e03",
    ],
    [
        "d1e5a0f806eb3c491566cef6d2d195e6bbf0a54c9de0e291a7ced050c63ea91c",
        "8b37c949d39cddf4d2a0fc0da781ea7f85c7bfbdfeb94a3c9ecb5e8a3c24d65f",
        "05b235297dff87c492835d562c6e03c0f36b9c306f2dcb3b5038c2744d4e8a70",
        "019b0a06107e01361facdad39ec16a9647c86c0086bc38825eb664b97d9c514d",
        "d6bbaa0646f5617d3cbd1e22ef05e714d1ec7812efff793999667648b2cc54bc",
        "f54214acb3c695c46b1e7aa2da947273cb19ec33d8215dde0f43a8f7250febb508f4a5007e3c96be6402074ec843d40358a281ff969c66c1724016208650dd09",
    ],
    [
        "89e3e3acef6a6c2d9b7c062199bf996f9ae96b662c73e2b445636f9f22d5012e",
        "3f667a2305a8baf328a1d8e9ed726f278229607d28fb32d9933da7379947ac44",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "90a543dd29c6e6cd08ef85c43618f2d314139db5baed802383cf674310294e40",
        "802def4d21c7c7d0fa4b48af5e85f8ebfc4119a04117c14d961567eaef2859f2",
        "ce305a0f40a3270a84d2d9403617cdb89b7b4edf779b4de27f9acaadf171684b162e752c95f17b16aaca7c2662e69ba9696bdd230a107ecab973886e8d5bf00e",
    ],
];

fn challenge(sig: &Sig, public: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(&sig[..32])
        .chain_update(public)
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

/// Signs as the draft does: with both prefixes one after the other.
fn sign_as_draft(secret: &MasterSecret, factor: &Factor, message: &[u8]) -> Sig {
    let a = secret.scalar * factor.s;
    let public = EdwardsPoint::mul_base(&a).compress().0;
    let r = Sha512::new()
        .chain_update(secret.prefix)
        .chain_update(factor.prefix)
        .chain_update(message);
    let r = Scalar::from_bytes_mod_order_wide(&r.finalize().into());
    let mut sig = [0; 64];
    sig[..32].copy_from_slice(&EdwardsPoint::mul_base(&r).compress().0);
    let k = challenge(&sig, &public, message);
    sig[32..].copy_from_slice((r + k * a).as_bytes());
    sig
}

#[test]
fn published_vectors() {
    for [sk, pk, bk, pkr, ctx, sig] in DRAFT {
        let secret = MasterSecret::from_seed(&hex(sk));
        let factor = Factor::with_context(&hex(bk), &HEXLOWER.decode(ctx.as_bytes()).unwrap());
        assert_eq!(secret.public().to_bytes(), hex(pk));
        assert_eq!(secret.blind(&factor).public(), hex(pkr));
        assert_eq!(
            MasterPublic::import(&hex(pk), "key")
                .unwrap()
                .blind(&factor),
            hex(pkr)
        );
        assert_eq!(sign_as_draft(&secret, &factor, b"hello world"), hex(sig));
    }
}

#[test]
fn second_implementation() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/blind.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= 7);
    for case in cases {
        let bytes = |field: &str| {
            HEXLOWER
                .decode(case[field].as_str().unwrap().as_bytes())
                .unwrap()
        };
        let array = |field: &str| <[u8; 32]>::try_from(bytes(field)).unwrap();
        let secret = MasterSecret::from_seed(&array("seed"));
        let factor = Factor::with_context(&array("bk"), &bytes("ctx"));
        let key = secret.blind(&factor);
        assert_eq!(secret.public().to_bytes(), array("public"));
        assert_eq!(key.public(), array("blinded"));
        assert_eq!(
            key.sign_bytes(&bytes("message")).to_vec(),
            bytes("signature"),
            "{}",
            case["name"]
        );
    }
}

#[test]
fn the_network_is_the_context() {
    let lab = Network::lab();
    let ctx = [b"hermes/1".as_slice(), lab.id().as_ref()].concat();
    assert!(Factor::new(&lab, &[7; 32]).s == Factor::with_context(&[7; 32], &ctx).s);
    assert!(Factor::new(&lab, &[7; 32]).s != Factor::new(&Network::main(), &[7; 32]).s);
}

/// Solves two signatures of one message for the master scalar, as anybody could who knows both blinds, if both had
/// the same nonce.
fn solve(
    message: &[u8],
    one: (&Sig, &[u8; 32], &Factor),
    two: (&Sig, &[u8; 32], &Factor),
) -> Scalar {
    let s = |sig: &Sig| Scalar::from_canonical_bytes(sig[32..].try_into().unwrap()).unwrap();
    let c = |(sig, public, factor): (&Sig, &[u8; 32], &Factor)| {
        challenge(sig, public, message) * factor.s
    };
    (s(one.0) - s(two.0)) * (c(one) - c(two)).invert()
}

#[test]
fn a_nonce_that_forgot_the_blind_would_give_the_secret_away() {
    let secret = MasterSecret::from_seed(&[9; 32]);
    let (f1, f2) = (
        Factor::with_context(&[1; 32], b""),
        Factor::with_context(&[2; 32], b""),
    );
    let message = b"one message in two epochs";

    let naive = |f: &Factor| {
        BlindedKey::of(ExpandedSecretKey {
            scalar: secret.scalar * f.s,
            hash_prefix: secret.prefix,
        })
    };
    let (n1, n2) = (naive(&f1), naive(&f2));
    let (s1, s2) = (n1.sign_bytes(message), n2.sign_bytes(message));
    assert_eq!(s1[..32], s2[..32]);
    assert!(solve(message, (&s1, &n1.public(), &f1), (&s2, &n2.public(), &f2)) == secret.scalar);

    let (k1, k2) = (secret.blind(&f1), secret.blind(&f2));
    let (s1, s2) = (k1.sign_bytes(message), k2.sign_bytes(message));
    assert_ne!(s1[..32], s2[..32]);
    assert!(solve(message, (&s1, &k1.public(), &f1), (&s2, &k2.public(), &f2)) != secret.scalar);
}

fn point(seed: u8) -> EdwardsPoint {
    MasterSecret::from_seed(&[seed; 32]).point()
}

#[test]
fn import_refuses_torsion() {
    assert!(MasterPublic::import(&point(1).compress().0, "key").is_ok());
    for torsion in &EIGHT_TORSION[1..] {
        let bad = (point(1) + torsion).compress().0;
        assert!(
            VerifyingKey::from_bytes(&bad).is_ok(),
            "the signature library alone would take it"
        );
        assert_eq!(
            MasterPublic::import(&bad, "key"),
            Err(DecodeError::Key { field: "key" })
        );
    }
}

#[test]
fn import_refuses_small_order_and_identity() {
    for torsion in &EIGHT_TORSION {
        assert!(MasterPublic::import(&torsion.compress().0, "key").is_err());
    }
}

#[test]
fn import_refuses_what_is_not_canonical() {
    let mut points = 0;
    for k in 0..19_u8 {
        for sign in [0, 0x80] {
            let mut bytes = [0xff; 32];
            bytes[0] = 0xed + k;
            bytes[31] = 0x7f | sign;
            points += u8::from(CompressedEdwardsY(bytes).decompress().is_some());
            assert!(MasterPublic::import(&bytes, "key").is_err(), "p + {k}");
            assert!(!crate::sign::is_canonical(&bytes));
        }
    }
    assert!(points > 4, "some of them are points on the curve");
    let mut below = [0xff; 32];
    (below[0], below[31]) = (0xec, 0x7f);
    assert!(crate::sign::is_canonical(&below));
}

#[test]
fn import_refuses_what_is_no_point() {
    let refused = (0..=255_u8)
        .filter(|b| MasterPublic::import(&[*b; 32], "key").is_err())
        .count();
    assert!(refused > 100);
}

proptest! {
    #[test]
    fn owner_and_friend_agree(seed: [u8; 32], bk: [u8; 32], message: Vec<u8>) {
        let (secret, factor) = (MasterSecret::from_seed(&seed), Factor::new(&Network::lab(), &bk));
        let key = secret.blind(&factor);
        let public = MasterPublic::import(&SigningKey::from_bytes(&seed).verifying_key().to_bytes(), "key").unwrap();
        prop_assert_eq!(public.blind(&factor), key.public());
        prop_assert_eq!(secret.blind_point(&factor).compress().0, key.public());
        let sig = Signature::from_bytes(&key.sign_bytes(&message));
        prop_assert!(VerifyingKey::from_bytes(&key.public()).unwrap().verify_strict(&message, &sig).is_ok());
    }

    #[test]
    fn different_blinds_give_different_keys_and_nonces(seed: [u8; 32], a: [u8; 32], b: [u8; 32], message: Vec<u8>) {
        prop_assume!(a != b);
        let secret = MasterSecret::from_seed(&seed);
        let [one, two] = [a, b].map(|bk| secret.blind(&Factor::new(&Network::lab(), &bk)));
        prop_assert_ne!(one.public(), two.public());
        prop_assert_ne!(&one.sign_bytes(&message)[..32], &two.sign_bytes(&message)[..32]);
    }

    #[test]
    fn an_unblinded_key_is_ordinary_ed25519(seed: [u8; 32]) {
        let net = Network::lab();
        let ours = BlindedKey::from_seed(&seed).sign(&net, "deposit", &[b"body"]);
        prop_assert_eq!(ours, crate::sign::sign(&net, &SigningKey::from_bytes(&seed), "deposit", &[b"body"]));
    }
}
