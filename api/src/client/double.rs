//! A daemon in memory, for tests of user interfaces.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;

use super::{Api, ClientError, Events, Feed};
use crate::error::{ApiError, ErrorCode};
use crate::table::Method;
use crate::types::EventsSubscribeParams;

/// What a stream of events can hold before the test reads it.
const FEED_MAX: usize = 1024;

/// Answers a call, from JSON to JSON, as the wire would have it.
type Answer = Box<dyn FnMut(Value) -> Result<Value, ApiError> + Send>;

/// Answers calls as it is told to, notes them, and sends events when it is told to.
///
/// Parameters and results pass through JSON, so that a test also finds what the wire would refuse.
#[derive(Clone, Default)]
pub struct Double {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    answers: HashMap<&'static str, Answer>,
    calls: Vec<(String, Value)>,
    subscriptions: Vec<EventsSubscribeParams>,
    feeds: Vec<mpsc::Sender<Feed>>,
}

impl Double {
    /// A double that knows no method yet; each is answered with `method_not_found`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers a method from now on in this way.
    pub fn on<M: Method>(
        &self,
        mut answer: impl FnMut(M::Params) -> Result<M::Response, ApiError> + Send + 'static,
    ) {
        let answer = move |params: Value| {
            let wrong = |error: serde_json::Error| {
                ApiError::new(ErrorCode::InvalidParams, error.to_string())
            };
            let params = serde_json::from_value(params).map_err(wrong)?;
            serde_json::to_value(answer(params)?).map_err(wrong)
        };
        self.lock().answers.insert(M::NAME, Box::new(answer));
    }

    /// The calls so far, by name, with their parameters.
    #[must_use]
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.lock().calls.clone()
    }

    /// What was asked for by those who read events.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<EventsSubscribeParams> {
        self.lock().subscriptions.clone()
    }

    /// Tells everybody who reads events; `make` is called for each of them.
    ///
    /// Who has a thousand unread already, or has gone, is left out from then on.
    pub fn tell(&self, mut make: impl FnMut() -> Feed) {
        self.lock()
            .feeds
            .retain(|feed| feed.try_send(make()).is_ok());
    }

    fn answer(&self, method: &'static str, params: Value) -> Result<Value, ApiError> {
        let mut inner = self.lock();
        inner.calls.push((method.to_owned(), params.clone()));
        match inner.answers.get_mut(method) {
            Some(answer) => answer(params),
            None => Err(ApiError::new(
                ErrorCode::MethodNotFound,
                format!("the double was not told about {method}"),
            )),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Api for Double {
    fn call<M: Method>(
        &self,
        params: M::Params,
    ) -> impl Future<Output = Result<M::Response, ClientError>> + Send {
        let garbled = |error: serde_json::Error| ClientError::Garbled(error.to_string());
        let answer = serde_json::to_value(params)
            .map_err(garbled)
            .and_then(|params| self.answer(M::NAME, params).map_err(ClientError::Api))
            .and_then(|result| serde_json::from_value(result).map_err(garbled));
        ready(answer)
    }

    fn events(&self, params: EventsSubscribeParams) -> Events {
        let (sender, receiver) = mpsc::channel(FEED_MAX);
        let mut inner = self.lock();
        inner.subscriptions.push(params);
        inner.feeds.push(sender);
        Events::from_channel(receiver)
    }
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Double")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{ContactGet, StoreLock};
    use crate::types::{ContactParams, NoParams, StoreLockResponse};

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("runtime")
    }

    #[test]
    fn answers_as_told_and_notes_the_calls() {
        let double = Double::new();
        double.on::<StoreLock>(|_| Ok(StoreLockResponse { locked: true }));
        let locked = runtime()
            .block_on(double.call::<StoreLock>(NoParams {}))
            .expect("told");
        assert!(locked.locked);
        let refused = runtime().block_on(double.call::<ContactGet>(ContactParams {
            contact: "bob".to_owned(),
        }));
        assert!(
            matches!(refused, Err(ClientError::Api(error)) if error.is(ErrorCode::MethodNotFound))
        );
        assert_eq!(
            double.calls(),
            [
                ("store.lock".to_owned(), serde_json::json!({})),
                (
                    "contact.get".to_owned(),
                    serde_json::json!({ "contact": "bob" })
                ),
            ]
        );
    }

    #[test]
    fn tells_all_who_listen() {
        let double = Double::new();
        let mut first = double.events(EventsSubscribeParams::default());
        let second = double.events(EventsSubscribeParams::default());
        drop(second);
        double.tell(|| Feed::Connected);
        assert!(matches!(
            runtime().block_on(first.next()),
            Some(Feed::Connected)
        ));
    }
}
