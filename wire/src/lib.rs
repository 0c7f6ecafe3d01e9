//! The hermes/1 wire format: names, encodings, keys, blinding, deposits, knocks, records and invites.
//!
//! This crate is the code form of `docs/protocol.md`. It is pure: it reads no clock, opens no socket and draws no
//! randomness; times and random bytes are arguments. Everything that arrives from somebody else is read by a strict
//! decoder ([`codec`]), which returns an error and never panics.
//!
//! Where to start: [`Network`] holds the parameters that everything else depends on; [`kdf`] and [`sign`] are the two
//! ways in which bytes get their meaning; [`address`] and [`mailbox`] turn keys into places where others leave
//! something; [`deposit`] is what they leave.

#![forbid(unsafe_code)]
#![allow(
    unexpected_cfgs,
    reason = "cfg(fuzzing) is set by fuzzers, not by cargo"
)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

#[cfg(all(fuzzing, not(feature = "i-am-a-fuzz-target")))]
compile_error!(
    "cfg(fuzzing) switches off message authentication in the session library; only fuzz targets may be built with it: \
     enable the feature `i-am-a-fuzz-target` if this is one"
);

pub mod addr;
pub mod address;
pub mod blind;
pub mod channel;
pub mod codec;
pub mod content;
pub mod deposit;
pub mod earth;
pub mod fuzzing;
pub mod handshake;
pub mod ids;
pub mod invite;
pub mod kdf;
pub mod knock;
pub mod link;
pub mod mailbox;
pub mod network;
pub mod node;
mod noise;
pub mod outer;
pub mod packet;
pub mod pair;
pub mod receipt;
pub mod recovery;
pub mod rekey;
pub mod safety;
pub mod sign;
pub mod sky;
pub mod slots;
pub mod xwing;

pub use codec::{DecodeError, Reader, Wire};
pub use network::Network;
