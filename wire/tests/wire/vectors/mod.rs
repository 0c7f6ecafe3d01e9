//! Compares this crate with the vectors of the second implementation (`tests/vectors` in the repository's root).
//!
//! Every field of every case must be used: a case with a field that no test looked at fails.

mod case;
mod channels;
mod handshakes;
mod places;
mod primitives;
