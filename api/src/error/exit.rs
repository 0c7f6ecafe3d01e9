//! How the programs of Hermes end: one number for each kind of outcome, stable for scripts.

use super::{ApiError, ErrorCode};

/// An exit code of `hermes-cli`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The daemon answered an error that no other code tells.
    Refused = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No daemon could be reached, nor started in time.
    Unreachable = 3,
    /// The store is locked, or this is not permitted.
    Locked = 4,
    /// There is no such contact, conversation, message or invite.
    NotFound = 5,
    /// Not delivered within the time given; still queued.
    NotYet = 6,
    /// The key is not the one we know, or the contact is blocked.
    Untrusted = 7,
    /// Sent to some of several recipients.
    Partial = 8,
    /// Interrupted by the user.
    Interrupted = 130,
}

/// The meaning of an exit code, for the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitWords {
    /// The exit code.
    pub exit: Exit,
    /// What it means.
    pub meaning: &'static str,
}

impl Exit {
    /// Every exit code with its meaning, in order.
    pub const ALL: &[ExitWords] = &[
        ExitWords {
            exit: Self::Done,
            meaning: "done",
        },
        ExitWords {
            exit: Self::Refused,
            meaning: "the daemon answered an error",
        },
        ExitWords {
            exit: Self::Usage,
            meaning: "wrong usage",
        },
        ExitWords {
            exit: Self::Unreachable,
            meaning: "the daemon cannot be reached or started",
        },
        ExitWords {
            exit: Self::Locked,
            meaning: "the store is locked, or this is not permitted",
        },
        ExitWords {
            exit: Self::NotFound,
            meaning: "no such contact, chat, message or invite",
        },
        ExitWords {
            exit: Self::NotYet,
            meaning: "not delivered within the timeout, still queued",
        },
        ExitWords {
            exit: Self::Untrusted,
            meaning: "untrusted key, or the contact is blocked",
        },
        ExitWords {
            exit: Self::Partial,
            meaning: "sent to some of several recipients only",
        },
        ExitWords {
            exit: Self::Interrupted,
            meaning: "interrupted",
        },
    ];

    /// The number for the operating system.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl ErrorCode {
    /// How `hermes-cli` ends when the daemon answers this.
    #[must_use]
    pub const fn exit(self) -> Exit {
        match self {
            Self::ParseError
            | Self::InvalidRequest
            | Self::MethodNotFound
            | Self::Internal
            | Self::TooManySubscriptions
            | Self::RequestTooBig
            | Self::ResponseTooBig
            | Self::Busy
            | Self::BatchTooBig
            | Self::BatchResponseTooBig
            | Self::NotInitialized
            | Self::AlreadyInitialized
            | Self::NameTaken
            | Self::NotEstablished
            | Self::TooLarge
            | Self::RejectedByPeer
            | Self::RateLimited
            | Self::InviteInvalid
            | Self::InviteExpired
            | Self::InviteUsed
            | Self::InviteIsMine
            | Self::IdempotencyConflict
            | Self::CursorExpired
            | Self::Unsupported
            | Self::StorageFailed => Exit::Refused,
            Self::InvalidParams => Exit::Usage,
            Self::ShuttingDown | Self::NotReady => Exit::Unreachable,
            Self::StoreLocked | Self::WrongPassphrase | Self::Permission => Exit::Locked,
            Self::UnknownContact
            | Self::AmbiguousName
            | Self::UnknownChat
            | Self::UnknownMessage
            | Self::UnknownInvite => Exit::NotFound,
            Self::Expired | Self::NoRoute => Exit::NotYet,
            Self::Blocked | Self::UntrustedKey => Exit::Untrusted,
        }
    }
}

impl ApiError {
    /// How `hermes-cli` ends when the daemon answers this.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.code().map_or(Exit::Refused, ErrorCode::exit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_manual() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|words| words.exit.code()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }

    #[test]
    fn scripts_can_tell_the_common_outcomes_apart() {
        let exit = |code| ApiError::new(code, "").exit();
        assert_eq!(exit(ErrorCode::StoreLocked), Exit::Locked);
        assert_eq!(exit(ErrorCode::AmbiguousName), Exit::NotFound);
        assert_eq!(exit(ErrorCode::NoRoute), Exit::NotYet);
        assert_eq!(exit(ErrorCode::Blocked), Exit::Untrusted);
        assert_eq!(exit(ErrorCode::InviteUsed), Exit::Refused);
        assert_eq!(
            ApiError::from_wire(1999, String::new(), None).exit(),
            Exit::Refused
        );
    }
}
