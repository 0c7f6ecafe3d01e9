//! What several resources share: pages and empty answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows in a page when the caller names no limit.
pub const PAGE_LIMIT_DEFAULT: u32 = 50;

/// Most rows in one page; larger limits are refused as wrong parameters. 500 messages of the
/// usual size stay far below the 4 MiB that a response may have.
pub const PAGE_LIMIT_MAX: u32 = 500;

/// Which page of a list to answer with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageParams {
    /// Most rows wanted, 1 to 500; 50 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// What to give as `after` for the following page; null on the last.
    pub next: Option<String>,
}

/// Parameters of a method that takes none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// The answer of a method that has nothing to tell but success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}
