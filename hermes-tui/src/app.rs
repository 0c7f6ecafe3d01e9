//! The loop: waits for something to happen, takes it in, and draws if anything came in.

#![allow(
    clippy::disallowed_methods,
    reason = "this is a shell: it asks the system for random numbers"
)]

use anyhow::{Context as _, Result};
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use hermes_api::client::{Client, StartOptions, connect_or_start};
use hermes_api::paths::Paths;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::effects::Runner;
use crate::model::Model;
use crate::msg::{Effect, Focus, Msg};
use crate::terminal::Screen;
use crate::update::update;
use crate::view::view;

/// Messages that wait to be taken in; who has more to tell waits.
const MESSAGES_MAX: usize = 256;

/// Messages taken in before the screen is drawn again.
const BATCH: usize = 64;

/// What carries out effects and tells what came of them.
pub(crate) struct Outside {
    paths: Paths,
    runner: Runner<Client>,
    sender: Sender<Msg>,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// Go on.
    On,
    /// End.
    Out,
}

impl Outside {
    /// The way outside, and where its messages come from.
    pub(crate) fn new(paths: Paths) -> (Self, Receiver<Msg>) {
        let (sender, receiver) = channel(MESSAGES_MAX);
        let runner = Runner::new(Client::new(paths.clone()), sender.clone());
        let outside = Self {
            paths,
            runner,
            sender,
        };
        (outside, receiver)
    }

    /// For those who have messages of their own.
    pub(crate) fn sender(&self) -> Sender<Msg> {
        self.sender.clone()
    }

    /// Carries effects out.
    pub(crate) fn run(&mut self, effects: Vec<Effect>) -> Go {
        let mut go = Go::On;
        for effect in effects {
            match effect {
                Effect::Quit => go = Go::Out,
                Effect::Start => self.start(),
                Effect::Redraw => {}
                effect => self.runner.run(effect),
            }
        }
        go
    }

    fn start(&self) {
        let (paths, sender) = (self.paths.clone(), self.sender.clone());
        tokio::spawn(async move {
            let options = StartOptions::new("hermes-tui", env!("CARGO_PKG_VERSION"));
            let reached = connect_or_start(&paths, &options).await;
            let outcome = reached.map(|(_, hello)| Box::new(hello));
            // Nobody listens only when the program ends.
            let _ = sender.send(Msg::Greeted(outcome)).await;
        });
    }
}

/// The state before anything is known, on a screen of this size.
pub(crate) fn model(size: (u16, u16)) -> Result<Model> {
    let mut stem = [0; 12];
    getrandom::fill(&mut stem)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    let stem: String = stem.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Model::new(size, stem, TimeZone::system()))
}

/// Runs the full-screen form until it is quit.
pub(crate) async fn run(paths: Paths) -> Result<()> {
    let mut screen = Screen::open().context("cannot take over the terminal; try --plain")?;
    let size = screen.terminal.size()?;
    let mut model = model((size.width, size.height))?;
    screen.terminal.draw(|frame| view(&model, frame))?;
    let (mut outside, mut messages) = Outside::new(paths);
    outside.run(vec![Effect::Start]);
    let mut input = EventStream::new();
    loop {
        let first = tokio::select! {
            biased;
            event = input.next() => match event {
                Some(event) => heard(event?),
                None => return Ok(()),
            },
            msg = messages.recv() => msg,
            () = ended() => return Ok(()),
        };
        let Some(first) = first else {
            continue;
        };
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(msg) = next {
            let effects = update(&mut model, msg);
            if effects.contains(&Effect::Redraw) {
                screen.terminal.clear()?;
            }
            if outside.run(effects) == Go::Out {
                return Ok(());
            }
            taken += 1;
            next = (taken < BATCH).then(|| messages.try_recv().ok()).flatten();
        }
        screen.terminal.draw(|frame| view(&model, frame))?;
    }
}

/// Comes back when the program is asked to end.
async fn ended() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut term), Ok(mut hangup)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::hangup()),
        ) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = hangup.recv() => {}
        }
    }
    #[cfg(not(unix))]
    std::future::pending::<()>().await;
}

fn heard(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) => Some(Msg::Key(key)),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::FocusGained => Some(Msg::Focus(Focus::Gained)),
        Event::FocusLost => Some(Msg::Focus(Focus::Lost)),
        Event::Resize(columns, rows) => Some(Msg::Resize(columns, rows)),
        Event::Mouse(_) => None,
    }
}
