//! `net sky`: the sky nodes that are known, and how they stand.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::NetSky;
use hermes_api::types::NoParams;

use super::super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Table, View, micros};

/// List the sky nodes, by which friends find each other
#[derive(Args, Debug)]
pub(crate) struct Sky {}

impl Sky {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let sky = context.api().await?.call::<NetSky>(NoParams {}).await?;
        context.out.show(&sky, |words| {
            let rows = sky.nodes.iter().map(|node| {
                let state = match (node.connected, node.registered) {
                    (_, true) => "registered",
                    (true, false) => "connected",
                    (false, false) => "known",
                };
                vec![
                    state.to_owned(),
                    node.rtt_us.map(micros).unwrap_or_default(),
                    words.when_or(node.last_seen, "never"),
                    node.uri.clone(),
                ]
            });
            let headings = &["state", "round trip", "seen", "node"];
            View::Table(Table::new(headings, "no sky nodes known").rows(rows))
        })
    }
}
