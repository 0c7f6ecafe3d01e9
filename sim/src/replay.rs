//! Replay files: all that a broken run depends on, and where it broke.

use serde::{Deserialize, Serialize};

use crate::{
    ledger::Violation,
    scenario::{Scenario, ScenarioError},
};

/// A run that broke an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The scenario's name.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// People and keepers, if another number than the scenario's was asked for.
    pub nodes: Option<usize>,
    /// The number of the step at which the first invariant broke.
    pub step: u64,
    /// The trace's hash at that step.
    pub trace_hash: String,
    /// What broke.
    pub what: String,
    /// The scenario's text.
    pub scenario: String,
    /// The text of the trace file that it names.
    pub measured: Option<String>,
}

impl Replay {
    /// Describes the first violation of a run.
    #[must_use]
    pub fn of(
        name: &str,
        text: &str,
        scenario: &Scenario,
        seed: u64,
        nodes: Option<usize>,
        violation: &Violation,
    ) -> Self {
        Self {
            name: name.to_owned(),
            seed,
            nodes,
            step: violation.step,
            trace_hash: violation.hash.clone(),
            what: violation.what.clone(),
            scenario: text.to_owned(),
            measured: scenario.measured.clone(),
        }
    }

    /// The scenario that was run.
    ///
    /// # Errors
    /// If this version does not understand it.
    pub fn scenario(&self) -> Result<Scenario, ScenarioError> {
        let mut scenario = Scenario::parse_with(&self.scenario, |file| {
            self.measured.clone().ok_or_else(|| ScenarioError::File {
                path: file.to_owned(),
                error: "the replay file lacks it".to_owned(),
            })
        })?;
        if let Some(nodes) = self.nodes {
            scenario.resize(nodes)?;
        }
        Ok(scenario)
    }
}
