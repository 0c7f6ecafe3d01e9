//! Frames of ours that the friend has not acknowledged, by number.
//!
//! The outbox is the promise behind `queued`: what is in it is on the disk and is offered, over links and through
//! keepers, until the friend acknowledges it, the time that the sender gave is over, or the contact goes.

use std::collections::{BTreeMap, BTreeSet};

use hermes_wire::{
    ids::MessageId,
    packet::{AckRanges, Frame, FrameKind},
};

use crate::proto::ids::DepositOp;

/// Frames that wait for one contact. Beyond it the application is told to wait.
pub const OUTBOX_FRAMES_MAX: usize = 100_000;

/// Bytes of bodies that wait for one contact; they are held in memory.
pub const OUTBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A frame that is not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutFrame {
    pub(crate) kind: FrameKind,
    pub(crate) critical: bool,
    pub(crate) msg_id: MessageId,
    pub(crate) sent_at_ms: u64,
    /// When the sender no longer cares.
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) body: Vec<u8>,
    /// Whether it was ever encrypted, or may have been before a restart. Until then its body may still change.
    pub(crate) touched: bool,
    /// Whether it was accepted since the store was loaded.
    pub(crate) since_load: bool,
    /// The newest deposit that carries it.
    pub(crate) deposit: Option<DepositOp>,
}

impl OutFrame {
    /// The frame as it travels.
    pub(crate) fn to_wire(&self, conv_seq: u64) -> Frame {
        Frame {
            kind: self.kind,
            critical: self.critical,
            conv_seq,
            msg_id: self.msg_id,
            sent_at: self.sent_at_ms,
            body: self.body.clone(),
        }
    }

    /// How many bytes the frame takes in a packet.
    pub(crate) fn wire_len(&self) -> usize {
        // Section 15.2: kind, flags, conv_seq, msg_id, sent_at and the length of the body.
        const HEAD: usize = 1 + 1 + 8 + 16 + 8 + 2;
        HEAD + self.body.len()
    }
}

/// All frames that wait for one contact.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: BTreeMap<u64, OutFrame>,
    bytes: usize,
    expiring: BTreeSet<(u64, u64)>,
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether a body of this length may be added.
    pub(crate) fn has_room(&self, body_len: usize) -> bool {
        self.frames.len() < OUTBOX_FRAMES_MAX && self.bytes + body_len <= OUTBOX_BYTES_MAX
    }

    /// The lowest number that is still offered.
    pub(crate) fn first(&self) -> Option<u64> {
        self.frames.first_key_value().map(|(seq, _)| *seq)
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&OutFrame> {
        self.frames.get(&seq)
    }

    /// A frame whose marks change. Its body and expiry are changed by [`Outbox::insert`] only.
    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut OutFrame> {
        self.frames.get_mut(&seq)
    }

    /// Frames from a number on, rising.
    pub(crate) fn from(&self, seq: u64) -> impl Iterator<Item = (u64, &OutFrame)> {
        self.frames.range(seq..).map(|(seq, frame)| (*seq, frame))
    }

    /// Frames that no deposit carries.
    pub(crate) fn uncovered(&self) -> Vec<u64> {
        let uncovered = self
            .frames
            .iter()
            .filter(|(_, frame)| frame.deposit.is_none());
        uncovered.map(|(seq, _)| *seq).collect()
    }

    /// Forgets which deposits carry frames.
    pub(crate) fn uncover(&mut self) {
        for frame in self.frames.values_mut() {
            frame.deposit = None;
        }
    }

    /// The newest frame of a kind, if it was never encrypted.
    pub(crate) fn untouched_last(&self, kind: FrameKind) -> Option<u64> {
        let same = |(seq, frame): (&u64, &OutFrame)| {
            (frame.kind == kind && !frame.touched).then_some(*seq)
        };
        // Only the newest frames can be untouched, so this looks at few.
        self.frames
            .iter()
            .rev()
            .take_while(|(_, frame)| !frame.touched)
            .find_map(same)
    }

    pub(crate) fn insert(&mut self, seq: u64, frame: OutFrame) {
        self.remove(seq);
        self.bytes += frame.body.len();
        if let Some(at) = frame.expires_at_ms {
            self.expiring.insert((at, seq));
        }
        self.frames.insert(seq, frame);
    }

    pub(crate) fn remove(&mut self, seq: u64) -> Option<OutFrame> {
        let frame = self.frames.remove(&seq)?;
        self.forget(seq, &frame);
        Some(frame)
    }

    /// Takes out all frames that the ranges name.
    pub(crate) fn take_acked(&mut self, acks: &AckRanges) -> Vec<(u64, OutFrame)> {
        let mut taken = Vec::new();
        for (first, last) in acks.iter() {
            let Some(lowest) = self.first() else { break };
            if last < lowest {
                continue;
            }
            let mut from_first = self.frames.split_off(&first);
            // What lies above the range goes back; for acknowledgements of a whole prefix that is the cheap direction.
            let mut above = match last.checked_add(1) {
                Some(after) => from_first.split_off(&after),
                None => BTreeMap::new(),
            };
            self.frames.append(&mut above);
            taken.extend(from_first);
        }
        for (seq, frame) in &taken {
            self.forget(*seq, frame);
        }
        taken
    }

    /// Takes out all frames that expire up to a moment.
    pub(crate) fn take_expired(&mut self, now_ms: u64) -> Vec<(u64, OutFrame)> {
        let mut taken = Vec::new();
        while let Some((at, seq)) = self.expiring.first().copied() {
            if at > now_ms {
                break;
            }
            self.expiring.pop_first();
            taken.extend(self.remove(seq).map(|frame| (seq, frame)));
        }
        taken
    }

    /// When the next frame expires.
    pub(crate) fn next_expiry_ms(&self) -> Option<u64> {
        self.expiring.first().map(|(at, _)| *at)
    }

    fn forget(&mut self, seq: u64, frame: &OutFrame) {
        self.bytes -= frame.body.len();
        if let Some(at) = frame.expires_at_ms {
            self.expiring.remove(&(at, seq));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &str, expires_at_ms: Option<u64>) -> OutFrame {
        OutFrame {
            kind: FrameKind::Text,
            critical: false,
            msg_id: MessageId([7; 16]),
            sent_at_ms: 1,
            expires_at_ms,
            body: body.into(),
            touched: false,
            since_load: true,
            deposit: None,
        }
    }

    fn filled(numbers: impl IntoIterator<Item = u64>) -> Outbox {
        let mut outbox = Outbox::default();
        for n in numbers {
            outbox.insert(n, frame("abc", None));
        }
        outbox
    }

    fn ranges(ranges: &[(u64, u64)]) -> AckRanges {
        let mut set = AckRanges::new();
        for (first, last) in ranges {
            for n in *first..=*last {
                set.insert(n);
            }
        }
        set
    }

    #[test]
    fn acknowledged_frames_leave_and_the_others_stay() {
        let mut outbox = filled(1..=10);
        let taken = outbox.take_acked(&ranges(&[(1, 3), (5, 5), (9, 40)]));
        let numbers: Vec<_> = taken.iter().map(|(n, _)| *n).collect();
        assert_eq!(numbers, [1, 2, 3, 5, 9, 10]);
        let left: Vec<_> = outbox.from(0).map(|(n, _)| n).collect();
        assert_eq!(left, [4, 6, 7, 8]);
        assert_eq!(outbox.bytes, 12);
        assert_eq!(outbox.first(), Some(4));
    }

    #[test]
    fn frames_expire_in_order_of_their_time() {
        let mut outbox = filled([1]);
        outbox.insert(2, frame("x", Some(50)));
        outbox.insert(3, frame("y", Some(40)));
        outbox.insert(4, frame("z", Some(60)));
        assert_eq!(outbox.next_expiry_ms(), Some(40));
        let numbers: Vec<_> = outbox.take_expired(50).iter().map(|(n, _)| *n).collect();
        assert_eq!(numbers, [3, 2]);
        outbox.remove(4);
        assert_eq!(outbox.next_expiry_ms(), None);
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn only_a_frame_that_was_never_encrypted_is_changed() {
        let mut outbox = filled([1, 2]);
        assert_eq!(outbox.untouched_last(FrameKind::Text), Some(2));
        assert_eq!(outbox.untouched_last(FrameKind::Read), None);
        for n in [1, 2] {
            outbox.get_mut(n).expect("there").touched = true;
        }
        assert_eq!(outbox.untouched_last(FrameKind::Text), None);
    }
}
