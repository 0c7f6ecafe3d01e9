//! `store.unlock`, `store.lock` and `store.change_passphrase`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Passphrase;

/// What protects the key of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// A passphrase, stretched with Argon2id.
    Passphrase,
    /// The keyring of the operating system.
    Keyring,
    /// Nothing: whoever reads the disk reads the messages.
    None,
}

/// Parameters of `store.unlock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreUnlockParams {
    /// The passphrase given at `identity.init` or changed since.
    pub passphrase: Passphrase,
}

/// Answer of `store.unlock` and `store.lock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreLockResponse {
    /// Whether the store is locked now.
    pub locked: bool,
}

/// Parameters of `store.change_passphrase`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreChangePassphraseParams {
    /// The present passphrase; absent if the store has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Passphrase>,
    /// The new one; absent only together with another `protection`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Passphrase>,
    /// What protects the store from now on; `passphrase` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
}
