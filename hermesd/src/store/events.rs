//! The event log: what changed, numbered without gaps, for clients that were away.
//!
//! An event is committed in the batch that makes the change it tells of. Readers hold a [`Cursor`] and read on from it;
//! waking them when the head moves is up to the caller.

use std::{fmt, str::FromStr, sync::atomic::Ordering};

use zeroize::Zeroizing;

use super::{
    Store,
    batch::Batch,
    error::StoreError,
    query::Query,
    reader::{Live, Reader},
    tables::{Table, seq_key, seq_of},
};

/// How long events are kept, in milliseconds: 30 days, as the interface promises.
pub const EVENT_AGE_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

/// How many events are kept, as the interface promises.
pub const EVENTS_MAX: u64 = 1_000_000;

/// The row of `meta` that remembers the ends of the log.
const ENDS_ROW: &[u8] = b"events";

/// A place in the event log of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which store; another store's cursors mean nothing here.
    pub epoch: u64,
    /// The last event seen, 0 for none.
    pub seq: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{}", self.epoch, self.seq)
    }
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor")]
pub struct CursorSyntax;

impl FromStr for Cursor {
    type Err = CursorSyntax;

    fn from_str(text: &str) -> Result<Self, CursorSyntax> {
        let (epoch, seq) = text.split_once(':').ok_or(CursorSyntax)?;
        let cursor = Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| CursorSyntax)?,
            seq: seq.parse().map_err(|_| CursorSyntax)?,
        };
        // One spelling per cursor: no signs, no upper case, no leading zeros.
        if cursor.to_string() == text {
            Ok(cursor)
        } else {
            Err(CursorSyntax)
        }
    }
}

/// An event of the log.
pub struct Event {
    /// Its number.
    pub seq: u64,
    /// When it was committed, in Unix milliseconds by the clock of the writer.
    pub time_ms: u64,
    /// What the writer put there.
    pub payload: Zeroizing<Vec<u8>>,
}

impl Reader {
    /// The cursor of the last event.
    pub fn head(&self) -> Cursor {
        Cursor {
            epoch: self.shared.epoch,
            seq: self.head_seq(),
        }
    }

    /// The earliest cursor from which reading can go on.
    pub fn oldest(&self) -> Cursor {
        Cursor {
            epoch: self.shared.epoch,
            seq: self.oldest_seq().saturating_sub(1),
        }
    }

    /// Number of events kept.
    pub fn event_count(&self) -> u64 {
        (self.head_seq() + 1).saturating_sub(self.oldest_seq())
    }

    /// Up to `limit` events (at least one) after `cursor`, oldest first; none at the head. A page may end early when its events are
    /// long: read on until none comes.
    pub fn events_after(&self, cursor: Cursor, limit: usize) -> Result<Vec<Event>, StoreError> {
        let (oldest, head) = (self.oldest(), self.head());
        let known = cursor.epoch == head.epoch && (oldest.seq..=head.seq).contains(&cursor.seq);
        if !known {
            return Err(StoreError::CursorExpired { oldest, head });
        }
        if cursor.seq == head.seq {
            return Ok(Vec::new());
        }
        let query = Query::all().after(&seq_key(cursor.seq)).rows(limit.max(1));
        let events = self.shared.with(|live| read_events(live, &query))?;
        // A trim may have come between the look at the ends and the reading.
        if events
            .first()
            .is_none_or(|first| first.seq != cursor.seq + 1)
        {
            return Err(StoreError::CursorExpired {
                oldest: self.oldest(),
                head: self.head(),
            });
        }
        Ok(events)
    }
}

impl Store {
    /// Drops up to `limit` events that are older than 30 days at `now_ms` or more than a million from the head.
    /// Returns how many; call again while it is `limit`.
    pub fn trim_events(&mut self, now_ms: u64, limit: usize) -> Result<usize, StoreError> {
        self.trim_events_to(now_ms.saturating_sub(EVENT_AGE_MS_MAX), EVENTS_MAX, limit)
    }

    pub(crate) fn trim_events_to(
        &mut self,
        not_before_ms: u64,
        keep: u64,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let (oldest, head) = (self.oldest_seq(), self.head_seq());
        let surplus = self.event_count().saturating_sub(keep);
        let first = seq_key(oldest.saturating_sub(1));
        let query = Query::all().after(&first).rows(limit);
        let events = self.shared.with(|live| read_events(live, &query))?;
        let mut batch = Batch::new();
        for event in &events {
            let too_many = event.seq.saturating_sub(oldest) < surplus;
            if !too_many && event.time_ms >= not_before_ms {
                break;
            }
            batch.delete(Table::Events, &seq_key(event.seq));
        }
        let dropped = batch.len();
        if dropped > 0 {
            let oldest = oldest + dropped as u64;
            let ends = [oldest.to_le_bytes(), head.to_le_bytes()].concat();
            batch.put(Table::Meta, ENDS_ROW, ends);
            self.commit(batch)?;
            self.shared.oldest.store(oldest, Ordering::Release);
        }
        Ok(dropped)
    }
}

fn read_events(live: &Live, query: &Query) -> Result<Vec<Event>, StoreError> {
    let damaged = || StoreError::Row {
        table: Table::Events,
        detail: "it is no event",
    };
    let mut events = Vec::new();
    for row in live.page(Table::Events, query)?.rows {
        let seq = seq_of(&row.key).ok_or_else(damaged)?;
        let (time, payload) = row.value.split_first_chunk().ok_or_else(damaged)?;
        let payload = Zeroizing::new(payload.to_vec());
        events.push(Event {
            seq,
            time_ms: u64::from_le_bytes(*time),
            payload,
        });
    }
    Ok(events)
}

/// The value of an event's row.
pub(crate) fn event_row(time_ms: u64, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([time_ms.to_le_bytes().as_slice(), payload].concat())
}

/// Lowest and highest sequence number of a log, from its ends and its last row; reads two rows, however long it is.
pub(crate) fn ends(live: &Live) -> Result<(u64, u64), StoreError> {
    let damaged = |table| StoreError::Row {
        table,
        detail: "it is no event number",
    };
    let (oldest, noted) = match live.get(Table::Meta, ENDS_ROW)? {
        None => (1, 0),
        Some(value) => {
            let (oldest, head) = value
                .split_first_chunk()
                .ok_or_else(|| damaged(Table::Meta))?;
            let head = head.try_into().map_err(|_| damaged(Table::Meta))?;
            (u64::from_le_bytes(*oldest), u64::from_le_bytes(head))
        }
    };
    let last = live
        .page(Table::Events, &Query::all().backward().rows(1))?
        .rows
        .pop();
    let last = match last {
        Some(row) => seq_of(&row.key).ok_or_else(|| damaged(Table::Events))?,
        None => 0,
    };
    Ok((oldest, last.max(noted)))
}
