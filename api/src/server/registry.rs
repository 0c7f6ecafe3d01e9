//! Handlers, one for each method of the table.
//!
//! ```
//! use hermes_api::server::Registry;
//! use hermes_api::table::{StoreLock, UiPresence};
//! use hermes_api::types::{Done, StoreLockResponse};
//!
//! let mut registry = Registry::new();
//! registry
//!     // At once, without waiting for anything: runs where the line was read.
//!     .answer::<UiPresence>(|params, caller| {
//!         let _ = (params.chat, caller.connection());
//!         Ok(Done {})
//!     })
//!     // May wait: begins in the order of the lines, and runs to its end even if the client leaves.
//!     .handle::<StoreLock, _>(|_params, _caller| async { Ok(StoreLockResponse { locked: true }) });
//! // `finish` names the methods that still lack a handler.
//! assert!(registry.finish().is_err());
//! ```

use std::collections::BTreeSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};

use futures_util::FutureExt as _;
use jsonrpsee::types::{Id, Params};
use jsonrpsee::{
    ConnectionId, Extensions, MethodCallback, MethodResponse, Methods, ResponsePayload, RpcModule,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::task::{JoinHandle, unconstrained};

use super::caller::Caller;
use super::events::{NOTIFICATION, PendingEvents};
use crate::error::{ApiError, ErrorCode};
use crate::table::{Discover, EventsSubscribe, EventsUnsubscribe, Method, TABLE, document};
use crate::types::{
    DiscoverResponse, EventsSubscribeParams, EventsUnsubscribeParams, EventsUnsubscribeResponse,
    SubscriptionId,
};

/// The table and the handlers do not fit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("methods without a handler: {missing:?}; with more than one: {twice:?}")]
pub struct RegistryError {
    /// Methods of the table that nobody handles.
    pub missing: Vec<&'static str>,
    /// Methods that were registered more than once.
    pub twice: Vec<&'static str>,
}

/// The description of the interface, made when somebody first asks for it.
static DISCOVERED: LazyLock<DiscoverResponse> = LazyLock::new(|| DiscoverResponse(document()));

/// Collects the handlers of all methods.
#[derive(Debug, Default)]
pub struct Registry {
    methods: Methods,
    twice: Vec<&'static str>,
}

impl Registry {
    /// No handlers but that of `rpc.discover`, which the table itself answers.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Self::default();
        registry.answer::<Discover>(|_, _| Ok(DISCOVERED.clone()));
        registry
    }

    /// Handles a method that can be answered at once.
    ///
    /// The handler runs between reading and writing, so it must not block nor compute for long.
    pub fn answer<M: Method>(
        &mut self,
        handler: impl Fn(M::Params, &Caller) -> Result<M::Response, ApiError> + Send + Sync + 'static,
    ) -> &mut Self {
        let callback = move |id: Id<'_>,
                             params: Params<'_>,
                             response_bytes_max: usize,
                             extensions: Extensions| {
            let answer = parse::<M::Params>(&params)
                .and_then(|params| handler(params, &Caller::of(&extensions)));
            respond(id, answer, response_bytes_max)
        };
        self.insert(M::NAME, MethodCallback::Sync(Arc::new(callback)))
    }

    /// Handles a method whose answer may take a while.
    ///
    /// Each call takes its first step where the line was read, so that calls of one connection come to whatever they wait for first in
    /// the order of their lines, and stay in it as long as that has room; the rest runs in a task of its own and to its end, even if the client leaves meanwhile.
    pub fn handle<M: Method, F>(
        &mut self,
        handler: impl Fn(M::Params, Caller) -> F + Send + Sync + 'static,
    ) -> &mut Self
    where
        F: Future<Output = Result<M::Response, ApiError>> + Send + 'static,
    {
        let callback =
            move |id: Id<'static>, params: Params<'static>, _, response_bytes_max, extensions| {
                let call = parse::<M::Params>(&params)
                    .map(|params| Begun::of(handler(params, Caller::of(&extensions))));
                let answer = async move {
                    let answer = match call {
                        Ok(call) => call.end().await.unwrap_or_else(|| Err(panicked(M::NAME))),
                        Err(error) => Err(error),
                    };
                    respond(id, answer, response_bytes_max)
                };
                Box::pin(answer) as futures_util::future::BoxFuture<'static, MethodResponse>
            };
        self.insert(M::NAME, MethodCallback::Async(Arc::new(callback)))
    }

    /// Handles `events.subscribe`, and with it `events.unsubscribe`.
    ///
    /// The handler runs in a task of its own for as long as the subscription lasts; it should end
    /// when [`super::EventSink::closed`] does.
    pub fn events<F>(
        &mut self,
        handler: impl Fn(EventsSubscribeParams, PendingEvents, Caller) -> F + Send + Sync + 'static,
    ) -> &mut Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut module = RpcModule::new(());
        let handler = Arc::new(handler);
        let registered = module.register_subscription(
            EventsSubscribe::NAME,
            NOTIFICATION,
            EventsUnsubscribe::NAME,
            move |params, pending, _, extensions| {
                let handler = Arc::clone(&handler);
                async move {
                    let pending = PendingEvents::new(pending);
                    match parse(&params) {
                        Ok(params) => handler(params, pending, Caller::of(&extensions)).await,
                        Err(error) => pending.reject(error).await,
                    }
                }
            },
        );
        if registered.is_err() {
            self.twice.push(EventsSubscribe::NAME);
            return self;
        }
        for name in [EventsSubscribe::NAME, EventsUnsubscribe::NAME] {
            match module.method(name).cloned() {
                Some(MethodCallback::Unsubscription(inner)) => {
                    self.insert(name, unsubscription(inner));
                }
                Some(callback) => {
                    self.insert(name, callback);
                }
                None => {}
            }
        }
        self
    }

    /// All handlers together, ready to be served.
    ///
    /// # Errors
    ///
    /// Unless each method of the table has exactly one handler.
    pub fn finish(self) -> Result<Methods, RegistryError> {
        let registered: BTreeSet<&str> = self.methods.method_names().collect();
        let missing: Vec<_> = TABLE
            .iter()
            .map(|spec| spec.name)
            .filter(|name| !registered.contains(name))
            .collect();
        if missing.is_empty() && self.twice.is_empty() {
            Ok(self.methods)
        } else {
            Err(RegistryError {
                missing,
                twice: self.twice,
            })
        }
    }

    /// The handlers so far, whether complete or not.
    #[cfg(test)]
    pub(super) fn methods(&self) -> &Methods {
        &self.methods
    }

    fn insert(&mut self, name: &'static str, callback: MethodCallback) -> &mut Self {
        if self.methods.verify_and_insert(name, callback).is_err() {
            self.twice.push(name);
        }
        self
    }
}

/// How the library ends a subscription.
type Unsubscribe = Arc<
    dyn Send + Sync + Fn(Id<'_>, Params<'_>, ConnectionId, usize, Extensions) -> MethodResponse,
>;

/// Unsubscribing by name, as our parameters are, where the library knows positions only.
fn unsubscription(inner: Unsubscribe) -> MethodCallback {
    MethodCallback::Unsubscription(Arc::new(
        move |id, params, connection, response_bytes_max, extensions| {
            let subscription = match params.one::<SubscriptionId>() {
                Ok(subscription) => subscription,
                Err(_) => match parse::<EventsUnsubscribeParams>(&params) {
                    Ok(params) => params.subscription,
                    Err(error) => return respond::<()>(id, Err(error), response_bytes_max),
                },
            };
            let position = serde_json::to_string(&[subscription]).unwrap_or_default();
            let known = inner(
                id.clone(),
                Params::new(Some(&position)),
                connection,
                response_bytes_max,
                extensions,
            );
            let unsubscribed =
                result_of(known.as_json()).is_some_and(|result| result.get() == "true");
            respond(
                id,
                Ok(EventsUnsubscribeResponse { unsubscribed }),
                response_bytes_max,
            )
        },
    ))
}

fn result_of(response: &RawValue) -> Option<&RawValue> {
    #[derive(serde::Deserialize)]
    struct Success<'a> {
        #[serde(borrow)]
        result: &'a RawValue,
    }
    serde_json::from_str::<Success<'_>>(response.get())
        .ok()
        .map(|success| success.result)
}

/// Reads parameters. They must be an object; none at all and an empty array stand for an empty one.
fn parse<P: DeserializeOwned>(params: &Params<'_>) -> Result<P, ApiError> {
    let text = match params.as_str().map(str::trim) {
        None | Some("" | "null") => "{}",
        Some(text) => match text.strip_prefix('[') {
            Some(rest) if rest.trim_start() == "]" => "{}",
            Some(_) => {
                return Err(ApiError::new(
                    ErrorCode::InvalidParams,
                    "parameters must be named, not in an array",
                ));
            }
            None => text,
        },
    };
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // Where in the line it is wrong helps nobody who did not write the line by hand.
        let what = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(what, _)| what);
        ApiError::new(
            ErrorCode::InvalidParams,
            format!("wrong parameters: {what}"),
        )
    })
}

/// Writes an answer, or the error that it is too large.
fn respond<R: Serialize + Clone>(
    id: Id<'_>,
    answer: Result<R, ApiError>,
    response_bytes_max: usize,
) -> MethodResponse {
    match answer {
        Ok(result) => {
            let response = MethodResponse::response(
                id.clone(),
                ResponsePayload::success(result),
                response_bytes_max,
            );
            if response.as_error_code() == Some(ErrorCode::ResponseTooBig.code()) {
                let message = format!(
                    "the answer has more than {response_bytes_max} bytes; ask for a smaller page"
                );
                return fail(id, ApiError::new(ErrorCode::ResponseTooBig, message));
            }
            response
        }
        Err(error) => fail(id, error),
    }
}

/// Writes an error.
pub(super) fn fail(id: Id<'_>, error: ApiError) -> MethodResponse {
    MethodResponse::error(id, jsonrpsee::types::ErrorObjectOwned::from(error))
}

/// A call that took its first step.
enum Begun<T> {
    Ended(Option<T>),
    Running(JoinHandle<Option<T>>),
}

impl<T: Send + 'static> Begun<T> {
    /// Takes the first step of `call`, and leaves the rest to a task.
    fn of(call: impl Future<Output = T> + Send + 'static) -> Self {
        let mut call = Box::pin(AssertUnwindSafe(call).catch_unwind().map(Result::ok));
        // Whatever a task may do before it has to let others run is not for the first step: a call that is told to come
        // again has not taken its place in any line. Nobody needs to wake it, since the task looks again.
        let first = unconstrained(call.as_mut());
        match first.now_or_never() {
            Some(ended) => Self::Ended(ended),
            None => Self::Running(tokio::spawn(call)),
        }
    }

    /// What came of it; none if it panicked.
    async fn end(self) -> Option<T> {
        match self {
            Self::Ended(ended) => ended,
            Self::Running(task) => task.await.ok().flatten(),
        }
    }
}

fn panicked(method: &str) -> ApiError {
    tracing::error!(method, "a handler panicked");
    ApiError::new(
        ErrorCode::Internal,
        format!("{method} failed for a fault of the daemon"),
    )
    .hint("please report it, with the daemon's log")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Hello, StoreLock};
    use crate::types::{NoParams, StoreLockResponse};

    fn parsed(text: Option<&str>) -> Result<NoParams, ApiError> {
        parse(&Params::new(text))
    }

    #[test]
    fn no_parameters_have_several_forms() {
        for text in [None, Some("null"), Some("{}"), Some("[]"), Some(" [ ] ")] {
            assert_eq!(parsed(text), Ok(NoParams {}), "{text:?}");
        }
    }

    #[test]
    fn positions_and_unknown_names_are_refused() {
        assert!(
            parsed(Some("[1]"))
                .expect_err("refused")
                .message()
                .contains("named")
        );
        let error = parsed(Some(r#"{"x":1}"#)).expect_err("refused");
        assert!(error.message().contains("unknown field `x`"), "{error}");
        assert!(!error.message().contains("line 1"), "{error}");
    }

    #[test]
    fn a_missing_and_a_double_handler_are_told() {
        let mut registry = Registry::new();
        registry.answer::<StoreLock>(|_, _| Ok(StoreLockResponse { locked: true }));
        registry.answer::<StoreLock>(|_, _| Ok(StoreLockResponse { locked: false }));
        let error = registry.finish().expect_err("incomplete");
        assert_eq!(error.twice, [StoreLock::NAME]);
        assert!(error.missing.contains(&Hello::NAME));
        assert!(!error.missing.contains(&Discover::NAME));
    }
}
