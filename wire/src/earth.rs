//! What is said on channels to keepers (protocol section 10).
//!
//! Requests and answers borrow the deposits that they carry. What an owner asks for is signed by the mailbox's key:
//! [`Open`] for one channel only, [`Delete`] and [`Revoke`] so that keepers may hand them on.

mod orders;

pub use orders::{Delete, MAX_DELETE, Open, Revoke};

use crate::channel::{MAX_BODY, RequestError, whole};
use crate::codec::{DecodeError, Put, Reader, Wire};
use crate::deposit::MAX_RECORD;
use crate::ids::{DepositId, MailboxId, NodeKey};
use crate::kdf::h;
use crate::network::T0;

/// Store a deposit.
pub const PUT: u8 = 0x01;
/// Prove ownership of a mailbox.
pub const OPEN: u8 = 0x02;
/// Ask for deposits.
pub const FETCH: u8 = 0x03;
/// Ask for what arrives from now on.
pub const WATCH: u8 = 0x04;
/// Delete deposits.
pub const DELETE: u8 = 0x05;
/// Revoke write keys.
pub const REVOKE: u8 = 0x06;
/// Ask for the keeper's record.
pub const INFO: u8 = 0x07;
/// Push: a deposit arrived.
pub const ARRIVED: u8 = 0x40;

/// The most mailboxes open on one channel.
pub const MAX_HANDLES: u16 = 64;
/// The most bytes of items in one answer to FETCH.
pub const MAX_FETCH_BYTES: usize = 262_000;
/// What stands before each deposit in an answer to FETCH.
pub const ITEM_HEAD: usize = 12;

/// A proof of work that a keeper may ask for; zero when it did not.
pub type Stamp = [u8; 16];

/// A request to a keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// Store this deposit.
    Put {
        /// The proof of work, or zeros.
        stamp: Stamp,
        /// The record; its form is not checked yet.
        deposit: &'a [u8],
    },
    /// Prove ownership.
    Open(Open),
    /// Give deposits.
    Fetch(Fetch),
    /// Push what arrives.
    Watch {
        /// The mailbox, as OPEN numbered it.
        handle: u16,
    },
    /// Delete deposits.
    Delete(Delete),
    /// Revoke write keys.
    Revoke(Revoke),
    /// Give your record.
    Info,
}

impl<'a> Request<'a> {
    /// The type of its frame.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Put { .. } => PUT,
            Self::Open(_) => OPEN,
            Self::Fetch(_) => FETCH,
            Self::Watch { .. } => WATCH,
            Self::Delete(_) => DELETE,
            Self::Revoke(_) => REVOKE,
            Self::Info => INFO,
        }
    }

    /// Appends the body of its frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Put { stamp, deposit } => {
                out.put(stamp);
                out.put(deposit);
            }
            Self::Open(open) => open.encode(out),
            Self::Fetch(fetch) => fetch.encode(out),
            Self::Watch { handle } => out.put_u16(*handle),
            Self::Delete(delete) => delete.encode(out),
            Self::Revoke(revoke) => revoke.encode(out),
            Self::Info => {}
        }
    }

    /// Reads the body of a frame of type `kind`.
    ///
    /// # Errors
    /// If the type is unknown or the body malformed.
    pub fn decode(kind: u8, body: &'a [u8]) -> Result<Self, RequestError> {
        whole(body, |r| {
            Ok(match kind {
                PUT => {
                    let stamp = r.array()?;
                    let deposit = r.rest();
                    if deposit.len() > MAX_RECORD {
                        return Err(DecodeError::Length {
                            field: "deposit",
                            len: deposit.len(),
                        }
                        .into());
                    }
                    Self::Put { stamp, deposit }
                }
                OPEN => Self::Open(Open::read(r)?),
                FETCH => Self::Fetch(Fetch::read(r)?),
                WATCH => Self::Watch { handle: r.u16()? },
                DELETE => Self::Delete(Delete::read(r)?),
                REVOKE => Self::Revoke(Revoke::read(r)?),
                INFO => Self::Info,
                _ => return Err(RequestError::Unsupported { kind }),
            })
        })
    }
}

/// Which deposits to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// The mailbox, as OPEN numbered it.
    pub handle: u16,
    /// Those after this sequence number.
    pub after: u64,
    /// At most about so many bytes.
    pub max_bytes: u32,
}

impl Wire for Fetch {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.handle);
        out.put_u64(self.after);
        out.put_u32(self.max_bytes);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: r.u16()?,
            after: r.u64()?,
            max_bytes: r.u32()?,
        })
    }
}

/// The answer to OPEN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The number by which the channel calls this mailbox, from 1.
    pub handle: u16,
    /// The highest sequence number given in it.
    pub head: u64,
}

impl Wire for Opened {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.handle);
        out.put_u64(self.head);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: r.u16()?,
            head: r.u64()?,
        })
    }
}

/// The answer to DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// How many were there.
    pub deleted: u16,
}

impl Wire for Deleted {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.deleted);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { deleted: r.u16()? })
    }
}

/// A deposit with the keeper's own sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// The number.
    pub seq: u64,
    /// The record; its form is not checked yet.
    pub deposit: &'a [u8],
}

/// The answer to FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched<'a> {
    /// Whether others follow.
    pub more: bool,
    /// The deposits.
    pub items: Vec<Item<'a>>,
}

impl<'a> Fetched<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        whole(body, |r| {
            let more = read_bool(r, "more")?;
            let n = r.count16("deposits", 0, MAX_BODY / ITEM_HEAD)?;
            let items = (0..n).map(|_| read_item(r)).collect::<Result<_, _>>()?;
            Ok(Self { more, items })
        })
    }
}

fn read_item<'a>(r: &mut Reader<'a>) -> Result<Item<'a>, DecodeError> {
    let seq = r.u64()?;
    let len = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
    if len > MAX_RECORD {
        return Err(DecodeError::Length {
            field: "deposit",
            len,
        });
    }
    Ok(Item {
        seq,
        deposit: r.take(len)?,
    })
}

pub(crate) fn read_bool(r: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(DecodeError::Value {
            field,
            value: other.into(),
        }),
    }
}

/// Writes an answer to FETCH piece by piece, without exceeding what was asked for.
#[derive(Debug)]
pub struct FetchedWriter {
    body: Vec<u8>,
    n: u16,
    max: usize,
}

impl FetchedWriter {
    /// Starts an answer for a request of `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: u32) -> Self {
        let max = usize::try_from(max_bytes)
            .unwrap_or(usize::MAX)
            .min(MAX_FETCH_BYTES);
        Self {
            body: vec![0; 3],
            n: 0,
            max,
        }
    }

    /// Adds a deposit; `false` when it does not fit any more. The first one always fits.
    pub fn push(&mut self, seq: u64, deposit: &[u8]) -> bool {
        let size = self.body.len() - 3 + ITEM_HEAD + deposit.len();
        let Ok(len) = u32::try_from(deposit.len()) else {
            return false;
        };
        if deposit.len() > MAX_RECORD || (self.n > 0 && size > self.max) {
            return false;
        }
        self.body.put_u64(seq);
        self.body.put_u32(len);
        self.body.put(deposit);
        self.n += 1;
        true
    }

    /// Ends the answer.
    #[must_use]
    pub fn finish(mut self, more: bool) -> Vec<u8> {
        if let Some(head) = self.body.first_chunk_mut::<3>() {
            let [lo, hi] = self.n.to_le_bytes();
            *head = [more.into(), lo, hi];
        }
        self.body
    }
}

/// Push: a deposit arrived in a watched mailbox. An empty deposit says that some were not pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived<'a> {
    /// The mailbox, as OPEN numbered it.
    pub handle: u16,
    /// The keeper's sequence number.
    pub seq: u64,
    /// The record, or nothing.
    pub deposit: &'a [u8],
}

impl<'a> Arrived<'a> {
    /// Appends the push's body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.handle);
        out.put_u64(self.seq);
        out.put(self.deposit);
    }

    /// Reads a push.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        whole(body, |r| {
            let (handle, seq, deposit) = (r.u16()?, r.u64()?, r.rest());
            if deposit.len() > MAX_RECORD {
                return Err(DecodeError::Length {
                    field: "deposit",
                    len: deposit.len(),
                });
            }
            Ok(Self {
                handle,
                seq,
                deposit,
            })
        })
    }
}

/// What a stamp is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StampSubject {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The deposit.
    pub deposit: DepositId,
    /// The keeper that asked.
    pub node: NodeKey,
    /// The hour, from [`stamp_hour`].
    pub hour: u32,
}

/// The hour that stamps of this time bear. Keepers take the current and the previous one.
#[must_use]
pub fn stamp_hour(unix_s: u64) -> u32 {
    u32::try_from(unix_s.saturating_sub(T0) / 3_600).unwrap_or(u32::MAX)
}

impl StampSubject {
    /// How many zero bits `stamp` is worth.
    #[must_use]
    pub fn bits(&self, stamp: &Stamp) -> u32 {
        let hash = h(&[
            b"hermes/1 stamp",
            self.mailbox.as_bytes(),
            self.deposit.as_bytes(),
            self.node.as_bytes(),
            &self.hour.to_le_bytes(),
            stamp,
        ]);
        let whole = hash.iter().take_while(|b| **b == 0).count();
        let rest = hash.get(whole).map_or(0, |b| b.leading_zeros());
        8 * u32::try_from(whole).unwrap_or(0) + rest
    }

    /// Tries up to `tries` stamps, counting up from `start`, until one is worth `bits`.
    #[must_use]
    pub fn search(&self, bits: u32, start: u128, tries: u64) -> Option<Stamp> {
        (0..tries)
            .map(|i| start.wrapping_add(i.into()).to_le_bytes())
            .find(|s| self.bits(s) >= bits)
    }
}
