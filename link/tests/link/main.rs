//! The room from outside: endpoints on loopback, on ports that the system chooses.

mod channel;
mod dial;
mod friends;
mod limits;
mod support;
mod wire;
