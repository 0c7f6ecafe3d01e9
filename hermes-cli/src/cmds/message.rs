//! How people see a message, in `log` as in `recv`.

use hermes_api::types::{Direction, Message};

use crate::fault::Fault;
use crate::output::{Format, Out, count};

/// Prints a message.
pub(super) fn print(message: &Message, out: &mut Out) -> Result<(), Fault> {
    match out.format() {
        Format::Json => out.json(message),
        Format::Plain => out.record(&record(message, out)),
        Format::Human => {
            if message.gap_before > 0 {
                let missing = count(message.gap_before, "message");
                out.line(&format!(
                    "        ({missing} of {} missing here)",
                    message.sender
                ))?;
            }
            let when = out.when(message.received_at.unwrap_or(message.sent_at));
            let state = match message.direction {
                Direction::In => String::new(),
                Direction::Out => {
                    let words = out.words();
                    let kept = message.kept.as_ref();
                    format!(
                        " ({})",
                        words.state(message.state, kept, message.why.as_deref())
                    )
                }
            };
            let head = format!("{when}  {}{state}: ", message.sender);
            out.entry(&head, &message.body)
        }
    }
}

/// The fields of a message for programs that do not read JSON.
fn record(message: &Message, out: &Out) -> Vec<String> {
    vec![
        out.when(message.sent_at),
        message.message_id.clone(),
        message.sender.clone(),
        message.state.to_string(),
        message.body.clone(),
    ]
}
