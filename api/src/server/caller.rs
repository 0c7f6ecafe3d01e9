//! Who calls: the connection that a call came over, and what the system says of its other end.

use std::sync::Arc;

use jsonrpsee::Extensions;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// What the operating system tells about the process at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its user; none where users are told apart in another way.
    pub uid: Option<u32>,
    /// Its process; for logs only, since numbers are used again.
    pub pid: Option<i32>,
}

/// The connection that a call came over.
#[derive(Clone, Debug)]
pub struct Caller {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: u32,
    peer: Peer,
    closed: CancellationToken,
}

impl Caller {
    pub(super) fn new(connection: u32, peer: Peer, closed: CancellationToken) -> Self {
        Self {
            inner: Arc::new(Inner {
                connection,
                peer,
                closed,
            }),
        }
    }

    /// Finds the caller where the connection left it for the handlers.
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_else(|| {
            // Only calls made within the process come without one.
            Self::new(0, Peer::default(), CancellationToken::new())
        })
    }

    /// A number for the connection that no other connection of this daemon has.
    #[must_use]
    pub fn connection(&self) -> u32 {
        self.inner.connection
    }

    /// The process at the other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.inner.peer
    }

    /// Waits until the connection has ended; whatever belongs to it should end then.
    pub fn closed(&self) -> WaitForCancellationFuture<'_> {
        self.inner.closed.cancelled()
    }
}
