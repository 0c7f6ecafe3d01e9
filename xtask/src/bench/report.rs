//! Rows, as a table for people and as JSON for programs.

use std::fs;

use serde_json::{Value, json};

/// What is good in a row.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    /// The median is to be at most this.
    AtMost(f64),
    /// The median at most the first, the 99th percentile at most the second.
    Latency(f64, f64),
    /// The median is to be at least this.
    AtLeast(f64),
    /// There is none; the row explains another.
    None,
}

/// One measured quantity.
pub(super) struct Row {
    what: String,
    unit: &'static str,
    median: Option<f64>,
    p99: Option<f64>,
    worst: Option<f64>,
    samples: usize,
    goal: Goal,
    peer: &'static str,
    note: String,
}

impl Row {
    /// A row of samples in one unit.
    pub(super) fn new(what: &str, unit: &'static str, goal: Goal, samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            what: what.to_owned(),
            unit,
            median: percentile(&sorted, 50),
            // Below a hundred samples there is no such thing as one in a hundred.
            p99: percentile(&sorted, 99).filter(|_| sorted.len() >= 100),
            worst: if let Goal::AtLeast(_) = goal {
                sorted.first().copied()
            } else {
                sorted.last().copied()
            },
            samples: sorted.len(),
            goal,
            peer: "",
            note: String::new(),
        }
    }

    /// A row, or several, without a value.
    pub(super) fn not_measured(what: &str, why: &str) -> Self {
        Self::new(what, "", Goal::None, &[]).note(&format!("not measured: {why}"))
    }

    /// What a peer reaches, or what limits the value.
    pub(super) fn peer(mut self, peer: &'static str) -> Self {
        self.peer = peer;
        self
    }

    /// What has to be known beside the value.
    pub(super) fn note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.note);
        self
    }

    fn is_met(&self) -> Option<bool> {
        let median = self.median?;
        match self.goal {
            Goal::AtMost(most) => Some(median <= most),
            Goal::Latency(most, tail) => {
                Some(median <= most && self.p99.is_none_or(|p99| p99 <= tail))
            }
            Goal::AtLeast(least) => Some(median >= least),
            Goal::None => None,
        }
    }

    fn goal(&self) -> String {
        let unit = self.unit;
        match self.goal {
            Goal::AtMost(most) => format!("<= {} {unit}", short(most)),
            Goal::Latency(most, tail) => {
                format!("p50 <= {}, p99 <= {} {unit}", short(most), short(tail))
            }
            Goal::AtLeast(least) => format!(">= {} {unit}", short(least)),
            Goal::None => String::new(),
        }
    }

    fn cells(&self) -> [String; 8] {
        let value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), short);
        let met = match self.is_met() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        [
            self.what.clone(),
            value(self.median),
            value(self.p99),
            value(self.worst),
            self.unit.to_owned(),
            self.goal(),
            met.to_owned(),
            [self.peer, &self.note]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("; "),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "unit": self.unit,
            "median": self.median,
            "p99": self.p99,
            "worst": self.worst,
            "samples": self.samples,
            "goal": self.goal(),
            "met": self.is_met(),
            "peer": self.peer,
            "note": self.note,
        })
    }
}

/// All rows and the machine's load around them.
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    load_before: String,
    load_after: String,
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::new(),
            load_before: load(),
            load_after: String::new(),
        }
    }

    /// Notes the load at the end.
    pub(super) fn finish(&mut self) {
        self.load_after = load();
    }

    pub(super) fn table(&self) -> String {
        let heads = [
            "what",
            "median",
            "p99",
            "worst",
            "unit",
            "goal",
            "met",
            "a peer, the limit, remarks",
        ];
        let mut lines = vec![heads.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let mut table = String::new();
        for (n, cells) in lines.iter().enumerate() {
            table.push_str(&format!("| {} |\n", cells.join(" | ")));
            if n == 0 {
                table.push_str("|---|---:|---:|---:|---|---|---|---|\n");
            }
        }
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        format!(
            "{table}\n{cores} cores; load before: {}; after: {}\n",
            self.load_before, self.load_after
        )
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "load_before": self.load_before,
            "load_after": self.load_after,
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        })
    }
}

/// The load averages over 1, 5 and 15 minutes, where the system tells them.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<&str> = text.split(' ').take(3).collect();
    if text.is_empty() {
        "unknown".to_owned()
    } else {
        averages.join(" ")
    }
}

fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last * percent).div_ceil(100)).copied()
}

/// Three digits that count, thousands set apart.
fn short(value: f64) -> String {
    if value < 1000.0 {
        let digits = match value {
            v if v >= 100.0 => 0,
            v if v >= 10.0 => 1,
            v if v >= 1.0 => 2,
            _ => 3,
        };
        let text = format!("{value:.digits$}");
        return match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        };
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_samples() {
        let samples: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let row = Row::new("x", "ms", Goal::Latency(50.0, 98.0), &samples);
        assert_eq!((row.median, row.p99), (Some(50.0), Some(99.0)));
        assert_eq!(row.is_met(), Some(false), "the tail is too long");
        let row = Row::new("x", "ms", Goal::AtLeast(50.0), &samples[..9]);
        assert_eq!((row.p99, row.is_met()), (None, Some(true)));
        assert_eq!(Row::not_measured("x", "no reason").is_met(), None);
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.05, 0.3333, 1.0, 12.34, 999.4, 1234.5, 1_234_567.0].map(short);
        let expected = ["0.05", "0.333", "1", "12.3", "999", "1 234", "1 234 567"];
        assert_eq!(texts, expected);
    }
}
