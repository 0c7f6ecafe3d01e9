//! Which knocks one owner has had lately.
//!
//! A nonce that was seen within [`NONCES_KEPT`] is a replay (protocol section 11). Only knocks whose path and signature hold get here,
//! so the memory can be filled by the owner's friends alone; each of them (each slot) has a share of its own and cannot crowd out the
//! others.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

/// For how long a nonce is remembered.
pub const NONCES_KEPT: Duration = Duration::from_secs(600);

/// Why a knock does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeated {
    /// The very same knock came before.
    Nonce,
    /// The friend has used up its share; it may knock again after this time.
    Share(Duration),
}

/// The nonces that one owner's friends have used.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    seen: BTreeSet<[u8; 16]>,
    per_slot: BTreeMap<u8, VecDeque<(Instant, [u8; 16])>>,
}

impl Nonces {
    /// Notes a knock, unless it must not pass.
    pub(super) fn note(
        &mut self,
        slot: u8,
        nonce: [u8; 16],
        share: usize,
        now: Instant,
    ) -> Result<(), Repeated> {
        let queue = self.per_slot.entry(slot).or_default();
        while let Some((_, old)) = queue.front().copied().filter(|(until, _)| *until <= now) {
            queue.pop_front();
            self.seen.remove(&old);
        }
        if self.seen.contains(&nonce) {
            return Err(Repeated::Nonce);
        }
        if let Some((until, _)) = queue.front()
            && queue.len() >= share
        {
            return Err(Repeated::Share(until.saturating_duration_since(now)));
        }
        self.seen.insert(nonce);
        queue.push_back((now + NONCES_KEPT, nonce));
        Ok(())
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a virtual clock starts somewhere"
)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_passes_once_in_ten_minutes() {
        let mut nonces = Nonces::default();
        let start = Instant::now();
        assert_eq!(nonces.note(1, [1; 16], 10, start), Ok(()));
        assert_eq!(nonces.note(1, [1; 16], 10, start), Err(Repeated::Nonce));
        assert_eq!(
            nonces.note(2, [1; 16], 10, start),
            Err(Repeated::Nonce),
            "in any slot"
        );
        let almost = start + NONCES_KEPT - Duration::from_millis(1);
        assert_eq!(nonces.note(1, [1; 16], 10, almost), Err(Repeated::Nonce));
        assert_eq!(nonces.note(1, [1; 16], 10, start + NONCES_KEPT), Ok(()));
    }

    #[test]
    fn each_friend_has_a_share() {
        let mut nonces = Nonces::default();
        let start = Instant::now();
        for n in 0..3 {
            assert_eq!(nonces.note(1, [n; 16], 3, start), Ok(()));
        }
        assert_eq!(
            nonces.note(1, [7; 16], 3, start),
            Err(Repeated::Share(NONCES_KEPT))
        );
        assert_eq!(nonces.note(1, [0; 16], 3, start), Err(Repeated::Nonce));
        assert_eq!(
            nonces.note(2, [7; 16], 3, start),
            Ok(()),
            "others are not held up"
        );
        assert_eq!(nonces.note(1, [8; 16], 3, start + NONCES_KEPT), Ok(()));
        assert_eq!(nonces.seen.len(), 2);
    }
}
