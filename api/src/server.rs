//! How `hermesd` listens: one local socket that speaks newline-delimited JSON-RPC, HTTP and
//! WebSocket, over one set of methods.
//!
//! The first byte that a client sends decides: HTTP begins with a capital letter, everything else
//! is taken for lines of JSON. Handlers are put into a [`Registry`], which refuses to be finished
//! unless every method of [`crate::table`] has one. What may grow is bounded by [`Limits`].
//!
//! A client that stops reading stops being read: its answers wait in a bounded buffer and its
//! further requests wait in its socket, and no other client notices.

#![allow(
    clippy::disallowed_methods,
    reason = "this is a shell: it waits for sockets and owns its clock"
)]

mod accept;
mod caller;
mod connection;
mod dispatch;
mod events;
mod listen;
mod registry;
mod web;

use std::time::Duration;

pub use accept::{Handle, Options, serve};
pub use caller::{Caller, Peer};
pub use events::{Closed, EventSink, PendingEvents};
pub use listen::{ListenError, Listener};
pub use registry::{Registry, RegistryError};

/// What one client, and all clients together, may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest request. A message of the largest body, with every character escaped, fits.
    pub request_bytes_max: usize,
    /// Longest answer; whoever wants more asks for pages.
    pub response_bytes_max: usize,
    /// Most calls in a batch.
    pub batch_calls_max: usize,
    /// Most subscriptions of a connection.
    pub subscriptions_max: u32,
    /// Most calls of a connection under way at once; further ones wait in the socket.
    pub calls_max: usize,
    /// Most connections at once; further ones are told `busy`.
    pub connections_max: usize,
    /// Notifications that wait for a connection before their senders wait.
    pub notifications_max: usize,
    /// How long a connection may take to send its first byte.
    pub first_byte_wait: Duration,
    /// How long a connection may take to send the rest of a line.
    pub line_wait: Duration,
    /// How long a connection may take, when the daemon ends, to finish calls and read their answers.
    pub drain_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: 1024 * 1024,
            response_bytes_max: 4 * 1024 * 1024,
            batch_calls_max: 64,
            subscriptions_max: 32,
            calls_max: 64,
            connections_max: 64,
            notifications_max: 256,
            first_byte_wait: Duration::from_secs(5),
            line_wait: Duration::from_secs(30),
            drain_wait: Duration::from_secs(5),
        }
    }
}
