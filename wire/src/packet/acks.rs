//! Sets of numbers as ranges: which frames have been received (protocol section 15.2).

use crate::codec::{DecodeError, Put, Reader, Wire};

/// Ranges in one packet.
pub const ACK_RANGES_MAX: usize = 32;

/// Ranges that a set holds. A sender who leaves more gaps has his frames refused until he fills some: they stay unacknowledged, so
/// an honest one repeats the lowest first.
pub const SET_RANGES_MAX: usize = 1_024;

/// What [`AckRanges::insert`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The number is in the set now and was not before.
    New,
    /// The number was in the set.
    Known,
    /// The set has no room for one more range; the number is not in it.
    Full,
}

/// A set of frame numbers: rising ranges, disjoint and not adjacent. Zero is never in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AckRanges {
    ranges: Vec<(u64, u64)>,
}

impl AckRanges {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, first and last number of each, rising.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().copied()
    }

    /// How many ranges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let after = self.ranges.partition_point(|&(_, last)| last < number);
        self.ranges
            .get(after)
            .is_some_and(|&(first, _)| first <= number)
    }

    /// The number up to which nothing is missing, counted from 1; 0 if 1 is missing.
    #[must_use]
    pub fn contiguous(&self) -> u64 {
        match self.ranges.first() {
            Some(&(1, last)) => last,
            _ => 0,
        }
    }

    /// The largest number in the set.
    #[must_use]
    pub fn largest(&self) -> Option<u64> {
        self.ranges.last().map(|&(_, last)| last)
    }

    /// How many numbers up to `upto` are missing.
    #[must_use]
    pub fn missing_up_to(&self, upto: u64) -> u64 {
        let within = self.ranges.iter().take_while(|&&(first, _)| first <= upto);
        upto - within
            .map(|&(first, last)| last.min(upto) - first + 1)
            .sum::<u64>()
    }

    /// Puts one number in. Zero stands for "not numbered" and counts as known.
    pub fn insert(&mut self, number: u64) -> Inserted {
        if number == 0 || self.contains(number) {
            return Inserted::Known;
        }
        if self.ranges.len() >= SET_RANGES_MAX && !self.touches(number) {
            return Inserted::Full;
        }
        self.join(number, number);
        Inserted::New
    }

    /// Puts in all numbers below `floor`: their sender no longer offers them. Always has room.
    pub fn fill_below(&mut self, floor: u64) {
        if floor > 1 {
            self.join(1, floor - 1);
        }
    }

    /// Puts in all of `other`; ranges beyond [`SET_RANGES_MAX`] are left out.
    pub fn merge(&mut self, other: &Self) {
        for (first, last) in other.iter() {
            if self.ranges.len() < SET_RANGES_MAX || self.touches(first) || self.touches(last) {
                self.join(first, last);
            }
        }
    }

    /// The lowest ranges, as many as a packet may carry. What they leave out is acknowledged when gaps below have closed.
    #[must_use]
    pub fn for_packet(&self) -> Self {
        Self {
            ranges: self.ranges.iter().copied().take(ACK_RANGES_MAX).collect(),
        }
    }

    /// Whether `number` is in a range or next to one.
    fn touches(&self, number: u64) -> bool {
        self.contains(number)
            || self.contains(number.saturating_sub(1))
            || self.contains(number.saturating_add(1))
    }

    /// Puts a range in and melts it with those that it overlaps or touches.
    fn join(&mut self, first: u64, last: u64) {
        let start = self
            .ranges
            .partition_point(|&(_, l)| l.saturating_add(1) < first);
        let end = self
            .ranges
            .partition_point(|&(f, _)| f <= last.saturating_add(1));
        let low = self.ranges.get(start).map_or(first, |&(f, _)| f.min(first));
        let high = end
            .checked_sub(1)
            .and_then(|i| self.ranges.get(i))
            .map_or(last, |&(_, l)| l.max(last));
        // Ranges from `start` to `end` touch the new one; with none of them the splice inserts.
        let (low, high) = if start < end {
            (low, high)
        } else {
            (first, last)
        };
        self.ranges.splice(start..end.max(start), [(low, high)]);
    }

    /// Appends the stored form: all ranges, with a `u16` count. See [`Wire`] for the form in packets.
    pub fn encode_stored(&self, out: &mut Vec<u8>) {
        out.put_u16(u16::try_from(self.ranges.len()).unwrap_or(u16::MAX));
        put_ranges(&self.ranges, out);
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If the bytes there are not one.
    pub fn read_stored(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // `fill_below` may have put one range in front of a full set.
        let count = r.count16("stored ranges", 0, SET_RANGES_MAX + 1)?;
        read_ranges(r, count)
    }
}

/// The form in packets: at most [`ACK_RANGES_MAX`] ranges are written, the lowest.
impl Wire for AckRanges {
    fn encode(&self, out: &mut Vec<u8>) {
        let ranges = self.ranges.get(..ACK_RANGES_MAX).unwrap_or(&self.ranges);
        out.put_u8(u8::try_from(ranges.len()).unwrap_or(u8::MAX));
        put_ranges(ranges, out);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r.count8("ack ranges", 0, ACK_RANGES_MAX)?;
        read_ranges(r, count)
    }
}

fn put_ranges(ranges: &[(u64, u64)], out: &mut Vec<u8>) {
    for &(first, last) in ranges {
        out.put_u64(first);
        out.put_u64(last);
    }
}

fn read_ranges(r: &mut Reader<'_>, count: usize) -> Result<AckRanges, DecodeError> {
    let mut ranges = Vec::with_capacity(count);
    // The first number that the next range may start with: 1, and later one number must lie between two ranges.
    let mut least = Some(1);
    for _ in 0..count {
        let (first, last) = (r.u64()?, r.u64()?);
        if least.is_none_or(|least| first < least) || last < first {
            return Err(DecodeError::Value {
                field: "ack range",
                value: first,
            });
        }
        ranges.push((first, last));
        least = last.checked_add(2);
    }
    Ok(AckRanges { ranges })
}
