//! QUIC between nodes and between friends: the only room with sockets to peers.
//!
//! An [`Endpoint`] is one UDP socket that dials and accepts at once. A [`Connection`] is one authenticated QUIC connection: the
//! dialler pins the other side's Ed25519 key during the TLS handshake (RFC 7250 raw public keys, no certificates), and both sides
//! read the same [`Connection::binding`] from it, which signed requests carry so that they cannot be replayed elsewhere. A
//! [`Channel`] is one bidirectional stream that carries framed requests, answers and pushes both ways.
//!
//! Three protocols share this room, told apart by ALPN:
//!
//! | [`Alpn`] | who accepts | what the dialler shows |
//! |---|---|---|
//! | `Sky`, `Earth` | a node with a lasting key | nothing, or its node key if it is a node itself |
//! | `Peer` | a friend, for one expected caller at a time ([`Endpoint::expect_peer`]) | the fresh key it announced in the knock |
//!
//! How a friend's endpoint knows which of its fresh keys to show before it has seen the caller's, and how it stays silent towards
//! everybody else, is told in [`expect`](Endpoint::expect_peer): the hint travels in the random-looking connection id of the first
//! packet, so nothing about it can be seen on the wire.
//!
//! # What is never on the wire
//!
//! No session tickets, no resumption, no 0-RTT, no address tokens from earlier connections, no spin bit, no server name. Connection
//! ids come from a key that lives as long as the endpoint. Nothing of one endpoint can be tied to another but its IP address: use a
//! new [`Endpoint`] for each address that must not be linked to the last.
//!
//! # What is not here yet
//!
//! Hole punching, relays and changes of the local network come later. The seams for them are [`socket`](crate#seams): one function
//! binds the socket, so a clone of it can be kept for punches there, and the endpoint runs on an abstract socket already, so packets
//! may travel over something that is not UDP.
#![allow(
    clippy::disallowed_methods,
    reason = "this room is a shell: it owns sockets, their clock and their randomness"
)]

mod admission;
mod channel;
mod config;
mod connection;
mod endpoint;
mod expect;
mod hint;
mod identity;
mod incoming;
mod profile;
mod socket;
mod tls;
mod verify;

pub use admission::{Admission, AdmissionHook, Limits, SourceProof};
pub use channel::{
    Answer, Channel, ChannelError, Inbound, OPEN_REQUESTS_MAX, RequestError, Responder, SendError,
    Violation,
    codec::{
        BODY_LEN_MAX, Class, Decoder, ERROR_ANSWER, Frame, FrameError, HEADER_LEN, OPENED, encode,
    },
};
pub use config::{Alpn, EndpointConfig};
pub use connection::{CLOSE_DONE, CLOSE_VIOLATION, CloseReason, Connection};
pub use endpoint::{BindError, DialError, Endpoint};
pub use expect::{EXPECTATIONS_MAX, ExpectError, ExpectGuard};
pub use identity::Identity;
pub use incoming::{AcceptError, Incoming};
pub use profile::Profile;
pub use verify::PeerKey;
