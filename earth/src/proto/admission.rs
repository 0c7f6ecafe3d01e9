//! How many new mailboxes an address prefix may open in an hour.
//!
//! Anybody can mint mailboxes, so what bounds them is where the writers come from: the /24 of an IPv4 address, the /48 of an IPv6 one.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// The part of a source address that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix([u8; 7]);

impl Prefix {
    /// The prefix of an address; IPv4 addresses in IPv6 clothes count as IPv4.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self([4, a, b, c, 0, 0, 0])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                Self([6, a, b, c, d, e, f])
            }
        }
    }
}

/// Counts new mailboxes a prefix and hour.
#[derive(Debug)]
pub struct Admission {
    per_hour: u16,
    hour: u64,
    opened: BTreeMap<Prefix, u16>,
}

impl Admission {
    /// Prefixes counted apart in one hour. Those beyond share the refusal: a flood from that many prefixes fills the keeper otherwise.
    pub const PREFIXES_MAX: usize = 65_536;

    /// Starts with nothing counted.
    #[must_use]
    pub const fn new(per_hour: u16) -> Self {
        Self {
            per_hour,
            hour: 0,
            opened: BTreeMap::new(),
        }
    }

    /// Counts one new mailbox of `source`; false if it has had its share of this hour.
    pub fn admit(&mut self, source: Prefix, unix_s: u64) -> bool {
        let hour = unix_s / 3_600;
        if hour != self.hour {
            self.hour = hour;
            self.opened.clear();
        }
        if !self.opened.contains_key(&source) && self.opened.len() >= Self::PREFIXES_MAX {
            return false;
        }
        let count = self.opened.entry(source).or_default();
        if *count >= self.per_hour {
            return false;
        }
        *count += 1;
        true
    }

    /// Seconds until the next hour begins.
    #[must_use]
    pub const fn retry_after_s(unix_s: u64) -> u32 {
        (3_600 - unix_s % 3_600) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::of(text.parse().unwrap())
    }

    #[test]
    fn prefixes_are_24_and_48_bits() {
        assert_eq!(prefix("192.0.2.1"), prefix("192.0.2.200"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.3.1"));
        assert_eq!(prefix("::ffff:192.0.2.1"), prefix("192.0.2.9"));
        assert_eq!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:3::1"));
        assert_ne!(prefix("2001:db8:1::1"), prefix("2001:db8:2::1"));
    }

    #[test]
    fn each_prefix_has_its_share_of_an_hour() {
        let mut admission = Admission::new(2);
        let (a, b) = (prefix("192.0.2.1"), prefix("198.51.100.1"));
        assert!(admission.admit(a, 7_200) && admission.admit(a, 7_300));
        assert!(!admission.admit(a, 10_799));
        assert!(admission.admit(b, 10_799));
        assert!(admission.admit(a, 10_800));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut admission = Admission::new(1);
        for n in 0..Admission::PREFIXES_MAX as u32 {
            assert!(admission.admit(Prefix::of(IpAddr::from((n << 8).to_be_bytes())), 0));
        }
        assert!(!admission.admit(prefix("2001:db8::1"), 0));
        assert_eq!(admission.opened.len(), Admission::PREFIXES_MAX);
    }
}
