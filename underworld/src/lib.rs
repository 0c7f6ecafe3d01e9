//! To be described.

pub mod session;
