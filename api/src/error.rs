//! Every error that the daemon can answer, as one list of codes.
//!
//! Clients branch on `code` or `data.kind` and show `message` to people; no text has to be parsed.
//! Codes are never reused. Those below zero are the ones of JSON-RPC and of the transport, those
//! above it are ours, in groups of a hundred.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod exit;

pub use exit::{Exit, ExitWords};

/// Whether repeating the same call later may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call will fail again.
    No,
    /// It may work after a while, as it is.
    Later,
    /// It may work once the daemon was restarted.
    AfterRestart,
}

/// Declares the codes once, so that numbers, names and meanings cannot drift apart.
macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $kind:literal, $retry:ident;)+) => {
        /// What went wrong, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The number in `error.code`.
            #[must_use]
            pub const fn code(self) -> i32 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The word in `error.data.kind`.
            #[must_use]
            pub const fn kind(self) -> &'static str {
                match self { $(Self::$variant => $kind,)+ }
            }

            /// Whether repeating the call may help.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)+ }
            }

            /// The meaning, in the words of this documentation.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

error_codes! {
    /// The line is not JSON.
    ParseError = -32700, "parse_error", No;
    /// The JSON is not a request.
    InvalidRequest = -32600, "invalid_request", No;
    /// There is no such method.
    MethodNotFound = -32601, "method_not_found", No;
    /// The parameters are not those of the method.
    InvalidParams = -32602, "invalid_params", No;
    /// The daemon has a fault; its log tells more.
    Internal = -32603, "internal", No;
    /// The connection has as many subscriptions as it may have.
    TooManySubscriptions = -32006, "too_many_subscriptions", No;
    /// The request is larger than the daemon reads.
    RequestTooBig = -32007, "request_too_big", No;
    /// The answer would be larger than the daemon sends; ask for a smaller page.
    ResponseTooBig = -32008, "response_too_big", No;
    /// There are as many connections or calls under way as there may be.
    Busy = -32009, "busy", Later;
    /// The batch holds more calls than a batch may.
    BatchTooBig = -32010, "batch_too_big", No;
    /// The answers to the batch would be larger than the daemon sends.
    BatchResponseTooBig = -32011, "batch_response_too_big", No;

    /// The store is locked; `store.unlock` opens it.
    StoreLocked = 1001, "store_locked", No;
    /// The passphrase is wrong; the next try must wait for `retry_after_ms`.
    WrongPassphrase = 1002, "wrong_passphrase", No;
    /// The daemon is about to end.
    ShuttingDown = 1003, "shutting_down", Later;
    /// The daemon is not far enough with its start.
    NotReady = 1004, "not_ready", Later;
    /// There is no identity yet; `identity.init` makes one.
    NotInitialized = 1005, "not_initialized", No;
    /// There is an identity already.
    AlreadyInitialized = 1006, "already_initialized", No;

    /// No contact has this name or id.
    UnknownContact = 1101, "unknown_contact", No;
    /// Several contacts fit; `candidates` names them.
    AmbiguousName = 1102, "ambiguous_name", No;
    /// There is no such conversation.
    UnknownChat = 1103, "unknown_chat", No;
    /// There is no such message.
    UnknownMessage = 1104, "unknown_message", No;
    /// The contact is blocked.
    Blocked = 1105, "blocked", No;
    /// Another contact has this name.
    NameTaken = 1106, "name_taken", No;
    /// The contact is not established, so this cannot be done with it yet, or no longer.
    NotEstablished = 1107, "not_established", No;
    /// There is no such invite.
    UnknownInvite = 1108, "unknown_invite", No;

    /// The text is longer than a message may be.
    TooLarge = 1201, "too_large", No;
    /// The time for it is over.
    Expired = 1202, "expired", No;
    /// There is no way to the other side now.
    NoRoute = 1203, "no_route", Later;
    /// The other side refused it.
    RejectedByPeer = 1204, "rejected_by_peer", No;
    /// The key of the other side is not the one we know; `old` and `new` hold the fingerprints.
    UntrustedKey = 1205, "untrusted_key", No;
    /// Too many of these in a short time.
    RateLimited = 1206, "rate_limited", Later;

    /// The invite is malformed, truncated, or for another network.
    InviteInvalid = 1301, "invite_invalid", No;
    /// The invite's time is over.
    InviteExpired = 1302, "invite_expired", No;
    /// The invite was used already.
    InviteUsed = 1303, "invite_used", No;
    /// The invite was made here; it is for somebody else.
    InviteIsMine = 1304, "invite_is_mine", No;

    /// The caller may not do this.
    Permission = 1401, "permission", No;
    /// The idempotency key was used for another message.
    IdempotencyConflict = 1409, "idempotency_conflict", No;
    /// The cursor is from another store or from too long ago; `oldest` and `head` tell what there is.
    CursorExpired = 1410, "cursor_expired", No;
    /// The daemon does not speak the version of the interface that the caller wants.
    Unsupported = 1411, "unsupported", No;

    /// The disk refused to write or read; the daemon must be restarted once the cause is gone.
    StorageFailed = 1501, "storage_failed", AfterRestart;
}

impl ErrorCode {
    /// The code with this number.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.code() == code)
    }

    /// The code with this kind.
    #[must_use]
    pub fn from_kind(kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.kind() == kind)
    }
}

/// `error.data`: what programs and people may need beyond the message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// The code as a word.
    pub kind: String,
    /// Whether repeating the same call later may help.
    #[serde(default)]
    pub retryable: bool,
    /// How long to wait before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What may have been meant, for `ambiguous_name` and `unknown_contact`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// For `untrusted_key`, the fingerprint that we know; for `cursor_expired`, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// For `untrusted_key`, the fingerprint that was presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// For `cursor_expired`, the oldest position that can be read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// For `cursor_expired`, the newest position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// An error as the daemon answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    code: i32,
    message: String,
    data: Box<ErrorData>,
}

impl ApiError {
    /// An error with this code and a message for people: what, why, without a full stop.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let data = ErrorData {
            kind: code.kind().to_owned(),
            retryable: code.retry() == Retry::Later,
            ..ErrorData::default()
        };
        Self {
            code: code.code(),
            message: message.into(),
            data: Box::new(data),
        }
    }

    /// An error as it came over the wire; the code may be one that this version does not know.
    #[must_use]
    pub fn from_wire(code: i32, message: String, data: Option<ErrorData>) -> Self {
        let data = data.unwrap_or_else(|| {
            let kind = ErrorCode::from_code(code).map_or("unknown", ErrorCode::kind);
            ErrorData {
                kind: kind.to_owned(),
                ..ErrorData::default()
            }
        });
        Self {
            code,
            message,
            data: Box::new(data),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.data.hint = Some(hint.into());
        self
    }

    /// Adds what may have been meant.
    #[must_use]
    pub fn candidates(mut self, candidates: Vec<String>) -> Self {
        self.data.candidates = candidates;
        self
    }

    /// Adds how long to wait before trying again.
    #[must_use]
    pub fn retry_after_ms(mut self, retry_after_ms: u64) -> Self {
        self.data.retry_after_ms = Some(retry_after_ms);
        self
    }

    /// Adds the fingerprints of `untrusted_key`.
    #[must_use]
    pub fn keys(mut self, old: impl Into<String>, new: impl Into<String>) -> Self {
        self.data.old = Some(old.into());
        self.data.new = Some(new.into());
        self
    }

    /// Adds the positions of `cursor_expired`.
    #[must_use]
    pub fn positions(mut self, oldest: impl Into<String>, head: impl Into<String>) -> Self {
        self.data.oldest = Some(oldest.into());
        self.data.head = Some(head.into());
        self
    }

    /// The number in `error.code`.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.code
    }

    /// The code, if this version knows it.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        ErrorCode::from_code(self.code)
    }

    /// Whether this is the error with that code.
    #[must_use]
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code.code()
    }

    /// The message for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What comes with it.
    #[must_use]
    pub fn data(&self) -> &ErrorData {
        &self.data
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

#[cfg(feature = "server")]
impl From<ApiError> for jsonrpsee::types::ErrorObjectOwned {
    fn from(error: ApiError) -> Self {
        Self::owned(error.code, error.message, Some(*error.data))
    }
}

#[cfg(feature = "server")]
impl From<jsonrpsee::types::ErrorObjectOwned> for ApiError {
    fn from(error: jsonrpsee::types::ErrorObjectOwned) -> Self {
        let data = error
            .data()
            .and_then(|data| serde_json::from_str(data.get()).ok());
        Self::from_wire(error.code(), error.message().to_owned(), data)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_and_kinds_are_unique() {
        let numbers: BTreeSet<i32> = ErrorCode::ALL.iter().map(|code| code.code()).collect();
        let kinds: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.kind()).collect();
        assert_eq!(numbers.len(), ErrorCode::ALL.len());
        assert_eq!(kinds.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn every_code_is_found_by_number_and_kind() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(code));
            assert_eq!(ErrorCode::from_kind(code.kind()), Some(code));
            assert!(!code.summary().is_empty());
        }
    }

    #[test]
    fn our_codes_stay_out_of_the_ranges_of_json_rpc() {
        for code in ErrorCode::ALL {
            let number = code.code();
            assert!(
                (-32768..=-32000).contains(&number) || (1000..2000).contains(&number),
                "{number}"
            );
        }
    }

    #[test]
    fn an_error_carries_what_programs_need() {
        let error = ApiError::new(ErrorCode::AmbiguousName, "\"a\" fits several contacts")
            .hint("give more of the name")
            .candidates(vec!["alice".to_owned(), "anna".to_owned()]);
        assert_eq!(
            serde_json::to_value(error.data()).expect("json"),
            serde_json::json!({
                "kind": "ambiguous_name",
                "retryable": false,
                "hint": "give more of the name",
                "candidates": ["alice", "anna"],
            })
        );
        assert!(ApiError::new(ErrorCode::NoRoute, "x").data().retryable);
    }

    #[test]
    fn an_unknown_code_is_kept() {
        let error = ApiError::from_wire(1999, "new trouble".to_owned(), None);
        assert_eq!((error.number(), error.code()), (1999, None));
        assert_eq!(error.data().kind, "unknown");
    }

    #[cfg(feature = "server")]
    #[test]
    fn survives_the_library_type() {
        let error =
            ApiError::new(ErrorCode::WrongPassphrase, "wrong passphrase").retry_after_ms(2_000);
        let object = jsonrpsee::types::ErrorObjectOwned::from(error.clone());
        assert_eq!(ApiError::from(object), error);
    }
}
