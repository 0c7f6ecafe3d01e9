//! Deposits, their bodies, and the answers that carry many of them.

use hermes_wire::codec::Wire;
use hermes_wire::deposit::{
    Bucket, BuildError, Deposit, DepositRef, Draft, HEAD_LEN, MAX_RECORD, MIN_RECORD,
};
use hermes_wire::earth::{
    Delete, Fetched, FetchedWriter, ITEM_HEAD, MAX_DELETE, MAX_FETCH_BYTES, Request, Revoke,
};
use hermes_wire::ids::DepositId;
use hermes_wire::kdf;
use hermes_wire::mailbox::Policy;
use hermes_wire::outer::{OuterError, open_body};
use hermes_wire::receipt::{MAX_DEPTH, ReceiptBatch, Receipted};
use proptest::prelude::*;

use super::samples::*;

fn draft(bucket: Bucket) -> Draft<'static> {
    Draft {
        descriptor: &VIEW.descriptor,
        writer: VIEW.writer(0).unwrap(),
        expiry: 8_000,
        bucket,
    }
}

#[test]
fn sizes_of_the_specification() {
    let sizes = Bucket::ALL.map(|b| b.record_len(Policy::Slots));
    assert_eq!(sizes, [1_436, 4_508, 16_796, MAX_RECORD]);
    assert_eq!(
        Bucket::ALL.map(|b| b.record_len(Policy::Single)),
        sizes.map(|s| s - 256)
    );
    assert_eq!(single_deposit().as_bytes().len(), MIN_RECORD);
    for bucket in Bucket::ALL {
        let (made, located) =
            Deposit::build(&net(), &draft(bucket), &OUTER, b"", &[1; 32]).unwrap();
        assert_eq!(made.as_bytes().len(), bucket.record_len(Policy::Slots));
        assert_eq!(located.record_len, made.as_bytes().len());
        assert_eq!(located.slot, Some(slot(5)));
    }
}

#[test]
fn what_fits() {
    assert_eq!(Bucket::fitting(0), Some(Bucket::Small));
    for pair in Bucket::ALL.windows(2) {
        assert_eq!(Bucket::fitting(pair[0].max_content()), Some(pair[0]));
        assert_eq!(Bucket::fitting(pair[0].max_content() + 1), Some(pair[1]));
    }
    assert_eq!(Bucket::fitting(Bucket::Huge.max_content() + 1), None);
    let long = vec![1; Bucket::Small.max_content() + 1];
    let refused = Deposit::build(&net(), &draft(Bucket::Small), &OUTER, &long, &[1; 32]);
    assert_eq!(
        refused.unwrap_err(),
        BuildError::TooLong { len: 991, max: 990 }
    );
    assert!(Deposit::build(&net(), &draft(Bucket::Small), &OUTER, &long[1..], &[1; 32]).is_ok());
}

#[test]
fn writers_write_where_they_belong() {
    let elsewhere = invite().mailbox(&net(), EPOCH).unwrap();
    let wrong = Draft {
        writer: &elsewhere.writer,
        ..draft(Bucket::Small)
    };
    assert_eq!(
        Deposit::build(&net(), &wrong, &OUTER, b"", &[1; 32]).unwrap_err(),
        BuildError::ForeignWriter
    );
    let mut writer = VIEW.writer(0).unwrap().clone();
    writer.leaf += 1;
    let wrong = Draft {
        writer: &writer,
        ..draft(Bucket::Small)
    };
    assert_eq!(
        Deposit::build(&net(), &wrong, &OUTER, b"", &[1; 32]).unwrap_err(),
        BuildError::ForeignWriter
    );
}

#[test]
fn the_body_opens_with_the_committed_key_only() {
    let made = deposit(Bucket::Small);
    let read = DepositRef::parse(made.as_bytes()).unwrap();
    let other = [1; 32];
    assert_eq!(
        read.open(&net(), &[&other, &other, &other, &OUTER])
            .unwrap(),
        (3, b"content".to_vec().into())
    );
    assert_eq!(
        read.open(&net(), &[&other, &other, &other, &other, &OUTER]),
        Err(OuterError::NoKey),
        "four at most"
    );
    assert_eq!(read.open(&net(), &[]), Err(OuterError::NoKey));
    assert_eq!(
        read.open(&hermes_wire::Network::main(), &[&OUTER]),
        Err(OuterError::NoKey)
    );
}

#[test]
fn a_changed_body_or_head_does_not_open() {
    let made = deposit(Bucket::Small).into_bytes();
    let head: [u8; HEAD_LEN] = made[..HEAD_LEN].try_into().unwrap();
    let body = &made[HEAD_LEN + 256..made.len() - 64];
    assert!(open_body(&net(), &[&OUTER], &head, body).is_ok());
    for at in 0..body.len() {
        let mut changed = body.to_vec();
        changed[at] ^= 1;
        let expected = if at < 16 {
            OuterError::NoKey
        } else {
            OuterError::Damaged
        };
        assert_eq!(open_body(&net(), &[&OUTER], &head, &changed), Err(expected));
    }
    for at in 0..HEAD_LEN {
        let mut changed = head;
        changed[at] ^= 1;
        assert_eq!(
            open_body(&net(), &[&OUTER], &changed, body),
            Err(OuterError::NoKey)
        );
    }
    for len in 0..40 {
        assert!(open_body(&net(), &[&OUTER], &head, &body[..len]).is_err());
    }
}

#[test]
fn heads_are_strict() {
    let refused = |good: &Deposit, at: usize, value: u8| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = value;
        assert!(DepositRef::parse(&bytes).is_err(), "byte {at} = {value}");
    };
    let (slots, single) = (deposit(Bucket::Small), single_deposit());
    for value in (0..=u8::MAX).filter(|v| *v != 1) {
        refused(&slots, 0, value);
        refused(&slots, 1, value);
        refused(&slots, 2, value);
    }
    for value in (0..=u8::MAX).filter(|v| *v != 8) {
        refused(&slots, 3, value);
    }
    for value in 1..=u8::MAX {
        refused(&slots, 73, value);
        refused(&slots, 74, value);
        refused(&slots, 75, value);
        refused(&single, 3, value);
        refused(&single, 72, value);
    }
}

/// The body's plaintext as somebody else might make it, sealed under the right key.
fn body_of(head: &[u8; HEAD_LEN], plain: &[u8]) -> Vec<u8> {
    let ko = kdf::kdf::<48>(
        &net(),
        &OUTER,
        "outer-msg",
        &[&head[76..], &kdf::h(&[head])],
    );
    let (k, commit) = ko.split_at(32);
    [commit, &kdf::seal(k.try_into().unwrap(), head, plain)].concat()
}

#[test]
fn insides_of_bodies_are_strict() {
    let head = [7; HEAD_LEN];
    let open = |plain: &[u8]| {
        open_body(&net(), &[&OUTER], &head, &body_of(&head, plain)).map(|(_, c)| c.to_vec())
    };
    assert_eq!(open(&[2, 0, 8, 9, 0, 0]), Ok(vec![8, 9]));
    assert_eq!(open(&[4, 0, 8, 9, 0, 0]), Ok(vec![8, 9, 0, 0]));
    assert_eq!(
        open(&[2, 0, 8, 9, 0, 1]),
        Err(OuterError::Damaged),
        "padding"
    );
    assert_eq!(
        open(&[5, 0, 8, 9, 0, 0]),
        Err(OuterError::Damaged),
        "too long"
    );
    assert_eq!(open(&[0, 0]), Ok(Vec::new()));
    assert_eq!(open(&[0]), Err(OuterError::Damaged));
}

#[test]
fn randomness_that_repeats_does_not_repeat_keys() {
    let make = |content: &[u8]| {
        Deposit::build(&net(), &draft(Bucket::Small), &OUTER, content, &[1; 32])
            .unwrap()
            .0
    };
    let (one, two) = (make(b"one"), make(b"two"));
    assert_ne!(
        one.as_bytes()[76..92],
        two.as_bytes()[76..92],
        "deposit nonces"
    );
    assert_eq!(make(b"one"), one);
}

#[test]
fn answers_keep_to_their_size() {
    let small = deposit(Bucket::Small).into_bytes();
    let size = ITEM_HEAD + small.len();
    let mut answer = FetchedWriter::new(u32::try_from(3 * size).unwrap());
    let fitted = (0..9).take_while(|seq| answer.push(*seq, &small)).count();
    assert_eq!(fitted, 3);
    let body = answer.finish(true);
    let read = Fetched::decode(&body).unwrap();
    assert!(read.more);
    assert_eq!(
        read.items.iter().map(|i| i.seq).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(read.items.iter().all(|i| i.deposit == small));

    let mut one = FetchedWriter::new(0);
    assert!(one.push(1, &small), "one always fits");
    assert!(!one.push(2, &small));

    let mut full = FetchedWriter::new(u32::MAX);
    while full.push(1, &single_deposit().into_bytes()) {}
    let body = full.finish(false);
    assert!(body.len() <= MAX_FETCH_BYTES + 3 && body.len() <= hermes_wire::channel::MAX_BODY);
    let mut empty = FetchedWriter::new(u32::MAX);
    assert!(
        !empty.push(1, &vec![0; MAX_RECORD + 1]),
        "longer than any record"
    );
}

#[test]
fn orders_have_limits() {
    let ids = |n| vec![DepositId([1; 32]); n];
    let delete = |n| Delete::sign(&net(), &OWNER.key, OWNER.descriptor, [1; 16], ids(n));
    assert!(delete(0).is_none() && delete(MAX_DELETE + 1).is_none());
    let most = delete(MAX_DELETE).unwrap();
    assert_eq!(Delete::decode(&most.to_bytes()).as_ref(), Ok(&most));
    assert_eq!(most.ids().len(), MAX_DELETE);

    let revoke = |leaves| Revoke::sign(&net(), &OWNER.key, OWNER.descriptor, [1; 16], leaves);
    #[allow(clippy::reversed_empty_ranges, reason = "that is the point")]
    let bad = [0..0, 5..4, 0..257];
    assert!(bad.into_iter().all(|leaves| revoke(leaves).is_none()));
    assert_eq!(revoke(0..256).unwrap().leaves(), 0..256);

    // What our own signing refuses is refused from others, too.
    for (first, end) in [(5_u16, 5_u16), (5, 4), (0, 257), (256, 257)] {
        let mut order = revoke(0..256).unwrap().to_bytes();
        order[82..84].copy_from_slice(&first.to_le_bytes());
        order[84..86].copy_from_slice(&end.to_le_bytes());
        assert!(Revoke::decode(&order).is_err(), "{first}..{end}");
    }
    let mut empty = delete(1).unwrap().to_bytes();
    empty[82..84].fill(0);
    empty.drain(84..116);
    assert!(Delete::decode(&empty).is_err());

    let long = vec![0; 16 + MAX_RECORD + 1];
    assert!(Request::decode(hermes_wire::earth::PUT, &long).is_err());
    assert!(Request::decode(hermes_wire::earth::PUT, &long[1..]).is_ok());
}

#[test]
fn large_batches_are_cut() {
    let about = Receipted {
        deposit: DepositId([1; 32]),
        mailbox: OWNER.mailbox,
        expiry: 1,
    };
    let items = vec![about; (1 << MAX_DEPTH) + 3];
    let receipts = ReceiptBatch::sign(&net(), &node_key(), NOW, &items);
    assert_eq!(receipts.len(), items.len());
    let (first, last) = (&receipts[1 << (MAX_DEPTH - 1)], receipts.last().unwrap());
    assert_eq!(
        (first.path.len(), last.path.len(), last.index),
        (MAX_DEPTH, 2, 2)
    );
    assert_eq!(
        (first.verify(&net()), last.verify(&net())),
        (Ok(()), Ok(()))
    );
    assert_ne!(first.sig, last.sig);
    assert!(ReceiptBatch::sign(&net(), &node_key(), NOW, &[]).is_empty());
}

proptest! {
    #[test]
    fn contents_come_back(content in proptest::collection::vec(any::<u8>(), 0..4_000), random: [u8; 32], key: [u8; 32], j in 0..4_usize) {
        let bucket = Bucket::fitting(content.len()).unwrap();
        let draft = Draft { descriptor: &OWNER.descriptor, writer: VIEW.writer(j).unwrap(), expiry: 1, bucket };
        let (made, located) = Deposit::build(&net(), &draft, &key, &content, &random).unwrap();
        let read = DepositRef::parse(made.as_bytes()).unwrap();
        prop_assert_eq!(read.verify(&net()).map(|v| *v), Ok(located));
        prop_assert_eq!(read.locate(&net()), located);
        prop_assert_eq!(located.mailbox, OWNER.mailbox);
        prop_assert_eq!(located.descriptor, OWNER.descriptor);
        prop_assert_eq!(read.open(&net(), &[&key]), Ok((0, content.into())));
        prop_assert_eq!(Deposit::decode(made.as_bytes()), Ok(made));
    }

    #[test]
    fn receipts_of_any_batch(n in 1..40_u8, time: u64) {
        let items: Vec<_> = (0..n).map(|i| Receipted { deposit: DepositId([i; 32]), mailbox: OWNER.mailbox, expiry: i.into() }).collect();
        let receipts = ReceiptBatch::sign(&net(), &node_key(), time, &items);
        prop_assert_eq!(receipts.len(), items.len());
        for (receipt, item) in receipts.iter().zip(&items) {
            prop_assert_eq!(receipt.about, *item);
            prop_assert_eq!(receipt.verify(&net()), Ok(()));
        }
    }
}
