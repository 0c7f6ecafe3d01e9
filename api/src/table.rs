//! The one table of methods.
//!
//! Each method is declared once, with its parameters, its result, the errors it may answer and
//! whether it changes anything. From this come the typed calls of the client, the registration in
//! the daemon (which refuses to start unless every method has a handler), the document that
//! `rpc.discover` answers, and the list behind `hermes-cli rpc --list`.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ErrorCode;
use crate::types::*;

mod openrpc;

pub use openrpc::document;

/// Whether a method changes anything that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only tells.
    Read,
    /// It changes something.
    Write,
}

impl Access {
    /// The word as it stands in the document of `rpc.discover`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A method of the interface, known by its types.
///
/// Implemented by one empty type for each row of the table, for example [`MessageSend`].
pub trait Method: Send + Sync + 'static {
    /// The name in `method`.
    const NAME: &'static str;
    /// Whether it changes anything.
    const ACCESS: Access;
    /// What it takes.
    type Params: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// What it answers.
    type Response: Serialize + DeserializeOwned + JsonSchema + Clone + Send + Sync + 'static;
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct MethodSpec {
    /// The name in `method`.
    pub name: &'static str,
    /// Whether it changes anything.
    pub access: Access,
    /// The version of the interface that it came with.
    pub since: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// The errors of its own that it may answer, beside those that every method may.
    pub errors: &'static [ErrorCode],
    /// The schema of its parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its result.
    pub result: fn(&mut SchemaGenerator) -> Schema,
}

/// Errors that any method may answer.
pub const COMMON_ERRORS: &[ErrorCode] = &[
    ErrorCode::InvalidParams,
    ErrorCode::Internal,
    ErrorCode::ResponseTooBig,
    ErrorCode::Busy,
    ErrorCode::ShuttingDown,
];

/// Errors of every method that needs the store to be open.
macro_rules! with_store {
    ($($code:ident)*) => {
        &[
            ErrorCode::NotInitialized,
            ErrorCode::StoreLocked,
            ErrorCode::NotReady,
            ErrorCode::StorageFailed,
            $(ErrorCode::$code,)*
        ]
    };
}

macro_rules! errors {
    (store $($code:ident)*) => { with_store!($($code)*) };
    (plain $($code:ident)*) => { &[$(ErrorCode::$code,)*] };
}

macro_rules! methods {
    ($(
        #[doc = $doc:literal]
        $method:ident = $name:literal, $access:ident, $since:literal, ($params:ty) -> $response:ty,
        [$($error:ident)+];
    )+) => {
        $(
            #[doc = $doc]
            #[derive(Clone, Copy, Debug)]
            pub struct $method;

            impl Method for $method {
                const NAME: &'static str = $name;
                const ACCESS: Access = Access::$access;
                type Params = $params;
                type Response = $response;
            }
        )+

        /// Every method.
        pub const TABLE: &[MethodSpec] = &[$(
            MethodSpec {
                name: $name,
                access: Access::$access,
                since: $since,
                summary: $doc.trim_ascii(),
                errors: errors!($($error)+),
                params: |generator| <$params as JsonSchema>::json_schema(generator),
                result: |generator| generator.subschema_for::<$response>(),
            },
        )+];
    };
}

methods! {
    /// Tells versions, abilities and the state of the store; a good first call, but not a required one.
    Hello = "hello", Read, "1.0", (HelloParams) -> HelloResponse, [plain Unsupported];
    /// Answers the description of this interface, an OpenRPC document.
    Discover = "rpc.discover", Read, "1.0", (NoParams) -> DiscoverResponse, [plain];
    /// Answers one screen about the daemon; works also while the store is locked.
    Status = "status", Read, "1.0", (NoParams) -> StatusResponse, [plain];
    /// Ends the daemon in good order, after answering.
    DaemonShutdown = "daemon.shutdown", Write, "1.0", (NoParams) -> Done, [plain];

    /// Opens the store with its passphrase.
    StoreUnlock = "store.unlock", Write, "1.0", (StoreUnlockParams) -> StoreLockResponse,
        [plain WrongPassphrase NotInitialized StorageFailed];
    /// Closes the store until the passphrase is given again.
    StoreLock = "store.lock", Write, "1.0", (NoParams) -> StoreLockResponse,
        [plain NotInitialized Unsupported];
    /// Changes the passphrase, or what protects the store.
    StoreChangePassphrase = "store.change_passphrase", Write, "1.0", (StoreChangePassphraseParams) -> Done,
        [store WrongPassphrase Unsupported];

    /// Makes the identity and the store; once for each home.
    IdentityInit = "identity.init", Write, "1.0", (IdentityInitParams) -> Identity,
        [plain AlreadyInitialized StorageFailed Unsupported];
    /// Shows the own identity.
    IdentityShow = "identity.show", Read, "1.0", (NoParams) -> Identity, [store];

    /// Makes a link that one friend can use once.
    InviteCreate = "invite.create", Write, "1.0", (InviteCreateParams) -> InviteCreateResponse,
        [store RateLimited];
    /// Reads a link without using it and without asking the network.
    InviteInspect = "invite.inspect", Read, "1.0", (InviteInspectParams) -> InviteInspectResponse,
        [store InviteInvalid];
    /// Uses a friend's link; the acquaintance goes on by itself afterwards.
    InviteAccept = "invite.accept", Write, "1.0", (InviteAcceptParams) -> InviteAcceptResponse,
        [store InviteInvalid InviteExpired InviteUsed InviteIsMine NameTaken];
    /// Lets in somebody who used an invite that asks first.
    InviteApprove = "invite.approve", Write, "1.0", (InviteApproveParams) -> InviteAcceptResponse,
        [store UnknownContact AmbiguousName NameTaken];
    /// Lists the invites made here, newest first.
    InviteList = "invite.list", Read, "1.0", (PageParams) -> InviteListResponse, [store];
    /// Withdraws an invite.
    InviteRevoke = "invite.revoke", Write, "1.0", (InviteRevokeParams) -> Invite,
        [store UnknownInvite InviteUsed];

    /// Lists the contacts by name.
    ContactList = "contact.list", Read, "1.0", (ContactListParams) -> ContactListResponse, [store];
    /// Shows a contact.
    ContactGet = "contact.get", Read, "1.0", (ContactParams) -> Contact,
        [store UnknownContact AmbiguousName];
    /// Calls a contact something else, here only.
    ContactRename = "contact.rename", Write, "1.0", (ContactRenameParams) -> Contact,
        [store UnknownContact AmbiguousName NameTaken];
    /// Notes that the safety number was compared.
    ContactVerify = "contact.verify", Write, "1.0", (ContactVerifyParams) -> Contact,
        [store UnknownContact AmbiguousName UntrustedKey NotEstablished];
    /// Refuses from now on whatever a contact sends.
    ContactBlock = "contact.block", Write, "1.0", (ContactParams) -> Contact,
        [store UnknownContact AmbiguousName];
    /// Takes a contact's messages again.
    ContactUnblock = "contact.unblock", Write, "1.0", (ContactParams) -> Contact,
        [store UnknownContact AmbiguousName];
    /// Ends an acquaintance.
    ContactRemove = "contact.remove", Write, "1.0", (ContactRemoveParams) -> Contact,
        [store UnknownContact AmbiguousName];

    /// Lists the conversations, the one with the newest message first.
    ChatList = "chat.list", Read, "1.0", (PageParams) -> ChatListResponse, [store];
    /// Shows a conversation.
    ChatGet = "chat.get", Read, "1.0", (ChatParams) -> Chat, [store UnknownChat AmbiguousName];
    /// Reads messages of a conversation, oldest first.
    ChatHistory = "chat.history", Read, "1.0", (ChatHistoryParams) -> ChatHistoryResponse,
        [store UnknownChat AmbiguousName];
    /// Notes messages as read, here and for the friend.
    ChatMarkRead = "chat.mark_read", Write, "1.0", (ChatMarkReadParams) -> ChatMarkReadResponse,
        [store UnknownChat AmbiguousName];

    /// Takes a text for delivery; it is on disk before the answer.
    MessageSend = "message.send", Write, "1.0", (MessageSendParams) -> MessageSendResponse,
        [store UnknownContact AmbiguousName NotEstablished Blocked TooLarge IdempotencyConflict RateLimited];
    /// Shows a message.
    MessageGet = "message.get", Read, "1.0", (MessageGetParams) -> Message, [store UnknownMessage];

    /// Begins to tell events, from a position in the log on; the notifications are called `event`.
    EventsSubscribe = "events.subscribe", Read, "1.0", (EventsSubscribeParams) -> SubscriptionId,
        [store CursorExpired UnknownChat AmbiguousName TooManySubscriptions];
    /// Ends a subscription of this connection.
    EventsUnsubscribe = "events.unsubscribe", Read, "1.0", (EventsUnsubscribeParams) -> EventsUnsubscribeResponse,
        [plain];
    /// Reads a page of the event log, waiting for the next event if asked to.
    EventsList = "events.list", Read, "1.0", (EventsListParams) -> EventsListResponse,
        [store CursorExpired UnknownChat AmbiguousName];
    /// Notes how far a named consumer has come.
    EventsCommit = "events.commit", Write, "1.0", (EventsCommitParams) -> EventsCommitResponse,
        [store CursorExpired];

    /// Lists the sky nodes.
    NetSky = "net.sky", Read, "1.0", (NoParams) -> NetSkyResponse, [plain];
    /// Lists the earth nodes.
    NetEarth = "net.earth", Read, "1.0", (NoParams) -> NetEarthResponse, [plain];
    /// Measures the way to a contact's daemon, connecting to it if need be.
    NetPing = "net.ping", Read, "1.0", (NetPingParams) -> NetPingResponse,
        [store UnknownContact AmbiguousName NotEstablished Blocked NoRoute];

    /// Tells which conversation somebody looks at, so that the daemon stays silent about it.
    UiPresence = "ui.presence", Write, "1.0", (UiPresenceParams) -> Done, [plain UnknownChat AmbiguousName];
    /// Looks for what may be wrong.
    Doctor = "doctor", Read, "1.0", (NoParams) -> DoctorResponse, [plain];
}

/// The row of the method with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static MethodSpec> {
    TABLE.iter().find(|spec| spec.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_of_the_right_shape() {
        let names: BTreeSet<&str> = TABLE.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for spec in TABLE {
            let shape = spec
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_');
            assert!(shape, "{}", spec.name);
        }
    }

    #[test]
    fn every_summary_is_a_sentence() {
        for spec in TABLE {
            assert!(
                spec.summary.ends_with('.'),
                "{}: {}",
                spec.name,
                spec.summary
            );
            assert!(
                spec.summary.starts_with(char::is_uppercase),
                "{}: {}",
                spec.name,
                spec.summary
            );
        }
    }

    #[test]
    fn parameters_refuse_unknown_names() {
        for spec in TABLE {
            let schema = (spec.params)(&mut SchemaGenerator::default()).to_value();
            assert_eq!(
                schema["additionalProperties"], false,
                "{} takes anything",
                spec.name
            );
        }
    }

    #[test]
    fn a_method_is_found_by_name() {
        assert_eq!(
            find("message.send").map(|spec| spec.access),
            Some(Access::Write)
        );
        assert!(find("message.sned").is_none());
    }
}
