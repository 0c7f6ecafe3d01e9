//! The contract between `hermesd` and every face of Hermes: parameters, results and events of the
//! JSON-RPC interface, as plain data.
//!
//! Everything a client may send or receive is a type in [`types`]. Methods are named `noun.verb`,
//! take named parameters and refuse unknown ones; results are always objects, and clients ignore
//! fields they do not know, so that fields can be added without breaking anybody.

#[cfg(feature = "client")]
pub mod client;
pub mod error;
#[cfg(any(feature = "client", feature = "server"))]
mod lines;
pub mod paths;
#[cfg(feature = "server")]
pub mod server;
pub mod table;
pub mod text;
pub mod types;

pub use error::{ApiError, ErrorCode};
pub use table::Method;
