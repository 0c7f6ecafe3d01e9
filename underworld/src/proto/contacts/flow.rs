//! What changes with every packet: numbers, what was received, and where the ratchet's chains stand.

use crate::proto::inbox::Inflow;

/// Receiving chains whose progress is remembered; the ratchet keeps as many.
const CHAINS_MAX: usize = 5;

/// The fast changing part of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flow {
    /// The number of the next frame of ours.
    pub(crate) next_seq: u64,
    /// Numbers that we left out when we recovered last, `from..to`. A friend who confirms one of them shows that our
    /// store is older than what was sent from it.
    pub(crate) skipped: Option<(u64, u64)>,
    /// Whether frames were received whose acknowledgement did not go out.
    pub(crate) owes_ack: bool,
    /// Session messages sent since the session was opened.
    pub(crate) sent_in_session: u32,
    /// When something of theirs last decrypted; 0 for never.
    pub(crate) heard_ms: u64,
    pub(crate) inflow: Inflow,
    pub(crate) chains: Chains,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            next_seq: 1,
            skipped: None,
            owes_ack: false,
            sent_in_session: 0,
            heard_ms: 0,
            inflow: Inflow::default(),
            chains: Chains::default(),
        }
    }
}

/// How far the newest receiving chains were read, newest last.
///
/// The ratchet bridges a gap in a chain but keeps only the keys of the last few messages in it. Knowing where a chain
/// stands, the inbox can wait with a message beyond a large gap until those before it had their chance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chains {
    pub(crate) read: Vec<Chain>,
}

/// A receiving chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) session: u16,
    pub(crate) ratchet_key: [u8; 32],
    /// The index of the next message, were they all to come in order.
    pub(crate) next: u64,
}

impl Chains {
    /// How many messages of the chain lie before this one and were not passed yet.
    pub(crate) fn gap_before(&self, session: u16, ratchet_key: &[u8; 32], index: u64) -> u64 {
        let next = self
            .read
            .iter()
            .find(|chain| chain.session == session && chain.ratchet_key == *ratchet_key)
            .map_or(0, |chain| chain.next);
        index.saturating_sub(next)
    }

    /// Notes that a message was read.
    pub(crate) fn passed(&mut self, session: u16, ratchet_key: [u8; 32], index: u64) {
        let next = index.saturating_add(1);
        let known = self
            .read
            .iter_mut()
            .find(|chain| chain.session == session && chain.ratchet_key == ratchet_key);
        if let Some(chain) = known {
            chain.next = chain.next.max(next);
            return;
        }
        if self.read.len() >= CHAINS_MAX {
            self.read.remove(0);
        }
        self.read.push(Chain {
            session,
            ratchet_key,
            next,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_from_where_a_chain_was_read() {
        let mut chains = Chains::default();
        assert_eq!(chains.gap_before(0, &[1; 32], 7), 7);
        chains.passed(0, [1; 32], 7);
        assert_eq!(chains.gap_before(0, &[1; 32], 8), 0);
        assert_eq!(chains.gap_before(0, &[1; 32], 3), 0);
        assert_eq!(chains.gap_before(1, &[1; 32], 8), 8);
        chains.passed(0, [1; 32], 3);
        assert_eq!(chains.gap_before(0, &[1; 32], 10), 2);
        for n in 2..=6 {
            chains.passed(0, [n; 32], 0);
        }
        assert_eq!(chains.gap_before(0, &[1; 32], 8), 8);
        assert_eq!(chains.read.len(), CHAINS_MAX);
    }
}
