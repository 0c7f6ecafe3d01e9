//! The per-user daemon: one owner of state over the layers, an encrypted store, a local interface.

pub mod store;
