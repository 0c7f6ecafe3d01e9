use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn key(hex: &str) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

fn public(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// The published KKpsk0 vector of the cacophony set, with the two transport messages that show the split.
#[test]
fn cacophony_kkpsk0() {
    let psk = key("54686973206973206d7920417573747269616e20706572737065637469766521");
    let starter_static = key("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
    let answerer_static = key("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
    let starter_ephemeral = key("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a");
    let answerer_ephemeral =
        key("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b");
    let starter = Keys {
        pattern: Pattern::KkPsk0,
        prologue: b"John Galt",
        psk: &psk,
        local: &starter_static,
        remote: Some(&public(&answerer_static)),
        ephemeral: &starter_ephemeral,
    };
    let answerer = Keys {
        local: &answerer_static,
        remote: Some(&public(&starter_static)),
        ephemeral: &answerer_ephemeral,
        ..starter
    };
    let mut a = Noise::starter(&starter).unwrap();
    let mut b = Noise::answerer(&answerer).unwrap();
    let first = a.write(b"Ludwig von Mises").unwrap();
    assert_eq!(
        first,
        bytes(
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794423f19812300a6051f02195db0722909fc920796814cfc886ab3a8083c66a5961"
        )
    );
    assert_eq!(b.read(&first).unwrap().as_slice(), b"Ludwig von Mises");
    let second = b.write(b"Murray Rothbard").unwrap();
    assert_eq!(
        second,
        bytes(
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884320acfe866b4ede922f007d89dbf507216d6aa8646c7fba098da374b1784d4b"
        )
    );
    assert_eq!(a.read(&second).unwrap().as_slice(), b"Murray Rothbard");
    let hash = key("32afcdbb63cf90f25409090bc11f7546c534dfb03f37c1626a0cf758881e746f");
    assert_eq!((a.hash(), b.hash()), (Ok(hash), Ok(hash)));

    let (k1, k2) = a.split();
    assert!((&k1, &k2) == (&b.split().0, &b.split().1));
    for (k, text, sealed) in [
        (
            k1,
            "F. A. Hayek",
            "d213fdd768eeef05ee236c6d2983b2029bb472567a5831f4ff592c",
        ),
        (
            k2,
            "Carl Menger",
            "facf98016edcfc2566b16866935329b4da833dcd3bbb4173cf638e",
        ),
    ] {
        assert_eq!(crate::kdf::seal(&k, &[], text.as_bytes()), bytes(sealed));
    }
}

fn pair(pattern: Pattern, psks: [u8; 2]) -> (Noise, Noise) {
    let (a, b) = ([1; 32], [2; 32]);
    let (public_a, public_b) = (public(&a), public(&b));
    let psks = psks.map(|n| [n; 32]);
    let starter = Keys {
        pattern,
        prologue: b"prologue",
        psk: &psks[0],
        local: &a,
        remote: Some(&public_b),
        ephemeral: &[3; 32],
    };
    let answerer = Keys {
        psk: &psks[1],
        local: &b,
        remote: (pattern == Pattern::KkPsk0).then_some(&public_a),
        ephemeral: &[4; 32],
        ..starter
    };
    (
        Noise::starter(&starter).unwrap(),
        Noise::answerer(&answerer).unwrap(),
    )
}

#[test]
fn messages_repeat_to_the_byte_and_every_byte_counts() {
    for pattern in [Pattern::IkPsk0, Pattern::KkPsk0] {
        let (mut a, mut b) = pair(pattern, [9, 9]);
        let first = a.write(b"one").unwrap();
        assert_eq!(pair(pattern, [9, 9]).0.write(b"one"), Ok(first.clone()));
        for at in 0..first.len() {
            let mut changed = first.clone();
            changed[at] ^= 1;
            assert_eq!(
                pair(pattern, [9, 9]).1.read(&changed),
                Err(NoiseError),
                "byte {at}"
            );
        }
        for len in 0..first.len() {
            assert!(b.read(&first[..len]).is_err());
        }
        assert_eq!(pair(pattern, [9, 8]).1.read(&first), Err(NoiseError));
        assert_eq!(b.read(&first).unwrap().as_slice(), b"one");
        assert_eq!(b.remote(), Ok(public(&[1; 32])));
        let second = b.write(b"two").unwrap();
        assert_eq!(a.read(&second).unwrap().as_slice(), b"two");
        assert!(a.hash() == b.hash() && a.split() == b.split());
        assert!(a.write(b"three").is_err(), "there is no third message");
    }
}

#[test]
fn keys_of_small_order_are_refused() {
    let (mut a, mut b) = pair(Pattern::IkPsk0, [9, 9]);
    let mut first = a.write(b"one").unwrap();
    first[..32].fill(0);
    assert_eq!(b.read(&first), Err(NoiseError));
    let mut out = [0; 32];
    assert!(X25519::new([7; 32]).dh(&[0; 32], &mut out).is_err());
    assert!(X25519::new([7; 32]).dh(&public(&[8; 32]), &mut out).is_ok());
}

#[test]
fn an_ephemeral_key_is_handed_out_once() {
    let mut source = Ephemeral(Some(Zeroizing::new([5; 32])));
    let mut out = [0; 32];
    assert!(source.try_fill_bytes(&mut out).is_ok());
    assert_eq!(out, [5; 32]);
    assert!(source.try_fill_bytes(&mut out).is_err());
}
