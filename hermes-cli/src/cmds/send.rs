//! `send`: takes a text for delivery.
//!
//! The daemon answers when the message is on disk. Every call carries an idempotency key, the
//! user's or a fresh one, so that a call whose answer was lost, because the daemon was killed right
//! then, is simply made again: the message is sent once.

use std::time::Duration;

use clap::{Args, ValueEnum};
use hermes_api::ErrorCode;
use hermes_api::client::{Api, ClientError};
use hermes_api::table::{MessageGet, MessageSend};
use hermes_api::types::{
    BODY_BYTES_MAX, IDEMPOTENCY_KEY_CHARS_MAX, Message, MessageGetParams, MessageSendParams,
    MessageSendResponse, MessageState, WaitFor,
};
use tokio::time::timeout;

use super::Context;
use crate::door::Door;
use crate::fault::Fault;
use crate::input::Input;
use crate::output::{Format, View, Words};
use crate::{random, span};

/// How often a call is made whose answer is lost.
const TRIES_MAX: u32 = 4;

/// How much longer than it was asked to the daemon may take to answer.
const ANSWER_GRACE: Duration = Duration::from_secs(10);

/// What `send` waits for.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Wait {
    /// Safe on your own disk
    #[default]
    Queued,
    /// Held by enough keepers, or delivered
    Kept,
    /// Confirmed by the friend's daemon
    Delivered,
    /// Read by the friend
    Read,
}

impl From<Wait> for WaitFor {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Queued => Self::Queued,
            Wait::Kept => Self::Kept,
            Wait::Delivered => Self::Delivered,
            Wait::Read => Self::Read,
        }
    }
}

/// Send a message
///
/// The message is on your own disk when the command ends; the daemon delivers it, whether your
/// friend is there or not.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// Contact to send to, by name or id
    to: String,
    /// Text to send; `-` reads it from stdin, without one line break at its end
    text: String,
    /// State to wait for
    #[arg(long, value_enum, value_name = "STATE", default_value_t)]
    wait: Wait,
    /// How long to wait for it; the message stays queued afterwards, and the exit code is 6
    #[arg(long, value_name = "TIME", value_parser = span::parse, default_value = "30s")]
    timeout: Duration,
    /// Key of this message: the same key, recipient and text is the same message, sent once
    #[arg(long)]
    key: Option<String>,
    /// After how long to give up; the network's usual time if not given
    #[arg(long, value_name = "TIME", value_parser = span::parse_lifetime)]
    expires: Option<Duration>,
}

impl Send {
    pub(crate) async fn run<D: Door>(self, context: &mut Context<D>) -> Result<(), Fault> {
        let has_key = self.key.is_some();
        let wait = WaitFor::from(self.wait);
        let params = MessageSendParams {
            body: body(self.text, &context.input).await?,
            idempotency_key: Some(match self.key {
                Some(key) => checked_key(key)?,
                None => random::key()?,
            }),
            to: self.to,
            wait,
            timeout_ms: Some(span::millis(self.timeout)),
            expires_in_s: self.expires.map(|expires| expires.as_secs()),
        };
        let to = params.to.clone();
        let mut sent = call(params, self.timeout + ANSWER_GRACE, context).await?;
        // A fresh key was used by nobody else: a duplicate of it is our own second try.
        sent.duplicate &= has_key;
        let message = match context.out.format() {
            Format::Json => None,
            _ => details(&sent, wait, context).await,
        };
        let state = state_words(&sent, message.as_ref(), &context.out.words());
        context.out.show(&sent, |_| View::Said {
            sentence: sentence(&state, &to, &sent),
            record: vec![
                sent.message_id.clone(),
                sent.state.to_string(),
                sent.duplicate.to_string(),
            ],
        })?;
        judge(&sent, wait, self.timeout, &state)
    }
}

/// The text to send, refused here if the daemon would refuse it.
async fn body(text: String, input: &Input) -> Result<String, Fault> {
    let body = if text == "-" {
        // A line break at the end may come on top of the longest text.
        from_stdin(input.stdin(BODY_BYTES_MAX + 2).await?)?
    } else {
        text
    };
    if body.is_empty() {
        return Err(
            Fault::refused(ErrorCode::InvalidParams, "the text is empty")
                .hint("give some text, or `-` and the text on standard input"),
        );
    }
    if body.len() > BODY_BYTES_MAX {
        let message = format!("the text is longer than {} KiB", BODY_BYTES_MAX / 1024);
        return Err(Fault::refused(ErrorCode::TooLarge, message));
    }
    Ok(body)
}

/// Text from standard input. It was read as a whole, so that no character can be cut in two.
fn from_stdin(bytes: Vec<u8>) -> Result<String, Fault> {
    if bytes.len() > BODY_BYTES_MAX + 2 {
        let message = format!(
            "the text on standard input is longer than {} KiB",
            BODY_BYTES_MAX / 1024
        );
        return Err(Fault::refused(ErrorCode::TooLarge, message));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("standard input is not UTF-8 text, see byte {}", at + 1);
        Fault::refused(ErrorCode::InvalidParams, message)
            .hint("convert it first, for example with iconv")
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn checked_key(key: String) -> Result<String, Fault> {
    match key.chars().count() {
        1..=IDEMPOTENCY_KEY_CHARS_MAX => Ok(key),
        _ => Err(Fault::usage(format!(
            "a key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters"
        ))),
    }
}

/// Sends, and sends again under the same key if the answer was lost.
async fn call<D: Door>(
    params: MessageSendParams,
    patience: Duration,
    context: &mut Context<D>,
) -> Result<MessageSendResponse, Fault> {
    let mut api = context.api().await?;
    let mut tries = 1;
    loop {
        let answer = timeout(patience, api.call::<MessageSend>(params.clone())).await;
        let Ok(answer) = answer else {
            return Err(Fault::unreachable("hermesd does not answer")
                .hint("the message may have been sent; see `hermes-cli log`"));
        };
        match answer {
            Err(ClientError::Lost | ClientError::NotRunning { .. }) if tries < TRIES_MAX => {
                tries += 1;
                context.out.detail("the answer was lost; asking again");
                api = context.api_again().await?;
            }
            answer => return Ok(answer?),
        }
    }
}

/// The message itself, if people want to know more about it than the answer says.
async fn details<D: Door>(
    sent: &MessageSendResponse,
    wait: WaitFor,
    context: &mut Context<D>,
) -> Option<Message> {
    if sent.state != MessageState::Kept && sent.state.reaches(wait) {
        return None;
    }
    let params = MessageGetParams {
        message_id: sent.message_id.clone(),
    };
    // It is sent; that its details cannot be had is no reason to say otherwise.
    let api = context.api().await.ok()?;
    api.call::<MessageGet>(params).await.ok()
}

fn state_words(sent: &MessageSendResponse, message: Option<&Message>, words: &Words<'_>) -> String {
    match message {
        Some(message) => words.state(message.state, message.kept.as_ref(), message.why.as_deref()),
        None => words.state(sent.state, None, None),
    }
}

fn sentence(state: &str, to: &str, sent: &MessageSendResponse) -> String {
    let again = if sent.duplicate {
        ", sent by an earlier call with this key"
    } else {
        ""
    };
    format!("to {to}: {state}{again} (message {})", sent.message_id)
}

/// Whether the message came as far as it should.
fn judge(
    sent: &MessageSendResponse,
    wait: WaitFor,
    waited: Duration,
    state: &str,
) -> Result<(), Fault> {
    if sent.state.reaches(wait) {
        return Ok(());
    }
    Err(match sent.state {
        MessageState::Failed => Fault::failed(format!("the message cannot be delivered: {state}")),
        MessageState::Expired => Fault::not_yet("the message expired before it was confirmed"),
        _ => {
            let waited = span::show(waited);
            let goal = crate::output::word(wait);
            Fault::not_yet(format!(
                "not {goal} within {waited}; the message is {state}"
            ))
            .hint("nothing is lost: the daemon goes on trying")
        }
    })
}

#[cfg(test)]
mod tests;
