//! The machine on a virtual clock.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hermes_wire::Network;
use hermes_wire::ids::{DepositId, MailboxId, OwnerKey};
use hermes_wire::mailbox::{Descriptor, Policy};
use proptest::prelude::*;

use super::admission::Prefix;
use super::*;

const NOW_S: u64 = 1_795_219_200;

struct Rig {
    keeper: Keeper,
    network: Network,
    start: Instant,
    requests: u64,
    writes: Vec<Write>,
    pushes: Vec<(ConnId, u16, u64)>,
}

impl Rig {
    #[expect(clippy::disallowed_methods, reason = "a virtual clock needs a zero")]
    fn with(network: Network, config: Config) -> Self {
        let start = Instant::now();
        Self {
            keeper: Keeper::new(network.clone(), config, start),
            network,
            start,
            requests: 0,
            writes: Vec::new(),
            pushes: Vec::new(),
        }
    }

    fn new() -> Self {
        Self::with(Network::lab(), Config::default())
    }

    fn stamp(&self, ahead_s: u64) -> u32 {
        self.network.expiry_stamp(NOW_S + ahead_s)
    }

    /// Feeds one request, drains the cycle and returns the answer to it.
    fn ask(&mut self, feed: impl FnOnce(&mut Keeper, ReqId)) -> Reply {
        self.requests += 1;
        let req = ReqId(self.requests);
        feed(&mut self.keeper, req);
        let mut replies = self.drain();
        assert_eq!(replies.len(), 1, "one answer a request");
        let (answered, reply) = replies.remove(0);
        assert_eq!(answered, req);
        reply
    }

    fn drain(&mut self) -> Vec<(ReqId, Reply)> {
        let mut replies = Vec::new();
        while let Some(output) = self.keeper.poll_output() {
            match output {
                Output::Write(write) => self.writes.push(write),
                Output::Reply(req, reply) => replies.push((req, reply)),
                Output::Push {
                    conn, handle, seq, ..
                } => self.pushes.push((conn, handle, seq)),
            }
        }
        replies
    }

    fn put(&mut self, mailbox: u8, leaf: u16, id: u32, size: u32) -> Reply {
        let expiry = self.stamp(86_400);
        self.put_until(mailbox, leaf, id, size, expiry)
    }

    fn put_until(&mut self, mailbox: u8, leaf: u16, id: u32, size: u32, expiry: u32) -> Reply {
        let put = a_put(mailbox, leaf, id, size, expiry);
        self.ask(|keeper, req| keeper.handle_put(req, put, NOW_S))
    }

    fn open(&mut self, conn: u64, mailbox: u8) -> u16 {
        match self.ask(|k, req| k.handle_open(req, ConnId(conn), name(mailbox))) {
            Reply::Opened { handle, .. } => handle,
            other => panic!("{other:?}"),
        }
    }

    fn fetch(&mut self, conn: u64, handle: u16, after: u64, bytes: u32) -> (Vec<u64>, bool) {
        match self.ask(|k, req| k.handle_fetch(req, ConnId(conn), handle, after, bytes, NOW_S)) {
            Reply::Page { items, more, .. } => {
                (items.into_iter().map(|(seq, _)| seq).collect(), more)
            }
            other => panic!("{other:?}"),
        }
    }

    /// A second keeper rebuilt from what was written so far.
    fn restarted(&self) -> Keeper {
        let mut disk = Disk::default();
        for write in &self.writes {
            disk.apply(&self.network, write.clone());
        }
        disk.restore(self.network.clone(), self.start)
    }
}

/// What a real disk would hold.
#[derive(Default)]
struct Disk {
    marks: std::collections::BTreeMap<MailboxId, Mark>,
    entries: std::collections::BTreeMap<(MailboxId, u64), (bucket::Bucket, Entry)>,
    tombstones: std::collections::BTreeMap<(MailboxId, DepositId), (bucket::Bucket, u32)>,
}

impl Disk {
    fn apply(&mut self, network: &Network, write: Write) {
        let buckets = bucket::Buckets::of(network);
        match write {
            Write::Deposit {
                bucket,
                mailbox,
                seq,
                entry,
                ..
            } => {
                assert_eq!(bucket, buckets.at(entry.expiry));
                assert!(
                    self.entries
                        .insert((mailbox, seq), (bucket, entry))
                        .is_none(),
                    "a number was reused"
                );
            }
            Write::Remove {
                bucket,
                mailbox,
                seq,
            } => {
                assert_eq!(
                    self.entries.remove(&(mailbox, seq)).map(|e| e.0),
                    Some(bucket)
                );
            }
            Write::Tombstone {
                bucket,
                mailbox,
                id,
                expiry,
            } => {
                self.tombstones.insert((mailbox, id), (bucket, expiry));
            }
            Write::Untomb { mailbox, id, .. } => {
                assert!(self.tombstones.remove(&(mailbox, id)).is_some())
            }
            Write::Mailbox(id, mark) => {
                self.marks.insert(id, mark);
            }
            Write::Forget(id) => assert!(self.marks.remove(&id).is_some()),
            Write::Drop(bucket) => {
                self.entries.retain(|_, (b, _)| *b != bucket);
                self.tombstones.retain(|_, (b, _)| *b != bucket);
            }
        }
    }

    fn restore(&self, network: Network, now: Instant) -> Keeper {
        let mut keeper = Keeper::new(network, Config::default(), now);
        for (id, mark) in &self.marks {
            keeper.restore_mailbox(*id, *mark);
        }
        for ((mailbox, seq), (_, entry)) in &self.entries {
            assert!(keeper.restore_deposit(*mailbox, *seq, *entry));
        }
        for ((mailbox, id), (_, expiry)) in &self.tombstones {
            keeper.restore_tombstone(*mailbox, *id, *expiry);
        }
        keeper
    }
}

fn name(mailbox: u8) -> MailboxId {
    MailboxId([mailbox; 32])
}

fn source() -> Prefix {
    Prefix::of(IpAddr::from([192, 0, 2, 1]))
}

fn descriptor(mailbox: u8) -> Descriptor {
    Descriptor {
        policy: Policy::Slots,
        owner: OwnerKey([mailbox; 32]),
        root: [mailbox; 32],
    }
}

fn deposit_id(id: u32) -> DepositId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&id.to_le_bytes());
    DepositId(bytes)
}

fn a_put(mailbox: u8, leaf: u16, id: u32, size: u32, expiry: u32) -> Put {
    Put {
        source: source(),
        descriptor: descriptor(mailbox),
        mailbox: name(mailbox),
        entry: Entry {
            id: deposit_id(id),
            expiry,
            leaf,
            size,
        },
        record: Bytes::from_static(b"sealed"),
        stamped: 0,
    }
}

fn held(reply: &Reply) -> bool {
    matches!(reply, Reply::Held { .. })
}

#[test]
fn a_deposit_is_written_before_it_is_answered_and_read_in_order() {
    let mut rig = Rig::new();
    for id in 0..5 {
        assert!(held(&rig.put(1, 7, id, 1_436)));
    }
    assert_eq!(
        rig.writes
            .iter()
            .filter(|w| matches!(w, Write::Deposit { .. }))
            .count(),
        5
    );
    let handle = rig.open(1, 1);
    assert_eq!(
        rig.fetch(1, handle, 0, 262_000),
        (vec![1, 2, 3, 4, 5], false)
    );
    assert_eq!(rig.fetch(1, handle, 3, 262_000), (vec![4, 5], false));
    assert_eq!(rig.fetch(1, handle, 0, 3_000), (vec![1, 2], true));
    assert_eq!(rig.fetch(1, handle, 0, 1), (vec![1], true), "at least one");
    assert_eq!(rig.fetch(1, handle, u64::MAX, 9), (vec![], false));
}

#[test]
fn the_same_deposit_again_is_held_once() {
    let mut rig = Rig::new();
    assert_eq!(rig.put(1, 7, 9, 1_436), rig.put(1, 7, 9, 1_436));
    assert_eq!((rig.keeper.deposits(), rig.keeper.bytes()), (1, 1_436));
}

#[test]
fn expiry_must_lie_ahead_and_not_too_far() {
    let mut rig = Rig::new();
    let (past, far) = (rig.stamp(0) - 2, rig.stamp(2_592_000) + 2);
    for expiry in [0, past, far, u32::MAX] {
        assert_eq!(
            rig.put_until(1, 0, 1, 100, expiry),
            Reply::Refused(Refusal::Expiry),
            "{expiry}"
        );
    }
    let longest = rig.stamp(2_592_000);
    assert!(held(&rig.put_until(1, 0, 1, 100, longest)));
}

#[test]
fn a_slot_has_its_count_and_bytes_and_shares_what_lies_beyond_its_reserve() {
    let mut rig = Rig::new();
    for id in 0..1_024 {
        assert!(held(&rig.put(1, 0, id, 100)));
    }
    assert_eq!(
        rig.put(1, 3, 2_000, 100),
        Reply::Refused(Refusal::Quota),
        "sub-slots share the slot's count"
    );
    assert!(
        held(&rig.put(1, 4, 2_001, 100)),
        "the next slot has its own"
    );

    let mut rig = Rig::new();
    assert!(held(&rig.put(1, 0, 0, 1_048_576)));
    assert_eq!(rig.put(1, 0, 1, 1), Reply::Refused(Refusal::Quota));

    // Nine busy slots use up the shared room; a quiet one still has its reserve.
    let mut rig = Rig::new();
    let mut id = 0;
    for slot in 0..64u16 {
        while held(&rig.put(1, slot * 4, id, 65_536)) {
            id += 1;
        }
    }
    let reserve = 64 * 131_072;
    assert_eq!(rig.keeper.bytes(), reserve + 8_388_608);
}

#[test]
fn deleting_frees_room_and_is_remembered() {
    let mut rig = Rig::new();
    assert!(held(&rig.put(1, 0, 1, 1_048_576)));
    assert_eq!(
        rig.ask(|k, r| k.handle_delete(r, name(1), &[deposit_id(1), deposit_id(2)])),
        Reply::Deleted(1)
    );
    assert_eq!(
        rig.ask(|k, r| k.handle_delete(r, name(1), &[deposit_id(1)])),
        Reply::Deleted(0)
    );
    assert_eq!(rig.put(1, 0, 1, 100), Reply::Refused(Refusal::Deleted));
    assert!(held(&rig.put(1, 0, 3, 1_048_576)));
    let handle = rig.open(1, 1);
    assert_eq!(
        rig.fetch(1, handle, 0, 262_000),
        (vec![2], false),
        "numbers are not reused"
    );
}

#[test]
fn tombstones_of_a_mailbox_are_bounded() {
    let mut rig = Rig::new();
    for id in 0..65_537 {
        assert!(held(&rig.put(1, 0, id, 10)));
        let _ = rig.ask(|k, r| k.handle_delete(r, name(1), &[deposit_id(id)]));
    }
    assert_eq!(
        rig.writes
            .iter()
            .filter(|w| matches!(w, Write::Untomb { .. }))
            .count(),
        2
    );
}

#[test]
fn a_revoked_slot_is_emptied_and_stays_shut() {
    let mut rig = Rig::new();
    assert!(
        held(&rig.put(1, 20, 1, 100))
            && held(&rig.put(1, 23, 2, 100))
            && held(&rig.put(1, 24, 3, 100))
    );
    let revocation = Revocation {
        source: source(),
        descriptor: descriptor(1),
        mailbox: name(1),
        first: 20,
        end: 24,
    };
    assert_eq!(
        rig.ask(|k, r| k.handle_revoke(r, revocation, NOW_S)),
        Reply::Revoked
    );
    assert_eq!(rig.keeper.deposits(), 1);
    assert_eq!(rig.put(1, 21, 4, 100), Reply::Refused(Refusal::Revoked));
    let mut keeper = rig.restarted();
    keeper.handle_put(ReqId(1), a_put(1, 22, 5, 100, rig.stamp(3_600)), NOW_S);
    assert_eq!(
        keeper.poll_output(),
        Some(Output::Reply(ReqId(1), Reply::Refused(Refusal::Revoked)))
    );
}

#[test]
fn an_empty_mailbox_can_be_revoked() {
    let mut rig = Rig::new();
    let revocation = Revocation {
        source: source(),
        descriptor: descriptor(9),
        mailbox: name(9),
        first: 0,
        end: 1,
    };
    assert_eq!(
        rig.ask(|k, r| k.handle_revoke(r, revocation, NOW_S)),
        Reply::Revoked
    );
    assert_eq!(rig.put(9, 0, 1, 100), Reply::Refused(Refusal::Revoked));
}

#[test]
fn a_prefix_opens_only_so_many_mailboxes_an_hour() {
    let mut rig = Rig::with(Network::main(), Config::default());
    for mailbox in 0..64 {
        assert!(held(&rig.put(mailbox, 0, mailbox.into(), 100)));
    }
    assert!(matches!(
        rig.put(64, 0, 64, 100),
        Reply::Refused(Refusal::Rate {
            retry_after_s: 1..=3_600
        })
    ));
    assert!(
        held(&rig.put(63, 0, 65, 100)),
        "known mailboxes are not counted"
    );
}

#[test]
fn a_full_keeper_asks_for_stamps_and_then_refuses() {
    let config = Config {
        bytes_max: 10_000,
        stamp_from_percent: 80,
        ..Config::default()
    };
    let mut rig = Rig::with(Network::lab(), config);
    assert!(held(&rig.put(1, 0, 1, 7_900)));
    assert!(held(&rig.put(1, 0, 2, 100)), "below the threshold");
    assert_eq!(
        rig.put(1, 0, 3, 100),
        Reply::Refused(Refusal::Stamp { bits: 18 })
    );
    let expiry = rig.stamp(86_400);
    let stamped = Put {
        stamped: 18,
        ..a_put(1, 0, 3, 1_500, expiry)
    };
    assert!(held(&rig.ask(|k, r| k.handle_put(r, stamped, NOW_S))));
    assert_eq!(
        rig.put(1, 0, 4, 100),
        Reply::Refused(Refusal::Stamp { bits: 22 })
    );
    let stamped = Put {
        stamped: 24,
        ..a_put(1, 0, 4, 600, expiry)
    };
    assert_eq!(
        rig.ask(|k, r| k.handle_put(r, stamped, NOW_S)),
        Reply::Refused(Refusal::Full)
    );

    let config = Config {
        mailboxes_max: 1,
        ..Config::default()
    };
    let mut rig = Rig::with(Network::lab(), config);
    assert!(held(&rig.put(1, 0, 1, 10)));
    assert_eq!(rig.put(2, 0, 2, 10), Reply::Refused(Refusal::Full));
}

#[test]
fn what_arrives_is_pushed_to_whoever_watches() {
    let mut rig = Rig::new();
    let handle = rig.open(5, 1);
    assert_eq!(
        rig.ask(|k, r| k.handle_watch(r, ConnId(5), handle)),
        Reply::Watching
    );
    assert_eq!(
        rig.ask(|k, r| k.handle_watch(r, ConnId(5), handle + 1)),
        Reply::Refused(Refusal::Handle)
    );
    assert_eq!(
        rig.ask(|k, r| k.handle_watch(r, ConnId(6), handle)),
        Reply::Refused(Refusal::Handle)
    );
    assert!(held(&rig.put(1, 0, 1, 10)) && held(&rig.put(2, 0, 2, 10)));
    assert_eq!(rig.pushes, [(ConnId(5), handle, 1)]);
    rig.keeper.handle_closed(ConnId(5));
    assert!(held(&rig.put(1, 0, 3, 10)));
    assert_eq!(rig.pushes.len(), 1);
}

#[test]
fn handles_of_a_connection_are_bounded_and_its_own() {
    let mut rig = Rig::new();
    for mailbox in 0..64 {
        assert_eq!(rig.open(1, mailbox), u16::from(mailbox) + 1);
    }
    assert_eq!(rig.open(1, 0), 1, "opening again gives the same handle");
    assert_eq!(
        rig.ask(|k, r| k.handle_open(r, ConnId(1), name(64))),
        Reply::Refused(Refusal::Handle)
    );
    assert_eq!(
        rig.ask(|k, r| k.handle_fetch(r, ConnId(2), 1, 0, 10, NOW_S)),
        Reply::Refused(Refusal::Handle),
        "another connection has not proved ownership"
    );
}

#[test]
fn buckets_go_when_their_time_has_come() {
    let mut rig = Rig::new();
    let (soon, late) = (rig.stamp(3_600), rig.stamp(2_000_000));
    assert!(held(&rig.put_until(1, 0, 1, 100, soon)) && held(&rig.put_until(2, 0, 2, 100, soon)));
    assert!(held(&rig.put_until(2, 0, 3, 100, late)));
    let (when, _) = rig.keeper.poll_timeout().unwrap();
    rig.keeper.handle_timeout(when, NOW_S + 1_000);
    assert_eq!(rig.keeper.deposits(), 3);

    let week = rig.start + Duration::from_secs(604_800);
    rig.keeper.handle_timeout(week, NOW_S + 604_800);
    assert!(rig.drain().is_empty());
    assert_eq!(
        (
            rig.keeper.deposits(),
            rig.keeper.bytes(),
            rig.keeper.mailboxes()
        ),
        (1, 100, 1)
    );
    assert!(rig.writes.contains(&Write::Forget(name(1))));
    assert_eq!(
        rig.writes
            .iter()
            .filter(|w| matches!(w, Write::Drop(_)))
            .count(),
        1
    );
    assert_eq!(rig.restarted().deposits(), 1);
}

#[test]
fn an_expired_deposit_is_not_served_while_its_bucket_waits() {
    let mut rig = Rig::new();
    let soon = rig.stamp(3_600);
    assert!(held(&rig.put_until(1, 0, 1, 100, soon)));
    let handle = rig.open(1, 1);
    let reply = rig.ask(|k, r| k.handle_fetch(r, ConnId(1), handle, 0, 1_000, NOW_S + 3 * 3_600));
    assert!(matches!(reply, Reply::Page { items, .. } if items.is_empty()));
}

#[derive(Debug, Clone)]
enum Op {
    Put {
        mailbox: u8,
        leaf: u16,
        id: u32,
        size: u32,
        ahead_h: u64,
    },
    Delete {
        mailbox: u8,
        id: u32,
    },
    Revoke {
        mailbox: u8,
        slot: u16,
    },
    Pass {
        hours: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..3u8, 0..256u16, 0..40u32, prop_oneof![Just(1_436u32), Just(65_948)], 1..700u64)
            .prop_map(|(mailbox, leaf, id, size, ahead_h)| Op::Put { mailbox, leaf, id, size, ahead_h }),
        3 => (0..3u8, 0..40u32).prop_map(|(mailbox, id)| Op::Delete { mailbox, id }),
        1 => (0..3u8, 0..64u16).prop_map(|(mailbox, slot)| Op::Revoke { mailbox, slot }),
        2 => (1..200u64).prop_map(|hours| Op::Pass { hours }),
    ]
}

proptest! {
    /// Whatever happens, the disk tells the same as the memory: counts, bytes, numbers, deletions.
    #[test]
    fn a_restart_changes_nothing(ops in proptest::collection::vec(op(), 1..120)) {
        let mut rig = Rig::new();
        let mut hours = 0;
        for op in ops {
            let unix_s = NOW_S + hours * 3_600;
            match op {
                Op::Put { mailbox, leaf, id, size, ahead_h } => {
                    let expiry = rig.network.expiry_stamp(unix_s + ahead_h * 3_600);
                    let put = a_put(mailbox, leaf, id, size, expiry);
                    let _ = rig.ask(|k, r| k.handle_put(r, put, unix_s));
                }
                Op::Delete { mailbox, id } => {
                    let _ = rig.ask(|k, r| k.handle_delete(r, name(mailbox), &[deposit_id(id)]));
                }
                Op::Revoke { mailbox, slot } => {
                    let r = Revocation { source: source(), descriptor: descriptor(mailbox), mailbox: name(mailbox), first: slot * 4, end: slot * 4 + 4 };
                    let _ = rig.ask(|k, q| k.handle_revoke(q, r, unix_s));
                }
                Op::Pass { hours: h } => {
                    hours += h;
                    let now = rig.start + Duration::from_secs(hours * 3_600);
                    rig.keeper.handle_timeout(now, NOW_S + hours * 3_600);
                    prop_assert!(rig.drain().is_empty());
                }
            }
            let mut again = rig.restarted();
            prop_assert_eq!(again.deposits(), rig.keeper.deposits());
            prop_assert_eq!(again.bytes(), rig.keeper.bytes());
            prop_assert_eq!(again.mailboxes(), rig.keeper.mailboxes());
            for mailbox in 0..3 {
                for keeper in [&mut again, &mut rig.keeper] {
                    keeper.handle_open(ReqId(0), ConnId(77), name(mailbox));
                    keeper.handle_fetch(ReqId(0), ConnId(77), u16::from(mailbox) + 1, 0, u32::MAX, NOW_S + hours * 3_600);
                }
                prop_assert_eq!(again.poll_output(), rig.keeper.poll_output());
                prop_assert_eq!(again.poll_output(), rig.keeper.poll_output());
            }
            prop_assert_eq!(rig.keeper.poll_output(), None);
        }
    }
}
