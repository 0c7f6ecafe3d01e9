//! `net earth`: the keepers that hold something for you.

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::NetEarth;
use hermes_api::types::NoParams;

use super::super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Table, View, count};

/// List the earth nodes that keep something for you
#[derive(Args, Debug)]
pub(crate) struct Earth {}

impl Earth {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let earth = context.api().await?.call::<NetEarth>(NoParams {}).await?;
        context.out.show(&earth, |words| {
            let rows = earth.nodes.iter().map(|node| {
                let watching = if node.watching { "watching" } else { "" };
                vec![
                    node.node_id.clone(),
                    node.holding.to_string(),
                    watching.to_owned(),
                    words.when_or(node.last_seen, "never"),
                    node.uri.clone().unwrap_or_default(),
                ]
            });
            let headings = &["node", "holding", "mailbox", "seen", "address"];
            View::Table(Table::new(headings, "no earth node keeps anything for you").rows(rows))
        })?;
        let known = count(earth.known.into(), "earth node");
        context.out.remark(&format!("{known} known in all"));
        Ok(())
    }
}
