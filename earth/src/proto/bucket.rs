//! Expiry buckets: what expires about together is stored together and dropped together.

use hermes_wire::Network;

/// A span of expiry stamps, numbered from the protocol's zero time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(pub u32);

/// How expiry stamps fall into buckets on one network.
#[derive(Debug, Clone, Copy)]
pub struct Buckets {
    /// Expiry units that one bucket spans.
    width: u32,
}

impl Buckets {
    /// About thirty buckets live at a time, whatever the network's longest expiry: enough that dropping one frees room in time, few
    /// enough that the store keeps all of them open.
    const LIVE: u32 = 30;

    /// The buckets of a network.
    #[must_use]
    pub fn of(network: &Network) -> Self {
        let params = network.params();
        let units = params.expiry_max_s / params.expiry_unit_s.max(1);
        Self {
            width: units.div_ceil(Self::LIVE).max(1),
        }
    }

    /// The bucket of an expiry stamp.
    #[must_use]
    pub const fn at(&self, expiry: u32) -> Bucket {
        Bucket(expiry / self.width)
    }

    /// The first expiry stamp after a bucket: when it is reached, everything in the bucket has expired.
    #[must_use]
    pub const fn end(&self, bucket: Bucket) -> u32 {
        bucket.0.saturating_add(1).saturating_mul(self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_or_so_buckets_are_live() {
        let buckets = Buckets::of(&Network::main());
        let units = 2_592_000 / 3_600;
        let live = buckets.at(units).0 - buckets.at(0).0 + 1;
        assert!((30..=32).contains(&live), "{live}");
    }

    #[test]
    fn a_stamp_lies_before_its_buckets_end() {
        let buckets = Buckets::of(&Network::lab());
        for stamp in 0..2_000 {
            assert!(stamp < buckets.end(buckets.at(stamp)));
            assert_eq!(
                buckets.at(buckets.end(buckets.at(stamp))).0,
                buckets.at(stamp).0 + 1
            );
        }
    }
}
