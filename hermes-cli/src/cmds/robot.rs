//! `robot`: answers every message, for trying things out.
//!
//! The robot reads events as a named consumer and answers each message with its text. The answer's
//! idempotency key is made of the message's id, and the daemon is told that a message was dealt
//! with only after its answer is on disk. So wherever the robot, its daemon or both are killed,
//! every message is answered once: an event that comes again leads to the same key and thus to the
//! same answer.
//!
//! A daemon is started when the robot starts and none runs. If the daemon goes away later, the
//! robot waits for it: somebody stopped it on purpose.

use std::time::Duration;

use clap::Args;
use hermes_api::ErrorCode;
use hermes_api::client::{Api, ClientError, Events, Feed};
use hermes_api::table::{ChatMarkRead, EventsCommit, MessageSend};
use hermes_api::types::{
    After, BODY_BYTES_MAX, ChatMarkReadParams, Cursor, EventData, EventKind, EventsCommitParams,
    EventsSubscribeParams, IDEMPOTENCY_KEY_CHARS_MAX, Message, MessageSendParams,
    MessageSendResponse,
};
use serde::Serialize;

use super::{Context, recv};
use crate::door::Door;
use crate::fault::Fault;
use crate::output::Out;

/// Answers that may be given before the daemon is told how far the robot came.
const UNCOMMITTED_MAX: u32 = 64;

/// Between two tries of a call that may work later.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause that the daemon can impose between two tries.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Most bytes of the text before the echo, so that something of the echo always fits behind it.
const PREFIX_BYTES_MAX: usize = 1024;

/// Answer every message, for trying things out
///
/// Every message is answered once, also if the robot or its daemon is killed at any time; the
/// messages that came while it was away are answered when it is back. Messages that begin with
/// the prefix themselves are not answered, so that two robots do not talk to each other forever.
/// SIGTERM ends it in good order.
#[derive(Args, Debug)]
pub(crate) struct Robot {
    /// Text before the echo
    #[arg(long, value_name = "TEXT", default_value = "you said: ", value_parser = prefix)]
    prefix: String,
    /// End after N answers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    once: Option<u64>,
    /// Name under which the daemon remembers how far the robot came
    #[arg(long, value_name = "NAME", default_value = "robot", value_parser = recv::consumer)]
    consumer: String,
}

fn prefix(text: &str) -> Result<String, String> {
    if text.len() > PREFIX_BYTES_MAX {
        return Err(format!("it is longer than {PREFIX_BYTES_MAX} bytes"));
    }
    Ok(text.to_owned())
}

/// What the robot prints for each answer.
#[derive(Serialize)]
struct Answered<'a> {
    /// The message that was answered.
    answered: &'a str,
    /// The answer.
    message_id: &'a str,
    chat: &'a str,
    /// Whom it was for.
    to: &'a str,
    /// Whether it had been sent before the robot was interrupted.
    duplicate: bool,
}

impl Robot {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let api = context.api().await?;
        let mut events = api.events(EventsSubscribeParams {
            after: Some(After::Consumer(self.consumer.clone())),
            kinds: Some(vec![EventKind::MessageReceived]),
            chats: None,
        });
        let mut work = Work {
            api: &api,
            robot: &self,
            out: &mut context.out,
            cursor: None,
            uncommitted: 0,
            answers: 0,
        };
        tokio::select! {
            biased;
            outcome = work.until_done(&mut events) => outcome,
            () = terminated() => {
                // What was answered and not noted comes again next time, under the same key.
                Ok(())
            }
        }
    }

    /// The answer to a message, cut at the end of a character if the echo does not fit.
    fn answer_to(&self, body: &str) -> String {
        let mut answer = format!("{}{body}", self.prefix);
        let mut end = answer.len().min(BODY_BYTES_MAX);
        while !answer.is_char_boundary(end) {
            end -= 1;
        }
        answer.truncate(end);
        answer
    }

    /// Whether the message may be the answer of another robot.
    fn is_answer(&self, body: &str) -> bool {
        !self.prefix.is_empty() && body.starts_with(&self.prefix)
    }
}

/// Ends when the process is asked to end.
async fn terminated() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut signal) = signal(SignalKind::terminate()) {
            signal.recv().await;
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// The key of the answer to a message: the same however often the message is seen.
fn key_of(message_id: &str) -> String {
    format!("robot-{message_id}")
        .chars()
        .take(IDEMPOTENCY_KEY_CHARS_MAX)
        .collect()
}

/// The robot at work.
struct Work<'a, A> {
    api: &'a A,
    robot: &'a Robot,
    out: &'a mut Out,
    /// Up to where everything was dealt with and the daemon does not know it.
    cursor: Option<Cursor>,
    uncommitted: u32,
    answers: u64,
}

/// What became of a message.
enum Fate {
    Answered(MessageSendResponse),
    /// There is nothing to be done about it, now or later.
    PassedOver,
}

impl<A: Api> Work<'_, A> {
    async fn until_done(&mut self, events: &mut Events) -> Result<(), Fault> {
        loop {
            let feed = tokio::select! {
                biased;
                feed = events.next() => feed,
                () = std::future::ready(()), if self.uncommitted > 0 => {
                    self.commit().await?;
                    continue;
                }
            };
            match feed {
                Some(Feed::Connected) => self.out.detail("listening"),
                Some(Feed::Event(event)) => {
                    if let EventData::MessageReceived(message) = &event.data {
                        self.deal_with(message).await?;
                        self.uncommitted += 1;
                        self.cursor = Some(event.cursor);
                    }
                    let done = self.robot.once.is_some_and(|most| self.answers >= most);
                    if done || self.uncommitted >= UNCOMMITTED_MAX {
                        self.commit().await?;
                    }
                    if done {
                        return Ok(());
                    }
                }
                Some(Feed::Lost(error)) => {
                    let fault = Fault::from(error);
                    self.out
                        .warn(&format!("{}; waiting for hermesd", fault.brief()));
                }
                Some(Feed::Ended(error)) => return Err(error.into()),
                None => return Err(ClientError::Lost.into()),
            }
        }
    }

    /// Answers a message and marks it read.
    async fn deal_with(&mut self, message: &Message) -> Result<(), Fault> {
        if self.robot.is_answer(&message.body) {
            return Ok(());
        }
        let fate = self.answer(message).await?;
        let Fate::Answered(sent) = fate else {
            return Ok(());
        };
        self.mark_read(message).await?;
        self.answers += 1;
        self.tell(message, &sent)
    }

    async fn answer(&mut self, message: &Message) -> Result<Fate, Fault> {
        let params = MessageSendParams {
            to: message.chat.clone(),
            body: self.robot.answer_to(&message.body),
            idempotency_key: Some(key_of(&message.message_id)),
            ..MessageSendParams::default()
        };
        let fault = match self.insist::<MessageSend>(&params).await {
            Ok(sent) => return Ok(Fate::Answered(sent)),
            Err(fault) => fault,
        };
        if fault.is(ErrorCode::IdempotencyConflict) {
            // It was answered with another prefix, before the robot was interrupted.
            return Ok(Fate::PassedOver);
        }
        let is_over = [
            ErrorCode::Blocked,
            ErrorCode::NotEstablished,
            ErrorCode::UnknownChat,
            ErrorCode::UnknownContact,
        ];
        if is_over.into_iter().any(|code| fault.is(code)) {
            let brief = fault.brief();
            self.out
                .warn(&format!("no answer to {}: {brief}", message.sender));
            return Ok(Fate::PassedOver);
        }
        Err(fault)
    }

    async fn mark_read(&mut self, message: &Message) -> Result<(), Fault> {
        let params = ChatMarkReadParams {
            chat: message.chat.clone(),
            up_to: Some(message.seq),
        };
        match self.insist::<ChatMarkRead>(&params).await {
            // The conversation may be gone by now; it was answered, and that is what counts.
            Err(fault) if fault.is(ErrorCode::UnknownChat) => Ok(()),
            Err(fault) => Err(fault),
            Ok(_) => Ok(()),
        }
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        self.uncommitted = 0;
        self.out.flush()?;
        let Some(cursor) = self.cursor.take() else {
            return Ok(());
        };
        let params = EventsCommitParams {
            consumer: self.robot.consumer.clone(),
            cursor,
        };
        self.insist::<EventsCommit>(&params).await?;
        Ok(())
    }

    /// Calls until there is an answer: the daemon may be away, locked or busy for a while.
    async fn insist<M>(&mut self, params: &M::Params) -> Result<M::Response, Fault>
    where
        M: hermes_api::Method,
        M::Params: Clone,
    {
        let mut waits = false;
        loop {
            let error = match self.api.call::<M>(params.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(pause) = pause_after(&error) else {
                return Err(error.into());
            };
            if !waits {
                waits = true;
                self.out.detail(&format!("{error}; trying again"));
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn tell(&mut self, message: &Message, sent: &MessageSendResponse) -> Result<(), Fault> {
        let answered = Answered {
            answered: &message.message_id,
            message_id: &sent.message_id,
            chat: &message.chat,
            to: &message.sender,
            duplicate: sent.duplicate,
        };
        match self.out.format() {
            crate::output::Format::Json => self.out.json(&answered),
            crate::output::Format::Plain => self.out.record(&[
                message.message_id.clone(),
                sent.message_id.clone(),
                message.sender.clone(),
            ]),
            crate::output::Format::Human => {
                let head = format!("answered {}: ", message.sender);
                self.out.entry(&head, &message.body)
            }
        }
    }
}

/// How long to wait before the same call may work; none if it never will.
fn pause_after(error: &ClientError) -> Option<Duration> {
    match error {
        ClientError::Lost | ClientError::NotRunning { .. } => Some(RETRY_PAUSE),
        ClientError::Api(error)
            if error.data().retryable
                || error.is(ErrorCode::StoreLocked)
                || error.is(ErrorCode::NotInitialized) =>
        {
            let asked = error.data().retry_after_ms.map(Duration::from_millis);
            Some(asked.unwrap_or(RETRY_PAUSE).min(RETRY_PAUSE_MAX))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
