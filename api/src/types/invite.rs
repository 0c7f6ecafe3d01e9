//! `invite.create`, `invite.inspect`, `invite.accept`, `invite.approve`, `invite.list` and
//! `invite.revoke`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ContactState, Page, Time};

/// Whether the inviter is asked before an invitee becomes a contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Making the invite is the approval: whoever holds it becomes a contact.
    #[default]
    Given,
    /// The invitee waits as `asked` until `invite.approve`.
    Ask,
}

/// Parameters of `invite.create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteCreateParams {
    /// Whether to ask before the invitee becomes a contact.
    #[serde(default)]
    pub approval: Approval,
    /// How long the invite stands, rounded up to the network's unit of expiry (an hour); the network's usual time if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// A note for the inviter himself, shown by `invite.list` and never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Answer of `invite.create`. Whoever holds the link can use it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteCreateResponse {
    /// The link to give to the friend, `hermes:...`.
    pub invite: String,
    /// Names the invite for `invite.revoke`; not a secret.
    pub invite_id: String,
    /// The same link in upper case, which makes a small QR code.
    pub qr: String,
    /// Whether the invitee must be approved.
    pub approval: Approval,
    /// When it ceases to work.
    pub expires_at: Time,
}

/// Parameters of `invite.inspect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteInspectParams {
    /// The link; white space around it and the case of its letters do not matter.
    pub invite: String,
}

/// Answer of `invite.inspect`, found out without asking the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteInspectResponse {
    /// The network that the invite is for, by name if known, else by its identifier.
    pub network: String,
    /// Whether that is the network of this home.
    pub same_network: bool,
    /// Whether this home made the invite.
    pub is_mine: bool,
    /// Whether it has expired.
    pub expired: bool,
    /// When it expires or expired.
    pub expires_at: Time,
    /// A fingerprint of the inviter's identity, to compare by other means.
    pub inviter: String,
}

/// Parameters of `invite.accept`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteAcceptParams {
    /// The link.
    pub invite: String,
    /// What to call the inviter; the name that he gave himself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Answer of `invite.accept` and `invite.approve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteAcceptResponse {
    /// The new contact.
    pub contact_id: String,
    /// What it is called here.
    pub name: String,
    /// How far the acquaintance has come; `established` when messages can flow both ways.
    pub state: ContactState,
}

/// Parameters of `invite.approve`. To refuse, use `contact.remove` or `contact.block`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteApproveParams {
    /// The contact in state `asked`, by name or id.
    pub contact: String,
    /// What to call it; the name that it gave itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Where an invite stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InviteState {
    /// It can be used.
    Open,
    /// Somebody used it.
    Used,
    /// Its time is over.
    Expired,
    /// It was withdrawn.
    Revoked,
}

/// An invite that this home made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invite {
    /// Names the invite.
    pub invite_id: String,
    /// Where it stands.
    pub state: InviteState,
    /// Whether the invitee must be approved.
    pub approval: Approval,
    /// The inviter's own note.
    pub note: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it ceases or ceased to work.
    pub expires_at: Time,
    /// The contact that came of it.
    pub contact_id: Option<String>,
}

/// Answer of `invite.list`, newest first.
pub type InviteListResponse = Page<Invite>;

/// Parameters of `invite.revoke`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRevokeParams {
    /// Which one, by its id or by the link itself.
    pub invite: String,
}
