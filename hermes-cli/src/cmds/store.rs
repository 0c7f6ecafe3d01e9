//! `store`: the encrypted store and what opens it.

mod lock;
mod passwd;
mod unlock;

use clap::Subcommand;
use hermes_api::types::StoreLockResponse;

use super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Out, View};

/// Lock and unlock the store
#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    Unlock(unlock::Unlock),
    Lock(lock::Lock),
    Passwd(passwd::Passwd),
}

impl Store {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        match self {
            Self::Unlock(command) => command.run(context).await,
            Self::Lock(command) => command.run(context).await,
            Self::Passwd(command) => command.run(context).await,
        }
    }
}

/// Tells whether the store is open.
fn show(store: StoreLockResponse, out: &mut Out) -> Result<(), Fault> {
    let word = if store.locked { "locked" } else { "unlocked" };
    out.show(&store, |_| View::Said {
        sentence: format!("the store is {word}"),
        record: vec![word.to_owned()],
    })
}

#[cfg(test)]
mod tests;
