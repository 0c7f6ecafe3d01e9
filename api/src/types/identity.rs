//! `identity.init` and `identity.show`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Passphrase, Protection, Time};

/// Parameters of `identity.init`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityInitParams {
    /// The name to go by; friends see it when they invite or are invited.
    pub name: String,
    /// What protects the store; absent takes `passphrase` if one is given, else what the daemon
    /// was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
    /// The passphrase of the new store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Passphrase>,
    /// The network to belong to; absent takes what the home already has, else `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Sky nodes to begin with; empty takes what the home already has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sky: Vec<String>,
}

/// Answer of `identity.init` and `identity.show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The identity in the form that people compare.
    pub identity: String,
    /// The name that the owner goes by.
    pub name: String,
    /// The network that the identity lives in.
    pub network: String,
    /// What protects the store.
    pub protection: Protection,
    /// When it was made.
    pub created_at: Time,
}
