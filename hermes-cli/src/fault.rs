//! What can go wrong, how it is told, and how the program then ends.
//!
//! Every error of every command becomes a [`Fault`] here, and [`Fault::exit`] is the only place
//! that knows exit codes. An error says what happened, why, and in hints what to do about it.

use std::fmt::Display;
use std::io;

use clap::CommandFactory as _;
use clap::error::ErrorKind;
use hermes_api::client::ClientError;
use hermes_api::error::Exit;
use hermes_api::paths::PathsError;
use hermes_api::{ApiError, ErrorCode};
use serde::Serialize;

use crate::args::Cli;
use crate::output::{Format, json_line, text};

/// Why a command ended before its time.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Whoever read our output has gone. That is his right; nothing is said about it.
    OutputClosed,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// Something that was told already, by another process of ours.
    Told(Exit),
    /// Something did not work.
    Failure(Box<Failure>),
}

/// An error as a line of JSON.
#[derive(Serialize)]
struct Told<'a> {
    error: &'a Failure,
}

/// Something that did not work.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    /// One word for programs: the daemon's, or one of ours.
    kind: String,
    /// The daemon's number, if it answered the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
    /// What may have been meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<String>,
    /// The last lines of the daemon's log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    #[serde(serialize_with = "exit_as_number")]
    exit: Exit,
}

fn exit_as_number<S: serde::Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(exit.code())
}

impl Fault {
    /// How the program ends on this.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::OutputClosed => Exit::Done,
            Self::Interrupted => Exit::Interrupted,
            Self::Told(exit) => *exit,
            Self::Failure(failure) => failure.exit,
        }
    }

    /// What the daemon would have refused, refused here, so that both end in the same way.
    pub(crate) fn refused(code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError::new(code, message).into()
    }

    /// Arguments that make no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::of_kind("usage", Exit::Usage, message)
    }

    /// Something that was waited for did not come in time.
    pub(crate) fn not_yet(message: impl Into<String>) -> Self {
        Self::of_kind("not_yet", Exit::NotYet, message)
    }

    /// The daemon is not as it should be.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::of_kind("unreachable", Exit::Unreachable, message)
    }

    /// Something failed for which there is no other word.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::of_kind("failed", Exit::Refused, message)
    }

    /// The system refused something.
    pub(crate) fn system(what: impl Display, error: &io::Error) -> Self {
        Self::of_kind("io", Exit::Refused, format!("{what}: {error}"))
    }

    /// A file that the user named cannot be used.
    pub(crate) fn file(what: impl Display, error: &io::Error) -> Self {
        Self::of_kind("io", Exit::Usage, format!("{what}: {error}"))
    }

    /// An error while writing to stdout.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::system("cannot write the output", error)
        }
    }

    fn of_kind(kind: &str, exit: Exit, message: impl Into<String>) -> Self {
        Self::Failure(Box::new(Failure {
            kind: kind.to_owned(),
            code: None,
            message: message.into(),
            hints: Vec::new(),
            candidates: Vec::new(),
            log: Vec::new(),
            retry_after_ms: None,
            oldest: None,
            head: None,
            exit,
        }))
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Failure(failure) = &mut self {
            failure.hints.push(hint.into());
        }
        self
    }

    /// Adds what may have been meant.
    pub(crate) fn candidates(mut self, candidates: Vec<String>) -> Self {
        if let Self::Failure(failure) = &mut self {
            failure.candidates = candidates;
        }
        self
    }

    /// Whether the daemon answered this error.
    pub(crate) fn is(&self, code: ErrorCode) -> bool {
        matches!(self, Self::Failure(failure) if failure.code == Some(code.code()))
    }

    /// The error on one line, for a warning about it.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::OutputClosed => "nobody reads the output".to_owned(),
            Self::Interrupted => "interrupted".to_owned(),
            Self::Told(_) => "see above".to_owned(),
            Self::Failure(failure) => text::line(&failure.message).into_owned(),
        }
    }

    /// Tells it on stderr.
    pub(crate) fn tell(&self, format: Format) {
        let Self::Failure(failure) = self else {
            return;
        };
        if format == Format::Json {
            eprintln_quietly(&json_line(&Told { error: failure }));
        } else {
            // clap colours the word `error` as it does for usage errors, or does not.
            let error = clap::Error::raw(ErrorKind::Io, failure.text()).with_cmd(&Cli::command());
            let _ = error.print();
        }
    }
}

/// Writes a line to stderr; if that does not work there is nobody left to be told.
fn eprintln_quietly(line: &str) {
    use io::Write as _;
    let _ = writeln!(io::stderr(), "{line}");
}

impl Failure {
    /// The error for people, fit for a terminal, with a line for each thing that helps.
    fn text(&self) -> String {
        let mut said = format!("{}\n", text::line(&self.message));
        if !self.candidates.is_empty() {
            let names: Vec<_> = self
                .candidates
                .iter()
                .map(|name| text::line(name))
                .collect();
            said.push_str(&format!("  did you mean: {}\n", names.join(", ")));
        }
        if let Some(ms) = self.retry_after_ms.filter(|ms| *ms > 0) {
            let seconds = ms.div_ceil(1000);
            said.push_str(&format!("  the next try can be made in {seconds} s\n"));
        }
        for line in &self.log {
            said.push_str(&format!("  | {}\n", text::line(line)));
        }
        for hint in &self.hints {
            said.push_str(&format!("  hint: {}\n", text::line(hint)));
        }
        said
    }
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        let exit = error.exit();
        let data = error.data();
        let ours = error.code().and_then(hint).map(str::to_owned);
        Self::Failure(Box::new(Failure {
            kind: data.kind.clone(),
            code: Some(error.number()),
            message: error.message().to_owned(),
            hints: data.hint.clone().or(ours).into_iter().collect(),
            candidates: data.candidates.clone(),
            log: Vec::new(),
            retry_after_ms: data.retry_after_ms,
            oldest: data.oldest.clone(),
            head: data.head.clone(),
            exit,
        }))
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        if let ClientError::Api(error) = error {
            return error.into();
        }
        let kind = match &error {
            ClientError::Api(_) | ClientError::Io(_) => "io",
            ClientError::NotRunning { .. } => "not_running",
            ClientError::Foreign { .. } => "foreign",
            ClientError::Silent { .. } => "silent",
            ClientError::NotStarted { .. } => "not_started",
            ClientError::Lost => "lost",
            ClientError::Garbled(_) => "garbled",
            ClientError::Paths(_) => "paths",
        };
        let message = match &error {
            ClientError::NotRunning { socket } => {
                format!("{error}: nobody listens on {}", socket.display())
            }
            _ => error.to_string(),
        };
        let mut fault = Self::of_kind(kind, error.exit(), message);
        if let Some(hint) = error.hint() {
            fault = fault.hint(hint);
        }
        if let (Self::Failure(failure), ClientError::NotStarted { log, .. }) = (&mut fault, error) {
            failure.log = log;
        }
        fault
    }
}

impl From<PathsError> for Fault {
    fn from(error: PathsError) -> Self {
        ClientError::from(error).into()
    }
}

/// What to do with this program about an error of the daemon, where the daemon itself does not say.
fn hint(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::StoreLocked => "unlock it with: hermes-cli store unlock",
        ErrorCode::NotInitialized => "make an identity with: hermes-cli init --name NAME",
        ErrorCode::AlreadyInitialized => "show it with: hermes-cli id show",
        ErrorCode::UnknownContact | ErrorCode::AmbiguousName => {
            "see the names with: hermes-cli contact list"
        }
        ErrorCode::UnknownChat => "see the conversations with: hermes-cli chats",
        ErrorCode::UnknownInvite => "see your invites with: hermes-cli invite list",
        ErrorCode::Blocked => "take messages again with: hermes-cli contact unblock NAME",
        ErrorCode::NameTaken => "choose another name",
        ErrorCode::NotEstablished => "see how far it has come with: hermes-cli contact list",
        ErrorCode::TooLarge => "send it in several messages",
        ErrorCode::InviteExpired | ErrorCode::InviteUsed => "ask your friend for a new invite",
        ErrorCode::InviteInvalid => {
            "copy the whole link; if it stays so, ask your friend for a new invite"
        }
        ErrorCode::InviteIsMine => "give it to the friend that it is for",
        ErrorCode::IdempotencyConflict => "use another --key for another message",
        ErrorCode::CursorExpired => {
            "read the messages with `hermes-cli log`, then go on with --since now"
        }
        ErrorCode::Unsupported => "restart the daemon with: hermes-cli daemon restart",
        ErrorCode::StorageFailed => "see to the disk, then: hermes-cli daemon restart",
        ErrorCode::Internal => "its log may tell more: hermes-cli daemon logs",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn text_of(fault: &Fault) -> String {
        match fault {
            Fault::Failure(failure) => failure.text(),
            other => panic!("not a failure: {other:?}"),
        }
    }

    #[test]
    fn what_the_daemon_answers_decides_the_exit_code() {
        for code in ErrorCode::ALL {
            let fault = Fault::refused(*code, "x");
            assert_eq!(fault.exit(), code.exit(), "{code:?}");
            assert!(fault.is(*code));
        }
        let unknown = Fault::from(ApiError::from_wire(1999, "new".to_owned(), None));
        assert_eq!(unknown.exit(), Exit::Refused);
    }

    #[test]
    fn an_error_says_what_why_and_what_to_do() {
        let fault = Fault::from(ClientError::NotRunning {
            socket: PathBuf::from("/h/rpc.sock"),
        });
        assert_eq!(fault.exit(), Exit::Unreachable);
        assert_eq!(
            text_of(&fault),
            "hermesd is not running: nobody listens on /h/rpc.sock\n  \
             hint: start it with: hermes-cli daemon start\n"
        );
    }

    #[test]
    fn names_that_may_have_been_meant_are_shown_and_are_harmless() {
        let error = ApiError::new(
            ErrorCode::AmbiguousName,
            "\"a\x1b[2J\" fits several contacts",
        )
        .candidates(vec!["al\u{202e}ice".to_owned(), "anna".to_owned()]);
        assert_eq!(
            text_of(&error.into()),
            "\"a[2J\" fits several contacts\n  did you mean: alice, anna\n  \
             hint: see the names with: hermes-cli contact list\n"
        );
    }

    #[test]
    fn the_daemons_own_hint_comes_first() {
        let error = ApiError::new(ErrorCode::StoreLocked, "locked").hint("look for the key");
        assert_eq!(text_of(&error.into()), "locked\n  hint: look for the key\n");
    }

    #[test]
    fn a_wrong_passphrase_tells_how_long_to_wait() {
        let error = ApiError::new(ErrorCode::WrongPassphrase, "wrong").retry_after_ms(1_500);
        let fault = Fault::from(error);
        assert_eq!(fault.exit(), Exit::Locked);
        assert!(text_of(&fault).contains("in 2 s"));
    }

    #[test]
    fn a_daemon_that_did_not_start_shows_its_log() {
        let fault = Fault::from(ClientError::NotStarted {
            reason: "it ended at once".to_owned(),
            log: vec!["port taken".to_owned()],
        });
        let text = text_of(&fault);
        assert!(text.contains("could not be started"), "{text}");
        assert!(text.contains("  | port taken\n"), "{text}");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Fault::output(&closed).exit(), Exit::Done);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Fault::output(&full).exit(), Exit::Refused);
    }

    #[test]
    fn in_json_an_error_has_the_words_for_programs() {
        let error = ApiError::new(ErrorCode::UnknownContact, "no contact \"bop\"")
            .candidates(vec!["bob".to_owned()]);
        let Fault::Failure(failure) = Fault::from(error) else {
            panic!("not a failure");
        };
        assert_eq!(
            serde_json::to_value(failure).expect("json"),
            serde_json::json!({
                "kind": "unknown_contact",
                "code": 1101,
                "message": "no contact \"bop\"",
                "hints": ["see the names with: hermes-cli contact list"],
                "candidates": ["bob"],
                "exit": 5,
            })
        );
    }
}
