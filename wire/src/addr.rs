//! Network addresses as they stand on the wire (protocol section 8).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::codec::{DecodeError, Put, Reader, Wire};

/// An address and port. IPv4 addresses mapped into IPv6 become plain IPv4; scope and flow are dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr(SocketAddr);

impl Addr {
    /// The address of a socket.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
    }

    /// The address for a socket.
    #[must_use]
    pub const fn socket(&self) -> SocketAddr {
        self.0
    }

    /// The network prefix that stands for one operator: /24 of IPv4, /48 of IPv6.
    #[must_use]
    pub const fn prefix(&self) -> Prefix {
        match self.0.ip() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Prefix::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                Prefix::V6([a, b, c, d, e, f])
            }
        }
    }

    /// Whether it can be reached from everywhere, as far as the address alone tells.
    #[must_use]
    pub const fn is_public(&self) -> bool {
        match self.0.ip() {
            IpAddr::V4(ip) => {
                let [first, ..] = ip.octets();
                !(first == 0
                    || ip.is_loopback()
                    || ip.is_private()
                    || ip.is_link_local()
                    || ip.is_multicast()
                    || ip.is_broadcast())
            }
            IpAddr::V6(ip) => {
                !(ip.is_unspecified()
                    || ip.is_loopback()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local()
                    || ip.is_multicast())
            }
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr)
    }
}

/// Shows the family only: addresses do not belong into logs.
impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_ipv4() {
            "Addr(IPv4)"
        } else {
            "Addr(IPv6)"
        })
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Wire for Addr {
    fn encode(&self, out: &mut Vec<u8>) {
        put_ip(out, self.0.ip());
        out.put_u16(self.0.port());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ip: IpAddr = match r.u8()? {
            4 => Ipv4Addr::from(r.array::<4>()?).into(),
            6 => Ipv6Addr::from(r.array::<16>()?).into(),
            other => {
                return Err(DecodeError::Value {
                    field: "address family",
                    value: other.into(),
                });
            }
        };
        if ip.to_canonical() != ip {
            return Err(DecodeError::Value {
                field: "IPv4 address in IPv6 form",
                value: 6,
            });
        }
        match r.u16()? {
            0 => Err(DecodeError::Value {
                field: "port",
                value: 0,
            }),
            port => Ok(Self(SocketAddr::new(ip, port))),
        }
    }
}

fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            out.put_u8(4);
            out.put(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.put_u8(6);
            out.put(&ip.octets());
        }
    }
}

/// Reads a `u8` count and as many addresses.
pub(crate) fn read_addrs(
    r: &mut Reader<'_>,
    min: usize,
    max: usize,
) -> Result<Vec<Addr>, DecodeError> {
    let n = r.count8("addresses", min, max)?;
    (0..n).map(|_| Addr::read(r)).collect()
}

/// Writes a `u8` count and as many addresses, at most `max`.
pub(crate) fn put_addrs(out: &mut Vec<u8>, addrs: &[Addr], max: usize) {
    let addrs = addrs.get(..max).unwrap_or(addrs);
    out.put_u8(u8::try_from(addrs.len()).unwrap_or_default());
    for addr in addrs {
        addr.encode(out);
    }
}

/// The first bytes of an address that stand for one operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prefix {
    /// /24.
    V4([u8; 3]),
    /// /48.
    V6([u8; 6]),
}
