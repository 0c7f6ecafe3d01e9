//! What goes in and out of the machine.

use std::{fmt, net::SocketAddr, time::Instant};

use hermes_wire::{
    channel::ErrorAnswer,
    ids::{Binding, NodeKey},
    node::NodeRecord,
    sky::Request,
};

/// Names a connection. The driver gives the numbers and never uses one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Names a request of the other side. The driver gives the numbers and never uses one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a request of ours. The machine gives the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(super) u64);

/// A connection that stands.
#[derive(Clone, Copy)]
pub struct Opened {
    /// Its name from now on.
    pub conn: ConnId,
    /// Who dialled.
    pub side: Side,
    /// Where the other side is.
    pub remote: SocketAddr,
    /// The node key that the other side has proved to hold. Users show none.
    pub node: Option<NodeKey>,
    /// The TLS exporter of the connection.
    pub binding: Binding,
}

/// Addresses and keys do not belong into logs.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("conn", &self.conn)
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

/// Who dialled a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This node, because of [`Output::Dial`].
    Dialled,
    /// The other side.
    Accepted,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The other side closed it on purpose.
    ByPeer,
    /// It broke: nothing was heard, or the other side has forgotten it.
    Broken,
}

/// Why a dial failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialFailure {
    /// Nobody answers, or something refuses.
    Unreachable,
    /// Somebody answers there who does not hold the key: whoever did is no longer there.
    WrongKey,
}

/// Why a request of ours has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFailure {
    /// The other side answered with an error.
    Refused(ErrorAnswer),
    /// The connection ended first.
    Lost,
}

/// What the driver has to do.
#[derive(Debug)]
#[must_use]
pub enum Output {
    /// Connect to a node, at the first of these addresses that answers, pin its key and show ours. Then
    /// [`Sky::handle_opened`](super::Sky::handle_opened) or [`Sky::handle_dial_failed`](super::Sky::handle_dial_failed).
    Dial {
        /// Whom.
        node: NodeKey,
        /// Where, best first.
        addrs: Vec<SocketAddr>,
    },
    /// Send a request; then [`Sky::handle_answer`](super::Sky::handle_answer). The machine watches the time itself.
    Call {
        /// On which connection.
        conn: ConnId,
        /// Its name.
        call: CallId,
        /// What to ask.
        request: Request,
    },
    /// Answer a request.
    Answer {
        /// Which.
        request: RequestId,
        /// The body of the answer, or the error.
        answer: Result<Vec<u8>, ErrorAnswer>,
    },
    /// Push the address that we see the other side at (OBSERVED).
    Observed {
        /// To whom.
        conn: ConnId,
        /// The address.
        addr: SocketAddr,
    },
    /// Close a connection. The machine has forgotten it already.
    Close {
        /// Which.
        conn: ConnId,
        /// Why.
        why: Close,
    },
    /// Keep these records for the next start, in place of the former ones.
    Store {
        /// The sky nodes that are known, and some that were.
        records: Vec<NodeRecord>,
    },
    /// Something that the operator may want to know.
    Event(Event),
}

/// Why the machine closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// There are too many of its kind, or the room is needed.
    Limit,
    /// The other side does not answer.
    Silent,
    /// It has not been used for long.
    Unused,
    /// A keeper has been reported gone and must announce itself anew.
    AnnounceAnew,
}

/// Something that the operator may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The lists are those of the network: a peer was found and agrees, or there is nobody to ask.
    Joined,
    /// All known peers were tried and none answers. The machine goes on trying.
    NobodyAnswers,
    /// Both places of our address block are taken. The node answers questions, but holds no presence until one becomes free.
    PlaceTaken,
    /// The node has said goodbye, and may be stopped.
    Left,
}

/// The earlier of two optional deadlines, each with the reason to wake.
pub(super) fn earlier(
    a: Option<(Instant, &'static str)>,
    b: Option<(Instant, &'static str)>,
) -> Option<(Instant, &'static str)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}
