//! `hello`, `rpc.discover`, `status` and `daemon.shutdown`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cursor, Time};

/// Major version of this interface; a client of another major version is refused.
pub const API_MAJOR: u32 = 1;

/// Minor version of this interface; it grows with every addition.
pub const API_MINOR: u32 = 0;

/// Parameters of `hello`. All of them are optional, and so is the call itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HelloParams {
    /// Who calls; shown in the daemon's debug log only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientInfo>,
    /// The major versions that the caller understands; absent means that it takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiRange>,
}

/// Name and version of a client program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientInfo {
    /// The program, for example `hermes-cli`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A range of major versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiRange {
    /// The oldest major version that the caller understands.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

/// Answer of `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HelloResponse {
    /// The daemon's version.
    pub server_version: String,
    /// The version of the interface that it speaks.
    pub api: ApiVersion,
    /// Names of optional abilities, for example `events.consumer`.
    pub capabilities: Vec<String>,
    /// The state of the store.
    pub store: StoreInfo,
    /// The newest position in the event log; null while the store is locked or empty.
    pub cursor: Option<Cursor>,
}

/// A version of this interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiVersion {
    /// Changes when something is removed or changes its meaning.
    pub major: u32,
    /// Grows with additions.
    pub minor: u32,
}

/// What `hello` tells about the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreInfo {
    /// Names this incarnation of the store: a recreated or restored store has another, and cursors
    /// of the former are then `cursor_expired`. Null before `identity.init`.
    pub epoch: Option<String>,
    /// Whether a passphrase is needed before anything can be read.
    pub locked: bool,
}

/// Answer of `rpc.discover`: an OpenRPC document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DiscoverResponse(pub serde_json::Map<String, serde_json::Value>);

/// Answer of `status`: one screen about the daemon, complete also while it is locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusResponse {
    /// The daemon's version.
    pub version: String,
    /// The name that the owner gave himself; null before `identity.init` and while locked.
    pub name: Option<String>,
    /// The owner's identity, for people to compare; null before `identity.init` and while locked.
    pub identity: Option<String>,
    /// Whether there is an identity at all.
    pub initialized: bool,
    /// Whether a passphrase is needed before anything can be read.
    pub locked: bool,
    /// The network that the home belongs to; null before it is chosen.
    pub network: Option<String>,
    /// How the sky is reached.
    pub sky: SkyStatus,
    /// Which earth nodes are known.
    pub earth: EarthStatus,
    /// What this daemon keeps for others.
    pub keeping: KeepingStatus,
    /// Messages of ours that wait for delivery or for keepers.
    pub outbox: u64,
    /// The current address epoch.
    pub epoch: u32,
    /// Bytes that the store takes on disk.
    pub store_bytes: u64,
    /// Contacts that are established.
    pub contacts: u64,
    /// Messages not read yet.
    pub unread: u64,
    /// When the daemon started.
    pub started_at: Time,
    /// The daemon's process id.
    pub pid: u32,
    /// Where the daemon listens for clients.
    pub socket: String,
    /// Sentences about what needs attention; empty when all is well.
    pub warnings: Vec<String>,
}

/// The sky as this daemon sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkyStatus {
    /// Sky nodes that it has a connection to.
    pub connected: u32,
    /// Sky nodes that it knows of.
    pub known: u32,
    /// Whether friends can find it now: its presence stands at a sky node.
    pub registered: bool,
}

/// The earth as this daemon sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EarthStatus {
    /// Earth nodes that it knows of.
    pub known: u32,
    /// Earth nodes that watch its mailboxes now.
    pub watching: u32,
}

/// What this daemon keeps for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeepingStatus {
    /// Whether it keeps at all.
    pub enabled: bool,
    /// Deposits held.
    pub deposits: u64,
    /// Their bytes.
    pub bytes: u64,
}
