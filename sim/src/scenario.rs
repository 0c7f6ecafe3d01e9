//! Scenarios: what a run consists of, read from TOML.
//!
//! Everything but the seed is in the file. Unknown keys and impossible values are refused with a sentence that names them, since a fault
//! that never takes place would make a run look better than it was.

mod check;

use std::path::Path;

use serde::Deserialize;
use thiserror::Error;

use crate::churn::Model;

/// Why a scenario is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScenarioError {
    /// It is not TOML, or has a key or a value that no scenario has.
    #[error("the scenario cannot be read: {0}")]
    Text(String),
    /// A value is impossible.
    #[error("scenario: {key} {why}")]
    Value {
        /// Which one.
        key: String,
        /// What is demanded.
        why: String,
    },
    /// A file that it names cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        error: String,
    },
}

/// A scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The network's parameters: `main` or `lab`.
    #[serde(default = "main_network")]
    pub network: String,
    /// How long people write while programs come and go and faults happen, in days.
    pub days: f64,
    /// How long everything may take to arrive after everybody is back and all is well, in days.
    pub heal_days: f64,
    /// The least and the most that anything takes on its way, in milliseconds.
    pub latency_ms: (u64, u64),
    /// The share of cycles that stay open for a moment so that more inputs join them and crashes meet states that were not committed.
    #[serde(default)]
    pub batching_percent: f64,
    /// A bug that is planted to see whether it is found.
    #[serde(default)]
    pub bug: Option<Bug>,
    /// Who writes.
    pub people: People,
    /// Who keeps.
    pub keepers: Keepers,
    /// What goes wrong, and when.
    #[serde(default)]
    pub fault: Vec<Fault>,
    /// The text of the trace file that a model names.
    #[serde(skip)]
    pub measured: Option<String>,
}

fn main_network() -> String {
    "main".to_owned()
}

const fn a_day_h() -> f64 {
    24.0
}

/// Bugs that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bug {
    /// Now and then a person's commit is lost although its effects went out, and the program is killed.
    ForgetCommit,
}

/// People.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// How many.
    pub count: usize,
    /// Friends of each: the next ones in a circle, so an even number.
    pub friends: usize,
    /// Messages that each writes in a day of being there.
    pub messages_per_day: f64,
    /// The share of messages that their sender gives a time after which he no longer cares.
    #[serde(default)]
    pub expiring_percent: f64,
    /// That time, in hours.
    #[serde(default = "a_day_h")]
    pub expires_h: f64,
    /// The model of their sessions.
    pub churn: String,
    /// The size of the wave over the day, 0 to 1.
    #[serde(default)]
    pub diurnal: f64,
    /// The share of stops that are orderly; the others are kills.
    pub goodbye_percent: f64,
    /// The share of people who cannot be dialled.
    #[serde(default)]
    pub closed_percent: f64,
}

/// Keepers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keepers {
    /// How many.
    pub count: usize,
    /// The model of their sessions. Their disks stay.
    pub churn: String,
    /// The size of the wave over the day, 0 to 1.
    #[serde(default)]
    pub diurnal: f64,
    /// The share of stops that are announced.
    pub goodbye_percent: f64,
    /// Bytes that each keeps at most.
    pub bytes_max: u64,
    /// Until a keeper that starts is on everybody's list, in seconds.
    pub announce_s: u64,
    /// Until a keeper that is gone without a word is off everybody's list, in seconds.
    pub detection_s: u64,
    /// The least and the most that a synced commit takes, in milliseconds.
    pub commit_ms: (u64, u64),
}

/// What happens to a crashed keeper's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskFate {
    /// It comes back with its keeper.
    Kept,
    /// It is lost, with the keeper's key: what comes back is a new keeper.
    Lost,
}

/// How a keeper lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conduct {
    /// It signs receipts and stores nothing.
    Drop,
    /// It hands out again what its owner deleted.
    Replay,
}

/// When a fault begins, and how long it lasts, in hours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct When {
    /// Hours after people began to write.
    pub at_h: f64,
    /// Hours until it is over.
    pub for_h: f64,
}

/// Something that goes wrong for a time.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are described once, at the kinds")]
pub enum Fault {
    /// A share of the keepers that run crash at one instant, and stay away.
    Crash {
        at_h: f64,
        for_h: f64,
        share: f64,
        disk: DiskFate,
    },
    /// A share of people and keepers cannot be reached by the others. Sky still reaches all.
    Partition { at_h: f64, for_h: f64, share: f64 },
    /// Of all requests to keepers and all knocks, so many percent are lost.
    Loss { at_h: f64, for_h: f64, percent: f64 },
    /// The wall clocks of a share of people go wrong, half of them ahead and half behind.
    Skew {
        at_h: f64,
        for_h: f64,
        share: f64,
        by_s: u32,
    },
    /// A share of keepers lies.
    Byzantine {
        at_h: f64,
        for_h: f64,
        share: f64,
        conduct: Conduct,
    },
    /// The disks of a share of keepers take up to so long for a commit.
    SlowDisk {
        at_h: f64,
        for_h: f64,
        share: f64,
        commit_ms: u64,
    },
    /// Of the commits of a share of keepers so many percent fail.
    FailingDisk {
        at_h: f64,
        for_h: f64,
        share: f64,
        percent: f64,
    },
    /// A share of the people who are there is killed in the midst of a cycle, and starts again at once.
    Kill { at_h: f64, share: f64 },
}

impl Fault {
    /// When it takes place.
    #[must_use]
    pub const fn when(&self) -> When {
        let (at_h, for_h) = match *self {
            Self::Crash { at_h, for_h, .. }
            | Self::Partition { at_h, for_h, .. }
            | Self::Loss { at_h, for_h, .. }
            | Self::Skew { at_h, for_h, .. }
            | Self::Byzantine { at_h, for_h, .. }
            | Self::SlowDisk { at_h, for_h, .. }
            | Self::FailingDisk { at_h, for_h, .. } => (at_h, for_h),
            Self::Kill { at_h, .. } => (at_h, 0.0),
        };
        When { at_h, for_h }
    }

    const fn share(&self) -> f64 {
        match *self {
            Self::Loss { .. } => 1.0,
            Self::Crash { share, .. }
            | Self::Partition { share, .. }
            | Self::Skew { share, .. }
            | Self::Byzantine { share, .. }
            | Self::SlowDisk { share, .. }
            | Self::FailingDisk { share, .. }
            | Self::Kill { share, .. } => share,
        }
    }
}

impl Scenario {
    /// Reads and checks a scenario; a trace file that it names is looked for beside `folder`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ScenarioError> {
        Self::parse_with(text, |name| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|error| ScenarioError::File {
                path: path.display().to_string(),
                error: error.to_string(),
            })
        })
    }

    /// The same, with the trace file's text at hand.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_with(
        text: &str,
        measured: impl Fn(&str) -> Result<String, ScenarioError>,
    ) -> Result<Self, ScenarioError> {
        let mut scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError::Text(error.to_string()))?;
        let models = [&scenario.people.churn, &scenario.keepers.churn];
        if let Some(file) = models.iter().find_map(|name| name.strip_prefix("trace:")) {
            scenario.measured = Some(measured(file)?);
        }
        scenario.check()?;
        Ok(scenario)
    }

    /// Changes the number of people and keepers to `nodes` in all, in the same proportion.
    ///
    /// # Errors
    /// If there would be too few of them.
    pub fn resize(&mut self, nodes: usize) -> Result<(), ScenarioError> {
        let all = self.people.count + self.keepers.count;
        self.people.count = nodes * self.people.count / all.max(1);
        self.keepers.count = nodes - self.people.count;
        self.check()
    }

    /// People and keepers.
    #[must_use]
    pub const fn nodes(&self) -> usize {
        self.people.count + self.keepers.count
    }

    /// The model of people and the one of keepers.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn models(&self) -> Result<(Model, Model), ScenarioError> {
        let model = |key: &str, name: &str| {
            Model::named(name, self.measured.as_deref()).map_err(|why| ScenarioError::Value {
                key: key.to_owned(),
                why,
            })
        };
        Ok((
            model("people.churn:", &self.people.churn)?,
            model("keepers.churn:", &self.keepers.churn)?,
        ))
    }
}
