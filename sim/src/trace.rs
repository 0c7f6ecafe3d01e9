//! What happened, step by step, as one hash.
//!
//! A step is a time, a kind, and the handles of who took part. Bytes of messages are not in it: the ratchet's library draws its keys from
//! the system, so they differ between runs that are otherwise the same. Two runs with the same hash did the same things at the same time.

use std::collections::VecDeque;

use hermes_wire::kdf::h;

/// Steps that are remembered for whoever asks what came before a violation.
const REMEMBERED: usize = 40;

/// Bytes of steps that are hashed together.
const BLOCK: usize = 4_096;

/// The trace of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: [u8; 32],
    block: Vec<u8>,
    steps: u64,
    last: VecDeque<Step>,
}

/// One step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    number: u64,
    at_ms: u64,
    kind: &'static str,
    about: [u64; 3],
}

impl Trace {
    pub(crate) const fn new() -> Self {
        Self {
            hash: [0; 32],
            block: Vec::new(),
            steps: 0,
            last: VecDeque::new(),
        }
    }

    pub(crate) fn add(&mut self, at_ms: u64, kind: &'static str, about: [u64; 3]) {
        self.steps += 1;
        self.block.extend(at_ms.to_le_bytes());
        self.block.extend(kind.as_bytes());
        self.block.push(0);
        for number in about {
            self.block.extend(number.to_le_bytes());
        }
        if self.block.len() >= BLOCK {
            self.hash = h(&[&self.hash, &self.block]);
            self.block.clear();
        }
        if self.last.len() >= REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(Step {
            number: self.steps,
            at_ms,
            kind,
            about,
        });
    }

    /// How many steps there were.
    pub(crate) const fn steps(&self) -> u64 {
        self.steps
    }

    /// The hash of all steps so far, in hexadecimal digits; 128 bits of it tell runs apart.
    pub(crate) fn hash(&self) -> String {
        let all = h(&[&self.hash, &self.block]);
        all.iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The last steps as lines.
    pub(crate) fn tail(&self) -> Vec<String> {
        let line = |step: &Step| {
            let [a, b, c] = step.about;
            let seconds = step.at_ms as f64 / 1_000.0;
            format!(
                "{:>9} {seconds:>12.3} s  {:<16} {a} {b} {c}",
                step.number, step.kind
            )
        };
        self.last.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_every_part_of_every_step() {
        let of = |steps: &[(u64, &'static str, [u64; 3])]| {
            let mut trace = Trace::new();
            for (at, kind, about) in steps {
                trace.add(*at, kind, *about);
            }
            trace.hash()
        };
        let base = of(&[(1, "a", [1, 2, 3]), (2, "b", [0; 3])]);
        assert_eq!(base, of(&[(1, "a", [1, 2, 3]), (2, "b", [0; 3])]));
        assert_ne!(base, of(&[(1, "a", [1, 2, 4]), (2, "b", [0; 3])]));
        assert_ne!(base, of(&[(1, "c", [1, 2, 3]), (2, "b", [0; 3])]));
        assert_ne!(base, of(&[(2, "b", [0; 3]), (1, "a", [1, 2, 3])]));
        assert_ne!(base, of(&[(1, "a", [1, 2, 3])]));
    }
}
