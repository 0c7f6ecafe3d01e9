//! The order in which a friend's frames are shown, and which of them were received (protocol section 18, rules 7 and 8).
//!
//! Frames carry the sender's numbers. One that follows its predecessor is shown at once; one beyond a gap is *held*
//! until the gap is filled, until the sender's floor passes it, or until it was waited for long enough. Then the gap is
//! told, and what arrives of it later is shown as late. Each number is accepted once, for ever.
//!
//! [`Inflow::received`] is at the same time what we acknowledge. A friend can make it grow by leaving gaps and
//! [`Inflow::held`] by never filling them, so both have caps; a frame beyond a cap is not accepted, stays
//! unacknowledged, and the friend offers it again.

use std::collections::{BTreeMap, BTreeSet};

use hermes_wire::packet::{AckRanges, Frame, Inserted};

use crate::proto::event::Via;

/// Frames of one friend that are held beyond gaps.
pub const HELD_FRAMES_MAX: usize = 4_096;

/// Bytes of bodies of one friend that are held beyond gaps.
pub const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The highest number that a frame may bear. Nobody sends so many, and counting on from it never overflows.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// Jumps of the friend's numbering that are remembered until the order has passed them.
const JUMPS_MAX: usize = 4;

/// What one friend's device sent us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inflow {
    /// The numbers that were accepted.
    pub(crate) received: AckRanges,
    /// All numbers below were shown or given up.
    pub(crate) next: u64,
    /// Numbers below are no longer offered by the sender.
    pub(crate) floor: u64,
    /// Since when a gap is waited for.
    pub(crate) gap_since_ms: Option<u64>,
    /// Numbers that the sender left out when he recovered, `from..to`; they are not missing.
    pub(crate) jumps: Vec<(u64, u64)>,
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
    /// Held frames that are not stored yet.
    unstored: BTreeSet<u64>,
}

/// A frame beyond a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) frame: Frame,
    pub(crate) via: Via,
}

/// What became of an arriving frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It was not there before.
    New,
    /// It was there; its acknowledgement was lost.
    Duplicate,
    /// There is no room for it now.
    Refused,
}

/// One step of showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// This many frames are missing here.
    Gap(u64),
    /// A frame whose turn it is.
    Show(Held),
    /// A frame that comes after its turn.
    ShowLate(Held),
}

impl Default for Inflow {
    fn default() -> Self {
        Self {
            received: AckRanges::new(),
            next: 1,
            floor: 1,
            gap_since_ms: None,
            jumps: Vec::new(),
            held: BTreeMap::new(),
            held_bytes: 0,
            unstored: BTreeSet::new(),
        }
    }
}

impl Inflow {
    /// Accepts a numbered frame. `shown` says whether it has a place in the order; frames for the core itself take
    /// their number, but nothing is shown for them.
    pub(crate) fn accept(&mut self, frame: Frame, via: Via, shown: bool) -> Accepted {
        let seq = frame.conv_seq;
        if seq > NUMBER_MAX {
            return Accepted::Refused;
        }
        if self.received.contains(seq) {
            return Accepted::Duplicate;
        }
        let full = self.held.len() >= HELD_FRAMES_MAX
            || self.held_bytes + frame.body.len() > HELD_BYTES_MAX;
        if seq > self.next && shown && full {
            return Accepted::Refused;
        }
        if self.received.insert(seq) == Inserted::Full {
            self.close_oldest_gap();
            if self.received.insert(seq) != Inserted::New {
                return Accepted::Refused;
            }
        }
        if shown {
            self.held_bytes += frame.body.len();
            self.unstored.insert(seq);
            self.held.insert(seq, Held { frame, via });
        }
        Accepted::New
    }

    /// Puts a held frame back that was read from the store.
    pub(crate) fn restore(&mut self, held: Held) {
        self.held_bytes += held.frame.body.len();
        self.held.insert(held.frame.conv_seq, held);
    }

    /// Notes that the sender offers nothing below `floor` any more.
    pub(crate) fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor.min(NUMBER_MAX));
    }

    /// Notes that the sender recovered and goes on with `next_seq`; whatever he did not number is not missing.
    pub(crate) fn jump(&mut self, next_seq: u64) {
        let next_seq = next_seq.min(NUMBER_MAX);
        let from = self.received.largest().unwrap_or(0).max(self.next - 1) + 1;
        if from >= next_seq {
            return;
        }
        if self.jumps.len() >= JUMPS_MAX {
            self.jumps.remove(0);
        }
        self.jumps.push((from, next_seq));
    }

    /// The next thing to show, given that a gap is waited for no longer than until `give_up`.
    pub(crate) fn step(&mut self, patience: Patience) -> Option<Step> {
        if let Some((&seq, _)) = self.held.first_key_value()
            && seq < self.next
        {
            return self.take(seq).map(Step::ShowLate);
        }
        loop {
            // Over what was accepted and has nothing to show.
            while self.received.contains(self.next) && !self.held.contains_key(&self.next) {
                self.next += 1;
            }
            if let Some(held) = self.take(self.next) {
                self.next += 1;
                return Some(Step::Show(held));
            }
            if let Some(to) = self.jump_at(self.next) {
                self.next = to;
                continue;
            }
            let target = self.gap_target(patience)?;
            let missing = self.missing_before(target);
            self.next = target;
            if missing > 0 {
                return Some(Step::Gap(missing));
            }
        }
    }

    /// Whether a held frame waits for one that is missing.
    pub(crate) fn has_gap(&self) -> bool {
        !self.held.is_empty()
    }

    /// The numbers of all held frames.
    pub(crate) fn held_numbers(&self) -> impl Iterator<Item = u64> {
        self.held.keys().copied()
    }

    /// The held frames that have to be stored, since they are not shown in the cycle in which they came.
    pub(crate) fn take_unstored(&mut self) -> impl Iterator<Item = (u64, &Held)> {
        let unstored = std::mem::take(&mut self.unstored);
        unstored
            .into_iter()
            .filter_map(|seq| self.held.get(&seq).map(|held| (seq, held)))
    }

    /// Whether a frame that was taken out had been stored.
    pub(crate) fn was_stored(&mut self, seq: u64) -> bool {
        !self.unstored.remove(&seq)
    }

    fn take(&mut self, seq: u64) -> Option<Held> {
        let held = self.held.remove(&seq)?;
        self.held_bytes -= held.frame.body.len();
        Some(held)
    }

    /// To where the order may go on although `next` is missing.
    fn gap_target(&self, patience: Patience) -> Option<u64> {
        let first_held = self.held.first_key_value().map(|(seq, _)| *seq);
        let by_floor = (self.floor > self.next).then_some(self.floor);
        let target = match (patience, first_held, by_floor) {
            (Patience::Over, Some(held), floor) => floor.map_or(held, |floor| floor.max(held)),
            (_, _, Some(floor)) => floor,
            _ => return None,
        };
        // Not past anything that can be shown.
        Some(first_held.map_or(target, |held| target.min(held)))
    }

    fn jump_at(&self, seq: u64) -> Option<u64> {
        let to = self
            .jumps
            .iter()
            .find(|(from, to)| (*from..*to).contains(&seq))
            .map(|(_, to)| *to)?;
        // Frames inside the jump, from before the recovery, are shown first: those that are here, and the one that the
        // sender says he still offers.
        let first_held = self.held.range(seq..).next().map(|(seq, _)| *seq);
        let offered =
            Some(self.floor).filter(|floor| *floor >= seq && !self.received.contains(*floor));
        let to = [first_held, offered]
            .into_iter()
            .flatten()
            .fold(to, u64::min);
        (to > seq).then_some(to)
    }

    /// How many numbers from `next` up to `target` were neither accepted nor left out by the sender.
    fn missing_before(&self, target: u64) -> u64 {
        let absent = |upto: u64| self.received.missing_up_to(upto);
        let mut missing = absent(target - 1) - absent(self.next - 1);
        for (from, to) in &self.jumps {
            let (from, to) = ((*from).max(self.next), (*to).min(target));
            if from < to {
                missing -= (absent(to - 1) - absent(from - 1)).min(missing);
            }
        }
        missing
    }

    /// Forgets that the lowest gap is one, if it was given up already; for senders with very many gaps.
    fn close_oldest_gap(&mut self) {
        // The gap before the first range, if any, closes along with the one before the second.
        let second = self.received.iter().nth(1);
        if let Some((first, _)) = second
            && first <= self.next
        {
            self.received.fill_below(first);
        }
    }
}

/// Whether a gap is still waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is.
    Waiting,
    /// It was waited for long enough.
    Over,
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
