//! The UDP socket under an endpoint, and what never gets through it.
//!
//! quinn answers some packets of strangers by itself: a version it does not speak (that is how the internet is scanned for QUIC) and
//! a connection id that is too short. An endpoint that waits for friends alone should not be found that way, so such packets are
//! dropped before quinn sees them.
//!
//! Later work attaches here: a clone of the socket for punches is taken in [`bind`], and whatever implements quinn's socket trait can
//! stand in its place.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use quinn::{
    AsyncUdpSocket, Runtime, UdpPoller,
    udp::{RecvMeta, Transmit},
};

/// QUIC version 1 (RFC 9000 §15), the only one spoken.
pub(crate) const VERSION: u32 = 1;

/// The least length of the destination connection id in a client's first packet (RFC 9000 §7.2); our own ids are as long.
const ID_LEN_MIN: u8 = 8;

/// The greatest length of any connection id (RFC 9000 §17.2).
const ID_LEN_MAX: u8 = 20;

/// The address that stands for all of this machine's own: `::` where one socket serves both IP families, else `0.0.0.0`.
///
/// Nothing is sent to find out.
#[must_use]
pub fn everywhere() -> IpAddr {
    if serves_both_families() {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

/// Whether a socket bound to `::` can send to IPv4 addresses here (RFC 3493 §3.7).
fn serves_both_families() -> bool {
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 9));
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok_and(|socket| socket.connect(mapped).is_ok())
}

/// The IP families of addresses that can be dialled from a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Families {
    V4,
    V6,
    Both,
}

impl Families {
    /// Those of a socket bound to `local`.
    pub(crate) fn of(local: IpAddr) -> Self {
        match local {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(ip) if ip.is_unspecified() && serves_both_families() => Self::Both,
            IpAddr::V6(_) => Self::V6,
        }
    }

    pub(crate) const fn contain(self, addr: SocketAddr) -> bool {
        match self {
            Self::V4 => addr.is_ipv4(),
            Self::V6 => addr.is_ipv6(),
            Self::Both => true,
        }
    }
}

/// Whether the system knows a way to an address. Nothing is sent: a datagram socket is connected, which asks the routing table. quinn
/// counts a packet without a way as sent, and a dial would wait for its answer to the end.
pub(crate) fn has_way_to(addr: SocketAddr) -> bool {
    let any: IpAddr = match addr {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).is_ok_and(|socket| socket.connect(addr).is_ok())
}

/// How datagrams are taken from the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    /// Many that follow one another in one piece, where the system can do that. quinn sets 3 MiB aside for each such socket.
    InBulk,
    /// Each by itself, with 46 KiB for the socket: somebody with a dozen quiet endpoints should not pay for bulk.
    OneByOne,
}

/// Binds the socket of an endpoint.
pub(crate) fn bind(
    local: SocketAddr,
    receiving: Receiving,
    runtime: &dyn Runtime,
) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let socket = UdpSocket::bind(local)?;
    // The second handle leads to the same socket: quinn, which takes the first, turns its merging on.
    let settings = socket.try_clone()?;
    let inner = runtime.wrap_udp_socket(socket)?;
    let bulk = receiving == Receiving::InBulk || !split(&settings);
    let receive_segments = if bulk {
        inner.max_receive_segments()
    } else {
        1
    };
    Ok(Arc::new(QuietSocket {
        inner,
        receive_segments,
    }))
}

/// Turns off that the system merges datagrams (UDP GRO); gives whether it is off now.
#[cfg(target_os = "linux")]
fn split(socket: &UdpSocket) -> bool {
    use nix::sys::socket::{setsockopt, sockopt::UdpGroSegment};
    setsockopt(socket, UdpGroSegment, &false).is_ok()
}

/// Elsewhere it cannot be turned off, or is not done.
#[cfg(not(target_os = "linux"))]
fn split(_: &UdpSocket) -> bool {
    false
}

/// A socket that does not hand on what quinn would answer although it begins no connection.
#[derive(Debug)]
struct QuietSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    receive_segments: usize,
}

impl AsyncUdpSocket for QuietSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.inner.poll_recv(context, buffers, metas))?;
        for (buffer, meta) in buffers.iter_mut().zip(metas.iter_mut()).take(count) {
            meta.len = sift(buffer, meta.len, meta.stride);
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.receive_segments
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// Removes foreign datagrams from a batch of `len` bytes in datagrams of `stride` bytes (the last may be shorter) and returns the
/// length of what is left.
fn sift(batch: &mut [u8], len: usize, stride: usize) -> usize {
    let len = len.min(batch.len());
    let stride = stride.max(1);
    let mut kept = 0;
    let mut at = 0;
    while at < len {
        let end = len.min(at.saturating_add(stride));
        if !batch.get(at..end).is_some_and(is_foreign) {
            if kept != at {
                batch.copy_within(at..end, kept);
            }
            kept += end - at;
        }
        at = end;
    }
    kept
}

/// Whether a datagram begins with a long header that is not ours: another version, or an impossible connection id.
fn is_foreign(datagram: &[u8]) -> bool {
    let Some((&[form, version @ .., id_len], _)) = datagram.split_first_chunk::<6>() else {
        return false;
    };
    let is_long = form & 0x80 != 0;
    is_long
        && (u32::from_be_bytes(version) != VERSION || !(ID_LEN_MIN..=ID_LEN_MAX).contains(&id_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn quiet_endpoints_take_datagrams_one_by_one() {
        use nix::sys::socket::{getsockopt, sockopt::UdpGroSegment};
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let quiet = bind(local, Receiving::OneByOne, &quinn::TokioRuntime).unwrap();
        assert_eq!(quiet.max_receive_segments(), 1);

        let socket = UdpSocket::bind(local).unwrap();
        let handle = socket.try_clone().unwrap();
        let wrapped = quinn::TokioRuntime.wrap_udp_socket(socket).unwrap();
        let merges = getsockopt(&handle, UdpGroSegment).unwrap();
        assert_eq!(
            merges,
            wrapped.max_receive_segments() > 1,
            "as quinn left it"
        );
        assert!(split(&handle));
        assert!(!getsockopt(&handle, UdpGroSegment).unwrap());
    }

    #[test]
    fn there_is_a_way_to_this_machine_and_none_to_all_at_once() {
        assert!(has_way_to(([127, 0, 0, 1], 9).into()));
        assert!(!has_way_to(([255, 255, 255, 255], 9).into()));
    }

    fn long(version: u32, id_len: u8) -> Vec<u8> {
        let mut datagram = vec![0xc0];
        datagram.extend(version.to_be_bytes());
        datagram.push(id_len);
        datagram.resize(30, 0xaa);
        datagram
    }

    #[test]
    fn only_our_version_with_possible_ids_gets_through() {
        assert!(!is_foreign(&long(1, 8)));
        assert!(!is_foreign(&long(1, 20)));
        assert!(is_foreign(&long(1, 7)));
        assert!(is_foreign(&long(1, 21)));
        assert!(is_foreign(&long(0, 8)), "version negotiation");
        assert!(is_foreign(&long(0x1a2a_3a4a, 8)), "a scanner's version");
        assert!(is_foreign(&long(0x6b33_43cf, 8)), "QUIC version 2");
    }

    #[test]
    fn short_headers_and_scraps_are_left_to_quinn() {
        assert!(!is_foreign(&[0x40; 30]));
        assert!(!is_foreign(&[]));
        assert!(!is_foreign(&[0xc0, 0, 0, 0, 9]));
    }

    #[test]
    fn the_rest_of_a_batch_stays_whole() {
        let good = |fill: u8| {
            let mut datagram = long(1, 8);
            datagram[29] = fill;
            datagram
        };
        let mut batch = [
            good(1),
            long(9, 8),
            good(2),
            long(9, 8),
            good(3)[..20].to_vec(),
        ]
        .concat();
        let len = batch.len();
        batch.resize(4096, 0);
        let kept = sift(&mut batch, len, 30);
        assert_eq!(
            batch[..kept],
            [good(1), good(2), good(3)[..20].to_vec()].concat()
        );
        let mut alone = long(9, 8);
        assert_eq!(sift(&mut alone, 30, 30), 0);
        let mut fine = good(4);
        assert_eq!(sift(&mut fine, 30, 1472), 30);
        assert_eq!(fine, good(4));
    }

    proptest::proptest! {
        #[test]
        fn any_batch_is_survived(mut batch: Vec<u8>, len: usize, stride: usize) {
            let before = batch.len();
            proptest::prop_assert!(sift(&mut batch, len, stride) <= before);
        }
    }
}
