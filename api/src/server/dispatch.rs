//! From a line to the calls in it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jsonrpsee::core::traits::IdProvider;
use jsonrpsee::types::{Id, InvalidRequest, Params};
use jsonrpsee::{
    BatchResponseBuilder, BoundedSubscriptions, ConnectionId, Extensions, MethodCallback,
    MethodResponse, MethodSink, Methods, SubscriptionState,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::registry::fail;
use crate::error::{ApiError, ErrorCode};

/// What a line comes to.
pub(super) enum Answer {
    /// An answer that is known already.
    Now(MethodResponse),
    /// One that will be.
    Later(BoxFuture<'static, MethodResponse>),
    /// None is wanted.
    Nothing,
}

/// Carries out the calls of one connection.
#[derive(Clone)]
pub(super) struct Dispatcher {
    pub(super) methods: Methods,
    pub(super) connection: ConnectionId,
    pub(super) response_bytes_max: usize,
    pub(super) batch_calls_max: usize,
    pub(super) notifications: MethodSink,
    pub(super) subscriptions: BoundedSubscriptions,
    pub(super) ids: Arc<dyn IdProvider>,
    pub(super) extensions: Extensions,
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// A request, or a notification, which has no id.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<Id<'a>>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// An id that is null is an id all the same, but none is a notification.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Id<'de>>, D::Error> {
    Id::deserialize(deserializer).map(Some)
}

/// One entry of a batch, cut loose from the line.
enum Entry {
    Call {
        id: Id<'static>,
        method: String,
        params: Option<Box<RawValue>>,
    },
    Notification {
        method: String,
        params: Option<Box<RawValue>>,
    },
    Malformed(MethodResponse),
}

impl Dispatcher {
    /// Begins whatever the line asks for.
    pub(super) fn line(&self, text: &str) -> Answer {
        if text.trim_start().starts_with('[') {
            return self.batch(text);
        }
        match envelope(text) {
            Ok(Envelope {
                id: Some(id),
                method,
                params,
                ..
            }) => self.call(id, &method, params),
            Ok(Envelope {
                id: None,
                method,
                params,
                ..
            }) => self.notify(&method, params),
            Err(response) => Answer::Now(response),
        }
    }

    fn call(&self, id: Id<'_>, method: &str, params: Option<&RawValue>) -> Answer {
        let params = Params::new(params.map(RawValue::get));
        let extensions = self.extensions.clone();
        match self.methods.method(method) {
            Some(MethodCallback::Sync(answer)) => {
                Answer::Now(answer(id, params, self.response_bytes_max, extensions))
            }
            Some(MethodCallback::Async(begin)) => Answer::Later(begin(
                id.into_owned(),
                params.into_owned(),
                self.connection,
                self.response_bytes_max,
                extensions,
            )),
            Some(MethodCallback::Subscription(begin)) => {
                let Some(subscription_permit) = self.subscriptions.acquire() else {
                    return Answer::Now(fail(id, too_many_subscriptions(self.subscriptions.max())));
                };
                let state = SubscriptionState {
                    conn_id: self.connection,
                    id_provider: &*self.ids,
                    subscription_permit,
                };
                Answer::Later(begin(
                    id,
                    params,
                    self.notifications.clone(),
                    state,
                    extensions,
                ))
            }
            Some(MethodCallback::Unsubscription(answer)) => Answer::Now(answer(
                id,
                params,
                self.connection,
                self.response_bytes_max,
                extensions,
            )),
            None => Answer::Now(fail(id, unknown_method(method))),
        }
    }

    /// Calls without answering. Subscribing needs an answer, so it is not done.
    fn notify(&self, method: &str, params: Option<&RawValue>) -> Answer {
        if matches!(
            self.methods.method(method),
            Some(MethodCallback::Subscription(_))
        ) {
            return Answer::Nothing;
        }
        match self.call(Id::Null, method, params) {
            Answer::Later(call) => Answer::Later(Box::pin(async move {
                call.await;
                MethodResponse::notification()
            })),
            Answer::Now(_) | Answer::Nothing => Answer::Nothing,
        }
    }

    fn batch(&self, text: &str) -> Answer {
        let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(text) else {
            return Answer::Now(malformed(text));
        };
        if entries.is_empty() {
            return Answer::Now(fail(Id::Null, empty_batch()));
        }
        if entries.len() > self.batch_calls_max {
            let message = format!(
                "the batch holds {} calls, but at most {} are taken",
                entries.len(),
                self.batch_calls_max
            );
            return Answer::Now(fail(
                Id::Null,
                ApiError::new(ErrorCode::BatchTooBig, message),
            ));
        }
        let entries: Vec<Entry> = entries
            .into_iter()
            .map(|entry| self.entry(entry.get()))
            .collect();
        Answer::Later(Box::pin(self.clone().run_batch(entries)))
    }

    fn entry(&self, text: &str) -> Entry {
        let Envelope {
            id, method, params, ..
        } = match envelope(text) {
            Ok(envelope) => envelope,
            Err(response) => return Entry::Malformed(response),
        };
        let params = params.map(RawValue::to_owned);
        match id {
            Some(id)
                if matches!(
                    self.methods.method(&method),
                    Some(MethodCallback::Subscription(_))
                ) =>
            {
                Entry::Malformed(fail(id, subscription_in_batch()))
            }
            Some(id) => Entry::Call {
                id: id.into_owned(),
                method: method.into_owned(),
                params,
            },
            None => Entry::Notification {
                method: method.into_owned(),
                params,
            },
        }
    }

    /// Carries out the calls of a batch one after the other.
    async fn run_batch(self, entries: Vec<Entry>) -> MethodResponse {
        let mut answers = BatchResponseBuilder::new_with_limit(self.response_bytes_max);
        for entry in entries {
            let (answer, wanted) = match entry {
                Entry::Malformed(response) => (Answer::Now(response), true),
                Entry::Call { id, method, params } => {
                    (self.call(id, &method, params.as_deref()), true)
                }
                Entry::Notification { method, params } => {
                    (self.notify(&method, params.as_deref()), false)
                }
            };
            let response = match answer {
                Answer::Now(response) => response,
                Answer::Later(call) => call.await,
                Answer::Nothing => continue,
            };
            if wanted && answers.append(response).is_err() {
                let message = format!(
                    "the answers have more than {} bytes together",
                    self.response_bytes_max
                );
                return fail(
                    Id::Null,
                    ApiError::new(ErrorCode::BatchResponseTooBig, message),
                );
            }
        }
        if answers.is_empty() {
            MethodResponse::notification()
        } else {
            MethodResponse::from_batch(answers.finish())
        }
    }
}

fn envelope(text: &str) -> Result<Envelope<'_>, MethodResponse> {
    match serde_json::from_str::<Envelope<'_>>(text) {
        Ok(envelope) if envelope.jsonrpc == "2.0" => Ok(envelope),
        _ => Err(malformed(text)),
    }
}

/// The answer to what is not a request: it may be JSON, and may even have an id.
pub(super) fn malformed(text: &str) -> MethodResponse {
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        return fail(
            Id::Null,
            ApiError::new(ErrorCode::ParseError, format!("not JSON: {error}")),
        );
    }
    let id =
        serde_json::from_str::<InvalidRequest<'_>>(text).map_or(Id::Null, |request| request.id);
    let message = "not a JSON-RPC 2.0 request: it needs \"jsonrpc\":\"2.0\", \"id\" and \"method\"";
    fail(id, ApiError::new(ErrorCode::InvalidRequest, message))
}

pub(super) fn unknown_method(method: &str) -> ApiError {
    const SHOWN_CHARS_MAX: usize = 64;
    let shown: String = method.chars().take(SHOWN_CHARS_MAX).collect();
    ApiError::new(
        ErrorCode::MethodNotFound,
        format!("there is no method \"{shown}\""),
    )
    .hint("rpc.discover describes all methods")
}

pub(super) fn empty_batch() -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, "the batch is empty")
}

/// The answer to a subscription comes by another way than those of a batch.
pub(super) fn subscription_in_batch() -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, "subscribe outside of a batch")
}

fn too_many_subscriptions(max: u32) -> ApiError {
    ApiError::new(
        ErrorCode::TooManySubscriptions,
        format!("a connection has at most {max} subscriptions"),
    )
}

pub(super) fn request_too_big(request_bytes_max: usize) -> MethodResponse {
    let message = format!("the request has more than {request_bytes_max} bytes");
    fail(Id::Null, ApiError::new(ErrorCode::RequestTooBig, message))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use jsonrpsee::core::id_providers::NoopIdProvider;
    use proptest::prelude::*;
    use serde_json::Value;
    use tokio::sync::mpsc;

    use super::super::registry::Registry;
    use super::*;
    use crate::table::UiPresence;
    use crate::types::Done;

    fn dispatcher() -> Dispatcher {
        let mut registry = Registry::new();
        registry.answer::<UiPresence>(|_, _| Ok(Done {}));
        Dispatcher {
            methods: registry.methods().clone(),
            connection: ConnectionId(1),
            response_bytes_max: 1024,
            batch_calls_max: 4,
            notifications: MethodSink::new(mpsc::channel(1).0),
            subscriptions: BoundedSubscriptions::new(1),
            ids: Arc::new(NoopIdProvider),
            extensions: Extensions::new(),
        }
    }

    /// The answer to a line whose calls can all be answered at once.
    fn answer(line: &str) -> Option<Value> {
        let response = match dispatcher().line(line) {
            Answer::Now(response) => response,
            Answer::Later(call) => call.now_or_never().expect("answered at once"),
            Answer::Nothing => return None,
        };
        let json = serde_json::from_str(response.as_json().get()).expect("json");
        (!response.is_notification()).then_some(json)
    }

    const CALL: &str =
        r#"{"jsonrpc":"2.0","id":1,"method":"ui.presence","params":{"focused":true,"chat":"c1"}}"#;

    fn is_answer(value: &Value) -> bool {
        value["jsonrpc"] == "2.0"
            && (value.get("result").is_some() || value["error"]["code"].is_number())
    }

    #[test]
    fn the_call_that_is_mangled_below_is_a_good_one() {
        assert_eq!(
            answer(CALL).expect("answered")["result"],
            serde_json::json!({})
        );
    }

    proptest! {
        #[test]
        fn any_text_is_answered_or_a_notification(text in any::<String>()) {
            if let Some(value) = answer(&text) {
                prop_assert!(is_answer(value.get(0).unwrap_or(&value)), "{value}");
            }
        }

        #[test]
        fn a_mangled_call_is_answered_or_a_notification(
            at in 0..CALL.len(),
            with in prop::sample::select(vec!["", "\"", "{", "}", "[", "]", ",", ":", "\\", "0", "é", "null", "\u{0}"]),
            cut in any::<bool>(),
        ) {
            let rest = if cut { "" } else { &CALL[at + 1..] };
            let text = format!("{}{with}{rest}", &CALL[..at]);
            for text in [text.clone(), format!("[{text}]")] {
                if let Some(value) = answer(&text) {
                    prop_assert!(is_answer(value.get(0).unwrap_or(&value)), "{text}: {value}");
                }
            }
        }
    }
}
