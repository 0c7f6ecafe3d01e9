//! The one owner of state.
//!
//! Underworld, store and history live in one thread, [`Owner`], and nowhere else. Whatever happens (a call, a packet, a receipt, a timer)
//! becomes an [`Input`]. The owner takes what has gathered, feeds it, and ends the *cycle*: everything that underworld wants stored, what
//! history and event log make of its events, and what the handlers added go to the disk in one synced batch. Only then are calls
//! answered, events announced and effects handed to the network. So one `fdatasync` serves all that came in together, and nothing is ever
//! said that the disk does not know.
//!
//! When the disk fails, the calls of the cycle are answered with an error and the daemon ends: memory is ahead of the disk then, and the
//! only safe thing to do with it is to forget it.

mod cycle;
pub mod handle;
pub mod history;
pub mod open;
mod rows;
#[cfg(test)]
mod tests;
mod translate;
pub mod waiting;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hermes_underworld::proto::Now;
use tokio::sync::{mpsc, oneshot, watch};

pub use handle::{Answer, CoreHandle, Phase};
pub use open::Open;
pub use translate::{contact_id, shown_state};

use crate::net::{NetHandle, NetInput};

/// Everything that can happen to the owner.
pub enum Input {
    /// A call; it runs on the open state, and what it returns is answered after the commit.
    Call(Call),
    /// News from the network.
    Net(NetInput),
    /// The store was opened; all else follows from it.
    Opened(Box<Open>, oneshot::Sender<()>),
    /// Close the store; answered when it is closed.
    Close(oneshot::Sender<Option<crate::store::LockedStore>>),
    /// End; answered when all is on the disk and closed.
    Stop(oneshot::Sender<()>),
}

/// A call and what to do with its result.
pub type Call = Box<dyn FnOnce(Option<&mut Open>, Now) -> Answer + Send>;

/// Inputs that wait at most; more make those wait who bring them.
pub const INPUTS_MAX: usize = 4_096;

/// Inputs of one cycle at most, so that an answer does not wait for too many others.
const CYCLE_INPUTS_MAX: usize = 1_024;

/// How long the owner sleeps when nothing asks for less; old events are looked at then.
const IDLE: Duration = Duration::from_secs(600);

/// The thread's state.
pub struct Owner {
    inputs: mpsc::Receiver<Input>,
    runtime: tokio::runtime::Handle,
    phase: watch::Sender<Phase>,
    open: Option<Box<Open>>,
    net: NetHandle,
    fatal: watch::Sender<bool>,
}

impl Owner {
    /// The owner without a store yet.
    #[must_use]
    pub const fn new(
        inputs: mpsc::Receiver<Input>,
        runtime: tokio::runtime::Handle,
        phase: watch::Sender<Phase>,
        net: NetHandle,
        fatal: watch::Sender<bool>,
    ) -> Self {
        Self {
            inputs,
            runtime,
            phase,
            open: None,
            net,
            fatal,
        }
    }

    /// Runs until told to stop, until nobody is left to ask, or until the disk fails.
    pub fn run(mut self) {
        while let Some(first) = self.wait() {
            let mut answers = Vec::new();
            let now = now();
            let mut stop = None;
            let mut next = first;
            for taken in 0.. {
                match next {
                    Some(Input::Stop(done)) => stop = Some(done),
                    Some(input) => self.feed(input, now, &mut answers),
                    None => {}
                }
                if stop.is_some() || taken >= CYCLE_INPUTS_MAX {
                    break;
                }
                match self.inputs.try_recv() {
                    Ok(input) => next = Some(input),
                    Err(_) => break,
                }
            }
            if !self.finish_cycle(now, answers) {
                self.fatal.send_replace(true);
                return;
            }
            if let Some(done) = stop {
                self.close();
                let _ = done.send(());
                return;
            }
        }
        self.close();
    }

    /// Waits for an input, or until underworld wants to be called: then `Some(None)`. `None` when nobody is left.
    fn wait(&mut self) -> Option<Option<Input>> {
        let wake = self
            .open
            .as_ref()
            .and_then(|open| open.underworld.poll_timeout());
        let until = wake.map_or_else(
            || Instant::now() + IDLE,
            |(at, _)| at.min(Instant::now() + IDLE),
        );
        let inputs = &mut self.inputs;
        // The timer has to be made within the runtime.
        let receive = async { tokio::time::timeout_at(until.into(), inputs.recv()).await };
        match self.runtime.block_on(receive) {
            Ok(Some(input)) => Some(Some(input)),
            Ok(None) => None,
            Err(_) => Some(None),
        }
    }

    fn feed(&mut self, input: Input, now: Now, answers: &mut Vec<Answer>) {
        match input {
            Input::Call(call) => answers.push(call(self.open.as_deref_mut(), now)),
            Input::Net(news) => {
                if let Some(open) = &mut self.open {
                    open.net_input(news, now);
                }
            }
            Input::Opened(open, done) => {
                self.phase.send_replace(Phase::Open(open.shared()));
                self.net.begin();
                self.open = Some(open);
                answers.push(Box::new(move |_| {
                    let _ = done.send(());
                }));
            }
            Input::Close(done) => {
                // What came before belongs to the store that is being closed.
                if self.finish_cycle(now, std::mem::take(answers)) {
                    let locked = self.open.take().map(|open| {
                        self.net.end();
                        open.store.lock()
                    });
                    self.phase.send_replace(Phase::Locked);
                    let _ = done.send(locked);
                } else {
                    self.fatal.send_replace(true);
                }
            }
            Input::Stop(_) => {}
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = open.store.close()
        {
            tracing::warn!(%error, "the store was not closed in good order");
        }
    }
}

/// Both clocks.
#[must_use]
pub fn now() -> Now {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Now {
        mono: Instant::now(),
        unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
    }
}
