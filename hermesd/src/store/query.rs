//! Which rows to read, and in which order.

use std::ops::Bound;

use zeroize::Zeroizing;

use super::{
    backend::{Direction, RawQuery},
    tables::Table,
};

/// Rows of a page unless the caller says otherwise.
const ROWS_DEFAULT: usize = 256;

/// Bytes of values after which a page ends, so that a page of long messages does not fill the memory.
const BYTES_DEFAULT: usize = 1024 * 1024;

/// A page of one table.
#[derive(Clone, Debug)]
pub struct Query {
    prefix: Vec<u8>,
    start: Option<Vec<u8>>,
    direction: Direction,
    rows: usize,
    bytes: usize,
}

impl Query {
    /// All rows whose key starts with `prefix`, upwards.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self {
            prefix: prefix.to_vec(),
            start: None,
            direction: Direction::Forward,
            rows: ROWS_DEFAULT,
            bytes: BYTES_DEFAULT,
        }
    }

    /// All rows of the table, upwards.
    pub fn all() -> Self {
        Self::prefix(&[])
    }

    /// Reads downwards from the highest key.
    #[must_use]
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// Starts behind `key` in the direction of reading, without `key` itself: the last key of the page before.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        self.start = Some(key.to_vec());
        self
    }

    /// Returns at most so many rows.
    #[must_use]
    pub fn rows(mut self, rows: usize) -> Self {
        self.rows = rows;
        self
    }

    /// Ends the page once the values have so many bytes together.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    pub(crate) fn raw(&self, table: Table) -> RawQuery {
        let low = table.physical(&self.prefix);
        let high = successor(&low);
        let start = self.start.as_ref().map(|start| table.physical(start));
        let (mut lower, mut upper) = (Bound::Included(low.clone()), Bound::Excluded(high.clone()));
        match (self.direction, start) {
            (Direction::Forward, Some(start)) if start >= low => lower = Bound::Excluded(start),
            (Direction::Backward, Some(start)) if start < high => upper = Bound::Excluded(start),
            _ => {}
        }
        RawQuery {
            family: table.family(),
            lower,
            upper,
            direction: self.direction,
            rows: self.rows,
            bytes: self.bytes,
        }
    }
}

/// The lowest key above all keys that start with `prefix`, whose first byte, a table's, is below 255.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut high = prefix.to_vec();
    while let Some(last) = high.pop() {
        if let Some(next) = last.checked_add(1) {
            high.push(next);
            break;
        }
    }
    high
}

/// A row as it was put.
pub struct Row {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Zeroizing<Vec<u8>>,
}

/// Some rows of a table.
pub struct Page {
    /// The rows, in the order of reading.
    pub rows: Vec<Row>,
    /// True if a limit ended the page; read on with [`Query::after`] the last key.
    pub more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_a_successor() {
        assert_eq!(successor(&[0x30]), [0x31]);
        assert_eq!(successor(&[0x30, 1]), [0x30, 2]);
        assert_eq!(successor(&[0x30, 0xff, 0xff]), [0x31]);
        assert_eq!(successor(&[0x30, 0x00, 0xff]), [0x30, 0x01]);
    }

    #[test]
    fn starts_outside_the_prefix_do_not_widen_it() {
        let raw = |query: Query| query.raw(Table::Events);
        let inside = (
            Bound::Included(vec![0x30, 5]),
            Bound::Excluded(vec![0x30, 6]),
        );
        for query in [
            Query::prefix(&[5]).after(&[4]),
            Query::prefix(&[5]).backward().after(&[6]),
        ] {
            let raw = raw(query);
            assert_eq!((raw.lower, raw.upper), inside);
        }
        assert!(raw(Query::prefix(&[5]).after(&[6])).is_empty());
        assert!(raw(Query::prefix(&[5]).backward().after(&[4])).is_empty());
        assert!(!raw(Query::prefix(&[5]).after(&[5, 0])).is_empty());
    }
}
