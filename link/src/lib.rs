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
//! A friend's endpoint recognises the caller it expects by a hint in the connection id of the first packet, which looks as random as
//! any other, and shows that caller the key made for it. Everybody else gets no answer at all ([`Endpoint::expect_peer`]).
//!
//! ```no_run
//! # async fn example(friend: std::net::SocketAddr, their_key: [u8; 32], ours: hermes_link::Identity)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use hermes_link::{Alpn, Endpoint, EndpointConfig, Inbound, PeerKey, Profile};
//!
//! let endpoint = Endpoint::bind(EndpointConfig::new("0.0.0.0:0".parse()?, Profile::Peer))?;
//! let link = endpoint
//!     .dial(friend, Alpn::Peer, PeerKey::Exact(their_key), Some(&ours), Duration::from_secs(5))
//!     .await?;
//! let channel = link.open_channel().await?;
//! let answer = channel.request(0x02, b"").await?;
//! assert!(!answer.is_error());
//! while let Some(inbound) = channel.next().await {
//!     match inbound {
//!         Inbound::Push { kind, body } => println!("{kind:#04x}: {} bytes", body.len()),
//!         Inbound::Request { kind, body, responder } => responder.answer(kind | 0x80, body).await?,
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is never on the wire
//!
//! No session tickets, no resumption, no 0-RTT, no address tokens from earlier connections, no spin bit, no server name. Connection
//! ids come from a key that lives as long as the endpoint. Nothing ties one endpoint to another but its IP address: use a new
//! [`Endpoint`] for each address that must not be linked to the last. ALPN names stand in clear in first packets, so an observer of
//! the wire sees that Hermes is spoken, and which of its protocols.
//!
//! # What is not here yet
//!
//! Hole punching, relays and changes of the local network come later. Their doors: the module `socket` alone binds sockets, so a clone
//! for punches is taken there, and endpoints run on quinn's abstract socket already, so packets may travel over something that is not
//! UDP.
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
mod logs;
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
pub use logs::log_to_stderr;
pub use profile::Profile;
pub use socket::everywhere;
pub use verify::PeerKey;
