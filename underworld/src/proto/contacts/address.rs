//! A friend's new address (protocol section 15.2, kind 0x01).
//!
//! It is signed by the friend's identity key and names us, so that nobody can pass on what was told to somebody else.

use hermes_wire::{Wire as _, address::Bundle, codec::Reader, sign};

use super::Contact;
use crate::proto::core::Core;

/// Takes a new address of a friend.
pub(crate) fn take_address(contact: &mut Contact, body: &[u8], core: &mut Core) {
    let Some(peer) = &contact.card.peer else {
        return;
    };
    let mut r = Reader::new(body);
    let Ok(signed) = r.take(Bundle::LEN + 2) else {
        return;
    };
    let (Ok(sig), Ok(())) = (r.array::<64>(), r.finish()) else {
        return;
    };
    let ours = core.me.ik();
    if sign::verify(
        &core.net,
        peer.ik.as_bytes(),
        "addr-update",
        &[ours.as_ref(), signed],
        &sig,
    )
    .is_err()
    {
        return;
    }
    let Some(Ok(bundle)) = signed.get(..Bundle::LEN).map(Bundle::decode) else {
        return;
    };
    if bundle.generation() <= peer.address.generation() {
        return;
    }
    if let Some(peer) = &mut contact.card.peer {
        peer.address = bundle;
    }
    contact.views.clear(contact.id, core);
    contact.changed.card = true;
    core.touch(contact.id);
}
