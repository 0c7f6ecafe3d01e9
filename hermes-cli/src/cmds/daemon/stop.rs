//! `daemon stop`.
//!
//! The daemon answers and then puts its affairs in order, which takes a while. It is gone when it
//! has let go of the lock on its home; its socket says nothing, because a service manager may hold
//! that and start the daemon again for whoever connects.

use std::fs::{File, TryLockError};
use std::io;
use std::time::Duration;

use clap::Args;
use hermes_api::client::{Client, ClientError};
use hermes_api::paths::Paths;
use hermes_api::table::DaemonShutdown;
use hermes_api::types::NoParams;
use tokio::time::{Instant, sleep};

use super::super::Context;
use super::State;
use crate::door::Launcher;
use crate::fault::Fault;
use crate::span;

/// Between two looks at a daemon that is ending.
const POLL_PAUSE: Duration = Duration::from_millis(20);

/// End the daemon in good order
#[derive(Args, Debug)]
pub(crate) struct Stop {
    /// How long to wait for its end
    #[arg(long, value_name = "TIME", value_parser = span::parse, default_value = "30s")]
    timeout: Duration,
}

impl Stop {
    pub(crate) async fn run(self, context: &mut Context<Launcher>) -> Result<(), Fault> {
        let stopped = stop(self.timeout, context).await?;
        let sentence = match &stopped {
            Some(state) => format!("{} has ended", state.name()),
            None => "hermesd was not running".to_owned(),
        };
        let state = State {
            running: false,
            ..stopped.unwrap_or_default()
        };
        state.show(sentence, &mut context.out)
    }
}

/// Ends the daemon if it runs, and waits until it is gone; tells what ran.
pub(super) async fn stop(
    patience: Duration,
    context: &mut Context<Launcher>,
) -> Result<Option<State>, Fault> {
    let paths = context.door.paths()?;
    let Some((client, _)) = context.door.look().await? else {
        return Ok(None);
    };
    let state = State::of(&client).await?;
    match client.call::<DaemonShutdown>(NoParams {}).await {
        // It may be gone before its answer is read.
        Ok(_) | Err(ClientError::Lost) => {}
        Err(error) => return Err(error.into()),
    }
    drop(client);
    let deadline = Instant::now() + patience;
    loop {
        if is_gone(&paths).await? {
            return Ok(Some(state));
        }
        if Instant::now() >= deadline {
            let message = format!(
                "{} has not ended within {}",
                state.name(),
                span::show(patience)
            );
            return Err(
                Fault::unreachable(message).hint("see what it does with: hermes-cli daemon logs")
            );
        }
        sleep(POLL_PAUSE).await;
    }
}

/// Whether nobody serves this home.
async fn is_gone(paths: &Paths) -> Result<bool, Fault> {
    if !paths.is_socket_named() {
        match is_unlocked(paths) {
            Ok(Some(unlocked)) => return Ok(unlocked),
            Ok(None) => {}
            Err(error) => {
                let lock = paths.lock_file();
                return Err(Fault::system(
                    format!("cannot look at {}", lock.display()),
                    &error,
                ));
            }
        }
    }
    match Client::connect(paths.clone()).await {
        Ok(_) => Ok(false),
        Err(ClientError::NotRunning { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Whether nobody holds the lock on the home; none if there is no lock file.
fn is_unlocked(paths: &Paths) -> io::Result<Option<bool>> {
    let file = match File::open(paths.lock_file()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // A shared lock, so that two who look do not see each other.
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(true)),
        Err(TryLockError::WouldBlock) => Ok(Some(false)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use hermes_api::paths::Sources;

    use super::*;

    #[test]
    fn the_lock_on_the_home_tells_whether_somebody_is_there() {
        let folder = tempfile::tempdir().expect("folder");
        let paths = Paths::resolve(&Sources {
            home: Some(folder.path().to_owned()),
            socket: None,
        })
        .expect("paths");
        assert_eq!(is_unlocked(&paths).expect("looked"), None);
        let file = File::create(paths.lock_file()).expect("file");
        file.lock().expect("locked");
        assert_eq!(is_unlocked(&paths).expect("looked"), Some(false));
        drop(file);
        assert_eq!(is_unlocked(&paths).expect("looked"), Some(true));
    }
}
