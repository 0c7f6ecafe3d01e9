//! What an endpoint is told when it is bound.

use std::{fmt, net::SocketAddr};

use crate::{
    admission::{AdmissionHook, Limits},
    identity::Identity,
    profile::Profile,
};

/// The protocol spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alpn {
    /// `hermes-sky/1`: presence, knocks, directory.
    Sky,
    /// `hermes-earth/1`: keepers of mailboxes.
    Earth,
    /// `hermes/1`: a direct link between friends.
    Peer,
}

impl Alpn {
    /// The name as it travels in TLS.
    #[must_use]
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Sky => b"hermes-sky/1",
            Self::Earth => b"hermes-earth/1",
            Self::Peer => b"hermes/1",
        }
    }

    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Sky, Self::Earth, Self::Peer]
            .into_iter()
            .find(|alpn| alpn.name() == name)
    }
}

/// What an [`Endpoint`](crate::Endpoint) is told when it is bound.
#[derive(Clone)]
pub struct EndpointConfig {
    /// Where to listen; port 0 lets the system choose. One endpoint serves one IP family.
    pub local: SocketAddr,
    /// What one connection may cost.
    pub profile: Profile,
    /// The node key shown to those who dial `Sky` or `Earth` here; needed if one of them is accepted.
    pub identity: Option<Identity>,
    /// The protocols accepted here. Empty: this endpoint only dials. `Peer` connections are accepted only from those who are
    /// [expected](crate::Endpoint::expect_peer).
    pub alpns: Vec<Alpn>,
    /// Caps on what strangers can make us hold.
    pub limits: Limits,
    /// Asked for the source of every first packet that could be for us, before the handshake begins.
    pub admission: Option<AdmissionHook>,
}

impl EndpointConfig {
    /// An endpoint that only dials; set the fields for more.
    #[must_use]
    pub fn new(local: SocketAddr, profile: Profile) -> Self {
        Self {
            local,
            profile,
            identity: None,
            alpns: Vec::new(),
            limits: Limits::default(),
            admission: None,
        }
    }
}

impl fmt::Debug for EndpointConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EndpointConfig")
            .field("profile", &self.profile)
            .field("alpns", &self.alpns)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
