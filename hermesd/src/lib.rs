//! hermesd, the per-user daemon: it joins underworld, sky and earth, owns the encrypted store, and serves the interface that user
//! interfaces and other programs use.
//!
//! - [`core`]: the one owner of state and the cycle in which everything is committed before anything is said.
//! - [`store`]: the encrypted store. [`core::history`] is what people see of it.
//! - [`net`]: what underworld asks of the network, carried out.
//! - [`rpc`]: a handler for each method of `hermes-api`. [`daemon`] is what they share.
//! - [`run`]: start, signals, end. [`home`] is what a home remembers beside the store.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "the daemon is a shell: it owns clocks, randomness, sockets and files"
)]

pub mod args;
pub mod core;
pub mod daemon;
pub mod doctor;
pub mod home;
pub mod keep;
pub mod net;
pub mod notify;
pub mod rpc;
pub mod run;
pub mod store;
