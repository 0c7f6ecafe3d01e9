//! Invites as texts, and how each kind of bad one is told apart.

use hermes_wire::Network;
use hermes_wire::codec::Wire;
use hermes_wire::ids::{Epoch, IdentityKey, NodeKey};
use hermes_wire::invite::{Entry, Invite, InviteError, InviteTerms, fingerprint};
use hermes_wire::kdf::h;

use super::samples::*;

fn parse(text: &str) -> Result<Invite, InviteError> {
    Invite::parse(text, &net(), NOW)
}

#[test]
fn both_cases_are_read() {
    let (link, qr) = (invite().link(), invite().qr_text());
    assert_eq!(parse(&link), Ok(invite()));
    assert_eq!(parse(&qr), Ok(invite()));
    assert_eq!(*qr, link.to_ascii_uppercase());
    let alphanumeric = qr
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b':');
    assert!(alphanumeric, "a QR code in alphanumeric mode holds it");
}

#[test]
fn no_invites() {
    let link = invite().link();
    let same_length = format!("hermes:{}", "a".repeat(link.len() - 7));
    let no = [
        "",
        "hermes",
        "hello",
        "https://example.org",
        "hermes-sky://x@1.2.3.4:5",
        "hermes:b!d",
        "hermes:ümlaut",
    ];
    for text in no
        .into_iter()
        .chain([same_length.as_str(), &link[7..], &format!(" {}", *link)])
    {
        assert_eq!(parse(text), Err(InviteError::NotAnInvite), "{text}");
    }
}

#[test]
fn truncated_ones() {
    let link = invite().link();
    for len in 7..link.len() {
        assert_eq!(
            parse(&link[..len]),
            Err(InviteError::Truncated),
            "{len} characters"
        );
    }
    let mut typo = link.to_string();
    let last = if typo.remove(60) == 'a' { 'b' } else { 'a' };
    typo.insert(60, last);
    assert_eq!(parse(&typo), Err(InviteError::Truncated));
    assert_eq!(
        parse(&format!("{}aaaaaaaa", *link)),
        Err(InviteError::Truncated)
    );
}

/// The invite's bytes with a change and a check sum that fits.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<Invite, InviteError> {
    let mut bytes = invite().to_bytes().to_vec();
    bytes.truncate(bytes.len() - 4);
    change(&mut bytes);
    let check = h(&[&bytes]);
    bytes.extend_from_slice(&check[..4]);
    Invite::from_bytes(&bytes)
}

#[test]
fn malformed_ones() {
    assert_eq!(changed(|_| ()), Ok(invite()));
    let malformed: [fn(&mut Vec<u8>); 7] = [
        |b| b[5] = 2,
        |b| b[18..50].fill(0),
        |b| b[130] = 0,
        |b| b[130] = 5,
        |b| b[131] = 5,
        |b| b.push(0),
        |b| b.truncate(100),
    ];
    for (i, change) in malformed.into_iter().enumerate() {
        assert!(
            matches!(changed(change), Err(InviteError::Malformed(_))),
            "change {i}"
        );
    }
    assert_eq!(changed(|b| b[3] = 2), Err(InviteError::Newer));
    assert_eq!(changed(|b| b[4] = 2), Err(InviteError::Newer));
    assert_eq!(changed(|b| b[0] = b'X'), Err(InviteError::NotAnInvite));
}

#[test]
fn foreign_ones_and_old_ones() {
    let link = invite().link();
    let (ours, theirs) = (Network::main().id(), net().id());
    assert_eq!(
        Invite::parse(&link, &Network::main(), NOW),
        Err(InviteError::ForeignNetwork { theirs, ours })
    );
    let at = invite().expires_at(&net());
    assert_eq!(Invite::parse(&link, &net(), at - 1), Ok(invite()));
    assert_eq!(
        Invite::parse(&link, &net(), at),
        Err(InviteError::Expired { at })
    );
}

#[test]
fn mailboxes_live_as_long_as_the_invite() {
    let (invite, secrets) = (invite(), secrets());
    let last = invite.last_epoch(&net());
    assert_eq!(last, Epoch(EPOCH.0 + 2));
    for e in EPOCH.0..=last.0 {
        let mailbox = invite.mailbox(&net(), Epoch(e)).unwrap();
        let owner = secrets.owner_key(&net(), &invite, Epoch(e)).unwrap();
        assert_eq!(mailbox.descriptor.owner.0, owner.public());
    }
    for outside in [Epoch(EPOCH.0 - 1), last.next(), Epoch(u32::MAX)] {
        assert_eq!(invite.mailbox(&net(), outside), None);
        assert_eq!(secrets.owner_key(&net(), &invite, outside), None);
    }
    let mut far = invite;
    far.expiry = u32::MAX;
    assert_eq!(
        far.mailbox(&net(), Epoch(EPOCH.0 + 1_000_000)),
        None,
        "absurd epochs cost nothing"
    );
}

#[test]
fn limits_and_fingerprints() {
    let terms = |n| InviteTerms {
        ask: false,
        start_epoch: EPOCH,
        expiry: 1,
        identity: IdentityKey([1; 32]),
        nodes: vec![Entry::new(addr("127.0.0.1:1"), &NODE); n],
    };
    assert!(secrets().invite(&net(), [1; 32], terms(0)).is_none());
    assert!(secrets().invite(&net(), [1; 32], terms(5)).is_none());
    let most = secrets().invite(&net(), [1; 32], terms(4)).unwrap();
    assert_eq!(Invite::from_bytes(&most.to_bytes()).as_ref(), Ok(&most));
    assert_eq!(most.fingerprint, fingerprint(&IdentityKey([1; 32])));
    assert_ne!(most.fingerprint, fingerprint(&IdentityKey([2; 32])));
    assert!(most.nodes()[0].matches(&NODE) && !most.nodes()[0].matches(&NodeKey([0; 32])));
    assert_eq!(
        invite().root,
        hermes_wire::blind::MasterSecret::from_seed(&[0x81; 32])
            .public()
            .to_bytes()
    );
    assert_eq!(
        OWNER.descriptor.to_bytes().len(),
        hermes_wire::mailbox::Descriptor::LEN
    );
}
