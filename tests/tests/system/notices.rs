//! Notices on the desktop, seen from the desktop's side.
//!
//! The test is the notification service of a session bus of its own, and writes down every call that a real daemon makes there. The
//! daemon makes one call at a time and waits for its answer, so the order of calls tells what did not come: a notice too many would
//! stand before the call that is waited for.
//!
//! The checks need `dbus-daemon`. Where it is missing they say so and pass, unless `HERMES_REQUIRE_TOOLS` is set, as the continuous
//! integration does.

use std::{
    collections::HashMap,
    fs,
    process::Command,
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use hermes_tests::person::{Person, befriend};
use hermes_tests::{Daemon, Lab, Net, PATIENCE, Process};
use serde_json::json;
use tempfile::TempDir;
use zbus::{
    Message,
    blocking::{Connection, MessageIterator, connection},
    message::Type,
    zvariant::OwnedValue,
};

use crate::units::installed;

const SERVICE: &str = "org.freedesktop.Notifications";

/// A part of every text that is sent here; no call may hold it.
const SECRET: &str = "xyzzy";

/// The arguments of `Notify`: program, what it replaces, icon, summary, body, actions, hints, milliseconds.
type Arguments = (
    String,
    u32,
    String,
    String,
    String,
    Vec<String>,
    HashMap<String, OwnedValue>,
    i32,
);

/// What the daemon asked of the desktop.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Notify {
        /// The id that the desktop gave.
        id: u32,
        replaces: u32,
        summary: String,
        body: String,
        /// Whether a text stands anywhere in the call, be it in a hint.
        tells: bool,
    },
    Close(u32),
    Other(String),
}

/// A session bus of its own and the notification service on it.
struct Desktop {
    address: String,
    calls: Receiver<Call>,
    _bus: Process,
    _folder: TempDir,
}

impl Desktop {
    /// Nothing where there is no `dbus-daemon`.
    fn start() -> Result<Option<Self>> {
        if !installed("dbus-daemon")? {
            return Ok(None);
        }
        let mut command = Command::new("dbus-daemon");
        command.args(["--session", "--nofork", "--print-address"]);
        // Its socket would stay behind in /tmp, since it is killed.
        let folder = tempfile::tempdir()?;
        command.arg(format!("--address=unix:dir={}", folder.path().display()));
        let bus = Process::spawn("dbus-daemon", command)?;
        let address = bus.line()?;
        let service = connection::Builder::address(address.as_str())?
            .method_timeout(PATIENCE)
            .build()?;
        let messages = MessageIterator::from(&service);
        // Nobody can call before the name is there, so no call is missed.
        service.request_name(SERVICE)?;
        let (sender, calls) = mpsc::channel();
        // It ends with the bus.
        thread::spawn(move || serve(&service, messages, &sender));
        Ok(Some(Self {
            address,
            calls,
            _bus: bus,
            _folder: folder,
        }))
    }

    /// The next call, which must come.
    fn call(&self) -> Result<Call> {
        self.calls
            .recv_timeout(PATIENCE)
            .context("the desktop waits for a call")
    }

    /// Starts a person's daemon again, now with this desktop around it.
    fn take_in(&self, person: &mut Person) -> Result<()> {
        person.stop()?;
        let mut command = Daemon::command(&person.home)?;
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        person.start_by(command)
    }
}

fn serve(service: &Connection, messages: MessageIterator, calls: &Sender<Call>) -> Result<()> {
    let mut last_id = 40;
    for message in messages {
        let message = message?;
        if message.message_type() == Type::MethodCall {
            let call = answer(service, &message, &mut last_id)?;
            if calls.send(call).is_err() {
                break;
            }
        }
    }
    Ok(())
}

fn answer(service: &Connection, message: &Message, last_id: &mut u32) -> Result<Call> {
    let header = message.header();
    let member = header.member().context("a call of nothing")?.as_str();
    let body = message.body();
    match member {
        "Notify" => {
            let (_, replaces, _, summary, text, ..): Arguments = body.deserialize()?;
            let id = if replaces == 0 {
                *last_id += 1;
                *last_id
            } else {
                replaces
            };
            service.reply(&header, &id)?;
            Ok(Call::Notify {
                id,
                replaces,
                summary,
                body: text,
                tells: message
                    .data()
                    .windows(SECRET.len())
                    .any(|part| part == SECRET.as_bytes()),
            })
        }
        "CloseNotification" => {
            let id = body.deserialize()?;
            service.reply(&header, &())?;
            Ok(Call::Close(id))
        }
        other => {
            let error = "org.freedesktop.DBus.Error.UnknownMethod";
            service.reply_error(&header, error, &other)?;
            Ok(Call::Other(other.to_owned()))
        }
    }
}

/// A notice about so many messages of alice.
fn from_alice(id: u32, replaces: u32, body: &str) -> Call {
    Call::Notify {
        id,
        replaces,
        summary: "alice".to_owned(),
        body: body.to_owned(),
        tells: false,
    }
}

/// Alice writes, and bob's daemon has it on the disk; whether a notice comes is decided by then.
fn write(alice: &mut Person, bob: &mut Person, text: &str) -> Result<()> {
    let body = format!("{SECRET} {text}");
    alice.send("bob", &body)?;
    bob.event_where("a message", |event| {
        event["kind"] == "message.received" && event["data"]["body"] == body.as_str()
    })
    .map(drop)
}

fn friends(lab: &Lab, desktop: &Desktop) -> Result<(Person, Person)> {
    let (mut alice, mut bob) = (Person::new("alice", lab)?, Person::new("bob", lab)?);
    befriend(&mut alice, &mut bob)?;
    desktop.take_in(&mut bob)?;
    Ok((alice, bob))
}

#[test]
fn a_message_makes_one_notice_without_its_text_and_reading_takes_it_away() -> Result<()> {
    let Some(desktop) = Desktop::start()? else {
        return Ok(());
    };
    let lab = Lab::start(Net::lab(), 3, 6)?;
    let (mut alice, mut bob) = friends(&lab, &desktop)?;

    write(&mut alice, &mut bob, "one")?;
    let first = desktop.call()?;
    ensure!(first == from_alice(41, 0, "sent a message"), "{first:?}");
    bob.call("chat.mark_read", json!({"chat": "alice"}))?;
    let closed = desktop.call()?;
    ensure!(closed == Call::Close(41), "{closed:?}");

    // Of several that stay unread there is one notice, which counts them.
    write(&mut alice, &mut bob, "two")?;
    write(&mut alice, &mut bob, "three")?;
    let (second, third) = (desktop.call()?, desktop.call()?);
    ensure!(second == from_alice(42, 0, "sent a message"), "{second:?}");
    ensure!(third == from_alice(42, 42, "sent 2 messages"), "{third:?}");
    bob.call("chat.mark_read", json!({"chat": "alice"}))?;
    let closed = desktop.call()?;
    ensure!(closed == Call::Close(42), "{closed:?}");
    Ok(())
}

#[test]
fn a_chat_that_somebody_looks_at_makes_no_notice() -> Result<()> {
    let Some(desktop) = Desktop::start()? else {
        return Ok(());
    };
    let lab = Lab::start(Net::lab(), 3, 6)?;
    let (mut alice, mut bob) = friends(&lab, &desktop)?;

    bob.call("ui.presence", json!({"focused": true, "chat": "alice"}))?;
    write(&mut alice, &mut bob, "seen at once")?;
    bob.call("ui.presence", json!({"focused": false, "chat": "alice"}))?;
    write(&mut alice, &mut bob, "not seen")?;
    // Two messages came and one is told, with nothing else before the close.
    let first = desktop.call()?;
    ensure!(first == from_alice(41, 0, "sent a message"), "{first:?}");
    bob.call("chat.mark_read", json!({"chat": "alice"}))?;
    let closed = desktop.call()?;
    ensure!(closed == Call::Close(41), "{closed:?}");
    Ok(())
}

#[test]
fn the_text_is_told_only_to_who_asked_for_it() -> Result<()> {
    let Some(desktop) = Desktop::start()? else {
        return Ok(());
    };
    let lab = Lab::start(Net::lab(), 3, 6)?;
    let (mut alice, mut bob) = friends(&lab, &desktop)?;
    let path = bob.home.path().join("config.toml");
    let settings = fs::read_to_string(&path)?;
    fs::write(&path, format!("notifications = \"preview\"\n{settings}"))?;
    desktop.take_in(&mut bob)?;

    write(&mut alice, &mut bob, "<b>")?;
    let call = desktop.call()?;
    let Call::Notify { body, tells, .. } = &call else {
        anyhow::bail!("{call:?}");
    };
    // Were the text never found, the other checks would show nothing.
    ensure!(*tells && *body == format!("{SECRET} &lt;b&gt;"), "{call:?}");
    Ok(())
}
