//! One authenticated QUIC connection.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use quinn::{ConnectionError, VarInt, crypto::rustls::HandshakeData};
use rustls::pki_types::CertificateDer;

use crate::{
    channel::{self, Channel, ChannelError, codec::BODY_LEN_MAX},
    config::Alpn,
    identity::key_of_spki,
    profile::Profile,
};

/// Close code of a connection that is done with. Codes below 16 belong to this room, the rest to the protocols.
pub const CLOSE_DONE: u32 = 0;

/// Close code after a frame outside the rules.
pub const CLOSE_VIOLATION: u32 = 1;

/// Label of the TLS exporter (RFC 8446 §7.5) that yields the channel binding; the context is empty.
const BINDING_LABEL: &[u8] = b"EXPORTER-hermes/1";

/// What an acceptor sends once it has verified the dialler's key.
const CONFIRMED: u8 = 1;

/// Characters of a peer's reason that are kept.
const REASON_LEN_MAX: usize = 120;

/// One authenticated connection. Clones are handles to the same one; it closes when the last handle and the last [`Channel`] go.
#[derive(Clone)]
pub struct Connection {
    quinn: quinn::Connection,
    facts: Facts,
}

#[derive(Clone, Copy)]
struct Facts {
    alpn: Alpn,
    peer_key: Option<[u8; 32]>,
    binding: [u8; 32],
    profile: Profile,
}

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it.
    Local,
    /// The other side closed it.
    Peer {
        /// Its code.
        code: u64,
        /// Its words, cut to 120 characters, anything but printable ASCII replaced. For logs.
        reason: String,
    },
    /// Nothing was heard for the idle time.
    TimedOut,
    /// The other side has forgotten the connection: it restarted.
    Reset,
    /// QUIC or TLS went wrong on one side.
    Transport {
        /// The QUIC error code (RFC 9000 §20.1).
        code: u64,
    },
}

impl fmt::Display for CloseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => formatter.write_str("closed here"),
            Self::Peer { code, reason } => write!(
                formatter,
                "closed by the other side with code {code} ({reason})"
            ),
            Self::TimedOut => formatter.write_str("nothing was heard for too long"),
            Self::Reset => formatter.write_str("the other side does not know the connection"),
            Self::Transport { code } => write!(formatter, "transport error {code:#x}"),
        }
    }
}

impl From<ConnectionError> for CloseReason {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::LocallyClosed => Self::Local,
            ConnectionError::ApplicationClosed(close) => Self::Peer {
                code: close.error_code.into_inner(),
                reason: printable(&close.reason),
            },
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::Reset => Self::Reset,
            ConnectionError::ConnectionClosed(close) => Self::Transport {
                code: close.error_code.into(),
            },
            ConnectionError::TransportError(error) => Self::Transport {
                code: error.code.into(),
            },
            // QUIC has no codes of its own for these two: they count as an internal error here (RFC 9000 §20.1).
            ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => {
                Self::Transport { code: 1 }
            }
        }
    }
}

impl Connection {
    /// Reads what the handshake proved. `None` if it did not end as the settings demand, which would be a fault of ours.
    pub(crate) fn new(quinn: quinn::Connection, profile: Profile) -> Option<Self> {
        let handshake = quinn.handshake_data()?.downcast::<HandshakeData>().ok()?;
        let alpn = Alpn::from_name(handshake.protocol.as_deref()?)?;
        let peer_key = match quinn.peer_identity() {
            None => None,
            Some(identity) => match identity
                .downcast::<Vec<CertificateDer<'static>>>()
                .ok()?
                .as_slice()
            {
                [] => None,
                [spki, ..] => Some(key_of_spki(spki)?),
            },
        };
        let mut binding = [0; 32];
        quinn
            .export_keying_material(&mut binding, BINDING_LABEL, &[])
            .ok()?;
        Some(Self {
            quinn,
            facts: Facts {
                alpn,
                peer_key,
                binding,
                profile,
            },
        })
    }

    /// The key that the other side has proved to hold. Always there on the dialler's side and on links between friends; on a node's
    /// side only if the dialler is a node that showed its key.
    #[must_use]
    pub fn peer_key(&self) -> Option<[u8; 32]> {
        self.facts.peer_key
    }

    /// Where the other side is now, in canonical form. It can change: ask when it is needed.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        canonical(self.quinn.remote_address())
    }

    /// The protocol agreed on.
    #[must_use]
    pub fn alpn(&self) -> Alpn {
        self.facts.alpn
    }

    /// The channel binding: 32 bytes that both ends of this connection know and no other connection has. A signature over it cannot
    /// be passed on.
    #[must_use]
    pub fn binding(&self) -> [u8; 32] {
        self.facts.binding
    }

    /// The longest body of a frame on a channel, in bytes.
    #[must_use]
    pub const fn max_message(&self) -> usize {
        BODY_LEN_MAX
    }

    /// The smoothed round-trip time, as measured by QUIC.
    #[must_use]
    pub fn rtt(&self) -> std::time::Duration {
        self.quinn.rtt()
    }

    /// Closes at once; what channels have not yet sent is lost, see [`Channel::finish`]. `reason` goes to the other side's log.
    pub fn close(&self, code: u32, reason: &str) {
        self.quinn.close(VarInt::from_u32(code), reason.as_bytes());
    }

    /// Why the connection is closed, if it is.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.quinn.close_reason().map(CloseReason::from)
    }

    /// Waits for the end of the connection.
    pub async fn closed(&self) -> CloseReason {
        self.quinn.closed().await.into()
    }

    #[cfg(test)]
    pub(crate) fn raw(&self) -> &quinn::Connection {
        &self.quinn
    }

    /// Opens a channel; the dialler's part. The other side learns of it at once, even if nothing is sent on it.
    ///
    /// # Errors
    ///
    /// When the connection is closed.
    pub async fn open_channel(&self) -> Result<Channel, ChannelError> {
        let (send, receive) = self
            .quinn
            .open_bi()
            .await
            .map_err(ChannelError::connection)?;
        Ok(channel::start(
            &self.quinn,
            self.facts.profile,
            send,
            receive,
            channel::Side::Opener,
        ))
    }

    /// Waits for the other side to open a channel; the acceptor's part.
    ///
    /// # Errors
    ///
    /// When the connection is closed.
    pub async fn accept_channel(&self) -> Result<Channel, ChannelError> {
        let (send, receive) = self
            .quinn
            .accept_bi()
            .await
            .map_err(ChannelError::connection)?;
        Ok(channel::start(
            &self.quinn,
            self.facts.profile,
            send,
            receive,
            channel::Side::Acceptor,
        ))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("alpn", &self.facts.alpn)
            .finish_non_exhaustive()
    }
}

/// Tells the dialler that its key was verified: one stream with one byte.
///
/// A TLS client is done before the server has checked its key, so without this a refused dialler would believe for a round trip that
/// it is connected.
pub(crate) async fn confirm(connection: &quinn::Connection) -> Result<(), ConnectionError> {
    let mut stream = connection.open_uni().await?;
    if stream.write_all(&[CONFIRMED]).await.is_err() || stream.finish().is_err() {
        return Err(connection.close_reason().unwrap_or(ConnectionError::Reset));
    }
    Ok(())
}

/// Waits for [`confirm`].
pub(crate) async fn confirmed(connection: &quinn::Connection) -> Result<(), ConnectionError> {
    let mut stream = connection.accept_uni().await?;
    let mut byte = [0];
    match stream.read_exact(&mut byte).await {
        Ok(()) if byte == [CONFIRMED] => Ok(()),
        _ => Err(connection.close_reason().unwrap_or(ConnectionError::Reset)),
    }
}

/// An address without the IPv6 wrapping that a socket of both families puts around IPv4: a peer with an IPv4 socket could not use it.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

fn printable(reason: &[u8]) -> String {
    let shown = |&byte: &u8| {
        if (0x20..0x7f).contains(&byte) {
            char::from(byte)
        } else {
            '.'
        }
    };
    reason.iter().take(REASON_LEN_MAX).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_unwrapped() {
        let check = |from: &str, to: &str| {
            assert_eq!(canonical(from.parse().unwrap()), to.parse().unwrap())
        };
        check("[::ffff:192.0.2.1]:4433", "192.0.2.1:4433");
        check("192.0.2.1:4433", "192.0.2.1:4433");
        check("[2001:db8::1]:4433", "[2001:db8::1]:4433");
        check("[fe80::1%3]:4433", "[fe80::1%3]:4433");
    }

    #[test]
    fn a_peers_words_cannot_steer_a_terminal() {
        assert_eq!(printable(b"bye\x1b[2J\r\n\xe2\x80\xae"), "bye.[2J.....");
        assert_eq!(printable(&[b'a'; 4000]).len(), REASON_LEN_MAX);
    }
}
