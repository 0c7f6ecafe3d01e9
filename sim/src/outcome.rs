//! What came of a run, as a table and as JSON.

use std::fmt;

use serde_json::{Value, json};

use crate::ledger::{Counts, Violation};

/// How much of everything there was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Deposits that were brought to keepers, each retry anew.
    pub deposits: u64,
    /// Receipts that honest keepers signed.
    pub receipts: u64,
    /// Deposits that keepers refused.
    pub refusals: u64,
    /// Passes over the keepers of a mailbox.
    pub passes: u64,
    /// Direct links that came about.
    pub links: u64,
    /// Cycles of all people.
    pub cycles: u64,
    /// Keepers that stopped without a word.
    pub keeper_crashes: u64,
    /// Disks that were lost.
    pub disks_lost: u64,
    /// Commits of keepers that failed.
    pub failed_commits: u64,
    /// Deleted deposits that lying keepers handed out again.
    pub replayed: u64,
    /// People's programs that were killed in the midst of a cycle.
    pub kills: u64,
    /// Alarms that people saw.
    pub alarms: u64,
    /// Sessions that were replaced, by re-keying or recovery.
    pub renewals: u64,
    /// Messages that a core did not accept, and said so.
    pub refused: u64,
    /// How long it took after the healing began until nothing was under way, in milliseconds.
    pub heal_ms: u64,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// People and keepers.
    pub nodes: usize,
    /// How long the run was on the virtual clock, in milliseconds.
    pub simulated_ms: u64,
    /// The hash of the trace.
    pub hash: String,
    /// Steps of the trace.
    pub steps: u64,
    /// The last steps, as lines.
    pub tail: Vec<String>,
    /// What became of messages.
    pub counts: Counts,
    /// How many invariants were broken.
    pub violated: u64,
    /// The first of them.
    pub violations: Vec<Violation>,
    /// How much of everything there was.
    pub figures: Figures,
    /// The times from accepted to shown, shortest first.
    pub latencies_ms: Vec<u64>,
}

impl Outcome {
    /// Whether no invariant was broken.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.violated == 0
    }

    /// The latency that so many per mille of the messages stayed below.
    #[must_use]
    pub fn latency_ms(&self, per_mille: usize) -> Option<u64> {
        let last = self.latencies_ms.len().checked_sub(1)?;
        self.latencies_ms
            .get(last * per_mille.min(1_000) / 1_000)
            .copied()
    }

    /// One object for programs.
    #[must_use]
    pub fn json(&self, scenario: &str, seed: u64) -> Value {
        let (counts, figures) = (&self.counts, &self.figures);
        json!({
            "scenario": scenario, "seed": seed, "nodes": self.nodes,
            "simulated_s": self.simulated_ms / 1_000, "trace_hash": self.hash, "steps": self.steps,
            "accepted": counts.accepted, "delivered": counts.delivered, "lost": counts.lost,
            "doubled": counts.doubled, "misordered": counts.misordered, "late": counts.late,
            "expired_told": counts.expired_told, "violations": self.violated,
            "latency_median_ms": self.latency_ms(500), "latency_p99_ms": self.latency_ms(990),
            "deposits": figures.deposits, "receipts": figures.receipts, "refusals": figures.refusals,
            "passes": figures.passes, "links": figures.links, "cycles": figures.cycles,
            "keeper_crashes": figures.keeper_crashes, "disks_lost": figures.disks_lost,
            "failed_commits": figures.failed_commits, "replayed": figures.replayed,
            "kills": figures.kills, "alarms": figures.alarms, "renewals": figures.renewals,
            "refused": figures.refused, "heal_s": figures.heal_ms / 1_000,
        })
    }
}

/// The table.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Value::Object(fields) = self.json("", 0) else {
            return Ok(());
        };
        // JSON sorts its fields; a reader wants what matters first.
        let first = [
            "accepted",
            "delivered",
            "lost",
            "doubled",
            "misordered",
            "expired_told",
            "violations",
        ];
        let named = first.iter().filter_map(|name| fields.get_key_value(*name));
        let others = fields.iter().filter(|(name, _)| {
            !first.contains(&name.as_str()) && !["scenario", "seed"].contains(&name.as_str())
        });
        for (name, value) in named.chain(others) {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            writeln!(f, "{name:<20}{value:>34}")?;
        }
        for Violation {
            at_ms, step, what, ..
        } in self.violations.iter().take(10)
        {
            writeln!(f, "violation at {} s, step {step}: {what}", at_ms / 1_000)?;
        }
        Ok(())
    }
}
