//! Depositing the messages of handshakes and recoveries, which stand outside the session.
//!
//! Their contents are fixed once and stored with the card; only the mailbox, and with it the deposit, changes from epoch
//! to epoch.

use std::collections::BTreeSet;

use hermes_wire::{deposit::Bucket, kdf::Secret, pair::Rank, recovery::outer_key};
use zeroize::Zeroizing;

use super::{
    super::{
        contacts::{Contact, Stage},
        core::Core,
        ids::DepositOp,
    },
    deposit::{Cargo, Purpose, Target, order, remove_deposits},
};

/// Deposits such a message into the mailbox of the current epoch, in place of earlier deposits of it.
pub(crate) fn deposit_opening(
    contact: &mut Contact,
    purpose: Purpose,
    core: &mut Core,
) -> Option<DepositOp> {
    remove_deposits(contact.id, |other| other == purpose, core);
    match purpose {
        Purpose::Handshake1 => deposit_request(contact, core),
        _ => {
            let (content, key) = content(contact, purpose, core)?;
            deposit_at_friend(contact, purpose, &content, &key, core)
        }
    }
}

/// Message 1 of a handshake goes into the invite's mailbox.
fn deposit_request(contact: &Contact, core: &mut Core) -> Option<DepositOp> {
    let Stage::Requested(invitee) = &contact.card.stage else {
        return None;
    };
    let invite = invitee.invite().ok()?;
    let at = invite.mailbox(&core.net, core.epoch())?;
    let target = Target {
        epoch: at.epoch,
        descriptor: &at.descriptor,
        writer: &at.writer,
        outer_key: &invite.outer_key(&core.net),
    };
    order(
        contact.id,
        cargo(Purpose::Handshake1, invitee.msg1()),
        &target,
        core,
    )
}

/// The content of a message for the friend's own mailbox, and the key for its body.
fn content(
    contact: &Contact,
    purpose: Purpose,
    core: &Core,
) -> Option<(Zeroizing<Vec<u8>>, Secret)> {
    let card = &contact.card;
    match (purpose, &card.stage) {
        (
            Purpose::Handshake2,
            Stage::Accepted {
                msg2, answer_key, ..
            },
        ) => Some((Zeroizing::new(msg2.clone()), answer_key.clone())),
        (Purpose::Recovery1, _) => {
            let content = card.recovery.open.as_ref()?.msg1().to_vec();
            Some((Zeroizing::new(content), recovery_key(contact, core)?))
        }
        (Purpose::Recovery2, _) => {
            let content = card.recovery.answered.as_ref()?.content.clone();
            Some((content, recovery_key(contact, core)?))
        }
        _ => None,
    }
}

/// The outer key of what we send in a recovery now.
fn recovery_key(contact: &Contact, core: &Core) -> Option<Secret> {
    let (peer, secrets) = (contact.card.peer.as_ref()?, contact.card.secrets.as_ref()?);
    let ours = Rank::of(&core.me.ik(), &peer.ik);
    Some(outer_key(&core.net, &secrets.s_rec, ours, core.epoch()))
}

fn deposit_at_friend(
    contact: &mut Contact,
    purpose: Purpose,
    content: &[u8],
    outer_key: &Secret,
    core: &mut Core,
) -> Option<DepositOp> {
    let epoch = core.epoch();
    let peer = contact.card.peer.as_ref()?;
    let view = contact
        .views
        .epoch(contact.id, &peer.address, epoch, core)
        .ok()?
        .clone();
    let target = Target {
        epoch,
        descriptor: &view.descriptor,
        writer: view.writer(0)?,
        outer_key,
    };
    order(contact.id, cargo(purpose, content), &target, core)
}

fn cargo(purpose: Purpose, content: &[u8]) -> Cargo<'_> {
    Cargo {
        purpose,
        content,
        bucket: Bucket::Medium,
        frames: BTreeSet::new(),
        round: 0,
        until_s: None,
    }
}
