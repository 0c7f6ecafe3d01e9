//! `net.sky`, `net.earth` and `net.ping`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// Answer of `net.sky`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetSkyResponse {
    /// Every sky node that the daemon knows of.
    pub nodes: Vec<SkyNode>,
}

/// A sky node as the daemon sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkyNode {
    /// The node's id.
    pub node_id: String,
    /// How to reach it, in the form that `--sky` takes.
    pub uri: String,
    /// Whether a connection stands.
    pub connected: bool,
    /// Whether our presence is registered there.
    pub registered: bool,
    /// The last measured round trip.
    pub rtt_us: Option<u64>,
    /// When it last answered.
    pub last_seen: Option<Time>,
}

/// Answer of `net.earth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetEarthResponse {
    /// Earth nodes known in all.
    pub known: u32,
    /// Those that hold our mailboxes or messages of ours; at most 500.
    pub nodes: Vec<EarthNode>,
}

/// An earth node as the daemon sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EarthNode {
    /// The node's id.
    pub node_id: String,
    /// How to reach it; null if only through the sky.
    pub uri: Option<String>,
    /// Whether it watches a mailbox of ours.
    pub watching: bool,
    /// Messages of ours that it signed for and that wait there.
    pub holding: u64,
    /// When it last answered.
    pub last_seen: Option<Time>,
}

/// Parameters of `net.ping`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetPingParams {
    /// The contact, by name or id.
    pub contact: String,
    /// How long to wait at most; 10 000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Answer of `net.ping`; a contact that does not answer is the error `no_route`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetPingResponse {
    /// The contact.
    pub contact_id: String,
    /// What it is called here.
    pub name: String,
    /// The round trip from daemon to daemon.
    pub rtt_us: u64,
    /// How it was found: the connection stood already, or after a knock.
    pub route: PingRoute,
}

/// How `net.ping` reached a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PingRoute {
    /// Over a connection that stood already.
    Direct,
    /// Over a connection made for it by a knock through the sky.
    Knocked,
}
