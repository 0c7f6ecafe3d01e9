//! `ping`: the way to a contact's daemon.

use std::time::Duration;

use clap::Args;
use hermes_api::client::Api as _;
use hermes_api::table::NetPing;
use hermes_api::types::{NetPingParams, PingRoute};
use tokio::time::timeout;

use super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{View, micros, word};
use crate::span;

/// How much longer than it was asked to the daemon may take to answer.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// Measure the way to a contact
///
/// A contact that does not answer in time ends it with exit code 6.
#[derive(Args, Debug)]
pub(crate) struct Ping {
    /// Contact, by name or id
    contact: String,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", value_parser = span::parse, default_value = "10s")]
    timeout: Duration,
}

impl Ping {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let api = context.api().await?;
        let params = NetPingParams {
            contact: self.contact,
            timeout_ms: Some(span::millis(self.timeout)),
        };
        let answer = timeout(self.timeout + ANSWER_GRACE, api.call::<NetPing>(params)).await;
        let pong = answer.map_err(|_| Fault::unreachable("hermesd does not answer"))??;
        let route = match pong.route {
            PingRoute::Direct => "over the standing connection",
            PingRoute::Knocked => "after a knock through the sky",
        };
        context.out.show(&pong, |_| View::Said {
            sentence: format!("{} answered in {} {route}", pong.name, micros(pong.rtt_us)),
            record: vec![pong.name.clone(), pong.rtt_us.to_string(), word(pong.route)],
        })
    }
}
