//! What changes seldom about a contact: who it is, how far the acquaintance has come, and the secrets of the pair.

use hermes_wire::{
    Network,
    address::FriendAddress,
    handshake::Invitee,
    ids::{Epoch, HandshakeKey, IdentityKey, Slot},
    kdf::Secret,
    pair::{OuterChain, PairSecrets, SessionRoot},
};

use crate::proto::{ids::InviteId, recovery::Recovery, rekey::Rekey};

/// How far an acquaintance has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContactState {
    /// We accepted an invite and wait for the inviter's answer.
    Requested,
    /// Somebody used an invite of ours that asks; the application decides.
    Asked,
    /// We answered and wait for the first sign that our answer arrived.
    Accepted,
    /// Messages can flow both ways.
    Established,
    /// We refuse whatever comes from it.
    Blocked,
    /// It is no longer a contact: we removed it, or it removed us.
    Removed,
    /// It never became a contact.
    Failed(FailReason),
}

/// In a word, for errors.
impl std::fmt::Display for ContactState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Requested => "requested",
            Self::Asked => "asked",
            Self::Accepted => "accepted",
            Self::Established => "established",
            Self::Blocked => "blocked",
            Self::Removed => "removed",
            Self::Failed(FailReason::InviteUsed) => "failed, because its invite was used before",
            Self::Failed(FailReason::InviteExpired) => {
                "failed, because its invite was not answered"
            }
        })
    }
}

/// Why a contact did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailReason {
    /// Somebody else had used the invite, or the inviter withdrew it.
    InviteUsed,
    /// The inviter did not answer while the invite stood.
    InviteExpired,
}

/// How far an acquaintance has come, with what the next step needs.
pub(crate) enum Stage {
    /// We hold an invite and have sent message 1.
    Requested(Box<Invitee>),
    /// Message 1 of somebody waits for the application's word.
    Asked {
        invite: InviteId,
        msg1: Vec<u8>,
    },
    /// Message 2 is on its way.
    Accepted {
        invite: InviteId,
        msg1_hash: [u8; 32],
        msg2: Vec<u8>,
        answer_key: Secret,
    },
    Established,
    Removed,
    Failed(FailReason),
}

/// The slowly changing part of a contact.
pub(crate) struct Card {
    pub(crate) name: String,
    /// Whether somebody here chose the name; if not it is made of theirs.
    pub(crate) named_here: bool,
    pub(crate) their_name: String,
    pub(crate) colour: u8,
    pub(crate) verified: bool,
    pub(crate) blocked: bool,
    pub(crate) created_ms: u64,
    pub(crate) stage: Stage,
    /// The hash of the invite that the contact came of.
    pub(crate) invite_hash: [u8; 32],
    /// Which of our generations it was given, and the slot in it.
    pub(crate) home: u16,
    pub(crate) slot: Slot,
    pub(crate) peer: Option<Peer>,
    pub(crate) secrets: Option<Secrets>,
    pub(crate) rekey: Rekey,
    pub(crate) recovery: Recovery,
}

/// Who the other side is and how it is reached.
pub(crate) struct Peer {
    pub(crate) ik: IdentityKey,
    pub(crate) ix: HandshakeKey,
    pub(crate) device: u16,
    pub(crate) address: FriendAddress,
}

/// The secrets of the pair that outlive sessions.
pub(crate) struct Secrets {
    pub(crate) s_rec: Secret,
    pub(crate) s_rekey: Secret,
    /// Keys of what we send.
    pub(crate) outgoing: OuterChain,
    /// Keys of what they send.
    pub(crate) incoming: OuterChain,
    /// Those before the last change, under which deposits may still wait.
    pub(crate) incoming_old: Option<OuterChain>,
}

impl Secrets {
    /// The secrets of a handshake, and the root of the first session.
    pub(crate) fn of_pair(pair: PairSecrets) -> (Self, SessionRoot) {
        let secrets = Self {
            s_rec: pair.s_rec,
            s_rekey: pair.s_rekey,
            outgoing: pair.outer_out,
            incoming: pair.outer_in,
            incoming_old: None,
        };
        (secrets, pair.root)
    }

    /// Takes up new keys of what they send; the old ones remain candidates.
    pub(crate) fn renew_incoming(&mut self, incoming: OuterChain) {
        self.incoming_old = Some(std::mem::replace(&mut self.incoming, incoming));
    }

    /// The keys under which something of an epoch may come, current one first.
    pub(crate) fn incoming_keys(&self, net: &Network, epoch: Epoch) -> Vec<Secret> {
        std::iter::once(&self.incoming)
            .chain(&self.incoming_old)
            .filter_map(|chain| chain.key_at(net, epoch))
            .collect()
    }

    /// Deletes the keys of epochs before `oldest`.
    pub(crate) fn forget_before(&mut self, net: &Network, oldest: Epoch) {
        self.outgoing.advance(net, oldest);
        self.incoming.advance(net, oldest);
        if let Some(old) = &mut self.incoming_old {
            old.advance(net, oldest);
        }
    }
}

impl Card {
    pub(crate) fn state(&self) -> ContactState {
        match &self.stage {
            Stage::Removed => ContactState::Removed,
            Stage::Failed(reason) => ContactState::Failed(*reason),
            _ if self.blocked => ContactState::Blocked,
            Stage::Requested(_) => ContactState::Requested,
            Stage::Asked { .. } => ContactState::Asked,
            Stage::Accepted { .. } => ContactState::Accepted,
            Stage::Established => ContactState::Established,
        }
    }

    /// Whether there is, or may yet be, an acquaintance.
    pub(crate) const fn is_live(&self) -> bool {
        !matches!(self.stage, Stage::Removed | Stage::Failed(_))
    }
}
