//! A person at a daemon, for tests that are about people and not about programs.

use std::{collections::HashSet, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{Daemon, Home, Lab, Rpc};

/// A home, its daemon, and how far its event log was read.
#[derive(Debug)]
pub struct Person {
    /// What the person calls itself.
    pub name: &'static str,
    /// The home.
    pub home: Home,
    daemon: Option<Daemon>,
    rpc: Option<Rpc>,
    events: Option<Rpc>,
    cursor: Value,
}

impl Person {
    /// A new person on a lab network, whose daemon runs.
    ///
    /// # Errors
    ///
    /// When the daemon does not start.
    pub fn new(name: &'static str, lab: &Lab) -> Result<Self> {
        let home = Home::new()?;
        let mut person = Self {
            name,
            home,
            daemon: None,
            rpc: None,
            events: None,
            cursor: json!("start"),
        };
        person.daemon = Some(Daemon::start(&person.home, lab)?);
        person.call("identity.init", json!({"name": name}))?;
        Ok(person)
    }

    /// Calls a method of the daemon.
    ///
    /// # Errors
    ///
    /// When it answers an error or is not there.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let daemon = self.daemon.as_ref().context("the daemon is off")?;
        if self.rpc.is_none() {
            self.rpc = Some(daemon.rpc()?);
        }
        let rpc = self.rpc.as_mut().context("no connection")?;
        rpc.call(method, params)
    }

    /// The next event of the log, from where the last call stopped; it survives a restart of the daemon.
    ///
    /// # Errors
    ///
    /// When the connection ends or no event comes.
    pub fn event(&mut self) -> Result<Value> {
        if self.events.is_none() {
            let mut rpc = self.daemon.as_ref().context("the daemon is off")?.rpc()?;
            rpc.call("events.subscribe", json!({"after": self.cursor}))?;
            self.events = Some(rpc);
        }
        let rpc = self.events.as_mut().context("no subscription")?;
        let event = rpc.notification()?["params"]["result"].take();
        self.cursor = event["cursor"].clone();
        Ok(event)
    }

    /// Reads events until one fits; gives it.
    ///
    /// # Errors
    ///
    /// When none comes.
    pub fn event_where(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let event = self
                .event()
                .with_context(|| format!("{} waits for {what}", self.name))?;
            if fits(&event) {
                return Ok(event);
            }
        }
    }

    /// Waits until a contact is established.
    ///
    /// # Errors
    ///
    /// When it does not come to that.
    pub fn until_established(&mut self, contact: &str) -> Result<()> {
        let contact = contact.to_owned();
        let fits = move |event: &Value| {
            event["kind"] == "contact.state"
                && event["data"]["name"] == contact.as_str()
                && event["data"]["state"] == "established"
        };
        self.event_where("an established contact", fits).map(drop)
    }

    /// Sends a text; gives the answer.
    ///
    /// # Errors
    ///
    /// When it is not accepted.
    pub fn send(&mut self, to: &str, body: &str) -> Result<Value> {
        self.call("message.send", json!({"to": to, "body": body}))
    }

    /// Waits until a message of this id has come to a state.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn until_state(&mut self, id: &Value, state: &str) -> Result<Value> {
        let (id, state) = (id.clone(), state.to_owned());
        let fits = move |event: &Value| {
            event["kind"] == "message.state"
                && event["data"]["message_id"] == id
                && event["data"]["state"] == state.as_str()
        };
        self.event_where("a state", fits)
    }

    /// The bodies of all messages of a chat that the friend sent, oldest first.
    ///
    /// # Errors
    ///
    /// When the history cannot be read.
    pub fn received(&mut self, chat: &str) -> Result<Vec<String>> {
        let (mut bodies, mut after) = (Vec::new(), json!(0));
        loop {
            let page = self.call(
                "chat.history",
                json!({"chat": chat, "after": after, "limit": 500}),
            )?;
            let items = page["items"].as_array().context("no items")?;
            for item in items {
                if item["direction"] == "in" {
                    bodies.push(item["body"].as_str().context("no body")?.to_owned());
                }
                after = item["seq"].clone();
            }
            if page["more"] != true {
                return Ok(bodies);
            }
        }
    }

    /// Kills the daemon with SIGKILL.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn kill(&mut self) -> Result<()> {
        self.rpc = None;
        self.events = None;
        self.daemon
            .take()
            .context("the daemon is off")?
            .process
            .kill()
    }

    /// Stops the daemon in good order.
    ///
    /// # Errors
    ///
    /// When it does not end with success.
    pub fn stop(&mut self) -> Result<()> {
        self.rpc = None;
        self.events = None;
        let status = self
            .daemon
            .take()
            .context("the daemon is off")?
            .process
            .terminate()?;
        ensure!(status.success(), "hermesd ended with {status}");
        Ok(())
    }

    /// Starts the daemon again on what the home remembers.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(&mut self) -> Result<()> {
        self.start_by(Daemon::command(&self.home)?)
    }

    /// Starts the daemon again by a command of the caller's own.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start_by(&mut self, command: Command) -> Result<()> {
        self.daemon = Some(Daemon::launch(command)?);
        Ok(())
    }

    /// The daemon, if it runs.
    pub fn daemon(&mut self) -> Option<&mut Daemon> {
        self.daemon.as_mut()
    }
}

/// Makes two people friends: the first invites, the second accepts.
///
/// # Errors
///
/// When it does not come to that.
pub fn befriend(inviter: &mut Person, invitee: &mut Person) -> Result<()> {
    let invite = inviter.call("invite.create", json!({}))?;
    invitee.call(
        "invite.accept",
        json!({"invite": invite["invite"], "name": inviter.name}),
    )?;
    invitee.until_established(inviter.name)?;
    inviter.until_established(invitee.name)
}

/// Checks that these are exactly the numbered texts of one sender, in order.
///
/// # Errors
///
/// With what is missing, doubled or out of order.
pub fn exactly_in_order(received: &[String], expected: &[String]) -> Result<()> {
    if received == expected {
        return Ok(());
    }
    let unique: HashSet<&String> = received.iter().collect();
    let missing: Vec<&String> = expected
        .iter()
        .filter(|body| !unique.contains(body))
        .take(5)
        .collect();
    let first = received.iter().zip(expected).position(|(a, b)| a != b);
    anyhow::bail!(
        "{} received, {} expected, {} doubled; missing e.g. {missing:?}; first difference at {first:?}",
        received.len(),
        expected.len(),
        received.len() - unique.len()
    );
}
