//! `ui.presence`: which conversation somebody is looking at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `ui.presence`.
///
/// A claim belongs to the connection that made it and ends with it. While a focused user interface
/// claims a conversation, the daemon shows no desktop notification for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UiPresenceParams {
    /// Whether the user interface has the keyboard.
    pub focused: bool,
    /// The conversation in view, by its id or by the contact's name or id; null for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
}
