//! Which recovery counts (protocol section 17).

use crate::{
    codec::{DecodeError, Put as _, Reader, Wire},
    pair::Rank,
};

/// The version of the stored form.
const VERSION: u8 = 1;

/// The counters of a pair's recoveries, as one side knows them.
///
/// `settled` is the highest counter of a recovery that is over: answered, finished or declared void by the other side. `used` is the
/// highest that we started with. They are apart because a start of ours that is still open must not void the start of the other side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    settled: u64,
    used: u64,
}

/// What to do with a message 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer it. A start of our own that is open is given up.
    Answer,
    /// It is old; pass over it.
    Old,
    /// We have started too and are the lower side: our start stands, theirs is given up over there.
    OursStands,
}

impl Counters {
    /// The counter for a start of ours; it counts as used from now on.
    #[must_use = "every start has a counter of its own"]
    pub fn start(&mut self, unix_s: u64) -> u64 {
        self.used = self.highest().saturating_add(1).max(unix_s);
        self.used
    }

    /// Judges a message 1 that has been read with success. `open` is the counter of our own start, if one is open.
    #[must_use]
    pub fn judge(&self, counter: u64, open: Option<u64>, ours: Rank) -> Verdict {
        if counter <= self.settled {
            Verdict::Old
        } else if open.is_some() && ours == Rank::Lower {
            Verdict::OursStands
        } else {
            Verdict::Answer
        }
    }

    /// A recovery with this counter is over: we answered it, we finished it, or a `recovered` frame of the other side says so.
    pub fn settle(&mut self, counter: u64) {
        self.settled = self.settled.max(counter);
    }

    /// What our `recovered` frames say: the highest counter that we have seen or used. Everything up to it is void.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.settled.max(self.used)
    }
}

impl Wire for Counters {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_u64(self.settled);
        out.put_u64(self.used);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.expect_u8("version of recovery counters", VERSION)?;
        Ok(Self {
            settled: r.u64()?,
            used: r.u64()?,
        })
    }
}
