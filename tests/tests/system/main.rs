//! The tests of the whole: of the source tree and of the real programs together.
//!
//! One integration binary, so that the programs are built once and the helpers are compiled once. A module is one topic; a file
//! beside this one that no module names fails `tidy`.
#![cfg(unix)]
#![allow(
    clippy::disallowed_methods,
    reason = "real programs are waited for on the real clock, each time with a deadline"
)]

mod activation;
mod conversation;
mod crashes;
#[cfg(target_os = "linux")]
mod durable;
mod edges;
mod invites;
mod kept;
#[cfg(target_os = "linux")]
mod notices;
mod programs;
mod rollover;
mod tidy;
mod units;
