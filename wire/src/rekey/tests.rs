use super::*;
use crate::handshake::tests::net;

const EPOCH: Epoch = Epoch(324);

fn secret() -> Secret {
    Secret::new([4; 32])
}

fn offering() -> Offering {
    Offering::from_secrets([1; 16], EPOCH, [2; 32], [3; 32])
}

fn exchange(ours: Rank) -> (Rekeyed, Rekeyed) {
    let (answer, theirs) = offering()
        .offer()
        .answer(net(), &secret(), &[5; 64], ours.other())
        .unwrap();
    let ours = offering().finish(net(), &secret(), &answer, ours).unwrap();
    (ours, theirs)
}

#[test]
fn both_sides_agree() {
    for rank in [Rank::Lower, Rank::Upper] {
        let (ours, theirs) = exchange(rank);
        assert!(
            ours.root == theirs.root && ours.s_rekey == theirs.s_rekey && ours.s_rekey != secret()
        );
        assert!(ours.outer_in == theirs.outer_out && ours.outer_out == theirs.outer_in);
        assert!(ours.outer_in != ours.outer_out && ours.outer_in.epoch() == EPOCH);
    }
    let (lower, upper) = (exchange(Rank::Lower).0, exchange(Rank::Upper).0);
    assert!(
        lower.outer_out == upper.outer_in,
        "directions hang on the rank, not on who offers"
    );
}

#[test]
fn everything_enters_the_secrets() {
    let base = exchange(Rank::Lower).0;
    let run = |offering: Offering, s_rekey: u8, randomness: u8| {
        let s_rekey = Secret::new([s_rekey; 32]);
        let (_, theirs) = offering
            .offer()
            .answer(net(), &s_rekey, &[randomness; 64], Rank::Upper)
            .unwrap();
        theirs.root
    };
    assert!(run(offering(), 4, 5) == base.root);
    let others = [
        run(offering(), 9, 5),
        run(offering(), 4, 9),
        run(
            Offering::from_secrets([9; 16], EPOCH, [2; 32], [3; 32]),
            4,
            5,
        ),
        run(
            Offering::from_secrets([1; 16], Epoch(9), [2; 32], [3; 32]),
            4,
            5,
        ),
        run(
            Offering::from_secrets([1; 16], EPOCH, [9; 32], [3; 32]),
            4,
            5,
        ),
        run(
            Offering::from_secrets([1; 16], EPOCH, [2; 32], [9; 32]),
            4,
            5,
        ),
    ];
    assert!(others.iter().all(|root| *root != base.root));
}

#[test]
fn answers_belong_to_their_offer() {
    let (answer, theirs) = offering()
        .offer()
        .answer(net(), &secret(), &[5; 64], Rank::Lower)
        .unwrap();
    let finish = |offering: &Offering, answer: &Answer| {
        offering.finish(net(), &secret(), answer, Rank::Upper)
    };
    let other = Offering::from_secrets([9; 16], EPOCH, [2; 32], [3; 32]);
    assert_eq!(finish(&other, &answer).err(), Some(RekeyError::OtherOffer));
    let mut changed = answer.clone();
    changed.ct[0] ^= 1;
    assert!(finish(&offering(), &changed).unwrap().root != theirs.root);
    changed.ct[CT_LEN - 32..].fill(0);
    assert_eq!(
        finish(&offering(), &changed).err(),
        Some(RekeyError::Key {
            field: "ciphertext"
        })
    );
}

#[test]
fn keys_of_no_use_are_refused() {
    let answer = |change: &dyn Fn(&mut Offer)| {
        let mut offer = offering().offer();
        change(&mut offer);
        offer.answer(net(), &secret(), &[5; 64], Rank::Lower).err()
    };
    assert_eq!(answer(&|_| {}), None);
    assert_eq!(
        answer(&|offer| offer.ratchet = [0; 32]),
        Some(RekeyError::Key {
            field: "ratchet key"
        })
    );
    assert_eq!(
        answer(&|offer| offer.ek[..3].fill(0xff)),
        Some(RekeyError::Key {
            field: "X-Wing key"
        })
    );
    assert_eq!(
        answer(&|offer| offer.ek[EK_LEN - 32..].fill(0)),
        Some(RekeyError::Key {
            field: "X-Wing key"
        })
    );
}

#[test]
fn bodies_and_stored_forms() {
    let offer = offering().offer();
    let (answer, _) = offer
        .answer(net(), &secret(), &[5; 64], Rank::Lower)
        .unwrap();
    let (a, b, c) = (offer.to_bytes(), answer.to_bytes(), offering().to_bytes());
    assert_eq!((a.len(), b.len()), (16 + 4 + 32 + 1_216, 16 + 1_120));
    assert_eq!(
        (Offer::decode(&a), Answer::decode(&b), Offering::decode(&c)),
        (Ok(offer), Ok(answer), Ok(offering()))
    );
    for len in 0..a.len() {
        assert!(Offer::decode(&a[..len]).is_err());
    }
    for len in 0..b.len() {
        assert!(Answer::decode(&b[..len]).is_err());
    }
    for len in 0..c.len() {
        assert!(Offering::decode(&c[..len]).is_err());
    }
    for bytes in [a, b, c] {
        let longer = [bytes, vec![0]].concat();
        assert!(
            Offer::decode(&longer).is_err()
                && Answer::decode(&longer).is_err()
                && Offering::decode(&longer).is_err()
        );
    }
    assert_eq!(offering().ratchet_secret(), Secret::new([3; 32]));
    assert_eq!(
        format!("{:?} {:?}", offering(), exchange(Rank::Lower).0),
        "Offering { .. } Rekeyed { .. }"
    );
}
