//! `recv`: events, as the daemon's log holds them and as they happen.
//!
//! A named consumer is remembered by the daemon. What was printed is noted only after it went out
//! to whoever reads it, so that a reader that is killed sees an event again rather than never.

use clap::Args;
use hermes_api::client::{Api, ClientError, Events, Feed};
use hermes_api::table::EventsCommit;
use hermes_api::types::{
    After, CONSUMER_CHARS_MAX, Cursor, Event, EventData, EventsCommitParams, EventsSubscribeParams,
};

use super::{Context, message};
use crate::door::Door;
use crate::fault::Fault;
use crate::output::{Format, Out};

/// Events that may be printed before the daemon is told of it, if they come without a pause.
const UNCOMMITTED_MAX: u32 = 256;

/// Print events, messages among them
///
/// Without --follow the command ends when everything so far was printed. Without --since and
/// --consumer it begins with the oldest event in the log. With --json a line holds: cursor, time,
/// kind, data; the last event of the log is followed by one of kind `caught_up`.
#[derive(Args, Debug)]
pub(crate) struct Recv {
    /// Go on printing what happens
    #[arg(long, short)]
    follow: bool,
    /// Begin after this cursor; `start` is the oldest event in the log, `now` skips what was
    #[arg(long, value_name = "CURSOR", value_parser = after)]
    since: Option<After>,
    /// Begin where this consumer ended, and note under its name what was printed
    #[arg(long, value_name = "NAME", value_parser = consumer)]
    consumer: Option<String>,
    /// Only events of this conversation; may be given several times
    #[arg(long, value_name = "CHAT")]
    chat: Vec<String>,
}

/// Reads the beginning of a stream.
fn after(text: &str) -> Result<After, String> {
    match text {
        "start" => Ok(After::Start),
        "now" => Ok(After::Now),
        cursor => cursor
            .parse()
            .map(After::Cursor)
            .map_err(|error| error.to_string()),
    }
}

/// Reads the name of a consumer.
pub(super) fn consumer(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=CONSUMER_CHARS_MAX => Ok(text.to_owned()),
        _ => Err(format!("it must have 1 to {CONSUMER_CHARS_MAX} characters")),
    }
}

impl Recv {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let api = context.api().await?;
        let named = || self.consumer.clone().map(After::Consumer);
        let params = EventsSubscribeParams {
            after: self.since.clone().or_else(named).or(Some(After::Start)),
            kinds: None,
            chats: (!self.chat.is_empty()).then_some(self.chat),
        };
        let mut notes = Notes {
            api: &api,
            consumer: self.consumer,
            cursor: None,
            count: 0,
        };
        let mut events = api.events(params);
        let ended = print(&mut events, self.follow, &mut notes, &mut context.out).await;
        match ended {
            // What was printed before an error was printed all the same.
            Err(fault) if !matches!(fault, Fault::OutputClosed) => {
                context.out.flush()?;
                Err(fault)
            }
            ended => ended,
        }
    }
}

/// Prints events until the stream ends or, unless it is followed, until it has caught up.
async fn print<A: Api>(
    events: &mut Events,
    follow: bool,
    notes: &mut Notes<'_, A>,
    out: &mut Out,
) -> Result<(), Fault> {
    loop {
        let feed = tokio::select! {
            biased;
            feed = events.next() => feed,
            // Nothing more has come so far: a good moment to hand on what there is.
            () = std::future::ready(()), if notes.count > 0 => {
                notes.commit(out).await?;
                continue;
            }
        };
        match feed {
            Some(Feed::Connected) => out.detail("listening"),
            Some(Feed::Event(event)) => {
                print_event(&event, out)?;
                notes.printed(&event);
                let is_end = !follow && matches!(event.data, EventData::CaughtUp(_));
                if is_end || notes.count >= UNCOMMITTED_MAX {
                    notes.commit(out).await?;
                }
                if is_end {
                    return Ok(());
                }
            }
            Some(Feed::Lost(error)) if follow => {
                let fault = Fault::from(error);
                out.warn(&format!("{}; waiting for hermesd", fault.brief()));
            }
            Some(Feed::Lost(error) | Feed::Ended(error)) => return Err(error.into()),
            None => return Err(ClientError::Lost.into()),
        }
    }
}

/// What was printed and not yet noted by the daemon.
struct Notes<'a, A> {
    api: &'a A,
    consumer: Option<String>,
    cursor: Option<Cursor>,
    count: u32,
}

impl<A: Api> Notes<'_, A> {
    fn printed(&mut self, event: &Event) {
        self.cursor = Some(event.cursor.clone());
        self.count += 1;
    }

    /// Hands the output on and, for a named consumer, has the daemon note how far it came.
    async fn commit(&mut self, out: &mut Out) -> Result<(), Fault> {
        self.count = 0;
        out.flush()?;
        let (Some(consumer), Some(cursor)) = (&self.consumer, self.cursor.take()) else {
            return Ok(());
        };
        let params = EventsCommitParams {
            consumer: consumer.clone(),
            cursor,
        };
        match self.api.call::<EventsCommit>(params).await {
            // The daemon went away. The stream waits for it, and the next note covers this one.
            Err(ClientError::Lost | ClientError::NotRunning { .. }) => Ok(()),
            answer => {
                answer?;
                Ok(())
            }
        }
    }
}

/// Prints an event in the form that was asked for.
fn print_event(event: &Event, out: &mut Out) -> Result<(), Fault> {
    match out.format() {
        Format::Json => out.json(event),
        Format::Plain => {
            let (about, text) = fields(&event.data);
            let kind = event.kind().to_string();
            let cursor = event.cursor.to_string();
            out.record(&[cursor, out.when(event.time), kind, about, text])
        }
        Format::Human => print_for_people(event, out),
    }
}

/// What an event is about and what it says, for programs that do not read JSON.
fn fields(data: &EventData) -> (String, String) {
    match data {
        EventData::MessageReceived(message) | EventData::MessageSent(message) => {
            (message.message_id.clone(), message.body.clone())
        }
        EventData::MessageState(change) => (change.message_id.clone(), change.state.to_string()),
        EventData::ContactState(change) => (change.name.clone(), change.state.as_str().to_owned()),
        EventData::ContactRenamed(change) => (change.name.clone(), change.old_name.clone()),
        EventData::ChatRead(read) => (read.chat.clone(), read.read_seq.to_string()),
        EventData::InviteUsed(used) => (
            used.invite_id.clone(),
            used.name.clone().unwrap_or_default(),
        ),
        EventData::ContactWarning(warning) => {
            (warning.name.clone(), warning.warning.as_str().to_owned())
        }
        EventData::StoreLock(change) => (String::new(), lock_word(change.locked).to_owned()),
        EventData::LinkState(change) => {
            (change.contact_id.clone(), crate::output::word(change.link))
        }
        EventData::ServerShutdown(_) | EventData::CaughtUp(_) | EventData::Other { .. } => {
            (String::new(), String::new())
        }
    }
}

fn lock_word(locked: bool) -> &'static str {
    if locked { "locked" } else { "unlocked" }
}

fn print_for_people(event: &Event, out: &mut Out) -> Result<(), Fault> {
    let said = match &event.data {
        EventData::MessageReceived(received) => return message::print(received, out),
        EventData::MessageSent(sent) => return message::print(sent, out),
        EventData::MessageState(change) => {
            let words = out.words();
            let state = words.state(change.state, change.kept.as_ref(), change.why.as_deref());
            format!("message {} is {state}", change.message_id)
        }
        EventData::ContactState(change) => {
            let verified = if change.verified { ", verified" } else { "" };
            format!("{} is {}{verified}", change.name, change.state.as_str())
        }
        EventData::ContactRenamed(change) => {
            format!("{} is called {} now", change.old_name, change.name)
        }
        EventData::ChatRead(read) => format!("{} unread in {}", read.unread, read.chat),
        EventData::InviteUsed(used) => {
            let who = used.name.as_deref().unwrap_or("somebody");
            let warning = used
                .warning
                .as_deref()
                .map(|warning| format!(": {warning}"));
            let warning = warning.unwrap_or_default();
            format!("{who} used invite {}{warning}", used.invite_id)
        }
        EventData::ContactWarning(warning) => format!("warning: {}", warning.text),
        EventData::StoreLock(change) => format!("the store is {}", lock_word(change.locked)),
        // These come and go, or are for programs.
        EventData::LinkState(_)
        | EventData::ServerShutdown(_)
        | EventData::CaughtUp(_)
        | EventData::Other { .. } => return Ok(()),
    };
    let when = out.when(event.time);
    out.line(&format!("{when}  * {said}"))
}

#[cfg(test)]
mod tests;
