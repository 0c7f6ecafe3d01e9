//! Trees and their paths.

use hermes_wire::slots::{Merkle, leaf, node, root_of_path};
use proptest::prelude::*;

#[test]
fn a_tree_by_hand() {
    let keys = [[1; 32], [2; 32], [3; 32]];
    let [a, b, c] = keys.map(|k| leaf(&k));
    let tree = Merkle::of_keys(&keys);
    let (left, right) = (node(&a, &b), node(&c, &[0; 32]));
    assert_eq!(*tree.root(), node(&left, &right));
    assert_eq!(tree.path(2), Some(vec![[0; 32], left]));
    assert_eq!((tree.depth(), tree.path(4)), (2, None));
    assert_eq!(
        (*Merkle::new(vec![a]).root(), Merkle::new(vec![a]).path(0)),
        (a, Some(Vec::new()))
    );
    assert_eq!(*Merkle::new(Vec::new()).root(), [0; 32]);
}

#[test]
fn leaves_are_not_nodes() {
    let (l, r) = ([1; 32], [2; 32]);
    assert_ne!(node(&l, &r), node(&r, &l));
    assert_ne!(leaf(&node(&l, &r)), node(&l, &r));
}

proptest! {
    #[test]
    fn every_path_leads_to_the_root(n in 1..70_usize, wrong in 0..70_u32) {
        let keys: Vec<_> = (0..n).map(|i| [u8::try_from(i).unwrap(); 32]).collect();
        let tree = Merkle::of_keys(&keys);
        for (i, key) in (0..).zip(&keys) {
            let path = tree.path(usize::try_from(i).unwrap()).unwrap();
            prop_assert_eq!(root_of_path(leaf(key), i, &path), *tree.root());
            if wrong != i && wrong >> path.len() == 0 {
                prop_assert_ne!(root_of_path(leaf(key), wrong, &path), *tree.root());
            }
        }
    }
}
