use super::*;

const E0: Epoch = Epoch(100);

fn key(byte: u8) -> Secret {
    Zeroizing::new([byte; 32])
}

fn secrets(side: Side) -> PairSecrets {
    let from = Ingredients {
        hash: &[1; 32],
        split: (&[2; 32], &[3; 32]),
        shared: &[4; 32],
        psk: &[5; 32],
    };
    PairSecrets::derive(&Network::main(), &from, E0, side)
}

#[test]
fn both_sides_derive_the_same_and_mirrored_directions() {
    let (starter, answerer) = (secrets(Side::Starter), secrets(Side::Answerer));
    assert!(
        starter.root == answerer.root
            && starter.s_rec == answerer.s_rec
            && starter.s_rekey == answerer.s_rekey
    );
    assert!(starter.outer_in == answerer.outer_out && starter.outer_out == answerer.outer_in);
    assert!(starter.outer_in != starter.outer_out);
    let root = &starter.root;
    let distinct = [*root.rk0(), *root.ck0(), *starter.s_rec, *starter.s_rekey];
    let [a, b, c] = root.envelope();
    let all: std::collections::BTreeSet<_> = distinct.into_iter().chain([a, b, c]).collect();
    assert_eq!(all.len(), 7);
}

#[test]
fn every_ingredient_counts() {
    let base = secrets(Side::Starter);
    let other = [9; 32];
    let from = |n: usize| {
        let pick = |i: usize, usual: &'static [u8; 32]| if i == n { &[9; 32] } else { usual };
        let from = Ingredients {
            hash: pick(0, &[1; 32]),
            split: (pick(1, &[2; 32]), pick(2, &[3; 32])),
            shared: pick(3, &[4; 32]),
            psk: pick(4, &[5; 32]),
        };
        PairSecrets::derive(&Network::main(), &from, E0, Side::Starter)
    };
    assert_eq!(other, [9; 32]);
    assert!(from(usize::MAX) == base);
    for n in 0..5 {
        let changed = from(n);
        assert!(
            changed.root != base.root
                && changed.s_rec != base.s_rec
                && changed.outer_in != base.outer_in,
            "{n}"
        );
    }
}

#[test]
fn chain_steps_by_the_kdf_and_covers_the_time_before_it() {
    let net = Network::main();
    let chain = OuterChain::new(E0, &key(7));
    let second = kdf32(&net, &key(7), "outer-next", &[]);
    let third = kdf32(&net, &second, "outer-next", &[]);
    let keys = [0, 99, 100, 101, 102].map(|e| chain.key_at(&net, Epoch(e)).unwrap());
    assert_eq!(keys, [key(7), key(7), key(7), second, third]);
    assert_eq!(chain.key_at(&net, Epoch(E0.0 + STEPS_MAX + 1)), None);
}

#[test]
fn advancing_forgets() {
    let net = Network::main();
    let mut chain = OuterChain::new(E0, &key(7));
    let later = chain.key_at(&net, Epoch(110));
    chain.advance(&net, Epoch(90));
    assert!(
        chain.key_at(&net, Epoch(0)).is_some(),
        "advancing to before the start forgets nothing"
    );
    chain.advance(&net, Epoch(u32::MAX));
    assert_eq!(chain.epoch(), E0, "an absurd clock changes nothing");
    chain.advance(&net, Epoch(105));
    assert_eq!(
        (chain.epoch(), chain.key_at(&net, Epoch(104))),
        (Epoch(105), None)
    );
    assert_eq!(chain.key_at(&net, Epoch(110)), later);
    assert_ne!(chain.to_bytes()[6..], *key(7).as_slice());
}

#[test]
fn stored_forms_return_and_refuse_damage() {
    let net = Network::main();
    let mut secrets = secrets(Side::Starter);
    secrets.outer_in.advance(&net, Epoch(130));
    let bytes = secrets.to_bytes();
    assert!(PairSecrets::decode(&bytes).unwrap() == secrets);
    for len in 0..bytes.len() {
        assert!(PairSecrets::decode(&bytes[..len]).is_err());
    }
    assert!(PairSecrets::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    let chain = secrets.outer_in.to_bytes();
    for (at, value) in [(0, 0), (0, 2), (1, 2), (1, 255)] {
        let mut damaged = chain.clone();
        damaged[at] = value;
        assert!(OuterChain::decode(&damaged).is_err(), "{value} at {at}");
    }
}

#[test]
fn debug_output_holds_no_keys() {
    let secrets = secrets(Side::Starter);
    let shown = format!("{secrets:?} {:?} {:?}", secrets.root, secrets.outer_in);
    assert_eq!(
        shown,
        "PairSecrets { .. } SessionRoot { .. } OuterChain { .. }"
    );
}
