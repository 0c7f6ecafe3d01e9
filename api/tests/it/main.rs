//! The server and the client as programs see them, over real sockets.

#![cfg(unix)]

mod calls;
mod client;
mod golden;
mod launch;
mod limits;
mod subscriptions;
mod support;
mod web;
