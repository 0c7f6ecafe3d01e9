//! Every decoder against truncations, additions, bit flips and garbage.
//!
//! One property covers them all: bytes are either refused, or they are the one form of what was read, so writing it
//! again gives the same bytes. A decoder that overlooks a byte, takes two forms of one value or forgets a check fails.

use hermes_wire::channel::{ErrorAnswer, ErrorCode, FrameHead};
use hermes_wire::codec::Wire;
use hermes_wire::deposit::{Bucket, Deposit};
use hermes_wire::earth::{self, Arrived, Fetched, FetchedWriter};
use hermes_wire::fuzzing::decode_any;
use hermes_wire::ids::{Position, PresenceKey};
use hermes_wire::invite::Invite;
use hermes_wire::knock::Knock;
use hermes_wire::mailbox::Descriptor;
use hermes_wire::node::{Addr, NodeRecord, Role};
use hermes_wire::receipt::Receipt;
use hermes_wire::{address::FriendAddress, sky};
use proptest::prelude::*;

use super::samples::*;

/// Reads bytes and writes what was read.
type Echo = Box<dyn Fn(&[u8]) -> Option<Vec<u8>>>;

/// A decoder with a name and some bytes that it must take.
struct Subject {
    name: String,
    good: Vec<u8>,
    echo: Echo,
    /// The format ends with "the rest", so other lengths may be right.
    open_end: bool,
}

fn subject(
    name: &str,
    good: Vec<u8>,
    echo: impl Fn(&[u8]) -> Option<Vec<u8>> + 'static,
) -> Subject {
    Subject {
        name: name.to_owned(),
        good,
        echo: Box::new(echo),
        open_end: false,
    }
}

fn plain<T: Wire + 'static>(name: &str, good: &T) -> Subject {
    subject(name, good.to_bytes(), |b| {
        T::decode(b).ok().map(|v| v.to_bytes())
    })
}

fn earth_request(kind: u8, good: &earth::Request<'_>) -> Subject {
    let echo = move |b: &[u8]| {
        let mut out = Vec::new();
        earth::Request::decode(kind, b).ok()?.encode(&mut out);
        Some(out)
    };
    let mut bytes = Vec::new();
    good.encode(&mut bytes);
    Subject {
        open_end: kind == earth::PUT,
        ..subject(&format!("earth request {kind:#x}"), bytes, echo)
    }
}

fn sky_request(good: &sky::Request) -> Subject {
    let kind = good.kind();
    let echo = move |b: &[u8]| Some(encoded(&sky::Request::decode(kind, b).ok()?));
    subject(&format!("sky request {kind:#x}"), encoded(good), echo)
}

fn addresses_and_deposits() -> Vec<Subject> {
    let echo_deposit = |b: &[u8]| Deposit::decode(b).ok().map(Deposit::into_bytes);
    let echo_invite = |b: &[u8]| Invite::from_bytes(b).ok().map(|i| i.to_bytes().to_vec());
    let reload = |b: &[u8]| FriendAddress::reload(b).ok().map(|a| a.to_bytes());
    vec![
        subject("stored address", FRIEND.to_bytes(), reload),
        plain("descriptor", &OWNER.descriptor),
        subject("deposit", deposit(Bucket::Small).into_bytes(), echo_deposit),
        subject(
            "single-key deposit",
            single_deposit().into_bytes(),
            echo_deposit,
        ),
        plain("receipt", &receipts(5)[3]),
        plain("lone receipt", &receipts(1)[0]),
        plain("sky record", &record(Role::Sky)),
        plain("earth record", &record(Role::Earth)),
        plain("knock", &knock(false)),
        plain("probe", &knock(true)),
        plain("IPv4 address", &addr("192.0.2.1:80")),
        plain("IPv6 address", &addr("[2001:db8::9]:80")),
        subject("invite", invite().to_bytes().to_vec(), echo_invite),
    ]
}

fn earth_bodies() -> Vec<Subject> {
    let record = deposit(Bucket::Small).into_bytes();
    let mut fetched = FetchedWriter::new(u32::MAX);
    assert!(fetched.push(3, &record) && fetched.push(9, b"short"));
    let echo_fetched = |b: &[u8]| {
        let read = Fetched::decode(b).ok()?;
        let mut out = FetchedWriter::new(u32::MAX);
        read.items
            .iter()
            .all(|i| out.push(i.seq, i.deposit))
            .then(|| out.finish(read.more))
    };
    let echo_arrived = |b: &[u8]| {
        let mut out = Vec::new();
        Arrived::decode(b).ok()?.encode(&mut out);
        Some(out)
    };
    let mut arrived = Vec::new();
    Arrived {
        handle: 1,
        seq: 2,
        deposit: &record,
    }
    .encode(&mut arrived);
    let fetch = earth::Fetch {
        handle: 1,
        after: 2,
        max_bytes: 3,
    };
    vec![
        earth_request(
            earth::PUT,
            &earth::Request::Put {
                stamp: [1; 16],
                deposit: &record,
            },
        ),
        earth_request(earth::OPEN, &earth::Request::Open(open())),
        earth_request(earth::FETCH, &earth::Request::Fetch(fetch)),
        earth_request(earth::WATCH, &earth::Request::Watch { handle: 1 }),
        earth_request(earth::DELETE, &earth::Request::Delete(delete())),
        earth_request(earth::REVOKE, &earth::Request::Revoke(revoke())),
        earth_request(earth::INFO, &earth::Request::Info),
        subject("answer to FETCH", fetched.finish(true), echo_fetched),
        Subject {
            open_end: true,
            ..subject("ARRIVED", arrived, echo_arrived)
        },
        plain("answer to OPEN", &earth::Opened { handle: 1, head: 2 }),
        plain("answer to DELETE", &earth::Deleted { deleted: 3 }),
        plain(
            "frame head",
            &FrameHead {
                body_len: 7,
                kind: 1,
                id: 2,
            },
        ),
        plain(
            "error",
            &ErrorAnswer::new(ErrorCode::QUOTA)
                .with_text("full")
                .retry_after(3),
        ),
    ]
}

fn sky_bodies() -> Vec<Subject> {
    let incoming = sky::Incoming::from(&knock(false));
    let list = sky::List {
        role: Role::Sky,
        after: NODE,
        max: 9,
    };
    vec![
        sky_request(&sky::Request::Register(register())),
        sky_request(&sky::Request::Unregister(PresenceKey([1; 32]))),
        sky_request(&sky::Request::Knock(Box::new(knock(false)))),
        sky_request(&sky::Request::List(list)),
        sky_request(&sky::Request::Keepers {
            position: Position([1; 32]),
            n: 5,
        }),
        sky_request(&sky::Request::Announce(Box::new(announce()))),
        sky_request(&sky::Request::Spread(spread())),
        sky_request(&sky::Request::Digest),
        sky_request(&sky::Request::Incoming(incoming)),
        sky_request(&sky::Request::Forward {
            hops: 1,
            knock: Box::new(knock(true)),
        }),
        plain("answer to REGISTER", &sky::Registered { lease_s: 600 }),
        plain("absent", &sky::Knocked::Absent),
        plain("answered", &sky::Knocked::Answered(Box::new([5; 512]))),
        plain(
            "answer to LIST",
            &sky::Listed {
                more: true,
                records: vec![record(Role::Earth)],
            },
        ),
        plain(
            "answer to KEEPERS",
            &sky::KeepersFound {
                records: vec![record(Role::Earth)],
            },
        ),
        plain(
            "digests",
            &sky::Digests {
                sky: [1; 32],
                earth: [2; 32],
            },
        ),
        plain("departure", &departure()),
    ]
}

fn subjects() -> Vec<Subject> {
    let mut all = addresses_and_deposits();
    all.extend(earth_bodies());
    all.extend(sky_bodies());
    all
}

impl Subject {
    /// Refused, or the one form of what was read.
    fn check(&self, bytes: &[u8], what: &str) {
        if let Some(echo) = (self.echo)(bytes) {
            assert_eq!(
                echo, bytes,
                "{} takes {what} and writes something else",
                self.name
            );
        }
    }

    fn refuses(&self, bytes: &[u8], what: &str) {
        assert!((self.echo)(bytes).is_none(), "{} takes {what}", self.name);
    }
}

#[test]
fn good_bytes_come_back() {
    for s in subjects() {
        assert_eq!((s.echo)(&s.good).as_ref(), Some(&s.good), "{}", s.name);
    }
}

#[test]
fn truncations_and_additions() {
    for s in subjects() {
        for len in 0..s.good.len() {
            match s.open_end {
                true => s.check(&s.good[..len], "a truncation"),
                false => s.refuses(&s.good[..len], &format!("its first {len} bytes")),
            }
        }
        for added in [vec![0], vec![0xff], vec![0; 32]] {
            let longer = [s.good.as_slice(), &added].concat();
            match s.open_end {
                true => s.check(&longer, "an addition"),
                false => s.refuses(&longer, &format!("{} more bytes", added.len())),
            }
        }
    }
}

#[test]
fn bit_flips() {
    for s in subjects() {
        let mut bytes = s.good.clone();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                s.check(&bytes, &format!("a flip of bit {bit} of byte {at}"));
                bytes[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn splices() {
    let all = subjects();
    for s in &all {
        for other in &all {
            let half = s.good.len() / 2;
            let tail = other.good.get(half..).unwrap_or_default();
            s.check(
                &[&s.good[..half], tail].concat(),
                &format!("the tail of {}", other.name),
            );
            s.check(&other.good, &other.name);
        }
    }
}

#[test]
fn import_of_bundles_is_strict() {
    let good = FRIEND.to_bytes();
    assert_eq!(good.len(), FriendAddress::LEN);
    assert!(FriendAddress::decode(&good).is_ok());
    for len in (0..good.len()).step_by(7) {
        assert!(FriendAddress::decode(&good[..len]).is_err());
    }
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        if let Ok(read) = FriendAddress::decode(&bytes) {
            assert_eq!(read.to_bytes(), bytes);
        }
    }
}

#[test]
fn any_decoder_takes_something() {
    for s in subjects() {
        assert!(decode_any(&s.good) > 0, "{}", s.name);
    }
    assert!(decode_any(invite().link().as_bytes()) > 0);
    assert!(decode_any(record(Role::Sky).uri().unwrap().to_string().as_bytes()) > 0);
}

proptest! {
    #[test]
    fn garbage(bytes in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        for s in subjects_once() {
            s.check(&bytes, "garbage");
        }
        let _ = decode_any(&bytes);
    }

    /// Garbage with a good beginning goes deeper.
    #[test]
    fn garbage_after_a_good_start(which: usize, keep in 0.0..1.0_f64, tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let all = subjects_once();
        let s = &all[which % all.len()];
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short slice")]
        let kept = (s.good.len() as f64 * keep) as usize;
        let bytes = [&s.good[..kept], tail.as_slice()].concat();
        s.check(&bytes, "garbage after a good start");
        let _ = decode_any(&bytes);
    }

    #[test]
    fn texts(text in "\\PC*") {
        let _ = text.parse::<Invite>();
        let _ = text.parse::<hermes_wire::node::NodeUri>();
        let _ = hermes_wire::link::tag_of(&text);
    }

    #[test]
    fn error_texts_are_cut_at_a_character(text in "\\PC{0,300}") {
        let answer = ErrorAnswer::new(ErrorCode::FULL).with_text(&text);
        prop_assert!(answer.text().len() <= 255 && text.starts_with(answer.text()));
        prop_assert!(text.len() > 255 || answer.text() == text);
        prop_assert_eq!(ErrorAnswer::decode(&answer.to_bytes()), Ok(answer));
    }
}

thread_local! {
    static SUBJECTS: &'static [Subject] = Vec::leak(subjects());
}

fn subjects_once() -> &'static [Subject] {
    SUBJECTS.with(|s| *s)
}

#[test]
fn counts_that_bytes_cannot_hold() {
    let many = u16::MAX.to_le_bytes();
    assert!(sky::KeepersFound::decode(&many).is_err());
    assert!(sky::Request::decode(sky::SPREAD, &many).is_err());
    assert!(Fetched::decode(&[0, 0xff, 0xff]).is_err());
    assert!(Receipt::decode(&bytes(&receipts(2)[0])).is_ok());
    assert!(Knock::decode(&[0; Knock::LEN]).is_ok());
    assert!(NodeRecord::decode(&[1; 200]).is_err());
    assert!(Descriptor::decode(&[1; 66]).is_err());
    assert!(Addr::decode(&[4, 127, 0, 0, 1, 0, 0]).is_err(), "port 0");
    let mapped = [&[6; 1][..], &[0; 10], &[0xff; 2], &[127, 0, 0, 1], &[1, 1]].concat();
    assert!(Addr::decode(&mapped).is_err(), "IPv4 in IPv6 form");
}
