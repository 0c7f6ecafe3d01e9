//! When old keys may be deleted, and when addresses change.
//!
//! Keys that reach past epochs are deleted for good, so a wall clock that is wrong for a while must not decide it. Time
//! for deletion is the smaller of what the wall clock says and what it would say if it had run evenly since the store
//! was loaded; and nothing is deleted in the first while after loading, in which a clock that was wrong at boot is
//! usually set right.

use std::time::{Duration, Instant};

use hermes_wire::{Network, ids::Epoch};

use super::now::Now;

/// How long after loading nothing is deleted, in milliseconds; shorter where epochs are.
const SETTLE_MS: u64 = 3_600_000;

/// How far from an epoch's edge both sides of it are served, in seconds; a whole epoch where that is shorter.
const MARGIN_S: u64 = 3_600;

/// How far from the edge of a part of an epoch both sides are served, in seconds; a whole part where that is shorter.
const PART_MARGIN_S: u64 = 60;

/// A difference between the two clocks' progress that counts as a jump of the wall clock.
const JUMP_MS: u64 = 2_000;

/// Remembers how the clocks stood.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    loaded: Now,
    seen: Now,
}

impl Clock {
    pub(crate) const fn new(now: Now) -> Self {
        Self {
            loaded: now,
            seen: now,
        }
    }

    /// Notes the time; gives whether the wall clock jumped since the last call.
    pub(crate) fn jumped(&mut self, now: Now) -> bool {
        let even = even_ms(&self.seen, now.mono);
        self.seen = now;
        even.abs_diff(now.unix_ms) > JUMP_MS
    }

    /// The time by which deletions are decided, if any may be yet.
    pub(crate) fn for_deletion_s(&self, net: &Network, now: Now) -> Option<u64> {
        let settle = SETTLE_MS.min(u64::from(net.params().epoch_s) * 1_000);
        if since(&self.loaded, now.mono) < Duration::from_millis(settle) {
            return None;
        }
        Some(even_ms(&self.loaded, now.mono).min(now.unix_ms) / 1_000)
    }
}

/// What the wall clock would show had it run evenly since `from`.
fn even_ms(from: &Now, mono: Instant) -> u64 {
    let passed = u64::try_from(since(from, mono).as_millis()).unwrap_or(u64::MAX);
    from.unix_ms.saturating_add(passed)
}

fn since(from: &Now, mono: Instant) -> Duration {
    mono.saturating_duration_since(from.mono)
}

/// A part of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) epoch: Epoch,
    pub(crate) part: u8,
}

/// The epochs that are served at a time, and the parts.
pub(crate) trait Calendar {
    /// How far from an epoch's edge both sides are served.
    fn margin_s(&self) -> u64;
    /// How far from a part's edge both sides are served.
    fn part_margin_s(&self) -> u64;
    /// The part at a time.
    fn part_at(&self, unix_s: u64) -> Part;
    /// When the part at a time ends.
    fn part_end(&self, unix_s: u64) -> u64;
    /// When an epoch ends.
    fn epoch_end(&self, epoch: Epoch) -> u64;
}

impl Calendar for Network {
    fn margin_s(&self) -> u64 {
        MARGIN_S.min(u64::from(self.params().epoch_s))
    }

    fn part_margin_s(&self) -> u64 {
        PART_MARGIN_S.min(self.part_len_s())
    }

    fn part_at(&self, unix_s: u64) -> Part {
        Part {
            epoch: self.epoch(unix_s),
            part: self.part(unix_s),
        }
    }

    fn part_end(&self, unix_s: u64) -> u64 {
        let now = self.part_at(unix_s);
        // Where parts are shorter than a second some of them are empty.
        (now.part + 1..self.params().presence_parts)
            .map(|part| self.part_start(now.epoch, part))
            .find(|start| *start > unix_s)
            .unwrap_or_else(|| self.epoch_end(now.epoch))
    }

    fn epoch_end(&self, epoch: Epoch) -> u64 {
        self.epoch_start(epoch.next())
    }
}

/// The shortest length of a part.
trait PartLen {
    fn part_len_s(&self) -> u64;
}

impl PartLen for Network {
    fn part_len_s(&self) -> u64 {
        let p = self.params();
        (u64::from(p.epoch_s) / u64::from(p.presence_parts)).max(1)
    }
}

/// The parts under which to be present at a time, the current one first, and when that changes next.
///
/// Each owner takes up a new part a while before it starts and leaves it a while after it ended, so that friends with
/// other clocks find him. `spread` gives the random share of these whiles for the edge at a time, at most
/// `register_jitter_s`, so that not everybody registers at one moment.
pub(crate) fn parts_served(
    net: &Network,
    unix_s: u64,
    spread: impl Fn(u64) -> u64,
) -> (Vec<Part>, u64) {
    let jitter = |edge: u64| spread(edge).min(net.part_len_s().saturating_sub(net.part_margin_s()));
    let current = net.part_at(unix_s);
    let end = net.part_end(unix_s);
    let start = part_begin(net, unix_s);
    let mut parts = vec![current];
    let mut change = end;
    let leave = start + net.part_margin_s() + jitter(start);
    if unix_s < leave && start > hermes_wire::network::T0 {
        parts.push(net.part_at(start - 1));
        change = change.min(leave);
    }
    let enter = end - (net.part_margin_s() + jitter(end)).min(end - start);
    if unix_s >= enter {
        parts.push(net.part_at(end));
    } else {
        change = change.min(enter);
    }
    (parts, change)
}

/// When the part at a time began.
fn part_begin(net: &Network, unix_s: u64) -> u64 {
    let now = net.part_at(unix_s);
    net.part_start(now.epoch, now.part).min(unix_s)
}

#[cfg(test)]
mod tests {
    use hermes_wire::network::{Params, T0};

    use super::*;

    fn at(start: Instant, mono_s: u64, unix_s: u64) -> Now {
        Now {
            mono: start + Duration::from_secs(mono_s),
            unix_ms: unix_s * 1_000,
        }
    }

    #[test]
    fn a_clock_that_jumps_deletes_nothing_early() {
        let net = Network::main();
        let start = crate::testing::start();
        let t = T0 + 1_000_000;
        let mut clock = Clock::new(at(start, 0, t));
        assert_eq!(clock.for_deletion_s(&net, at(start, 10, t + 10)), None);
        // The wall clock is a year ahead: time goes on evenly.
        let year = 31_536_000;
        assert!(clock.jumped(at(start, 4_000, t + year)));
        assert_eq!(
            clock.for_deletion_s(&net, at(start, 4_000, t + year)),
            Some(t + 4_000)
        );
        assert!(!clock.jumped(at(start, 4_001, t + year + 1)));
        // It is set back: what it says counts.
        assert!(clock.jumped(at(start, 5_000, t - 50)));
        assert_eq!(
            clock.for_deletion_s(&net, at(start, 5_000, t - 50)),
            Some(t - 50)
        );
    }

    #[test]
    fn both_sides_of_an_edge_are_served() {
        let net = Network::lab();
        let part_len = 21_600;
        let t = T0 + 5 * 86_400;
        let numbers = |unix_s| -> (Vec<u8>, u64) {
            let (parts, change) = parts_served(&net, unix_s, |_| 0);
            (parts.iter().map(|p| p.part).collect(), change - t)
        };
        assert_eq!(numbers(t + 1), (vec![0, 3], 60));
        assert_eq!(numbers(t + 60), (vec![0], part_len - 60));
        assert_eq!(numbers(t + part_len - 60), (vec![0, 1], part_len));
        assert_eq!(numbers(t + part_len), (vec![1, 0], part_len + 60));
    }

    #[test]
    fn jitter_is_spent_before_and_after_the_edge() {
        let net = Network::main();
        let edge = T0 + 86_400;
        let (parts, change) = parts_served(&net, edge - 500, |at| if at == edge { 600 } else { 0 });
        assert_eq!(parts.len(), 2);
        assert_eq!(change, edge);
        let (parts, change) = parts_served(&net, edge + 500, |at| if at == edge { 600 } else { 0 });
        assert_eq!(parts.len(), 2);
        assert_eq!(change, edge + 660);
    }

    #[test]
    fn short_epochs_have_edges_all_the_time() {
        for (epoch_s, parts) in [(1, 4), (2, 4), (3, 24), (20, 4), (7, 1)] {
            let net = Network::new(Params {
                epoch_s,
                presence_parts: parts,
                expiry_default_s: 60,
                expiry_max_s: 120,
                grace_s: 60,
                ..Network::lab().params().clone()
            })
            .expect("valid");
            for t in T0 + 100..T0 + 160 {
                let (served, change) = parts_served(&net, t, |_| 5);
                assert!(change > t, "{epoch_s} s epochs, time {t}");
                assert_eq!(served.first(), Some(&net.part_at(t)));
                assert!(served.len() <= 3);
            }
        }
    }
}
