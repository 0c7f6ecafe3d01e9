//! Who may begin a handshake.
//!
//! A handshake costs two signatures and some memory before the machine hears of it, so it is limited per address block beforehand. A
//! first packet's source can be forged; whoever forges one must not be able to use up the share of others. So a block that has used up
//! its share of unproved first packets must prove its address, and proved ones have a share of their own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use hermes_link::{Admission, AdmissionHook, SourceProof};
use hermes_wire::node::Addr;

use crate::proto::{Handshakes, Limits};

pub(super) fn hook(limits: Limits) -> AdmissionHook {
    let handshakes = Mutex::new(Handshakes::new(limits));
    Arc::new(move |source, proof| {
        let block = Addr::new((source, 0).into()).prefix();
        let mut handshakes = handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match proof {
            SourceProof::Claimed if handshakes.take_claimed(block, now) => Admission::Admit,
            SourceProof::Claimed => Admission::Prove,
            SourceProof::Proved if handshakes.take_proved(block, now) => Admission::Admit,
            SourceProof::Proved => Admission::Ignore,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Rate;

    #[test]
    fn forged_sources_do_not_shut_out_real_ones() {
        let limits = Limits {
            connect: Rate {
                per_second: 1,
                burst: 3,
            },
            ..Limits::public()
        };
        let hook = hook(limits);
        let victim = "192.0.2.1".parse().unwrap();
        let claimed: Vec<_> = (0..5).map(|_| hook(victim, SourceProof::Claimed)).collect();
        assert_eq!(claimed[..3], [Admission::Admit; 3]);
        assert_eq!(claimed[3..], [Admission::Prove; 2]);
        let proved: Vec<_> = (0..5).map(|_| hook(victim, SourceProof::Proved)).collect();
        assert_eq!(proved[..3], [Admission::Admit; 3]);
        assert_eq!(proved[3..], [Admission::Ignore; 2]);
        assert_eq!(
            hook("198.51.100.1".parse().unwrap(), SourceProof::Claimed),
            Admission::Admit
        );
    }
}
