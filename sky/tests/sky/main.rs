//! Sky nodes on real connections, in this process and as programs.

#![allow(
    clippy::disallowed_methods,
    reason = "keepers sign records by the clock"
)]

mod nodes;
mod people;
mod program;
