//! `doctor`: what a daemon finds out about its own health.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answer of `doctor`. Identities and addresses are left out, so that it can be pasted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorResponse {
    /// The checks, in the order they were made.
    pub checks: Vec<Check>,
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// A stable name, for example `sky.reachable`.
    pub name: String,
    /// What came of it.
    pub outcome: CheckOutcome,
    /// What was found, in one sentence.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// All well.
    Ok,
    /// It works, but not as it should.
    Warn,
    /// It does not work.
    Fail,
    /// It could not be looked at.
    Skipped,
}
