//! How the rest of the daemon talks to the owner.

use hermes_api::error::{ApiError, ErrorCode};
use hermes_underworld::proto::Now;
use tokio::sync::{mpsc, oneshot, watch};

use super::open::Shared;
use super::{Input, Open};
use crate::store::LockedStore;

/// What happens to an answer once the cycle is committed, or has failed.
pub type Answer = Box<dyn FnOnce(Result<(), ApiError>) + Send>;

/// How far the daemon is with its store.
#[derive(Clone)]
pub enum Phase {
    /// There is no store: nobody was initialised here.
    Empty,
    /// There is one and it is locked.
    Locked,
    /// It is open.
    Open(Shared),
}

/// A handle to the owner; cheap to clone.
#[derive(Clone)]
pub struct CoreHandle {
    inputs: mpsc::Sender<Input>,
    phase: watch::Receiver<Phase>,
    set_phase: watch::Sender<Phase>,
}

impl CoreHandle {
    /// A handle that brings inputs to the owner who listens at the other end.
    #[must_use]
    pub const fn new(
        inputs: mpsc::Sender<Input>,
        phase: watch::Receiver<Phase>,
        set_phase: watch::Sender<Phase>,
    ) -> Self {
        Self {
            inputs,
            phase,
            set_phase,
        }
    }

    /// A store was found that is not open yet.
    pub fn locked(&self) {
        self.set_phase.send_replace(Phase::Locked);
    }

    /// There is no store after all.
    pub fn emptied(&self) {
        self.set_phase.send_replace(Phase::Empty);
    }

    /// Whether the owner takes an input within `patience`.
    pub async fn answers(&self, patience: std::time::Duration) -> bool {
        let (done, answer) = oneshot::channel();
        let call = Box::new(move |_: Option<&mut Open>, _: Now| -> Answer {
            Box::new(move |_| {
                let _ = done.send(());
            })
        });
        let asked = async {
            self.inputs.send(Input::Call(call)).await.ok()?;
            answer.await.ok()
        };
        tokio::time::timeout(patience, asked)
            .await
            .ok()
            .flatten()
            .is_some()
    }

    /// How far the daemon is with its store.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// The same, to be waited on.
    #[must_use]
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// What may be read beside the owner.
    ///
    /// # Errors
    /// If the store is not open.
    pub fn shared(&self) -> Result<Shared, ApiError> {
        match &*self.phase.borrow() {
            Phase::Open(shared) => Ok(shared.clone()),
            Phase::Locked => Err(locked()),
            Phase::Empty => Err(empty()),
        }
    }

    /// Runs `work` on the open state; its result is given when everything that it changed is on the disk.
    ///
    /// # Errors
    /// If the store is not open, `work` fails, or the disk does.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Open, Now) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.shared()?;
        let (done, answer) = oneshot::channel();
        let call = Box::new(move |open: Option<&mut Open>, now: Now| -> Answer {
            let result = open.ok_or_else(locked).and_then(|open| work(open, now));
            Box::new(move |committed| {
                let _ = done.send(committed.and(result));
            })
        });
        self.inputs
            .send(Input::Call(call))
            .await
            .map_err(|_| leaving())?;
        answer.await.map_err(|_| leaving())?
    }

    /// Hands over an open store.
    ///
    /// # Errors
    /// If the daemon is about to end.
    pub async fn open(&self, open: Box<Open>) -> Result<(), ApiError> {
        let (done, opened) = oneshot::channel();
        self.inputs
            .send(Input::Opened(open, done))
            .await
            .map_err(|_| leaving())?;
        opened.await.map_err(|_| leaving())
    }

    /// Closes the store and gives it back locked, if it was open.
    ///
    /// # Errors
    /// If the daemon is about to end.
    pub async fn close(&self) -> Result<Option<LockedStore>, ApiError> {
        let (done, closed) = oneshot::channel();
        self.inputs
            .send(Input::Close(done))
            .await
            .map_err(|_| leaving())?;
        closed.await.map_err(|_| leaving())
    }

    /// Ends the owner, after all that came before.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.inputs.send(Input::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

fn locked() -> ApiError {
    ApiError::new(ErrorCode::StoreLocked, "the store is locked").hint("hermes-cli store unlock")
}

fn empty() -> ApiError {
    ApiError::new(ErrorCode::NotInitialized, "nobody is at home here yet")
        .hint("hermes-cli init --name NAME")
}

fn leaving() -> ApiError {
    ApiError::new(ErrorCode::ShuttingDown, "hermesd is about to end")
}
