//! `cargo demo`: a whole network on this machine, you and a robot friend.
//!
//! With a terminal, hermes-tui opens on your daemon, and all is over when you leave it. Without one a short conversation is played
//! and every step of it is checked; see [`play`].

use std::{
    collections::HashSet,
    io::{IsTerminal as _, stdout},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    lab::{Lab, Person, until_established},
    nest::{Nest, PATIENCE, Process},
    programs::Programs,
    rpc::Rpc,
};

const SKY: usize = 3;
const EARTH: usize = 6;

/// Earth nodes that are killed, counted from 0.
const KILLED: [usize; 2] = [1, 4];

const YOU: &str = "you";
const ROBOT: &str = "robot";

/// What the robot puts before what it was told.
const ECHO: &str = "you said: ";

const DIRECT: &str = "Hello, robot!";
const KEPT: [&str; 3] = [
    "You are away, so this one has to wait.",
    "Somebody will keep it for you.",
    "Even if two of the keepers die.",
];

/// Runs the demo.
pub(crate) fn run(nest: &Arc<Nest>) -> Result<()> {
    let programs = Arc::new(Programs::build(nest)?);
    let mut stage = Stage::set(nest, &programs)?;
    if stdout().is_terminal() {
        stage.tell("opening hermes-tui; leave it to end the demo");
        stage.you.open_tui()?;
        println!("The network and both daemons go now, and so do their files.");
        return Ok(());
    }
    play(&mut stage)
}

/// The scripted conversation: a message to a robot that is there, then three to one that is not.
fn play(stage: &mut Stage) -> Result<()> {
    stage.title("A message to somebody who is there");
    let talk = Talk::listen(stage.you.events("now")?, stage.began);
    talk.send(stage, DIRECT)?;
    talk.until("the first message is answered", |view| view.is_answered(1))?;

    stage.title("Three messages to somebody who is away");
    stage.stop_robot()?;
    for body in KEPT {
        talk.send(stage, body)?;
    }
    talk.until("three messages are kept", |view| view.is_kept(KEPT.len()))?;

    stage.title("Two of the six earth nodes die");
    for index in KILLED {
        let node = stage.lab.earth.get(index).context("too few earth nodes")?;
        node.process.kill()?;
        stage.tell(&format!("earth {} is killed with SIGKILL", index + 1));
    }

    stage.title("The robot comes back");
    stage.start_robot()?;
    let all = 1 + KEPT.len();
    talk.until("all messages are answered", |view| view.is_answered(all))?;
    let mut robot = stage.robot.events("start")?;
    until_delivered(&mut robot, all)?;

    let shown = talk.end();
    stage.title("Count");
    check(stage, &shown)
}

/// The network, the two people and the robot.
struct Stage {
    lab: Lab,
    you: Person,
    robot: Person,
    /// The program that answers; the daemon belongs to the person.
    answering: Option<Process>,
    began: Instant,
}

impl Stage {
    fn set(nest: &Arc<Nest>, programs: &Arc<Programs>) -> Result<Self> {
        println!("A network of its own on this machine; it vanishes when the demo ends.");
        let began = Instant::now();
        let lab = Lab::start(nest, programs, SKY, EARTH)?;
        let mut stage = Self {
            you: lab.person(YOU),
            robot: lab.person(ROBOT),
            lab,
            answering: None,
            began,
        };
        let (sky, earth) = (stage.lab.sky.len(), stage.lab.earth.len());
        stage.title("The network");
        stage.tell(&format!(
            "{sky} sky nodes and {earth} earth nodes serve on 127.0.0.1"
        ));

        stage.title("Two people become friends");
        stage.you.start()?;
        stage.robot.start()?;
        stage.tell("a daemon for you and one for the robot serve");
        stage.you.cli(&["init", "--name", YOU])?;
        stage.command(YOU, "init --name you");
        stage.robot.cli(&["init", "--name", ROBOT])?;
        stage.command(ROBOT, "init --name robot");
        stage.befriend()?;
        stage.answer()?;
        Ok(stage)
    }

    fn befriend(&mut self) -> Result<()> {
        let mut yours = self.you.events("now")?;
        let mut robots = self.robot.events("now")?;
        let invite = self.you.cli(&["invite", "create"])?;
        let link = invite["invite"].as_str().context("no invite")?;
        let short: String = link.chars().take(24).collect();
        self.command(YOU, &format!("invite create        -> {short}…"));
        self.robot.cli(&["invite", "accept", link, "--name", YOU])?;
        self.command(ROBOT, &format!("invite accept {short}… --name you"));
        until_established(&mut robots, YOU)?;
        until_established(&mut yours, ROBOT)?;
        self.tell("you and the robot are friends");
        Ok(())
    }

    fn answer(&mut self) -> Result<()> {
        self.answering = Some(self.robot.spawn_cli(&["robot", "--prefix", ECHO])?);
        self.command(ROBOT, "robot                (answers what it is told)");
        Ok(())
    }

    fn stop_robot(&mut self) -> Result<()> {
        let answering = self.answering.take().context("the robot is off")?;
        answering.terminate()?;
        self.robot.stop()?;
        self.tell("the robot and its daemon are stopped with SIGTERM");
        Ok(())
    }

    fn start_robot(&mut self) -> Result<()> {
        self.robot.start()?;
        self.tell("the robot's daemon serves again");
        self.answer()
    }

    fn title(&self, text: &str) {
        println!("\n{text}");
    }

    fn tell(&self, text: &str) {
        tell(self.began, text);
    }

    fn command(&self, who: &str, arguments: &str) {
        self.tell(&format!("{who:<5} $ hermes-cli {arguments}"));
    }
}

/// Your side of the conversation, told as it happens by a thread that listens to your daemon.
struct Talk {
    view: Arc<(Mutex<View>, Condvar)>,
}

/// What your daemon's events said so far.
#[derive(Default)]
struct View {
    /// Your messages in order: id, text and state.
    sent: Vec<(String, String, String)>,
    /// What the robot said, in the order in which it was shown.
    received: Vec<String>,
    /// Why nothing more will be heard.
    broken: Option<anyhow::Error>,
    /// Whether nothing is told any more.
    is_over: bool,
}

impl Talk {
    fn listen(mut events: Rpc, began: Instant) -> Self {
        let view = Arc::new((Mutex::new(View::default()), Condvar::new()));
        let (theirs, talk) = (Arc::clone(&view), Self { view });
        thread::spawn(move || {
            let (view, changed) = &*theirs;
            loop {
                let event = events.event();
                let mut view = lock(view);
                let is_last = view.is_over || event.is_err();
                match event {
                    Ok(event) if !view.is_over => view.take(&event, began),
                    Ok(_) => {}
                    Err(error) => view.broken = Some(error),
                }
                changed.notify_all();
                if is_last {
                    return;
                }
            }
        });
        talk
    }

    fn send(&self, stage: &Stage, body: &str) -> Result<()> {
        stage.you.cli(&["send", ROBOT, body])?;
        Ok(())
    }

    /// Waits until the conversation has come so far.
    fn until(&self, what: &str, is_there: impl Fn(&View) -> bool) -> Result<()> {
        let (view, changed) = &*self.view;
        let deadline = Instant::now() + PATIENCE;
        let mut view = lock(view);
        while !is_there(&view) {
            if let Some(error) = view.broken.take() {
                return Err(error.context(format!("waiting until {what}")));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "it did not come to it that {what}");
            let woken = changed.wait_timeout(view, left);
            view = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Ends the telling; gives what was shown of the robot.
    fn end(&self) -> Vec<String> {
        let mut view = lock(&self.view.0);
        view.is_over = true;
        std::mem::take(&mut view.received)
    }
}

impl View {
    fn take(&mut self, event: &Value, began: Instant) {
        let data = &event["data"];
        let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
        match event["kind"].as_str() {
            Some("message.received") => {
                tell(began, &format!("robot > {}", text("body")));
                self.received.push(text("body"));
            }
            Some("message.sent") => {
                tell(began, &format!("you   > {}", text("body")));
                self.sent
                    .push((text("message_id"), text("body"), text("state")));
            }
            Some("message.state") => {
                let id = text("message_id");
                if let Some((_, body, state)) = self.sent.iter_mut().find(|sent| sent.0 == id) {
                    *state = text("state");
                    tell(began, &format!("        “{body}” is {}", in_words(data)));
                }
            }
            _ => {}
        }
    }

    /// Whether so many messages were sent, each of them is read, and as many answers were shown.
    fn is_answered(&self, count: usize) -> bool {
        let read = self.sent.iter().filter(|(.., state)| state == "read");
        read.count() == count && self.sent.len() == count && self.received.len() >= count
    }

    /// Whether so many messages wait at keepers.
    fn is_kept(&self, count: usize) -> bool {
        let kept = self.sent.iter().filter(|(.., state)| state == "kept");
        kept.count() == count
    }
}

fn lock(view: &Mutex<View>) -> MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints a line with the time since the demo began.
fn tell(began: Instant, text: &str) {
    println!("{:8.3} s  {text}", began.elapsed().as_secs_f64());
}

/// Where a message stands, for people.
fn in_words(data: &Value) -> String {
    let state = data["state"].as_str().unwrap_or("nowhere");
    let kept = &data["kept"];
    if let (Some(receipts), Some(of)) = (kept["receipts"].as_u64(), kept["of"].as_u64())
        && state == "kept"
    {
        return format!("kept: {receipts} of {of} keepers signed for it");
    }
    match data["why"].as_str() {
        Some(why) => format!("{state}: {why}"),
        None => state.to_owned(),
    }
}

/// Waits until so many messages of the robot's own are delivered, so that nothing is under way any more.
fn until_delivered(robot: &mut Rpc, count: usize) -> Result<()> {
    let mut delivered = HashSet::new();
    let is_last = |event: &Value| {
        let state = event["data"]["state"].as_str();
        if event["kind"] == "message.state" && matches!(state, Some("delivered" | "read")) {
            delivered.insert(event["data"]["message_id"].to_string());
        }
        delivered.len() >= count
    };
    robot.event_where("the delivery of the robot's answers", is_last)?;
    Ok(())
}

/// Holds both stores and what was shown against what was said.
fn check(stage: &Stage, shown: &[String]) -> Result<()> {
    let said: Vec<String> = [DIRECT]
        .iter()
        .chain(&KEPT)
        .map(|&body| body.to_owned())
        .collect();
    let echoed: Vec<String> = said.iter().map(|body| format!("{ECHO}{body}")).collect();
    ensure!(shown == echoed, "the answers shown were {shown:?}");
    let views = [
        ("your", stage.you.history(ROBOT)?, &said, &echoed),
        ("the robot's", stage.robot.history(YOU)?, &echoed, &said),
    ];
    for (whose, history, out, into) in views {
        let of = |wanted: &str| -> Vec<&String> {
            let these = history.iter().filter(|(direction, _)| direction == wanted);
            these.map(|(_, body)| body).collect()
        };
        ensure!(
            of("out").iter().copied().eq(out.iter()) && of("in").iter().copied().eq(into.iter()),
            "in {whose} store stands {history:?}"
        );
    }
    stage.tell(&format!(
        "{} messages and {} answers, each exactly once and in order, in both stores",
        said.len(),
        echoed.len()
    ));
    Ok(())
}
