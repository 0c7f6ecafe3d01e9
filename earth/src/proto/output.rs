//! What the keeper asks of its driver.

use bytes::Bytes;
use hermes_wire::ids::{DepositId, MailboxId};
use hermes_wire::mailbox::Descriptor;

use super::admission::Prefix;
use super::bucket::Bucket;

/// A connection, as the driver numbers them; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A request, as the driver numbers them; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReqId(pub u64);

/// What the index holds of a deposit, and what stands beside it on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub id: DepositId,
    /// When it expires, in the network's units.
    pub expiry: u32,
    /// The leaf that wrote it.
    pub leaf: u16,
    /// Bytes of the whole record.
    pub size: u32,
}

/// What the index holds of a mailbox beside its deposits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// All that defines it.
    pub descriptor: Descriptor,
    /// The highest sequence number given.
    pub head: u64,
    /// The expiry stamp after which nothing of it is left.
    pub until: u32,
    /// Revoked leaves, bit n of word n / 64 for leaf n.
    pub revoked: [u64; 4],
}

/// A deposit that arrives, checked for signature and path.
#[derive(Debug, Clone)]
pub struct Put {
    /// Where it comes from.
    pub source: Prefix,
    /// The mailbox, as the deposit defines it.
    pub descriptor: Descriptor,
    /// The name of that mailbox.
    pub mailbox: MailboxId,
    /// What the index keeps.
    pub entry: Entry,
    /// The whole record.
    pub record: Bytes,
    /// The bits of work that its stamp shows.
    pub stamped: u8,
}

/// Leaves that an owner revokes: `first ≤ n < end`.
#[derive(Debug, Clone, Copy)]
pub struct Revocation {
    /// Where the request comes from; it may open the mailbox, which counts.
    pub source: Prefix,
    /// The mailbox.
    pub descriptor: Descriptor,
    /// Its name.
    pub mailbox: MailboxId,
    /// The first leaf.
    pub first: u16,
    /// The leaf after the last.
    pub end: u16,
}

/// A change of what is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores a deposit.
    Deposit {
        /// Where it is filed.
        bucket: Bucket,
        /// Whose it is.
        mailbox: MailboxId,
        /// Its number.
        seq: u64,
        /// Its index entry.
        entry: Entry,
        /// The record.
        record: Bytes,
    },
    /// Takes a deposit away.
    Remove {
        /// Where it is filed.
        bucket: Bucket,
        /// Whose it was.
        mailbox: MailboxId,
        /// Its number.
        seq: u64,
    },
    /// Remembers a deletion, filed so that it is forgotten with the deposit's expiry.
    Tombstone {
        /// Where it is filed.
        bucket: Bucket,
        /// Whose it was.
        mailbox: MailboxId,
        /// What was deleted.
        id: DepositId,
        /// When the deposit would have expired.
        expiry: u32,
    },
    /// Forgets a deletion.
    Untomb {
        /// Where it is filed.
        bucket: Bucket,
        /// Whose it was.
        mailbox: MailboxId,
        /// What was deleted.
        id: DepositId,
    },
    /// Stores what is known of a mailbox.
    Mailbox(MailboxId, Mark),
    /// Forgets a mailbox.
    Forget(MailboxId),
    /// Drops a bucket with all that is filed in it.
    Drop(Bucket),
}

/// Why a request is refused; the wire code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The expiry lies in the past or too far ahead.
    #[error("the expiry is not acceptable")]
    Expiry,
    /// The slot or the mailbox has used its room.
    #[error("the slot's quota is used up")]
    Quota,
    /// The owner revoked this leaf.
    #[error("the leaf is revoked")]
    Revoked,
    /// The keeper has used its room.
    #[error("the keeper is full")]
    Full,
    /// A stamp with this many bits is wanted.
    #[error("a stamp of {bits} bits is needed")]
    Stamp {
        /// Leading zero bits.
        bits: u8,
    },
    /// The source prefix opened too many mailboxes.
    #[error("too many new mailboxes from there")]
    Rate {
        /// When to try again.
        retry_after_s: u32,
    },
    /// The handle is not open on this connection, or there are too many.
    #[error("no such handle")]
    Handle,
    /// The owner has deleted this deposit.
    #[error("the owner deleted this deposit")]
    Deleted,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The deposit is held; a receipt is due.
    Held {
        /// Which.
        id: DepositId,
        /// In which mailbox.
        mailbox: MailboxId,
        /// Until when.
        expiry: u32,
    },
    /// The mailbox is open under a handle.
    Opened {
        /// The handle.
        handle: u16,
        /// The highest sequence number given.
        head: u64,
    },
    /// These deposits, to be read from the disk.
    Page {
        /// The mailbox.
        mailbox: MailboxId,
        /// Number and bucket of each, in order.
        items: Vec<(u64, Bucket)>,
        /// Whether others follow.
        more: bool,
    },
    /// Watching.
    Watching,
    /// So many deposits were deleted.
    Deleted(u16),
    /// The leaves are revoked.
    Revoked,
    /// The request is refused.
    Refused(Refusal),
}

/// What the driver does, in this order within a cycle: all writes in one synced transaction, then the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Goes into the transaction.
    Write(Write),
    /// Answers a request after the commit.
    Reply(ReqId, Reply),
    /// Pushes a new deposit to a watcher after the commit.
    Push {
        /// To whom.
        conn: ConnId,
        /// Under which of his handles.
        handle: u16,
        /// Its number.
        seq: u64,
        /// The record.
        record: Bytes,
    },
}
