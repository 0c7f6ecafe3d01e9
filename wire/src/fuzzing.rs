//! One entry for fuzzers and garbage tests: every decoder at once.

use crate::address::FriendAddress;
use crate::channel::{ErrorAnswer, FrameHead};
use crate::codec::Wire;
use crate::content::Content;
use crate::deposit::DepositRef;
use crate::handshake::{self, Devices, Invitee};
use crate::invite::Invite;
use crate::knock::Knock;
use crate::mailbox::Descriptor;
use crate::node::{Addr, NodeRecord, NodeUri};
use crate::packet::{AckRanges, AddressUpdate, Body, FrameKind, Packet};
use crate::pair::PairSecrets;
use crate::receipt::Receipt;
use crate::recovery::{self, Counters, Starter};
use crate::rekey::{self, Offering};
use crate::{earth, link, sky};

/// Feeds `bytes` to every decoder of this crate; none of them may panic. Says how many accepted it.
#[must_use]
pub fn decode_any(bytes: &[u8]) -> usize {
    let mut accepted = [
        FriendAddress::decode(bytes).is_ok(),
        Addr::decode(bytes).is_ok(),
        Descriptor::decode(bytes).is_ok(),
        DepositRef::parse(bytes).is_ok(),
        Receipt::decode(bytes).is_ok(),
        NodeRecord::decode(bytes).is_ok(),
        Knock::decode(bytes).is_ok(),
        Invite::from_bytes(bytes).is_ok(),
        FrameHead::decode(bytes).is_ok(),
        ErrorAnswer::decode(bytes).is_ok(),
        earth::Opened::decode(bytes).is_ok(),
        earth::Fetched::decode(bytes).is_ok(),
        earth::Arrived::decode(bytes).is_ok(),
        sky::Registered::decode(bytes).is_ok(),
        sky::Knocked::decode(bytes).is_ok(),
        sky::Listed::decode(bytes).is_ok(),
        sky::KeepersFound::decode(bytes).is_ok(),
        sky::Digests::decode(bytes).is_ok(),
        sky::Departure::decode(bytes).is_ok(),
        Content::parse(bytes).is_ok(),
        Packet::decode(bytes).is_ok(),
        AckRanges::decode(bytes).is_ok(),
        AddressUpdate::decode(bytes).is_ok(),
        Devices::decode(bytes).is_ok(),
        rekey::Offer::decode(bytes).is_ok(),
        rekey::Answer::decode(bytes).is_ok(),
        Offering::decode(bytes).is_ok(),
        Invitee::decode(bytes).is_ok(),
        handshake::Approval::decode(bytes).is_ok(),
        Starter::decode(bytes).is_ok(),
        recovery::Approval::decode(bytes).is_ok(),
        Counters::decode(bytes).is_ok(),
        PairSecrets::decode(bytes).is_ok(),
    ]
    .into_iter()
    .filter(|ok| *ok)
    .count();
    for kind in 0..=u8::MAX {
        accepted += usize::from(earth::Request::decode(kind, bytes).is_ok());
        accepted += usize::from(sky::Request::decode(kind, bytes).is_ok());
        accepted += usize::from(Body::parse(FrameKind::from(kind), bytes).is_ok());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        accepted += usize::from(text.parse::<Invite>().is_ok());
        accepted += usize::from(text.parse::<NodeUri>().is_ok());
        accepted += usize::from(link::tag_of(text).is_some());
    }
    accepted
}
