//! Deposits of ours: ordering them, counting their receipts, and making them anew.
//!
//! A deposit is *open* while keepers still have to receive it; its bytes are stored so that it goes on after a restart,
//! byte for byte. It ends when enough keepers gave receipts or the driver has no keeper left to ask. What carries frames
//! is looked at again after `redeposit_s`, and from then on when its receipts run out.

use std::collections::BTreeSet;

use hermes_wire::{
    Wire as _,
    address::Writer,
    deposit::{Bucket, Deposit, Draft},
    ids::{DepositId, Epoch, MailboxId, NodeKey},
    kdf::Secret,
    mailbox::{Descriptor, mailbox_position},
    receipt::Receipt,
};

use super::{
    super::{
        clock::Calendar as _,
        contacts::Contact,
        core::Core,
        effect::Effect,
        event::{SendState, Waiting},
        ids::{ContactId, DepositOp},
        output::Table,
        timers::{ContactTimer, Timer},
    },
    acks::tell,
};
use crate::records;

/// Receipts that are remembered of one deposit; twice the most keepers that can be written to.
const RECEIPTS_MAX: usize = 32;

/// How long to wait before keepers are asked again, at first; doubled with each time.
const RETRY_MS: u64 = 5_000;

/// The longest time between two attempts to find enough keepers.
const RETRY_MS_MAX: u64 = 600_000;

/// When acknowledgements that no keeper took are deposited once more.
const ACKS_AGAIN_MS: u64 = 30_000;

/// What a deposit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Frames, and acknowledgements with them.
    Frames,
    /// Acknowledgements alone.
    Acks,
    /// A word that is said once, in a session that will not be used again.
    Notice,
    /// Message 1 of a handshake.
    Handshake1,
    /// Message 2 of a handshake.
    Handshake2,
    /// Message 1 of a recovery.
    Recovery1,
    /// Message 2 of a recovery.
    Recovery2,
}

/// A deposit of ours that still counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutDeposit {
    pub(crate) contact: ContactId,
    pub(crate) purpose: Purpose,
    pub(crate) mailbox: MailboxId,
    /// Which of the mailbox's two positions it lies at.
    pub(crate) k: u8,
    pub(crate) epoch: Epoch,
    pub(crate) id: DepositId,
    pub(crate) expiry: u32,
    pub(crate) created_ms: u64,
    /// How often its frames had been deposited before; more than once counts as once.
    pub(crate) round: u8,
    /// The unacknowledged frames in it.
    pub(crate) frames: BTreeSet<u64>,
    /// Who holds it.
    pub(crate) receipts: BTreeSet<NodeKey>,
    /// Its bytes, while it is open.
    pub(crate) record: Option<Vec<u8>>,
    /// Whether the driver is at it.
    pub(crate) active: bool,
    /// Attempts that ended with too few receipts.
    pub(crate) failures: u32,
    /// Keepers that say that the mailbox no longer takes it.
    pub(crate) revoked: BTreeSet<NodeKey>,
    /// The number of receipts that was told last.
    pub(crate) told: Option<usize>,
}

/// What goes into a deposit.
pub(crate) struct Cargo<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) content: &'a [u8],
    pub(crate) bucket: Bucket,
    pub(crate) frames: BTreeSet<u64>,
    pub(crate) round: u8,
    /// When the last of its frames expires, in Unix seconds; the network's usual time if absent.
    pub(crate) until_s: Option<u64>,
}

/// Where a deposit goes.
pub(crate) struct Target<'a> {
    pub(crate) epoch: Epoch,
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) writer: &'a Writer,
    pub(crate) outer_key: &'a Secret,
}

/// Seals a deposit, stores it, and has it brought to keepers.
pub(crate) fn order(
    contact: ContactId,
    cargo: Cargo<'_>,
    target: &Target<'_>,
    core: &mut Core,
) -> Option<DepositOp> {
    let usual = core.now.unix_s() + u64::from(core.net.params().expiry_default_s);
    let until = cargo.until_s.map_or(usual, |until| until.min(usual));
    let until = until.max(core.now.unix_s() + 1);
    let draft = Draft {
        descriptor: target.descriptor,
        writer: target.writer,
        expiry: core.net.expiry_stamp(until),
        bucket: cargo.bucket,
    };
    let random = core.random.bytes();
    let built = Deposit::build(&core.net, &draft, target.outer_key, cargo.content, &random);
    let (deposit, located) = built.ok()?;
    let op = core.new_deposit_op();
    let kept = OutDeposit {
        contact,
        purpose: cargo.purpose,
        mailbox: located.mailbox,
        k: cargo.round & 1,
        epoch: target.epoch,
        id: located.id,
        expiry: located.expiry,
        created_ms: core.now.unix_ms,
        round: cargo.round,
        frames: cargo.frames,
        receipts: BTreeSet::new(),
        record: Some(deposit.into_bytes()),
        active: false,
        failures: 0,
        revoked: BTreeSet::new(),
        told: None,
    };
    store_body(op, &kept, core);
    core.deposits.insert(op, kept);
    store(op, core);
    order_again(op, core);
    Some(op)
}

/// Has an open deposit brought to keepers, for the first time or once more.
pub(crate) fn order_again(op: DepositOp, core: &mut Core) {
    let Some(kept) = core.deposits.get_mut(&op) else {
        return;
    };
    let Some(record) = kept.record.clone().filter(|_| !kept.active) else {
        return;
    };
    kept.active = true;
    let (mailbox, k) = (kept.mailbox, kept.k);
    core.out.effect(Effect::Deposit {
        op,
        mailbox,
        position: mailbox_position(&mailbox, k),
        record,
    });
}

/// Takes a receipt; gives whether it counts as a new one.
pub(crate) fn receipt(contact: &mut Contact, op: DepositOp, bytes: &[u8], core: &mut Core) -> bool {
    let Some(kept) = core.deposits.get_mut(&op) else {
        return false;
    };
    let Ok(receipt) = Receipt::decode(bytes) else {
        return false;
    };
    let fits = receipt.about.deposit == kept.id
        && receipt.about.mailbox == kept.mailbox
        && receipt.about.expiry == kept.expiry;
    let known = kept.receipts.contains(&receipt.node) || kept.receipts.len() >= RECEIPTS_MAX;
    if !fits || known || receipt.verify(&core.net).is_err() {
        return false;
    }
    kept.receipts.insert(receipt.node);
    let params = core.net.params();
    if kept.receipts.len() == usize::from(params.acks) {
        tell_kept(contact, op, core);
    } else {
        store(op, core);
    }
    true
}

/// The driver is done with a deposit, or has no keeper left to ask.
pub(crate) fn ended(contact: &mut Contact, op: DepositOp, core: &mut Core) {
    let wanted = usize::from(core.net.params().acks);
    let Some(kept) = core.deposits.get_mut(&op) else {
        return;
    };
    kept.active = false;
    match kept.purpose {
        // Said once; whether it was heard shows in what the friend does next.
        Purpose::Notice => return remove(op, core),
        Purpose::Acks => {
            let heard = !kept.receipts.is_empty();
            remove(op, core);
            if !heard {
                contact.flow.owes_ack = true;
                contact.changed.flow = true;
                let again = core.now.after_ms(ACKS_AGAIN_MS);
                core.timers
                    .set(Timer::Contact(contact.id, ContactTimer::Acknowledge), again);
            }
            return;
        }
        _ => {}
    }
    if kept.receipts.len() >= wanted {
        close(op, core);
        tell_kept(contact, op, core);
        schedule_look(op, core);
        return;
    }
    let doublings = kept.failures.min(10);
    kept.failures = kept.failures.saturating_add(1);
    let wait = (RETRY_MS << doublings).min(RETRY_MS_MAX);
    let wait = wait + core.random.up_to(wait / 4);
    core.timers.set(Timer::Deposit(op), core.now.after_ms(wait));
    tell_short(contact, op, core);
}

/// Tells that enough keepers hold the frames of a deposit, and how many.
fn tell_kept(contact: &Contact, op: DepositOp, core: &mut Core) {
    let Some(kept) = core.deposits.get_mut(&op) else {
        return;
    };
    let receipts = kept.receipts.len();
    let news = kept.told != Some(receipts);
    kept.told = Some(receipts);
    let (frames, expiry) = (kept.frames.clone(), kept.expiry);
    store(op, core);
    if !news {
        return;
    }
    let state = SendState::Kept {
        receipts: count(receipts),
        of: u32::from(core.net.params().copies),
        until_s: core.net.expiry_time(expiry),
    };
    tell_frames(contact, op, &frames, &state, core);
}

/// Tells that too few keepers hold the frames of a deposit.
fn tell_short(contact: &Contact, op: DepositOp, core: &mut Core) {
    let wanted = u32::from(core.net.params().acks);
    let Some(kept) = core.deposits.get_mut(&op) else {
        return;
    };
    let receipts = kept.receipts.len();
    if kept.told == Some(receipts) {
        return;
    }
    kept.told = Some(receipts);
    let frames = kept.frames.clone();
    let why = Some(Waiting::Keepers {
        held_by: count(receipts),
        wanted,
    });
    tell_frames(contact, op, &frames, &SendState::Queued { why }, core);
}

/// Tells the state of those frames whose newest deposit this is.
fn tell_frames(
    contact: &Contact,
    op: DepositOp,
    frames: &BTreeSet<u64>,
    state: &SendState,
    core: &mut Core,
) {
    for seq in frames {
        if let Some(frame) = contact.outbox.get(*seq)
            && frame.deposit == Some(op)
        {
            tell(contact, *seq, frame, state.clone(), core);
        }
    }
}

/// What the timer of a deposit asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing.
    Nothing,
    /// The driver is asked again.
    Retry,
    /// What it carries is deposited anew.
    Anew,
}

/// Decides what is to be done with a deposit whose timer fired.
pub(crate) fn due(op: DepositOp, core: &Core) -> Due {
    let Some(kept) = core.deposits.get(&op) else {
        return Due::Nothing;
    };
    if kept.active {
        return Due::Nothing;
    }
    if has_enough(kept, core) || kept.record.is_none() || is_past(kept, core) {
        Due::Anew
    } else {
        Due::Retry
    }
}

fn has_enough(kept: &OutDeposit, core: &Core) -> bool {
    kept.receipts.len() >= usize::from(core.net.params().acks)
}

/// Whether nobody would take the deposit, or look for it, any more.
fn is_past(kept: &OutDeposit, core: &Core) -> bool {
    let now_s = core.now.unix_s();
    now_s >= core.net.epoch_end(kept.epoch) || now_s >= core.net.expiry_time(kept.expiry)
}

/// Has what a deposit carries deposited anew.
pub(crate) fn anew(contact: &mut Contact, op: DepositOp, core: &mut Core) {
    let Some(kept) = core.deposits.get(&op) else {
        return;
    };
    let purpose = kept.purpose;
    match purpose {
        Purpose::Frames => {
            // A batch that was never kept is not looked upon as deposited.
            let enough = kept.receipts.len() >= usize::from(core.net.params().acks);
            let frames: Vec<u64> = kept.frames.iter().copied().collect();
            let to = if enough {
                &mut contact.reach.again
            } else {
                &mut contact.reach.fresh
            };
            to.extend(frames);
            close(op, core);
        }
        Purpose::Acks | Purpose::Notice => remove(op, core),
        Purpose::Handshake1 | Purpose::Handshake2 | Purpose::Recovery1 | Purpose::Recovery2 => {
            remove(op, core);
            super::deposit_opening(contact, purpose, core);
        }
    }
    core.touch(contact.id);
}

/// Takes a deposit up again that was read from the store.
pub(crate) fn resume(op: DepositOp, core: &mut Core) {
    let Some(kept) = core.deposits.get(&op) else {
        return;
    };
    let open = kept.record.is_some() && !is_past(kept, core);
    let once = matches!(kept.purpose, Purpose::Acks | Purpose::Notice);
    if kept.purpose == Purpose::Frames && kept.frames.is_empty() {
        remove(op, core);
    } else if open {
        order_again(op, core);
    } else if once {
        remove(op, core);
    } else if has_enough(kept, core) {
        schedule_look(op, core);
    } else {
        core.timers.set(Timer::Deposit(op), core.now.mono);
    }
}

/// Sets the time at which a deposit with enough receipts is looked at again.
pub(crate) fn schedule_look(op: DepositOp, core: &mut Core) {
    let Some(kept) = core.deposits.get(&op) else {
        return;
    };
    let redeposit_ms = u64::from(core.net.params().redeposit_s) * 1_000;
    let expiry_ms = core.net.expiry_time(kept.expiry) * 1_000;
    let at_ms = match kept.round {
        0 => (kept.created_ms + redeposit_ms).min(expiry_ms),
        _ => expiry_ms,
    };
    core.timers
        .set(Timer::Deposit(op), core.now.at_unix_ms(at_ms));
}

/// Has a deposit made anew `wait_ms` after it was made, if that is earlier than planned.
pub(crate) fn hurry(op: DepositOp, wait_ms: u64, core: &mut Core) {
    let Some(kept) = core.deposits.get(&op) else {
        return;
    };
    if kept.active || kept.receipts.len() < usize::from(core.net.params().acks) {
        return;
    }
    let at = core.now.at_unix_ms(kept.created_ms + wait_ms);
    core.timers.set_earlier(Timer::Deposit(op), at);
}

/// A frame needs its deposit no more.
pub(crate) fn drop_frame(op: DepositOp, seq: u64, core: &mut Core) {
    let Some(kept) = core.deposits.get_mut(&op) else {
        return;
    };
    kept.frames.remove(&seq);
    if kept.frames.is_empty() {
        remove(op, core);
    }
}

/// Forgets a deposit, and stops bringing it to keepers.
pub(crate) fn remove(op: DepositOp, core: &mut Core) {
    let Some(kept) = core.deposits.remove(&op) else {
        return;
    };
    core.timers.cancel(Timer::Deposit(op));
    let key = records::deposit_key(op);
    core.out.delete(Table::Deposit, key.clone());
    if kept.record.is_some() {
        core.out.delete(Table::DepositBody, key);
    }
    if kept.active {
        core.out.effect(Effect::CancelDeposit { op });
    }
}

/// Forgets all deposits of a contact that serve a purpose.
pub(crate) fn remove_deposits(
    contact: ContactId,
    purpose: impl Fn(Purpose) -> bool,
    core: &mut Core,
) {
    let ops: Vec<DepositOp> = core
        .deposits
        .iter()
        .filter(|(_, kept)| kept.contact == contact && purpose(kept.purpose))
        .map(|(op, _)| *op)
        .collect();
    for op in ops {
        remove(op, core);
    }
}

/// A deposit needs no bytes any more.
fn close(op: DepositOp, core: &mut Core) {
    if let Some(kept) = core.deposits.get_mut(&op)
        && kept.record.take().is_some()
    {
        core.out
            .delete(Table::DepositBody, records::deposit_key(op));
    }
}

fn store(op: DepositOp, core: &mut Core) {
    if let Some(value) = core.deposits.get(&op).map(records::deposit::encode) {
        core.out
            .put(Table::Deposit, records::deposit_key(op), value);
    }
}

fn store_body(op: DepositOp, kept: &OutDeposit, core: &mut Core) {
    if let Some(record) = &kept.record {
        let value = records::deposit::encode_body(record);
        core.out
            .put(Table::DepositBody, records::deposit_key(op), value);
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
