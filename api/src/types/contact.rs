//! `contact.list`, `contact.get`, `contact.rename`, `contact.verify`, `contact.block`,
//! `contact.unblock` and `contact.remove`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Page, Time};

/// How far an acquaintance has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// We accepted an invite and wait for the inviter's answer.
    Requested,
    /// Somebody used an invite of ours that asks; `invite.approve` decides.
    Asked,
    /// We approved and wait for the first sign that our answer arrived.
    Accepted,
    /// Messages can flow both ways.
    Established,
    /// We refuse whatever comes from it.
    Blocked,
    /// It is no longer a contact; the conversation remains.
    Removed,
    /// It never became one: the invite was used by somebody else, withdrawn, or not answered in time.
    Failed,
}

impl ContactState {
    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Asked => "asked",
            Self::Accepted => "accepted",
            Self::Established => "established",
            Self::Blocked => "blocked",
            Self::Removed => "removed",
            Self::Failed => "failed",
        }
    }
}

/// Whether a contact is reachable this very moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// A direct connection stands.
    Direct,
    /// None does; messages go to keepers.
    None,
}

/// A friend, or somebody on the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    /// Names the contact; never changes.
    pub contact_id: String,
    /// What it is called here; unique among the contacts.
    pub name: String,
    /// How far the acquaintance has come.
    pub state: ContactState,
    /// Whether somebody compared the safety number.
    pub verified: bool,
    /// The number to compare with the friend by other means; null until his identity is known.
    pub safety_number: Option<String>,
    /// Whether it is reachable now.
    pub link: LinkState,
    /// When something last came from it.
    pub last_seen: Option<Time>,
    /// When it was added.
    pub created_at: Time,
}

/// Parameters of `contact.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactListParams {
    /// Only those in this state; all but the removed if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ContactState>,
    /// Most rows wanted, 1 to 500; 50 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Answer of `contact.list`, by name.
pub type ContactListResponse = Page<Contact>;

/// Parameters of `contact.get`, `contact.block` and `contact.unblock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactParams {
    /// Which one, by name or id.
    pub contact: String,
}

/// Parameters of `contact.rename`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactRenameParams {
    /// Which one, by name or id.
    pub contact: String,
    /// What to call it from now on; must not be the name of another.
    pub name: String,
}

/// Parameters of `contact.verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactVerifyParams {
    /// Which one, by name or id.
    pub contact: String,
    /// The number that the friend read out; if given it must match, else the call is refused with
    /// `untrusted_key`. White space does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_number: Option<String>,
    /// What to note; `verified` if absent.
    #[serde(default)]
    pub mark: VerifyMark,
}

/// What `contact.verify` notes down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifyMark {
    /// The safety number was compared and matched.
    #[default]
    Verified,
    /// An earlier mark is taken back.
    Unverified,
}

/// Parameters of `contact.remove`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactRemoveParams {
    /// Which one, by name or id.
    pub contact: String,
    /// What happens to the conversation; `keep` if absent.
    #[serde(default)]
    pub history: HistoryFate,
}

/// What happens to a conversation when its contact is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryFate {
    /// It can still be read.
    #[default]
    Keep,
    /// It is deleted with the contact.
    Delete,
}
