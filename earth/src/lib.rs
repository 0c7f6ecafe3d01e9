//! Keepers of sealed messages for people who are offline.
//!
//! [`proto`] is the keeper as a pure machine. With the feature `net` (on by default) there is also its disk, its network side and the
//! client with which depositors and owners talk to it.

#![forbid(unsafe_code)]

#[cfg(feature = "net")]
pub mod client;
#[cfg(feature = "net")]
pub mod net;
pub mod proto;
#[cfg(feature = "net")]
pub mod store;
