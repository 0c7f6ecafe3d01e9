//! What underworld asks of the network, carried out.
//!
//! Wishes and orders come from the owner as [`Effect`]s; what happens goes back to him as [`NetInput`]s. No decision of the protocol is
//! made here: this side keeps connections, retries what the wishes say, and reports.
//!
//! - `directory`: which nodes there are, learned in bulk so that nobody learns which of them we look for.
//! - `presence`: one endpoint and one sky connection for each presence key; knocks both ways; links between friends.
//! - `reading`: one endpoint for each mailbox of ours that is read or watched.
//! - `depositing`: one endpoint for each mailbox of a friend that is written to.
//!
//! Endpoints are not shared between those, because a source port that two of them had in common would tie them together.

mod depositing;
mod director;
mod directory;
mod keepers;
mod links;
mod presence;
mod reading;
mod remembered;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hermes_api::types::{NetEarthResponse, NetSkyResponse};
use hermes_underworld::proto::effect::{Effect, Reading};
use hermes_underworld::proto::{
    DepositOp, IncomingKnockId, KnockOp, KnockResult, LinkId, LinkToken, PresenceState,
};
use hermes_wire::Network;
use hermes_wire::channel::ErrorCode;
use hermes_wire::ids::{MailboxId, NodeKey, PresenceKey};
use hermes_wire::invite::Entry;
use hermes_wire::node::NodeUri;
use tokio::sync::{mpsc, oneshot, watch};

use crate::core::Input;
use directory::Directory;
use links::Links;

/// What the network tells the owner.
#[derive(Debug)]
pub enum NetInput {
    /// Our addresses.
    Candidates(Vec<SocketAddr>),
    /// Our presence.
    Presence(PresenceState),
    /// The network came or went.
    Online(bool),
    /// Deposits out of a mailbox of ours.
    Deposits {
        /// The mailbox.
        mailbox: MailboxId,
        /// The records.
        records: Vec<Vec<u8>>,
    },
    /// A pass over a mailbox's keepers is done.
    Fetched {
        /// The mailbox.
        mailbox: MailboxId,
        /// For which wish.
        reading: Reading,
        /// Whether nothing with enough receipts can have been missed.
        complete: bool,
    },
    /// A receipt.
    Receipt {
        /// For which deposit.
        op: DepositOp,
        /// As it came.
        receipt: Vec<u8>,
    },
    /// A keeper refused a deposit.
    DepositRefused {
        /// Which deposit.
        op: DepositOp,
        /// Who.
        keeper: NodeKey,
        /// Why.
        code: ErrorCode,
    },
    /// Nothing more is tried for a deposit.
    DepositEnded {
        /// Which.
        op: DepositOp,
    },
    /// What became of a knock.
    KnockResult {
        /// Which.
        op: KnockOp,
        /// The result.
        result: KnockResult,
    },
    /// Somebody knocks.
    IncomingKnock {
        /// To be named in the answer.
        id: IncomingKnockId,
        /// At which key.
        presence: PresenceKey,
        /// From which slot.
        slot: u8,
        /// The knock's nonce.
        nonce: [u8; 16],
        /// Its sealed half.
        sealed: Vec<u8>,
    },
    /// A link stands.
    LinkUp {
        /// As it was ordered.
        token: LinkToken,
        /// Its name from now on.
        link: LinkId,
    },
    /// A packet came over a link.
    LinkPacket {
        /// Which link.
        link: LinkId,
        /// The packet.
        packet: Vec<u8>,
    },
    /// A link is gone.
    LinkDown {
        /// Which.
        link: LinkId,
    },
    /// A friend could not be dialled.
    DialFailed {
        /// As it was ordered.
        token: LinkToken,
    },
}

impl NetInput {
    /// What happened, in a word or two for the log; tells nothing about anybody.
    #[must_use]
    pub fn outline(&self) -> std::borrow::Cow<'static, str> {
        let outline = match self {
            Self::Candidates(addrs) => return format!("{} candidates", addrs.len()).into(),
            Self::Presence(PresenceState::Registered) => "present",
            Self::Presence(_) => "not present",
            Self::Online(true) => "online",
            Self::Online(false) => "offline",
            Self::Deposits { records, .. } => return format!("{} deposits", records.len()).into(),
            Self::Fetched { complete: true, .. } => "a mailbox was read",
            Self::Fetched { .. } => "a mailbox was read in part",
            Self::Receipt { .. } => "a receipt",
            Self::DepositRefused { code, .. } => return format!("refused: {code:?}").into(),
            Self::DepositEnded { .. } => "a deposit has ended",
            Self::KnockResult { result, .. } => return format!("knock: {result:?}").into(),
            Self::IncomingKnock { .. } => "a friend knocks",
            Self::LinkUp { .. } => "a link stands",
            Self::LinkPacket { .. } => "a packet",
            Self::LinkDown { .. } => "a link is gone",
            Self::DialFailed { .. } => "a friend was not reached",
        };
        outline.into()
    }
}

/// What the director is told.
enum Order {
    /// The store is open: effects follow.
    Begin,
    /// The store is closed: everything ends.
    End(Option<oneshot::Sender<()>>),
    Effect(Box<Effect>),
}

/// What `status` shows of the network.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetStatus {
    /// Sky nodes with a connection.
    pub sky_connected: u32,
    /// Sky nodes known.
    pub sky_known: u32,
    /// Whether we are present under our current key.
    pub registered: bool,
    /// Keepers known.
    pub earth_known: u32,
    /// Keepers that watch a mailbox for us.
    pub watching: u32,
}

/// A handle to the network side; cheap to clone.
#[derive(Clone)]
pub struct NetHandle {
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
}

/// What all parts of the network side share.
pub(crate) struct Shared {
    network: Network,
    listen: SocketAddr,
    inputs: mpsc::Sender<Input>,
    directory: Directory,
    links: Links,
    gauges: Mutex<Gauges>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Gauges {
    registered_at: Option<NodeKey>,
    watching: std::collections::BTreeMap<NodeKey, u32>,
}

impl NetHandle {
    /// Starts the network side; it does nothing until the first [`Self::begin`]. Sky nodes that it learns are kept in the file
    /// `remembered`.
    #[must_use]
    pub fn start(
        network: Network,
        listen: SocketAddr,
        sky: &[NodeUri],
        remembered: PathBuf,
        inputs: mpsc::Sender<Input>,
    ) -> Self {
        let (orders, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            directory: Directory::new(network.clone(), listen, sky, remembered),
            network,
            listen,
            inputs: inputs.clone(),
            links: Links::new(inputs),
            gauges: Mutex::default(),
        });
        tokio::spawn(director::Director::new(shared.clone()).run(queue));
        Self { orders, shared }
    }

    /// The store is open; its effects follow.
    pub fn begin(&self) {
        let _ = self.orders.send(Order::Begin);
    }

    /// The store is closed.
    pub fn end(&self) {
        let _ = self.orders.send(Order::End(None));
    }

    /// The daemon ends; done when friends, sky and keepers have been told.
    pub async fn leave(&self) {
        let (done, left) = oneshot::channel();
        if self.orders.send(Order::End(Some(done))).is_ok() {
            let _ = left.await;
        }
    }

    /// Carries out an effect. The owner's own windows bound how many wait.
    pub fn carry_out(&self, effect: Effect) {
        let _ = self.orders.send(Order::Effect(Box::new(effect)));
    }

    /// Sky nodes more to begin with.
    pub fn add_sky(&self, sky: &[NodeUri]) {
        self.shared.directory.add_sky(sky);
    }

    /// Sky nodes that an invite has named; they are remembered.
    pub fn add_entries(&self, entries: &[Entry]) {
        self.shared.directory.add_entries(entries);
    }

    /// Whether nobody has ever named a sky node here.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.shared.directory.is_lost()
    }

    /// Sky nodes that an invite may name.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.shared.directory.entries()
    }

    /// For `status`.
    #[must_use]
    pub fn status(&self) -> NetStatus {
        let gauges = self
            .shared
            .gauges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let (sky_known, sky_connected, earth_known) = self.shared.directory.counts();
        let registered = gauges.registered_at.is_some();
        NetStatus {
            sky_connected: sky_connected.max(u32::from(registered)),
            sky_known,
            registered,
            earth_known,
            watching: u32::try_from(gauges.watching.len()).unwrap_or(u32::MAX),
        }
    }

    /// For `net.sky`.
    #[must_use]
    pub fn sky(&self) -> NetSkyResponse {
        let gauges = self
            .shared
            .gauges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.shared.directory.show_sky(gauges.registered_at)
    }

    /// For `net.earth`.
    #[must_use]
    pub fn earth(&self) -> NetEarthResponse {
        let gauges = self
            .shared
            .gauges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.shared.directory.show_earth(&gauges.watching)
    }

    /// The round trip over a link, if it answers in time.
    pub async fn ping(&self, link: LinkId, wait: Duration) -> Option<Duration> {
        self.shared.links.ping(link, wait).await
    }

    /// Changes whenever a link comes or goes.
    #[must_use]
    pub fn links(&self) -> watch::Receiver<u64> {
        self.shared.links.changes()
    }
}

impl Shared {
    /// Tells the owner, waiting while he is busy.
    pub(crate) async fn tell(&self, input: NetInput) {
        let _ = self.inputs.send(Input::Net(input)).await;
    }

    pub(crate) fn gauges(&self) -> std::sync::MutexGuard<'_, Gauges> {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
