//! `daemon status`: whether the daemon runs, and which one.

use clap::Args;
use hermes_api::client::ClientError;

use super::super::Context;
use super::State;
use crate::door::{Launcher, warn_of_skew};
use crate::fault::Fault;

/// Tell whether the daemon runs, without starting it
///
/// The exit code is 0 if it runs and 3 if it does not.
#[derive(Args, Debug)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, context: &mut Context<Launcher>) -> Result<(), Fault> {
        let socket = context.door.paths()?.socket().to_owned();
        let Some((client, hello)) = context.door.look().await? else {
            let state = State {
                socket: socket.display().to_string(),
                ..State::default()
            };
            state.show("hermesd does not run".to_owned(), &mut context.out)?;
            return Err(ClientError::NotRunning { socket }.into());
        };
        warn_of_skew(&hello, &mut context.out);
        let state = State::of(&client).await?;
        state.show(format!("{} runs", state.name()), &mut context.out)
    }
}
