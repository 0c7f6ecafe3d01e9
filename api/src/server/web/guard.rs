//! What is looked at in every HTTP request before the library sees it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use jsonrpsee::Extensions;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use tower::{BoxError, Service};

use super::Transport;

/// Turns web pages away, and tells the version in every answer.
#[derive(Clone)]
pub(super) struct Guarded<T> {
    pub(super) inner: T,
    pub(super) extensions: Extensions,
    pub(super) version: &'static str,
    /// Set once the connection became a WebSocket.
    pub(super) upgraded: Arc<AtomicBool>,
}

type Answering = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

impl<T, B> Service<HttpRequest<B>> for Guarded<T>
where
    T: Service<HttpRequest<B>, Response = HttpResponse, Error = BoxError>,
    T::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: HttpRequest<B>) -> Answering {
        if let Some(reason) = refusal(&request) {
            tracing::warn!(reason, "an HTTP request was refused");
            return Box::pin(async move { Ok(forbidden(reason)) });
        }
        let transport = transport(&request);
        let extensions = request.extensions_mut();
        extensions.extend(self.extensions.clone());
        extensions.insert(transport);
        let answering = self.inner.call(request);
        let version = self.version;
        let upgraded = Arc::clone(&self.upgraded);
        Box::pin(async move {
            let mut response = answering.await?;
            if response.status().as_u16() == SWITCHING_PROTOCOLS {
                upgraded.store(true, Ordering::Release);
            }
            if let Ok(version) = version.parse() {
                response.headers_mut().insert("hermes-version", version);
            }
            Ok(response)
        })
    }
}

const SWITCHING_PROTOCOLS: u16 = 101;

/// Why a request is refused, if it is.
fn refusal<B>(request: &HttpRequest<B>) -> Option<&'static str> {
    let headers = request.headers();
    if headers.contains_key("origin") || headers.contains_key("referer") {
        return Some("requests of web pages are refused");
    }
    let named = headers.get("host").map(|host| host.to_str().unwrap_or("?"));
    let foreign = |host: &str| !matches!(host.split(':').next(), Some("" | "localhost"));
    if named.is_some_and(foreign) || request.uri().host().is_some_and(foreign) {
        return Some("the host must be localhost");
    }
    None
}

fn transport<B>(request: &HttpRequest<B>) -> Transport {
    let upgrade = request
        .headers()
        .get("upgrade")
        .and_then(|value| value.to_str().ok());
    if upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        Transport::WebSocket
    } else {
        Transport::Http
    }
}

fn forbidden(reason: &str) -> HttpResponse {
    const FORBIDDEN: u16 = 403;
    let mut response = HttpResponse::new(HttpBody::from(format!("{reason}\n")));
    if let Ok(status) = FORBIDDEN.try_into() {
        *response.status_mut() = status;
    }
    response
}
