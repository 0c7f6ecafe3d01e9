//! What lines have by themselves and the library has not: notifications that are carried out, a
//! bound on calls under way, and errors that say what to do.

use std::sync::Arc;

use jsonrpsee::core::middleware::{Batch, BatchEntry, Notification, Request, RpcServiceT};
use jsonrpsee::types::Id;
use jsonrpsee::{BatchResponseBuilder, MethodCallback, MethodResponse, Methods};
use tokio::sync::Semaphore;

use super::super::dispatch::{empty_batch, subscription_in_batch, unknown_method};
use super::super::registry::fail;
use super::Transport;
use crate::error::{ApiError, ErrorCode};

/// The library's service with our rules around it; one for each connection.
#[derive(Clone)]
pub(super) struct CommonRules<S> {
    pub(super) inner: S,
    pub(super) methods: Methods,
    /// One permit for each call that may be under way.
    pub(super) calls: Arc<Semaphore>,
    pub(super) response_bytes_max: usize,
}

impl<S> CommonRules<S> {
    /// Why a call is not made, if it is not.
    fn refusal(&self, request: &Request<'_>) -> Option<ApiError> {
        match self.methods.method(&request.method) {
            None => Some(unknown_method(&request.method)),
            Some(MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_))
                if request.extensions.get() == Some(&Transport::Http) =>
            {
                let error = ApiError::new(
                    ErrorCode::Unsupported,
                    "a single HTTP request cannot carry a subscription",
                );
                Some(error.hint("use a WebSocket or lines on the socket, or events.list"))
            }
            Some(_) => None,
        }
    }

    fn is_subscription(&self, method: &str) -> bool {
        matches!(
            self.methods.method(method),
            Some(MethodCallback::Subscription(_))
        )
    }
}

impl<S> RpcServiceT for CommonRules<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse> + Clone + Send + Sync + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            if let Some(error) = this.refusal(&request) {
                return fail(request.id, error);
            }
            let Ok(_permit) = this.calls.try_acquire() else {
                let error = ApiError::new(
                    ErrorCode::Busy,
                    "too many calls are under way on this connection",
                );
                return fail(request.id, error);
            };
            this.inner.call(request).await
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            if batch.is_empty() {
                return fail(Id::Null, empty_batch());
            }
            let mut answers = BatchResponseBuilder::new_with_limit(this.response_bytes_max);
            for entry in batch {
                let response = match entry {
                    Ok(BatchEntry::Call(request)) if this.is_subscription(&request.method) => {
                        fail(request.id, subscription_in_batch())
                    }
                    Ok(BatchEntry::Call(request)) => this.call(request).await,
                    Ok(BatchEntry::Notification(notification)) => {
                        this.notification(notification).await;
                        continue;
                    }
                    Err(error) => {
                        let (error, id) = error.into_parts();
                        MethodResponse::error(id, error)
                    }
                };
                if let Err(too_big) = answers.append(response) {
                    return too_big;
                }
            }
            if answers.is_empty() {
                MethodResponse::notification()
            } else {
                MethodResponse::from_batch(answers.finish())
            }
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let Notification {
                jsonrpc,
                method,
                params,
                extensions,
            } = notification;
            // Subscribing needs an answer, so it is not done.
            if !this.is_subscription(&method) {
                this.call(Request {
                    jsonrpc,
                    id: Id::Null,
                    method,
                    params,
                    extensions,
                })
                .await;
            }
            MethodResponse::notification()
        }
    }
}
